"""What lifting costs, counted and not timed."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def flops_per_frame(lifter: nn.Module, flip_average: bool = True) -> float:
    """FLOPs of one person's frame, the way whole videos are lifted (``pipeline.windows``).

    Counted are matrix products (those of attention as well) and convolutions, a multiply-add being
    two FLOPs; not norms, activations, softmax, sums and biases. Papers often give multiply-adds,
    which are half as many, of one window.

    A sequence lifter sees windows of T frames that begin T // 3 frames apart, so every frame is
    lifted three times. A lifter of one frame sees a window a frame; what it computes of single
    frames is computed once a frame, unless its normalisation depends on the window ("person").

    Parameters
    ----------
    lifter : of ``lifters3d``; only its sizes and its convention matter
    flip_average : lifted mirrored as well, which doubles the cost
    """
    # On the meta device nothing is computed, so that any size takes as long.
    network = copy.deepcopy(lifter).to("meta").eval()
    frames, joints = network.frames, network.joints
    window = torch.empty(1, frames, joints, 2, device="meta")
    if network.output == "sequence":
        flops = _count(network, window)[0] / max(1, frames // 3)
    elif network.convention.normalisation == "person":
        flops = _count(network, window)[0]
    else:
        own, features = _count(network.encode_frames, window[0, :1])
        flops = own + _count(network.lift_window, features.expand(1, frames, -1))[0]
    return float(flops * (2 if flip_average else 1))


@torch.no_grad()
def _count(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[int, Tensor]:
    """FLOPs of ``function(x)`` on the meta device, and its (empty) result."""
    with FlopCounterMode(display=False) as counter:
        result = function(x)
    return counter.get_total_flops(), result
