"""Lifting: keypoints of people over time to 3D joints."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.interpolate import CubicSpline, PchipInterpolator
from torch import Tensor, nn

import lifters3d
from lifters3d.normalisation import viewing_rotation
from lifters3d.skeleton import HIP, derive_trunk
from pipeline.cleaning import fill_gaps, fill_joints, segments
from pipeline.compute import choose_device, choose_precision, products_in
from pipeline.joints import coco_to_h36m
from pipeline.missing import complete_poses
from pipeline.settings import Settings
from pipeline.smoothing import smooth as smoothed
from pipeline.tracking import MAX_PAUSE_S
from pipeline.windows import lift_windows
from weights.errors import Pose3dError

# A sequence is resampled to the rate of the lifter's training only outside of this range of it:
# training varies the playback speed by more.
RATE_RANGE = (0.7, 1.5)
LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "h36m": lambda keypoints: keypoints,
    "coco": lambda keypoints: coco_to_h36m(_with_nose(keypoints))[0],
}
# Keypoints further off than this, in px, are none: squares of larger numbers overflow.
FARTHEST = 1e6
# Without a given field of view the focal length is taken as this many times the longer side, the
# middle of what phones and cameras have.
GUESSED_FOCAL = 1.2


class Lifted(NamedTuple):
    """A lifted sequence of n frames.

    joints : (n, 17, 3) float32 metres, root-relative, camera axes (x right, y down, z away)
    doubt : (n, 17, 2) float32 metres, how far the lifter disagrees with itself (``windows.Poses``)
    """

    joints: np.ndarray
    doubt: np.ndarray


def focal_length(size: tuple[int, int], fov_degrees: float | None = None) -> float:
    """Focal length in px of a picture ``size`` = (w, h) px; the field of view is horizontal."""
    if fov_degrees is None:
        return GUESSED_FOCAL * max(size)
    return size[0] / 2 / math.tan(math.radians(fov_degrees) / 2)


@torch.inference_mode()
def lift_sequences(
    lifter: nn.Module,
    sequences: Sequence[tuple[np.ndarray, np.ndarray]],
    size: tuple[int, int],
    *,
    fov_degrees: float | None = None,
    flip_average: bool = True,
    causal: bool = False,
    precision: str = "fp32",
    batch: int | None = None,
    done: Callable[[int], None] = lambda frames: None,
) -> list[Lifted]:
    """Lift unbroken sequences, of one person each, in common batches.

    Sequences shorter than the receptive field are padded with their end frames.

    Parameters
    ----------
    lifter : a lifter of ``lifters3d`` in evaluation mode, on any device
    sequences : pairs of keypoints (n, 17, 2) px, Human3.6M order, NaN joints are guessed; and
        times (n,) in seconds, never decreasing
    size : width and height of the picture, px
    fov_degrees : horizontal field of view; guessed if None (``focal_length``)
    flip_average : average with the lifting of the mirrored keypoints
    causal : the joints of a frame depend on it and earlier frames alone
    precision : "auto", "fp32", "bf16" or "fp16" (``pipeline.compute.choose_precision``)
    batch : windows in one forward pass; None chooses
    done : told how many more frames are lifted

    Returns
    -------
    ``Lifted`` of each.
    """
    device = next(lifter.parameters()).device
    choose_precision(precision, device)  # says what is wrong with it, sequences or none
    check_joints(lifter)
    if not len(sequences):
        return []
    prepared = [_prepare(lifter, *sequence, causal) for sequence in sequences]
    points = [
        torch.as_tensor(points, dtype=torch.float32, device=device) for points, _, _ in prepared
    ]
    filled = [number for number, sequence in enumerate(points) if len(sequence)]
    # Of resampled sequences more or fewer frames are lifted than there are.
    share = sum(len(time_s) for _, time_s, _ in prepared) / max(1, sum(map(len, points)))
    lifted_frames = 0

    def tell(frames: int) -> None:
        nonlocal lifted_frames
        before, lifted_frames = lifted_frames, lifted_frames + frames
        done(round(lifted_frames * share) - round(before * share))

    with products_in(precision, device):
        lifted = lift_windows(
            lifter,
            [points[number] for number in filled],
            size,
            flip_average=flip_average,
            causal=[_clock(lifter, prepared[n][1]) for n in filled] if causal else None,
            batch=batch,
            done=tell,
        )
    results = [Lifted(np.zeros((0, 17, 3), np.float32), np.zeros((0, 17, 2), np.float32))]
    results *= len(sequences)
    for number, (joints, doubt) in zip(filled, lifted, strict=True):
        _, time_s, grid = prepared[number]
        joints = joints.float() - joints[:, HIP : HIP + 1].float()
        if lifter.convention.normalisation != "screen":
            joints = to_camera_axes(joints, points[number], size, fov_degrees)
        joints, doubt = joints.cpu().numpy(), doubt.float().cpu().numpy()
        if grid is not None:
            joints = CubicSpline(grid, joints, axis=0)(time_s)
            doubt = doubt[np.searchsorted(grid, time_s).clip(0, len(grid) - 1)]
        results[number] = Lifted(joints.astype(np.float32), doubt)
    return results


def check_joints(lifter: nn.Module) -> None:
    """Raise Pose3dError unless the lifter speaks the 17 joints of Human3.6M."""
    if lifter.joints != 17:
        raise Pose3dError(f"the lifter takes {lifter.joints} joints, not the 17 of Human3.6M")


def _prepare(
    lifter: nn.Module, keypoints: np.ndarray, time_s: np.ndarray, causal: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Keypoints as the lifter wants them, px; strictly increasing times; the resampled times."""
    keypoints = np.asarray(keypoints, np.float64)
    # Broken files give equal stamps to several frames; interpolation needs an order.
    time_s = np.maximum.accumulate(time_s)
    time_s = time_s + 1e-6 * np.cumsum(np.diff(time_s, prepend=-np.inf) < 1e-6)
    if not len(keypoints):
        return keypoints, time_s, None
    points = complete_poses(keypoints)
    if lifter.convention.joints == "derived":
        points = derive_trunk(points)
    # Causal windows are sampled in time one by one.
    grid = None if causal else _resampling_grid(time_s, lifter.convention.frame_rate)
    if grid is not None:
        points = PchipInterpolator(time_s, points, axis=0)(grid)
    return points, time_s, grid


