"""Lifters of one frame to compare with, and copying: what time and attention are worth.

``linear``, least squares from the 34 coordinates of a frame; ``mlp``, the residual network of
Martinez et al. ("A simple yet effective baseline for 3d human pose estimation", ICCV 2017), width
1024; ``copy``, which knows the true pose of a second ago and repeats it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from lifters3d.data.batches import PairStream
from lifters3d.data.mocap17 import Mocap
from lifters3d.evaluation.metrics import mpjpe, mpjve, n_mpjpe, p_mpjpe
from lifters3d.registry import Convention
from lifters3d.skeleton import HIP, LIMB_JOINTS
from lifters3d.training.evaluate import CENTRES
from lifters3d.training.losses import mpjpe_loss

DELAY = 30  # frames at 30 frames/s


class SingleFrame(nn.Module):
    """A network of one frame with the face of a lifter: (B, 1, 17, 2) to (B, 1, 17, 3)."""

    frames, joints, output = 1, 17, "center"

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.convention = Convention("frame", "derived", 30.0)

    def encode_frames(self, keypoints: Tensor) -> Tensor:
        return keypoints.flatten(1)

    def lift_window(self, tokens: Tensor) -> Tensor:
        return self.network(tokens).unflatten(-1, (17, 3))

    def forward(self, keypoints: Tensor) -> Tensor:
        return self.lift_window(keypoints.flatten(2))


class Residual(nn.Module):
    """Two linear layers with batch norm, ReLU and dropout, and a way around them."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        layers = [(nn.Linear(width, width), nn.BatchNorm1d(width)) for _ in range(2)]
        self.layers = nn.Sequential(
            *(part for pair in layers for part in (*pair, nn.ReLU(), nn.Dropout(dropout)))
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class MLP(nn.Module):
    """Martinez et al. 2017, section 3.2: (..., 34) to (..., 51)."""

    def __init__(self, width: int = 1024, dropout: float = 0.1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(34, width),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            Residual(width, dropout),
            Residual(width, dropout),
            nn.Linear(width, 51),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.flatten(0, -2)).unflatten(0, x.shape[:-1])


def _stream(mocap: Mocap, batch: int, seed: int) -> PairStream:
    return PairStream(mocap, 1, batch, "frame", torch.Generator().manual_seed(seed))


def train_linear(mocap: Mocap, frames: int = 400_000, seed: int = 1) -> SingleFrame:
    """Least squares over noisy frames, drawn as the lifters' training windows are."""
    stream = _stream(mocap, 4000, seed)
    left, right = torch.zeros(35, 35).double(), torch.zeros(35, 51).double()
    for _ in range(frames // stream.batch):
        keypoints, target = next(stream)
        x = torch.cat([keypoints.flatten(1), torch.ones(len(keypoints), 1)], dim=1).double()
        left += x.T @ x
        right += x.T @ target.flatten(1).double()
    # Midpoints are sums of other joints, which leaves the answer open without the small ridge.
    solution = torch.linalg.solve(left + 1e-3 * torch.eye(35).double(), right).float()
    layer = nn.Linear(34, 51)
    layer.weight.data, layer.bias.data = solution[:-1].T.contiguous(), solution[-1]
    return SingleFrame(layer).eval()


def train_mlp(mocap: Mocap, steps: int = 4000, batch: int = 1024, seed: int = 1) -> SingleFrame:
    """AdamW, rate 1e-3 falling to nothing by half a cosine, MPJPE."""
    torch.manual_seed(seed)
    lifter = SingleFrame(MLP()).train()
    optimiser = torch.optim.AdamW(lifter.parameters(), 1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    stream = _stream(mocap, batch, seed)
    for _ in range(steps):
        keypoints, target = next(stream)
        with torch.autocast("cpu", torch.bfloat16):
            poses = lifter(keypoints)
        optimiser.zero_grad()
        mpjpe_loss(poses.float(), target).backward()
        optimiser.step()
        schedule.step()
    return lifter.eval()


def copying(mocap: Mocap, windows: int, seed: int = 0) -> dict[str, float]:
    """Errors in mm of the true pose of ``DELAY`` frames ago, in the person's viewing axes."""
    generator = torch.Generator().manual_seed(seed)
    stream = PairStream(mocap, DELAY + CENTRES, 64, "frame", generator, noise="none", augment=False)
    poses = torch.cat([next(stream)[1] for _ in range(-(-windows // 64))])
    poses = 1000 * (poses - poses[:, :, HIP : HIP + 1]).numpy().astype(np.float64)
    p, t = poses[:, :CENTRES], poses[:, DELAY:]
    limbs = list(LIMB_JOINTS)
    return {
        "mpjpe": mpjpe(p, t),
        "n_mpjpe": n_mpjpe(p, t),
        "p_mpjpe": p_mpjpe(p, t),
        "p_mpjpe_limbs": p_mpjpe(p[..., limbs, :], t[..., limbs, :]),
        "mpjve": mpjve(p, t),
    }
