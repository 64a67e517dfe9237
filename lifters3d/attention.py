"""What a lifter's attention heads look at."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from lifters3d.layers import SelfAttention, SplitAttention

# The part of a lifter that an attention layer belongs to, and what its tokens are.
PARTS: dict[str, str] = {
    "STEblocks": "spatial",
    "TTEblocks": "temporal",
    "Spatial_blocks": "spatial",
    "blocks": "temporal",
    "attentions": "temporal",
    "Transformer": "temporal",
    "Transformer_reduce": "strided",
}


@torch.inference_mode()
def attention_maps(lifter: nn.Module, keypoints: Tensor) -> dict[str, Tensor]:
    """The softmax weights of every layer and head, averaged over windows.

    Rows are queries (which joint or frame looks), columns are keys (at which one); rows sum to 1.
    Layers are in the order in which the network applies them; one that it applies several times
    (``share_attention`` of LiftFormer) counts each time.

    Parameters
    ----------
    lifter : a lifter of ``lifters3d`` in evaluation mode, on any device
    keypoints : (B, T, 17, 2) windows as the lifter wants them, B >= 1, on its device

    Returns
    -------
    float32 on the CPU, by what the tokens are; only what the lifter has:

    ``"spatial"`` : (layers, heads, 17, 17) joints, averaged over the frames as well
    ``"temporal"`` : (layers, heads, T, T) frames, for MixSTE averaged over the joints as well
    ``"strided 1"``, ``"strided 2"``, ... : (1, heads, L, L), L tokens of each layer of the Strided
        Transformer's second encoder, which shrinks L from layer to layer
    """
    if lifter.training:
        raise ValueError("the lifter must be in evaluation mode")
    if keypoints.ndim != 4 or not len(keypoints):
        raise ValueError(f"keypoints must be (B, T, 17, 2), B >= 1, not {tuple(keypoints.shape)}")
    sums: list[tuple[str, Tensor]] = []
    calls = 0

    def add(tokens: str, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal calls
        # Of all tokens, also where the network asks for the answers of some.
        mean = softmax_weights(module, inputs[0]).mean(dim=0, dtype=torch.float64)
        if calls == len(sums):
            sums.append((tokens, mean))
        else:
            sums[calls][1].add_(mean)
        calls += 1

    hooks = [
        module.register_forward_pre_hook(partial(add, PARTS[name.split(".")[0]]))
        for name, module in lifter.named_modules()
        if isinstance(module, SelfAttention | SplitAttention)
    ]
    try:
        # One by one: the weights of a window of 243 frames are 30 MB a layer.
        for window in keypoints.split(1):
            calls = 0
            lifter(window)
    finally:
        for hook in hooks:
            hook.remove()
    return _stacked([(tokens, (total / len(keypoints)).float().cpu()) for tokens, total in sums])


def softmax_weights(module: SelfAttention | SplitAttention, x: Tensor) -> Tensor:
    """Attention weights (N, heads, L, L) of a layer for its input (N, L, C); float32 or better."""
    if isinstance(module, SelfAttention):
        query, key, _ = module.qkv(x).chunk(3, dim=-1)
    else:
        query, key = (linear(x) for linear in module.linears[:2])
    query, key = (
        (y if y.dtype == torch.float64 else y.float()).unflatten(-1, (module.heads, -1))
        for y in (query, key)
    )
    scale = query.shape[-1] ** -0.5
    return torch.einsum("nqhc,nkhc->nhqk", query * scale, key).softmax(dim=-1)


def _stacked(layers: list[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Maps (heads, L, L) of all layers by their tokens, one tensor for layers of equal sizes."""
    maps = {
        tokens: torch.stack([layer for kind, layer in layers if kind == tokens])
        for tokens in ("spatial", "temporal")
        if any(kind == tokens for kind, _ in layers)
    }
    strided = [layer for kind, layer in layers if kind == "strided"]
    return maps | {f"strided {n}": layer[None] for n, layer in enumerate(strided, start=1)}
