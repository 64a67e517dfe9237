"""Counts against closed forms: multiply-adds written down from the papers' descriptions."""

import pytest
import torch

import lifters3d
from lifters3d.flops import flops_per_frame

J = 17


def block(tokens, width, hidden=None):
    """Four projections, two products of attention, two feed-forward layers; ``tokens`` of them."""
    hidden = 2 * width if hidden is None else hidden
    return tokens * (4 * width**2 + 2 * width * hidden) + 2 * tokens**2 * width


def mixste(T, width, depth, **_):
    blocks = T * block(J, width) + J * block(T, width)
    return T * J * 2 * width + depth * blocks + T * J * width * 3


def some_tokens(wanted, tokens, width, hidden):
    """A block whose answers are wanted for some of its tokens: these ask, and go on."""
    attention = 2 * (wanted + tokens) * width**2 + 2 * wanted * tokens * width
    return attention + wanted * 2 * width * hidden


def liftformer(T, width, depth, hidden, **_):
    window = (depth - 1) * block(T, width, hidden) + some_tokens(1, T, width, hidden)
    return 2 * J * width, window + width * 3 * J


def poseformer(T, width, depth, **_):
    frame = J * 2 * width + depth * block(J, width)
    return frame, depth * block(T, J * width) + T * J * width + J * width * 3 * J


def poseformer_sta(T, width, depth, **_):
    frame = J * 2 * width + depth * (block(J, width) + 2 * 5 * J * width**2)
    # A group of the convolutions is one feature of 17 joints.
    window = depth * (block(T, J * width) + 2 * 3 * T * width * J**2)
    return frame, window + J * width * 3 * J


def strided(T, width, depth, hidden, strides, kernel, **_):
    window = depth * block(T, width, hidden)
    for stride in strides:
        # Only what lies under the kernel is wanted of the tokens.
        under = -(-T // stride) * kernel
        window += some_tokens(under, T, width, hidden)
        T = under // kernel
    return 2 * J * width, window + width * 3 * J


# From 128 tokens on the networks use torch's fused attention, which is counted another way.
CASES = [
    (mixste, "mixste", {"frames": 9, "width": 8, "depth": 2, "heads": 2}),
    (mixste, "mixste", {"frames": 135, "width": 8, "depth": 1, "heads": 2}),
    (liftformer, "liftformer", {"frames": 5, "width": 16, "depth": 3, "heads": 4, "hidden": 24}),
    (liftformer, "liftformer", {"frames": 131, "width": 8, "depth": 2, "heads": 2, "hidden": 4}),
    (poseformer, "poseformer", {"frames": 9, "width": 8, "depth": 2, "heads": 2}),
    (poseformer_sta, "poseformer-sta", {"frames": 9, "width": 8, "depth": 2, "heads": 2}),
    (
        strided,
        "strided",
        {
            "frames": 27,
            "width": 16,
            "depth": 2,
            "heads": 4,
            "hidden": 24,
            "strides": (3, 3, 3),
            "kernel": 3,
        },
    ),
    (
        strided,
        "strided",
        {
            "frames": 36,
            "width": 8,
            "depth": 1,
            "heads": 2,
            "hidden": 12,
            "strides": (4, 9),
            "kernel": 1,
        },
    ),
]


@pytest.mark.parametrize(("formula", "name", "config"), CASES)
def test_closed_forms(formula, name, config):
    lifter = lifters3d.build(name, **config)
    T = config["frames"]
    counted = formula(T, **config)
    if lifter.output == "sequence":
        # Windows a third of their length apart.
        assert flops_per_frame(lifter, flip_average=False) == 2 * counted / (T // 3)
        assert flops_per_frame(lifter) == 2 * 2 * counted / (T // 3)
        return
    frame, window = counted
    assert flops_per_frame(lifter, flip_average=False) == 2 * (frame + window)
    assert flops_per_frame(lifter) == 2 * 2 * (frame + window)
    # Input that is scaled by the window leaves nothing to share between windows.
    lifter.convention = lifters3d.Convention("person")
    assert flops_per_frame(lifter) == 2 * 2 * (T * frame + window)


def test_the_strided_papers_figure():
    """43.05 M multiply-adds: the first encoder alone for T = 27, with the head on every frame.

    Their count is of layers: products of attention are not in it. Ours of a frame lacks the other
    26 frames' embedding, and the head reads the centre frame alone.
    """
    lifter = lifters3d.build("strided", frames=27, kernel=1, strides=())
    ours = flops_per_frame(lifter, flip_average=False) / 2
    attention = 3 * 2 * 27**2 * 256
    others = 26 * 256 * (2 * J + 3 * J)
    assert 43.05e6 <= ours - attention + others < 43.06e6


def test_a_fresh_network_needs_no_numbers():
    with torch.device("meta"):
        empty = lifters3d.build("mixste", **CASES[0][2])
    assert flops_per_frame(empty) == flops_per_frame(lifters3d.build("mixste", **CASES[0][2]))


def test_the_lifter_stays_as_it_is():
    lifter = lifters3d.build("liftformer", **CASES[2][2]).train()
    before = {key: value.clone() for key, value in lifter.state_dict().items()}
    flops_per_frame(lifter)
    assert lifter.training
    assert all(torch.equal(value, before[key]) for key, value in lifter.state_dict().items())
    x = torch.zeros(1, 5, J, 2)
    assert x.device.type == "cpu"
    assert lifter.eval()(x).shape == (1, 1, J, 3)
