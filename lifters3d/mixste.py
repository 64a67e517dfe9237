"""MixSTE: Seq2seq Mixed Spatio-Temporal Encoder for 3D human pose estimation in video.

Zhang, Tu, Yang, Chen, Yuan: CVPR 2022. Attribute names are those of the authors' checkpoints, so
that their files load key by key. Where paper and released network differ, the released network
counts: attention is scaled by the head's width (eq. 3 says the model's), blocks are pre-norm with
one more norm, shared by all depths, after each block (eq. 6 normalises the embedding instead).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lifters3d.layers import Block, check_input, full_precision, require_positive


class MixSTE(nn.Module):
    """Alternates attention over the joints of a frame with attention over the frames of a joint.

    Parameters
    ----------
    frames : receptive field T; the temporal embedding fixes it
    joints : number of joints J
    width : channels of every token
    depth : number of spatial-temporal block pairs (d_l of the paper)
    heads : attention heads; must divide ``width``
    mlp_ratio : hidden width of the feed-forward layers over ``width``
    drop_path : stochastic depth of the last pair in training, growing linearly from 0

    ``forward``: normalised 2D keypoints (B, T, J, 2) -> joints (B, T, J, 3) in metres,
    root-relative (the root itself is predicted too; callers subtract it), all frames at once.
    """

    output = "sequence"

    def __init__(
        self,
        frames: int = 243,
        joints: int = 17,
        width: int = 512,
        depth: int = 8,
        heads: int = 8,
        mlp_ratio: float = 2.0,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        require_positive(frames=frames, joints=joints, width=width, depth=depth, heads=heads)
        self.frames = frames
        self.joints = joints
        self.config = {
            "frames": frames,
            "joints": joints,
            "width": width,
            "depth": depth,
            "heads": heads,
            "mlp_ratio": mlp_ratio,
        }
        rates = torch.linspace(0, drop_path, depth, device="cpu").tolist()
        self.Spatial_patch_to_embedding = nn.Linear(2, width)
        self.Spatial_pos_embed = nn.Parameter(torch.zeros(1, joints, width))
        self.Temporal_pos_embed = nn.Parameter(torch.zeros(1, frames, width))
        self.STEblocks = nn.ModuleList(Block(width, heads, mlp_ratio, rate) for rate in rates)
        self.TTEblocks = nn.ModuleList(Block(width, heads, mlp_ratio, rate) for rate in rates)
        # One norm of each kind serves all depths.
        self.Spatial_norm = nn.LayerNorm(width, eps=1e-6)
        self.Temporal_norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3))

    def forward(self, keypoints: Tensor) -> Tensor:
        check_input("MixSTE", keypoints, self.frames, self.joints)
        batch, frames, joints, _ = keypoints.shape
        x = full_precision(self.Spatial_patch_to_embedding, keypoints) + self.Spatial_pos_embed
        width = x.shape[-1]
        for depth, (spatial, temporal) in enumerate(
            zip(self.STEblocks, self.TTEblocks, strict=True)
        ):
            x = self.Spatial_norm(spatial(x.reshape(batch * frames, joints, width)))
            x = x.view(batch, frames, joints, width).transpose(1, 2)
            if depth == 0:
                x = x + self.Temporal_pos_embed
            x = self.Temporal_norm(temporal(x.reshape(batch * joints, frames, width)))
            x = x.view(batch, joints, frames, width).transpose(1, 2)
        return full_precision(self.head, x)
