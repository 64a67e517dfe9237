"""Where a training's windows come from: motion capture without end, or a data set's clips.

All chance in a part of a step follows from the seed and the part's number alone. So a training that
was broken off goes on exactly, and parts may be computed one after the other or by several
processes.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from lifters3d.data.batches import PairStream
from lifters3d.data.clips import ClipSet
from lifters3d.data.mocap17 import Mocap
from lifters3d.data.training_windows import ClipWindows
from lifters3d.training.recipes import Recipe


class Source(Protocol):
    """What the training loop asks for."""

    steps: int  # in an epoch
    frame_rate: float | None  # of what the lifter learns; None if mixed or unknown

    def part(self, step: int, part: int, parts: int) -> tuple[Tensor, Tensor, float]:
        """Part ``part`` of ``parts`` of a step's batch: input, target, its share of the batch."""
        ...


def seed_of(seed: int, *numbers: int) -> int:
    """A seed for every combination of a seed and counting numbers."""
    for number in numbers:
        seed = (seed * 1_000_003 + number + 1) % (1 << 63)
    return seed


class MocapSource:
    """Windows of motion capture, drawn and filmed on the fly on ``device``."""

    frame_rate = Mocap.frame_rate

    def __init__(self, mocap: Mocap, recipe: Recipe, device: torch.device) -> None:
        self.steps, self.recipe = recipe.steps_per_epoch, recipe
        self.generator = torch.Generator(device)
        self.stream = PairStream(
            mocap,
            recipe.frames,
            recipe.batch,
            recipe.normalisation,
            self.generator,
            joints=recipe.joints,
            sampling=recipe.sampling,
        )

    def part(self, step: int, part: int, parts: int) -> tuple[Tensor, Tensor, float]:
        self.generator.manual_seed(seed_of(self.recipe.seed, step, part))
        self.stream.batch = len(range(part, self.recipe.batch, parts))
        return *next(self.stream), self.stream.batch / self.recipe.batch


class ClipSource:
    """All windows of a data set's training clips once an epoch, in another order each time."""

    def __init__(
        self, clips: ClipSet, recipe: Recipe, lifter: nn.Module, device: torch.device
    ) -> None:
        self.recipe = recipe
        self.windows = ClipWindows(
            clips.train,
            clips.skeleton,
            recipe.frames,
            lifter.output,
            recipe.normalisation,
            recipe.joints,
            recipe.mirrored,
            device,
        )
        self.steps = -(-len(self.windows) // recipe.batch)
        rates = {clip.frame_rate for clip in clips.train}
        self.frame_rate = rates.pop() if len(rates) == 1 else None
        self._epoch, self._order = -1, torch.empty(0)

    def part(self, step: int, part: int, parts: int) -> tuple[Tensor, Tensor, float]:
        epoch, step = divmod(step, self.steps)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(seed_of(self.recipe.seed, epoch))
            self._epoch = epoch
            self._order = torch.randperm(len(self.windows), generator=generator)
        # Evenly: a last batch of one window would be too few for batch norm.
        batch = self._order.tensor_split(self.steps)[step]
        chosen = batch[part::parts]
        return *self.windows.pick(chosen), len(chosen) / len(batch)
