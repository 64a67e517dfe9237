"""Strided Transformer: Exploiting Temporal Contexts with Strided Transformer for 3D Human Pose
Estimation.

Li, Liu, Ding, Liu, Wang: IEEE Transactions on Multimedia 2022. Attribute names are those of the
authors' checkpoints, so that their files load key by key. Where paper and released network differ,
the released network counts: its strided convolutions have kernel 3 (the paper's parameter table is
that of kernel 1), its norms divide by the unbiased deviation, "GELU" is ReLU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lifters3d.layers import (
    SplitAttention,
    autocasting,
    check_input,
    full_precision,
    require_positive,
)

# Strides are chosen up to this; the released network's largest is 13.
LARGEST_STRIDE = 16


class Strided(nn.Module):
    """A vanilla transformer encoder (VTE), then a strided one (STE) that shrinks T tokens to one.

    Parameters
    ----------
    frames : receptive field T; the position embeddings fix it
    joints : number of joints J
    width : channels of a token
    depth : layers of the VTE (N1); 0 leaves it out
    heads : attention heads; must divide ``width``
    hidden : width of the feed-forward layers
    strides : of the STE's layers (N2 of them); () leaves the STE out, and the pose is the centre
        frame's of the VTE. None takes the paper's (``default_strides``)
    kernel : of the strided convolutions, 3 (released weights) or 1 (parameter table of the paper)
    dropout, input_dropout : in training

    ``forward``: normalised 2D keypoints (B, T, J, 2) -> joints (B, 1, J, 3) in metres,
    root-relative, of the centre frame.
    """

    output = "center"

    def __init__(
        self,
        frames: int = 351,
        joints: int = 17,
        width: int = 256,
        depth: int = 3,
        heads: int = 8,
        hidden: int = 512,
        strides: Sequence[int] | None = None,
        kernel: int = 3,
        dropout: float = 0.1,
        input_dropout: float = 0.25,
    ) -> None:
        super().__init__()
        require_positive(frames=frames, joints=joints, width=width, heads=heads, hidden=hidden)
        strides = default_strides(frames) if strides is None else tuple(strides)
        if strides:
            require_positive(**{f"stride {n + 1}": stride for n, stride in enumerate(strides)})
            check_strides(frames, strides)
        if depth != 0:
            require_positive(depth=depth)
        elif not strides:
            raise ValueError("depth must be 1 or more, or 0 with strides")
        if kernel not in (1, 3):
            raise ValueError(f"kernel must be 1 or 3, not {kernel!r}")
        self.frames = frames
        self.joints = joints
        self.config = {
            "frames": frames,
            "joints": joints,
            "width": width,
            "depth": depth,
            "heads": heads,
            "hidden": hidden,
            "strides": list(strides),
            "kernel": kernel,
        }
        self.encoder = nn.Sequential(
            nn.Conv1d(2 * joints, width, 1),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Dropout(input_dropout),
        )
        layer = width, heads, hidden, dropout
        if depth:
            self.Transformer = VanillaEncoder(frames, depth, *layer)
        if strides:
            self.Transformer_reduce = nn.Module()
            self.Transformer_reduce.model = StridedEncoder(frames, strides, kernel, *layer)
            self.fcn = pose_head(width, joints)
        if depth:
            self.fcn_1 = pose_head(width, joints)

    def encode_frames(self, keypoints: Tensor) -> Tensor:
        """What a frame gives whatever the window: (N, J, 2) -> (N, width)."""
        return full_precision(self.encoder, keypoints.flatten(1)[..., None]).squeeze(-1)

    def lift_window(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T, width) of ``encode_frames`` to (B, 1, J, 3)."""
        x = self.Transformer(tokens) if hasattr(self, "Transformer") else tokens
        if hasattr(self, "Transformer_reduce"):
            return self.read(self.fcn, self.Transformer_reduce.model(x))
        centre = self.frames // 2
        return self.read(self.fcn_1, x[:, centre : centre + 1])

    def read(self, head: nn.Module, x: Tensor) -> Tensor:
        """Poses (B, L, J, 3) read from tokens (B, L, width)."""
        return full_precision(head, x.transpose(1, 2)).transpose(1, 2).unflatten(-1, (-1, 3))

    def forward(self, keypoints: Tensor) -> Tensor:
        check_input("Strided Transformer", keypoints, self.frames, self.joints)
        tokens = self.encode_frames(keypoints.flatten(0, 1))
        return self.lift_window(tokens.unflatten(0, keypoints.shape[:2]))

    def forward_training(self, keypoints: Tensor) -> tuple[Tensor, Tensor]:
        """The full-to-single scheme (section III-D): centre (B, 1, J, 3), all frames (B, T, J, 3).

        Without an STE the centre is one of all frames. ValueError without a VTE, which gives them.
        """
        check_input("Strided Transformer", keypoints, self.frames, self.joints)
        if not hasattr(self, "Transformer"):
            raise ValueError(
                "a Strided Transformer without VTE (depth 0) cannot train on all frames"
            )
        tokens = self.encode_frames(keypoints.flatten(0, 1)).unflatten(0, keypoints.shape[:2])
        x = self.Transformer(tokens)
        full = self.read(self.fcn_1, x)
        if hasattr(self, "Transformer_reduce"):
            return self.read(self.fcn, self.Transformer_reduce.model(x)), full
        centre = self.frames // 2
        return full[:, centre : centre + 1], full


