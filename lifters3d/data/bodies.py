"""Windows of motion capture, drawn at random and made into other bodies."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lifters3d.data.mocap17 import Mocap
from lifters3d.skeleton import LEFT, MIRROR, PARENTS, RIGHT
from weights.errors import Pose3dError

UPPER_BODY = (7, 8, 9, 10, 11, 12, 13, 14, 15, 16)

# Frames of a source count this much when windows are drawn: UI-PRMD is half of the frames and
# repeats few exercises; native skeletons are the most exact.
SOURCE_WEIGHT = {"uiprmd": 0.15}
NATIVE_WEIGHT = 2.0

# Range of the factor on each bone (the joint's bone to its parent); sides share it. Motion-capture
# hips are narrow and shoulders wide beside those of image-based skeletons.
BONE_RANGES: dict[tuple[int, ...], tuple[float, float]] = {
    (1, 4): (1.0, 1.45),
    (2, 5): (0.9, 1.1),
    (3, 6): (0.9, 1.1),
    (7,): (0.9, 1.1),
    (8,): (0.9, 1.1),
    (9,): (0.8, 1.5),
    (10,): (0.8, 1.2),
    (11, 14): (0.7, 1.05),
    (12, 15): (0.9, 1.1),
    (13, 16): (0.9, 1.2),
}
BODY_SCALE = (0.85, 1.1)


def uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    """Uniform random numbers on the generator's device."""
    return low + (high - low) * torch.rand(shape, generator=generator, device=generator.device)


class WindowSampler:
    """Draws windows of T frames at 30 frames/s from motion capture.

    Clips are drawn in proportion to their frames times their source's weight ("balanced"), or to
    their frames alone ("frames"); playback speed is 0.7-1.5; a clip shorter than the window is held
    at its ends, as lifting pads short videos.
    """

    def __init__(
        self,
        mocap: Mocap,
        frames: int,
        device: torch.device | str = "cpu",
        sampling: str = "balanced",
    ) -> None:
        if not mocap.table:
            raise Pose3dError("there are no motion-capture clips to draw from")
        self.positions = torch.from_numpy(mocap.positions).to(device)
        spans = torch.from_numpy(mocap.spans).to(device)
        self.start, self.length = spans[:, 0], spans[:, 1] - spans[:, 0]
        source = torch.tensor(
            [
                SOURCE_WEIGHT.get(row["source"], 1.0)
                * (NATIVE_WEIGHT if row["fidelity"] == "native" else 1.0)
                for row in mocap.table
            ],
            device=device,
        )
        self.weight = self.length * source if sampling == "balanced" else self.length.float()
        self.frames = frames

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """``count`` windows (count, T, 17, 3) in metres, z up."""
        clip = torch.multinomial(self.weight, count, replacement=True, generator=generator)
        speed = uniform((count, 1), 0.7, 1.5, generator)
        last = (self.length[clip] - 1).float()[:, None]
        room = last - speed * (self.frames - 1)
        begin = torch.rand((count, 1), generator=generator, device=room.device) * room
        steps = torch.arange(self.frames, device=room.device)
        time = (begin + speed * steps).clamp_min(0).minimum(last)
        before = time.floor().minimum((last - 1).clamp_min(0))
        fraction = (time - before)[..., None, None]
        index = self.start[clip][:, None] + before.long()
        after = torch.minimum(index + 1, (self.start + self.length - 1)[clip][:, None])
        return self.positions[index] * (1 - fraction) + self.positions[after] * fraction


def augment_bodies(poses: Tensor, generator: torch.Generator) -> Tensor:
    """Other bodies, sides and combinations of the same movements.

    One window in seven gets the upper body of another one; half are mirrored; bones are scaled
    within ``BONE_RANGES``, whole bodies within ``BODY_SCALE``.

    Parameters
    ----------
    poses : (B, T, 17, 3) metres, z up

    Returns
    -------
    (B, T, 17, 3) metres, z up.
    """
    count = len(poses)
    bones = poses - poses[:, :, [max(parent, 0) for parent in PARENTS]]
    bones = _mix_upper_bodies(bones, generator)

    factor = torch.ones(count, 17, device=poses.device)
    for joints, (low, high) in BONE_RANGES.items():
        factor[:, list(joints)] = uniform((count, 1), low, high, generator)
    scale = uniform((count, 1), *BODY_SCALE, generator)
    factor = factor * scale
    legs = (factor[:, 2] + factor[:, 3]) / 2
    # The root's height follows the legs so that feet stay on the floor; its path follows the size.
    root_factor = torch.stack([scale[:, 0], scale[:, 0], legs], dim=-1)
    body = _chain(poses[:, :, 0] * root_factor[:, None], bones * factor[:, None, :, None])

    mirrored = body[:, :, list(MIRROR)] * body.new_tensor([1.0, -1.0, 1.0])
    choose = torch.rand(count, generator=generator, device=poses.device) < 0.5
    return torch.where(choose[:, None, None, None], mirrored, body)


def _chain(root: Tensor, bones: Tensor) -> Tensor:
    """Joints (B, T, 17, 3) from the root (B, T, 3) and the bone vectors (B, T, 17, 3)."""
    joints = [root]
    for joint in range(1, 17):
        joints.append(joints[PARENTS[joint]] + bones[:, :, joint])
    return torch.stack(joints, dim=2)


def _mix_upper_bodies(bones: Tensor, generator: torch.Generator) -> Tensor:
    """Give one window in seven the spine, head and arms of another, turned to the same heading."""
    count = len(bones)
    donor = bones[torch.randperm(count, generator=generator, device=bones.device)]
    turn = _heading(bones) - _heading(donor)
    cos, sin = torch.cos(turn)[..., None], torch.sin(turn)[..., None]
    x, y, z = donor.unbind(-1)
    turned = torch.stack([cos * x - sin * y, sin * x + cos * y, z], dim=-1)
    mixed = bones.clone()
    mixed[:, :, list(UPPER_BODY)] = turned[:, :, list(UPPER_BODY)]
    choose = torch.rand(count, generator=generator, device=bones.device) < 1 / 7
    return torch.where(choose[:, None, None, None], mixed, bones)


def _heading(bones: Tensor) -> Tensor:
    """Angle (B, T) of the line from the right to the left hip in the floor plane, in radians."""
    across = bones[:, :, LEFT[0]] - bones[:, :, RIGHT[0]]
    angle = torch.atan2(across[..., 1], across[..., 0])
    return angle.remainder(2 * math.pi)
