"""Channel attention (CAM) for HRNet: how much of each channel to add once more to its block.

Eq. 1-3 of "HRNet with channel attention and a transformer with spatial and temporal attention
modules", which has no code:

    X' = sigmoid(C3(C2(C1(GAP X))))      C1..C3: 1x1 convolution, batch norm, ReLU
    Y  = X * X'                          one number a channel
    Z  = conv3x3(conv3x3(X)) + X + Y     then the block's own ReLU
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

Gate = Literal["literal", "full"]

REDUCTION = 4  # s of the paper: C -> C/4 -> C/4 -> C channels


class ChannelAttention(nn.Module):
    """The gate X' of eq. 1, to be multiplied with the map it was made of.

    ``forward``: (N, C, H, W) -> (N, C, 1, 1). Training needs N > 1, for the batch norms after the
    pooling.

    Parameters
    ----------
    channels : C, a multiple of 4
    gate : "literal": the last ReLU stands before the sigmoid as in eq. 1, so the gate is in
        [0.5, 1) and a channel can only be strengthened; "full": without it, in (0, 1)
    neutral : multiply the gate by a learned number ``scale`` that is 0 at the start (ReZero:
        Bachlechner et al. 2021). No gate of eq. 1 is neutral: the literal one adds at least half
        of X, and a sigmoid that is exactly 0 is so flat that nothing can be learned. With the
        scale Y is exactly 0, so the block answers bit for bit what it would without attention.
        Its derivative by the scale is the sum over X * X' * dL/dZ, not 0: the scale moves in the
        first step and the convolutions from the second on. Without it: eq. 1-3 to the letter.
    """

    def __init__(self, channels: int, gate: Gate = "literal", neutral: bool = True) -> None:
        super().__init__()
        if channels % REDUCTION:
            raise ValueError(f"channel attention needs a multiple of 4 channels, not {channels}")
        if gate not in get_args(Gate):
            raise ValueError(f"gate must be one of {', '.join(get_args(Gate))}, not {gate!r}")
        squeezed = channels // REDUCTION
        self.conv1 = nn.Conv2d(channels, squeezed, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(squeezed)
        self.conv2 = nn.Conv2d(squeezed, squeezed, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(squeezed)
        self.conv3 = nn.Conv2d(squeezed, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        # Without dimensions, or autocast's half precision would be promoted to float32.
        self.scale = nn.Parameter(torch.zeros(())) if neutral else None
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        y = x.mean((2, 3), keepdim=True)
        y = torch.relu(self.bn1(self.conv1(y)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        gate = torch.sigmoid(torch.relu(y) if self.gate == "literal" else y)
        return gate if self.scale is None else self.scale * gate
