"""How far each 3D joint may be from the truth, from signs of doubt, calibrated on motion capture.

No one sign tells much; together they rank the true errors. Of every joint the logarithm of its
error is a linear function of the logarithms of the signs, fitted by ``benchmarks/uncertainty.py``
for each lifter that is shipped, and kept in ``uncertainty.json``. What the signs cannot show stays
hidden: a wrong person, a joint that a detector puts elsewhere with confidence, a wrong scale.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

from lifters3d.skeleton import HIP, PARENTS

CALIBRATION = Path(__file__).with_name("uncertainty.json")
# Signs of doubt, in metres but for the last, a share.
SIGNS = ("mirror", "windows", "reprojection", "bone")
# Added before the logarithm, so that nothing is certain beyond what the data can show.
LEAST_SIGN, LEAST_ERROR = 0.001, 0.005
# Of a joint that was not seen in 2D at all: as measured on the demo clips, 0.1 to 0.19 m.
UNSEEN = 0.17
MOST = 1.0
BLOCK = 1 << 12  # frames whose signs are held at once


def signs_of_doubt(
    joints3d: np.ndarray,
    keypoints2d: np.ndarray,
    root: np.ndarray,
    doubt: np.ndarray,
    focal: float,
    size: tuple[int, int],
    causal: bool = False,
    usual: np.ndarray | None = None,
) -> np.ndarray:
    """What speaks against each joint of one person.

    Parameters
    ----------
    joints3d : (F, 17, 3) metres, root-relative, camera axes; NaN where absent
    keypoints2d : (F, 17, 2) px; NaN where not seen
    root : (F, 3) metres, camera axes
    doubt : (F, 17, 2) metres, of ``lifting.Lifted``
    focal, size : of the camera, px
    causal : only what is known at each frame; bones' usual lengths are known at the end
    usual : (17,) of ``usual_bones``, of frames that are a part of a video; None: these are all

    Returns
    -------
    (F, 17, 4): ``SIGNS``; NaN where there is nothing to judge by.
    """
    placed = (joints3d + root[:, None]).astype(np.float64)
    depth = np.maximum(placed[..., 2], 0.1)
    projected = focal * placed[..., :2] / depth[..., None] + np.array(size) / 2
    off = np.linalg.norm(projected - keypoints2d, axis=-1) * depth / focal
    bones = _bones(joints3d).astype(np.float64)
    if usual is None:
        usual = usual_bones(joints3d, causal)
    change = np.abs(np.log(np.maximum(bones, 1e-3) / np.maximum(usual, 1e-3)))
    return np.concatenate([doubt, off[..., None], change[..., None]], axis=-1)


def usual_bones(joints3d: np.ndarray, causal: bool = False) -> np.ndarray:
    """(17,) metres: usual lengths of one person's bones; NaN if unknown, and all if causal."""
    usual = np.full(17, np.nan)
    for joint in () if causal else range(17):
        lengths = _bones(joints3d, joint).astype(np.float64)
        if np.isfinite(lengths).any():
            usual[joint] = np.nanmedian(lengths)
    return usual


def _bones(joints3d: np.ndarray, joint: int | slice = slice(None)) -> np.ndarray:
    """(F, 17), or (F,) of one joint: metres from joints (F, 17, 3) to their parents."""
    lengths = np.linalg.norm(joints3d[:, joint] - joints3d[:, np.array(PARENTS)[joint]], axis=-1)
    if joint == HIP:
        lengths[:] = np.nan
    elif isinstance(joint, slice):
        lengths[:, HIP] = np.nan
    return lengths


def expected_errors(
    joints3d: np.ndarray,
    keypoints2d: np.ndarray,
    root: np.ndarray,
    doubt: np.ndarray,
    focal: float,
    size: tuple[int, int],
    causal: bool,
    lifter: str,
) -> np.ndarray:
    """(F, 17) float32 metres: ``uncertainty`` by the ``signs_of_doubt`` of these."""
    usual = usual_bones(joints3d, causal)
    errors = np.empty(joints3d.shape[:2], np.float32)
    for first in range(0, len(errors), BLOCK):  # signs take much more room than what they say
        part = slice(first, first + BLOCK)
        signs = signs_of_doubt(
            joints3d[part], keypoints2d[part], root[part], doubt[part], focal, size, causal, usual
        )
        unseen = ~np.isfinite(keypoints2d[part]).all(axis=-1)
        errors[part] = uncertainty(signs, unseen, lifter)
    return errors


def uncertainty(signs: np.ndarray, unseen: np.ndarray, lifter: str) -> np.ndarray:
    """Expected distance of every joint from the truth.

    Parameters
    ----------
    signs : (F, 17, 4) of ``signs_of_doubt``
    unseen : (F, 17) bool, joints without 2D
    lifter : the name of the network; others than the shipped ones get the mean of these

    Returns
    -------
    (F, 17) float32 metres; NaN where there is no pose. The hip, which is the origin, has 0.
    """
    known = _calibration()
    fit = known.get(lifter, known["others"])
    distance = predict(signs, np.array(fit["weights"]), np.array(fit["means"])) * fit["scale"]
    distance = np.where(unseen, np.maximum(distance, UNSEEN), distance).clip(0, MOST)
    distance[:, HIP] = 0
    # A pose has signs, at least that of its projection or its bones.
    distance[np.isnan(signs).all(axis=(1, 2))] = np.nan
    return distance.astype(np.float32)


def predict(signs: np.ndarray, weights: np.ndarray, means: np.ndarray) -> np.ndarray:
    """(F, 17) metres from signs (F, 17, 4), weights (17, 5), the last constants, means (17, 4)."""
    logs = np.log(signs + LEAST_SIGN)
    logs = np.where(np.isfinite(logs), logs, means)
    raised = (logs * weights[:, :-1]).sum(-1) + weights[:, -1]
    return np.maximum(np.exp(raised) - LEAST_ERROR, 0)


def fit_weights(signs: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Weights (17, 5), means (17, 4) and scale for ``predict``.

    ``signs`` (F, 17, 4), ``errors`` (F, 17) metres. Least squares of the logarithms; the scale
    makes the mean of the answers that of the errors.
    """
    logs = np.log(signs + LEAST_SIGN)
    weights, means = np.zeros((17, len(SIGNS) + 1)), np.zeros((17, len(SIGNS)))
    for joint in range(17):
        if joint == HIP:
            continue
        finite = np.isfinite(logs[:, joint])
        known = finite.any(axis=0)
        means[joint, known] = np.nanmean(logs[:, joint, known], axis=0)
        filled = np.where(finite, logs[:, joint], means[joint])
        rows = np.concatenate([filled, np.ones((len(filled), 1))], axis=1)
        # A little towards 0, so that signs that always go together share their weight.
        pull = np.diag([1e-3 * len(rows)] * len(SIGNS) + [0])
        target = np.log(errors[:, joint] + LEAST_ERROR)
        weights[joint] = np.linalg.solve(rows.T @ rows + pull, rows.T @ target)
    limbs = np.arange(17) != HIP
    scale = errors[:, limbs].mean() / predict(signs, weights, means)[:, limbs].mean()
    return weights, means, float(scale)


@cache
def _calibration() -> dict[str, dict]:
    return json.loads(CALIBRATION.read_text())
