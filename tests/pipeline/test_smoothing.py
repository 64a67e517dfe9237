"""Smoothing: what passes, what is taken away, in seconds, whatever the frames' times."""

import numpy as np
import pytest

from pipeline.settings import Settings, make_settings
from pipeline.smoothing import remove_outliers, smooth
from weights.errors import Pose3dError

RNG = np.random.default_rng(0)
BOTH_WAYS = ("butterworth", "savgol")


def wave(time_s, hertz):
    """(n, 17, 3): each joint and axis with a phase of its own."""
    phase = np.linspace(0, 6, 51).reshape(17, 3)
    return 0.3 * np.sin(2 * np.pi * hertz * time_s[:, None, None] + phase)


def gain(hertz, rate, method):
    time_s = np.arange(0, 6, 1 / rate)
    inner = slice(len(time_s) // 4, -len(time_s) // 4)
    return np.std(smooth(wave(time_s, hertz), time_s, method)[inner]) / np.std(
        wave(time_s, hertz)[inner]
    )


@pytest.mark.parametrize("rate", [24, 30, 60, 240])
def test_the_cutoff_is_in_hertz(rate):
    """A Butterworth of second order passes 1 / sqrt(2) at its cutoff, run both ways as well."""
    assert gain(6, rate, "butterworth") == pytest.approx(2**-0.5, abs=0.03)
    assert gain(3, rate, "butterworth:3") == pytest.approx(2**-0.5, abs=0.03)
    assert gain(1, rate, "butterworth") > 0.99
    assert gain(11, rate, "butterworth") < 0.2


@pytest.mark.parametrize("method", BOTH_WAYS)
def test_nothing_lags(method):
    time_s = np.arange(0, 4, 1 / 30)
    slow = wave(time_s, 1)
    error = np.abs(smooth(slow, time_s, method) - slow)
    assert error.max() < 0.012  # at the ends, where half of the filter is missing
    assert error[20:-20].max() < 0.003


@pytest.mark.parametrize("method", ["butterworth", "savgol", "one-euro"])
def test_noise_becomes_less(method):
    time_s = np.arange(0, 4, 1 / 30)
    slow = wave(time_s, 0.7)
    noisy = slow + RNG.normal(0, 0.01, slow.shape)
    jitter = [np.abs(np.diff(x, 2, axis=0)).mean() for x in (noisy, smooth(noisy, time_s, method))]
    assert jitter[1] < (0.75 if method == "one-euro" else 0.45) * jitter[0]
    if method in BOTH_WAYS:
        assert (
            np.abs(smooth(noisy, time_s, method) - slow).mean() < 0.8 * np.abs(noisy - slow).mean()
        )


@pytest.mark.parametrize("method", BOTH_WAYS)
def test_uneven_times_change_little(method):
    """Every third frame lost: the same movement in seconds, and nearly the same answer."""
    time_s = np.arange(0, 4, 1 / 60)
    kept = np.arange(len(time_s)) % 3 != 1
    moving = wave(time_s, 1.5) + 0.05 * wave(time_s, 13)
    whole, part = smooth(moving, time_s, method), smooth(moving[kept], time_s[kept], method)
    assert np.abs(whole[kept] - part)[10:-10].max() < 0.01
    assert np.abs(whole - moving).max() > 0.01  # something was taken away


def test_one_euro_knows_no_future():
    time_s = np.arange(60) / 30
    values = wave(time_s, 1) + RNG.normal(0, 0.01, (60, 17, 3))
    whole = smooth(values, time_s, "one-euro")
    np.testing.assert_array_equal(whole[:40], smooth(values[:40], time_s[:40], "one-euro"))
    # First two values by hand: one step of a low pass whose cutoff follows the speed.
    step, (a, b) = 1 / 30, values[:2, 5]
    share = 2 * np.pi * step / (2 * np.pi * step + 1)
    speed = np.linalg.norm(share * (b - a) / step)
    turn = 2 * np.pi * (3 + 12 * speed) * step
    np.testing.assert_allclose(whole[1, 5], a + turn / (turn + 1) * (b - a), atol=1e-12)


@pytest.mark.parametrize("method", ["none", "butterworth", "savgol", "one-euro"])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8])
def test_short_stretches(method, count):
    values = RNG.normal(size=(count, 17, 3)).astype(np.float32)
    smoothed = smooth(values, np.arange(count) / 25, method)
    assert smoothed.shape == values.shape
    assert smoothed.dtype == np.float32
    assert np.isfinite(smoothed).all()


def test_times_that_stand_still():
    time_s = np.repeat(np.arange(15) / 15, 2)
    assert np.isfinite(smooth(wave(time_s, 1), time_s, "butterworth")).all()
    assert np.isfinite(smooth(wave(time_s, 1), time_s, "one-euro")).all()


def test_no_time_at_all():
    values = RNG.normal(size=(20, 17, 3))
    for method in ("butterworth", "savgol", "one-euro"):
        np.testing.assert_array_equal(smooth(values, np.full(20, 3.0), method), values)


def test_slow_frames_are_left():
    """At 5 frames/s there is nothing above 6 Hz."""
    values = RNG.normal(size=(20, 17, 3))
    np.testing.assert_array_equal(smooth(values, np.arange(20) / 5, "butterworth"), values)


def test_outliers():
    points = 100 * wave(np.arange(0, 2, 1 / 30), 0.5)[..., :2] + 300 * RNG.random((17, 2))
    points += RNG.normal(0, 0.3, points.shape)
    spoilt = points.copy()
    spoilt[20, 3] += 60
    spoilt[40:42, 16] -= 45
    cleaned = remove_outliers(spoilt)
    assert np.abs(cleaned[20, 3] - points[20, 3]).max() < 6
    assert np.abs(cleaned[40:42, 16] - points[40:42, 16]).max() < 6
    changed = (cleaned != spoilt).any(axis=-1)
    assert changed.sum() <= 3 + 2
    short = spoilt[:5]
    np.testing.assert_array_equal(remove_outliers(short), short)


@pytest.mark.parametrize(
    "method",
    ["gauss", "butterworth:", "butterworth:fast", "butterworth:0", "savgol:3", "", "none:1"],
)
def test_unknown_methods(method):
    with pytest.raises(Pose3dError, match="setting smooth must be auto, none, butterworth, savgol"):
        make_settings(smooth=method)


def test_what_looks_ahead_is_not_causal():
    with pytest.raises(Pose3dError, match="butterworth:4 looks ahead, which causal forbids"):
        Settings(smooth="butterworth:4", causal=True)
    assert Settings(smooth="one-euro", causal=True).smooth == "one-euro"
    assert make_settings(smooth="butterworth:4").smooth == "butterworth:4"