def to_camera_axes(
    joints: Tensor, keypoints: Tensor, size: tuple[int, int], fov_degrees: float | None
) -> Tensor:
    """Joints (n, 17, 3) from the axes of a camera that looks at the hip to those of the camera."""
    centre = keypoints.new_tensor([size[0] / 2, size[1] / 2])
    directions = (keypoints[:, HIP] - centre) / focal_length(size, fov_degrees)
    return torch.einsum("tji,tkj->tki", viewing_rotation(directions), joints)


def _resampling_grid(time_s: np.ndarray, rate: float | None) -> np.ndarray | None:
    """Even times at the lifter's frame rate, or None if the frames' own times will do."""
    if rate is None or len(time_s) < 2:
        return None
    steps = np.diff(time_s)
    usual = float(np.median(steps))
    if usual > MAX_PAUSE_S:
        return None  # no movement to be seen, and the grid would have no end
    even = np.ptp(steps) < 0.5 * usual
    if even and RATE_RANGE[0] <= 1 / (usual * rate) <= RATE_RANGE[1]:
        return None
    # Rounding must not add a step to a whole number of them.
    count = max(2, math.ceil((time_s[-1] - time_s[0]) * rate - 1e-6) + 1)
    return np.linspace(time_s[0], time_s[-1], count)


def _clock(lifter: nn.Module, time_s: np.ndarray) -> np.ndarray:
    """Times (n,) in frame steps of the lifter.

    Even where the frames' own rate would do: that is known only at the end.
    """
    rate = lifter.convention.frame_rate
    return np.arange(len(time_s), dtype=np.float64) if rate is None else time_s * rate


