"""From camera axes to a room: the root's path, which way is up, and where the floor is.

One camera cannot measure any of these; all three are estimates, made to look right and to be
steady, and marked approximate wherever they are written.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

from lifters3d.skeleton import HIP, LEFT, LIMB_JOINTS, RIGHT, THORAX
from pipeline.cleaning import segments

DEPTH_SMOOTHING_S = 0.25
FLOOR_WINDOW_S = 3.0
STRAIGHT_KNEE = math.radians(155)
# A camera pitched or rolled by more than this is rarer than a person who does not stand upright.
MAX_TILT = math.radians(35)
ANKLE_HEIGHT = 0.08  # metres: the ankle joint of a standing foot


def usual_step(time_s: np.ndarray, frame_rate: Fraction) -> float:
    """Usual time between frames in seconds: the median of the stamps' steps, at least 1 ms."""
    step = float(np.median(np.diff(time_s))) if len(time_s) > 1 else float(1 / frame_rate)
    return max(step, 1e-3)


def root_path(
    joints3d: np.ndarray,
    keypoints2d: np.ndarray,
    scores2d: np.ndarray,
    focal: float,
    size: tuple[int, int],
    frame_step_s: float,
) -> np.ndarray:
    """Where the hip must be for the 3D joints to project onto the 2D ones, through a pinhole.

    Per frame the translation is the least-squares solution of f (x + X) = (u - c) (z + Z) over the
    limb joints, weighted by their scores. The depth is then smoothed over time, and the hip put
    on its own ray at that depth.

    Parameters
    ----------
    joints3d : (F, 17, 3) metres, root-relative, camera axes; NaN where absent
    keypoints2d : (F, 17, 2) px
    scores2d : (F, 17)
    focal : px
    size : width and height of the picture, px
    frame_step_s : usual time between frames, s

    Returns
    -------
    (F, 3) float32 metres, camera axes; NaN where absent.
    """
    limbs = list(LIMB_JOINTS)
    rays = (keypoints2d - np.array(size) / 2) / focal
    x, y, z = np.moveaxis(joints3d[:, limbs].astype(np.float64), -1, 0)
    u, v = np.moveaxis(rays[:, limbs].astype(np.float64), -1, 0)
    weight = np.nan_to_num(scores2d[:, limbs].astype(np.float64)) + 0.05
    rows_x = np.stack([np.ones_like(u), np.zeros_like(u), -u], axis=-1)
    rows_y = np.stack([np.zeros_like(v), np.ones_like(v), -v], axis=-1)
    system = np.concatenate([rows_x, rows_y], axis=1)
    known = np.concatenate([u * z - x, v * z - y], axis=1)
    weight = np.concatenate([weight, weight], axis=1)
    missing = ~np.isfinite(known) | ~np.isfinite(system).all(axis=-1)
    system, known = np.where(missing[..., None], 0, system), np.where(missing, 0, known)
    normal = np.einsum("fki,fk,fkj->fij", system, weight, system) + 1e-9 * np.eye(3)
    right = np.einsum("fki,fk,fk->fi", system, weight, known)
    depth = np.linalg.solve(normal, right[..., None])[:, 2, 0]
    seen = np.isfinite(joints3d).all(axis=(1, 2)) & np.isfinite(rays[:, HIP]).all(axis=-1)
    root = np.full((len(joints3d), 3), np.nan, np.float32)
    sigma = DEPTH_SMOOTHING_S / max(frame_step_s, 1e-3)
    for start, stop in segments(seen):
        steady = gaussian_filter1d(np.clip(depth[start:stop], 0.3, 200), sigma, mode="nearest")
        root[start:stop, :2] = rays[start:stop, HIP] * steady[:, None]
        root[start:stop, 2] = steady
    return root


def up_direction(joints3d: np.ndarray) -> np.ndarray:
    """Unit vector (3,) that points up in camera axes, from the frames where people stand.

    Standing frames have both knees straight; there the line from the feet to the chest is upright
    on average. Without such frames, or if the answer is absurd, the camera is taken as level.

    Parameters
    ----------
    joints3d : (F, P, 17, 3) metres, root-relative, camera axes; NaN where absent
    """
    level = np.array([0.0, -1.0, 0.0])
    poses = joints3d.reshape(-1, 17, 3).astype(np.float64)
    poses = poses[np.isfinite(poses).all(axis=(1, 2))]
    straight = np.ones(len(poses), bool)
    for hip, knee, foot in (RIGHT[:3], LEFT[:3]):
        thigh, shank = poses[:, hip] - poses[:, knee], poses[:, foot] - poses[:, knee]
        lengths = np.linalg.norm(thigh, axis=-1) * np.linalg.norm(shank, axis=-1)
        cosine = (thigh * shank).sum(-1) / np.maximum(lengths, 1e-9)
        straight &= cosine < math.cos(STRAIGHT_KNEE)
    standing = poses[straight]
    if len(standing) < 5:
        return level
    axis = standing[:, THORAX] - (standing[:, RIGHT[2]] + standing[:, LEFT[2]]) / 2
    axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
    up = np.median(axis, axis=0)
    up /= np.linalg.norm(up)
    return up if up @ level > math.cos(MAX_TILT) else level


def room_rotation(up: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) from camera axes to a room: x right, y away from the camera, z up."""
    away = np.array([0.0, 0.0, 1.0])
    away -= (away @ up) * up
    away /= np.linalg.norm(away)
    return np.stack([np.cross(away, up), away, up])


def place_on_floor(
    joints3d: np.ndarray, root: np.ndarray, up: np.ndarray, frame_step_s: float
) -> np.ndarray:
    """Joints in a room whose floor is z = 0.

    The floor under each person is the usual height of the lower foot over some seconds, because
    one foot is on the floor most of the time: jumps stay jumps, while errors of the root's depth
    and movements of the camera do not lift people up. Nobody sinks into it.

    Parameters
    ----------
    joints3d : (F, P, 17, 3) metres, root-relative, camera axes
    root : (F, P, 3) metres, camera axes
    up : (3,) ``up_direction``
    frame_step_s : usual time between frames, s

    Returns
    -------
    (F, P, 17, 3) float32 metres: x right, y away from the camera, z up; NaN where absent.
    """
    room = ((joints3d + root[:, :, None]) @ room_rotation(up).T).astype(np.float32)
    feet = np.minimum(room[:, :, RIGHT[2], 2], room[:, :, LEFT[2], 2])
    window = max(1, round(FLOOR_WINDOW_S / max(frame_step_s, 1e-3)))
    for person in range(room.shape[1]):
        for start, stop in segments(np.isfinite(feet[:, person])):
            lower = feet[start:stop, person]
            usual = median_filter(lower, size=window, mode="nearest")
            floor = np.minimum(gaussian_filter1d(usual, window / 6, mode="nearest"), lower)
            room[start:stop, person, :, 2] -= floor[:, None] - ANKLE_HEIGHT
    return room
