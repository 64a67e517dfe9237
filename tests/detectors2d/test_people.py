"""Detectors of people by name, and those that need no network."""

import types

import numpy as np
import pytest

from detectors2d import mediapipe
from detectors2d.people import build_people
from detectors2d.people import mediapipe as one_person
from weights.errors import Pose3dError


def picture(height=120, width=200) -> np.ndarray:
    return np.zeros((height, width, 3), np.uint8)


def the_error(*arguments) -> str:
    with pytest.raises(Pose3dError) as caught:
        build_people(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


def test_the_whole_frame():
    found = build_people("whole-frame").detect([picture(), picture(30, 40)])
    assert [boxes.tolist() for boxes, _ in found] == [[[0, 0, 200, 120]], [[0, 0, 40, 30]]]
    assert [scores.tolist() for _, scores in found] == [[1], [1]]
    assert all(part.dtype == np.float32 for pair in found for part in pair)


@pytest.mark.parametrize("image", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3))])
def test_pictures_of_another_form(image):
    with pytest.raises(ValueError, match="images must be"):
        build_people("whole-frame").detect([image])


@pytest.fixture
def fake_mediapipe(monkeypatch):
    """A MediaPipe whose answers are what the test puts into this list."""
    answers = []

    class Fake:
        def detect(self, image):
            return answers.pop(0)

    monkeypatch.setattr(one_person, "MediaPipePose", Fake)
    return answers


def joints(points, scores=0.5):
    spread = np.linspace(points[0], points[1], 17).astype(np.float32)
    return types.SimpleNamespace(keypoints=spread, scores=np.full(17, scores, np.float32))


def test_a_box_around_mediapipes_joints(fake_mediapipe):
    fake_mediapipe[:] = [joints(((80, 20), (110, 80))), None, joints(((-50, 60), (30, 160)))]
    first, second, third = build_people("mediapipe").detect([picture()] * 3)
    # The larger side is 60 px, so the box is 6 px larger on all sides.
    np.testing.assert_allclose(first[0], [[74, 14, 116, 86]], atol=1e-4)
    np.testing.assert_allclose(first[1], [0.5])
    assert second[0].shape == (0, 4)
    assert second[1].shape == (0,)
    np.testing.assert_allclose(third[0], [[0, 50, 40, 120]], atol=1e-4)  # within the picture
    assert first[0].dtype == first[1].dtype == np.float32


def test_nobody_if_all_joints_are_outside(fake_mediapipe):
    fake_mediapipe[:] = [joints(((300, 20), (400, 80)))]
    ((boxes, scores),) = build_people("mediapipe").detect([picture()])
    assert len(boxes) == len(scores) == 0


def test_mediapipe_that_is_not_installed(monkeypatch):
    def missing():
        raise Pose3dError('MediaPipe is not installed: pip install "pose3d[mediapipe]"')

    monkeypatch.setattr(mediapipe, "_import_pose", missing)
    assert "pose3d[mediapipe]" in the_error("mediapipe")


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("rtmdett", "rtmdet"),
        ("Faster-RCNN", "faster-rcnn"),
        ("boxes", "boxes:FILE"),
        ("boxes:", "boxes:FILE"),
        ("mmdet:", "mmdet:CONFIG"),
        ("whole-frame:x", "whole-frame"),
        ("", None),
    ],
)
def test_unknown_names(name, close):
    message = the_error(name)
    assert f"unknown detector of people '{name}': choose one of centernet, rtmdet" in message
    assert message.endswith(f"; did you mean {close}?" if close else "boxes:FILE")


@pytest.mark.parametrize("name", ["rtmdet", "faster-rcnn", "torchvision", "mmdet:rtmdet_s"])
def test_networks_need_weights(name):
    assert the_error(name) == f"{name}: needs a weights file"


@pytest.mark.parametrize("name", ["mediapipe", "whole-frame", "boxes:a.csv"])
def test_others_take_none(name):
    assert "takes no weights file" in the_error(name, "weights.pth")


@pytest.mark.parametrize("name", ["rtmdet", "faster-rcnn", "torchvision"])
def test_weights_that_are_not_there(name, tmp_path):
    path = tmp_path / "weights.pth"
    assert the_error(name, path) == f"{path}: no such weights file"
