"""Windows over sequences: what a lifter sees at once, and how its answers make one sequence.

Several sequences (people, or the unbroken stretches of one) are laid end to end and share batches;
no window reaches from one into the next.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lifters3d.normalisation import frame, person, screen
from lifters3d.skeleton import flip

# Tokens in one forward pass. On CPUs larger batches fall out of the cache; a GPU wants many.
CPU_TOKENS, CUDA_TOKENS = 2800, 1 << 18
# Frames of which a centre-frame lifter's features are held at once.
FEATURE_FRAMES = 1024

Size = tuple[int, int]


def lift_windows(
    lifter: nn.Module,
    sequences: Sequence[Tensor],
    size: Size,
    *,
    flip_average: bool,
    causal: Sequence[np.ndarray] | None = None,
    batch: int | None = None,
    done: Callable[[int], None] = lambda frames: None,
) -> list[Tensor]:
    """Lift sequences by windows, in the lifter's own axes.

    Sequence lifters: windows overlap by two thirds and are blended with weights that fall to their
    ends, so that no seam shows. Lifters of one frame: a window for every frame. What lies beyond
    an end is the end's frame repeated, as in the papers' recipes.

    Parameters
    ----------
    lifter : of ``lifters3d``, in evaluation mode, on the device of the sequences
    sequences : (n, 17, 2) px each, n >= 1
    size : width and height of the picture, px
    flip_average : average with the lifting of the mirrored keypoints
    causal : None, or for each sequence its clock (n,), increasing, in frame steps of the lifter;
        every frame's window then ends with the frame, and goes back in steps of one
    batch : windows in one forward pass; None chooses
    done : told how many more frames are lifted

    Returns
    -------
    (n, 17, 3) each.
    """
    if not sequences:
        return []
    if batch is None:
        batch = default_batch(lifter, sequences[0].device)
    if causal is not None:
        poses = _lift_causal(lifter, sequences, causal, size, flip_average, batch, done)
    elif lifter.output == "sequence":
        poses = _lift_blended(lifter, sequences, size, flip_average, batch, done)
    else:
        poses = _lift_each_frame(lifter, sequences, size, flip_average, batch, done)
    return list(poses.split([len(sequence) for sequence in sequences]))


def default_batch(lifter: nn.Module, device: torch.device) -> int:
    """Windows in one forward pass, from measurements (``benchmarks/lifters.py``)."""
    # MixSTE's tokens are joints, the others' are frames in their costly stage.
    tokens = lifter.frames * (lifter.joints if lifter.output == "sequence" else 1)
    return max(1, (CUDA_TOKENS if device.type == "cuda" else CPU_TOKENS) // tokens)


def window_starts(length: int, frames: int) -> list[int]:
    """First frames of windows of ``frames`` over ``length`` >= frames frames, a third apart.

    The last window ends with the sequence.
    """
    stride = max(1, frames // 3)
    starts = list(range(0, length - frames + 1, stride))
    if starts[-1] + frames < length:
        starts.append(length - frames)
    return starts


def held_ends(frames: int) -> int:
    """Frames for which a sequence lifter's windows go on beyond an end of the sequence.

    So that no frame hangs on a window's end alone, where a sequence lifter is at its worst.
    """
    return frames // 3


def _lift_blended(
    lifter: nn.Module,
    sequences: Sequence[Tensor],
    size: Size,
    flip_average: bool,
    batch: int,
    done: Callable[[int], None],
) -> Tensor:
    """(sum of n, 17, 3): overlapping windows of a sequence lifter, blended."""
    frames, points = lifter.frames, torch.cat(list(sequences))
    index, starts, kept = [], [], []
    first = padded = 0
    for sequence in sequences:
        margin, n = held_ends(frames), len(sequence)
        before = margin + max(0, frames - n - 2 * margin) // 2
        length = max(frames, n + 2 * margin)
        index.append((torch.arange(length) - before).clamp(0, n - 1) + first)
        starts += [padded + start for start in window_starts(length, frames)]
        kept.append(torch.arange(n) + padded + before)
        first, padded = first + n, padded + length
    places = torch.cat(index).to(points.device)
    offsets = torch.arange(frames, device=points.device)
    weight = blend_weights(frames).to(points.device)

    total = points.new_zeros(padded, 17, 3)
    share = points.new_zeros(padded)
    told = 0
    for chunk in torch.tensor(starts, device=points.device).split(batch):
        where = chunk[:, None] + offsets
        poses = _forward(lifter, points[places[where]], size, flip_average)
        # Windows of one batch overlap: an accumulating sum.
        total.index_put_((where,), weight[:, None, None] * poses, accumulate=True)
        share.index_put_((where,), weight.expand(len(chunk), -1), accumulate=True)
        reached = len(points) * min(1.0, (int(chunk[-1]) + frames) / padded)
        done(int(reached) - told)
        told = int(reached)
    return (total / share[:, None, None])[torch.cat(kept).to(points.device)]


def _lift_each_frame(
    lifter: nn.Module,
    sequences: Sequence[Tensor],
    size: Size,
    flip_average: bool,
    batch: int,
    done: Callable[[int], None],
) -> Tensor:
    """(sum of n, 17, 3): a window for every frame, whose centre (or end) it is.

    What the network computes of single frames is computed once, not once a window.
    """
    convention = lifter.convention.normalisation
    frames, points = lifter.frames, torch.cat(list(sequences))
    device = points.device
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    last = lengths.cumsum(0) - 1
    low, high = (last - lengths + 1).repeat_interleave(lengths), last.repeat_interleave(lengths)
    own = frames - 1 if lifter.output == "last" else frames // 2
    offsets = torch.arange(frames) - own
    if convention == "screen":
        inputs = screen(points, size)
    elif convention == "frame":
        inputs = torch.cat([frame(sequence[None], frames)[0] for sequence in sequences])
    poses = points.new_empty(len(points), 17, 3)
    for chunk in torch.arange(len(points)).split(FEATURE_FRAMES):
        where = (chunk[:, None] + offsets).clamp(low[chunk, None], high[chunk, None]).to(device)
        if convention == "person":
            # Each window has a scale of its own: nothing to share.
            pieces = where.split(batch)
            lifted = [_forward(lifter, points[rows], size, flip_average) for rows in pieces]
        else:
            first = int(where.min())
            lifted = _from_features(
                lifter, inputs[first : int(where.max()) + 1], where - first, flip_average, batch
            )
        poses[chunk.to(device)] = torch.cat([piece[:, 0] for piece in lifted])
        done(len(chunk))
    return poses


def _from_features(
    lifter: nn.Module, inputs: Tensor, where: Tensor, flip_average: bool, batch: int
) -> Iterator[Tensor]:
    """Poses (b, 1, 17, 3) of windows ``where`` (m, T) of normalised frames (n, 17, 2)."""
    pieces = inputs.split(batch * 8)
    features = torch.cat([lifter.encode_frames(piece) for piece in pieces])
    if flip_average:
        mirrored = torch.cat([lifter.encode_frames(flip(piece)) for piece in pieces])
    for rows in where.split(batch):
        poses = lifter.lift_window(features[rows])
        if flip_average:
            poses = (poses + flip(lifter.lift_window(mirrored[rows]))) / 2
        yield poses


def _lift_causal(
    lifter: nn.Module,
    sequences: Sequence[Tensor],
    clocks: Sequence[np.ndarray],
    size: Size,
    flip_average: bool,
    batch: int,
    done: Callable[[int], None],
) -> Tensor:
    """(sum of n, 17, 3): a window for every output frame that holds no later frame.

    Lifters of the last frame take the window as it is. Others see the clip as if it ended there:
    the present frame is repeated to fill the window behind it.
    """
    frames = lifter.frames
    if lifter.output == "last":
        held = 0
    else:
        held = held_ends(frames) if lifter.output == "sequence" else frames - 1 - frames // 2
    steps = np.arange(frames - 1 - held, -1, -1)
    steps = np.concatenate([steps, np.zeros(held, int)])
    outputs = []
    for sequence, clock in zip(sequences, clocks, strict=True):
        numbers = np.arange(len(sequence))
        for now in np.split(clock, range(batch, len(clock), batch)):
            places = np.interp(now[:, None] - steps, clock, numbers)
            before = torch.from_numpy(np.floor(places).astype(np.int64)).to(sequence.device)
            after = (before + 1).clamp_max(len(sequence) - 1)
            weight = sequence.new_tensor(places % 1)[..., None, None]
            window = sequence[before].lerp(sequence[after], weight)
            poses = _forward(lifter, window, size, flip_average)
            outputs.append(poses[:, frames - 1 - held] if poses.shape[1] > 1 else poses[:, 0])
            done(len(now))
    return torch.cat(outputs)


def _forward(lifter: nn.Module, windows: Tensor, size: Size, flip_average: bool) -> Tensor:
    """Windows (B, T, 17, 2) px through the lifter."""
    convention = lifter.convention.normalisation
    if convention == "screen":
        windows = screen(windows, size)
    elif convention == "person":
        windows = person(windows)
    else:
        windows = frame(windows, lifter.frames)
    poses = lifter(windows)
    if flip_average:
        poses = (poses + flip(lifter(flip(windows)))) / 2
    return poses


def blend_weights(frames: int) -> Tensor:
    """(frames,) weights of a window's frames: a raised cosine that stays above zero at the ends."""
    phase = (torch.arange(frames) + 0.5) / frames
    return 0.5 - 0.5 * torch.cos(2 * math.pi * phase) + 1e-3