class UnbiasedNorm(nn.Module):
    """gain * (x - mean) / (std + eps) + bias, std unbiased (n - 1): not torch's LayerNorm."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.a_2 = nn.Parameter(torch.ones(channels))
        self.b_2 = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        # torch's norm gives (x - mean) / biased std several times as fast as std_mean does, and
        # 1 / biased std with it, which says what is left to do.
        n = x.shape[-1]
        bias = math.sqrt((n - 1) / n)
        if autocasting(x):  # eps is far below what is rounded away
            return functional.layer_norm(x, (n,), self.a_2 * bias, self.b_2, 1e-30)
        normed, _, inverse = torch.native_layer_norm(x, (n,), None, None, 1e-30)
        return torch.addcmul(self.b_2, self.a_2, normed * (bias / (1 + self.eps * bias * inverse)))


class VanillaEncoder(nn.Module):
    """VTE: position embedding, then pre-norm layers; (B, T, C) -> (B, T, C)."""

    def __init__(self, frames: int, depth: int, width: int, *layer: object) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.randn(1, frames, width))
        self.model = nn.Module()
        self.model.layers = nn.ModuleList(VanillaLayer(width, *layer) for _ in range(depth))
        # In the checkpoints, never applied.
        self.model.norm = UnbiasedNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pos_embedding
        for layer in self.model.layers:
            x = layer(x)
        return x


class StridedEncoder(nn.Module):
    """STE: every layer adds its position embedding and shrinks the sequence by its stride."""

    def __init__(
        self, frames: int, strides: Sequence[int], kernel: int, width: int, *layer: object
    ) -> None:
        super().__init__()
        for number in range(1, len(strides) + 1):
            embedding = nn.Parameter(torch.randn(1, frames, width))
            self.register_parameter(f"pos_embedding_{number}", embedding)
        self.layers = nn.ModuleList(
            StridedLayer(stride, kernel, width, *layer) for stride in strides
        )
        self.norm = UnbiasedNorm(width)  # in the checkpoints, never applied

    def forward(self, x: Tensor) -> Tensor:
        for number, layer in enumerate(self.layers, start=1):
            embedding = getattr(self, f"pos_embedding_{number}")
            x = layer(x + embedding[:, : x.shape[1]])
        return x


class Branch(nn.Module):
    """The norm in front of a residual branch, under the name it has in the checkpoints."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = UnbiasedNorm(width)


