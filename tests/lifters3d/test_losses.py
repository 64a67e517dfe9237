"""Training losses, held against numbers of the papers' own code (see also test_training.py)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lifters3d.data.clips import H36M
from lifters3d.data.humaneva import HUMANEVA15
from lifters3d.skeleton import MIRROR
from lifters3d.strided import Strided
from lifters3d.training.losses import (
    MIXSTE_JOINT_WEIGHTS,
    full_to_single_loss,
    mixste_loss,
    mpjpe_loss,
    temporal_consistency_loss,
    velocity_loss,
    weighted_mpjpe_loss,
)

DATA = Path(__file__).parents[1] / "data" / "metrics.npz"
TOLERANCE = 3e-8  # metres; the golden sums are float32


@pytest.fixture(scope="module")
def golden():
    with np.load(DATA) as file:
        return {key: torch.from_numpy(value).double() for key, value in file.items()}


@pytest.fixture(scope="module")
def clips(golden):
    """One clip of 60 frames, (1, 60, 17, 3): predicted and target."""
    return golden["predicted"][None], golden["target"][None]


@pytest.mark.parametrize(
    ("loss", "key"),
    [
        (mpjpe_loss, "mpjpe"),
        (weighted_mpjpe_loss, "mixste_wmpjpe"),
        (velocity_loss, "mixste_mpjve"),
        (mixste_loss, "mixste_total"),
    ],
)
def test_equals_the_authors_code(golden, clips, loss, key):
    assert loss(*clips).item() == pytest.approx(golden[key].item(), abs=TOLERANCE)


def test_temporal_consistency_equals_the_authors_code(golden, clips):
    loss = temporal_consistency_loss(clips[0]).item()
    assert loss == pytest.approx(golden["mixste_tc"].item(), abs=TOLERANCE)


def test_full_to_single_equals_the_authors_code(golden, clips):
    predicted, target = clips
    loss = full_to_single_loss(predicted[:, 30:31], predicted, target).item()
    assert loss == pytest.approx(golden["strided_loss"].item(), abs=TOLERANCE)


def test_weights_are_the_authors_and_the_same_on_both_sides(golden):
    assert list(MIXSTE_JOINT_WEIGHTS) == golden["mixste_weights"].tolist()
    assert [MIXSTE_JOINT_WEIGHTS[joint] for joint in MIRROR] == list(MIXSTE_JOINT_WEIGHTS)


def test_temporal_consistency_of_known_movements():
    still = torch.randn(2, 1, 17, 3).expand(2, 6, 17, 3)
    assert temporal_consistency_loss(still).item() == 0
    wrist = torch.zeros(2, 6, 17, 3)
    wrist[:, :, 13, 0] = torch.arange(6) * 0.3  # weight 4, one of 17 joints, one of 3 axes
    assert temporal_consistency_loss(wrist).item() == pytest.approx(4 * 0.09 / 51)


def test_batches_are_averaged_and_clips_do_not_touch(clips):
    """Two clips in a batch are two clips, with no movement from one to the other."""
    halves = [clip.reshape(2, 30, 17, 3) for clip in clips]
    for loss in (mixste_loss, velocity_loss):
        parts = [loss(halves[0][i : i + 1], halves[1][i : i + 1]).item() for i in (0, 1)]
        assert loss(*halves).item() == pytest.approx(np.mean(parts))


def test_gradients_of_a_perfect_prediction_are_finite(clips):
    predicted = clips[1].clone().requires_grad_()
    mixste_loss(predicted, clips[1]).backward()
    assert torch.isfinite(predicted.grad).all()


def test_full_to_single_takes_what_the_network_gives():
    torch.manual_seed(0)
    lifter = Strided(frames=9, width=16, depth=1, heads=2, hidden=32, strides=(3, 3)).eval()
    target = torch.randn(2, 9, 17, 3)
    with torch.no_grad():
        centre, full = lifter.forward_training(torch.randn(2, 9, 17, 2))
    expected = (full - target).norm(dim=-1).mean() + (centre[:, 0] - target[:, 4]).norm(
        dim=-1
    ).mean()
    loss = full_to_single_loss(centre, full, target).item()
    assert loss == pytest.approx(expected.item())
    with pytest.raises(ValueError, match="centre must be"):
        full_to_single_loss(full, centre, target)


def test_the_paper_squares_the_distance():
    """All joints 0.2 m off: 0.04 square metres times the mean weight."""
    target = torch.randn(2, 5, 17, 3)
    predicted = target + torch.tensor([0.0, 0.12, 0.16])
    mean = sum(MIXSTE_JOINT_WEIGHTS) / 17
    squared = weighted_mpjpe_loss(predicted, target, squared=True).item()
    assert squared == pytest.approx(0.04 * mean, rel=1e-4)
    assert weighted_mpjpe_loss(predicted, target).item() == pytest.approx(0.2 * mean, rel=1e-4)


@pytest.mark.parametrize(
    ("joints", "names", "weights"),
    [
        (16, "RKnee Head LShoulder LWrist", (2.5, 1.5, 1.5, 4.0)),
        (15, "RKnee Head LShoulder LWrist Thorax LHip", (2.5, 1.5, 1.5, 4.0, 1.0, 1.0)),
    ],
)
def test_weights_of_other_skeletons_follow_the_names(joints, names, weights):
    skeleton = HUMANEVA15 if joints == 15 else H36M.without(9)
    for name, weight in zip(names.split(), weights, strict=True):
        target = torch.zeros(1, 2, joints, 3)
        predicted = target.clone()
        predicted[..., skeleton.names.index(name), 0] = 1.0
        loss = weighted_mpjpe_loss(predicted, target).item()
        assert loss == pytest.approx(weight / joints, rel=1e-5)
    with pytest.raises(ValueError, match="no weights for 12 joints"):
        weighted_mpjpe_loss(torch.zeros(1, 2, 12, 3), torch.zeros(1, 2, 12, 3))
