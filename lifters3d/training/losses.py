"""Training losses; poses are (B, T, J, 3) in metres."""

from __future__ import annotations

from torch import Tensor


def mpjpe_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean distance of the joints."""
    return (predicted - target).norm(dim=-1).mean()


def velocity_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean distance of the joints' frame-to-frame movements (MPJVE; MixSTE, eq. 12)."""
    return (predicted.diff(dim=1) - target.diff(dim=1)).norm(dim=-1).mean()
