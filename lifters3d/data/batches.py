"""Training and evaluation pairs from motion capture, drawn on the fly."""

from __future__ import annotations

import torch
from torch import Tensor

from lifters3d.data.bodies import WindowSampler, augment_bodies
from lifters3d.data.detector_noise import corrupt
from lifters3d.data.mocap17 import Mocap
from lifters3d.data.virtual_cameras import film
from lifters3d.normalisation import frame, person, viewing_rotation
from lifters3d.skeleton import HIP, derive_trunk


def to_input(screen: Tensor, normalisation: str, receptive_field: int) -> Tensor:
    """Keypoints (B, T, 17, 2) in screen units to lifter input, with the derived trunk joints."""
    derived = derive_trunk(screen)
    if normalisation == "screen":
        return derived
    return person(derived) if normalisation == "person" else frame(derived, receptive_field)


def to_target(joints: Tensor, normalisation: str) -> Tensor:
    """Joints (B, T, 17, 3) in camera axes to root-relative targets in the lifter's axes."""
    target = joints - joints[:, :, HIP : HIP + 1]
    if normalisation == "screen":
        return target
    hip = joints[:, :, HIP]
    rotation = viewing_rotation(hip[..., :2] / hip[..., 2:])
    return torch.einsum("btij,btkj->btki", rotation, target)


class PairStream:
    """An endless stream of (input (B, T, 17, 2), target (B, T, 17, 3) metres) batches.

    ``receptive_field`` is the lifter's, if the sequences are longer than its windows.
    """

    def __init__(
        self,
        mocap: Mocap,
        frames: int,
        batch: int,
        normalisation: str,
        generator: torch.Generator,
        noisy: bool = True,
        augment: bool = True,
        receptive_field: int | None = None,
    ) -> None:
        self.sampler = WindowSampler(mocap, frames, generator.device)
        self.batch, self.normalisation, self.generator = batch, normalisation, generator
        self.noisy, self.augment = noisy, augment
        self.receptive_field = receptive_field or frames

    def __next__(self) -> tuple[Tensor, Tensor]:
        poses = self.sampler.draw(self.batch, self.generator)
        if self.augment:
            poses = augment_bodies(poses, self.generator)
        joints, screen = film(poses, self.generator)
        if self.noisy:
            screen = corrupt(screen, self.generator)
        keypoints = to_input(screen, self.normalisation, self.receptive_field)
        return keypoints, to_target(joints, self.normalisation)

    def __iter__(self) -> PairStream:
        return self
