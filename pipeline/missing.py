"""Joints that a detector did not find, for lifters, which take whole poses only."""

from __future__ import annotations

import numpy as np

from lifters3d.skeleton import HEAD, HIP, LHIP, LSHOULDER, NOSE, RHIP, RSHOULDER, SPINE, THORAX

# A missing joint is put at base + factor * (to - from), in this order, where the three are there:
# the middle of a pair, the other side's likeness, or the way the body goes on. Factors are those of
# a person who stands.
_RULES: list[tuple[int, int, float, int, int]] = [
    # joint, base, factor, to, from
    (HIP, RHIP, 0.5, LHIP, RHIP),
    (THORAX, RSHOULDER, 0.5, LSHOULDER, RSHOULDER),
    (RHIP, LHIP, 0.7, RSHOULDER, LSHOULDER),
    (LHIP, RHIP, 0.7, LSHOULDER, RSHOULDER),
    (RSHOULDER, LSHOULDER, 1.4, RHIP, LHIP),
    (LSHOULDER, RSHOULDER, 1.4, LHIP, RHIP),
    (HIP, RHIP, 0.5, LHIP, RHIP),
    (THORAX, RSHOULDER, 0.5, LSHOULDER, RSHOULDER),
    (SPINE, HIP, 0.5, THORAX, HIP),
    (NOSE, THORAX, 0.6, HEAD, THORAX),
    (NOSE, THORAX, 0.4, THORAX, HIP),
    (HEAD, NOSE, 0.6, NOSE, THORAX),
    *((knee, hip, 0.85, HIP, THORAX) for knee, hip in ((2, RHIP), (5, LHIP))),
    *((ankle, knee, 0.95, knee, hip) for ankle, knee, hip in ((3, 2, RHIP), (6, 5, LHIP))),
    *((elbow, top, 0.55, HIP, THORAX) for elbow, top in ((12, LSHOULDER), (15, RSHOULDER))),
    *((wrist, elbow, 0.9, elbow, top) for wrist, elbow, top in ((13, 12, 11), (16, 15, 14))),
]


def complete_poses(keypoints: np.ndarray) -> np.ndarray:
    """Put missing joints where a standing body would have them.

    What lifts well is a pose that might be one; the guess itself is worth little.

    Parameters
    ----------
    keypoints : (n, 17, 2) px, Human3.6M order; NaN where not found

    Returns
    -------
    (n, 17, 2), finite: a joint of which no rule knows is put on the hip, or on what is left of the
    person; a frame with nothing at 0.
    """
    missing = ~np.isfinite(keypoints).all(axis=-1)
    if not missing.any():
        return keypoints
    poses = np.where(missing[..., None], np.nan, keypoints)
    for joint, base, factor, to, since in _RULES:
        guess = poses[:, base] + factor * (poses[:, to] - poses[:, since])
        poses[:, joint] = np.where(np.isnan(poses[:, joint]), guess, poses[:, joint])
    lost = np.isnan(poses).any(axis=-1)
    with np.errstate(all="ignore"):
        middle = np.nansum(poses, axis=1) / (~lost).sum(axis=1)[:, None]
    anchor = np.nan_to_num(np.where(lost[:, [HIP]], middle, poses[:, HIP]))
    return np.where(lost[..., None], anchor[:, None], poses)
