"""Errors of 2D detectors, put on exact projections.

All sizes are fractions of the person's height in the picture. Their order of magnitude is what
MediaPipe Pose and HRNet make on footage: a median of 1-2 % of the height, 96 % within 5 %, larger
on wrists and ankles, correlated in time, with rare gross errors.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lifters3d.data.bodies import uniform
from lifters3d.normalisation import person_size
from lifters3d.skeleton import LEFT, MIRROR, RIGHT

# A standing person is about 3.6 times as tall as the limb joints' root mean square distance
# from the hip.
HEIGHT_OVER_SIZE = 3.6
BIAS = 0.009  # constant over a window: where the detector puts a joint on this body
DRIFT = 0.009  # correlated over about a third of a second
JITTER = 0.003  # frame to frame
JOINT_FACTOR = (1, 1.2, 1.2, 1.4, 1.2, 1.2, 1.4, 1, 1, 0.8, 1, 1, 1.2, 1.5, 1, 1.2, 1.5)
# Joints that a detector puts elsewhere together, because it means another point of the body by the
# same name: both hips, both shoulders, the nose. Bias and drift as above, on top of them.
SHARED = (((1, 4), 0.018, 0.018), ((11, 14), 0.012, 0.006), ((9,), 0.016, 0.004))

ARMS = (11, 12, 13, 14, 15, 16)
LEGS = (1, 2, 3, 4, 5, 6)
LIMBS = ((2, 3), (5, 6), (12, 13), (15, 16))  # the two far joints of each limb


def misplace(screen: Tensor, generator: torch.Generator) -> Tensor:
    """Keypoints (B, T, 17, 2) of a good detector that takes no joint for another.

    Errors of position alone, of the size that they typically have.
    """
    height = _heights(screen)
    factor = torch.tensor(JOINT_FACTOR, device=screen.device)[:, None]
    return screen + _position_errors(screen.shape, generator) * factor * height


def corrupt(screen: Tensor, generator: torch.Generator) -> Tensor:
    """Keypoints as a detector would give them that has to guess now and then.

    Parameters
    ----------
    screen : (B, T, 17, 2) exact projections in any unit

    Returns
    -------
    (B, T, 17, 2) in the same unit. One window in ten has no errors of position, but may still have
    swapped, merged or lost joints and gaps.
    """
    count, frames = screen.shape[:2]
    device = screen.device
    height = _heights(screen)

    def chance(probability: float) -> Tensor:
        return torch.rand(count, generator=generator, device=device) < probability

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    level = torch.exp(0.5 * normal(count)) * ~chance(0.1)
    factor = torch.tensor(JOINT_FACTOR, device=device)[:, None] * level[:, None, None, None]
    noise = _position_errors(screen.shape, generator)
    for joints, bias, drift in SHARED:
        shift = bias * normal(count, 1, 1, 2)
        shift = shift + drift * _drift(normal(count, frames, 1, 2), rate=0.9)
        noise[:, :, list(joints)] += shift
    noisy = screen + noise * factor * height

    runs = _Runs(count, frames, generator)
    noisy = _merge_hidden_limbs(noisy, runs, chance(0.15), generator)
    noisy = _swap_sides(noisy, runs, chance(0.12), generator)
    burst = runs.mask(max_length=12, joints=17) & (
        torch.rand((count, 1, 17), generator=generator, device=device) < 0.03
    )
    burst = burst & (level > 0)[:, None, None]
    noisy = noisy + burst[..., None] * 0.10 * height * normal(count, 1, 17, 2)
    noisy = _lose_joints(noisy, chance(0.04), generator)
    return _bridge_gaps(noisy, runs, chance(0.15))


def _heights(screen: Tensor) -> Tensor:
    """Heights (B, 1, 1, 1) of the persons in the picture, were they standing."""
    return (person_size(screen) * HEIGHT_OVER_SIZE)[:, None, None, None]


def _position_errors(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Errors (B, T, 17, 2) in heights, alike for all joints."""

    def normal(frames: int) -> Tensor:
        size = (shape[0], frames, *shape[2:])
        return torch.randn(size, generator=generator, device=generator.device)

    noise = BIAS * normal(1)
    noise = noise + DRIFT * _drift(normal(shape[1]), rate=0.9)
    return noise + JITTER * normal(shape[1])


