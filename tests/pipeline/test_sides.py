"""Left and right put in the wrong places in known movements: found, undone, and nothing else."""

from pathlib import Path

import numpy as np
import pytest

from lifters3d.skeleton import HIP, LEFT, MIRROR, RIGHT
from pipeline.sides import repair_sides

WALK = Path(__file__).parents[2] / "demos" / "walk.npz"
CLIPS = Path(__file__).parents[3] / "shared" / "demo"  # rendered clips beside the repository
LIMBS = [[*RIGHT[:3], *LEFT[:3]], [*RIGHT[3:], *LEFT[3:]]]  # legs, arms
OTHER = [[*LEFT[:3], *RIGHT[:3]], [*LEFT[3:], *RIGHT[3:]]]


def load(path, person=0):
    """(F, 17, 2) px at 30 frames/s, and the person's height in px."""
    with np.load(path) as clip:
        points = clip["joints2d"][:, person].astype(np.float64)
    return points, 1.1 * np.median(np.ptp(points[..., 1], axis=1))


def resample(points, time_s):
    """The movement, known at 30 frames/s, at other times."""
    known = np.arange(len(points)) / 30
    flat = points.reshape(len(points), -1)
    return np.stack([np.interp(time_s, known, column) for column in flat.T], 1).reshape(-1, 17, 2)


def repair(points, time_s=None, scores=None, present=None):
    count = len(points)
    return repair_sides(
        points,
        np.full((count, 17), 0.9) if scores is None else scores,
        np.arange(count) / 30 if time_s is None else time_s,
        np.ones(count, bool) if present is None else present,
    )


def exchange(array, first, last, which=(0, 1)):
    """A copy of (F, 17, ...) with sides exchanged in frames first..last-1 of legs, arms or both."""
    array = array.copy()
    for limbs in which:
        array[first:last, LIMBS[limbs]] = array[first:last, OTHER[limbs]]
    return array


def separation(points, others):
    """(F, 2) px: how far legs and arms are from where they are in others, root mean square."""
    apart = np.stack([(points - others)[:, rows] for rows in LIMBS], axis=1)
    return np.sqrt((apart**2).sum(-1).mean(-1))


def put_in(points, time_s, visible, rng):
    """Runs of one frame to 1 s, half a second and more apart: keypoints and [(first, last, limbs)].

    A run begins and ends where the limbs are visible (F, 2): it shows at its ends alone.
    """
    runs = []
    now = time_s[0] + rng.uniform(0.1, 0.5)
    while now < time_s[-1] - 1.2:
        first = int(np.searchsorted(time_s, now))
        length = rng.choice([0, 0, 0.05, 0.1, 0.2, 0.5, 1.0])
        last = max(first + 1, int(np.searchsorted(time_s, now + length)))
        which = [(0, 1), (0,), (1,)][rng.integers(3)]
        now = time_s[last] + rng.uniform(0.5, 1.0)
        if visible[np.ix_([first - 1, first, last - 1, last], which)].all():
            points = exchange(points, first, last, which)
            runs += [(first, last, limbs) for limbs in which]
    return points, runs


def count_found(points, height, seeds, jitter, least=0.0):
    """Shares of runs found and of clean frames changed, and the number of runs."""
    time_s = np.arange(len(points)) / 30
    visible = separation(points, exchange(points, 0, len(points))) / height >= least
    found, false, clean = [], 0, 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        noisy = points + rng.normal(0, jitter * height, points.shape)
        given, runs = put_in(noisy, time_s, visible, rng)
        repaired = repair(given, time_s)[0]
        away, was = (separation(each, noisy) for each in (repaired, given))
        other = np.ones(away.shape, bool)
        for first, last, limbs in runs:
            # A foot beside the other one may stay there; limbs may not.
            found.append(np.mean(away[first:last, limbs] < 0.3 * was[first:last, limbs]) > 0.5)
            other[first:last, limbs] = False
        false += (away[other] > 0).sum()
        clean += other.sum()
    return np.mean(found), false / clean, len(found)


