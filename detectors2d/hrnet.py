"""HRNet: heat maps of a person's joints from a network that never gives up its resolution.

Sun, Xiao, Liu, Wang: "Deep High-Resolution Representation Learning for Human Pose Estimation",
CVPR 2019. Branches of 1/4, 1/8, 1/16 and 1/32 of the picture's resolution run beside each other, a
new one from stage to stage, and exchange what they found after every module. Attribute names are
those of the authors' checkpoints, so that their files (and MMPose's) load key by key.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional

from detectors2d.channel_attention import ChannelAttention, Gate

JOINTS = 17  # COCO
STRIDE = 4  # px of the picture a cell of the heat maps
BLOCKS = 4  # in every branch of every module
MODULES = (1, 4, 3)  # of stages 2 to 4; stage s has s branches

# ImageNet's, of RGB in [0, 1]: what all published weights were trained on.
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


def _convolved(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    """A convolution that keeps the size (but for its stride), and its batch norm."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


class Bottleneck(nn.Module):
    """Residual block of 1x1, 3x3 and 1x1 convolutions: (N, inputs, H, W) -> (N, 4 width, H, W)."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _convolved(inputs, width, 1)
        self.conv2, self.bn2 = _convolved(width, width, 3)
        self.conv3, self.bn3 = _convolved(width, 4 * width, 1)
        self.downsample = (
            nn.Identity()
            if inputs == 4 * width
            else nn.Sequential(*_convolved(inputs, 4 * width, 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        y = functional.relu(self.bn2(self.conv2(y)), inplace=True)
        return functional.relu(self.bn3(self.conv3(y)) + self.downsample(x), inplace=True)


class BasicBlock(nn.Module):
    """Residual block of two 3x3 convolutions: (N, C, H, W) -> the same, perhaps with attention."""

    def __init__(self, channels: int, cam: ChannelAttention | None = None) -> None:
        super().__init__()
        self.conv1, self.bn1 = _convolved(channels, channels)
        self.conv2, self.bn2 = _convolved(channels, channels)
        self.cam = cam

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        # X + X * X' in one go over the map.
        residual = x if self.cam is None else x * (1 + self.cam(x))
        return functional.relu(y + residual, inplace=True)


class HighResolutionModule(nn.Module):
    """Four blocks on every branch, then every branch gets the sum of all (fig. 3 of the paper).

    ``forward``: maps [(N, widths[b], H / 2^b, W / 2^b) for every branch b] -> the first
    ``outputs`` of them.
    """

    def __init__(self, branches: Sequence[Sequence[BasicBlock]], outputs: int) -> None:
        super().__init__()
        widths = [blocks[0].conv1.in_channels for blocks in branches]
        self.branches = nn.ModuleList(nn.Sequential(*blocks) for blocks in branches)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_exchange(widths, source, target) for source in range(len(widths)))
            for target in range(outputs)
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        return [
            functional.relu(
                reduce(torch.add, (layer(x) for layer, x in zip(layers, maps, strict=True))),
                inplace=True,
            )
            for layers in self.fuse_layers
        ]


def _exchange(widths: Sequence[int], source: int, target: int) -> nn.Module:
    """From one branch to another: up by a 1x1 convolution and nearest cells, down by strides."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(
            *_convolved(widths[source], widths[target], 1),
            nn.Upsample(scale_factor=2 ** (source - target), mode="nearest"),
        )
    steps = [
        nn.Sequential(*_convolved(widths[source], widths[source], stride=2), nn.ReLU(inplace=True))
        for _ in range(target - source - 1)
    ]
    last = nn.Sequential(*_convolved(widths[source], widths[target], stride=2))
    return nn.Sequential(*steps, last)


def _transition(before: Sequence[int], after: Sequence[int]) -> nn.ModuleList:
    """To the branches of the next stage: one more, of half the resolution of the last."""
    layers: list[nn.Module] = []
    for branch, width in enumerate(after):
        if branch >= len(before):
            new = nn.Sequential(*_convolved(before[-1], width, stride=2), nn.ReLU(inplace=True))
            layers.append(nn.Sequential(new))
        elif before[branch] != width:
            layers.append(nn.Sequential(*_convolved(before[branch], width), nn.ReLU(inplace=True)))
        else:
            layers.append(nn.Identity())
    return nn.ModuleList(layers)


