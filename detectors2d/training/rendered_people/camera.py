"""Pinhole cameras: where they look and what they see.

OpenCV's axes: x right, y down, z ahead; a point X of the world (metres, z up) is R X + t there.
Pixel coordinates run from 0 to the width: the centre of the first pixel is at 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

NEAR, FAR = 0.3, 80.0  # m, what is drawn


@dataclass(frozen=True)
class Camera:
    """``intrinsics`` (3, 3) px, ``rotation`` (3, 3) and ``translation`` (3,) m of the world."""

    intrinsics: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray

    @property
    def position(self) -> np.ndarray:
        """(3,) m in the world."""
        return -self.rotation.T @ self.translation

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of points (n, 3) of the world: pixel coordinates (n, 2) and depths (n,) m."""
        seen = points @ self.rotation.T + self.translation
        return (seen @ self.intrinsics.T)[:, :2] / seen[:, 2:], seen[:, 2]

    def clip_matrix(self, size: tuple[int, int]) -> np.ndarray:
        """OpenGL's (4, 4) from the world to clip space, for a picture of ``size`` (w, h) px."""
        (w, h), K = size, self.intrinsics
        clip = np.zeros((4, 4))
        clip[0, 0], clip[0, 2] = 2 * K[0, 0] / w, 1 - 2 * K[0, 2] / w
        clip[1, 1], clip[1, 2] = 2 * K[1, 1] / h, 2 * K[1, 2] / h - 1
        clip[2, 2], clip[2, 3] = -(FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)
        clip[3, 2] = -1
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = self.rotation, self.translation
        return clip @ np.diag([1, -1, -1, 1]) @ pose


def look_at(
    position: np.ndarray, target: ArrayLike, roll: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (3, 3) and translation (3,) of a camera; ``roll`` in radians about its view."""
    ahead = np.asarray(target, float) - position
    ahead /= np.linalg.norm(ahead)
    right = np.cross(ahead, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(ahead, right), ahead])
    cosine, sine = np.cos(roll), np.sin(roll)
    rotation = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) @ rotation
    return rotation, -rotation @ position


def metres(depth: np.ndarray) -> np.ndarray:
    """Depths in metres of the values 0 to 1 of a depth buffer."""
    return 2 * FAR * NEAR / (FAR + NEAR - (2 * depth - 1) * (FAR - NEAR))
