"""Other projects' joints to the Human3.6M skeleton of 17 that the lifters speak."""

from __future__ import annotations

import numpy as np

COCO_NAMES: tuple[str, ...] = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)

# H36M joints 1-6 (right leg, left leg) and 11-16 (left arm, right arm) are marked in both formats.
_LIMBS_H36M = [1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16]
_LIMBS_COCO = [12, 14, 16, 11, 13, 15, 5, 7, 9, 6, 8, 10]
_LIMBS_BLAZEPOSE = [24, 26, 28, 23, 25, 27, 11, 13, 15, 12, 14, 16]


def coco_to_h36m(
    keypoints: np.ndarray, scores: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """COCO-17 keypoints to H36M-17, with the guesses of the research demos for the trunk and head.

    The formulae are those of GAST-Net's demo (Liu et al., "A Graph Attention Spatio-temporal
    Convolutional Network for 3D Human Pose Estimation in Video", ICRA 2021), in the variant it
    uses for lifting: they place Thorax, Neck/Nose and Head near where H36M's own markers are,
    which is what lifters trained on H36M expect.

    Parameters
    ----------
    keypoints : (..., 17, 2) px, COCO order, y down; NaN where not found
    scores : (..., 17) in [0, 1], or None

    Returns
    -------
    keypoints (..., 17, 2) float32 px and scores (..., 17) float32 (None if None was given), H36M
    order. A joint is NaN (both numbers) exactly where a keypoint it is made of is NaN.
    """
    coco = np.asarray(keypoints, np.float64)
    if coco.shape[-2:] != (17, 2):
        raise ValueError(f"keypoints must be (..., 17, 2), not {coco.shape}")
    nose, eyes = coco[..., 0, :], coco[..., 1:3, :]
    shoulders, hips = coco[..., 5:7, :].mean(-2), coco[..., 11:13, :].mean(-2)
    eyes_y = eyes[..., 1].mean(-1)

    h36m = np.empty_like(coco)
    h36m[..., _LIMBS_H36M, :] = coco[..., _LIMBS_COCO, :]
    h36m[..., 0, :] = hips

    thorax = shoulders + (nose - shoulders) / 3
    thorax[..., 1] -= (eyes_y - nose[..., 1]) * 2 / 3
    h36m[..., 8, :] = thorax

    spine = (shoulders + hips) / 2
    # Bends the spine away from the line hip-thorax; 2 is the factor for lifting (0.3 for overlays).
    spine[..., 0] += 2 * (spine[..., 0] - (hips[..., 0] + thorax[..., 0]) / 2)
    h36m[..., 7, :] = spine

    h36m[..., 9, :] = nose - (nose - shoulders) / 4
    h36m[..., 10, 0] = coco[..., 1:5, 0].mean(-1)
    h36m[..., 10, 1] = 2 * eyes_y - nose[..., 1]
    h36m[np.isnan(h36m).any(-1)] = np.nan  # no half points
    return h36m.astype(np.float32), None if scores is None else _coco_scores_to_h36m(scores)


def _coco_scores_to_h36m(scores: np.ndarray) -> np.ndarray:
    coco = np.asarray(scores, np.float64)
    if coco.shape[-1:] != (17,):
        raise ValueError(f"scores must be (..., 17), not {coco.shape}")
    h36m = np.empty_like(coco)
    h36m[..., _LIMBS_H36M] = coco[..., _LIMBS_COCO]
    h36m[..., 0] = coco[..., 11:13].mean(-1)
    h36m[..., 8] = coco[..., 5:7].mean(-1)
    h36m[..., 7] = (h36m[..., 0] + h36m[..., 8]) / 2
    h36m[..., 9] = coco[..., 0]
    h36m[..., 10] = coco[..., 1:5].mean(-1)
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
