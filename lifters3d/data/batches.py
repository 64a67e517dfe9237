"""Training and evaluation pairs from motion capture, drawn on the fly."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from lifters3d.data.bodies import WindowSampler, augment_bodies
from lifters3d.data.detector_noise import corrupt, misplace
from lifters3d.data.mocap17 import Mocap
from lifters3d.data.virtual_cameras import film
from lifters3d.normalisation import frame, person, viewing_rotation
from lifters3d.skeleton import HIP, derive_trunk

Noise = Literal["none", "positions", "severe"]


def to_input(
    screen: Tensor, normalisation: str, receptive_field: int, derived: bool = True
) -> Tensor:
    """Keypoints (B, T, 17, 2) in screen units to lifter input, its trunk ``derived`` or not."""
    if derived:
        screen = derive_trunk(screen)
    if normalisation == "screen":
        return screen
    return person(screen) if normalisation == "person" else frame(screen, receptive_field)


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

    Parameters
    ----------
    mocap : what is filmed
    frames, batch : T and B
    normalisation, joints : of the input, as of ``registry.Convention``
    generator : all chance comes from it, on its device
    noise : of the 2D: "none"; "positions", a good detector's errors of position; "severe", with
        what detectors get wrong altogether (``detector_noise``)
    augment : other bodies (``bodies.augment_bodies``)
    receptive_field : the lifter's, if the sequences are longer than its windows
    sampling : "balanced" or "frames" (``bodies.WindowSampler``)
    """

    def __init__(
        self,
        mocap: Mocap,
        frames: int,
        batch: int,
        normalisation: str,
        generator: torch.Generator,
        noise: Noise = "severe",
        augment: bool = True,
        receptive_field: int | None = None,
        joints: str = "derived",
        sampling: str = "balanced",
    ) -> None:
        self.sampler = WindowSampler(mocap, frames, generator.device, sampling)
        self.batch, self.normalisation, self.generator = batch, normalisation, generator
        self.noise, self.augment, self.derived = noise, augment, joints == "derived"
        self.receptive_field = receptive_field or frames

    def __next__(self) -> tuple[Tensor, Tensor]:
        poses = self.sampler.draw(self.batch, self.generator)
        if self.augment:
            poses = augment_bodies(poses, self.generator)
        joints, screen = film(poses, self.generator)
        if self.noise == "severe":
            screen = corrupt(screen, self.generator)
        elif self.noise == "positions":
            screen = misplace(screen, self.generator)
        keypoints = to_input(screen, self.normalisation, self.receptive_field, self.derived)
        return keypoints, to_target(joints, self.normalisation)

    def __iter__(self) -> PairStream:
        return self
