"""Errors of 3D poses as the field defines them (Human3.6M and MPI-INF-3DHP).

All functions take predicted and true joints (..., J, 3) in one unit and give errors in that unit.
None moves the root: subtract it first if the protocol asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# The 14 joints that MPI-INF-3DHP counts: head top, neck, shoulders, elbows, wrists, hips, knees
# and ankles. Pelvis (whose root-relative error is 0), spine and head would flatter a method.
SCORED_JOINTS_3DHP: tuple[int, ...] = tuple(range(14))
# The same in the order of Human3.6M: all but Hip, Spine and Neck/Nose.
SCORED_JOINTS_H36M: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 13, 14, 15, 16)
PCK_THRESHOLD_MM = 150.0
AUC_THRESHOLDS_MM: tuple[float, ...] = tuple(float(mm) for mm in range(0, 151, 5))


def joint_errors(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Distance of every joint, (..., J)."""
    return np.linalg.norm(predicted - target, axis=-1)


def velocity_errors(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Error of every joint's move to the next frame, of sequences (..., T, J, 3): (..., T-1, J)."""
    return joint_errors(np.diff(predicted, axis=-3), np.diff(target, axis=-3))


def mpjpe(predicted: np.ndarray, target: np.ndarray) -> float:
    """Mean per-joint position error (Protocol 1)."""
    return float(joint_errors(predicted, target).mean())


def per_joint(errors: np.ndarray) -> np.ndarray:
    """Mean of errors (..., J) over all but the joints, (J,)."""
    return errors.reshape(-1, errors.shape[-1]).mean(axis=0)


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


def align_scale(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Predictions (..., J, 3) scaled about the origin, each pose by its best factor.

    A pose that is all zero stays so: no factor helps it.
    """
    power = (predicted**2).sum(axis=(-1, -2), keepdims=True)
    product = (target * predicted).sum(axis=(-1, -2), keepdims=True)
    return predicted * (product / np.where(power == 0, 1, power))


def p_mpjpe(predicted: np.ndarray, target: np.ndarray) -> float:
    """MPJPE after a similarity alignment of every pose (Protocol 2)."""
    return mpjpe(align_similarity(predicted, target), target)


def n_mpjpe(predicted: np.ndarray, target: np.ndarray) -> float:
    """MPJPE after the best scale of every pose about the origin (Protocol 3)."""
    return mpjpe(align_scale(predicted, target), target)


def mpjve(predicted: np.ndarray, target: np.ndarray, frame_rate: float | None = None) -> float:
    """Mean per-joint velocity error of sequences (..., T, J, 3).

    In units per frame, as all papers report it; in units per second if ``frame_rate`` is given.
    NaN if T is 1: a single pose has no velocity.
    """
    if predicted.shape[-3] < 2:
        return float("nan")
    error = float(velocity_errors(predicted, target).mean())
    return error if frame_rate is None else error * frame_rate


def pck(predicted: np.ndarray, target: np.ndarray, threshold: float = PCK_THRESHOLD_MM) -> float:
    """Share (0 to 1) of joints whose error is below the threshold; one equal to it is not.

    The default threshold is in mm, and so must the poses be.
    """
    return float((joint_errors(predicted, target) < threshold).mean())


def auc(
    predicted: np.ndarray, target: np.ndarray, thresholds: Sequence[float] = AUC_THRESHOLDS_MM
) -> float:
    """Area under the curve of PCK over thresholds: its mean, 0 to 1 (MPI-INF-3DHP).

    The default thresholds are 0, 5, ..., 150 mm, as in the data set's own program. No error is
    below 0, so that perfect poses have 30/31 = 0.968 and not 1.
    """
    errors = np.sort(joint_errors(predicted, target), axis=None)
    # The number of errors strictly below each threshold.
    below = np.searchsorted(errors, thresholds, side="left")
    return float(below.mean() / errors.size)
