"""Left and right exchanged by a 2D detector: found by movement, and undone.

Detectors take a back for a front, and the far leg for the near one, for a frame or for seconds.
The joints then jump to each other's places, which nobody's limbs do: a Kalman filter a joint says
where it should be next, and dynamic programming finds the labelling of the whole stretch (legs,
arms, knees alone, feet alone exchanged or not, frame by frame) under which all joints move best,
with as few exchanges as possible. What moves well both ways (legs that cross in profile, limbs that
coincide) is left alone. Every survivor of the dynamic programme has filters of its own
("per-survivor processing", Raheli et al., IEEE Trans. Communications 1995).

Which of two consistent labellings is the true one cannot be seen in these joints: a body seen
from behind has the same picture as its mirror image seen from the front. So the detector is taken
to be right most of the time, more so where its scores are high, and hips and shoulders to point
the same way.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy.ndimage import median_filter

from lifters3d.skeleton import LEFT, LHIP, LIMB_JOINTS, LSHOULDER, RHIP, RIGHT, RSHOULDER

# [legs, arms] x [right, left] x [hip or shoulder, knee or elbow, foot or wrist]
_LIMBS = np.array([[RIGHT[:3], LEFT[:3]], [RIGHT[3:], LEFT[3:]]])
# What may be exchanged: legs, arms, and in the legs knees alone and feet alone, whose sides small
# networks do not always take from the hips. Knees exchanged alone and with the legs stay.
_STATES = np.array(list(itertools.product([0, 1], repeat=4)))
# (16, legs and arms, 3 joints): which joints stand on the other side.
_SWAPS = np.stack(
    [_STATES[:, :1] ^ np.pad(_STATES[:, 2:], ((0, 0), (1, 0))), _STATES[:, [1, 1, 1]]], axis=1
)
_LIMB, _JOINT = np.arange(2)[:, None], np.arange(3)

# Lengths are in heights of the person: so many times the distance of the limb joints from the
# middle of the trunk (root mean square), from motion capture seen by virtual cameras.
_HEIGHT = 2.8
# Usual speed of a joint against the trunk, heights/s (of the same motion capture, and half as
# much again for sports), and how long it keeps it.
_SPEED = np.array([[0.12, 0.4, 0.7], [0.15, 0.4, 0.6]])[:, None]
_KEEPS_S = 0.25
_JITTER = 0.008, 0.03  # heights: least and most noise of a keypoint; in between it is measured
# Where a left and a right joint coincide (nearer than the first, heights), one of them may well be
# on the other's limb by mistake of the detector, and neither says much (noise of the second).
_COINCIDE, _DOUBT = 0.02, 0.1
_REACH = 0.2  # heights: how far a joint lost from sight may be from where it was
_TAIL = 4.0  # degrees of freedom of Student's t, which forgives single wild joints

# Costs are negative log-likelihoods.
_EXCHANGE = np.array([0.0, 6.0, 7.5])  # of so many of legs and arms at once
# Of neither, one, both of knees and feet alone: who errs in these does so often, and for few
# frames; both at once are as much as legs.
_EXCHANGE_ALONE = np.array([0.0, 3.0, 6.5])
_EXCHANGED_PER_S = 10.0  # for each of `_STATES`' four
_TWIST_PER_S = 10.0  # for hips that point against the shoulders, both seen from the front
_FRONT = 0.02  # square heights: width of the hips times that of the shoulders, from the front
_MAX_STEP_S = 0.1  # a frame speaks for this much time at most


def repair_sides(
    keypoints: np.ndarray, scores: np.ndarray, time_s: np.ndarray, present: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Undo exchanges of left and right in one person's keypoints.

    Parameters
    ----------
    keypoints : (F, 17, 2) px, Human3.6M order; NaN where not found
    scores : (F, 17) in [0, 1]
    time_s : (F,) seconds, never decreasing
    present : (F,) bool, whether the person was found; what stands in other frames is not looked at

    Returns
    -------
    keypoints (F, 17, 2) and scores (F, 17), copies with left and right put back, and
    swapped (F, 2) bool: where any were exchanged in legs and in arms.
    """
    keypoints, scores, present = np.array(keypoints), np.array(scores), np.asarray(present, bool)
    time_s = np.asarray(time_s, np.float64)
    count = len(keypoints)
    shapes = keypoints.shape, scores.shape, time_s.shape, present.shape
    if shapes != ((count, 17, 2), (count, 17), (count,), (count,)):
        raise ValueError(
            "keypoints (F, 17, 2), scores (F, 17), time_s (F,) and present (F,) are needed, not "
            + ", ".join(map(str, shapes))
        )
    if not np.isfinite(time_s).all() or (np.diff(time_s) < 0).any():
        raise ValueError("time_s must be finite and never decrease")
    swapped = np.zeros((count, 2, 3), bool)
    found = np.isfinite(keypoints[:, _LIMBS.ravel()]).all(-1).any(-1)
    seen = np.flatnonzero(present & found)
    if len(seen):
        joints = _in_heights(keypoints[seen].astype(np.float64), time_s[seen])[:, _LIMBS]
        sure = np.clip(np.nan_to_num(scores[seen].astype(np.float64)), 0.05, 1)[:, _LIMBS]
        swapped[seen] = _find_swaps(joints, sure, time_s[seen])
    for (right, left), exchanged in zip(
        _LIMBS.swapaxes(1, 2).reshape(6, 2), swapped.reshape(count, 6).T, strict=True
    ):
        rows = np.flatnonzero(exchanged)[:, None]
        for values in (keypoints, scores):
            values[rows, [right, left]] = values[rows, [left, right]]
    return keypoints, scores, swapped.any(-1)


