"""An even frame rate for the formats that know no other."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy.interpolate import PchipInterpolator

from pipeline.cleaning import segments
from weights.errors import Pose3dError

# Stamps are rounded, to milliseconds in Matroska: that is no uneven rate.
TOLERANCE = 0.05  # of a frame's duration
# A rate that would multiply the frames by more than this does not belong to the time stamps.
MOST_FRAMES = 100


def is_even(time_s: np.ndarray, rate: Fraction) -> bool:
    """True if frame k lies at the first time plus k / rate, but for rounding of the stamps."""
    grid = np.arange(len(time_s)) / float(rate)
    return bool((np.abs(time_s - time_s[:1] - grid) * float(rate) <= TOLERANCE).all())


def even_times(time_s: np.ndarray, rate: Fraction) -> np.ndarray:
    """(N,) seconds: from the first to the last of ``time_s`` (F,) at ``rate`` frames a second."""
    if len(time_s) > 1 and not time_s[-1] > time_s[0]:
        raise Pose3dError(
            f"all {len(time_s)} frames have the same time: no format with an even rate can hold "
            "them; export csv, json or npz"
        )
    if len(time_s) == 0 or is_even(time_s, rate):
        count = len(time_s)
    else:
        count = round((time_s[-1] - time_s[0]) * float(rate)) + 1
    if count > MOST_FRAMES * len(time_s):
        raise Pose3dError(
            f"{len(time_s)} frames over {time_s[-1] - time_s[0]:.1f} s do not fit the result's "
            f"frame rate of {float(rate):g}: no format with an even rate can hold them; export "
            "glb, csv, json or npz"
        )
    return time_s[:1] + np.arange(count) / float(rate)


def resample(values: np.ndarray, time_s: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Positions at other times, by monotone cubic pieces (PCHIP), which never overshoot.

    Gaps stay gaps: nothing is made up further than half a step of ``times`` from what is known.

    Parameters
    ----------
    values : (F, ..., 3), NaN where absent
    time_s : (F,) seconds, never decreasing; of equal times the first counts
    times : (N,) seconds, even

    Returns
    -------
    (N, ..., 3) float64, NaN where absent.
    """
    time_s, first = np.unique(time_s, return_index=True)
    tracks = np.asarray(values, np.float64)[first].reshape(len(first), -1, 3)
    found = np.full((len(times), *tracks.shape[1:]), np.nan)
    margin = (times[1] - times[0]) / 2 if len(times) > 1 else 0.0
    known = np.isfinite(tracks).all(axis=-1)
    for track in range(tracks.shape[1]):
        for start, stop in segments(known[:, track]):
            begin, end = time_s[start], time_s[stop - 1]
            near = (times >= begin - margin) & (times < end + margin)
            inside = np.clip(times[near], begin, end)
            if stop - start == 1:
                found[near, track] = tracks[start, track]
            else:
                curve = PchipInterpolator(time_s[start:stop], tracks[start:stop, track])
                found[near, track] = curve(inside)
    return found.reshape(len(times), *np.shape(values)[1:])
