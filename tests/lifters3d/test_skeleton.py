from pathlib import Path

import numpy as np
import pytest
import torch

from lifters3d.data.clips import H36M
from lifters3d.data.humaneva import HUMANEVA15
from lifters3d.data.mpi_inf_3dhp import MPI_INF_3DHP
from lifters3d.skeleton import (
    HEAD,
    HIP,
    JOINT_NAMES,
    LEFT,
    LIMB_JOINTS,
    MIRROR,
    NOSE,
    PARENTS,
    RIGHT,
    SPINE,
    THORAX,
    derive_trunk,
    flip,
)


def test_human36m_order():
    """The 17 joints, their parents and sides as the data set's users publish them."""
    expected = (
        "Hip RHip RKnee RFoot LHip LKnee LFoot Spine Thorax Neck/Nose Head "
        "LShoulder LElbow LWrist RShoulder RElbow RWrist"
    )
    assert " ".join(JOINT_NAMES) == expected
    assert PARENTS == (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)
    assert sorted(LEFT) == [4, 5, 6, 11, 12, 13]
    assert sorted(RIGHT) == [1, 2, 3, 14, 15, 16]


def test_names_agree_with_sides_and_constants():
    assert [JOINT_NAMES[i] for i in (HIP, SPINE, THORAX, NOSE, HEAD)] == [
        *("Hip", "Spine", "Thorax", "Neck/Nose", "Head")
    ]
    for left, right in zip(LEFT, RIGHT, strict=True):
        assert JOINT_NAMES[left] == "L" + JOINT_NAMES[right][1:]
        assert MIRROR[left] == right
        assert MIRROR[right] == left
    assert {JOINT_NAMES[i][1:] for i in LIMB_JOINTS} == {
        *("Hip", "Knee", "Foot", "Shoulder", "Elbow", "Wrist")
    }


def test_parents_come_first_and_mirror_with_their_children():
    assert all(parent < joint for joint, parent in enumerate(PARENTS))
    for joint in range(1, 17):
        assert PARENTS[MIRROR[joint]] == MIRROR[PARENTS[joint]]


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_flip(kind, dimensions):
    poses = np.random.default_rng(0).normal(size=(4, 5, 17, dimensions))
    before = poses.copy()
    flipped = np.asarray(flip(kind(poses)))
    assert (poses == before).all()
    for joint, name in enumerate(JOINT_NAMES):
        partner = JOINT_NAMES.index({"L": "R", "R": "L"}.get(name[0], name[0]) + name[1:])
        expected = poses[..., partner, :] * [-1, 1, 1][:dimensions]
        np.testing.assert_array_equal(flipped[..., joint, :], expected)
    np.testing.assert_array_equal(np.asarray(flip(kind(flipped))), poses)


@pytest.mark.parametrize("skeleton", [HUMANEVA15, H36M.without(NOSE), MPI_INF_3DHP, H36M])
def test_flip_of_other_skeletons(skeleton):
    """By the names of their joints, none of whose middle ones begins with an L or an R."""
    names = skeleton.names
    poses = np.random.default_rng(0).normal(size=(5, len(names), 3))
    flipped = flip(poses, skeleton.mirror)
    assert sum(name[0] in "LR" for name in names) == 12
    for joint, name in enumerate(names):
        partner = names.index({"L": "R", "R": "L"}.get(name[0], name[0]) + name[1:])
        np.testing.assert_array_equal(flipped[:, joint], poses[:, partner] * [-1, 1, 1])
    assert H36M.mirror == MIRROR


def test_flip_is_motionberts():
    with np.load(Path(__file__).parents[1] / "data" / "joint_maps.npz") as golden:
        np.testing.assert_array_equal(flip(golden["h36m_motionbert"]), golden["motionbert_flip"])


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_derive_trunk(kind):
    poses = np.random.default_rng(0).normal(size=(3, 17, 2))
    before = poses.copy()
    derived = np.asarray(derive_trunk(kind(poses)))
    assert (poses == before).all()
    joints = {name: poses[:, i] for i, name in enumerate(JOINT_NAMES)}
    hip = (joints["LHip"] + joints["RHip"]) / 2
    thorax = (joints["LShoulder"] + joints["RShoulder"]) / 2
    np.testing.assert_allclose(derived[:, 0], hip)
    np.testing.assert_allclose(derived[:, 8], thorax)
    np.testing.assert_allclose(derived[:, 7], (hip + thorax) / 2)
    np.testing.assert_array_equal(derived[:, 10], joints["Neck/Nose"])
    kept = [i for i in range(17) if i not in (0, 7, 8, 10)]
    np.testing.assert_array_equal(derived[:, kept], poses[:, kept])


def test_derived_trunk_does_not_depend_on_what_it_replaces():
    poses = np.random.default_rng(1).normal(size=(3, 17, 2))
    other = poses.copy()
    other[:, [0, 7, 8, 10]] = np.nan
    np.testing.assert_array_equal(derive_trunk(other), derive_trunk(poses))
    np.testing.assert_allclose(derive_trunk(derive_trunk(poses)), derive_trunk(poses))
