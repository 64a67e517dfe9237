"""Layers that the transformer lifters share."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

# On CPUs torch's fused attention pays only for sequences of this length and more (2-4x at 243,
# nothing at 81), and rounds a little worse; its backward pass is several times slower than that of
# the two products written out (6x in bf16 at 17 and 81 tokens).
FUSED_FROM = 128


def full_precision(module: nn.Module, x: Tensor) -> Tensor:
    """``module(x)`` in float32 (or better) whatever the autocast around it.

    The first and the last layer of a lifter need it: bf16 keeps 8 bits, which is 4 px of a picture
    1000 px wide and 4 mm of a metre. Between them the residual stream stays float32 and only the
    branches are rounded.
    """
    if x.is_meta:  # which autocast does not know
        return module(x)
    with torch.autocast(x.device.type, enabled=False):
        return module(x if x.dtype == torch.float64 else x.float())


def autocasting(x: Tensor) -> bool:
    """Whether products with ``x`` are rounded to less than float32."""
    return not x.is_meta and torch.is_autocast_enabled(x.device.type)


def check_input(name: str, keypoints: Tensor, frames: int, joints: int) -> None:
    """Raise ValueError unless ``keypoints`` is (B, frames, joints, 2)."""
    if keypoints.ndim != 4 or tuple(keypoints.shape[1:]) != (frames, joints, 2):
        raise ValueError(f"{name} takes (B, {frames}, {joints}, 2), got {tuple(keypoints.shape)}")


def require_positive(**counts: int) -> None:
    """Raise ValueError for a count that is no whole number above zero."""
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ValueError(f"{name} must be a whole number above zero, not {count!r}")


class DropPath(nn.Module):
    """Stochastic depth: drops a residual branch for whole samples of the batch (Huang et al. 2016).

    Active in training only; the survivors are scaled by ``1 / (1 - rate)``.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"drop_path must be 0 or more and below 1, not {rate!r}")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        return x * (torch.rand(shape, device=x.device) < keep).to(x.dtype) / keep


def attend(
    query: Tensor, key: Tensor, value: Tensor, training: bool, dropout: float = 0.0
) -> Tensor:
    """Attention of (N, heads, L, head_dim) each, scale head_dim ** -0.5, nothing masked."""
    if query.is_cuda:
        return functional.scaled_dot_product_attention(
            query, key, value, dropout_p=dropout if training else 0.0
        )
    if training:
        weight = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        weight = functional.dropout(weight.softmax(dim=-1), dropout)
        return weight.to(value.dtype) @ value
    # In bf16 a CPU gains nothing here, the softmax being float32 in any case.
    dtype = torch.promote_types(query.dtype, torch.float32)
    with torch.autocast("cpu", enabled=False):
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
        if query.shape[-2] >= FUSED_FROM:
            return functional.scaled_dot_product_attention(query, key, value)
        weight = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        return weight.softmax(dim=-1) @ value


class SelfAttention(nn.Module):
    """Multi-head self-attention with one packed query-key-value projection.

    ``forward``: (N, L, C) -> (N, L, C); the scale is head_dim ** -0.5, nothing is masked.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise ValueError(f"channels ({channels}) must be a multiple of heads ({heads})")
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        n, length, channels = x.shape
        qkv = self.qkv(x).view(n, length, 3, self.heads, channels // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = attend(query, key, value, self.training)
        return self.proj(mixed.transpose(1, 2).reshape(n, length, channels))


class SplitAttention(nn.Module):
    """Multi-head self-attention with four projections: query, key, value, output.

    ``forward``: (N, L, C) -> (N, L, C); or, given the tokens (N, K, C) of them whose answers are
    wanted, (N, K, C). The four projections are ``linears`` 0-3, as in the Annotated Transformer,
    whose code the authors of the Strided Transformer built on.
    """

    def __init__(self, channels: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise ValueError(f"channels ({channels}) must be a multiple of heads ({heads})")
        self.heads = heads
        self.dropout = dropout
        self.linears = nn.ModuleList(nn.Linear(channels, channels) for _ in range(4))

    def forward(self, x: Tensor, wanted: Tensor | None = None) -> Tensor:
        if autocasting(x):  # once, not for each projection
            x = x.to(torch.get_autocast_dtype(x.device.type))
        asking = x if wanted is None else wanted
        query, key, value = (
            linear(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for linear, tokens in zip(self.linears[:3], (asking, x, x), strict=True)
        )
        mixed = attend(query, key, value, self.training, self.dropout)
        return self.linears[3](mixed.transpose(1, 2).flatten(-2))


class FeedForward(nn.Module):
    """Linear -> GELU (exact, erf) -> Linear."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))


class Block(nn.Module):
    """Pre-norm transformer block (Dosovitskiy et al. 2021): x += MHSA(LN x); x += MLP(LN x).

    ``forward``: (N, L, C) -> (N, L, C).
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        mlp_ratio: float = 2.0,
        drop_path: float = 0.0,
        norm_eps: float = 1e-6,
    ) -> None:
        super().__init__()
        if not 1 <= channels * mlp_ratio < math.inf:
            raise ValueError(f"mlp_ratio must give a hidden width of 1 or more, not {mlp_ratio!r}")
        self.norm1 = nn.LayerNorm(channels, eps=norm_eps)
        self.attn = SelfAttention(channels, heads)
        self.norm2 = nn.LayerNorm(channels, eps=norm_eps)
        self.mlp = FeedForward(channels, int(channels * mlp_ratio))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))
