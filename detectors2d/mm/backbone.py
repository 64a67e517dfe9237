"""Our HRNet, with channel attention or without, as a backbone of mmpose.

Importing this module registers ``Pose3dHRNet`` with mmpose; a configuration does so by
``custom_imports = dict(imports=["detectors2d.mm.backbone"])``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from mmpose.registry import MODELS
from torch import Tensor, nn

from detectors2d.hrnet import HRNet


class _NoLayer(nn.Identity):
    """In place of HRNet's last layer: passes the maps on, in the precision of its ``weight``."""

    weight = torch.empty(0)


@MODELS.register_module()
class Pose3dHRNet(HRNet):
    """``detectors2d.hrnet.HRNet`` but for its last layer, which mmpose has in its head.

    The arguments are those of ``HRNet``. ``forward``: images (N, 3, H, W) -> one map
    (N, width, H / 4, W / 4), in a tuple. Entries are named as in mmpose's own HRNet, so that its
    public weights fit.
    """

    def __init__(self, **config: object) -> None:
        super().__init__(**config)
        self.final_layer = _NoLayer()

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (super().forward(images),)


def to_mmpose(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Entries of an ``HRNet`` under the names of an estimator of ``Pose3dHRNet``."""
    return {
        ("head." if name.startswith("final_layer.") else "backbone.") + name: tensor
        for name, tensor in state.items()
    }


def from_mmpose(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The way back from ``to_mmpose``."""
    return {name.partition(".")[2]: tensor for name, tensor in state.items()}