def lift(
    keypoints: np.ndarray,
    size: tuple[int, int],
    *,
    lifter: str | Path | nn.Module = "mixste",
    layout: str = "h36m",
    scores: np.ndarray | None = None,
    fps: float = 30.0,
    time_s: np.ndarray | None = None,
    fov: float | None = None,
    flip: bool = True,
    causal: bool = False,
    max_gap: float = 0.5,
    smooth: str = "auto",
    device: str = "auto",
    precision: str = "auto",
) -> np.ndarray:
    """Lift 2D keypoints of any detector to 3D.

    Parameters
    ----------
    keypoints : (T, 17, 2) px of one person, or (T, P, 17, 2) of several, who share batches; NaN
        where a joint or a person was not found
    size : width and height of the picture, px
    lifter : a lifter's name, a weights file, or a network from ``lifters3d.load``
    layout : order of the joints, "h36m" or "coco"
    scores : (T, 17) or (T, P, 17); joints with a score of 0 or NaN count as not found
    fps : frames per second
    time_s : (T,) seconds of the frames, never decreasing, instead of ``fps``
    fov : horizontal field of view of the camera in degrees; None is a guess
    flip : average with the lifting of the mirrored keypoints
    causal : the joints of a frame depend on it and earlier frames alone; gaps are not bridged
    max_gap : joints and people that were not found for up to this many seconds are interpolated;
        joints missing for longer are put where a standing body would have them: take their
        result, which is finite, for a guess
    smooth : over time, as of ``pipeline.settings``; "none" leaves what the lifter says
    device : "auto", "cpu", "cuda" or "cuda:N"; ignored if ``lifter`` is a network
    precision : "auto", "fp32", "bf16" or "fp16"

    Returns
    -------
    (T, 17, 3) or (T, P, 17, 3) float32 metres, root-relative, camera axes (x right, y down,
    z away), Human3.6M order; NaN in frames without the person.

    Raises
    ------
    Pose3dError
        One line: arrays of other shapes, no frames, an unknown lifter or layout, ...
    """
    points, found = _checked_keypoints(keypoints, scores, layout)
    size = _checked_size(size)
    # Says what is wrong with the others.
    settings = Settings(
        device=str(device),
        fov=fov,
        flip=flip,
        causal=causal,
        precision=precision,
        max_gap=max_gap,
        smooth=smooth,
    )
    count = len(points)
    times = _checked_times(count, fps, time_s)
    if isinstance(lifter, nn.Module):
        network = _checked_network(lifter)
    elif not isinstance(lifter, str | Path):
        raise Pose3dError(f"lifter must be a name, a file or a network, not {_short(lifter)}")
    else:
        network = lifters3d.load(lifter).to(choose_device(str(device)))

    several = points if points.ndim == 4 else points[:, None]
    found = found.reshape(several.shape[:3])
    # What lies on the two sides of a pause is not one movement. (The usual step: known at the end.)
    steps = np.diff(times)
    usual = 0.0 if causal or count < 2 else float(np.median(steps))
    cuts = np.flatnonzero(steps > max(MAX_PAUSE_S, 4 * usual)) + 1
    joints = np.full((*several.shape[:3], 3), np.nan, np.float32)
    places, sequences = [], []
    for person in range(several.shape[1]):
        own = several[:, person]
        present = found[:, person].any(axis=-1)
        if not causal:
            known = np.isfinite(own).all(axis=-1).astype(np.float32)
            own, _ = fill_joints(own, known, times, min_score=0.5, max_gap_s=max_gap)
            own, bridged = fill_gaps(own, present, times, max_gap)
            present = present | bridged
        for first, end in segments(present):
            inner = cuts[(first < cuts) & (cuts < end)].tolist()
            for start, stop in pairwise([first, *inner, end]):
                places.append((slice(start, stop), person))
                sequences.append((own[start:stop], times[start:stop]))
    lifted = lift_sequences(
        network,
        sequences,
        size,
        fov_degrees=fov,
        flip_average=flip,
        causal=causal,
        precision=precision,
    )
    for place, found in zip(places, lifted, strict=True):
        joints[place] = smoothed(found.joints, times[place[0]], settings.smoothing)
    return joints.reshape(*points.shape[:-1], 3)


