"""PoseFormer: 3D Human Pose Estimation with Spatial and Temporal Transformers.

Zheng, Zhu, Mendieta, Yang, Chen, Ding: ICCV 2021. Attribute names are those of the authors'
checkpoints, so that their files load key by key.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from lifters3d.layers import Block, check_input, full_precision, require_positive


class PoseFormer(nn.Module):
    """A spatial transformer over the joints of a frame, then a temporal one over the frames.

    Parameters
    ----------
    frames : receptive field T; the temporal embedding fixes it
    joints : number of joints J
    width : channels of a joint (c of the paper); a frame's token has J * c
    depth : blocks of each of the two stacks
    heads : attention heads; must divide ``width``
    mlp_ratio : hidden width of the feed-forward layers over the token's
    drop_path : stochastic depth of the last block of each stack in training, growing from 0
    variant : "paper" gives the pose of the centre frame, read from a learned weighted mean over
        the frames (section 3.2, eq. 12); "demo" is the other network that the authors' demo
        runs: no mean, a pose for every frame, all norms with eps 1e-5

    ``forward``: normalised 2D keypoints (B, T, J, 2) -> joints in metres, root-relative (the root
    itself is predicted too; callers subtract it): (B, 1, J, 3) of the centre frame, or
    (B, T, J, 3) for "demo".
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
        variant: Literal["paper", "demo"] = "paper",
    ) -> None:
        super().__init__()
        require_positive(frames=frames, joints=joints, width=width, depth=depth, heads=heads)
        if variant not in ("paper", "demo"):
            raise ValueError(f"variant must be paper or demo, not {variant!r}")
        self.frames = frames
        self.joints = joints
        self.output = "center" if variant == "paper" else "sequence"
        self.config = {
            "frames": frames,
            "joints": joints,
            "width": width,
            "depth": depth,
            "heads": heads,
            "mlp_ratio": mlp_ratio,
            "variant": variant,
        }
        token = joints * width
        eps = 1e-6 if variant == "paper" else 1e-5
        rates = torch.linspace(0, drop_path, depth, device="cpu").tolist()
        self.Spatial_patch_to_embedding = nn.Linear(2, width)
        self.Spatial_pos_embed = nn.Parameter(torch.zeros(1, joints, width))
        self.Temporal_pos_embed = nn.Parameter(torch.zeros(1, frames, token))
        self.Spatial_blocks = nn.ModuleList(
            self.spatial_block(width, heads, mlp_ratio, rate, eps) for rate in rates
        )
        self.blocks = nn.ModuleList(
            self.temporal_block(token, heads, mlp_ratio, rate, eps) for rate in rates
        )
        self.Spatial_norm = nn.LayerNorm(width, eps=eps)
        self.Temporal_norm = nn.LayerNorm(token, eps=eps)
        if variant == "paper":
            self.weighted_mean = nn.Conv1d(frames, 1, kernel_size=1)
        self.head = nn.Sequential(nn.LayerNorm(token), nn.Linear(token, 3 * joints))

    spatial_block = temporal_block = Block

    def encode_frames(self, keypoints: Tensor) -> Tensor:
        """What a frame gives whatever the window: (N, J, 2) -> token (N, J * c), section 3.2."""
        x = full_precision(self.Spatial_patch_to_embedding, keypoints) + self.Spatial_pos_embed
        for block in self.Spatial_blocks:
            x = block(x)
        return self.Spatial_norm(x).flatten(1)

    def temporal(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T, J * c) of a window's frames, mixed over time."""
        x = tokens + self.Temporal_pos_embed
        for block in self.blocks:
            x = block(x)
        return self.Temporal_norm(x)

    def lift_window(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T, J * c) of ``encode_frames`` to what ``forward`` gives."""
        x = self.temporal(tokens)
        if self.output == "center":
            x = full_precision(self.weighted_mean, x)
        return self.read(x)

    def read(self, x: Tensor) -> Tensor:
        """Poses (B, L, J, 3) read from tokens (B, L, J * c)."""
        return full_precision(self.head, x).unflatten(-1, (self.joints, 3))

    def forward(self, keypoints: Tensor) -> Tensor:
        check_input(type(self).__name__, keypoints, self.frames, self.joints)
        tokens = self.encode_frames(keypoints.flatten(0, 1))
        return self.lift_window(tokens.unflatten(0, keypoints.shape[:2]))

    def forward_training(self, keypoints: Tensor) -> tuple[Tensor, Tensor]:
        """``forward``'s pose, and the poses (B, T, J, 3) that the head reads from every frame.

        The paper trains on the first alone; the second, as an additional loss, teaches more from a
        window where training time is short.
        """
        check_input(type(self).__name__, keypoints, self.frames, self.joints)
        tokens = self.encode_frames(keypoints.flatten(0, 1)).unflatten(0, keypoints.shape[:2])
        x = self.temporal(tokens)
        full = self.read(x)
        if self.output == "sequence":
            return full, full
        return self.read(full_precision(self.weighted_mean, x)), full
