"""Smoothing over time: filters of unbroken stretches, in real seconds, never across a gap."""

from __future__ import annotations

import math

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import median_filter
from scipy.signal import butter, savgol_filter, sosfiltfilt

from pipeline.settings import parse_smoothing

# Cutoffs in Hz. People walk, squat and dance below 6 Hz (Winter, Biomechanics, 2009, sec. 3.4.4);
# the lifters' jitter lies above. Chosen by ``benchmarks/smoothing.py``.
BUTTERWORTH_HZ = 6.0
SAVGOL_S = 0.25
# Casiez, Roussel, Vogel: "1 Euro Filter", CHI 2012: cutoff = least + slope * speed (m/s).
ONE_EURO_LEAST_HZ, ONE_EURO_SLOPE, ONE_EURO_SPEED_HZ = 3.0, 12.0, 1.0
# Hampel: frames on each side, and how many (robust) standard deviations are an outlier.
HAMPEL_REACH, HAMPEL_LIMIT = 3, 4.0
# Numbers that are filtered at once: those of five minutes.
BLOCK = 1 << 19
# Stamps that jitter by less than this share of a step count as even.
EVEN = 0.2


def smooth(values: np.ndarray, time_s: np.ndarray, method: str) -> np.ndarray:
    """Smooth one unbroken stretch.

    Parameters
    ----------
    values : (n, ...) of any unit for "butterworth" and "savgol", metres for "one-euro", whose
        cutoff follows the speed
    time_s : (n,) seconds, never decreasing
    method : "none"; "butterworth" ("auto" too) or "butterworth:HZ", of second order, run both ways
        so that nothing lags; "savgol", Savitzky-Golay of third order over a quarter of a second;
        "one-euro", in which no value depends on a later one

    Returns
    -------
    (n, ...) of the values' type. Too short stretches are left as they are, and those without time.
    """
    method, cutoff = parse_smoothing(method)
    values = np.asarray(values)
    if method == "none" or len(values) < 4 or not time_s[-1] > time_s[0]:
        return values
    flat = values.reshape(len(values), -1)
    if method == "one-euro":
        return _one_euro(flat.astype(np.float64), time_s).reshape(values.shape).astype(values.dtype)
    smoothed = np.empty_like(flat)
    grid = _even_grid(time_s)
    step = float(np.median(np.diff(time_s))) if grid is None else grid[1] - grid[0]
    # Of hours, some columns after the other: every step of a filter is another copy.
    width = max(1, BLOCK // len(flat))
    for first in range(0, flat.shape[1], width):
        even = flat[:, first : first + width].astype(np.float64)
        if grid is not None:
            even = CubicSpline(_increasing(time_s), even)(grid)
        if method == "savgol":
            even = _savgol(even, step)
        else:
            even = _butterworth(even, step, cutoff or BUTTERWORTH_HZ)
        if grid is not None:
            even = CubicSpline(grid, even)(_increasing(time_s))
        smoothed[:, first : first + width] = even
    return smoothed.reshape(values.shape)


def remove_outliers(points: np.ndarray) -> np.ndarray:
    """Points (n, J, D) of one unbroken stretch without jumps there and back (Hampel's filter).

    A point further from the median of the seven frames around it than four robust standard
    deviations, and 2 % of the body's extent, is replaced by that median.
    """
    points = np.asarray(points)
    if len(points) < 2 * HAMPEL_REACH + 1:
        return points
    window = (2 * HAMPEL_REACH + 1, 1, 1)
    middle = median_filter(points.astype(np.float64), size=window, mode="nearest")
    off = np.linalg.norm(points - middle, axis=-1)
    usual = median_filter(off, size=window[:2], mode="nearest")
    extent = np.median(np.ptp(points, axis=1).max(axis=-1))
    wild = off > np.maximum(HAMPEL_LIMIT * 1.4826 * usual, 0.02 * extent)
    return np.where(wild[..., None], middle, points).astype(points.dtype)


def _butterworth(values: np.ndarray, step: float, cutoff: float) -> np.ndarray:
    if cutoff * step >= 0.45:  # near the Nyquist frequency there is nothing to take away
        return values
    # Both ways lower the cutoff; this raises it back (Winter 2009, sec. 3.4.4.2).
    raised = math.atan(math.tan(math.pi * cutoff * step) / 0.802) / math.pi
    sections = butter(2, 2 * raised, output="sos")
    pad = min(len(values) - 1, math.ceil(1 / (cutoff * step)))
    return sosfiltfilt(sections, values, axis=0, padtype="odd", padlen=pad)


def _savgol(values: np.ndarray, step: float) -> np.ndarray:
    window = max(5, 2 * round(SAVGOL_S / step / 2) + 1)
    window = min(window, len(values) - 1 + len(values) % 2)
    return savgol_filter(values, window, min(3, window - 1), axis=0) if window > 3 else values


class OneEuro:
    """``smooth`` with "one-euro", value by value, from the first points (..., 3) on, in metres."""

    def __init__(self, first: np.ndarray) -> None:
        self._points = self._value = first.astype(np.float64)
        self._velocity = np.zeros_like(self._value)

    def follow(self, points: np.ndarray, step_s: float) -> np.ndarray:
        """The smoothed points, float64, ``step_s`` > 0 seconds after those before."""
        rate = _share(ONE_EURO_SPEED_HZ, step_s)
        self._velocity = self._velocity + rate * ((points - self._points) / step_s - self._velocity)
        speed = np.linalg.norm(self._velocity, axis=-1, keepdims=True)
        follow = _share(ONE_EURO_LEAST_HZ + ONE_EURO_SLOPE * speed, step_s)
        self._value = self._value + follow * (points - self._value)
        self._points = points.astype(np.float64)
        return self._value


def _one_euro(values: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """Each triple (or pair) of columns moves as one point: its speed opens one cutoff."""
    count, columns = values.shape
    size = 3 if columns % 3 == 0 else columns
    points = values.reshape(count, -1, size)
    usual = max(1e-3, float(time_s[1] - time_s[0]))
    smoothed, out = OneEuro(points[0]), np.empty_like(points)
    out[0] = points[0]
    for n in range(1, count):
        step = float(time_s[n] - time_s[n - 1])
        out[n] = smoothed.follow(points[n], step if step > 1e-6 else usual)
    return out.reshape(count, columns)


def _share(cutoff_hz: np.ndarray | float, step: float) -> np.ndarray | float:
    """Of the way to a new value that a low pass of first order goes in one step."""
    turn = 2 * math.pi * cutoff_hz * step
    return turn / (turn + 1)


def _increasing(time_s: np.ndarray) -> np.ndarray:
    """Stamps of broken files may stand still; interpolation needs an order."""
    time_s = np.maximum.accumulate(np.asarray(time_s, np.float64))
    return time_s + 1e-6 * np.cumsum(np.diff(time_s, prepend=-np.inf) < 1e-6)


def _even_grid(time_s: np.ndarray) -> np.ndarray | None:
    """Even times over the same span, or None if the stamps are even enough."""
    steps = np.diff(_increasing(time_s))
    usual = float(np.median(steps))
    if np.ptp(steps) < EVEN * usual:
        return None
    span = float(time_s[-1] - time_s[0])
    count = min(max(4, math.ceil(span / usual) + 1), 4 * len(time_s))
    return np.linspace(time_s[0], time_s[0] + span, count)
