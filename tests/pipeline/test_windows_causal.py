"""Causal lifting: what comes later changes nothing, whatever the network, its input, the rate."""

import numpy as np
import pytest
import torch

from pipeline.lifting import lift_sequences
from tests.pipeline.lifters import (
    SIZE,
    FakeLifter,
    evenly,
    lift_sequence,
    lopsided,
    on_screen,
    rooted,
    wandering,
)
from tests.pipeline.networks import CENTRE, CONVENTIONS, FRAMES, KINDS, figure, network

NOW = 11  # the last frame before the future


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def lift(lifter, keypoints, time_s, causal=True, **options):
    return lift_sequence(lifter, keypoints, time_s, SIZE, causal=causal, **options)


def change_of_the_past(lifter, time_s, causal):
    """How far the joints up to NOW move when all later keypoints do, the batches being equal."""
    clip = figure(len(time_s))
    other = clip.copy()
    other[NOW + 1 :] = 640 - 2 * other[NOW + 1 :]
    ours, changed = (lift(lifter, keypoints, time_s, causal) for keypoints in (clip, other))
    assert np.abs(ours[NOW + 1 :] - changed[NOW + 1 :]).max() > 1e-2
    return np.abs(ours[: NOW + 1] - changed[: NOW + 1]).max()


@pytest.mark.parametrize("rate", [30.0, 60.0, 25.0])
@pytest.mark.parametrize("normalisation", CONVENTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_later_frames_change_nothing(kind, normalisation, rate):
    lifter = network(kind, normalisation, frame_rate=30.0)
    assert change_of_the_past(lifter, evenly(20, rate), causal=True) == 0
    if kind != "liftformer causal":
        assert change_of_the_past(lifter, evenly(20, rate), causal=False) > 1e-3


def late(*steps):
    """Times of frames that come at 25 a second up to NOW, then by these steps."""
    return np.concatenate([evenly(NOW + 1, 25.0), NOW / 25 + np.cumsum(steps)])


@pytest.mark.parametrize(
    "time_s",
    [
        late(*[1 / 25] * 8),
        late(*[1 / 120] * 40),  # most of the clip has another rate
        late(*[1 / 5] * 20),
        late(0.01, 0.1, 0.3, 0.02),
        late(*[0.0] * 8),
        late(1.9),
    ],
)
@pytest.mark.parametrize("rate", [None, 30.0])
@pytest.mark.parametrize("kind", ["mixste", "poseformer", "liftformer causal"])
def test_the_times_of_later_frames_change_nothing(kind, rate, time_s):
    """Not even by whether the clip's rate fits the lifter's: that is known at the end only."""
    lifter, clip = network(kind, "frame", frame_rate=rate), figure(len(time_s))
    ours = lift(lifter, clip, time_s)
    cut = lift(lifter, clip[: NOW + 1], time_s[: NOW + 1])
    np.testing.assert_allclose(ours[: NOW + 1], cut, rtol=0, atol=1e-5)


@pytest.mark.parametrize("normalisation", CONVENTIONS)
@pytest.mark.parametrize("kind", CENTRE)
def test_a_frame_is_lifted_as_if_the_clip_ended_there(kind, normalisation):
    lifter, clip, time_s = network(kind, normalisation), figure(20), evenly(20)
    ours = lift(lifter, clip, time_s)
    pieces = [(clip[:number], time_s[:number]) for number in (1, 2, 5, 9, 14, 20)]
    for joints, _ in lift_sequences(lifter, pieces, SIZE):
        np.testing.assert_allclose(ours[len(joints) - 1], joints[-1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("normalisation", ["screen", "person"])
def test_lifters_of_the_last_frame_are_causal_in_both_modes(normalisation):
    lifter, clip, time_s = network("liftformer causal", normalisation), figure(20), evenly(20)
    plain, causal = (lift(lifter, clip, time_s, causal=causal) for causal in (False, True))
    np.testing.assert_allclose(plain, causal, rtol=0, atol=1e-5)
    assert change_of_the_past(lifter, time_s, causal=False) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_other_rates_are_sampled_at_the_lifters(kind):
    """Of 60 frames a second every other one, back from the present one: 30 a second."""
    lifter, clip = network(kind, frame_rate=30.0), figure(31)
    ours = lift(lifter, clip, evenly(31, 60.0) + 5)
    for first in (0, 1):
        every_other = clip[first::2]
        expected = lift(lifter, every_other, evenly(len(every_other)))
        # The windows of the odd frames begin between the first two: past these.
        np.testing.assert_allclose(ours[first::2][FRAMES:], expected[FRAMES:], rtol=0, atol=1e-5)
    np.testing.assert_allclose(ours[::2], lift(lifter, clip[::2], evenly(16)), rtol=0, atol=1e-5)


# What a window holds -----------------------------------------------------------------------------


@pytest.mark.parametrize(("frames", "held"), [(27, 9), (9, 3), (2, 0), (1, 0)])
def test_the_present_frame_is_held_behind_it(frames, held):
    windows = []

    def record(keypoints):
        windows.extend(keypoints.numpy())
        return lopsided(keypoints)

    clip = wandering(40)
    shown = on_screen(clip)
    lifter = FakeLifter(record, frames)
    joints = lift(lifter, clip, evenly(40), flip_average=False)
    np.testing.assert_allclose(joints, rooted(lopsided(torch.tensor(shown)).numpy()), atol=1e-5)
    assert len(windows) == 40
    for number, window in enumerate(windows):
        rows = [number - (frames - 1 - held) + k for k in range(frames)]
        rows = np.clip(rows, 0, number)
        np.testing.assert_allclose(window, shown[rows], atol=1e-6)


def test_missing_joints_and_frames_that_share_a_time():
    lifter, clip = network("poseformer", "person", frame_rate=30.0), figure(20)
    clip[3, 5], clip[8], clip[12, 0] = np.nan, np.nan, np.nan
    ours = lift(lifter, clip, np.repeat(evenly(10), 2))
    assert np.isfinite(ours).all()
    clip[NOW + 1 :] = np.nan
    cut = lift(lifter, clip, np.repeat(evenly(10), 2))
    np.testing.assert_array_equal(ours[: NOW + 1], cut[: NOW + 1])
