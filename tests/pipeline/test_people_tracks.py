"""Finished tracks: joined where one person was lost for a moment, and chosen from."""

import numpy as np
import pytest

from pipeline.people import Track, choose_people, gather_tracks, link_tracks, without_nobodies
from tests.pipeline.test_tracker import figure
from weights.errors import Pose3dError

TIME = np.arange(300) / 30


def track(number, frames, x=300.0, speed=0.0, height=300.0, phase=0.0):
    """A walker at x + speed * time px, seen in some frames."""
    frames = np.asarray(frames)
    seen = [figure(x + speed * TIME[f], 400, height, 6 * TIME[f] + phase) for f in frames]
    boxes, points = map(np.stack, zip(*seen, strict=True))
    noise = np.random.default_rng(number).normal(0, 0.02 * height, boxes.shape)
    return Track(number, frames, boxes + noise, points, np.full((len(frames), 17), 0.9))


def ids(tracks):
    return [each.id for each in tracks]


def test_gathered_by_person_in_the_order_of_time():
    frames = np.array([0, 0, 1, 2, 2, 1])
    numbers = np.array([1, 2, 1, -1, 2, 2])
    boxes = np.arange(24.0).reshape(6, 4)
    points, scores = np.arange(204.0).reshape(6, 17, 2), np.arange(102.0).reshape(6, 17)
    first, second = gather_tracks(frames, numbers, boxes, points, scores)
    assert (first.id, first.frames.tolist()) == (1, [0, 1])
    assert (second.id, second.frames.tolist()) == (2, [0, 1, 2])
    assert second.boxes[:, 0].tolist() == [4, 20, 16]
    assert second.keypoints[:, 0, 0].tolist() == [34, 170, 136]
    assert second.scores[:, 0].tolist() == [17, 85, 68]
    nobody = (np.zeros(0, int), np.zeros(0, int), np.zeros((0, 4)), np.zeros((0, 17, 2)))
    assert gather_tracks(*nobody, np.zeros((0, 17))) == []


@pytest.mark.parametrize("speed", [0, 200, -400])
@pytest.mark.parametrize("gap", [1, 10, 29])
def test_a_person_lost_for_up_to_a_second_is_one_track(speed, gap):
    parts = [
        track(1, range(0, 60), 1500, speed),
        track(4, range(59 + gap, 120), 1500, speed),
        track(7, range(119 + gap, 150), 1500, speed),
    ]
    joined = link_tracks(parts[::-1], TIME)
    assert ids(joined) == [1]
    whole = joined[0]
    assert whole.frames.tolist() == [*range(60), *range(59 + gap, 120), *range(119 + gap, 150)]
    np.testing.assert_array_equal(whole.boxes, np.concatenate([each.boxes for each in parts]))
    assert len(whole.keypoints) == len(whole.scores) == len(whole.frames)


@pytest.mark.parametrize(
    "other",
    [
        track(2, range(90, 120)),  # 1.03 s later
        track(2, range(40, 90)),  # at the same time
        track(2, range(65, 90), height=200),  # a child
        track(2, range(65, 90), x=700),  # somewhere else
        track(2, range(75, 90), x=300 - 900 * 75 / 30, speed=900),  # there, but running by
    ],
)
def test_others_are_not_joined(other):
    assert ids(link_tracks([track(1, range(60)), other], TIME)) == [1, 2]


def test_an_other_pose_at_once_is_an_other_person_but_not_a_second_later():
    first, squat = track(1, range(60)), track(2, range(62, 90))
    squat.keypoints[:, :, 1] += 100 * np.sign(400 - squat.keypoints[:, :, 1])
    assert ids(link_tracks([first, squat], TIME)) == [1, 2]
    later = Track(2, squat.frames + 26, squat.boxes, squat.keypoints, squat.scores)
    assert ids(link_tracks([first, later], TIME)) == [1]


