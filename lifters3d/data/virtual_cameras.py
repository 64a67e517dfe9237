"""Virtual cameras: any number of views of motion capture, as people film people."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lifters3d.data.bodies import uniform

DISTANCE = (2.0, 8.0)  # metres, log-uniform
HEIGHT = (0.3, 2.5)  # metres above the floor
HIGH_CAMERA = 4.0  # metres; one camera in ten hangs up to here
MAX_PITCH = math.radians(40)
ROLL_SIGMA = math.radians(2.5)
FOCAL = (0.8, 2.2)  # in picture widths, log-uniform
MAX_PAN = math.radians(15)  # over one window
NEAREST = 0.8  # metres between the camera and the nearest joint


def film(poses: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """See each window from a camera of its own.

    Half of the cameras stand still, the others follow the person more or less; some pan.

    Parameters
    ----------
    poses : (B, T, 17, 3) metres, z up, floor near z = 0

    Returns
    -------
    joints : (B, T, 17, 3) metres in camera axes (x right, y down, z away)
    screen : (B, T, 17, 2) projection in ``screen`` units: 2 x focal / width x (x / z, y / z),
        which is 0 at the picture's centre and +-1 at its left and right edges
    """
    count, frames = poses.shape[:2]
    device = poses.device

    def draw(low: float, high: float) -> Tensor:
        return uniform((count,), low, high, generator)

    hip = poses[:, :, 0]
    centre = hip.mean(dim=1)
    distance = torch.exp(draw(math.log(DISTANCE[0]), math.log(DISTANCE[1])))
    azimuth = draw(-math.pi, math.pi)
    height = torch.where(draw(0, 1) < 0.1, draw(HEIGHT[1], HIGH_CAMERA), draw(HEIGHT[0], HEIGHT[1]))
    height = height.minimum(centre[:, 2] + distance * math.tan(MAX_PITCH))
    position = torch.stack(
        [
            centre[:, 0] + distance * torch.cos(azimuth),
            centre[:, 1] + distance * torch.sin(azimuth),
            height,
        ],
        dim=-1,
    )
    focal = torch.exp(draw(math.log(FOCAL[0]), math.log(FOCAL[1])))

    follow = torch.where(draw(0, 1) < 0.5, torch.zeros_like(focal), draw(0, 1))
    target = centre[:, None] + follow[:, None, None] * (hip - centre[:, None])
    gaze = target - position[:, None]
    half_view = torch.atan(0.5 / focal)
    steps = torch.linspace(-0.5, 0.5, frames, device=device)
    pan = torch.where(draw(0, 1) < 0.2, draw(-MAX_PAN, MAX_PAN), torch.zeros_like(focal))
    yaw = torch.atan2(gaze[..., 1], gaze[..., 0])
    yaw = yaw + (draw(-0.8, 0.8) * half_view)[:, None] + pan[:, None] * steps
    pitch = torch.atan2(gaze[..., 2], gaze[..., :2].norm(dim=-1))
    pitch = pitch + (draw(-0.4, 0.4) * half_view)[:, None]
    roll = torch.randn(count, generator=generator, device=device) * ROLL_SIGMA

    rotation = _camera_rotation(yaw, pitch, roll[:, None].expand(-1, frames))
    joints = torch.einsum("btij,btkj->btki", rotation, poses - position[:, None, None])
    too_near = (NEAREST - joints[..., 2].amin(dim=(1, 2))).clamp_min(0)
    joints = joints + too_near[:, None, None, None] * joints.new_tensor([0.0, 0.0, 1.0])
    screen = 2 * focal[:, None, None, None] * joints[..., :2] / joints[..., 2:]
    return joints, screen


def _camera_rotation(yaw: Tensor, pitch: Tensor, roll: Tensor) -> Tensor:
    """World (z up) to camera axes: (B, T, 3, 3) whose rows are right, down and forward."""
    forward = torch.stack(
        [torch.cos(pitch) * torch.cos(yaw), torch.cos(pitch) * torch.sin(yaw), torch.sin(pitch)],
        dim=-1,
    )
    right = torch.stack([torch.sin(yaw), -torch.cos(yaw), torch.zeros_like(yaw)], dim=-1)
    down = torch.linalg.cross(forward, right)
    cos, sin = torch.cos(roll)[..., None], torch.sin(roll)[..., None]
    return torch.stack([cos * right + sin * down, cos * down - sin * right, forward], dim=-2)
