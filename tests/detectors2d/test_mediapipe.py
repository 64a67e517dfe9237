import subprocess
import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest

from detectors2d.mediapipe import (
    BLAZEPOSE_NAMES,
    MediaPipePose,
    _keypoints,
    blazepose_to_coco,
)
from weights.errors import Pose3dError

ROOT = Path(__file__).parent.parent.parent
SIDED = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
COCO = ["nose", *(f"{side}_{joint}" for joint in SIDED for side in ("left", "right"))]
SKIN, HAIR, SHIRT, TROUSERS = (224, 172, 140), (60, 40, 30), (40, 90, 170), (50, 50, 70)


def draw_figure(size=(480, 640), neck=(240, 170)):
    """A cartoon person facing the camera, in (H, W, 3) RGB, and where its joints were drawn.

    Its left side is on the right of the picture. Standing height is 420 px.
    """
    image = np.full((size[1], size[0], 3), (205, 215, 225), np.uint8)
    image[int(size[1] * 0.86) :] = (150, 130, 110)
    joints = {"nose": (0, -52)}
    for side, sign in (("left", 1), ("right", -1)):
        for name, (x, y) in {
            "eye": (13, -68),
            "ear": (34, -62),
            "shoulder": (58, 8),
            "elbow": (85, 83),
            "wrist": (100, 153),
            "hip": (28, 160),
            "knee": (34, 260),
            "ankle": (36, 355),
        }.items():
            joints[f"{side}_{name}"] = (sign * x, y)
    joints = {name: (neck[0] + x, neck[1] + y) for name, (x, y) in joints.items()}

    def line(a, b, colour, width):
        cv2.line(image, a, b, colour, width, cv2.LINE_AA)

    def oval(x, y, axes, colour):
        centre = (neck[0] + x, neck[1] + y)
        cv2.ellipse(image, centre, axes, 0, 0, 360, colour, -1, cv2.LINE_AA)

    for side, sign in (("left", 1), ("right", -1)):
        at = {n.removeprefix(side + "_"): p for n, p in joints.items() if n.startswith(side)}
        line(at["hip"], at["knee"], TROUSERS, 46)
        line(at["knee"], at["ankle"], TROUSERS, 36)
        oval(sign * 42, 372, (22, 12), (30, 30, 30))
        line(at["shoulder"], at["elbow"], SHIRT, 32)
        line(at["elbow"], at["wrist"], SKIN, 22)
        cv2.circle(image, at["wrist"], 15, SKIN, -1, cv2.LINE_AA)
    trunk = [(-66, -2), (66, -2), (52, 90), (52, 175), (-52, 175), (-52, 90)]
    cv2.fillPoly(image, [np.add(trunk, neck).astype(np.int32)], SHIRT, cv2.LINE_AA)
    line((neck[0], neck[1] - 30), (neck[0], neck[1] + 2), SKIN, 30)
    oval(0, -68, (36, 46), HAIR)
    oval(0, -58, (32, 42), SKIN)
    for sign in (1, -1):
        oval(sign * 13, -68, (6, 4), (250, 250, 250))
        oval(sign * 13, -68, (3, 3), (30, 30, 30))
    line((neck[0], neck[1] - 64), (neck[0] - 3, neck[1] - 50), (180, 120, 95), 3)
    line((neck[0] - 10, neck[1] - 36), (neck[0] + 10, neck[1] - 36), (170, 80, 80), 4)
    return cv2.GaussianBlur(image, (0, 0), 1.2), np.array([joints[n] for n in COCO], float)


@pytest.fixture
def detector():
    pytest.importorskip("mediapipe")
    with MediaPipePose() as made:
        yield made


def test_joints_are_where_they_were_drawn(detector):
    image, drawn = draw_figure()
    found = detector.detect(image)
    assert found.keypoints.dtype == found.scores.dtype == found.world.dtype == np.float32
    # The figure is 420 px high; eyes are 26 px apart, shoulders 116, so swapped sides would show.
    assert np.linalg.norm(found.keypoints - drawn, axis=-1).max() < 30
    assert np.linalg.norm(found.keypoints - drawn, axis=-1).mean() < 10
    assert (found.scores > 0.5).all()


def test_world_landmarks_have_our_axes(detector):
    image, _ = draw_figure()
    world = dict(zip(BLAZEPOSE_NAMES, detector.detect(image).world, strict=True))
    assert world["left_shoulder"][0] - world["right_shoulder"][0] > 0.15
    assert world["left_ankle"][1] - world["nose"][1] > 1.0
    assert world["nose"][2] < world["left_ear"][2]  # the face looks at the camera
    np.testing.assert_allclose((world["left_hip"] + world["right_hip"]) / 2, 0, atol=0.02)


def test_nobody_in_an_empty_picture(detector):
    empty = np.full((360, 640, 3), (205, 215, 225), np.uint8)
    assert all(detector.detect(empty) is None for _ in range(3))


