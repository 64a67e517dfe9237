"""Bones of constant length and heights of bodies, of a man whose bones are known."""

from pathlib import Path

import numpy as np
import pytest

from lifters3d.skeleton import PARENTS
from pipeline.bones import body_height, bone_lengths, constant_bones, height_scale
from tests.pipeline.walker import SHANK, THIGH, filmed, walk

WALK = Path(__file__).parents[2] / "demos" / "walk.npz"
SHARED = Path(__file__).parents[3] / "shared" / "demo"
FOCAL, SIZE = 1000.0, (1280, 720)


def lengths(joints):
    """(F, 16)"""
    return np.linalg.norm(joints[:, 1:] - joints[:, list(PARENTS[1:])], axis=-1)


def seen(joints, root):
    return (
        FOCAL * (joints + root[:, None])[..., :2] / (joints + root[:, None])[..., 2:]
        + np.array(SIZE) / 2
    )


@pytest.fixture
def man():
    """Poses (F, 17, 3), root (F, 3) and keypoints (F, 17, 2) px of a man who walks a circle."""
    joints, root, _ = filmed(walk()[0], 10, 1.5)
    return joints, root, seen(joints, root)


def wobbling(joints):
    """The poses with every bone of every frame longer or shorter, 8 % usually."""
    factor = np.exp(np.random.default_rng(0).normal(0, 0.08, joints.shape[:2]))
    other = np.zeros_like(joints)
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            bone = joints[:, joint] - joints[:, parent]
            other[:, joint] = other[:, parent] + bone * factor[:, joint, None]
    return other


def test_bone_lengths_are_usual_ones_and_the_same_on_both_sides(man):
    joints, _, _ = man
    found = bone_lengths(np.concatenate([joints, np.full((50, 17, 3), np.nan)]))
    np.testing.assert_allclose(found[[2, 3, 5, 6]], [THIGH, SHANK, THIGH, SHANK], atol=1e-9)
    joints[:, 3] += 0.1 * (joints[:, 3] - joints[:, 2])
    joints[:5, [12, 13, 15, 16]] *= 3  # a few wild frames
    found = bone_lengths(joints)
    np.testing.assert_allclose(found[[3, 6]], 1.05 * SHANK)
    np.testing.assert_allclose(found[13], np.hypot(0.23, 0.08), rtol=0.01)
    assert np.isnan(bone_lengths(np.full((3, 17, 3), np.nan))).all()


def test_constant_bones_are_constant_and_near(man):
    joints, _, keypoints = man
    shaky = wobbling(joints)
    steady = constant_bones(shaky.astype(np.float32), keypoints, FOCAL, SIZE)
    assert steady.dtype == np.float32
    np.testing.assert_allclose(
        lengths(steady), bone_lengths(shaky)[1:] + 0 * lengths(steady), atol=1e-5
    )
    np.testing.assert_array_equal(steady[:, 0], 0)
    # Nearer to the truth than what it was made of, as the medians of the lengths are.
    error, before = (np.linalg.norm(x - joints, axis=-1).mean() for x in (steady, shaky))
    assert error < 0.85 * before


def test_joints_move_along_the_line_of_sight_rather_than_across(man):
    joints, root, keypoints = man
    shaky = wobbling(joints)
    moved = constant_bones(shaky, keypoints, FOCAL, SIZE) - shaky
    sight = root / np.linalg.norm(root, axis=-1, keepdims=True)
    along = np.abs(np.einsum("fji,fi->fj", moved, sight))
    across = np.sqrt((moved**2).sum(-1) - along**2)
    # These bones lie across the line of sight and one step of them is all that is needed; moving
    # along their own directions would give 0.31.
    assert along[:, 1:].mean() > 0.45 * across[:, 1:].mean()


def test_what_is_constant_or_absent_stays(man):
    joints, _, keypoints = man
    joints[30:40] = np.nan
    steady = constant_bones(joints, keypoints, FOCAL, SIZE)
    np.testing.assert_allclose(steady, joints, atol=1e-6)
    nobody = np.full((4, 17, 3), np.nan)
    assert np.isnan(constant_bones(nobody, nobody[..., :2], FOCAL, SIZE)).all()
    heap = constant_bones(np.zeros((4, 17, 3)), np.zeros((4, 17, 2)), FOCAL, SIZE)
    np.testing.assert_array_equal(heap, 0)


def test_heights_of_the_people_of_the_clips():
    clips = [WALK, *sorted(SHARED.glob("*.npz"))]
    for clip in clips:
        with np.load(clip) as truth:
            for person, height in enumerate(truth["heights"]):
                joints = truth["joints3d_world"][:, person]
                assert body_height(joints) == pytest.approx(height, rel=0.015)


def test_height_scale_makes_people_as_tall_as_was_told(man):
    joints, _, _ = man
    factor = height_scale(0.8 * joints, 1.78)
    assert body_height(0.8 * joints * factor) == pytest.approx(1.78)
    assert height_scale(joints * 1.25, 1.78) == pytest.approx(factor * 0.64)
    assert height_scale(np.full((4, 17, 3), np.nan), 1.78) == 1
    assert height_scale(np.zeros((4, 17, 3)), 1.78) == 1
