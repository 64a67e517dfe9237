"""Windows over sequences: what a lifter sees at once, and how its answers make one sequence.

Several sequences (people, or the unbroken stretches of one) are laid end to end and share batches;
no window reaches from one into the next.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lifters3d.normalisation import frame, person, screen
from lifters3d.skeleton import MIRROR, flip
from pipeline.compute import map_batches

# Tokens in one forward pass. On CPUs larger batches fall out of the cache; a GPU wants many.
CPU_TOKENS, CUDA_TOKENS = 1400, 1 << 18
# Frames that are encoded in one pass.
CPU_FRAMES, CUDA_FRAMES = 128, 1 << 14
# Frames of which a centre-frame lifter's features are held at once.
FEATURE_FRAMES = 1024

Size = tuple[int, int]
# As ``flip`` takes it; None where nothing is averaged.
Mirror = Sequence[int] | None


class Poses(NamedTuple):
    """What a lifter says of n frames, and how far it disagrees with itself.

    joints : (n, J, 3)
    doubt : (n, J, 2) in the joints' unit: how far apart the lifting of the mirrored keypoints is,
        halved; and the standard deviation over the windows that a frame lies in. NaN where there
        is nothing to compare.
    """

    joints: Tensor
    doubt: Tensor


def lift_windows(
    lifter: nn.Module,
    sequences: Sequence[Tensor],
    size: Size,
    *,
    flip_average: bool,
    mirror: Sequence[int] = MIRROR,
    causal: Sequence[np.ndarray] | None = None,
    batch: int | None = None,
    done: Callable[[int], None] = lambda frames: None,
) -> list[Poses]:
    """Lift sequences by windows, in the lifter's own axes.

    Sequence lifters: windows overlap by two thirds and are blended with weights that fall to their
    ends, so that no seam shows. Lifters of one frame: a window for every frame. What lies beyond
    an end is the end's frame repeated, as in the papers' recipes.

    Parameters
    ----------
    lifter : of ``lifters3d``, in evaluation mode, on the device of the sequences
    sequences : (n, J, 2) px each, n >= 1; J = 17 unless the lifter's normalisation is "screen"
    size : width and height of the picture, px
    flip_average : average with the lifting of the mirrored keypoints
    mirror : the J joints as ``lifters3d.skeleton.flip`` takes them
    causal : None, or for each sequence its clock (n,), increasing, in frame steps of the lifter;
        every frame's window then ends with the frame, and goes back in steps of one
    batch : windows in one forward pass; None chooses
    done : told how many more frames are lifted

    Returns
    -------
    ``Poses`` of each sequence.
    """
    if not sequences:
        return []
    if batch is None:
        batch = default_batch(lifter, sequences[0].device)
    turn = mirror if flip_average else None
    if causal is not None:
        poses = _lift_causal(lifter, sequences, causal, size, turn, batch, done)
    elif lifter.output == "sequence":
        poses = _lift_blended(lifter, sequences, size, turn, batch, done)
    else:
        poses = _lift_each_frame(lifter, sequences, size, turn, batch, done)
    lengths = [len(sequence) for sequence in sequences]
    return [Poses(*parts) for parts in zip(*(part.split(lengths) for part in poses), strict=True)]


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
    mirror: Mirror,
    batch: int,
    done: Callable[[int], None],
) -> Poses:
    """Of all sequences: overlapping windows of a sequence lifter, blended."""
    frames, inputs = lifter.frames, _inputs(lifter, sequences, size)
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
    places = torch.cat(index).to(inputs.device)
    offsets = torch.arange(frames, device=inputs.device)
    weight = blend_weights(frames).to(inputs.device)

    # Sums over windows: weight; and times it joints, doubt by the mirror, squares of the joints.
    share = inputs.new_zeros(padded)
    total = inputs.new_zeros(padded, lifter.joints, 5)
    told = 0

    def lift(chunk: Tensor) -> tuple[Tensor, Tensor]:
        return forward(lifter, inputs[places[chunk[:, None] + offsets]], mirror)

    chunks = torch.tensor(starts, device=inputs.device).split(batch)
    batches = map_batches(lift, chunks, inputs.device)
    for chunk, (poses, doubt) in zip(chunks, batches, strict=True):
        where = chunk[:, None] + offsets
        parts = (poses, doubt[..., None], poses.square().sum(-1, keepdim=True))
        said = torch.cat(parts, dim=-1)
        # Windows of one batch overlap: an accumulating sum.
        total.index_put_((where,), weight[:, None, None] * said, accumulate=True)
        share.index_put_((where,), weight.expand(len(chunk), -1), accumulate=True)
        reached = len(inputs) * min(1.0, (int(chunk[-1]) + frames) / padded)
        done(int(reached) - told)
        told = int(reached)
    means = (total / share[:, None, None])[torch.cat(kept).to(inputs.device)]
    joints = means[..., :3]
    spread = (means[..., 4] - joints.square().sum(-1)).clamp_min(0).sqrt()
    return Poses(joints, torch.stack([means[..., 3], spread], dim=-1))


def _lift_each_frame(
    lifter: nn.Module,
    sequences: Sequence[Tensor],
    size: Size,
    mirror: Mirror,
    batch: int,
    done: Callable[[int], None],
) -> Poses:
    """Of all sequences: a window for every frame, whose centre (or end) it is.

    What the network computes of single frames is computed once, not once a window.
    """
    frames, inputs = lifter.frames, _inputs(lifter, sequences, size)
    device = inputs.device
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    last = lengths.cumsum(0) - 1
    low, high = (last - lengths + 1).repeat_interleave(lengths), last.repeat_interleave(lengths)
    own = frames - 1 if lifter.output == "last" else frames // 2
    offsets = torch.arange(frames) - own
    poses = inputs.new_empty(len(inputs), lifter.joints, 3)
    doubt = inputs.new_full((len(inputs), lifter.joints, 2), torch.nan)
    for chunk in torch.arange(len(inputs)).split(FEATURE_FRAMES):
        where = (chunk[:, None] + offsets).clamp(low[chunk, None], high[chunk, None]).to(device)
        if lifter.convention.normalisation == "person":
            # Each window has a scale of its own: nothing to share.
            lifted = map_batches(
                lambda rows: forward(lifter, inputs[rows], mirror),
                where.split(batch),
                device,
            )
        else:
            first = int(where.min())
            lifted = _from_features(
                lifter, inputs[first : int(where.max()) + 1], where - first, mirror, batch
            )
        rows = chunk.to(device)
        for part, (said, unsure) in zip(rows.split(batch), lifted, strict=True):
            poses[part], doubt[part, :, 0] = said[:, 0], unsure[:, 0]
        done(len(chunk))
    return Poses(poses, doubt)


def _from_features(
    lifter: nn.Module, inputs: Tensor, where: Tensor, mirror: Mirror, batch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """``forward`` of windows ``where`` (m, T) of normalised frames (n, J, 2)."""
    pieces = inputs.split(CUDA_FRAMES if inputs.is_cuda else CPU_FRAMES)
    # Once a frame it costs little to be exact.
    with torch.autocast(inputs.device.type, enabled=False):
        features = torch.cat(list(map_batches(lifter.encode_frames, pieces, inputs.device)))
        if mirror is not None:
            turned = [flip(piece, mirror) for piece in pieces]
            mirrored = torch.cat(list(map_batches(lifter.encode_frames, turned, inputs.device)))

    def lift(rows: Tensor) -> tuple[Tensor, Tensor]:
        poses = lifter.lift_window(features[rows])
        if mirror is None:
            return poses, poses.new_full(poses.shape[:-1], torch.nan)
        return _average(poses, flip(lifter.lift_window(mirrored[rows]), mirror))

    return map_batches(lift, where.split(batch), inputs.device)


def _lift_causal(
    lifter: nn.Module,
    sequences: Sequence[Tensor],
    clocks: Sequence[np.ndarray],
    size: Size,
    mirror: Mirror,
    batch: int,
    done: Callable[[int], None],
) -> Poses:
    """Of all sequences: a window for every output frame that holds no later frame.

    Lifters of the last frame take the window as it is. Others see the clip as if it ended there:
    the present frame is repeated to fill the window behind it.
    """
    frames, convention = lifter.frames, lifter.convention.normalisation
    if lifter.output == "last":
        held = 0
    else:
        held = held_ends(frames) if lifter.output == "sequence" else frames - 1 - frames // 2
    # A frame's size is taken from frames around it, of which some lie before the window.
    earlier = frames // 2 if convention == "frame" else 0
    steps = np.arange(frames - 1 - held + earlier, -1, -1)
    steps = np.concatenate([steps, np.zeros(held, int)])
    # One clock for all sequences, on which windows stop at their sequence's beginning.
    ends = np.cumsum([0.0] + [clock[-1] - clock[0] + 1 for clock in clocks])
    clock = np.concatenate([own - own[0] + end for own, end in zip(clocks, ends[:-1], strict=True)])
    begin = np.repeat(ends[:-1], [len(sequence) for sequence in sequences])
    points, numbers = torch.cat(list(sequences)), np.arange(len(clock))

    def lift(now: Tensor) -> tuple[Tensor, Tensor]:
        now = now.numpy()
        times = np.maximum(clock[now, None] - steps, begin[now, None])
        places = np.interp(times, clock, numbers)
        before = torch.from_numpy(np.floor(places).astype(np.int64)).to(points.device)
        after = (before + 1).clamp_max(len(points) - 1)
        weight = points.new_tensor(places % 1)[..., None, None]
        windows = points[before].lerp(points[after], weight)
        if convention == "screen":
            windows = screen(windows, size)
        elif convention == "frame":
            windows = frame(windows, frames)[:, earlier:]
        own = frames - 1 - held if lifter.output == "sequence" else 0
        return tuple(part[:, own] for part in forward(lifter, windows, mirror))

    outputs = []
    for said in map_batches(lift, torch.from_numpy(numbers).split(batch), points.device):
        outputs.append(said)
        done(len(said[0]))
    joints, doubt = (torch.cat(parts) for parts in zip(*outputs, strict=True))
    return Poses(joints, torch.stack([doubt, torch.full_like(doubt, torch.nan)], dim=-1))


def _inputs(lifter: nn.Module, sequences: Sequence[Tensor], size: Size) -> Tensor:
    """(sum of n, J, 2): normalised frames; px if only the window decides how."""
    points = torch.cat(list(sequences))
    if lifter.convention.normalisation == "screen":
        return screen(points, size)
    if lifter.convention.normalisation == "frame":
        return torch.cat([frame(sequence[None], lifter.frames)[0] for sequence in sequences])
    return points


def forward(lifter: nn.Module, windows: Tensor, mirror: Mirror) -> tuple[Tensor, Tensor]:
    """Windows (B, T, J, 2) of ``_inputs`` through the lifter: joints and doubt by the mirror."""
    if lifter.convention.normalisation == "person":
        windows = person(windows)
    poses = lifter(windows)
    if mirror is None:
        return poses, poses.new_full(poses.shape[:-1], torch.nan)
    return _average(poses, flip(lifter(flip(windows, mirror)), mirror))


def _average(poses: Tensor, mirrored: Tensor) -> tuple[Tensor, Tensor]:
    return (poses + mirrored) / 2, (poses - mirrored).norm(dim=-1) / 2


def blend_weights(frames: int) -> Tensor:
    """(frames,) weights of a window's frames: a raised cosine that stays above zero at the ends."""
    phase = (torch.arange(frames) + 0.5) / frames
    return 0.5 - 0.5 * torch.cos(2 * math.pi * phase) + 1e-3
