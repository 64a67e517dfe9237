"""Layers that the transformer lifters share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

# On CPUs torch's fused attention pays only for sequences of this length and more (1.4x at 243
# tokens, nothing at 81), and rounds a little worse; its backward pass is several times slower than
# that of the two products written out (6x in bf16 at 17 and 81 tokens).
FUSED_FROM = 128


class DropPath(nn.Module):
    """Stochastic depth: drops a residual branch for whole samples of the batch (Huang et al. 2016).

    Active in training only; the survivors are scaled by ``1 / (1 - rate)``.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        return x * (torch.rand(shape, device=x.device) < keep).to(x.dtype) / keep


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
        if x.is_cuda or (length >= FUSED_FROM and not self.training):
            mixed = functional.scaled_dot_product_attention(query, key, value)
        else:
            weight = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
            mixed = weight.softmax(dim=-1).to(value.dtype) @ value
        return self.proj(mixed.transpose(1, 2).reshape(n, length, channels))


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
        self.norm1 = nn.LayerNorm(channels, eps=norm_eps)
        self.attn = SelfAttention(channels, heads)
        self.norm2 = nn.LayerNorm(channels, eps=norm_eps)
        self.mlp = FeedForward(channels, int(channels * mlp_ratio))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))
