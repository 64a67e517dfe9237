"""Joint angles and speeds of 3D poses: what a biomechanist reads off a movement.

Axes of pelvis and thorax are those of the International Society of Biomechanics (ISB): x forward,
y up, z to the right. Angles of hips and trunk are the Cardan angles z-x-y that Wu et al. 2002
(J. Biomech. 35:543) give for hip and spine; arms are described by the elevation and its plane of
Wu et al. 2005 (J. Biomech. 38:981). Names are in the style of OpenSim.

Seventeen joint centres are not an anatomical marker set. The hip joints and Spine stand for the
pelvis, Spine, Thorax and the shoulders for the chest, so that zero may lie some degrees from that
of a gait laboratory. Rotations of thigh, upper arm and forearm about their own length, turns of
the head and all angles of the ankle cannot be told and are left out. 2D detectors do not mark
Spine and Head: lifters guess them from the rest, so that of their poses trunk_flexion,
trunk_bending and the neck's angles say little. Where Spine is put half-way between Hip and
Thorax, trunk_flexion is 0 by construction and hips are measured against the whole trunk.
"""

from __future__ import annotations

import numpy as np

from lifters3d.skeleton import (
    HEAD,
    HIP,
    LEFT,
    LHIP,
    LSHOULDER,
    RHIP,
    RIGHT,
    RSHOULDER,
    SPINE,
    THORAX,
)
from weights.errors import Pose3dError

_SIDED = {
    "hip_flexion": "{side} thigh against the pelvis, about its z axis: 0 in line with the trunk, "
    "positive forward (Wu 2002, order z-x-y)",
    "hip_adduction": "{side} thigh against the pelvis, floating x axis: 0 in the sagittal plane, "
    "positive towards the other leg (Wu 2002, order z-x-y)",
    "knee_flexion": "between {side} thigh and shank: 0 straight, positive bent; never negative, "
    "overextension looks like flexion",
    "shoulder_elevation": "{side} upper arm against the thorax: 0 hanging, 90 horizontal, 180 "
    "overhead, in whatever direction (Wu 2005, thoracohumeral elevation)",
    "shoulder_flexion": "the part of {side} shoulder_elevation that is in the sagittal plane: "
    "elevation x sin(plane of elevation, Wu 2005), positive forward",
    "shoulder_abduction": "the part of {side} shoulder_elevation that is in the frontal plane: "
    "elevation x cos(plane of elevation, Wu 2005), positive away from the body",
    "elbow_flexion": "between {side} upper arm and forearm: 0 straight, positive bent; never "
    "negative",
}
_TRUNK = {
    "trunk_flexion": "thorax against pelvis about the pelvis' z axis: 0 in line, positive forward "
    "(Wu 2002, order z-x-y)",
    "trunk_bending": "thorax against pelvis, floating x axis: 0 in line, positive to the right "
    "(Wu 2002, order z-x-y)",
    "trunk_rotation": "thorax against pelvis about the thorax' y axis: 0 with shoulders and hips "
    "parallel, positive to the left (Wu 2002, order z-x-y)",
    "neck_flexion": "line from Thorax to Head against the thorax' y axis in the sagittal plane: 0 "
    "in line (a head held upright is above 0), positive forward",
    "neck_bending": "line from Thorax to Head against the thorax' y axis, sideways: 0 in the "
    "sagittal plane, positive to the right",
}
_UPRIGHT = {
    "pelvis_tilt": "pelvis about its own z axis: 0 upright, positive backward as in OpenSim "
    "(order rotation, list, tilt: Baker 2001); needs up",
    "pelvis_list": "line of the hips against the horizontal: 0 level, positive with the right hip "
    "lower, as in OpenSim; needs up",
    "pelvis_rotation": "direction that the pelvis faces, about up: 0 in the first frame with a "
    "pelvis, positive to the left, counted on over whole turns; needs up",
    "trunk_lean_forward": "line from Hip to Thorax against up, forward as the pelvis faces: 0 "
    "upright, positive forward; needs up",
    "trunk_lean_right": "line from Hip to Thorax against up, sideways as the pelvis faces: 0 "
    "upright, positive to the right; needs up",
}
# One sentence for every angle: zero position, positive direction, axes. Sides: _r and _l.
DEFINITIONS: dict[str, str] = {
    **{
        f"{name}_{side[0]}": text.format(side=side)
        for name, text in _SIDED.items()
        for side in ("right", "left")
    },
    **_TRUNK,
    **_UPRIGHT,
}


