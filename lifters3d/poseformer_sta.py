"""PoseFormer with spatial and temporal attention modules (SAM, TAM).

The two modules of "HRNet with channel attention and a transformer with spatial and temporal
attention modules" (section II-B2, eq. 8 and 11): in every block two convolutions stand between the
second norm and the feed-forward layers. The paper has no code and describes the convolutions in
several ways (depth-wise, standard, 1 x 1, "group of 5"); ``reading`` chooses:

``grouped`` (default)
    SAM: standard convolutions of kernel 5 along the joints; TAM: kernel 3 along the frames, a
    group being one feature of all joints. Its 9.84 / 9.85 / 9.88 M parameters for T = 9 / 27 / 81
    are the nearest of all readings to the paper's 9.85 / 9.86 / 9.86 M.
``depthwise``
    Both depth-wise, as one sentence of the text says; 0.26 M parameters short of the paper's.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from lifters3d.layers import Block, check_input, full_precision
from lifters3d.poseformer import PoseFormer

SAM_KERNEL, TAM_KERNEL = 5, 3


class AttentionModule(nn.Module):
    """y + Conv(GroupNorm(GELU(Conv(y)))) along the tokens, eq. 8 and 11.

    Parameters
    ----------
    channels : C of the tokens
    kernel : of both convolutions
    groups : of both convolutions
    features : if not 0, tokens hold (joint, feature) channels of this many features, and are laid
        out (feature, joint) for the convolutions, so that a group can be a feature of all joints

    ``forward``: (N, L, C) -> (N, L, C). The norm has one group: the paper names none.
    """

    def __init__(self, channels: int, kernel: int, groups: int, features: int = 0) -> None:
        super().__init__()
        self.features = features
        padding = kernel // 2
        self.conv_a = nn.Conv1d(channels, channels, kernel, padding=padding, groups=groups)
        self.act = nn.GELU()
        self.norm = nn.GroupNorm(1, channels)
        self.conv_b = nn.Conv1d(channels, channels, kernel, padding=padding, groups=groups)

    def forward(self, y: Tensor) -> Tensor:
        x = y
        if self.features:
            x = x.unflatten(-1, (-1, self.features)).transpose(-1, -2).flatten(-2)
        x = self.conv_b(self.norm(self.act(self.conv_a(x.transpose(1, 2))))).transpose(1, 2)
        if self.features:
            x = x.unflatten(-1, (self.features, -1)).transpose(-1, -2).flatten(-2)
        return y + x


class AttentionModuleBlock(Block):
    """A transformer block with an attention module between its second norm and its MLP."""

    def __init__(self, module: AttentionModule, channels: int, *block: object) -> None:
        super().__init__(channels, *block)
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.module(self.norm2(x))))


class PoseFormerSTA(PoseFormer):
    """PoseFormer with an attention module in every block, and the head on the centre frame's token.

    Parameters
    ----------
    frames, joints, width, depth, heads, mlp_ratio, drop_path : as ``PoseFormer``
    reading : "grouped" or "depthwise", see above

    ``forward``: normalised 2D keypoints (B, T, J, 2) -> (B, 1, J, 3) of the centre frame.
    """

    def __init__(
        self,
        frames: int = 81,
        joints: int = 17,
        width: int = 32,
        depth: int = 4,
        heads: int = 8,
        mlp_ratio: float = 2.0,
        drop_path: float = 0.1,
        reading: Literal["grouped", "depthwise"] = "grouped",
    ) -> None:
        if reading not in ("grouped", "depthwise"):
            raise ValueError(f"reading must be grouped or depthwise, not {reading!r}")
        self.reading = reading
        self.features = width
        super().__init__(frames, joints, width, depth, heads, mlp_ratio, drop_path)
        del self.config["variant"]
        self.config["reading"] = reading
        del self.weighted_mean
        # Reads a pose from every frame's spatial features for the spatial loss (eq. 13).
        self.spatial_head = nn.Linear(width, 3)

    def spatial_block(self, channels: int, *block: object) -> Block:
        groups = 1 if self.reading == "grouped" else channels
        return AttentionModuleBlock(AttentionModule(channels, SAM_KERNEL, groups), channels, *block)

    def temporal_block(self, channels: int, *block: object) -> Block:
        groups = self.features if self.reading == "grouped" else channels
        module = AttentionModule(channels, TAM_KERNEL, groups, self.features)
        return AttentionModuleBlock(module, channels, *block)

    def lift_window(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T, J * c) of ``encode_frames`` to (B, 1, J, 3)."""
        centre = self.frames // 2
        return self.read(self.temporal(tokens)[:, centre : centre + 1])

    def forward_training(self, keypoints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 1, J, 3) of the centre frame, (B, T, J, 3) of every frame, and the spatial poses.

        The spatial poses (B, T, J, 3) are the auxiliary output of the paper's spatial loss.
        """
        check_input(type(self).__name__, keypoints, self.frames, self.joints)
        tokens = self.encode_frames(keypoints.flatten(0, 1)).unflatten(0, keypoints.shape[:2])
        spatial = full_precision(self.spatial_head, tokens.unflatten(-1, (self.joints, -1)))
        full = self.read(self.temporal(tokens))
        centre = self.frames // 2
        return full[:, centre : centre + 1], full, spatial