def test_two_who_cross_unseen_go_on_their_ways():
    parts = [
        track(1, range(60), 300, 150),
        track(2, range(60), 1050, -150),
        track(3, range(85, 150), 300, 150),
        track(4, range(85, 150), 1050, -150),
    ]
    first, second = link_tracks(parts, TIME)
    assert (ids([first, second]), first.frames[-1], second.frames[-1]) == ([1, 2], 149, 149)
    np.testing.assert_array_equal(first.boxes[60:], parts[2].boxes)


def test_gap_is_measured_in_seconds():
    slow = np.arange(300) / 5
    parts = [track(1, range(60)), track(2, range(70, 90))]
    assert ids(link_tracks(parts, slow)) == [1, 2]
    assert ids(link_tracks(parts, slow, max_gap_s=2.5)) == [1]
    assert link_tracks([], TIME) == []


def test_missing_joints_do_not_hinder():
    parts = [track(1, range(60)), track(2, range(65, 90))]
    parts[0].keypoints[:, 5:] = np.nan
    assert ids(link_tracks(parts, TIME)) == [1]
    parts[1].keypoints[:] = np.nan
    assert ids(link_tracks(parts, TIME)) == [1]


PEOPLE = [
    track(3, range(0, 200), height=200),  # 40,000 px added up
    track(1, range(0, 100), height=300, x=700),  # 30,000
    track(5, range(20, 60), height=500, x=900),  # 20,000
    track(8, range(0, 10), height=1500, x=500),  # a third of a second
]


@pytest.mark.parametrize(
    ("people", "chosen"),
    [
        ("largest", [3]),
        ("all", [1, 3, 5]),
        (1, [3]),
        (2, [1, 3]),
        ("2", [1, 3]),
        (99, [1, 3, 5]),
        ("id:5", [5]),
        ("ID:8", [8]),
    ],
)
def test_people_are_chosen(people, chosen):
    assert ids(choose_people(PEOPLE, TIME, people)) == chosen


def test_how_long_is_long_enough():
    assert ids(choose_people(PEOPLE, TIME, "all", min_track_s=1.5)) == [1, 3]
    assert ids(choose_people(PEOPLE, TIME, "all", min_track_s=0)) == [1, 3, 5, 8]
    assert ids(choose_people(PEOPLE, TIME, "all", min_track_s=9)) == [3]  # half of the video is 5 s
    short = [track(1, range(4)), track(2, range(1))]
    assert ids(choose_people(short, TIME[:4], "all")) == [1]  # a video of 0.13 s
    assert ids(choose_people([track(1, range(1))], TIME[:1], "all")) == [1]


@pytest.mark.parametrize("people", ["all", "largest", 3])
def test_nobody_is_no_error(people):
    assert choose_people([], TIME, people) == []
    assert choose_people(PEOPLE[3:], TIME, people) == []


@pytest.mark.parametrize("people", [0, -1, "0", "biggest", "", "id:", "id:x", 1.0, True, None])
def test_a_wrong_choice_is_told(people):
    with pytest.raises(Pose3dError, match="people must be largest, all, a number from 1 or id:N"):
        choose_people(PEOPLE, TIME, people)


def test_an_unknown_person_is_told():
    with pytest.raises(Pose3dError, match=r"no person 2: known are 1, 3, 5, 8$"):
        choose_people(PEOPLE, TIME, "id:2")
    with pytest.raises(Pose3dError, match="no person 2: known are none"):
        choose_people([], TIME, "id:2")


def test_a_track_that_is_none_is_refused():
    good = track(1, range(3))
    with pytest.raises(ValueError, match="a track has"):
        Track(1, good.frames, good.boxes[:2], good.keypoints, good.scores)
    with pytest.raises(ValueError, match="ascend"):
        Track(1, np.array([0, 2, 2]), good.boxes, good.keypoints, good.scores)


def test_what_has_no_joints_is_nobody():
    """A tree; a person whose legs alone are seen."""
    scores = np.full((3, 5, 17), 0.2)
    scores[0, :, 3] = 0.9
    scores[1, :, 11:] = 0.7
    scores[2] = 0.6
    tracks = [
        Track(number, np.arange(5), np.zeros((5, 4)), np.zeros((5, 17, 2)), scores[number])
        for number in range(3)
    ]
    assert [track.id for track in without_nobodies(tracks)] == [1, 2]