def _drift(white: Tensor, rate: float) -> Tensor:
    """First-order autoregressive noise of unit variance along axis 1."""
    state = white[:, 0]
    states = [state]
    for step in white[:, 1:].unbind(1):
        state = rate * state + (1 - rate**2) ** 0.5 * step
        states.append(state)
    return torch.stack(states, dim=1)


class _Runs:
    """Random runs of consecutive frames."""

    def __init__(self, count: int, frames: int, generator: torch.Generator) -> None:
        self.count, self.frames, self.generator = count, frames, generator

    def bounds(self, max_length: int, joints: int = 1) -> tuple[Tensor, Tensor]:
        """First and one-past-last frame, each (B, joints); at most a third of the window."""
        length = max(1, min(max_length, self.frames // 3))
        shape = (self.count, joints)
        device = self.generator.device
        size = torch.randint(1, length + 1, shape, generator=self.generator, device=device)
        start = torch.rand(shape, generator=self.generator, device=device) * (
            self.frames + 1 - size
        )
        return start.long(), start.long() + size

    def mask(self, max_length: int, joints: int = 1) -> Tensor:
        """(B, T, joints) true inside of one run a window and joint."""
        start, stop = self.bounds(max_length, joints)
        time = torch.arange(self.frames, device=start.device)[None, :, None]
        return (time >= start[:, None]) & (time < stop[:, None])


def _draw_parts(
    choices: tuple[tuple[int, ...], ...], count: int, generator: torch.Generator
) -> Tensor:
    """(B, 17) true at the joints of one of the choices, drawn for each window."""
    parts = torch.zeros(len(choices), 17, dtype=torch.bool, device=generator.device)
    for row, joints in enumerate(choices):
        parts[row, list(joints)] = True
    which = torch.randint(0, len(choices), (count,), generator=generator, device=generator.device)
    return parts[which]


def _swap_sides(noisy: Tensor, runs: _Runs, chosen: Tensor, generator: torch.Generator) -> Tensor:
    """Exchange left and right of the legs, the arms or both for up to a second."""
    part = _draw_parts((LEGS, ARMS, LEFT + RIGHT), len(noisy), generator)
    mask = runs.mask(max_length=30) & chosen[:, None, None] & part[:, None]
    return torch.where(mask[..., None], noisy[:, :, list(MIRROR)], noisy)


def _merge_hidden_limbs(
    noisy: Tensor, runs: _Runs, chosen: Tensor, generator: torch.Generator
) -> Tensor:
    """Draw the far joints of one limb to those of the other side, as when the body hides them."""
    part = _draw_parts(LIMBS, len(noisy), generator)
    mask = runs.mask(max_length=30) & chosen[:, None, None] & part[:, None]
    share = uniform((len(noisy), 1, 1, 1), 0.3, 0.9, generator)
    merged = noisy + share * (noisy[:, :, list(MIRROR)] - noisy)
    return torch.where(mask[..., None], merged, noisy)


def _lose_joints(noisy: Tensor, chosen: Tensor, generator: torch.Generator) -> Tensor:
    """Put the far joints of a limb on the hip: how lifting marks joints that it was not given."""
    part = _draw_parts(LIMBS, len(noisy), generator)
    mask = chosen[:, None] & part
    hip = (noisy[:, :, 1:2] + noisy[:, :, 4:5]) / 2
    return torch.where(mask[:, None, :, None], hip, noisy)


def _bridge_gaps(noisy: Tensor, runs: _Runs, chosen: Tensor) -> Tensor:
    """Lose all joints for up to half a second and interpolate, as the pipeline does."""
    start, stop = runs.bounds(max_length=15)
    start, stop = start[:, 0], stop[:, 0]
    rows = torch.arange(len(noisy), device=noisy.device)
    before = (start - 1).clamp_min(0)
    after = stop.clamp_max(noisy.shape[1] - 1)
    time = torch.arange(noisy.shape[1], device=noisy.device)
    share = (time - before[:, None]) / (after - before).clamp_min(1)[:, None]
    line = torch.lerp(
        noisy[rows, before][:, None], noisy[rows, after][:, None], share[..., None, None]
    )
    inside = (time >= start[:, None]) & (time < stop[:, None]) & chosen[:, None]
    return torch.where(inside[..., None, None], line, noisy)
