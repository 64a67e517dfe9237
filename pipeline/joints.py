"""Other projects' joints to the Human3.6M skeleton of 17 that the lifters speak."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from lifters3d.data.custom import COCO
from lifters3d.skeleton import HEAD, HIP, NOSE, SPINE, THORAX

COCO_NAMES: tuple[str, ...] = COCO.names

# H36M joints 1-6 (right leg, left leg) and 11-16 (left arm, right arm) are marked in both formats.
_LIMBS_H36M = [1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16]
_LIMBS_COCO = [12, 14, 16, 11, 13, 15, 5, 7, 9, 6, 8, 10]
_LIMBS_BLAZEPOSE = [24, 26, 28, 23, 25, 27, 11, 13, 15, 12, 14, 16]

# Halpe-26 is COCO-17, then Head 17, Neck 18, Hip 19 and six points of the feet.
_H36M_IN_HALPE26 = [19, 12, 14, 16, 11, 13, 15, 19, 18, 0, 17, 5, 7, 9, 6, 8, 10]


# How far the guessed Spine bends away from the line from Hip to Thorax.
_SPINE_BEND = {"gast": 2.0, "gast-overlay": 0.3}

Formulae = Literal["gast", "gast-overlay", "mmpose"]


def coco_to_h36m(
    keypoints: np.ndarray, scores: np.ndarray | None = None, formulae: Formulae = "gast"
) -> tuple[np.ndarray, np.ndarray | None]:
    """COCO-17 keypoints to H36M-17; COCO does not mark the trunk and head, so they are guessed.

    Parameters
    ----------
    keypoints : (..., 17, 2) px, COCO order, y down; NaN where not found
    scores : (..., 17) in [0, 1], or None
    formulae : whose guesses.
        "gast": of the research demos, from GAST-Net's (Liu et al., "A Graph Attention
        Spatio-temporal Convolutional Network for 3D Human Pose Estimation in Video", ICRA 2021),
        in the variant used for lifting: they place Thorax, Neck/Nose and Head near where H36M's
        own markers are, which is what lifters trained on H36M expect.
        "gast-overlay": the same with the straighter spine that those demos draw.
        "mmpose": of mmpose and MotionBERT, for lifters trained with them: Thorax between the
        shoulders, Spine between Hip and Thorax, Head between the eyes.

    Returns
    -------
    keypoints (..., 17, 2) float32 px and scores (..., 17) float32 (None if None was given), H36M
    order. A joint is NaN (both numbers) exactly where a keypoint it is made of is NaN.
    """
    if formulae not in get_args(Formulae):
        raise ValueError(f"formulae must be one of {get_args(Formulae)}, not {formulae!r}")
    coco = _points(keypoints, len(COCO_NAMES))
    scored = None if scores is None else _scores(scores, len(COCO_NAMES))
    h36m = _mmpose_from_coco(coco) if formulae == "mmpose" else _gast_from_coco(coco, formulae)
    return _whole_points(h36m), None if scored is None else _scores_from_coco(scored, formulae)


def _mmpose_from_coco(coco: np.ndarray) -> np.ndarray:
    """Works on the scores (..., 17, 1) too: a guess scores the mean of what it is made of."""
    h36m = np.empty_like(coco)
    h36m[..., _LIMBS_H36M, :] = coco[..., _LIMBS_COCO, :]
    h36m[..., HIP, :] = coco[..., 11:13, :].mean(-2)
    h36m[..., THORAX, :] = coco[..., 5:7, :].mean(-2)
    h36m[..., SPINE, :] = (h36m[..., HIP, :] + h36m[..., THORAX, :]) / 2
    h36m[..., NOSE, :] = coco[..., 0, :]
    h36m[..., HEAD, :] = coco[..., 1:3, :].mean(-2)
    return h36m


def _gast_from_coco(coco: np.ndarray, formulae: str) -> np.ndarray:
    h36m = _mmpose_from_coco(coco)
    nose, hips, shoulders = coco[..., 0, :], h36m[..., HIP, :], coco[..., 5:7, :].mean(-2)
    eyes_y = coco[..., 1:3, 1].mean(-1)

    thorax = shoulders + (nose - shoulders) / 3
    thorax[..., 1] -= (eyes_y - nose[..., 1]) * 2 / 3
    h36m[..., THORAX, :] = thorax

    spine = (shoulders + hips) / 2
    bend = spine[..., 0] - (hips[..., 0] + thorax[..., 0]) / 2
    spine[..., 0] += _SPINE_BEND[formulae] * bend
    h36m[..., SPINE, :] = spine

    h36m[..., NOSE, :] = nose - (nose - shoulders) / 4
    h36m[..., HEAD, 0] = coco[..., 1:5, 0].mean(-1)
    h36m[..., HEAD, 1] = 2 * eyes_y - nose[..., 1]
    return h36m


def _scores_from_coco(scores: np.ndarray, formulae: str) -> np.ndarray:
    h36m = _mmpose_from_coco(scores[..., None])[..., 0]
    if formulae != "mmpose":
        h36m[..., HEAD] = scores[..., 1:5].mean(-1)
    return h36m.astype(np.float32)


def halpe26_to_h36m(
    keypoints: np.ndarray, scores: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Halpe-26 keypoints (AlphaPose's full body) to H36M-17, as MotionBERT does.

    Halpe marks the hip's centre, the neck and the top of the head; only Spine is guessed, halfway
    from neck to hip.

    Parameters
    ----------
    keypoints : (..., 26, 2) px, Halpe order; NaN where not found
    scores : (..., 26) in [0, 1], or None

    Returns
    -------
    keypoints (..., 17, 2) float32 px and scores (..., 17) float32 (None if None was given), H36M
    order. A joint is NaN (both numbers) exactly where a keypoint it is made of is NaN.
    """
    h36m = _halpe26_to_h36m(_points(keypoints, 26))
    if scores is None:
        return _whole_points(h36m), None
    scored = _halpe26_to_h36m(_scores(scores, 26)[..., None])[..., 0]
    return _whole_points(h36m), scored.astype(np.float32)


