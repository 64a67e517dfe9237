"""Who is who in keypoint files that do not say: people on known ways keep their numbers."""

import numpy as np
import pytest

from pipeline.keypoint_files import read
from pipeline.keypoint_files.association import associate
from tests.pipeline import keypoint_writers as writers


@pytest.fixture
def pose():
    """COCO's joints (17, 2) of somebody who stands, the middle at 0, the height 1."""
    points = writers.GOLDEN["coco"][0].astype(float)
    return (points - points.mean(0)) / np.ptp(points[:, 1])


def test_associate():
    pose = np.array([[0, 0], [0, 10], [10, 0.0]])
    here, there = pose, pose + 100
    lost = np.full((3, 2), np.nan)
    frames = [(0, [here]), (1, [there, here + 1]), (3, [here + 2]), (60, [here]), (61, [lost])]
    ids = associate([(number, np.array(people)) for number, people in frames])
    assert ids == [[1], [2, 1], [1], [3], [4]]


@pytest.mark.parametrize("unit", [1.0, 1e-3])
def test_who_hides_behind_another_is_known_again(pose, unit):
    """Expected where the way goes on, in px or parts of the picture; one stands in the way."""
    frames, whose = [], []
    for number in range(100):
        x = {1: 0.06 * number - 3.01, 2: 0.0}
        order = (2, 1) if number % 3 else (1, 2)
        seen = [own for own in order if own == 2 or abs(x[1]) > 0.6]
        people = [pose + np.array([x[own], 0]) for own in seen]
        frames.append((number, np.array(people) * 300 * unit))
        whose.append(seen)
    assert whose.count([2]) == 20
    assert associate(frames) == whose


def test_half_a_person_is_the_same_person(pose):
    """Joints that come and go, shoulders in profile at the least, while two pass each other."""
    pose = pose * [0.1, 1]
    pose[6] = pose[5] + [0.02, 0]
    parts = [range(17), [5, 6], range(5, 13), [5, 6, 11, 12], range(5, 17), [0, 6, 8, 10, 12, 14]]
    frames = []
    for number in range(60):
        people = np.full((2, 17, 2), np.nan)
        for own, x in enumerate((0.04 * number - 1.2, 1.2 - 0.04 * number)):
            part = list(parts[(number // 7 + own) % 6] if number else range(17))
            people[own, part] = 300 * (pose[part] + [x, 0.1 * own])
        frames.append((number, people))
    assert associate(frames) == [[1, 2]] * 60


def test_who_is_found_twice_is_one(tmp_path, pose):
    """The second finding lacks the legs and is a little off."""
    pose, sure, frames = 300 * pose + 400, np.ones(17), []
    for number in range(8):
        left, right = pose + np.array([5 * number, 0]), pose + np.array([600, 0])
        people = [(left, sure, None), (right, sure, None)]
        again = (left + 1, np.where(np.arange(17) < 13, sure, 0), None)
        frames.append([*people, again] if number else people)
    file = read(writers.mmpose_inferencer(tmp_path / "m", frames))
    assert [len(track.frames) for track in file.tracks] == [8, 8]
    np.testing.assert_allclose(file.tracks[0].keypoints[:, 16, 0], pose[16, 0] + 5 * np.arange(8))
    assert file.warnings == ["left out 7 poses of people who were found twice"]
