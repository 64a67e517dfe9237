"""People whose ways are known, detected with noise: everyone keeps his number."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.tracker import Tracker

CLIP = Path(__file__).parents[3] / "shared" / "demo" / "two_people.npz"  # beside the repository
STANDING = np.array(  # heights: nose, eyes, ears, then left and right by turns down to the ankles
    [(0.05, -0.44), (0.04, -0.46), (0.04, -0.46), (0, -0.45), (0, -0.45)]
    + [(0, y) for y in (-0.32, -0.32, -0.16, -0.16, 0, 0, 0.02, 0.02, 0.24, 0.24, 0.46, 0.46)]
)
SWING = np.zeros(17)
SWING[[7, 8, 9, 10, 13, 14, 15, 16]] = [0.06, -0.06, 0.14, -0.14, -0.1, 0.1, -0.2, 0.2]


def figure(x, y, height, phase, facing=1):
    """Box (4,) and COCO keypoints (17, 2) of a walker in profile at x, y px."""
    points = STANDING * [facing, 1]
    points[:, 0] += SWING * np.sin(phase)
    points = points * height + [x, y]
    (left, top), (right, bottom) = points.min(0), points.max(0)
    box = [left - 0.05 * height, top - 0.05 * height, right + 0.05 * height, bottom]
    return np.array(box), points


def crossing(time_s):
    """Three of nearly one height; each crosses both others."""
    ways = [(100, 160, 300, 0), (1100, -170, 310, 2), (1400, -220, 295, 4)]
    return {
        who: figure(x + speed * time_s, 400, height, 6 * time_s + phase, np.sign(speed))
        for who, (x, speed, height, phase) in enumerate(ways)
    }


def stopping(time_s):
    """One stops for a second beside another who stands, and goes back."""
    x = 300 + 250 * min(time_s, 2) - 250 * max(time_s - 3, 0)
    return {
        0: figure(x, 400, 300, 6 * time_s if time_s < 2 or time_s > 3 else 0),
        1: figure(870, 405, 320, 0.3 * np.sin(time_s), -1),
    }


def hiding(time_s):
    """One walks behind another who stands, unseen for a second, and a third follows him."""
    x, third = 100 + 200 * time_s, -250 + 200 * time_s
    seen = {1: figure(600, 420, 380, 0.2 * np.sin(time_s))}
    if abs(x - 600) > 100:
        seen[0] = figure(x, 400, 300, 6 * time_s)
    if third > 0 and abs(third - 600) > 100:
        seen[2] = figure(third, 400, 305, 6 * time_s + 2)
    return seen


def detect(scene, time_s, rng, jitter=0.03, dropped=0.1, doubles=0.1):
    """Whose (N,), boxes, scores, keypoints: in random order, noisy, some missing, some twice."""
    whose, boxes, scores, keypoints = [], [], [], []
    for who, (box, points) in scene(time_s).items():
        if rng.random() < dropped:
            continue
        height = box[3] - box[1]
        for again in range(1 + (rng.random() < doubles)):
            whose.append(who if not again else -1)
            boxes.append(box + rng.normal(0, jitter * height, 4))
            scores.append(rng.uniform(0.6, 1) if not again else 0.55)
            keypoints.append(points + rng.normal(0, 0.01 * height, points.shape))
    order = rng.permutation(len(whose))
    shapes = (-1,), (-1, 4), (-1,), (-1, 17, 2)
    found = zip((whose, boxes, scores, keypoints), shapes, strict=True)
    return [np.array(each, float).reshape(shape)[order] for each, shape in found]


def times(rate, duration=5.0):
    if rate == "uneven":
        time_s = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.1, 400))
        return time_s[time_s < duration]
    return np.arange(0, duration, 1 / rate)


def follow(scene, time_s, seed, poses=True, **noise):
    """[(time, who, id)] of all detections that are nobody's double."""
    rng, tracker, seen = np.random.default_rng(seed), Tracker(), []
    for now in time_s:
        whose, boxes, scores, keypoints = detect(scene, now, rng, **noise)
        ids = tracker.update(now, boxes, scores, keypoints if poses else None)
        assert len(set(ids[ids > 0])) == (ids > 0).sum()
        seen += [(now, who, number) for who, number in zip(whose, ids, strict=True) if who >= 0]
    return seen


