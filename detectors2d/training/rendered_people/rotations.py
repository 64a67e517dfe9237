"""Rotation matrices (3, 3), which turn column vectors: right-handed, angles in radians."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) of length 1; nearly zero ones stay nearly zero."""
    return vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-12)


def axis_rotation(axis: ArrayLike, angle: float) -> np.ndarray:
    """The rotation about ``axis`` (3,) of any length by ``angle`` (Rodrigues' formula)."""
    x, y, z = unit(np.asarray(axis, float))
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


def aligning_rotation(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The smallest rotation that takes direction ``start`` (3,) to ``end`` (3,), not opposite."""
    start, end = unit(start), unit(end)
    normal = np.cross(start, end)
    sine = np.linalg.norm(normal)
    if sine < 1e-9:
        return np.eye(3)
    return axis_rotation(normal, np.arctan2(sine, start @ end))


def nearest_rotation(matrices: np.ndarray) -> np.ndarray:
    """The orthogonal matrices nearest to ``matrices`` (..., 3, 3)."""
    left, _, right = np.linalg.svd(matrices)
    return left @ right


def from_quaternions(quaternions: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) of quaternions (..., 4) in the order w, x, y, z, of any length."""
    w, x, y, z = np.moveaxis(unit(quaternions.astype(np.float64)), -1, 0)
    entries = [
        1 - 2 * (y * y + z * z),
        2 * (x * y - w * z),
        2 * (x * z + w * y),
        2 * (x * y + w * z),
        1 - 2 * (x * x + z * z),
        2 * (y * z - w * x),
        2 * (x * z - w * y),
        2 * (y * z + w * x),
        1 - 2 * (x * x + y * y),
    ]
    return np.stack(entries, -1).reshape((*quaternions.shape[:-1], 3, 3))
