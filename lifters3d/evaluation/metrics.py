"""Errors of 3D poses as the field defines them (Human3.6M protocols).

All functions take predicted and true joints (..., J, 3) in one unit and give errors in that unit.
None moves the root: subtract it first if the protocol asks for it.
"""

from __future__ import annotations

import numpy as np


def joint_errors(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Distance of every joint, (..., J)."""
    return np.linalg.norm(predicted - target, axis=-1)


def mpjpe(predicted: np.ndarray, target: np.ndarray) -> float:
    """Mean per-joint position error (Protocol 1)."""
    return float(joint_errors(predicted, target).mean())


def align_similarity(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Predictions (..., J, 3) moved onto the targets by the best rotation, translation and scale.

    One similarity a pose, without reflection (Procrustes; Umeyama 1991).
    """
    centre_p = predicted.mean(axis=-2, keepdims=True)
    centre_t = target.mean(axis=-2, keepdims=True)
    p, t = predicted - centre_p, target - centre_t
    left, singular, right = np.linalg.svd(np.swapaxes(t, -1, -2) @ p)
    sign = np.ones_like(singular)
    sign[..., -1] = np.sign(np.linalg.det(left @ right))
    rotation = (left * sign[..., None, :]) @ right
    power = (p**2).sum(axis=(-1, -2))
    scale = (singular * sign).sum(axis=-1) / np.maximum(power, 1e-12)
    return scale[..., None, None] * (p @ np.swapaxes(rotation, -1, -2)) + centre_t


def p_mpjpe(predicted: np.ndarray, target: np.ndarray) -> float:
    """MPJPE after a similarity alignment of every pose (Protocol 2)."""
    return mpjpe(align_similarity(predicted, target), target)


def n_mpjpe(predicted: np.ndarray, target: np.ndarray) -> float:
    """MPJPE after the best scale of every pose about the origin (Protocol 3)."""
    scale = (target * predicted).sum(axis=(-1, -2)) / (predicted**2).sum(axis=(-1, -2))
    return mpjpe(scale[..., None, None] * predicted, target)


def mpjve(predicted: np.ndarray, target: np.ndarray) -> float:
    """Mean per-joint velocity error of sequences (..., T, J, 3), in units per frame."""
    return float(joint_errors(np.diff(predicted, axis=-3), np.diff(target, axis=-3)).mean())