def _in_heights(keypoints: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """(F, 17, 2) against the middle of the trunk, in heights of the person; NaN stays.

    The middle is that of both hips and both shoulders, the same when sides are exchanged.
    """
    limbs = keypoints[:, list(LIMB_JOINTS)]
    middle = keypoints[:, [RHIP, LHIP, RSHOULDER, LSHOULDER]].mean(1)
    whole = np.isfinite(middle).all(-1)
    if whole.any():
        for axis in (0, 1):
            middle[:, axis] = np.interp(time_s, time_s[whole], middle[whole, axis])
    else:
        middle = np.nanmean(limbs, axis=1)
    size = np.sqrt(np.nanmean(((limbs - middle[:, None]) ** 2).sum(-1), axis=1))
    window = 2 * round(0.5 / _usual_step(time_s)) + 1
    size = _HEIGHT * median_filter(size, size=window, mode="nearest")
    return (keypoints - middle[:, None]) / np.maximum(size, 1e-6)[:, None, None]


def _usual_step(time_s: np.ndarray) -> float:
    return max(float(np.median(np.diff(time_s))) if len(time_s) > 1 else 1.0, 1e-3)


def _find_swaps(joints: np.ndarray, scores: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """(F, 2, 3) bool from joints (F, 2, 2, 3, 2) heights and scores (F, 2, 2, 3): Viterbi.

    A survivor is the best labelling so far that ends in one of `_STATES`; its filters follow the
    joints as this labelling has them: position, velocity (16, 2, 2, 3, 2) and the covariance of
    the two in one coordinate, pp, pv, vv (16, 2, 2, 3).
    """
    steps = np.diff(time_s, prepend=time_s[0])
    own_cost = _state_costs(joints, scores, np.minimum(steps, _MAX_STEP_S))
    noise = _noise(joints, scores)
    changed = _STATES[:, None] ^ _STATES
    whole, alone = changed[..., :2].sum(-1), changed[..., 2:].sum(-1)
    switch = _EXCHANGE[whole] + _EXCHANGE_ALONE[alone]  # (from, to)

    position = velocity = np.zeros((len(_STATES), 2, 2, 3, 2))
    pp = np.full(position.shape[:-1], _REACH**2)
    pv = np.zeros_like(pp)
    vv = _SPEED**2 + pv
    cost = np.zeros(len(_STATES))
    came_from = np.zeros((len(joints), len(_STATES)), int)
    for frame, step in enumerate(steps):
        # As they stand and with the sides exchanged: (2, limbs, side, joint, ...).
        places, doubts = (np.stack([each, each[:, ::-1]]) for each in (joints[frame], noise[frame]))
        position, velocity, pp, pv, vv = _predict(position, velocity, pp, pv, vv, step)
        offset = places - position[:, None]  # (from, exchanged, limbs, side, joint, 2)
        seen = np.isfinite(offset).all(-1)
        offset[~seen] = 0
        variance = pp[:, None] + doubts
        distance = (offset**2).sum(-1) / variance
        unlikely = (_TAIL / 2 + 1) * np.log1p(distance / _TAIL) + np.log(variance)
        unlikely = np.where(seen, unlikely, 0).sum(-2)  # (from, exchanged, limbs, joint)
        unlikely = unlikely[:, _SWAPS, _LIMB, _JOINT].sum((-1, -2))  # (from, to)
        total = cost[:, None] + switch * (frame > 0) + unlikely
        best = total.argmin(0)
        came_from[frame], cost = best, total.min(0) + own_cost[frame]

        # Each state goes on with the filters of the survivor it came from; far-off joints, which
        # Student's t takes for noisier ones, move them less.
        chosen = best[:, None, None], _SWAPS, _LIMB, slice(None), _JOINT
        distance, seen, offset, doubts = (
            np.moveaxis(each, 3, 2)  # (to, limbs, side, joint, ...)
            for each in (distance[chosen], seen[chosen], offset[chosen], doubts[chosen[1:]])
        )
        gain = (_TAIL + 2) / (_TAIL + distance)
        gain = np.where(seen, 1 / (pp[best] + doubts / gain), 0)
        pp, pv, vv = pp[best], pv[best], vv[best]
        position = position[best] + (pp * gain)[..., None] * offset
        velocity = velocity[best] + (pv * gain)[..., None] * offset
        pp, pv, vv = pp - pp * pp * gain, pv - pp * pv * gain, vv - pv * pv * gain
    path = np.empty(len(joints), int)
    state = int(cost.argmin())
    for frame in range(len(joints) - 1, -1, -1):
        path[frame] = state
        state = came_from[frame, state]
    return _SWAPS[path].astype(bool)


def _predict(
    position: np.ndarray,
    velocity: np.ndarray,
    pp: np.ndarray,
    pv: np.ndarray,
    vv: np.ndarray,
    step: float,
) -> tuple[np.ndarray, ...]:
    """The filters `step` seconds later: velocities fade, and have `_SPEED` in the long run."""
    fade = np.exp(-step / _KEEPS_S)
    reach = _KEEPS_S * (1 - fade)
    power = _SPEED**2
    drift = power * _KEEPS_S * (2 * step - _KEEPS_S * (3 - 4 * fade + fade**2))
    return (
        position + reach * velocity,
        fade * velocity,
        np.minimum(pp + 2 * reach * pv + reach**2 * vv + drift, _REACH**2),
        fade * (pv + reach * vv) + power * _KEEPS_S * (1 - fade) ** 2,
        fade**2 * vv + power * (1 - fade**2),
    )


def _noise(joints: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(F, 2, 2, 3): variance of the joints' positions, square heights."""
    bend = np.abs(np.diff(joints, 2, axis=0))
    bend = bend[np.isfinite(bend)]
    # What bends paths from frame to frame is mostly noise. The median of |x| is 0.67 standard
    # deviations, and a second difference has 6 times the variance.
    jitter = np.clip(np.median(bend) / 0.67 / 6**0.5 if len(bend) else 0, *_JITTER)
    apart = np.nan_to_num(((joints[:, :, 0] - joints[:, :, 1]) ** 2).sum(-1), nan=1.0)
    doubt = _DOUBT**2 * np.exp(-apart / _COINCIDE**2)
    return jitter**2 / scores + doubt[:, :, None]


def _state_costs(joints: np.ndarray, scores: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """(F, 16): what each of `_STATES` costs in a frame by itself."""
    single = scores[:, 0, :, 1:].mean(1)  # knees, feet
    sure = np.concatenate([scores.mean((-1, -2)), single], axis=1)
    exchanged = _EXCHANGED_PER_S * sure @ _STATES.T
    across = joints[:, :, 1, 0] - joints[:, :, 0, 0]  # (F, limbs, 2): from right to left
    same_way = np.nan_to_num((across[:, 0] * across[:, 1]).sum(-1))[:, None]
    same_way = np.where(_STATES[:, 0] ^ _STATES[:, 1], -same_way, same_way)
    twisted = _TWIST_PER_S * np.clip(-same_way / _FRONT, 0, 1)
    return (exchanged + twisted) * steps[:, None]
