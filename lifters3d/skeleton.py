"""The Human3.6M skeleton of 17 joints that every lifter speaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from torch import Tensor

JOINT_NAMES: tuple[str, ...] = (
    "Hip",
    "RHip",
    "RKnee",
    "RFoot",
    "LHip",
    "LKnee",
    "LFoot",
    "Spine",
    "Thorax",
    "Neck/Nose",
    "Head",
    "LShoulder",
    "LElbow",
    "LWrist",
    "RShoulder",
    "RElbow",
    "RWrist",
)
PARENTS: tuple[int, ...] = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)
LEFT: tuple[int, ...] = (4, 5, 6, 11, 12, 13)
RIGHT: tuple[int, ...] = (1, 2, 3, 14, 15, 16)
# Shoulders, elbows, wrists, hips, knees, ankles: the joints on which all definitions agree best.
LIMB_JOINTS: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16)

HIP, SPINE, THORAX, NOSE, HEAD = 0, 7, 8, 9, 10
RHIP, LHIP, LSHOULDER, RSHOULDER = 1, 4, 11, 14

_MIRROR = list(range(17))
for _left, _right in zip(LEFT, RIGHT, strict=True):
    _MIRROR[_left], _MIRROR[_right] = _right, _left
MIRROR: tuple[int, ...] = tuple(_MIRROR)

Array = TypeVar("Array", np.ndarray, Tensor)


def flip(poses: Array, mirror: Sequence[int] = MIRROR) -> Array:
    """Mirror poses left to right.

    Parameters
    ----------
    poses : (..., J, D) array or tensor whose first coordinate is horizontal and centred on 0
    mirror : for each of the J joints the one of the other side, itself if it is of none

    Returns
    -------
    A new (..., J, D) array: x negated, left and right joints exchanged.
    """
    mirrored = poses[..., list(mirror), :]
    mirrored[..., 0] = -mirrored[..., 0]
    return mirrored


def derive_trunk(poses: Array) -> Array:
    """Replace the joints that 2D detectors do not mark by points made of those that they do.

    Detectors trained on COCO mark the nose and twelve limb joints; Hip, Spine, Thorax and Head of
    the Human3.6M skeleton must be guessed from them, and each project guesses differently. Lifters
    that record ``joints = "derived"`` are trained and used on this one definition, so that any
    detector (and motion capture seen by virtual cameras) looks alike to them: Hip and Thorax are
    the midpoints of hips and shoulders, Spine is the midpoint of these, Head repeats the nose.

    Parameters
    ----------
    poses : (..., 17, D) array or tensor

    Returns
    -------
    A new (..., 17, D) array or tensor.
    """
    derived = poses.clone() if isinstance(poses, Tensor) else poses.copy()
    derived[..., HIP, :] = (poses[..., RHIP, :] + poses[..., LHIP, :]) / 2
    derived[..., THORAX, :] = (poses[..., LSHOULDER, :] + poses[..., RSHOULDER, :]) / 2
    derived[..., SPINE, :] = (derived[..., HIP, :] + derived[..., THORAX, :]) / 2
    derived[..., HEAD, :] = poses[..., NOSE, :]
    return derived