def numbers(seen):
    """Who had which ids."""
    had = {}
    for _, who, number in seen:
        had.setdefault(who, set()).add(number)
    return {who: ids - {-1} for who, ids in had.items()}


def begin_and_end_alike(seen):
    """Whether all end with the number that they began with, each his own."""
    seen = [(who, number) for _, who, number in seen if number > 0]
    end = dict(seen)
    return dict(seen[::-1]) == end and sorted(end.values()) == list(range(1, len(end) + 1))


@pytest.mark.parametrize("scene", [crossing, stopping, hiding])
@pytest.mark.parametrize("rate", [15, 30, 60, "uneven"])
def test_everyone_keeps_one_number(scene, rate):
    for seed in range(3):
        seen = follow(scene, times(rate), seed)
        had = numbers(seen)
        assert all(len(ids) == 1 for ids in had.values()), (seed, had)
        assert set.union(*had.values()) == set(range(1, len(had) + 1))  # and nobody else was made
        missed = np.mean([number < 0 for _, _, number in seen])
        assert missed < 0.02


@pytest.mark.parametrize("scene", [crossing, stopping, hiding])
@pytest.mark.parametrize("rate", [15, 30, 60])
def test_boxes_alone_will_do(scene, rate):
    """When two boxes are one, numbers may be exchanged for a moment, but not for good."""
    for seed in range(3):
        seen = follow(scene, times(rate), seed, poses=False, doubles=0, jitter=0.02)
        assert begin_and_end_alike(seen), seed


def test_who_comes_back_late_is_new_and_nobody_else():
    def scene(time_s):
        seen = {1: figure(200, 400, 300, 0)}
        if not 1 < time_s < 4:
            seen[0] = figure(800, 400, 300, 6 * time_s)
        return seen

    had = numbers(follow(scene, times(30), 0))
    assert len(had[1]) == 1
    assert len(had[0]) == 2
    assert not had[0] & had[1]


def test_how_long_somebody_may_be_lost_is_a_setting():
    box, points = figure(300, 400, 300, 0)
    tracker = Tracker(max_lost_s=0.5)
    tracker.update(0, box[None], np.ones(1), points[None])
    assert tracker.update(0.5, box[None], np.ones(1), points[None]).tolist() == [1]
    assert tracker.update(1.01, box[None], np.ones(1), points[None]).tolist() == [2]


@pytest.mark.parametrize(
    ("poses", "jitter", "least_seen"), [(True, 0.03, 0.4), (True, 0.05, 0), (False, 0.02, 0)]
)
def test_two_rendered_people_who_pass_each_other(poses, jitter, least_seen):
    """Exact boxes with noise and 10 % dropped, and all of those in which too little is seen."""
    if not CLIP.exists():
        pytest.skip("the rendered clips are not here")
    with np.load(CLIP) as clip:
        boxes, points = clip["boxes"].astype(float), clip["coco2d"].astype(float)
        visible = clip["visible"].mean(-1) >= least_seen

    def scene(time_s):
        frame = round(time_s * 30)
        return {
            who: (boxes[frame, who], points[frame, who]) for who in np.flatnonzero(visible[frame])
        }

    for seed in range(20):
        seen = follow(scene, np.arange(len(boxes)) / 30, seed, poses, jitter=jitter, doubles=0)
        assert begin_and_end_alike(seen), seed
        if poses:
            assert [len(ids) for ids in numbers(seen).values()] == [1, 1], seed


def test_unsure_boxes_continue_people_but_begin_none():
    tracker = Tracker()
    boxes, points = map(
        np.stack, zip(figure(300, 400, 300, 0), figure(900, 400, 300, 0), strict=True)
    )
    assert tracker.update(0.0, boxes, np.array([0.9, 0.3]), points).tolist() == [1, -1]
    assert tracker.update(0.03, boxes, np.array([0.3, 0.3]), points).tolist() == [1, -1]
    assert tracker.update(0.06, boxes, np.array([0.05, 0.3]), points).tolist() == [-1, -1]
    assert tracker.update(0.09, boxes, np.array([0.9, 0.9]), points).tolist() == [1, 2]
    # A long time after, a weak box is not enough to know somebody again.
    assert tracker.update(0.9, boxes, np.array([0.9, 0.3]), points).tolist() == [1, -1]


