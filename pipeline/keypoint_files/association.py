"""Who is who from frame to frame, in files that do not say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# A joint moves by less than this share of the person's size from frame to frame.
MAX_STEP = 0.5
# Frames after which somebody who left is somebody new.
MAX_ABSENCE = 15


def associate(frames: Sequence[tuple[int, np.ndarray]]) -> list[list[int]]:
    """Who is who from frame to frame: nearest first, greedily.

    Parameters
    ----------
    frames : of every frame with people its number, increasing, and keypoints (n, K, 2), NaN where
        not found

    Returns
    -------
    For every frame the ids of its n people, from 1.
    """
    last: dict[int, tuple[int, np.ndarray]] = {}
    result, following = [], 1
    for number, people in frames:
        near = {own: pose for own, (when, pose) in last.items() if number - when <= MAX_ABSENCE}
        pairs = sorted(
            (_distance(pose, other), own, index)
            for own, pose in near.items()
            for index, other in enumerate(people)
        )
        ids = [0] * len(people)
        for distance, own, index in pairs:
            if distance < MAX_STEP and not ids[index] and own not in ids:
                ids[index] = own
        for index, pose in enumerate(people):
            if not ids[index]:
                ids[index], following = following, following + 1
            last[ids[index]] = number, pose
        result.append(ids)
    return result


def _distance(before: np.ndarray, now: np.ndarray) -> float:
    """Mean way of the joints that both have, in sizes of the person; infinite without any."""
    both = np.isfinite(before).all(axis=-1) & np.isfinite(now).all(axis=-1)
    if not both.any():
        return float("inf")
    size = max(np.ptp(before[both], axis=0).max(), np.ptp(now[both], axis=0).max(), 1e-6)
    return float(np.linalg.norm(now[both] - before[both], axis=-1).mean() / size)