@pytest.mark.parametrize("jitter", [0, 0.01, 0.02])
def test_exchanges_in_a_walk_seen_from_all_sides_are_found(jitter):
    found, false, runs = count_found(*load(WALK), seeds=5, jitter=jitter)
    assert runs > 30
    assert found >= 0.95
    assert false <= 0.005


@pytest.mark.parametrize(
    ("name", "person", "jitter", "least"),
    [
        ("exercise", 0, 0.02, 0),
        ("two_people", 0, 0.01, 0.04),  # in profile: below it, the noise moves joints as far
        ("two_people", 1, 0.01, 0.04),
        ("two_people", 0, 0.02, 0.08),
        ("two_people", 1, 0.02, 0.08),
    ],
)
def test_exchanges_in_other_clips_are_found(name, person, jitter, least):
    path = CLIPS / f"{name}.npz"
    if not path.exists():
        pytest.skip("the rendered clips are not here")
    found, false, runs = count_found(*load(path, person), seeds=8, jitter=jitter, least=least)
    assert runs > 10
    assert found >= 0.95
    assert false <= 0.005


@pytest.mark.parametrize("pair", [(1, 4), (2, 5)])  # knees, feet: right and left of LIMBS[0]
def test_knees_or_feet_exchanged_alone(pair):
    """Spells of 1 to 5 frames; the hips and the other joints stay what they were."""
    points, height = load(WALK)
    here, there = (LIMBS[0][joint] for joint in pair)
    apart = np.linalg.norm(points[:, here] - points[:, there], axis=1) / height
    found, false = [], 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        given = points + rng.normal(0, 0.01 * height, points.shape)
        wrong = np.zeros(len(points), bool)
        for first in range(10, len(points) - 20, 20):
            last = first + rng.integers(1, 6)
            if apart[first - 1 : last + 1].min() > 0.1:
                wrong[first:last] = True
        true = given.copy()
        given[wrong, here], given[wrong, there] = true[wrong, there], true[wrong, here]
        repaired = repair(given)[0]
        back = (repaired == true).all((1, 2))
        found += back[wrong].tolist()
        false += (~back[~wrong]).sum()
    assert len(found) > 20
    assert np.mean(found) >= 0.9
    assert false <= 0.005 * 4 * len(points)


@pytest.mark.parametrize("last", [51, 52, 55])
def test_knees_and_feet_without_the_hips_are_not_cheaper_than_legs(last):
    """Legs exchanged for few frames go back as a whole, with the scores that belong to them."""
    points, _ = load(WALK)
    scores = np.random.default_rng(0).uniform(0.8, 1, points.shape[:2])
    given, marks = (exchange(array, 50, last, [0]) for array in (points, scores))
    repaired, rescored, swapped = repair(given, scores=marks)
    np.testing.assert_array_equal(repaired, points)
    np.testing.assert_array_equal(rescored, scores)
    assert np.flatnonzero(swapped[:, 0]).tolist() == list(range(50, last))


def test_knees_exchanged_within_exchanged_legs():
    points, _ = load(WALK)
    given = exchange(points, 50, 80, [0])
    pair, other = [LIMBS[0][1], LIMBS[0][4]], [LIMBS[0][4], LIMBS[0][1]]
    given[60:63, pair] = given[60:63, other]
    np.testing.assert_array_equal(repair(given)[0], points)


@pytest.mark.parametrize("rate", [15, 30, 60])
@pytest.mark.parametrize("jitter", [0, 0.015])
def test_what_is_right_is_left_alone(rate, jitter):
    points, height = load(WALK)
    time_s = np.arange(0, (len(points) - 1) / 30, 1 / rate)
    noise = np.random.default_rng(1).normal(0, jitter * height, (len(time_s), 17, 2))
    points = resample(points, time_s) + noise
    scores = np.random.default_rng(2).uniform(0.3, 1, points.shape[:2])
    repaired, rescored, swapped = repair(points, time_s, scores)
    assert not swapped.any()
    np.testing.assert_array_equal(repaired, points)
    np.testing.assert_array_equal(rescored, scores)


