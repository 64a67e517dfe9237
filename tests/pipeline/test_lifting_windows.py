"""A sequence cut into windows and put together again, with lifters whose answer is known."""

from pathlib import Path

import numpy as np
import pytest
import torch

import lifters3d
from lifters3d.skeleton import HIP
from pipeline.windows import window_starts
from tests.pipeline.lifters import (
    SIZE,
    FakeLifter,
    evenly,
    lift_sequence,
    linear,
    lopsided,
    on_screen,
    rooted,
    wandering,
)

WALK = Path(__file__).parents[2] / "demos" / "walk.npz"
LENGTHS = [1, 2, 8, 9, 26, 27, 28, 53, 54, 55, *range(80, 201, 7), 200]


# Windows -----------------------------------------------------------------------------------------

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("frames", [1, 2, 3, 27, 81])
def test_windows_cover_everything(frames):
    for length in range(frames, 4 * frames + 3):
        starts = window_starts(length, frames)
        assert starts[0] == 0
        assert starts[-1] == length - frames
        assert (np.diff(starts) > 0).all()
        assert (np.diff(starts) <= max(1, frames // 3)).all()


@pytest.mark.parametrize("length", LENGTHS)
def test_each_frame_comes_back_in_its_place(length):
    keypoints = wandering(length)
    lifted = lift_sequence(
        FakeLifter(lopsided), keypoints, evenly(length), SIZE, flip_average=False
    )
    expected = rooted(lopsided(torch.tensor(on_screen(keypoints))).numpy())
    assert lifted.shape == (length, 17, 3)
    assert lifted.dtype == np.float32
    np.testing.assert_allclose(lifted, expected, atol=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 9, 81, 243])
def test_any_receptive_field(frames):
    for length in (1, 5, 100):
        keypoints = wandering(length)
        lifter = FakeLifter(lopsided, frames)
        lifted = lift_sequence(lifter, keypoints, evenly(length), SIZE, flip_average=False)
        expected = rooted(lopsided(torch.tensor(on_screen(keypoints))).numpy())
        np.testing.assert_allclose(lifted, expected, atol=1e-4)


def test_nothing_gives_nothing():
    lifted = lift_sequence(FakeLifter(lopsided), np.zeros((0, 17, 2)), np.zeros(0), SIZE)
    assert lifted.shape == (0, 17, 3)


def test_ends_are_padded_with_the_end_frames():
    seen = []

    def record(keypoints):
        seen.append(keypoints.clone())
        return lopsided(keypoints)

    keypoints = wandering(5)
    lift_sequence(FakeLifter(record), keypoints, evenly(5), SIZE, flip_average=False)
    (window,) = torch.cat(seen).numpy()
    frames = on_screen(keypoints)
    order = [int(np.abs(frames - shown).sum((1, 2)).argmin()) for shown in window]
    assert order == [0] * 11 + [0, 1, 2, 3, 4] + [4] * 11


@pytest.mark.parametrize("length", [1, 20, 27, 60])
def test_every_frame_is_seen_well_inside_of_some_window(length):
    """A sequence lifter is at its worst at the ends of its window."""
    best = np.zeros(length)

    def record(keypoints):
        for window in keypoints.numpy():
            for place, shown in enumerate(window):
                frame = int(np.abs(frames - shown).sum((1, 2)).argmin())
                best[frame] = max(best[frame], min(place, 26 - place))
        return lopsided(keypoints)

    keypoints = wandering(length)
    frames = on_screen(keypoints)
    lift_sequence(FakeLifter(record), keypoints, evenly(length), SIZE, flip_average=False)
    assert best.min() >= 9


@pytest.mark.parametrize("length", [5, 27, 100])
def test_batch_size_changes_nothing(length):
    def blurred(keypoints):
        return lopsided(keypoints) + lopsided(keypoints).mean(dim=1, keepdim=True)

    keypoints = wandering(length)
    results = []
    for batch in (1, 3, 1000, None):
        lifter = FakeLifter(blurred)
        results.append(lift_sequence(lifter, keypoints, evenly(length), SIZE, batch=batch))
        assert max(lifter.calls) <= (batch or 1000)
    for other in results[1:]:
        np.testing.assert_allclose(other, results[0], atol=1e-5)


# Seams -------------------------------------------------------------------------------------------


def accelerations(joints):
    """(n - 2,) mean over the joints of the size of the second difference."""
    return np.linalg.norm(np.diff(joints, 2, axis=0), axis=-1).mean(-1)


def near_window_edges(length, frames):
    """Indices of second differences over frames in which a window begins or ends."""
    margin = frames // 3
    starts = np.array(window_starts(length + 2 * margin, frames)) - margin
    edges = np.unique([starts, starts + frames])
    edges = edges[(edges > 1) & (edges < length - 1)]
    return np.unique([edges - 2, edges - 1])


def circling(length):
    """(n, 17, 2) px: the same speed and acceleration in every frame."""
    angle = 2 * np.pi * np.arange(length) / 25 + np.arange(17)[:, None]
    return np.stack([320 + 90 * np.cos(angle.T), 240 + 90 * np.sin(angle.T)], axis=-1)


@pytest.mark.parametrize("shape", ["ramp", "ends", "offset"])
def test_no_seam_from_what_depends_on_the_place_in_the_window(shape):
    """The error of real sequence lifters depends on where in the window a frame stands."""
    place = torch.linspace(-1, 1, 27)
    error = {"ramp": 0.05 * place, "ends": 0.08 * place**8, "offset": 0.05 * torch.sin(9 * place)}
    windows = []

    def biased(keypoints):
        windows.extend(keypoints)
        bias = torch.zeros(27, 17, 3)
        bias[:, :, 2] = error[shape][:, None]
        bias[:, HIP] = 0
        return linear(keypoints) + bias

    length = 150
    lifted = lift_sequence(
        FakeLifter(biased), circling(length), evenly(length), SIZE, flip_average=False
    )
    size = accelerations(lifted)
    assert len(windows) > 10
    assert size[near_window_edges(length, 27)].max() <= 1.5 * np.median(size)


def test_no_seam_with_the_shipped_lifter():
    truth = np.load(WALK)
    lifter = lifters3d.load("mixste")
    keypoints = truth["joints2d"][:165, 0]
    lifted = lift_sequence(
        lifter, keypoints, evenly(len(keypoints)), tuple(truth["size"]), flip_average=False
    )
    size = accelerations(lifted)
    edges = near_window_edges(len(keypoints), lifter.frames)
    assert len(edges) >= 4
    assert size[edges].mean() <= 1.5 * np.median(size)
