from pathlib import Path

import numpy as np
import pytest

from lifters3d.skeleton import JOINT_NAMES, LEFT, MIRROR, RIGHT
from pipeline.joints import COCO_NAMES, blazepose_world_to_h36m, coco_to_h36m, halpe26_to_h36m

DATA = Path(__file__).parent.parent / "data" / "joint_maps.npz"
COCO_MIRROR = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]


@pytest.fixture(scope="module")
def golden():
    """Twelve random poses of each format, and what the authors' own code made of them."""
    with np.load(DATA) as file:
        return dict(file)


def test_equals_the_research_demos(golden):
    keypoints, scores = coco_to_h36m(golden["coco"], golden["coco_scores"])
    # Positions are up to 900 px: two steps of float32 there are 1.2e-4.
    np.testing.assert_allclose(keypoints, golden["h36m_demo"], rtol=0, atol=2e-4)
    np.testing.assert_allclose(scores, golden["h36m_demo_scores"], rtol=0, atol=2e-7)
    assert keypoints.dtype == scores.dtype == np.float32


def test_any_leading_axes_and_no_scores(golden):
    coco = golden["coco"]
    flat, none = coco_to_h36m(coco)
    assert none is None
    deep, _ = coco_to_h36m(coco.reshape(3, 2, 2, 17, 2))
    np.testing.assert_array_equal(deep.reshape(12, 17, 2), flat)
    np.testing.assert_array_equal(coco_to_h36m(coco[5])[0], flat[5])
    assert coco_to_h36m(np.empty((0, 17, 2)), np.empty((0, 17)))[0].shape == (0, 17, 2)


def test_input_is_not_changed(golden):
    before = golden["coco"].copy(), golden["coco_scores"].copy()
    coco_to_h36m(golden["coco"], golden["coco_scores"])
    np.testing.assert_array_equal(golden["coco"], before[0])
    np.testing.assert_array_equal(golden["coco_scores"], before[1])


def test_mirrored_person_gives_mirrored_joints(golden):
    coco, sign = golden["coco"].astype(np.float64), np.array([-1, 1])
    mirrored, scores = coco_to_h36m(coco[:, COCO_MIRROR] * sign, golden["coco_scores"])
    straight, _ = coco_to_h36m(coco, golden["coco_scores"])
    np.testing.assert_allclose(mirrored, straight[:, list(MIRROR)] * sign, atol=2e-4)
    assert scores.shape == (12, 17)


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ("left_wrist", {"LWrist"}),
        ("right_knee", {"RKnee"}),
        ("left_ear", {"Head"}),
        ("left_eye", {"Head", "Thorax"}),
        ("nose", {"Neck/Nose", "Head", "Thorax", "Spine"}),
        ("right_hip", {"RHip", "Hip", "Spine"}),
        ("left_shoulder", {"LShoulder", "Thorax", "Spine", "Neck/Nose"}),
    ],
)
def test_a_missing_keypoint_takes_only_its_own_joints(golden, missing, expected):
    coco = golden["coco"].copy()
    coco[4, COCO_NAMES.index(missing)] = np.nan
    h36m, _ = coco_to_h36m(coco)
    absent = {JOINT_NAMES[j] for j in np.flatnonzero(np.isnan(h36m[4]).all(-1))}
    assert absent == expected
    assert np.isnan(h36m[4]).sum() == 2 * len(expected)
    assert not np.isnan(np.delete(h36m, 4, 0)).any()


@pytest.mark.parametrize("shape", [(17, 3), (16, 2), (33, 2), (17,)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="keypoints must be"):
        coco_to_h36m(np.zeros(shape))


def test_scores_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="scores must be"):
        coco_to_h36m(np.zeros((17, 2)), np.zeros(16))


def test_overlay_variant_equals_the_research_demos(golden):
    keypoints, _ = coco_to_h36m(golden["coco"], formulae="gast-overlay")
    np.testing.assert_allclose(keypoints, golden["h36m_overlay_variant"], rtol=0, atol=2e-4)
    lifting, _ = coco_to_h36m(golden["coco"])
    assert np.abs(keypoints - lifting)[:, JOINT_NAMES.index("Spine"), 0].max() > 100


def test_mmpose_guesses_are_midpoints(golden):
    """Every joint is the mean of a few keypoints, and so is its score."""
    made_of = {
        "Hip": ["left_hip", "right_hip"],
        "Spine": ["left_hip", "right_hip", "left_shoulder", "right_shoulder"],
        "Thorax": ["left_shoulder", "right_shoulder"],
        "Neck/Nose": ["nose"],
        "Head": ["left_eye", "right_eye"],
    }
    for joint in ("Hip", "Knee", "Foot", "Shoulder", "Elbow", "Wrist"):
        part = "ankle" if joint == "Foot" else joint.lower()
        made_of |= {"L" + joint: ["left_" + part], "R" + joint: ["right_" + part]}
    coco, scores = golden["coco"].astype(float), golden["coco_scores"].astype(float)
    keypoints, h36m_scores = coco_to_h36m(coco, scores, formulae="mmpose")
    for joint, name in enumerate(JOINT_NAMES):
        parts = [COCO_NAMES.index(part) for part in made_of[name]]
        np.testing.assert_allclose(keypoints[:, joint], coco[:, parts].mean(1), atol=1e-4)
        np.testing.assert_allclose(h36m_scores[:, joint], scores[:, parts].mean(1), atol=1e-6)


