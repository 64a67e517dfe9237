"""Quick HRNets whose every weight matters, and the line with which loading them fails."""

import pytest
import torch

from detectors2d.hrnet import HRNet
from detectors2d.registry import load_pose
from tests.filling import filled
from weights.errors import Pose3dError


def small(width=8, **config) -> HRNet:
    with torch.device("meta"):
        network = HRNet(width, **config).eval()
    state = {k: torch.from_numpy(filled(k, v.shape)) for k, v in network.state_dict().items()}
    network.load_state_dict(state, strict=True, assign=True)
    return network


def pictures(count=1, height=64, width=64):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def answers_alike(network, other) -> bool:
    with torch.inference_mode():
        return torch.equal(network(pictures()), other(pictures()))


def the_error(source, **config) -> str:
    """The message with which ``load_pose`` fails: one short line."""
    with pytest.raises(Pose3dError) as caught:
        load_pose(source, **config)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    return message
