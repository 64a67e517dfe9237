"""Missing joints: on a person who stands the guesses are right, and lifting stays whole."""

from pathlib import Path

import numpy as np
import pytest

from lifters3d.skeleton import LIMB_JOINTS, MIRROR
from pipeline.lifting import LAYOUTS, lift
from pipeline.missing import complete_poses

WALK = Path(__file__).parents[2] / "demos" / "walk.npz"


@pytest.fixture(scope="module")
def walk():
    """The truth of the demo clip: COCO 2D and H36M 2D, px; root-relative joints, mm."""
    with np.load(WALK) as truth:
        world = truth["joints3d_world"][:, 0]
        camera = np.einsum("tij,tkj->tki", truth["R"], world)
        joints = 1000 * (camera - camera[:, :1])
        return truth["coco2d"][:, 0], truth["joints2d"][:, 0], joints


def test_what_is_there_stays(walk):
    assert complete_poses(walk[1]) is walk[1]
    holed = walk[1].copy()
    holed[:, [3, 9]] = np.nan
    found = complete_poses(holed)
    kept = [joint for joint in range(17) if joint not in (3, 9)]
    np.testing.assert_array_equal(found[:, kept], walk[1][:, kept])
    assert np.isfinite(found).all()


@pytest.mark.parametrize("joint", range(17))
def test_guesses_of_a_man_who_walks(walk, joint):
    """Within 0.36 of the trunk of the truth (wrists 0.45)."""
    holed = walk[1].copy()
    holed[:, joint] = np.nan
    scale = np.linalg.norm(walk[1][:, 8] - walk[1][:, 0], axis=-1)
    error = np.linalg.norm(complete_poses(holed)[:, joint] - walk[1][:, joint], axis=-1) / scale
    assert np.median(error) < (0.45 if joint in (13, 16) else 0.36)


def test_left_is_treated_as_right(walk):
    random = np.random.default_rng(0)
    holed = np.where(random.random((len(walk[1]), 17, 1)) < 0.3, np.nan, walk[1] - 480.0)
    turned = holed[:, MIRROR] * [-1, 1]
    np.testing.assert_allclose(
        complete_poses(turned), complete_poses(holed)[:, MIRROR] * [-1, 1], atol=1e-3
    )


def test_nothing_to_go_by():
    poses = np.full((3, 17, 2), np.nan)
    poses[1, 7] = 5.0, 6.0
    poses[2, 11] = np.inf
    found = complete_poses(poses)
    np.testing.assert_array_equal(found[1], np.tile([5.0, 6.0], (17, 1)))
    np.testing.assert_array_equal(found[[0, 2]], np.zeros((2, 17, 2)))


@pytest.mark.parametrize(
    ("missing", "affected", "limit"),
    [([0], [9, 10], 150), ([0, 1, 2, 3, 4], [9, 10], 150), ([15, 16], [3, 6], 260)],
)
def test_joints_never_found_do_not_spoil_the_others(walk, missing, affected, limit):
    coco, _, true = walk
    whole = lift(coco, (960, 540), layout="coco")
    holed = coco.copy()
    holed[:, missing] = np.nan
    found = lift(holed, (960, 540), layout="coco")
    error = np.linalg.norm(1000 * found - true, axis=-1)
    others = [joint for joint in LIMB_JOINTS if joint not in affected]
    before = np.linalg.norm(1000 * whole - true, axis=-1)[:, others].mean()
    assert error[:, others].mean() < before + 20
    assert error[:, affected].mean() < limit


def test_a_missing_nose_is_where_eyes_and_ears_are(walk):
    holed = walk[0].copy()
    holed[:, 0] = np.nan
    scale = np.linalg.norm(walk[1][:, 8] - walk[1][:, 0], axis=-1)
    error = LAYOUTS["coco"](holed)[:, 9] - LAYOUTS["coco"](walk[0])[:, 9]
    assert (np.linalg.norm(error, axis=-1) / scale).max() < 0.2
    holed[:, 1:5] = np.nan
    assert np.isnan(LAYOUTS["coco"](holed)[:, 9]).all()
