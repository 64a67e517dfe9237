"""All kinds of real lifters, small and quick, with weights that anyone can make again."""

import contextlib
import copy
import functools

import numpy as np
import torch
from torch import nn

import lifters3d
from lifters3d.normalisation import frame, person
from lifters3d.registry import Convention
from lifters3d.skeleton import MIRROR
from tests.lifters3d.small import small
from tests.pipeline.lifters import on_screen

FRAMES = 9
# Lifters of one frame: a window for every frame.
TINY = {"width": 8, "depth": 1, "heads": 2}
CENTRE = {
    "liftformer": ("liftformer", {"hidden": 16}),
    "liftformer causal": ("liftformer", {"hidden": 16, "causal": True}),
    "poseformer": ("poseformer", {"width": 4}),
    "poseformer-sta": ("poseformer-sta", {"width": 4}),
    "strided": ("strided", {"hidden": 16, "strides": [3, 3]}),
}
SEQUENCE = {
    "mixste": ("mixste", {}),
    "poseformer demo": ("poseformer", {"width": 4, "variant": "demo"}),
}
KINDS = {**CENTRE, **SEQUENCE}
CONVENTIONS = ["screen", "person", "frame"]


def network(kind: str, normalisation: str = "screen", **convention) -> nn.Module:
    """A small lifter of a kind, T = 9 frames."""
    lifter = copy.copy(_built(kind))
    lifter.convention = Convention(normalisation, **convention)
    return lifter


@functools.cache
def _built(kind):
    name, config = KINDS[kind]
    return small(name, **{"frames": FRAMES, **TINY, **config})


def silent(name="poseformer", normalisation="screen", bias=0.0, joints=17):
    """A lifter that puts every joint at the same place (bias, 0, 0) m."""
    lifter = lifters3d.build(name, frames=9, joints=joints, width=8, depth=1, heads=2).eval()
    with torch.no_grad():
        last = lifter.head[-1]
        last.weight.zero_()
        last.bias.zero_()
        last.bias.view(-1, 3)[:, 0] = bias
    lifter.convention = Convention(normalisation, "h36m", 50.0)
    return lifter


def figure(length, seed=0):
    """(n, 17, 2) px: a figure that wanders and waves; no two frames alike."""
    random = np.random.default_rng(seed)
    shape = random.uniform(-90, 90, (17, 2))
    speed, phase = random.uniform(0.1, 0.4, (17, 2)), random.uniform(0, 6, (17, 2))
    steps = np.arange(length)[:, None, None]
    return (320, 240) + shape + 25 * np.sin(speed * steps + phase) + 1.5 * steps


def tensors(*sequences):
    return [torch.tensor(sequence, dtype=torch.float32) for sequence in sequences]


@torch.inference_mode()
def plain_loop(lifter, keypoints, flip_average=True):
    """(n, 17, 3): the papers' way. A window of every frame alone, its mirror image in another pass.

    The frame is the window's centre (the last one of networks that say so), what lies beyond an end
    of the clip is the end's frame repeated.
    """
    (points,) = tensors(keypoints)
    (screened,) = tensors(on_screen(keypoints))
    sized = frame(points[None], FRAMES)[0]
    before = FRAMES - 1 if lifter.output == "last" else FRAMES // 2
    poses = []
    for number in range(len(points)):
        rows = [min(max(number - before + k, 0), len(points) - 1) for k in range(FRAMES)]
        window = {
            "screen": lambda rows: screened[rows],
            "person": lambda rows: person(points[rows][None])[0],
            "frame": lambda rows: sized[rows],
        }[lifter.convention.normalisation](rows)
        pose = lifter(window[None])[0, 0]
        if flip_average:
            mirrored = lifter((window[:, list(MIRROR)] * torch.tensor([-1.0, 1.0]))[None])[0, 0]
            pose = (pose + mirrored[list(MIRROR)] * torch.tensor([-1.0, 1.0, 1.0])) / 2
        poses.append(pose)
    return torch.stack(poses).numpy()


@contextlib.contextmanager
def counted(lifter):
    """Rows of every call of the network, by the name of what was called."""
    calls: dict[str, list[int]] = {}

    def count(name, function):
        def counting(rows):
            calls.setdefault(name, []).append(len(rows))
            return function(rows)

        return counting

    names = [name for name in ("forward", "encode_frames", "lift_window") if hasattr(lifter, name)]
    for name in names:
        setattr(lifter, name, count(name, getattr(lifter, name)))
    yield calls
    for name in names:
        delattr(lifter, name)
