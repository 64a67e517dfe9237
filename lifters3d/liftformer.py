"""LiftFormer: 3D human pose estimation using attention models.

Llopart: arXiv 2009.00348 (2020). The paper has no code. Its parameter counts (table of model
sizes) are met exactly by the encoder of Vaswani et al. 2017 with a feed-forward width of 2048 for
every model width, and by sharing the four attention projections alone over the layers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from lifters3d.layers import SplitAttention, check_input, full_precision, require_positive


class LiftFormer(nn.Module):
    """A transformer encoder over the poses of a window; the pose is read from one token.

    Parameters
    ----------
    frames : receptive field T
    joints : number of joints J
    width : channels of a token (d_model)
    depth : encoder layers B
    heads : attention heads; must divide ``width``
    hidden : width of the feed-forward layers; 2048 in the paper for every d_model
    dropout : in training, on attention weights, branches and embedded input
    norm_first : norms before the branches instead of after the sums. The paper names "the base
        transformer encoder", which has them after (the default); before trains more easily
    share_attention : one set of attention projections for all layers (weight sharing)
    causal : read the last frame's token instead of the centre frame's

    ``forward``: normalised 2D keypoints (B, T, J, 2) -> joints (B, 1, J, 3) in metres,
    root-relative, of the centre frame (the last one if ``causal``).
    """

    def __init__(
        self,
        frames: int = 243,
        joints: int = 17,
        width: int = 512,
        depth: int = 6,
        heads: int = 8,
        hidden: int = 2048,
        dropout: float = 0.1,
        norm_first: bool = False,
        share_attention: bool = False,
        causal: bool = False,
    ) -> None:
        super().__init__()
        require_positive(
            frames=frames, joints=joints, width=width, depth=depth, heads=heads, hidden=hidden
        )
        self.frames = frames
        self.joints = joints
        self.output = "last" if causal else "center"
        self.config = {
            "frames": frames,
            "joints": joints,
            "width": width,
            "depth": depth,
            "heads": heads,
            "hidden": hidden,
            "norm_first": norm_first,
            "share_attention": share_attention,
            "causal": causal,
        }
        self.embed = nn.Linear(2 * joints, width)
        self.register_buffer("positions", sine_positions(frames, width), persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.attentions = nn.ModuleList(
            SplitAttention(width, heads, dropout) for _ in range(1 if share_attention else depth)
        )
        self.layers = nn.ModuleList(
            EncoderLayer(width, hidden, dropout, norm_first) for _ in range(depth)
        )
        self.head = nn.Linear(width, 3 * joints)

    def encode_frames(self, keypoints: Tensor) -> Tensor:
        """What a frame gives whatever the window: (N, J, 2) -> (N, width)."""
        return full_precision(self.embed, keypoints.flatten(1))

    def encode_window(self, tokens: Tensor, wanted: slice = slice(None)) -> Tensor:
        """Tokens (B, T, width) of a window's frames, mixed over time; those that are wanted."""
        x = self.dropout(tokens + self.positions)
        for number, layer in enumerate(self.layers, start=1):
            attention = self.attentions[(number - 1) % len(self.attentions)]
            x = layer(x, attention, wanted if number == len(self.layers) else slice(None))
        return x

    def lift_window(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T, width) of ``encode_frames`` to (B, 1, J, 3)."""
        return self.read(self.encode_window(tokens, self.chosen))

    @property
    def chosen(self) -> slice:
        """The frame whose pose is wanted."""
        index = self.frames - 1 if self.output == "last" else self.frames // 2
        return slice(index, index + 1)

    def read(self, x: Tensor) -> Tensor:
        """Poses (B, L, J, 3) read from tokens (B, L, width)."""
        return full_precision(self.head, x).unflatten(-1, (self.joints, 3))

    def forward(self, keypoints: Tensor) -> Tensor:
        check_input("LiftFormer", keypoints, self.frames, self.joints)
        tokens = self.encode_frames(keypoints.flatten(0, 1))
        return self.lift_window(tokens.unflatten(0, keypoints.shape[:2]))

    def forward_training(self, keypoints: Tensor) -> tuple[Tensor, Tensor]:
        """``forward``'s pose, and the poses (B, T, J, 3) that the head reads from every frame.

        The paper trains on the first alone; the second, as an additional loss, teaches more from a
        window where training time is short.
        """
        check_input("LiftFormer", keypoints, self.frames, self.joints)
        tokens = self.encode_frames(keypoints.flatten(0, 1)).unflatten(0, keypoints.shape[:2])
        full = self.read(self.encode_window(tokens))
        return full[:, self.chosen], full


class EncoderLayer(nn.Module):
    """The norms and feed-forward layers of an encoder layer (Vaswani et al. 2017, section 3.1).

    ``forward``: (N, L, C), the attention to use, and which K tokens are wanted -> (N, K, C).
    """

    def __init__(self, width: int, hidden: int, dropout: float, norm_first: bool) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, attention: nn.Module, wanted: slice) -> Tensor:
        if self.norm_first:
            normed = self.norm1(x)
            x = x[:, wanted] + self.dropout(attention(normed, normed[:, wanted]))
            return x + self.dropout(self.feed_forward(self.norm2(x)))
        x = self.norm1(x[:, wanted] + self.dropout(attention(x, x[:, wanted])))
        return self.norm2(x + self.dropout(self.feed_forward(x)))

    def feed_forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.dropout(functional.relu(self.fc1(x))))


def sine_positions(frames: int, width: int) -> Tensor:
    """(frames, width) fixed position encoding: sines and cosines (Vaswani et al., section 3.5)."""
    position = torch.arange(frames, dtype=torch.float32, device="cpu")[:, None]
    even = torch.arange(0, width, 2, dtype=torch.float32, device="cpu")
    angle = position * torch.exp(even * (-math.log(10000.0) / width))
    table = torch.zeros(frames, width, device="cpu")
    table[:, 0::2] = angle.sin()
    table[:, 1::2] = angle.cos()[:, : width // 2]
    return table