class HRNet(nn.Module):
    """HRNet for the 17 joints of COCO; width 32 and 48 are the paper's W32 and W48.

    Parameters
    ----------
    width : channels C of the branch of the highest resolution; the others have 2C, 4C and 8C
    cam_blocks : how many of the four blocks of every branch, the last ones, have channel
        attention: 0, the paper's network, to 4
    gate, neutral : of the attention; see ``ChannelAttention``
    input_size : (width, height) px of the crops that it is meant for, multiples of 32. Others run
        too, but trained weights want people of the size they were trained on.
    modules : how many modules stages 2, 3 and 4 have; fewer than the paper's make a fast network

    ``forward``: images (N, 3, H, W), RGB in [0, 1] less ``IMAGE_MEAN`` over ``IMAGE_STD`` ->
    heat maps (N, 17, H / 4, W / 4) float32, COCO order, about 0 to 1. H and W multiples of 32.
    Cell c stands for pixel 4c of the crop, not for the middle of four pixels.

    ``config`` builds the same network; ``weights_identity`` says where its weights are from, None
    if they are fresh.
    """

    def __init__(
        self,
        width: int = 32,
        cam_blocks: int = 0,
        gate: Gate = "literal",
        neutral: bool = True,
        input_size: tuple[int, int] = (192, 256),
        modules: tuple[int, int, int] = MODULES,
    ) -> None:
        super().__init__()
        if len(modules) != 3 or any(type(n) is not int or n < 1 for n in modules):
            raise ValueError(f"modules must be three whole numbers above zero, not {modules!r}")
        if type(width) is not int or width < 1:
            raise ValueError(f"width must be a whole number above zero, not {width!r}")
        if type(cam_blocks) is not int or not 0 <= cam_blocks <= BLOCKS:
            raise ValueError(f"cam_blocks must be a whole number from 0 to 4, not {cam_blocks!r}")
        self.input_size = _size(input_size)
        self.config = {
            "width": width,
            "cam_blocks": cam_blocks,
            "gate": gate,
            "neutral": neutral,
            "input_size": list(self.input_size),
            "modules": list(modules),
        }
        self.weights_identity: dict[str, str] | None = None

        def block(channels: int, number: int) -> BasicBlock:
            attentive = number >= BLOCKS - cam_blocks
            return BasicBlock(
                channels, ChannelAttention(channels, gate, neutral) if attentive else None
            )

        def stage(number: int, outputs: int) -> nn.Sequential:
            """Modules of ``number`` branches, the last of them with fewer outputs."""
            left_over = [number] * (modules[number - 2] - 1) + [outputs]
            return nn.Sequential(
                *(
                    HighResolutionModule(
                        [[block(c, k) for k in range(BLOCKS)] for c in widths[:number]], kept
                    )
                    for kept in left_over
                )
            )

        widths = [width * 2**branch for branch in range(4)]
        self.conv1, self.bn1 = _convolved(3, 64, stride=2)
        self.conv2, self.bn2 = _convolved(64, 64, stride=2)
        self.layer1 = nn.Sequential(Bottleneck(64, 64), *(Bottleneck(256, 64) for _ in range(3)))
        self.transition1 = _transition([256], widths[:2])
        self.stage2 = stage(2, outputs=2)
        self.transition2 = _transition(widths[:2], widths[:3])
        self.stage3 = stage(3, outputs=3)
        self.transition3 = _transition(widths[:3], widths)
        self.stage4 = stage(4, outputs=1)
        self.final_layer = nn.Conv2d(width, JOINTS, 1)
        self._initialise()

    def _initialise(self) -> None:
        if self.final_layer.weight.is_meta:
            return  # there is nothing, and it takes longer than all the rest
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        # Training begins at empty heat maps, as nearly all of their cells are to be.
        nn.init.normal_(self.final_layer.weight, std=0.001)
        nn.init.zeros_(self.final_layer.bias)

    def forward(self, images: Tensor) -> Tensor:
        if images.ndim != 4 or images.shape[1] != 3 or any(n % 32 for n in images.shape[2:]):
            raise ValueError(
                f"HRNet takes (N, 3, H, W) with H and W multiples of 32, got {tuple(images.shape)}"
            )
        x = functional.relu(self.bn1(self.conv1(images)), inplace=True)
        x = functional.relu(self.bn2(self.conv2(x)), inplace=True)
        maps = [self.layer1(x)]
        for transition, stage in (
            (self.transition1, self.stage2),
            (self.transition2, self.stage3),
            (self.transition3, self.stage4),
        ):
            last = len(maps) - 1
            maps = stage([layer(maps[min(b, last)]) for b, layer in enumerate(transition)])
        # Not in half precision: its 8 or 11 bits leave cells beside a peak equal to it.
        x = maps[0]
        with torch.autocast(x.device.type, enabled=False):
            return self.final_layer(x.to(self.final_layer.weight.dtype))


def _size(size: Sequence[int]) -> tuple[int, int]:
    size = tuple(size)
    if len(size) != 2 or any(type(n) is not int or n < 32 or n % 32 for n in size):
        raise ValueError(f"input_size must be (width, height) in multiples of 32, not {size}")
    return size
