"""The 2D skeleton over the picture."""

from __future__ import annotations

import cv2
import numpy as np

from lifters3d.skeleton import HEAD, HIP, NOSE, PARENTS, THORAX

from . import strokes
from .palette import OUTLINE, TINTS, Colour, joint_colours, mix, opacity_of_scores

_CHILDREN = np.array([j for j, p in enumerate(PARENTS) if p >= 0 and j != HEAD])
_SIZE = 0.0046  # radius of a bone, of the picture's geometric mean side


def bone_radius(keypoints: np.ndarray, picture_size: tuple[int, int]) -> float:
    """Radius in px of a bone's stroke: grows with the picture, thinner on far, small people."""
    width, height = picture_size
    radius = _SIZE * np.sqrt(width * height)
    seen = keypoints[np.isfinite(keypoints).all(-1)]
    if len(seen) > 1:
        radius = min(radius, 0.0125 * np.hypot(*(seen.max(0) - seen.min(0))))
    return max(float(radius), 1.0)


def head_radius(keypoints: np.ndarray, radius: float) -> float:
    """Radius in px of the ring around the head, of 17 keypoints some of which may be NaN.

    From the trunk too, because some definitions put Head and Nose in the same place.
    """
    neck = np.hypot(*(keypoints[HEAD] - keypoints[NOSE]))
    trunk = np.hypot(*(keypoints[THORAX] - keypoints[HIP]))
    return float(np.nanmax([0.85 * neck, 0.19 * trunk, 2.6 * radius]))


def draw_skeleton2d(
    image: np.ndarray,
    keypoints: np.ndarray,
    scores: np.ndarray | None = None,
    *,
    alpha: float = 0.92,
    trunk: Colour = TINTS[0],
) -> None:
    """Draw one person over a picture, in place; pixels away from the skeleton stay as they are.

    Parameters
    ----------
    image : (h, w, 3) uint8 RGB
    keypoints : (17, 2) px, H36M order, the first pixel's centre at (0.5, 0.5); joints that are
        NaN are left out, with the bones that end in them
    scores : (17,) 0-1, shown as opacity, a bone as its weaker end; None draws all opaque
    alpha : opacity of a joint that is certain, 0-1
    trunk : colour of trunk and head; left and right have their own
    """
    size = (image.shape[1], image.shape[0])
    keypoints = np.asarray(keypoints, float)
    # Places far outside come from lost tracks; a line to one would cross the whole picture.
    near = np.abs(keypoints - np.divide(size, 2)).max(-1) < 4 * max(size)
    there = np.isfinite(keypoints).all(-1) & near
    if not there.any():
        return
    radius = bone_radius(keypoints[there], size)
    rim = max(0.9, 0.38 * radius)
    ring = head_radius(np.where(there[:, None], keypoints, np.nan), radius)
    x0, y0, x1, y1 = strokes.bounds(keypoints[there], ring + 3 * radius + 3, size)
    if x0 >= x1 or y0 >= y1:
        return

    # Colours go to `layer`, coverage times opacity to `mask`; one blend lays both down.
    part = image[y0:y1, x0:x1]
    layer, mask = part.copy(), np.zeros(part.shape[:2], np.uint8)
    places = np.where(there[:, None], keypoints, 0) - (x0, y0)
    strength = np.full(len(places), 255 * alpha)
    if scores is not None:
        strength *= opacity_of_scores(scores)
    colours = joint_colours(trunk)

    # The head goes first, so that the neck's stroke ends on top of its ring.
    if there[NOSE] and there[HEAD]:
        centre = (places[NOSE] + places[HEAD]) / 2
        shown = min(strength[NOSE], strength[HEAD])
        _draw_ring(layer, mask, centre, ring, radius, rim, colours[HEAD], shown)

    ends = _CHILDREN[there[_CHILDREN] & there[np.take(PARENTS, _CHILDREN)]]
    starts = np.take(PARENTS, ends)
    joints = np.flatnonzero(there & (np.arange(len(places)) != HEAD))
    bones = _rings(places[starts], places[ends], [radius + rim, radius + rim + 2, radius])
    full = 1.5 * radius
    balls = _rings(places[joints], places[joints], [full + rim, full + rim + 2, full, 0.55 * full])
    # Weak bones first: where two meet the sure one is on top.
    shown = np.minimum(strength[starts], strength[ends])
    for i in np.argsort(shown, kind="stable"):
        outer, wider, inner = bones[i]
        strokes.fill(layer, wider, OUTLINE)
        strokes.fill(layer, inner, tuple(colours[ends[i]]))
        strokes.fill(mask, outer, float(shown[i]))
    cores = mix(colours, (255, 255, 255), 0.75)
    for i in np.argsort(strength[joints], kind="stable"):
        outer, wider, inner, core = balls[i]
        strokes.fill(layer, wider, OUTLINE)
        strokes.fill(layer, inner, tuple(colours[joints[i]]))
        strokes.fill(layer, core, tuple(cores[joints[i]]))
        strokes.fill(mask, outer, float(strength[joints[i]]))
    strokes.lay(part, layer, mask)


def _rings(a: np.ndarray, b: np.ndarray, radii: list[float]) -> np.ndarray:
    """(N, len(radii), K, 2) `strokes.fixed` outlines of strokes from a to b, (N, 2) px."""
    count, full = len(radii), np.tile(radii, len(a))
    outlines = strokes.capsules(a.repeat(count, 0), b.repeat(count, 0), full, full)
    return strokes.fixed(outlines).reshape(len(a), count, *outlines.shape[1:])


def _draw_ring(
    layer: np.ndarray,
    mask: np.ndarray,
    centre: np.ndarray,
    ring: float,
    radius: float,
    rim: float,
    colour: np.ndarray,
    shown: float,
) -> None:
    """A ring, so that the face stays to be seen."""
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    circle = strokes.fixed(centre + ring * np.stack([np.cos(turn), np.sin(turn)], -1))
    # A line's width is whole px in OpenCV; the picture's size decides it, so it does not flicker.
    inside, outside = max(1, round(1.1 * radius)), max(3, round(1.1 * radius + 2 * rim))
    shift = strokes.SHIFT
    cv2.polylines(layer, [circle], True, OUTLINE, outside + 2, cv2.LINE_AA, shift)
    cv2.polylines(layer, [circle], True, tuple(colour), inside, cv2.LINE_AA, shift)
    cv2.polylines(mask, [circle], True, float(shown), outside, cv2.LINE_AA, shift)
