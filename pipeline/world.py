"""From camera axes to a room: the root's path, which way is up, and where the floor is.

One camera cannot measure any of these; all three are estimates, made to look right and to be
steady, and marked approximate wherever they are written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter
from scipy.signal import lfilter

from lifters3d.skeleton import HIP, LEFT, LIMB_JOINTS, LSHOULDER, RIGHT, RSHOULDER, THORAX
from pipeline.cleaning import segments
from pipeline.contacts import ANKLE_HEIGHT, Contact, find_contacts, places_of, weights_of

DEPTH_SMOOTHING_S = 0.25
FLOOR_WINDOW_S = 3.0
LEVEL = np.array([0.0, -1.0, 0.0])
METHODS = ("standing", "contacts", "level")
# A camera pitched or rolled by more than this is rarer than a person who does not stand upright.
MAX_TILT = math.radians(45)
# Whose chest is nearly as far from the feet as legs and trunk are long stands (or lies, which the
# tilt tells).
STRETCHED = 0.9
FEWEST_STANDING = 5
# Metres from between the ankles, forward, to below the chest of a body in balance.
CHEST_FORWARD = 0.07
# People hold cameras level more exactly than standing people tell: smaller rolls than this are
# mostly errors.
ROLL_DOUBT = math.radians(4)
# Chests of lifted, standing people are 3 to 7 degrees (median) off the way up from their ankles;
# where it is less, the way up, and so the roll, is surer.
USUAL_SWAY = math.radians(3)
# Standard deviations of the way up from the vertical, where nobody stands, and of the height of a
# foot that is planted for a second.
LEVEL_DOUBT, CONTACT_DOUBT = math.radians(10), 0.14
# Contacts further from the plane than this, in metres, count less and less.
CONTACT_REACH = 0.15
PASSES = 3
BLOCK = 1 << 12  # frames whose equations are held at once


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
    cuts: Sequence[int] = (),
    causal: bool = False,
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
    cuts : frames at which another stretch begins, across which nothing is smoothed
    causal : smooth by earlier frames alone

    Returns
    -------
    (F, 3) float32 metres, camera axes; NaN where absent.
    """
    count = len(joints3d)
    depth, seen, rays = np.empty(count), np.empty(count, bool), np.empty((count, 2))
    for first in range(0, count, BLOCK):  # equations are much larger than what they say
        part = slice(first, first + BLOCK)
        depth[part], seen[part], rays[part] = _depths(
            joints3d[part], keypoints2d[part], scores2d[part], focal, size
        )
    root = np.full((count, 3), np.nan, np.float32)
    sigma = DEPTH_SMOOTHING_S / max(frame_step_s, 1e-3)
    for start, stop in _uncut(segments(seen), cuts):
        steady = np.clip(depth[start:stop], 0.3, 200)
        if causal:
            share = 1 / (1 + sigma)
            past = [(1 - share) * steady[0]]
            steady, _ = lfilter([share], [1, share - 1], steady, zi=past)
        else:
            steady = gaussian_filter1d(steady, sigma, mode="nearest")
        root[start:stop, :2] = rays[start:stop] * steady[:, None]
        root[start:stop, 2] = steady
    return root


