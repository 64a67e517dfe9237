"""Lifters whose right answer is known, and keypoints to give them."""

import numpy as np
import torch
from torch import nn

from lifters3d.registry import Convention
from lifters3d.skeleton import HIP
from pipeline.lifting import lift_sequences

SIZE = (640, 480)


class FakeLifter(nn.Module):
    """A sequence lifter that answers by a function of its normalised input (B, T, 17, 2)."""

    output = "sequence"
    joints = 17

    def __init__(self, answer, frames=27, **convention):
        super().__init__()
        self.device_holder = nn.Parameter(torch.zeros(1))
        self.answer = answer
        self.frames = frames
        self.convention = Convention(**convention)
        self.calls = []

    def forward(self, keypoints):
        assert keypoints.shape[1:] == (self.frames, 17, 2)
        assert torch.isfinite(keypoints).all()
        self.calls.append(keypoints.shape[0])
        return self.answer(keypoints)


def lopsided(keypoints):
    """(..., 17, 3) by frame; neither linear nor mirrored in its input."""
    x, y = keypoints.unbind(-1)
    return torch.stack([x + y**2, y - x**3, torch.sin(3 * x + 1)], dim=-1)


def linear(keypoints):
    return torch.cat([keypoints, keypoints.sum(-1, keepdim=True)], dim=-1)


def wandering(length, seed=0):
    """(n, 17, 2) px: every joint on its own way through the picture."""
    random = np.random.default_rng(seed)
    return random.uniform(0, SIZE[0], (length, 17, 2))


def evenly(length, rate=30.0):
    return np.arange(length) / rate


def on_screen(keypoints):
    """Screen coordinates of px, written out anew."""
    width, height = SIZE
    return np.stack(
        [keypoints[..., 0] / width * 2 - 1, (keypoints[..., 1] * 2 - height) / width], axis=-1
    )


def rooted(joints):
    return joints - joints[..., HIP : HIP + 1, :]


def lift_sequence(lifter, keypoints, time_s, size, **options):
    """The lifting of a single sequence."""
    return lift_sequences(lifter, [(keypoints, time_s)], size, **options)[0].joints
