"""What the tests of loading share: a quick lifter, and the line with which loading fails."""

import pytest
import torch

import lifters3d
from tests.filling import filled
from weights.errors import Pose3dError

SMALL = {"frames": 9, "width": 16, "depth": 2}


def small(name="mixste", **config):
    """A quick lifter whose every weight matters, with 8 heads."""
    lifter = lifters3d.build(name, **{**SMALL, **config}).eval()
    state = {k: torch.from_numpy(filled(k, v.shape)) for k, v in lifter.state_dict().items()}
    lifter.load_state_dict(state)
    return lifter


def the_error(source) -> str:
    """The message with which ``load`` fails: one short line."""
    with pytest.raises(Pose3dError) as caught:
        lifters3d.load(source)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    return message
