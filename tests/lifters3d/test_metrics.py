"""Errors of poses, held against numbers of the papers' own code."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lifters3d.evaluation.metrics import (
    AUC_THRESHOLDS_MM,
    SCORED_JOINTS_3DHP,
    SCORED_JOINTS_H36M,
    align_scale,
    align_similarity,
    auc,
    joint_errors,
    mpjpe,
    mpjve,
    n_mpjpe,
    p_mpjpe,
    pck,
    per_joint,
    velocity_errors,
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


@pytest.mark.parametrize("kind", ["predicted", "predicted_mirrored"])
def test_alignment_equals_scipys(golden, kind):
    """Kabsch's rotation of scipy, and the scale of least squares for it."""
    aligned = align_similarity(golden[kind], golden["target"])
    for pose, target, ours in zip(golden[kind], golden["target"], aligned, strict=True):
        p, t = pose - pose.mean(0), target - target.mean(0)
        turned = Rotation.align_vectors(t, p)[0].apply(p)
        scaled = turned * (turned * t).sum() / (p * p).sum() + target.mean(0)
        np.testing.assert_allclose(ours, scaled, rtol=0, atol=1e-6)


def test_a_pose_of_zeros_cannot_be_scaled():
    target = np.full((2, 17, 3), 2.0)
    predicted = np.stack([np.zeros((17, 3)), np.full((17, 3), 0.5)])
    assert n_mpjpe(predicted, target) == pytest.approx(np.sqrt(12) / 2)
    np.testing.assert_allclose(align_scale(predicted, target)[1], target[1])


def test_a_single_frame_has_no_velocity():
    poses = np.zeros((3, 1, 17, 3))
    assert np.isnan(mpjve(poses, poses))


def test_velocity_per_second_is_the_rate_times_velocity_per_frame():
    target = np.zeros((4, 17, 3))
    predicted = np.arange(4)[:, None, None] * np.array([0.0, 3.0, 4.0]) * np.ones((17, 1))
    assert mpjve(predicted, target) == pytest.approx(5)
    assert mpjve(predicted, target, frame_rate=50) == pytest.approx(250)
    assert velocity_errors(predicted, target).shape == (3, 17)


def test_errors_per_joint():
    errors = np.array([[[1.0, 10.0], [3.0, 20.0]], [[5.0, 30.0], [7.0, 40.0]]])
    np.testing.assert_allclose(per_joint(errors), [4, 25])


def at(*errors):
    """Poses whose joints have these errors, exactly, and their targets at 0."""
    poses = np.zeros((1, len(errors), 3))
    poses[0, :, 1] = errors
    return poses, np.zeros_like(poses)


def test_pck_does_not_count_an_error_of_the_threshold():
    assert pck(*at(150.0)) == 0
    assert pck(*at(np.nextafter(150.0, 0))) == 1
    assert pck(np.array([[90.0, 120.0, 0.0]]), np.zeros((1, 3))) == 0
    assert pck(*at(0.0, 49.0, 50.0, 51.0), threshold=50) == 0.5
    assert pck(*at(0.0), threshold=0) == 0


def test_auc_of_known_errors():
    """31 thresholds 0, 5, ..., 150: nothing is below 0, so that perfect poses miss one."""
    assert AUC_THRESHOLDS_MM[:2] == (0, 5)
    assert len(AUC_THRESHOLDS_MM) == 31
    assert AUC_THRESHOLDS_MM[-1] == 150
    assert auc(*at(0.0, 0.0)) == pytest.approx(30 / 31)
    assert auc(*at(5.0)) == pytest.approx(29 / 31)  # 10, ..., 150
    assert auc(*at(149.9)) == pytest.approx(1 / 31)
    assert auc(*at(150.0, 1e4)) == 0
    assert auc(*at(0.0, 150.0)) == pytest.approx(15 / 31)


def test_auc_is_the_mean_of_pck():
    random = np.random.default_rng(0)
    predicted, target = 60 * random.normal(size=(2, 50, 14, 3))
    shares = [pck(predicted, target, threshold) for threshold in range(0, 151, 5)]
    assert auc(predicted, target) == pytest.approx(sum(shares) / 31)
    assert auc(predicted, target, [70]) == pytest.approx(shares[14])


def test_scored_joints_are_the_same_in_both_orders():
    """``order`` puts joints of MPI-INF-3DHP into the order of Human3.6M."""
    order = [14, 8, 9, 10, 11, 12, 13, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4]
    assert sorted(order[joint] for joint in SCORED_JOINTS_H36M) == list(SCORED_JOINTS_3DHP)