def _halpe26_to_h36m(halpe: np.ndarray) -> np.ndarray:
    h36m = halpe[..., _H36M_IN_HALPE26, :]
    h36m[..., SPINE, :] = (h36m[..., HIP, :] + h36m[..., THORAX, :]) / 2
    return h36m


def _points(keypoints: np.ndarray, count: int) -> np.ndarray:
    points = np.asarray(keypoints, np.float64)
    if points.shape[-2:] != (count, 2):
        raise ValueError(f"keypoints must be (..., {count}, 2), not {points.shape}")
    return points


def _scores(scores: np.ndarray, count: int) -> np.ndarray:
    scores = np.asarray(scores, np.float64)
    if scores.shape[-1:] != (count,):
        raise ValueError(f"scores must be (..., {count}), not {scores.shape}")
    return scores


def _whole_points(h36m: np.ndarray) -> np.ndarray:
    h36m[np.isnan(h36m).any(-1)] = np.nan  # no half points
    return h36m.astype(np.float32)


def blazepose_world_to_h36m(landmarks: np.ndarray) -> np.ndarray:
    """MediaPipe's own 3D ("world landmarks") to H36M-17, to measure it beside the lifters.

    Limbs and nose are direct. Hip and Thorax are the midpoints of hips and shoulders, Spine the
    midpoint of these. BlazePose marks no top of the head, so Head is a guess: the midpoint of the
    ears, moved on by a quarter of the way from Thorax to it. Compare on the limb joints first.

    Parameters
    ----------
    landmarks : (..., 33, 3) metres, BlazePose order, origin between the hips, x right, y down,
        z away from the camera

    Returns
    -------
    (..., 17, 3) float32 metres, H36M order, relative to Hip, same axes.
    """
    blaze = np.asarray(landmarks, np.float64)
    if blaze.shape[-2:] != (33, 3):
        raise ValueError(f"landmarks must be (..., 33, 3), not {blaze.shape}")
    h36m = np.empty((*blaze.shape[:-2], 17, 3))
    h36m[..., _LIMBS_H36M, :] = blaze[..., _LIMBS_BLAZEPOSE, :]
    hip, thorax = blaze[..., 23:25, :].mean(-2), blaze[..., 11:13, :].mean(-2)
    ears = blaze[..., 7:9, :].mean(-2)
    h36m[..., 0, :] = hip
    h36m[..., 7, :] = (hip + thorax) / 2
    h36m[..., 8, :] = thorax
    h36m[..., 9, :] = blaze[..., 0, :]
    h36m[..., 10, :] = ears + (ears - thorax) / 4
    return (h36m - hip[..., None, :]).astype(np.float32)
