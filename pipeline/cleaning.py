"""Gaps in what was seen: short ones are bridged in time, long ones split a track."""

from __future__ import annotations

import numpy as np

# Times come from fractions, so equal lengths may differ in the last digits.
_TIME_TOLERANCE_S = 1e-6


def fill_gaps(
    values: np.ndarray, present: np.ndarray, time_s: np.ndarray, max_gap_s: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Bridge short gaps by straight lines in time between the two present neighbours.

    A gap lasts as long as its frames: the time between the present neighbours less one frame
    step, which is the median time between frames. At 30 frames/s and 0.5 s, up to 15 frames are
    bridged. Nothing is made up before the first or after the last present frame. Give it one
    person: a gap between two people would be bridged as well.

    Parameters
    ----------
    values : (F, ...) numbers of any unit; what stands in absent frames is not looked at
    present : (F,) bool
    time_s : (F,) seconds, never decreasing
    max_gap_s : longest gap to bridge, seconds

    Returns
    -------
    filled (F, ...) float32, NaN in the frames that stay absent, and interpolated (F,) bool.
    """
    values, time_s = np.asarray(values, np.float64), _checked_time(time_s, len(values))
    present = np.asarray(present, bool)
    if present.shape != time_s.shape:
        raise ValueError(f"present must be {time_s.shape}, not {present.shape}")
    interpolated, before, after, weight = _bridges(present, time_s, max_gap_s)
    weight = weight.reshape(-1, *[1] * (values.ndim - 1))
    filled = np.full(values.shape, np.nan)
    filled[present] = values[present]
    filled[interpolated] = (1 - weight) * values[before] + weight * values[after]
    return filled.astype(np.float32), interpolated


def fill_joints(
    keypoints: np.ndarray,
    scores: np.ndarray,
    time_s: np.ndarray,
    min_score: float = 0.3,
    max_gap_s: float = 0.5,
) -> tuple[np.ndarray, np.ndarray]:
    """Replace joints of low score by straight lines in time between their good neighbours.

    Gaps are measured as in `fill_gaps`, for each joint alone. A low joint without a good
    neighbour near enough on both sides is left as it is: a poor guess says more than nothing.
    Frames without the person (all joints NaN) are left to `fill_gaps`.

    Parameters
    ----------
    keypoints : (F, 17, 2) px; NaN where nothing was found
    scores : (F, 17); a joint is good from min_score on, if its position is finite
    time_s : (F,) seconds, never decreasing
    min_score : in the detector's own measure
    max_gap_s : longest gap to bridge, seconds

    Returns
    -------
    filled (F, 17, 2) float32 px and interpolated (F, 17) bool. Scores are the caller's to keep:
    they still say what was seen.
    """
    keypoints, time_s = np.asarray(keypoints, np.float64), _checked_time(time_s, len(keypoints))
    scores = np.asarray(scores)
    if keypoints.ndim != 3 or scores.shape != keypoints.shape[:2]:
        raise ValueError(
            f"keypoints must be (F, J, 2) and scores (F, J), not {keypoints.shape}, {scores.shape}"
        )
    finite = np.isfinite(keypoints).all(-1)
    good = finite & (scores >= min_score)  # False for a NaN score
    anyone = finite.any(-1)
    filled = keypoints.copy()
    interpolated = np.zeros(scores.shape, bool)
    for joint in range(scores.shape[1]):
        bridged, before, after, weight = _bridges(good[:, joint], time_s, max_gap_s)
        weight = weight[:, None]
        line = (1 - weight) * keypoints[before, joint] + weight * keypoints[after, joint]
        seen = anyone[bridged]
        bridged[bridged] = seen
        filled[bridged, joint] = line[seen]
        interpolated[:, joint] = bridged
    return filled.astype(np.float32), interpolated


def segments(present: np.ndarray) -> list[tuple[int, int]]:
    """Runs of consecutive present frames, as (start, stop) with stop not included, in order.

    Parameters
    ----------
    present : (F,) bool
    """
    present = np.asarray(present, bool)
    edges = np.diff(np.concatenate(([False], present, [False])).astype(np.int8))
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def _checked_time(time_s: np.ndarray, frames: int) -> np.ndarray:
    time_s = np.asarray(time_s, np.float64)
    if time_s.shape != (frames,):
        raise ValueError(f"time_s must be ({frames},), not {time_s.shape}")
    if not np.isfinite(time_s).all() or (np.diff(time_s) < 0).any():
        raise ValueError("time_s must be finite and never decrease")
    return time_s


def _bridges(
    good: np.ndarray, time_s: np.ndarray, max_gap_s: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Which frames lie in gaps short enough, and for these n frames where to look.

    Returns (F,) bool with n true, the good neighbours before and after (n,), and the weight of
    the latter (n,) in [0, 1].
    """
    neighbours = np.flatnonzero(good)
    # How many good frames lie before each frame: the bad ones between two have both neighbours.
    count = np.cumsum(good)
    inner = np.flatnonzero(~good & (count > 0) & (count < len(neighbours)))
    before, after = neighbours[count[inner] - 1], neighbours[count[inner]]
    span = time_s[after] - time_s[before]
    step = np.median(np.diff(time_s)) if len(time_s) > 1 else 0.0
    short = span - step <= max_gap_s + _TIME_TOLERANCE_S
    inner, before, after, span = inner[short], before[short], after[short], span[short]
    since = time_s[inner] - time_s[before]
    weight = np.divide(since, span, out=np.zeros_like(span), where=span > 0)
    bridged = np.zeros(len(good), bool)
    bridged[inner] = True
    return bridged, before, after, weight