class VanillaLayer(nn.Module):
    """x += MHSA(norm x); x += W2 ReLU(W1 norm x); (B, L, C) -> (B, L, C)."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = SplitAttention(width, heads, dropout)
        self.feed_forward = nn.Module()
        self.feed_forward.w_1 = nn.Linear(width, hidden)
        self.feed_forward.w_2 = nn.Linear(hidden, width)
        self.sublayer = nn.ModuleList(Branch(width) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.self_attn(self.sublayer[0].norm(x)))
        y = functional.relu(self.feed_forward.w_1(self.sublayer[1].norm(x)))
        return x + self.dropout(self.feed_forward.w_2(self.dropout(y)))


class StridedLayer(nn.Module):
    """A layer whose feed-forward part is a convolution with a stride; the residual is pooled.

    (B, L, C) -> (B, ceil(L / stride), C), section III-C. The pooling takes the first token of
    every ``stride`` (max pooling of width 1).
    """

    def __init__(
        self, stride: int, kernel: int, width: int, heads: int, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self.stride = stride
        self.self_attn = SplitAttention(width, heads, dropout)
        self.feed_forward = nn.Module()
        self.feed_forward.w_1 = nn.Conv1d(width, hidden, 1)
        self.feed_forward.w_2 = nn.Conv1d(hidden, width, kernel, stride, padding=kernel // 2)
        self.sublayer = nn.ModuleList(Branch(width) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        length, kernel = x.shape[1], self.feed_forward.w_2.kernel_size[0]
        # Only the tokens under the strided kernel go on from here: a third of them where the
        # stride is 9. The convolutions are written as products of these.
        first = torch.arange(0, length, self.stride, device=x.device) - kernel // 2
        taps = first[:, None] + torch.arange(kernel, device=x.device)
        inside = ((taps >= 0) & (taps < length))[..., None]
        kept = taps.clamp(0, length - 1).flatten()
        normed = self.sublayer[0].norm(x)
        x = x[:, kept] + self.dropout(self.self_attn(normed, normed[:, kept]))

        w_1, w_2 = self.feed_forward.w_1, self.feed_forward.w_2
        y = functional.linear(self.sublayer[1].norm(x), w_1.weight[..., 0], w_1.bias)
        y = self.dropout(functional.relu(y)).unflatten(1, taps.shape) * inside
        y = functional.linear(y.flatten(2), w_2.weight.transpose(1, 2).flatten(1), w_2.bias)
        return x[:, kernel // 2 :: kernel] + self.dropout(y)


def pose_head(width: int, joints: int) -> nn.Sequential:
    """(B, C, L) -> (B, 3 J, L)."""
    return nn.Sequential(nn.BatchNorm1d(width), nn.Conv1d(width, 3 * joints, 1))


def check_strides(frames: int, strides: Sequence[int]) -> None:
    """Raise ValueError unless the strides shrink ``frames`` tokens to one."""
    longest = math.prod(strides)
    if frames > longest:
        raise ValueError(
            f"strides {' x '.join(map(str, strides))} do not reduce {frames} frames to one, only "
            f"T up to {longest}"
        )


def default_strides(frames: int) -> tuple[int, int, int]:
    """Three strides whose product is ``frames``, as even as possible and ascending.

    The paper's for its receptive fields: 27 (3, 3, 3), 81 (3, 3, 9), 243 (3, 9, 9) and the
    released 351 (3, 9, 13). ValueError, with the nearest T that fit, if there are none up to
    ``LARGEST_STRIDE``.
    """
    strides = _three_factors(frames)
    if strides is None:
        most = LARGEST_STRIDE**3
        below = (n for n in range(min(frames - 1, most), 0, -1) if n % 2 and _three_factors(n))
        above = (n for n in range(frames + 1, most + 1) if n % 2 and _three_factors(n))
        near = [n for n in (next(below, None), next(above, None)) if n is not None]
        raise ValueError(
            f"no three strides up to {LARGEST_STRIDE} reduce {frames} frames to one; the nearest "
            f"T that fit: {' and '.join(map(str, near))} (27, 81, 243 and 351 are the paper's)"
        )
    return strides


def _three_factors(number: int) -> tuple[int, int, int] | None:
    best = None
    for first in range(1, LARGEST_STRIDE + 1):
        for second in range(first, LARGEST_STRIDE + 1):
            third, rest = divmod(number, first * second)
            # Ascending first factors: a later hit with the same largest factor is more even.
            fits = not rest and second <= third <= LARGEST_STRIDE
            if fits and (best is None or third <= best[2]):
                best = first, second, third
    return best
