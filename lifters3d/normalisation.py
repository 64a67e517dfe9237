"""How pixels become lifter input, and how lifter output becomes camera axes.

A weights file records which of the three it was trained with:

``screen``
    The papers': x / w * 2 - 1, y / w * 2 - h / w. Output axes are the camera's.
``person``
    Every frame is centred on the hip and the window is divided by the person's size in it, so that
    small people, crops and any lens look alike to the network. What the centring takes away is the
    direction in which the person stands, so output axes are those of the camera turned to look at
    the hip, frame by frame; ``viewing_rotation`` turns them back.
``frame``
    As ``person``, but every frame is divided by the person's size around it. A frame looks the same
    in every window that holds it, so that what a lifter computes of single frames is computed once.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lifters3d.skeleton import HIP, LIMB_JOINTS


def screen(keypoints: Tensor, size: tuple[int, int]) -> Tensor:
    """Keypoints (..., 17, 2) px of a picture ``size`` = (w, h) px to about [-1, 1]; aspect kept."""
    width, height = size
    return keypoints * (2.0 / width) - keypoints.new_tensor([1.0, height / width])


def person(keypoints: Tensor) -> Tensor:
    """Keypoints (B, T, 17, 2) in any unit, centred on each frame's hip, over the window's size.

    The size is the median over the frames of the root mean square distance of the twelve limb
    joints from the hip: a few wild keypoints or frames do not move it.
    """
    centred = keypoints - keypoints[..., HIP : HIP + 1, :]
    size = person_size(keypoints)
    return centred / size[:, None, None, None].clamp_min(1e-6)


def person_size(keypoints: Tensor) -> Tensor:
    """Size (B,) of the person in windows (B, T, 17, 2), in the unit of the keypoints."""
    return _radius(keypoints).median(dim=1).values


def frame(keypoints: Tensor, frames: int) -> Tensor:
    """Keypoints (B, n, 17, 2) in any unit, centred on each frame's hip, over the size around it.

    The size is the median of ``person`` over the ``frames`` (odd) frames around each frame; the
    first and last frame are repeated beyond the ends.
    """
    centred = keypoints - keypoints[..., HIP : HIP + 1, :]
    radius = _radius(keypoints)
    half = frames // 2
    length = radius.shape[1]
    index = torch.arange(-half, length + half, device=radius.device).clamp(0, length - 1)
    size = radius[:, index].unfold(1, 2 * half + 1, 1).median(dim=-1).values
    return centred / size[..., None, None].clamp_min(1e-6)


def _radius(keypoints: Tensor) -> Tensor:
    """Root mean square distance (...,) of the limb joints of (..., 17, 2) from the hip."""
    centred = keypoints - keypoints[..., HIP : HIP + 1, :]
    return centred[..., list(LIMB_JOINTS), :].square().sum(-1).mean(-1).sqrt()


def viewing_rotation(directions: Tensor) -> Tensor:
    """Rotations that turn a camera to look along given rays, with no roll.

    Parameters
    ----------
    directions : (..., 2) x / z and y / z of the rays in camera axes

    Returns
    -------
    (..., 3, 3) R; ``R @ p`` expresses p of camera axes in the turned axes, in which the ray is
    (0, 0, 1), and x stays parallel to the picture's horizontal plane.
    """
    forward = torch.cat([directions, torch.ones_like(directions[..., :1])], dim=-1)
    forward = forward / forward.norm(dim=-1, keepdim=True)
    right = torch.stack(
        [forward[..., 2], torch.zeros_like(forward[..., 0]), -forward[..., 0]], dim=-1
    )
    right = right / right.norm(dim=-1, keepdim=True)
    down = torch.linalg.cross(forward, right)
    return torch.stack([right, down, forward], dim=-2)