def test_person_is_lost_and_found_elsewhere(detector):
    size = (1000, 640)
    left, drawn_left = draw_figure(size, (200, 170))
    right, drawn_right = draw_figure(size, (780, 190))
    empty = left.copy()
    empty[:, :400] = left[:, 450:850]
    for image, drawn in [(left, drawn_left), (empty, None), (right, drawn_right)]:
        for _ in range(4):
            found = detector.detect(image)
        if drawn is None:
            assert found is None
        else:
            assert np.linalg.norm(found.keypoints - drawn, axis=-1).mean() < 12


def test_a_new_detector_gives_the_same_numbers(detector):
    image, _ = draw_figure()
    first = [detector.detect(image) for _ in range(2)]
    with MediaPipePose() as other:
        second = [other.detect(image) for _ in range(2)]
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.keypoints, b.keypoints)
        np.testing.assert_array_equal(a.world, b.world)


def test_joints_cut_off_by_the_picture_have_low_scores(detector):
    image, _ = draw_figure()
    cut = image[:400]  # below the hips; knees at 430, ankles at 525
    found = detector.detect(cut)
    named = dict(zip(COCO, found.scores, strict=True))
    assert max(named[f"{s}_{j}"] for s in ("left", "right") for j in ("knee", "ankle")) < 0.11
    assert min(named["nose"], named["left_shoulder"], named["right_elbow"]) > 0.5


def test_a_picture_that_is_a_view_of_another(detector):
    image, drawn = draw_figure()
    mirrored = detector.detect(image[:, ::-1])
    ankles = mirrored.keypoints[15:17, 0]
    assert ankles[0] > ankles[1]  # the left side is again on the picture's right
    assert abs(mirrored.keypoints[0, 0] - (479 - drawn[0, 0])) < 15


@pytest.mark.parametrize("image", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.float32)])
def test_other_pictures_are_refused(detector, image):
    with pytest.raises(ValueError, match="image must be"):
        detector.detect(image)


def test_a_closed_detector_says_so(detector):
    detector.close()
    detector.close()
    with pytest.raises(ValueError, match="closed"):
        detector.detect(np.zeros((9, 9, 3), np.uint8))


def test_nothing_is_written_to_the_terminal():
    """In a process of its own: MediaPipe's C++ writes to the file descriptor, some of it once."""
    pytest.importorskip("mediapipe")
    program = """
import sys
sys.path[:0] = [".", "tests/detectors2d"]
import numpy as np
from test_mediapipe import MediaPipePose, draw_figure
for _ in range(2):
    with MediaPipePose() as detector:
        assert detector.detect(np.zeros((360, 640, 3), np.uint8)) is None
        assert detector.detect(draw_figure()[0]) is not None
print("after", file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "after\n"
    assert done.stdout == ""


def test_missing_mediapipe_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(Pose3dError, match=r'pip install "pose3d\[mediapipe\]"') as caught:
        MediaPipePose()
    assert "not installed" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_mediapipe_without_models_is_named_with_its_version(monkeypatch):
    newer = types.ModuleType("mediapipe")
    newer.__version__ = "0.10.33"
    monkeypatch.setitem(sys.modules, "mediapipe", newer)
    with pytest.raises(Pose3dError, match=r"0\.10\.33 has no pose solution"):
        MediaPipePose()


def test_importing_the_module_does_not_import_mediapipe():
    program = "import sys, detectors2d.mediapipe; assert 'mediapipe' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_confidences_out_of_range_are_refused(value):
    with pytest.raises(Pose3dError, match="confidence"):
        MediaPipePose(min_detection_confidence=value)


def test_coco_joints_are_the_landmarks_of_the_same_name():
    landmarks = np.stack([np.arange(33) * 2.0, np.arange(33) * 3.0], -1)
    keypoints, scores = blazepose_to_coco(landmarks, np.arange(33) / 33)
    names = [BLAZEPOSE_NAMES[round(x / 2)] for x in keypoints[:, 0]]
    assert names == COCO
    np.testing.assert_allclose(keypoints[:, 1], keypoints[:, 0] * 1.5)
    np.testing.assert_allclose(scores, keypoints[:, 0] / 66, rtol=1e-6)
    deep, deep_scores = blazepose_to_coco(np.zeros((2, 3, 33, 2)), np.zeros((2, 3, 33)))
    assert deep.shape == (2, 3, 17, 2)
    assert deep_scores.shape == (2, 3, 17)
    with pytest.raises(ValueError, match="landmarks must be"):
        blazepose_to_coco(np.zeros((17, 2)), np.zeros(17))


def test_scores_fall_outside_the_picture():
    marks = np.tile([0.5, 0.5, 0.8], (33, 1))
    marks[15, 0] = -0.3  # left wrist
    marks[28, 1] = 1.5  # right ankle
    marks[27, 1] = 1.01  # left ankle, on the edge
    found = _keypoints(marks, np.zeros((33, 3)), 200, 100)
    np.testing.assert_allclose(found.scores[[9, 16, 15, 0]], [0.08, 0.08, 0.8, 0.8], rtol=1e-6)
    np.testing.assert_allclose(found.keypoints[[9, 16]], [[-60, 50], [100, 150]], rtol=1e-6)
