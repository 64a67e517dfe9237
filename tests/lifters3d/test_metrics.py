"""Errors of poses, held against numbers of the papers' own code."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lifters3d.evaluation.metrics import (
    align_similarity,
    joint_errors,
    mpjpe,
    mpjve,
    n_mpjpe,
    p_mpjpe,
)

DATA = Path(__file__).parents[1] / "data" / "metrics.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(DATA) as file:
        return {key: value.astype(np.float64) for key, value in file.items()}


@pytest.mark.parametrize("metric", [mpjpe, p_mpjpe, n_mpjpe, mpjve])
def test_equals_the_papers_code(golden, metric):
    value = metric(golden["predicted"], golden["target"])
    assert value == pytest.approx(golden[metric.__name__], abs=1e-7)


def test_p_mpjpe_of_every_frame(golden):
    aligned = align_similarity(golden["predicted"], golden["target"])
    errors = joint_errors(aligned, golden["target"]).mean(-1)
    np.testing.assert_allclose(errors, golden["p_mpjpe_per_frame"], rtol=0, atol=2e-7)


def test_a_mirrored_pose_is_not_mirrored_back(golden):
    """With reflections allowed, the mirrored half would have an error as small as the other."""
    value = p_mpjpe(golden["predicted_mirrored"], golden["target"])
    assert value == pytest.approx(golden["p_mpjpe_mirrored"], abs=1e-6)
    assert value > 3 * golden["p_mpjpe"]


def test_alignment_undoes_a_similarity(golden):
    target = golden["target"]
    turn = Rotation.random(60, random_state=0).as_matrix()
    moved = 1.7 * target @ turn.transpose(0, 2, 1) + np.arange(180).reshape(60, 1, 3)
    np.testing.assert_allclose(align_similarity(moved, target), target, atol=1e-9)
    assert p_mpjpe(moved, target) < 1e-9
    assert mpjpe(moved, target) > 1


def test_alignment_is_the_best_one(golden):
    """No small change of the alignment makes the sum of squares smaller."""
    predicted, target = golden["predicted_mirrored"][:10], golden["target"][:10]
    aligned = align_similarity(predicted, target)
    best = np.square(aligned - target).sum((-1, -2))
    centre = aligned.mean(-2, keepdims=True)
    for vector in np.concatenate([np.eye(3), -np.eye(3)]) * 0.01:
        turn = Rotation.from_rotvec(vector).as_matrix()
        for other in ((aligned - centre) @ turn.T + centre, aligned + vector):
            assert (np.square(other - target).sum((-1, -2)) > best).all()
    for scale in (0.99, 1.01):
        other = (aligned - centre) * scale + centre
        assert (np.square(other - target).sum((-1, -2)) > best).all()


def test_known_errors():
    target = np.random.default_rng(0).normal(size=(2, 7, 17, 3))
    shifted = target + np.array([3.0, 0.0, 4.0])
    assert mpjpe(shifted, target) == pytest.approx(5)
    assert mpjve(shifted, target) == pytest.approx(0)
    assert n_mpjpe(0.3 * target, target) == pytest.approx(0, abs=1e-12)
    drifting = target + np.arange(7)[:, None, None] * [0.0, 0.6, 0.8]
    assert mpjve(drifting, target) == pytest.approx(1)
    assert joint_errors(shifted, target).shape == (2, 7, 17)


def test_a_pose_without_extent_has_finite_error():
    target = np.random.default_rng(0).normal(size=(1, 17, 3))
    aligned = align_similarity(np.zeros((1, 17, 3)), target)
    np.testing.assert_allclose(aligned, target.mean(1, keepdims=True).repeat(17, 1))