def test_joints_say_whether_a_box_is_somebody():
    """Detectors of boxes take trees for people; the network of joints then sees no body."""
    tracker = Tracker()
    places = [figure(300, 400, 300, 0), figure(900, 400, 300, 0), figure(1500, 400, 300, 0)]
    boxes, points = (np.array(part) for part in zip(*places, strict=True))
    joints = np.full((3, 17), 0.9)
    joints[0] = 0.2  # a tree, of which the detector is sure
    joints[2, 5:] = 0.05  # a head above a wall
    ids = tracker.update(0.0, boxes, np.array([0.7, 0.4, 0.9]), points, joints)
    assert ids.tolist() == [-1, 2, 1]
    # A box that is next to nothing begins nobody, whatever is seen in it.
    assert Tracker().update(0.0, boxes[1:2], np.array([0.05]), points[1:2], joints[1:2]) == [-1]
    # Without joints, the detector's word is all there is.
    assert Tracker().update(0.0, boxes, np.array([0.7, 0.4, 0.9])).tolist() == [2, -1, 1]


def test_a_second_box_of_one_person_is_nobody():
    box, points = figure(300, 400, 300, 0)
    upper = box.copy()
    upper[3] = box[1] + 0.6 * (box[3] - box[1])
    boxes, scores = np.stack([upper, box]), np.array([0.8, 0.9])
    assert Tracker().update(0, boxes, scores).tolist() == [-1, 1]
    assert Tracker().update(0, boxes, scores, np.stack([points] * 2)).tolist() == [-1, 1]


def test_a_child_before_an_adult_is_somebody():
    boxes, points = map(
        np.stack, zip(figure(300, 400, 400, 0), figure(310, 480, 230, 1), strict=True)
    )
    assert Tracker().update(0, boxes, np.array([0.9, 0.8]), points).tolist() == [1, 2]


def test_prediction_goes_on_at_the_same_speed_and_changes_nothing():
    tracker = Tracker()
    for step in range(31):
        boxes = np.stack([figure(100 + 4 * step, 400, 300, 0)[0], figure(900, 400, 300, 0)[0]])
        ids = tracker.update(
            step / 30, boxes[: 2 if step < 30 else 1], np.ones(2 if step < 30 else 1)
        )
    assert ids.tolist() == [1]
    for _ in range(2):
        known, predicted = tracker.predict(1 + 5 / 30)
        assert known.tolist() == [1]  # the other was not seen in the last frame
        expected = figure(100 + 4 * 35, 400, 300, 0)[0]
        np.testing.assert_allclose(predicted[0], expected, atol=2)
        assert predicted.dtype == np.float32


@pytest.mark.parametrize("every", [5, 10])
def test_a_detector_in_some_frames_only(every):
    for seed in range(3):
        assert begin_and_end_alike(follow(crossing, times(30)[::every], seed, dropped=0)), seed


def test_missing_joints_and_nobody():
    box, points = figure(300, 400, 300, 0)
    points[3:] = np.nan
    tracker = Tracker()
    nobody = np.zeros((0, 4)), np.zeros(0), np.zeros((0, 17, 2)), np.zeros((0, 17))
    assert tracker.update(0.0, *nobody).tolist() == []
    assert tracker.predict(0.0)[1].shape == (0, 4)
    scores = np.where(np.isfinite(points[:, 0]), 0.9, np.nan)
    for now in (0.1, 0.1, 0.2):
        ids = tracker.update(now, box[None], np.ones(1), points[None], scores[None])
        assert ids.tolist() == [1]
    blank = np.full((1, 17, 2), np.nan)
    assert tracker.update(0.3, box[None], np.ones(1), blank).tolist() == [1]
    assert tracker.update(0.4, *nobody).tolist() == []


def test_time_does_not_go_back_and_arrays_belong_together():
    tracker = Tracker()
    tracker.update(1.0, np.zeros((0, 4)), np.zeros(0))
    with pytest.raises(ValueError, match="in order"):
        tracker.update(0.9, np.zeros((0, 4)), np.zeros(0))
    with pytest.raises(ValueError, match="needed"):
        tracker.update(1.1, np.zeros((2, 4)), np.zeros(1))
