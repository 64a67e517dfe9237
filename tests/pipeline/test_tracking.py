"""Where a one-person detector went over to another person."""

import numpy as np
import pytest

from pipeline.tracking import split_at_jumps


def figure(x, y, height=200.0):
    """(17, 2) px of an upright person whose hip is at (x, y)."""
    across = np.array([0, -1, -1, -1, 1, 1, 1, 0, 0, 0, 0, 1, 2, 2, -1, -2, -2]) * 0.08
    down = np.array([0, 0, 24, 47, 0, 24, 47, -15, -30, -38, -45, -28, -14, 0, -28, -14, 0]) / 100
    return np.stack([x + across * height, y + down * height], axis=-1)


def walker(frames, speed, height=200.0, x=100.0):
    """(F, 17, 2): moves by `speed` heights a frame."""
    return np.stack([figure(x + i * speed * height, 300, height) for i in range(frames)])


def split(keypoints, present=None, rate=30.0):
    present = np.ones(len(keypoints), bool) if present is None else present
    return split_at_jumps(keypoints, present, np.arange(len(keypoints)) / rate).tolist()


@pytest.mark.parametrize("speed", [0, 0.05, 0.2])  # 0.2 heights a frame: a sprint, seen close
def test_who_moves_stays_one(speed):
    assert split(walker(20, speed)) == [0] * 20


@pytest.mark.parametrize("height", [30.0, 200.0, 1500.0])
def test_a_jump_is_measured_by_the_person(height):
    there = walker(5, 0.01, height)
    far = walker(5, 0.01, height, x=100 + 1.5 * height)
    near = walker(5, 0.01, height, x=100 + 0.3 * height)
    assert split(np.concatenate([there, far])) == [0] * 5 + [1] * 5
    assert split(np.concatenate([there, near])) == [0] * 10


def test_back_and_forth_are_three():
    here, there = walker(4, 0), walker(3, 0, x=900)
    assert split(np.concatenate([here, there, here])) == [0] * 4 + [1] * 3 + [2] * 4


def test_absent_frames_have_no_number():
    keypoints, present = walker(10, 0.02), np.ones(10, bool)
    present[3:5] = present[9] = False
    keypoints[~present] = np.nan
    assert split(keypoints, present) == [0, 0, 0, -1, -1, 0, 0, 0, 0, -1]


def test_after_an_absence_a_person_may_be_further_on():
    """1.5 heights in one frame is another person, within a second it may be the same."""
    keypoints = np.concatenate([walker(5, 0), np.full((30, 17, 2), np.nan), walker(5, 0, x=400)])
    present = np.isfinite(keypoints).all((1, 2))
    assert split(keypoints, present) == [0] * 5 + [-1] * 30 + [0] * 5
    close = np.concatenate([keypoints[:5], keypoints[-5:]])
    assert split(close) == [0] * 5 + [1] * 5


def test_nobody_and_no_frame():
    nobody = np.full((4, 17, 2), np.nan)
    assert split(nobody, np.zeros(4, bool)) == [-1] * 4
    assert split(nobody[:0]) == []
    assert split(walker(1, 0)) == [0]


def test_all_joints_in_one_point_is_no_failure():
    assert split(np.full((3, 17, 2), 50.0)) == [0] * 3


def test_a_pause_of_the_recording_splits():
    time_s = np.concatenate([np.arange(5) / 30, 600 + np.arange(5) / 30])
    stretch = split_at_jumps(walker(10, 0.01), np.ones(10, bool), time_s)
    assert stretch.tolist() == [0] * 5 + [1] * 5


def test_slow_rates_are_no_pauses():
    assert split(walker(6, 0.01), rate=1.0) == [0] * 6


def test_absence_is_no_pause():
    present = np.ones(60, bool)
    present[10:40] = False
    assert set(split(walker(60, 0.002), present)) == {0, -1}
