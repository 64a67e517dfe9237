"""Who is who from frame to frame, in files that do not say.

Not by ``pipeline.tracker``, which follows a detector's boxes: these files have joints alone, often
of half a body, and a box around whichever joints were found leaps as they come and go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Who is expected somewhere is there, up to this share of the person's size (mean of the joints).
MAX_MISS = 0.5
# Somebody who is so near to another is a second finding of that other.
SAME_PLACE = 0.1
# Frames after which somebody who left is somebody new: as long as the tracker's, at 30 frames/s.
MAX_ABSENCE = 45
# Velocities are averaged over about 10 frames; sizes that are not seen again fade in about 100.
_NEW_VELOCITY, _OLD_SIZE = 0.1, 0.99


@dataclass
class _Person:
    """Who was seen last in a frame, with joints (K, 2), a size in px and a velocity in px/frame."""

    frame: int
    pose: np.ndarray
    size: float
    velocity: np.ndarray

    def expected(self, frame: int) -> np.ndarray:
        return self.pose + self.velocity * (frame - self.frame)

    def move(self, frame: int, pose: np.ndarray) -> None:
        moved = pose - self.pose
        moved = moved[np.isfinite(moved).all(axis=-1)]
        if len(moved):
            shift = moved.mean(axis=0) / (frame - self.frame)
            self.velocity = self.velocity + _NEW_VELOCITY * (shift - self.velocity)
        # Of half a body the size is still that of the whole.
        self.size = max(_extent(pose), _OLD_SIZE * self.size)
        self.frame, self.pose = frame, pose


def associate(frames: Sequence[tuple[int, np.ndarray]]) -> list[list[int]]:
    """Who is who from frame to frame: whoever is nearest to where one is expected, greedily.

    Parameters
    ----------
    frames : of every frame with people its number, increasing, and keypoints (n, K, 2), NaN where
        not found; in any unit

    Returns
    -------
    For every frame the ids of its n people, from 1; -1 for a second finding of one of the others.
    """
    known: dict[int, _Person] = {}
    result, last_id = [], 0
    for number, poses in frames:
        known = {
            own: person for own, person in known.items() if number - person.frame <= MAX_ABSENCE
        }
        pairs = sorted(
            (_miss(person.expected(number), pose, person.size), own, index)
            for own, person in known.items()
            for index, pose in enumerate(poses)
        )
        ids = [0] * len(poses)
        for miss, own, index in pairs:
            if miss < MAX_MISS and not ids[index] and own not in ids:
                ids[index] = own
                known[own].move(number, poses[index])
        for index, pose in enumerate(poses):
            if ids[index]:
                continue
            here = (person for person in known.values() if person.frame == number)
            if any(_miss(person.pose, pose, person.size) < SAME_PLACE for person in here):
                ids[index] = -1
            else:
                last_id += 1
                ids[index] = last_id
                known[last_id] = _Person(number, pose, _extent(pose), np.zeros(2))
        result.append(ids)
    return result


def _miss(expected: np.ndarray, pose: np.ndarray, size: float) -> float:
    """Mean distance of the joints that both have, in sizes of the person; infinite without any."""
    apart = np.linalg.norm(pose - expected, axis=-1)
    apart = apart[np.isfinite(apart)]
    return float(apart.mean()) / max(size, _extent(pose)) if len(apart) else float("inf")


def _extent(pose: np.ndarray) -> float:
    """Width or height of the joints that were found, whichever is more; never 0."""
    found = pose[np.isfinite(pose).all(axis=-1)]
    return max(float(np.ptp(found, axis=0).max()), 1e-6) if len(found) else 1e-6