def test_keypoints_and_scores_go_back_to_where_they_were():
    points, height = load(WALK)
    points += np.random.default_rng(0).normal(0, 0.01 * height, points.shape)
    scores = np.random.default_rng(1).uniform(0.5, 1, points.shape[:2])
    given, given_scores = points, scores
    for run in [(0, 2), (30, 31, [0]), (60, 75), (100, 130, [1]), (180, 182)]:
        given, given_scores = exchange(given, *run), exchange(given_scores, *run)
    before = given.copy()
    repaired, rescored, swapped = repair(given, scores=given_scores)
    np.testing.assert_array_equal(repaired, points)
    np.testing.assert_array_equal(rescored, scores)
    assert swapped.sum(0).tolist() == [2 + 1 + 15 + 2, 2 + 15 + 30 + 2]
    np.testing.assert_array_equal(given, before)


def times(kind):
    if kind == "uneven":  # between 10 and 67 ms, as phones record
        steps = np.random.default_rng(3).uniform(0.01, 0.067, 400)
        time_s = np.cumsum(steps)
        return time_s[time_s < 7.4]
    return np.arange(0, 7.4, 1 / kind)


@pytest.mark.parametrize("kind", [15, 30, 60, 120, "uneven"])
def test_the_same_seconds_are_repaired_at_every_frame_rate(kind):
    time_s = times(kind)
    points, height = load(WALK)
    points = resample(points, time_s)
    points += np.random.default_rng(0).normal(0, 0.01 * height, points.shape)
    truth = np.zeros((len(time_s), 2), bool)
    for start, end, which in [(1.0, 1.1, (0, 1)), (2.5, 3.5, (0,)), (5.0, 5.5, (1,))]:
        first, last = np.searchsorted(time_s, (start, end))
        points = exchange(points, first, last, which)
        truth[first:last, which] = True
    np.testing.assert_array_equal(repair(points, time_s)[2], truth)


def test_missing_joints_are_no_reason_to_lose_the_rest():
    points, height = load(WALK)
    points += np.random.default_rng(0).normal(0, 0.01 * height, points.shape)
    points[np.random.default_rng(5).random(points.shape[:2]) < 0.1] = np.nan
    points[80:140, RIGHT[2]] = np.nan  # a foot out of sight for 2 s
    points[50:53] = np.nan  # found, they say, but nothing there
    scores = np.where(np.isfinite(points[..., 0]), 0.9, np.nan)
    assert not repair(points, scores=scores)[2].any()
    given, given_scores = exchange(points, 100, 112), exchange(scores, 100, 112)
    repaired, rescored, swapped = repair(given, scores=given_scores)
    assert np.flatnonzero(swapped.all(1)).tolist() == list(range(100, 112))
    np.testing.assert_array_equal(repaired, points)
    np.testing.assert_array_equal(rescored, scores)


def test_a_walker_without_one_hip_from_end_to_end():
    points, _ = load(WALK)
    points[:, [HIP, RIGHT[0]]] = np.nan
    swapped = repair(exchange(points, 100, 110))[2]
    assert np.flatnonzero(swapped.all(1)).tolist() == list(range(100, 110))
    assert swapped.sum() == 20


def test_absent_frames_are_not_looked_at_and_a_short_one_does_not_hide_an_exchange():
    points, _ = load(WALK)
    present = np.ones(len(points), bool)
    present[100:108] = False
    given = exchange(points, 108, 120)
    given[100:108] = 1e6
    repaired, _, swapped = repair(given, present=present)
    assert np.flatnonzero(swapped.any(1)).tolist() == list(range(108, 120))
    np.testing.assert_array_equal(repaired[108:], points[108:])
    assert (repaired[100:108] == 1e6).all()


def test_two_views_on_the_two_sides_of_a_long_absence_are_not_compared():
    """The person comes back 3 s later, having turned round: the mirror image of the front."""
    points, _ = load(WALK)
    front = np.concatenate([points[20:21]] * 60)
    back = front[:, list(MIRROR)]
    absent = np.full((90, 17, 2), np.nan)
    present = np.repeat([True, False, True], [60, 90, 60])
    swapped = repair(np.concatenate([front, absent, back]), present=present)[2]
    assert not swapped.any()


