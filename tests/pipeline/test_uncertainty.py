"""Signs of doubt against geometry by hand; the fit against errors that were made to follow it."""

import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from lifters3d.skeleton import HIP, PARENTS
from pipeline.uncertainty import (
    CALIBRATION,
    LEAST_ERROR,
    SIGNS,
    UNSEEN,
    fit_weights,
    predict,
    signs_of_doubt,
    uncertainty,
)

RNG = np.random.default_rng(1)
SIZE, FOCAL = (640, 480), 800.0


def scene(frames=9):
    joints = RNG.normal(0, 0.4, (17, 3))
    joints[HIP] = 0
    joints = np.repeat(joints[None], frames, axis=0)
    root = np.tile([0.3, -0.2, 4.0], (frames, 1))
    placed = joints + root[:, None]
    pixels = FOCAL * placed[..., :2] / placed[..., 2:] + np.array(SIZE) / 2
    return joints, pixels, root


def test_signs_of_a_perfect_pose():
    joints, pixels, root = scene()
    doubt = RNG.random((9, 17, 2))
    signs = signs_of_doubt(joints, pixels, root, doubt, FOCAL, SIZE)
    assert signs.shape == (9, 17, len(SIGNS))
    np.testing.assert_array_equal(signs[..., :2], doubt)
    assert signs[..., 2].max() < 1e-6
    assert np.nanmax(signs[..., 3]) < 1e-6
    assert np.isnan(signs[:, HIP, 3]).all()


def test_reprojection_is_in_metres_at_the_joint():
    joints, pixels, root = scene()
    pixels[4, 7] += [30, 40]  # 50 px
    signs = signs_of_doubt(joints, pixels, root, np.zeros((9, 17, 2)), FOCAL, SIZE)
    expected = 50 * (joints[4, 7, 2] + 4.0) / FOCAL
    assert signs[4, 7, 2] == pytest.approx(expected, rel=1e-6)


def test_bones_that_change_their_length():
    joints, pixels, root = scene()
    shin = joints[2, 3] - joints[2, PARENTS[3]]
    joints[2, 3] += 0.2 * shin
    signs = signs_of_doubt(joints, pixels, root, np.zeros((9, 17, 2)), FOCAL, SIZE)
    assert signs[2, 3, 3] == pytest.approx(np.log(1.2), rel=1e-6)
    assert signs[3, 3, 3] == pytest.approx(0, abs=1e-9)
    causal = signs_of_doubt(joints, pixels, root, np.zeros((9, 17, 2)), FOCAL, SIZE, causal=True)
    assert np.isnan(causal[..., 3]).all()


def test_the_fit_finds_what_errors_follow():
    signs = np.exp(RNG.normal(-3, 1, (4000, 17, 4)))
    signs[::5, :, 1] = np.nan
    errors = (
        0.5
        * np.sqrt(signs[..., 0])
        * np.linspace(1, 2, 17)
        * np.exp(RNG.normal(0, 0.3, (4000, 17)))
    )
    weights, means, scale = fit_weights(signs, errors)
    guess = scale * predict(signs, weights, means)
    limbs = np.arange(17) != HIP
    assert spearmanr(guess[:, limbs].ravel(), errors[:, limbs].ravel()).statistic > 0.8
    assert guess[:, limbs].mean() == pytest.approx(errors[:, limbs].mean(), rel=1e-9)
    assert np.abs(weights[limbs, 0]).min() > 0.3  # a root, flattened at small errors
    assert np.abs(weights[limbs, 1:4]).max() < 0.1


def test_in_metres_for_every_joint():
    signs = np.full((5, 17, 4), 0.02)
    signs[3] = np.nan
    unseen = np.zeros((5, 17), bool)
    unseen[1, 13] = True
    for lifter in ("mixste", "a file of somebody"):
        distance = uncertainty(signs, unseen, lifter)
        assert distance.dtype == np.float32
        assert (distance[[0, 1, 2, 4], HIP] == 0).all()
        assert np.isnan(distance[3]).all()
        limbs = distance[0, np.arange(17) != HIP]
        assert 0.005 < limbs.min() < limbs.max() < 0.3
        assert distance[1, 13] >= np.float32(UNSEEN)
        # Doubt makes less sure.
        more = uncertainty(3 * signs, unseen, lifter)
        assert more[0, 1:].mean() > distance[0, 1:].mean() + 0.005


def test_every_shipped_lifter_is_calibrated():
    import lifters3d

    known = json.loads(CALIBRATION.read_text())
    assert set(known) == {*lifters3d.names(), "others"}
    for fit in known.values():
        assert np.shape(fit["weights"]) == (17, 5)
        assert 0.8 < fit["scale"] < 1.6
    assert LEAST_ERROR > 0
