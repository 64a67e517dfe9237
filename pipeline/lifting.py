"""Windowed lifting: keypoints of one person over time to 3D joints."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.interpolate import CubicSpline, PchipInterpolator
from torch import Tensor, nn

from lifters3d.normalisation import person, screen, viewing_rotation
from lifters3d.skeleton import HIP, derive_trunk, flip

# Windows in one forward pass: larger batches fall out of a CPU's cache, a GPU wants many.
CPU_BATCH, CUDA_BATCH = 2, 256
# A sequence is resampled to the rate of the lifter's training only outside of this range of it:
# training varies the playback speed by more.
RATE_RANGE = (0.7, 1.5)
# Without a given field of view the focal length is taken as this many times the longer side, the
# middle of what phones and cameras have.
GUESSED_FOCAL = 1.2


def focal_length(size: tuple[int, int], fov_degrees: float | None = None) -> float:
    """Focal length in px of a picture ``size`` = (w, h) px; the field of view is horizontal."""
    if fov_degrees is None:
        return GUESSED_FOCAL * max(size)
    return size[0] / 2 / math.tan(math.radians(fov_degrees) / 2)


def lift_sequence(
    lifter: nn.Module,
    keypoints: np.ndarray,
    time_s: np.ndarray,
    size: tuple[int, int],
    *,
    fov_degrees: float | None = None,
    flip_average: bool = True,
    batch: int | None = None,
) -> np.ndarray:
    """Lift one unbroken sequence of one person.

    Windows overlap by two thirds and are blended with weights that fall to their ends, so that no
    seam shows; sequences shorter than the receptive field are padded with their end frames.

    Parameters
    ----------
    lifter : a sequence lifter of ``lifters3d`` in evaluation mode, on any device
    keypoints : (n, 17, 2) px, Human3.6M order; NaN joints are masked
    time_s : (n,) seconds, never decreasing
    size : width and height of the picture, px
    fov_degrees : horizontal field of view; guessed if None (``focal_length``)
    flip_average : average with the lifting of the mirrored keypoints
    batch : windows in one forward pass

    Returns
    -------
    (n, 17, 3) float32 metres, root-relative, camera axes (x right, y down, z away).
    """
    keypoints = np.asarray(keypoints, np.float64)
    lifted = len(keypoints)
    if not lifted:
        return np.zeros((0, 17, 3), np.float32)
    points = _mask_missing(keypoints)
    # Broken files give equal stamps to several frames; interpolation needs an order.
    time_s = np.maximum.accumulate(time_s) + 1e-6 * np.arange(lifted)
    convention = lifter.convention
    if convention.joints == "derived":
        points = derive_trunk(points)
    grid = _resampling_grid(time_s, convention.frame_rate)
    if grid is not None:
        points = PchipInterpolator(time_s, points, axis=0)(grid)

    device = next(lifter.parameters()).device
    sequence = torch.as_tensor(points, dtype=torch.float32, device=device)
    if batch is None:
        batch = CUDA_BATCH if device.type == "cuda" else CPU_BATCH
    joints = _lift_windows(lifter, sequence, size, flip_average, batch)
    joints = joints - joints[:, HIP : HIP + 1]
    if convention.normalisation == "person":
        centre = sequence.new_tensor([size[0] / 2, size[1] / 2])
        directions = (sequence[:, HIP] - centre) / focal_length(size, fov_degrees)
        # From the axes of a camera that looks at the hip back to those of the camera.
        joints = torch.einsum("tji,tkj->tki", viewing_rotation(directions), joints)
    result = joints.cpu().numpy()
    if grid is not None:
        result = CubicSpline(grid, result, axis=0)(time_s)
    return result.astype(np.float32)


def window_starts(length: int, frames: int) -> list[int]:
    """First frames of windows of ``frames`` over ``length`` >= frames frames, a third apart.

    The last window ends with the sequence.
    """
    stride = max(1, frames // 3)
    starts = list(range(0, length - frames + 1, stride))
    if starts[-1] + frames < length:
        starts.append(length - frames)
    return starts


@torch.inference_mode()
def _lift_windows(
    lifter: nn.Module, sequence: Tensor, size: tuple[int, int], flip_average: bool, batch: int
) -> Tensor:
    """(n, 17, 2) px to (n, 17, 3) in the lifter's axes, by blended windows of a sequence lifter."""
    frames = lifter.frames
    # The ends are held for a third of a window, so that no frame hangs on a window's end alone,
    # where a sequence lifter is at its worst.
    margin = frames // 3
    length = len(sequence) + 2 * margin
    before = margin + max(0, frames - length) // 2
    after = max(frames, length) - len(sequence) - before
    index = torch.arange(-before, len(sequence) + after, device=sequence.device)
    index = index.clamp(0, len(sequence) - 1)
    starts = torch.tensor(window_starts(len(index), frames), device=sequence.device)
    offsets = torch.arange(frames, device=sequence.device)
    weight = _blend_weights(frames, sequence.device)

    total = sequence.new_zeros(len(index), 17, 3)
    share = sequence.new_zeros(len(index))
    for chunk in starts.split(batch):
        where = chunk[:, None] + offsets
        window = sequence[index[where]]
        if lifter.convention.normalisation == "person":
            window = person(window)
        else:
            window = screen(window, size)
        poses = lifter(window)
        if flip_average:
            poses = (poses + flip(lifter(flip(window)))) / 2
        for row, pose in zip(where, poses, strict=True):
            total[row] += weight[:, None, None] * pose
            share[row] += weight
    return (total / share[:, None, None])[before : before + len(sequence)]


def _blend_weights(frames: int, device: torch.device) -> Tensor:
    """(frames,) weights of a window's frames: a raised cosine that stays above zero at the ends."""
    phase = (torch.arange(frames, device=device) + 0.5) / frames
    return 0.5 - 0.5 * torch.cos(2 * math.pi * phase) + 1e-3


def _mask_missing(keypoints: np.ndarray) -> np.ndarray:
    """Put missing joints on the hip (or what is left of it), as lifters learn them in training."""
    missing = np.isnan(keypoints).any(axis=-1)
    if not missing.any():
        return keypoints
    present = np.where(missing[..., None], np.nan, keypoints)
    with np.errstate(all="ignore"):
        anchor = present[:, HIP]
        hips = np.isnan(anchor).any(axis=-1)
        for joints in ([1, 4], list(range(17))):
            count = (~missing[:, joints]).sum(axis=1)
            mean = np.nansum(present[:, joints], axis=1) / count[:, None]
            anchor = np.where(hips[:, None], mean, anchor)
            hips = np.isnan(anchor).any(axis=-1)
    return np.where(missing[..., None], np.nan_to_num(anchor)[:, None], keypoints)


def _resampling_grid(time_s: np.ndarray, rate: float | None) -> np.ndarray | None:
    """Even times at the lifter's frame rate, or None if the frames' own times will do."""
    if rate is None or len(time_s) < 2:
        return None
    steps = np.diff(time_s)
    usual = float(np.median(steps))
    even = np.ptp(steps) < 0.5 * usual
    if even and RATE_RANGE[0] <= 1 / (usual * rate) <= RATE_RANGE[1]:
        return None
    count = max(2, math.ceil((time_s[-1] - time_s[0]) * rate) + 1)
    return np.linspace(time_s[0], time_s[-1], count)
