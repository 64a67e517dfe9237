"""What a training run of a 2D network is told."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch

from detectors2d.hrnet import MODULES, HRNet
from detectors2d.training.loop import check
from detectors2d.training.samples import Variation
from weights.errors import Pose3dError


@dataclass(frozen=True)
class Recipe:
    """A run; the same recipe, data and seed give the same weights on one machine.

    width, cam_blocks, modules : of the ``HRNet``
    size : (width, height) px of the crops
    steps : of the optimiser in all; batch : people a step, over all processes
    rate : largest learning rate, of AdamW; it rises over ``warmup`` steps and falls to 0 as a
        cosine
    sigma : of the Gaussians, in cells: 2 of 64 rows in the paper, less for smaller maps
    sides : weight of the cross-entropy of left and right (``targets.side_loss``); 0 leaves it out
    averaging : decay a step of the averaged weights, which are those that are kept
    precision : "fp32", "bf16" or "fp16" of the products
    """

    width: int = 20
    cam_blocks: int = 2
    modules: tuple[int, int, int] = MODULES
    size: tuple[int, int] = (192, 256)
    steps: int = 20_000
    batch: int = 48
    rate: float = 2e-3
    warmup: int = 500
    weight_decay: float = 0.01
    sigma: float = 2.0
    sides: float = 2.0
    averaging: float = 0.999
    precision: str = "bf16"
    seed: int = 0
    variation: Variation = field(default_factory=Variation)

    def __post_init__(self) -> None:
        check(self)
        if not 0 < self.sigma < math.inf:
            raise Pose3dError(f"sigma must be above 0, not {self.sigma}")
        if not 0 <= self.sides < math.inf:
            raise Pose3dError(f"sides must be 0 or more, not {self.sides}")
        if self.cam_blocks and self.batch < 2:
            raise Pose3dError("the attention's batch norms need a batch of 2 or more")
        try:
            with torch.device("meta"):
                self.network()
        except ValueError as error:
            raise Pose3dError(str(error)) from None

    def network(self) -> HRNet:
        """A fresh network."""
        return HRNet(self.width, self.cam_blocks, input_size=self.size, modules=tuple(self.modules))