def _checked_keypoints(
    keypoints: np.ndarray, scores: np.ndarray | None, layout: str
) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints in Human3.6M order, NaN where not found, and where they were found."""
    if not isinstance(layout, str) or layout not in LAYOUTS:
        raise Pose3dError(f"unknown layout '{layout}': choose one of {', '.join(LAYOUTS)}")
    points = _numbers("keypoints", keypoints)
    if points.ndim not in (3, 4) or points.shape[-1] != 2:
        hint = "; a third column belongs in scores" if points.shape[-1:] == (3,) else ""
        raise Pose3dError(
            f"keypoints must be (T, 17, 2) or (T, people, 17, 2), not {points.shape}{hint}"
        )
    if points.shape[-2] != 17:
        raise Pose3dError(
            f"keypoints have {points.shape[-2]} joints, not the 17 of layout '{layout}'; "
            f"layouts are {', '.join(LAYOUTS)}"
        )
    if not len(points):
        raise Pose3dError("keypoints hold no frames: there is nothing to lift")
    points[~(np.abs(points) < FARTHEST).all(axis=-1)] = np.nan
    if scores is not None:
        scores = _numbers("scores", scores)
        if scores.shape != points.shape[:-1]:
            raise Pose3dError(f"scores must be {points.shape[:-1]}, not {scores.shape}")
        points[~(scores > 0)] = np.nan
    points = LAYOUTS[layout](points)
    return points, np.isfinite(points).all(axis=-1)


def _with_nose(coco: np.ndarray) -> np.ndarray:
    """COCO keypoints (..., 17, 2), a missing nose at the mean of the eyes and ears there are."""
    face = coco[..., 1:5, :]
    there = np.isfinite(face).all(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        mean = np.where(there, face, 0.0).sum(axis=-2) / there.sum(axis=-2)
    nose = np.where(np.isfinite(coco[..., 0, :]), coco[..., 0, :], mean)
    return np.concatenate([nose[..., None, :], coco[..., 1:, :]], axis=-2)


def _checked_size(size: tuple[int, int]) -> tuple[float, float]:
    sides = _numbers("size", size)
    if sides.shape != (2,) or not np.isfinite(sides).all() or sides.min() <= 0:
        raise Pose3dError(f"size must be the picture's width and height in px, not {_short(size)}")
    return float(sides[0]), float(sides[1])


def _checked_times(count: int, fps: float, time_s: np.ndarray | None) -> np.ndarray:
    """(count,) seconds of the frames."""
    if time_s is None:
        rate = _numbers("fps", fps)
        if rate.shape != () or not 0 < rate < math.inf:
            raise Pose3dError(f"fps must be a number above 0, not {_short(fps)}")
        return np.arange(count) / rate
    times = _numbers("time_s", time_s)
    if times.shape != (count,) or not np.isfinite(times).all() or (np.diff(times) < 0).any():
        raise Pose3dError(f"time_s must be {count} finite numbers that never decrease")
    return times


def _checked_network(lifter: nn.Module) -> nn.Module:
    if not hasattr(lifter, "convention"):
        raise Pose3dError(
            f"{type(lifter).__name__} is no lifter: give a name, a weights file, or a network from "
            "lifters3d.load"
        )
    if lifter.training:
        raise Pose3dError("the lifter is in training mode, which is random: call its eval() first")
    return lifter


def _short(value: object) -> str:
    return textwrap.shorten(str(value), 60, placeholder=" ...")


def _numbers(name: str, values: object) -> np.ndarray:
    """A float64 copy."""
    try:
        return np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise Pose3dError(f"{name} must be numbers: {error}") from None