def test_other_formulae_are_refused():
    with pytest.raises(ValueError, match="formulae must be"):
        coco_to_h36m(np.zeros((17, 2)), formulae="vibe")


def test_halpe26_equals_motionbert(golden):
    halpe, expected = golden["halpe26"], golden["h36m_motionbert"]
    keypoints, scores = halpe26_to_h36m(halpe[..., :2], halpe[..., 2])
    np.testing.assert_allclose(keypoints, expected[..., :2], rtol=0, atol=1e-4)
    np.testing.assert_allclose(scores, expected[..., 2], rtol=0, atol=1e-7)
    assert keypoints.dtype == scores.dtype == np.float32
    deep, none = halpe26_to_h36m(halpe[..., :2].reshape(3, 4, 26, 2))
    assert none is None
    np.testing.assert_array_equal(deep.reshape(12, 17, 2), keypoints)


def test_a_missing_halpe_keypoint_takes_only_its_own_joints(golden):
    halpe = golden["halpe26"][..., :2].copy()
    halpe[0, 18, 1] = np.nan  # half of the neck
    halpe[1, 17] = np.nan  # head
    halpe[2, 19] = np.nan  # hip
    halpe[3, 20:] = np.nan  # feet
    missing = np.isnan(halpe26_to_h36m(halpe)[0])
    expected = [{"Thorax", "Spine"}, {"Head"}, {"Hip", "Spine"}, set()]
    for pose, names in zip(missing, expected, strict=False):
        assert {JOINT_NAMES[joint] for joint in np.flatnonzero(pose.all(-1))} == names
        assert pose.sum() == 2 * len(names)


@pytest.mark.parametrize(
    ("keypoints", "scores", "message"),
    [((17, 2), (17,), "keypoints must be"), ((26, 2), (17,), "scores must be")],
)
def test_halpe26_of_other_shapes_is_refused(keypoints, scores, message):
    with pytest.raises(ValueError, match=message):
        halpe26_to_h36m(np.zeros(keypoints), np.zeros(scores))


def standing():
    """A person facing the camera, metres, y down: the left side is at positive x."""
    landmarks = np.full((33, 3), np.nan)
    for joint, place in {
        0: (0.00, -0.62, -0.20),
        7: (0.08, -0.65, 0.0),
        11: (0.18, -0.45, 0.0),
        13: (0.22, -0.20, 0.0),
        15: (0.24, 0.02, -0.05),
        23: (0.12, 0.00, 0.0),
        25: (0.13, 0.40, -0.02),
        27: (0.14, 0.80, 0.03),
    }.items():
        landmarks[joint] = place
        landmarks[joint + 1] = np.multiply(place, (-1, 1, 1))
    landmarks[0] = (0.0, -0.62, -0.20)
    return landmarks


def test_blazepose_world_joints():
    landmarks = standing()
    h36m = blazepose_world_to_h36m(landmarks)
    named = dict(zip(JOINT_NAMES, h36m, strict=True))
    expected = {
        "Hip": (0, 0, 0),
        "LHip": (0.12, 0, 0),
        "RKnee": (-0.13, 0.40, -0.02),
        "LFoot": (0.14, 0.80, 0.03),
        "Spine": (0, -0.225, 0),
        "Thorax": (0, -0.45, 0),
        "Neck/Nose": (0, -0.62, -0.20),
        "Head": (0, -0.70, 0),
        "LShoulder": (0.18, -0.45, 0),
        "RElbow": (-0.22, -0.20, 0),
        "RWrist": (-0.24, 0.02, -0.05),
    }
    for name, place in expected.items():
        np.testing.assert_allclose(named[name], place, atol=1e-6, err_msg=name)
    assert (h36m[list(LEFT), 0] > 0).all()
    assert (h36m[list(RIGHT), 0] < 0).all()


def test_blazepose_world_is_relative_to_the_hip_on_any_leading_axes():
    moved = np.stack([standing() + np.array([1, 2, 3]), standing()])[:, None]
    h36m = blazepose_world_to_h36m(moved)
    assert h36m.shape == (2, 1, 17, 3)
    np.testing.assert_allclose(h36m[0], h36m[1], atol=1e-6)
    with pytest.raises(ValueError, match="landmarks must be"):
        blazepose_world_to_h36m(np.zeros((17, 3)))