def profile_walk(frames=240, rate=30):
    """(F, 17, 2): legs and arms that swing through each other, seen exactly from the side."""
    phase = 2 * np.pi * 0.9 * np.arange(frames) / rate
    points = np.zeros((frames, 17, 2))
    points[..., 1] = [0, 0, 45, 90, 0, 45, 90, -25, -50, -60, -70, -48, -20, 5, -48, -20, 5]
    for limbs, sign in ((RIGHT, 1), (LEFT, -1)):
        for joint, reach in zip(limbs, (0, 15, 34, 0, -9, -20), strict=True):
            points[:, joint, 0] = sign * reach * np.sin(phase)
            points[:, joint, 1] -= 0.1 * abs(reach) * (1 + np.cos(phase * sign))
    points[..., 0] += 2 * np.arange(frames)[:, None]
    return points + 300


@pytest.mark.parametrize("seed", range(4))
def test_limbs_that_cross_in_profile_are_left_alone(seed):
    points = profile_walk()
    points += np.random.default_rng(seed).normal(0, 1.5, points.shape)  # 1 % of the height
    assert not repair(points)[2].any()


def test_one_limb_shown_on_the_other_is_not_an_exchange():
    """The detector puts the far leg on the near one for a while, and then back."""
    points, height = load(WALK)
    points += np.random.default_rng(0).normal(0, 0.005 * height, points.shape)
    for start in range(20, 220, 25):
        points[start : start + 10, RIGHT[:3]] = points[start : start + 10, LEFT[:3]] + 1
    assert not repair(points)[2].any()


def test_single_wild_joints_are_not_an_exchange():
    points, height = load(WALK)
    rng = np.random.default_rng(0)
    wild = rng.random(points.shape[:2]) < 0.03
    points[wild] += rng.normal(0, 0.3 * height, (wild.sum(), 2))
    assert not repair(points)[2].any()


def test_where_the_detector_is_surer_it_is_right():
    points, _ = load(WALK)
    points, scores = points[:150], np.full((150, 17), 0.9)
    scores[:90] = 0.3
    given = exchange(points, 0, 90)
    assert repair(given, scores=scores)[2][:, 0].tolist() == [True] * 90 + [False] * 60
    assert repair(given)[2][:, 0].tolist() == [False] * 90 + [True] * 60  # by majority alone


def test_hips_point_the_way_the_shoulders_do():
    """Legs exchanged in most frames: the arms, which are not, say so."""
    points, _ = load(WALK)
    across = points[:, LIMBS[0][3], 0] - points[:, LIMBS[0][0], 0]
    frontal = np.abs(across) > 0.8 * np.abs(across).max()
    first = int(np.flatnonzero(frontal)[0])
    view = np.concatenate([points[first : first + 1]] * 60)
    view += np.random.default_rng(0).normal(0, 1, view.shape)
    swapped = repair(exchange(view, 0, 36, [0]))[2]
    assert swapped[:, 0].tolist() == [True] * 36 + [False] * 24
    assert not swapped[:, 1].any()


def test_nobody_one_frame_and_no_frame():
    points, _ = load(WALK)
    for count in (0, 1, 2):
        assert repair(points[:count])[2].shape == (count, 2)
    nobody = np.full((5, 17, 2), np.nan)
    assert not repair(nobody, present=np.zeros(5, bool))[2].any()
    assert not repair(nobody)[2].any()
    assert not repair(np.full((5, 17, 2), 50.0))[2].any()  # all joints in one point
    assert not repair(points[:9], np.zeros(9))[2].any()  # stamps that stand still


@pytest.mark.parametrize(
    "change",
    [
        {"keypoints": np.zeros((4, 16, 2))},
        {"scores": np.zeros((4, 16))},
        {"time_s": np.array([0, 2, 1, 3.0])},
        {"time_s": np.array([0, 1, 2, np.nan])},
        {"present": np.ones(3, bool)},
    ],
)
def test_wrong_arrays_are_refused(change):
    given = {
        "keypoints": np.zeros((4, 17, 2)),
        "scores": np.ones((4, 17)),
        "time_s": np.arange(4.0),
        "present": np.ones(4, bool),
    }
    with pytest.raises(ValueError, match=r"needed|time_s"):
        repair_sides(**{**given, **change})
