"""``pose3d.lift``: keypoints as an array in, joints as an array out."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

import lifters3d
from lifters3d.skeleton import HIP
from pipeline.joints import coco_to_h36m
from pipeline.process import estimate
from pipeline.settings import Settings
from pipeline.smoothing import smooth
from pose3d import lift
from tests.pipeline.fakes import walking
from tests.pipeline.lifters import SIZE, evenly, lift_sequence
from tests.pipeline.networks import figure, network

LENGTH = 40


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def lifter():
    return network("liftformer", "person", frame_rate=30.0)


@pytest.fixture(scope="module")
def quick(lifter):
    """``lift`` with a quick network in full precision, as the network says it."""
    fixed = {"lifter": lifter, "precision": "fp32", "smooth": "none"}

    def run(keypoints, size=SIZE, **options):
        return lift(keypoints, size, **{**fixed, **options})

    return run


def assert_same(ours, expected, atol=1e-5):
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, rtol=0, atol=atol)  # NaN equals NaN


def seen(joints):
    """(T,) bool; a frame is there with all its joints or not at all."""
    finite = np.isfinite(joints).all(axis=(-1, -2))
    assert np.isnan(joints[~finite]).all()
    return finite


def test_one_person(quick, lifter):
    clip = figure(LENGTH)
    before = clip.copy()
    joints = quick(clip)
    assert joints.shape == (LENGTH, 17, 3)
    assert joints.dtype == np.float32
    assert (joints[:, HIP] == 0).all()
    assert_same(joints, lift_sequence(lifter, clip, evenly(LENGTH), SIZE))
    np.testing.assert_array_equal(clip, before)
    for other in (clip.tolist(), torch.tensor(clip), np.asfortranarray(clip)):
        np.testing.assert_array_equal(quick(other), joints)
    assert_same(quick(clip.round().astype(np.int64)), joints, atol=0.05)


@pytest.mark.parametrize(
    ("options", "same"),
    [
        ({"flip": False}, {"flip_average": False}),
        ({"fov": 90.0}, {"fov_degrees": 90.0}),
        ({"causal": True}, {"causal": True}),
        ({"precision": "bf16"}, {"precision": "bf16"}),
    ],
)
def test_options_reach_the_lifting(quick, lifter, options, same):
    clip = figure(LENGTH)
    joints = quick(clip, **options)
    assert_same(joints, lift_sequence(lifter, clip, evenly(LENGTH), SIZE, **same))
    assert np.abs(joints - quick(clip)).max() > 1e-3


def test_lifters_by_name_by_file_and_as_networks(tiny):
    with np.load(Path(__file__).parents[2] / "demos" / "walk.npz") as walk:
        clip, size = walk["joints2d"][:12, 0], tuple(walk["size"])
    by_name = lift(clip, size, precision="fp32")
    assert_same(lift(clip, size, lifter=lifters3d.load("mixste"), precision="fp32"), by_name, 1e-6)
    by_path = lift(clip, size, lifter=Path(tiny), device="cpu", precision="fp32")
    network = lifters3d.load(tiny)
    assert_same(lift(clip, size, lifter=network, device="cuda:7", precision="fp32"), by_path, 1e-6)
    assert np.abs(by_name - by_path).max() > 0.01


def test_coco_joints_are_mapped(quick):
    coco = np.stack([walking(i, SIZE) for i in range(LENGTH)])
    by_hand = coco_to_h36m(coco)[0]
    joints = quick(coco, layout="coco")
    assert_same(joints, quick(by_hand, layout="h36m"))
    assert np.abs(joints - quick(coco)).max() > 0.05
    # Without a score they are what they would be as NaN.
    scores = np.ones((LENGTH, 17))
    scores[:, [5, 9]] = 0
    coco[:, [5, 9]] = np.nan
    masked = quick(coco, layout="coco", scores=scores)
    assert np.isfinite(masked).all()
    assert_same(masked, quick(coco_to_h36m(coco)[0]))


# Times -------------------------------------------------------------------------------------------


def test_frames_per_second_and_times(quick):
    clip = figure(LENGTH)
    for rate in (60.0, 24.0, 10.0):
        joints = quick(clip, fps=rate)
        assert_same(joints, quick(clip, time_s=evenly(LENGTH, rate) + 7))
        assert_same(joints, quick(clip, fps=Fraction(int(rate))))
        assert_same(joints, quick(clip, fps=1.0, time_s=list(evenly(LENGTH, rate))))
    assert np.abs(quick(clip, fps=60.0) - quick(clip)).max() > 1e-2


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("pause", [2.5, 3600.0, 1e9])
def test_what_a_pause_parts_is_lifted_apart(quick, causal, pause):
    clip = figure(LENGTH)
    time_s = evenly(LENGTH) + np.where(np.arange(LENGTH) >= 25, pause, 0)
    joints = quick(clip, time_s=time_s, causal=causal)
    apart = [quick(clip[:25], causal=causal), quick(clip[25:], causal=causal)]
    assert_same(joints, np.concatenate(apart), atol=1e-3 if pause == 1e9 else 1e-5)


@pytest.mark.parametrize("fps", [0.4, 1e-6, 1e6])
def test_odd_rates(quick, fps):
    """No resampling without end."""
    for causal in (False, True):
        assert np.isfinite(quick(figure(20), fps=fps, causal=causal)).all()


# What was not found ------------------------------------------------------------------------------


def test_short_gaps_are_bridged_and_long_ones_are_not(quick):
    clip = figure(60)
    gone = np.zeros(60, bool)
    gone[[0, 1, 10, 11, 12, *range(25, 42), 58, 59]] = True
    holed = np.where(gone[:, None, None], np.nan, clip)
    joints = quick(holed)  # 15 frames at most: half a second
    expected = np.ones(60, bool)
    expected[[0, 1, *range(25, 42), 58, 59]] = False
    np.testing.assert_array_equal(seen(joints), expected)

    bridged = holed.copy()
    bridged[10:13] = np.linspace(clip[9], clip[13], 5)[1:4]
    for part in (slice(2, 25), slice(42, 58)):
        assert_same(joints[part], quick(bridged[part]))

    np.testing.assert_array_equal(seen(quick(holed, max_gap=0.05)), ~gone)
    assert seen(quick(holed, max_gap=0.6)).sum() == 56
    np.testing.assert_array_equal(seen(quick(holed, causal=True)), ~gone)


def test_missing_joints_are_bridged_or_guessed(quick):
    clip = figure(60)
    holed = clip.copy()
    holed[20:23, 13] = np.nan
    straight = clip.copy()
    straight[20:23, 13] = np.linspace(clip[19, 13], clip[23, 13], 5)[1:4]
    joints = quick(holed)
    assert_same(joints, quick(straight))
    # For good: the wrist goes on where the upper arm points, and is not spread.
    holed[:, 16] = np.nan
    straight[:, 16] = straight[:, 15] + 0.9 * (straight[:, 15] - straight[:, 14])
    assert_same(quick(holed), quick(straight))


@pytest.mark.parametrize("causal", [False, True])
def test_scores_of_nothing_hide_joints(quick, causal):
    clip = figure(LENGTH)
    random = np.random.default_rng(0)
    hidden = random.random((LENGTH, 17)) < 0.2
    hidden[30:] = True
    scores = np.where(hidden, random.choice([0.0, -1.0, np.nan], hidden.shape), 1e-3)
    joints = quick(clip, scores=scores, causal=causal)
    holed = np.where(hidden[..., None], np.nan, clip)
    assert_same(joints, quick(holed, causal=causal))
    np.testing.assert_array_equal(seen(joints), np.arange(LENGTH) < 30)
    one_of_two = holed.copy()
    one_of_two[..., 0] = np.where(hidden, clip[..., 0], one_of_two[..., 0])
    assert_same(joints, quick(one_of_two, causal=causal))


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39, 1e30, 1e7])
@pytest.mark.parametrize("kind", ["mixste", "liftformer"])
def test_impossible_places_are_missing(value, kind):
    lifter = network(kind, "screen")
    clip, holed = figure(LENGTH), figure(LENGTH)
    clip[20, 13, 1], holed[20, 13] = value, np.nan
    assert_same(lift(clip, SIZE, lifter=lifter), lift(holed, SIZE, lifter=lifter))


def test_nobody_at_all(quick):
    nothing = np.full((5, 17, 2), np.nan)
    for causal in (False, True):
        assert np.isnan(quick(nothing, causal=causal)).all()
        assert quick(nothing[:, None], causal=causal).shape == (5, 1, 17, 3)
        assert quick(np.zeros((5, 0, 17, 2)), causal=causal).shape == (5, 0, 17, 3)
    assert quick(nothing).shape == (5, 17, 3)
    assert quick(figure(1)).shape == (1, 17, 3)


# Several people ----------------------------------------------------------------------------------


@pytest.mark.parametrize("causal", [False, True])
def test_people_with_gaps_of_their_own(quick, causal):
    people = np.stack([figure(60, seed) for seed in range(4)], axis=1)
    people[10:14, 0] = np.nan
    people[20:50, 1] = np.nan
    people[:, 2] = np.nan
    people[5:9, 3, 6] = np.nan
    scores = np.ones(people.shape[:-1])
    scores[40:, 3] = 0
    joints = quick(people, scores=scores, causal=causal)
    assert joints.shape == (60, 4, 17, 3)
    for person in range(4):
        alone = quick(people[:, person], scores=scores[:, person], causal=causal)
        assert_same(joints[:, person], alone)
    assert seen(joints).sum(axis=0).tolist() == [56 if causal else 60, 30, 0, 40]


def test_a_person_changes_no_other(quick):
    people = np.stack([figure(LENGTH, seed) for seed in range(3)], axis=1)
    joints = quick(people)
    people[:, 1] = people[::-1, 1] * 3
    other = quick(people)
    assert_same(other[:, [0, 2]], joints[:, [0, 2]], atol=1e-6)
    assert np.abs(other[:, 1] - joints[:, 1]).max() > 1e-2


def test_causal_bridges_nothing_and_knows_nothing_of_later(quick):
    people = np.stack([figure(LENGTH, seed) for seed in range(2)], axis=1)
    people[12:15, 0] = np.nan
    people[12:15, 1, :8] = np.nan
    joints = quick(people, causal=True)
    people[13:] = np.nan
    people[16, 0] = 5.0
    assert_same(quick(people, causal=True)[:13], joints[:13])


def test_stretches_are_smoothed_each_by_itself(quick):
    clip = figure(LENGTH)
    clip[18:20] = np.nan
    raw, times = quick(clip, max_gap=0), np.arange(LENGTH) / 30
    for options, method in (({}, "butterworth"), ({"smooth": "savgol"}, "savgol")):
        ours = quick(clip, max_gap=0, **{"smooth": "auto", **options})
        for part in (slice(0, 18), slice(20, LENGTH)):
            assert_same(ours[part], smooth(raw[part], times[part], method))
            assert np.abs(ours[part] - raw[part]).max() > 1e-3
    raw = quick(clip, causal=True)
    assert_same(
        quick(clip, causal=True, smooth="auto")[:18], smooth(raw[:18], times[:18], "one-euro")
    )


# The same as for videos --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, {}),
        ({"causal": True}, {"causal": True}),
        ({"flip": False, "fov": 100.0}, {"flip": False, "fov": 100.0}),
        ({"max_gap": 0.1, "precision": "fp32"}, {"max_gap": 0.1, "precision": "fp32"}),
    ],
)
@pytest.mark.parametrize("rate", [30, 50])
def test_videos_are_lifted_the_same_way(pose, clip, tiny, settings, options, rate):
    pose(absent=[0, 5, 6, *range(20, 40), 45])
    path = clip(frames=50, rate=Fraction(rate))
    result = estimate(path, Settings(lifter=tiny, **settings))
    size = result.picture_size
    joints = lift(result.keypoints2d, size, lifter=tiny, time_s=result.time_s, **options)
    assert_same(joints, result.joints3d)
    found = seen(joints)[:, 0]
    bridged = not settings.get("causal")
    assert (found[5], found[45]) == (bridged, bridged)
    assert not found[0]
