"""Colours of everything that is drawn, RGB 0-255, which joint takes which, and how faint it is."""

from __future__ import annotations

import numpy as np

from lifters3d.skeleton import JOINT_NAMES, LEFT, RIGHT

Colour = tuple[int, int, int]

# Okabe & Ito's set ("Color Universal Design", 2008): told apart with every kind of colour vision.
LEFT_COLOUR: Colour = (86, 180, 233)
RIGHT_COLOUR: Colour = (230, 159, 0)
# Trunk and head carry the person: white for the first, then the rest of the same set.
TINTS: tuple[Colour, ...] = ((240, 240, 240), (0, 190, 140), (222, 135, 186), (240, 228, 66))

OUTLINE: Colour = (16, 18, 22)
BACKGROUND_TOP: Colour = (30, 33, 40)
BACKGROUND_BOTTOM: Colour = (19, 21, 26)
FLOOR: Colour = (68, 74, 86)
GRID: Colour = (128, 137, 152)
TEXT: Colour = (226, 230, 236)
TEXT_QUIET: Colour = (150, 158, 170)
NOTICE: Colour = (240, 228, 66)

LEAST_2D = 0.12  # opacity of a joint in which there is no confidence
LEAST_3D = 0.35  # more: what is seen through a 3D limb looks like a hole
_SURE_SCORE = 0.65  # from this score on a joint is fully opaque
# Metres. A lifter's usual error, and that of joints which it had to guess, unseen.
_SURE_ERROR, _LOST_ERROR = 0.08, 0.20


def opacity_of_scores(scores: np.ndarray, least: float = LEAST_2D) -> np.ndarray:
    """How visible a joint of a score (0-1) is: `least` at 0, 1 from 0.65 on; NaN counts as 1."""
    sure = np.nan_to_num(np.asarray(scores, float), nan=1.0) / _SURE_SCORE
    return least + (1 - least) * np.clip(sure, 0, 1)


def opacity_of_errors(metres: np.ndarray) -> np.ndarray:
    """How visible a 3D joint that may be so far off is: 1 up to 0.08 m, 0.35 from 0.2 m on."""
    sure = (_LOST_ERROR - np.asarray(metres, float)) / (_LOST_ERROR - _SURE_ERROR)
    return LEAST_3D + (1 - LEAST_3D) * np.clip(sure, 0, 1)


def tint(person: int) -> Colour:
    """The colour of a person's trunk, head and label, by place in the result (repeats after 4)."""
    return TINTS[person % len(TINTS)]


def joint_colours(trunk: Colour) -> np.ndarray:
    """(17, 3) float RGB: colour of each joint, and of the bone that ends in it."""
    colours = np.tile(np.asarray(trunk, float), (len(JOINT_NAMES), 1))
    colours[list(LEFT)] = LEFT_COLOUR
    colours[list(RIGHT)] = RIGHT_COLOUR
    return colours


def mix(colour: np.ndarray, other: Colour, share: float | np.ndarray) -> np.ndarray:
    """`colour` (..., 3) moved towards `other` by `share` (0 stays, 1 becomes `other`)."""
    colour = np.asarray(colour, float)
    return colour + (np.asarray(other, float) - colour) * np.asarray(share, float)[..., None]
