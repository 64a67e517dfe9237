"""Which detections belong to one person."""

from __future__ import annotations

import numpy as np

from lifters3d.skeleton import HIP, LIMB_JOINTS, THORAX

# A torso that moves by more than this share of the person's size from one sighting to the next is
# another person's (or a false one): real movement stays below 0.2 a frame at 24-30 frames/s.
MAX_JUMP = 1.0
# A pause between two consecutive frames (a recording that was stopped, a cut) of more than this and
# more than four usual steps: what is on its two sides is not one movement.
MAX_PAUSE_S = 2.0


def split_at_jumps(keypoints: np.ndarray, present: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """Number the stretches of a one-person detector's output that show one unbroken movement.

    Such a detector follows somebody until it loses him, and then takes whomever it finds; and
    recordings pause.

    Parameters
    ----------
    keypoints : (F, 17, 2) px, Human3.6M order
    present : (F,) bool, whether the detector found somebody
    time_s : (F,) seconds

    Returns
    -------
    (F,) int: the number of the stretch that the frame belongs to, from 0; -1 where absent.
    """
    stretch = np.full(len(present), -1)
    seen = np.flatnonzero(present)
    if not len(seen):
        return stretch
    centre = (keypoints[seen, HIP] + keypoints[seen, THORAX]) / 2
    offsets = keypoints[seen][:, list(LIMB_JOINTS)] - keypoints[seen, None, HIP]
    size = np.sqrt((offsets**2).sum(-1).mean(-1)) * 2
    moved = np.linalg.norm(np.diff(centre, axis=0), axis=-1)
    scale = np.maximum((size[1:] + size[:-1]) / 2, 1e-6)
    # Over a longer absence a person may go further.
    allowed = MAX_JUMP + np.maximum(0, np.diff(time_s[seen]) - 0.1) * 2
    steps = np.diff(time_s)
    usual = np.median(steps) if len(steps) else 0.0
    paused = (np.diff(seen) == 1) & (np.diff(time_s[seen]) > max(MAX_PAUSE_S, 4 * usual))
    stretch[seen] = np.concatenate([[0], np.cumsum((moved / scale > allowed) | paused)])
    return stretch