def joint_angles(joints3d: np.ndarray, *, up: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Angles of one person over time, in degrees; `DEFINITIONS` says what each means.

    Every frame is measured by itself, but for the two that may make whole turns: pelvis_tilt and
    pelvis_rotation go on beyond 180 degrees instead of jumping.

    Parameters
    ----------
    joints3d : (F, 17, 3) metres, H36M-17 order, any right-handed axes (camera axes are); relative
        to the root or not; NaN where absent
    up : (3,) direction that points up in the same axes (`pipeline.world.up_direction`); without it
        the angles against the vertical are left out

    Returns
    -------
    For every name of `DEFINITIONS`, in its order, (F,) float64; NaN where a joint that the angle
    needs is NaN or where segments have no direction.
    """
    joints3d = np.asarray(joints3d, np.float64)
    if joints3d.ndim != 3 or joints3d.shape[1:] != (17, 3):
        raise Pose3dError(f"joint angles need joints of shape (F, 17, 3), not {joints3d.shape}")
    pelvis, thorax = _pelvis(joints3d), _thorax(joints3d)
    found: dict[str, np.ndarray] = {}
    sides = (("r", RIGHT, RSHOULDER, 1.0), ("l", LEFT, LSHOULDER, -1.0))
    for side, (hip, knee, foot, *_), shoulder, lateral in sides:
        thigh, shank = joints3d[:, knee] - joints3d[:, hip], joints3d[:, foot] - joints3d[:, knee]
        # The thigh's y axis points up its length, from knee to hip.
        backward, to_right = _lean(pelvis, -thigh)
        found[f"hip_flexion_{side}"] = _bend(backward)
        found[f"hip_adduction_{side}"] = lateral * to_right
        found[f"knee_flexion_{side}"] = _between(thigh, shank)
        elbow, wrist = shoulder + 1, shoulder + 2
        arm = joints3d[:, elbow] - joints3d[:, shoulder]
        forward, upward, outward = np.moveaxis(_within(thorax, arm), -1, 0)
        outward = lateral * outward
        elevation = np.arctan2(np.hypot(forward, outward), -upward)
        plane = np.arctan2(forward, outward)
        found[f"shoulder_elevation_{side}"] = elevation
        found[f"shoulder_flexion_{side}"] = elevation * np.sin(plane)
        found[f"shoulder_abduction_{side}"] = elevation * np.cos(plane)
        forearm = joints3d[:, wrist] - joints3d[:, elbow]
        found[f"elbow_flexion_{side}"] = _between(arm, forearm)
    backward, found["trunk_bending"] = _lean(pelvis, thorax[..., 1])
    found["trunk_flexion"] = _bend(-backward)
    across = _within(pelvis, thorax[..., 0])[:, 2], _within(pelvis, thorax[..., 2])[:, 2]
    found["trunk_rotation"] = np.arctan2(-across[0], across[1])
    backward, found["neck_bending"] = _lean(thorax, joints3d[:, HEAD] - joints3d[:, THORAX])
    found["neck_flexion"] = _bend(-backward)
    if up is not None:
        found |= _against_vertical(pelvis, joints3d[:, THORAX] - joints3d[:, HIP], up)
    return {name: np.degrees(found[name]) for name in DEFINITIONS if name in found}


def joint_speeds(positions: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """Speed of every joint from the real times of the frames.

    Central differences, weighted for uneven steps so that constant acceleration is exact; from one
    neighbour at an end and beside a gap.

    Parameters
    ----------
    positions : (F, J, 3) metres in axes that do not move; NaN where absent. Joints relative to the
        root give speeds relative to the root.
    time_s : (F,) seconds, never decreasing

    Returns
    -------
    (F, J) float64 metres a second; NaN where the joint is absent or stands alone in time.
    """
    positions, time_s = np.asarray(positions, np.float64), np.asarray(time_s, np.float64)
    if positions.ndim != 3 or positions.shape[::2] != (len(time_s), 3):
        raise Pose3dError(
            f"joint speeds need positions (F, J, 3) and times (F,), not {positions.shape} and "
            f"{time_s.shape}"
        )
    step = np.diff(time_s)[:, None, None]
    step[step <= 0] = np.nan
    velocity = np.diff(positions, axis=0) / step
    none = np.full((1, *positions.shape[1:]), np.nan)[: len(positions)]
    before, after = np.concatenate([none, velocity]), np.concatenate([velocity, none])
    one = np.full((1, 1, 1), np.nan)[: len(positions)]
    step_before, step_after = np.concatenate([one, step]), np.concatenate([step, one])
    central = (step_after * before + step_before * after) / (step_before + step_after)
    central = np.where(np.isnan(central), np.where(np.isnan(before), after, before), central)
    return np.linalg.norm(central, axis=-1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """(..., 3) of length 1; NaN where there is no direction."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 1e-9, length, np.nan)


def _pelvis(joints3d: np.ndarray) -> np.ndarray:
    """(F, 3, 3) whose columns are x, y, z of the pelvis; the line of the hips is exact."""
    right = _unit(joints3d[:, RHIP] - joints3d[:, LHIP])
    forward = _unit(np.cross(joints3d[:, SPINE] - joints3d[:, HIP], right))
    return np.stack([forward, np.cross(right, forward), right], axis=-1)


def _thorax(joints3d: np.ndarray) -> np.ndarray:
    """(F, 3, 3) whose columns are x, y, z of the thorax; the line up the back is exact."""
    upward = _unit(joints3d[:, THORAX] - joints3d[:, SPINE])
    forward = _unit(np.cross(upward, joints3d[:, RSHOULDER] - joints3d[:, LSHOULDER]))
    return np.stack([forward, upward, np.cross(forward, upward)], axis=-1)


def _within(axes: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Components (F, 3) of unit vectors along vectors (F, 3) in axes (F, 3, 3)."""
    return np.einsum("fij,fi->fj", axes, _unit(vectors))


def _lean(axes: np.ndarray, upward: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First two Cardan angles z-x-y of a segment from its y axis: backward and to the right."""
    x, y, z = np.moveaxis(_within(axes, upward), -1, 0)
    return np.arctan2(-x, y), np.arctan2(z, np.hypot(x, y))


def _bend(angle: np.ndarray) -> np.ndarray:
    """The same angle between -120 and 240 degrees: no joint bends so far as to jump there."""
    return np.where(angle < np.radians(-120), angle + 2 * np.pi, angle)


def _between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angle between directions, 0 to pi; exact near both, where arccos is not."""
    a, b = _unit(a), _unit(b)
    return np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(axis=-1))


def _against_vertical(
    pelvis: np.ndarray, trunk: np.ndarray, up: np.ndarray
) -> dict[str, np.ndarray]:
    up = np.asarray(up, np.float64)
    if up.shape != (3,) or not np.linalg.norm(up) > 0:
        raise Pose3dError(f"up must be a direction of three numbers, not {up.tolist()}")
    up = _unit(up)
    right = pelvis[..., 2]
    rise = right @ up
    level = _unit(right - rise[:, None] * up)
    ahead = np.cross(up, level)
    facing = pelvis[..., 0]
    tilt = np.arctan2((facing * np.cross(right, ahead)).sum(-1), (facing * ahead).sum(-1))
    seen = np.isfinite(ahead).all(axis=-1)
    first = ahead[np.argmax(seen)] if len(ahead) else up
    rotation = np.arctan2(np.cross(first, ahead) @ up, ahead @ first)
    height = trunk @ up
    return {
        "pelvis_tilt": _unwrapped(tilt),
        "pelvis_list": np.arctan2(-rise, np.sqrt(np.maximum(1 - rise**2, 0))),
        "pelvis_rotation": _unwrapped(rotation),
        "trunk_lean_forward": np.arctan2((trunk * ahead).sum(-1), height),
        "trunk_lean_right": np.arctan2((trunk * level).sum(-1), height),
    }


def _unwrapped(angle: np.ndarray) -> np.ndarray:
    """The angle (F,) counted on over whole turns; from one stretch to the next by the least."""
    known = np.isfinite(angle)
    angle = angle.copy()
    angle[known] = np.unwrap(angle[known])
    return angle