def _depths(
    joints3d: np.ndarray,
    keypoints2d: np.ndarray,
    scores2d: np.ndarray,
    focal: float,
    size: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every frame of ``root_path``: the hip's depth, whether there is one, and its ray (2,)."""
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
    return depth, seen, rays[:, HIP]


@dataclass(frozen=True)
class World:
    """Where the room is, in the camera's axes; an estimate, for a camera that stands still.

    up : (3,) unit vector, camera axes
    camera_height : metres of the camera above the floor
    method : how ``up`` was found, one of ``METHODS``: people who stand, the plane of planted feet,
        or the camera is taken to be level
    scale : for each person the factor by which joints and root were multiplied to be as tall as
        was told; 1 where nothing was told
    """

    up: tuple[float, float, float]
    camera_height: float
    method: str
    scale: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in ("up", "scale"):  # JSON has lists
            object.__setattr__(self, name, tuple(map(float, getattr(self, name))))
        object.__setattr__(self, "camera_height", float(self.camera_height))


def estimate_world(
    joints3d: np.ndarray,
    root: np.ndarray,
    frame_step_s: float,
    *,
    upright: bool = True,
    scale: tuple[float, ...] | None = None,
) -> tuple[World, list[Contact]]:
    """The way up and the one floor of a clip, and the contacts of feet with it.

    Up is where standing people point; where nobody stands, the normal of the plane on which feet
    are planted, or else the vertical. The floor is at the planted feet's usual height.

    Parameters
    ----------
    joints3d : (F, P, 17, 3) metres, root-relative, camera axes; NaN where absent
    root : (F, P, 3) metres, camera axes
    frame_step_s : usual time between frames, s
    upright : estimate the way up; if not, the camera is taken as level
    scale : for ``World``; all 1 if None
    """
    up, method = _standing_up(joints3d) if upright else None, "standing"
    if up is None:
        up, method = LEVEL, "level"
    contacts = find_contacts(joints3d, root, up, frame_step_s)
    for _ in range(PASSES if upright and method != "standing" else 0):
        normal = _plane_normal(contacts, frame_step_s)
        if normal is not None:
            up, method = normal, "contacts"
            # Which foot is low depends on what is up.
            contacts = find_contacts(joints3d, root, up, frame_step_s)
    places, weights = places_of(contacts), weights_of(contacts, frame_step_s)
    if contacts:
        floor = _weighted_median(places @ up, weights) - ANKLE_HEIGHT
    else:
        ankles = (joints3d + root[:, :, None])[:, :, [RIGHT[2], LEFT[2]]] @ up
        lower = ankles.min(axis=-1)
        lower = lower[np.isfinite(lower)]
        floor = float(np.percentile(lower, 10)) - ANKLE_HEIGHT if len(lower) else 0.0
    return World(tuple(up), -floor, method, scale or (1.0,) * joints3d.shape[1]), contacts


def to_world(joints3d: np.ndarray, root: np.ndarray, world: World) -> np.ndarray:
    """Joints in the room: one floor for the whole clip, so that who jumps is in the air.

    Parameters
    ----------
    joints3d : (F, P, 17, 3) metres, root-relative, camera axes
    root : (F, P, 3) metres, camera axes

    Returns
    -------
    (F, P, 17, 3) float32 metres: x right, y away from the camera, z up, the floor z = 0, the camera
    above the origin; NaN where absent.
    """
    room = (joints3d + root[:, :, None]) @ room_rotation(np.array(world.up)).T
    room[..., 2] += world.camera_height
    return room.astype(np.float32)


def _uncut(spans: list[tuple[int, int]], cuts: Sequence[int]) -> list[tuple[int, int]]:
    """Spans (start, stop) in parts that no cut lies within."""
    parts = []
    for start, stop in spans:
        inner = sorted(cut for cut in set(cuts) if start < cut < stop)
        parts += list(pairwise([start, *inner, stop]))
    return parts


def up_direction(joints3d: np.ndarray) -> np.ndarray:
    """Unit vector (3,) that points up in camera axes, from the frames where people stand.

    There the line from the feet to the chest is upright on average. Without such frames the camera
    is taken as level.

    Parameters
    ----------
    joints3d : (F, P, 17, 3) metres, root-relative, camera axes; NaN where absent
    """
    up = _standing_up(joints3d)
    return LEVEL.copy() if up is None else up


def _standing_up(joints3d: np.ndarray) -> np.ndarray | None:
    """``up_direction``, None without people who stand."""
    axes = [_standing_axes(joints3d[:, person]) for person in range(joints3d.shape[1])]
    axes = np.concatenate([np.zeros((0, 2, 3)), *axes])
    up = LEVEL
    for _ in range(3):  # what is forward depends on what is up
        forward = np.cross(axes[:, 1], up)
        forward /= np.maximum(np.linalg.norm(forward, axis=-1, keepdims=True), 1e-9)
        upright = axes[:, 0] - CHEST_FORWARD * forward
        upright /= np.maximum(np.linalg.norm(upright, axis=-1, keepdims=True), 1e-9)
        upright = upright[upright @ LEVEL > math.cos(MAX_TILT)]
        if len(upright) < FEWEST_STANDING:
            return None
        up = _geometric_median(upright)
        up /= np.linalg.norm(up)
    chest = axes[:, 0] / np.linalg.norm(axes[:, 0], axis=-1, keepdims=True)
    sway = float(np.median(np.arccos((chest @ up).clip(-1, 1))))
    return _less_roll(up, ROLL_DOUBT * min(1.0, sway / USUAL_SWAY))


def _standing_axes(poses: np.ndarray) -> np.ndarray:
    """Of the frames (n) of one person's (F, 17, 3) in which it is stretched: (n, 2, 3) metres.

    From between the ankles to the chest, and from right to left across hips and shoulders.
    """
    poses = poses[np.isfinite(poses).all(axis=(1, 2))].astype(np.float64)
    if not len(poses):
        return np.zeros((0, 2, 3))
    chest = poses[:, THORAX] - (poses[:, RIGHT[2]] + poses[:, LEFT[2]]) / 2
    across = poses[:, LEFT[0]] - poses[:, RIGHT[0]] + poses[:, LSHOULDER] - poses[:, RSHOULDER]
    length = np.linalg.norm(poses[:, THORAX] - poses[:, HIP], axis=-1)
    for hip, knee, ankle in (RIGHT[:3], LEFT[:3]):
        length += np.linalg.norm(poses[:, hip] - poses[:, knee], axis=-1) / 2
        length += np.linalg.norm(poses[:, knee] - poses[:, ankle], axis=-1) / 2
    stretched = np.linalg.norm(chest, axis=-1) > STRETCHED * np.median(length)
    return np.stack([chest, across], axis=1)[stretched]


def _geometric_median(points: np.ndarray) -> np.ndarray:
    """Point (3,) whose summed distance from points (n, 3) is least (Weiszfeld 1937)."""
    middle = points.mean(axis=0)
    for _ in range(10):
        weight = 1 / np.maximum(np.linalg.norm(points - middle, axis=-1, keepdims=True), 0.03)
        middle = (points * weight).sum(axis=0) / weight.sum()
    return middle


def _less_roll(up: np.ndarray, doubt: float) -> np.ndarray:
    """``up`` with a shrunk roll about the line of sight: of a small one nothing is left."""
    roll = math.atan2(up[0], -up[1])
    roll *= roll**2 / (roll**2 + doubt**2 + 1e-12)
    level = math.hypot(up[0], up[1])
    return np.array([level * math.sin(roll), -level * math.cos(roll), up[2]])


def _plane_normal(contacts: list[Contact], step_s: float) -> np.ndarray | None:
    """Unit vector (3,) across the plane on which feet are planted, drawn towards the vertical.

    Prior and plane are weighed by least squares; contacts far from the plane count less and less.
    Everybody has a plane at a height of their own, as wrong sizes put people too near or too far.
    None if the contacts do not tell more about any direction than the prior, or a plane too steep.
    """
    if len(contacts) < 3:
        return None
    places, weights = places_of(contacts), weights_of(contacts, step_s)
    people = np.array([contact.person for contact in contacts])
    normal, trust = LEVEL, weights
    for _ in range(6):
        centred = places.copy()
        for person in np.unique(people):
            own = people == person
            centred[own] -= np.average(places[own], axis=0, weights=trust[own])
        scatter = (trust[:, None] * centred).T @ centred / CONTACT_DOUBT**2
        normal = np.linalg.solve(scatter + np.eye(3) / LEVEL_DOUBT**2, LEVEL / LEVEL_DOUBT**2)
        normal /= np.linalg.norm(normal)
        trust = weights / (1 + (centred @ normal / CONTACT_REACH) ** 2)
    told = np.linalg.eigvalsh(scatter)[-1] > 1 / LEVEL_DOUBT**2
    return normal if told and normal @ LEVEL > math.cos(MAX_TILT) else None


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


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
            usual = median_filter(feet[start:stop, person], size=window, mode="nearest")
            # Hands, knees or a head may be lower than the feet.
            lowest = room[start:stop, person, :, 2].min(axis=1)
            floor = np.minimum(gaussian_filter1d(usual, window / 6, mode="nearest"), lowest)
            room[start:stop, person, :, 2] -= floor[:, None] - ANKLE_HEIGHT
    return room
