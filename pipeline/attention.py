"""Windows of a processed clip for a look at a lifter's attention."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from lifters3d.normalisation import frame, person, screen
from lifters3d.skeleton import HIP, derive_trunk
from pipeline.cleaning import segments
from pipeline.result import PoseResult
from pipeline.tracking import split_at_jumps
from weights.errors import Pose3dError

# More windows hardly change the average.
MOST_WINDOWS = 16


def attention_windows(
    result: PoseResult, lifter: nn.Module, most: int = MOST_WINDOWS
) -> tuple[Tensor, int]:
    """Windows spread evenly over all people's unbroken stretches, as the lifter wants them.

    Keypoints are taken at the frame rate of the lifter's training. Where no stretch is as long as
    the receptive field T, the longest is taken, its end frames repeated on both sides.

    Parameters
    ----------
    result : its 2D keypoints are read
    lifter : of ``lifters3d``, with its convention
    most : windows at the most; they begin T // 3 frames apart or more

    Returns
    -------
    (B, T, 17, 2) float32 windows, 1 <= B <= most, and the number of frames repeated in each.

    Raises
    ------
    Pose3dError
        if there is nobody in any frame.
    """
    frames = lifter.frames
    stretches = _stretches(result, lifter)
    if not stretches:
        raise Pose3dError("nobody was found in any frame: there is nothing to look at")
    repeated = max(0, frames - max(map(len, stretches)))
    if repeated:
        longest = max(stretches, key=len)
        before = repeated // 2
        stretches = [np.pad(longest, ((before, repeated - before), (0, 0), (0, 0)), "edge")]
    stretches = [stretch for stretch in stretches if len(stretch) >= frames]

    counts = [1 + (len(stretch) - frames) // max(1, frames // 3) for stretch in stretches]
    starts = [
        (number, round(start))
        for number, count in enumerate(counts)
        for start in np.linspace(0, len(stretches[number]) - frames, count)
    ]
    spread = np.linspace(0, len(starts) - 1, min(most, len(starts)))
    chosen = [starts[round(place)] for place in spread]
    points = [torch.as_tensor(stretch, dtype=torch.float32) for stretch in stretches]
    if lifter.convention.normalisation == "screen":
        points = [screen(stretch, result.picture_size) for stretch in points]
    elif lifter.convention.normalisation == "frame":
        points = [frame(stretch[None], frames)[0] for stretch in points]
    windows = torch.stack([points[number][start : start + frames] for number, start in chosen])
    return (person(windows) if lifter.convention.normalisation == "person" else windows), repeated


def _stretches(result: PoseResult, lifter: nn.Module) -> list[np.ndarray]:
    """Keypoints (n, 17, 2) px of every unbroken stretch, at the lifter's frame rate."""
    stretches = []
    for number in range(result.people):
        keypoints = result.keypoints2d[:, number].astype(np.float64)
        present = np.isfinite(keypoints[:, HIP]).all(axis=-1)
        # Missing joints lie on the hip, as lifters learn them in training.
        points = np.where(np.isfinite(keypoints), keypoints, keypoints[:, HIP : HIP + 1])
        if lifter.convention.joints == "derived":
            points = derive_trunk(points)
        stretch = split_at_jumps(points, present, result.time_s)
        for own in range(stretch.max(initial=-1) + 1):
            for start, stop in segments(stretch == own):
                time_s, rate = result.time_s[start:stop], lifter.convention.frame_rate
                stretches.append(_resampled(points[start:stop], time_s, rate))
    return stretches


def _resampled(points: np.ndarray, time_s: np.ndarray, rate: float | None) -> np.ndarray:
    """Points (n, 17, 2) at even times, ``rate`` a second; as they are if it is None."""
    if rate is None:
        return points
    # The addend keeps the last frame where the times are rounded.
    grid = np.arange(time_s[0], time_s[-1] + 1e-3 / rate, 1 / rate)
    place = np.interp(grid, time_s, np.arange(len(time_s)))
    before = np.floor(place).astype(int)
    after = np.minimum(before + 1, len(points) - 1)
    weight = (place - before)[:, None, None]
    return (1 - weight) * points[before] + weight * points[after]
