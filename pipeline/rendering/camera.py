"""The pinhole camera of the 3D panel, and the places from which it sees a whole clip."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from lifters3d.skeleton import HIP

# Degrees to the side of the camera that filmed, and above the horizon.
View = tuple[float, float]
THREE_QUARTER: View = (35.0, 17.0)
FRONT: View = (0.0, 7.0)
SIDE: View = (90.0, 7.0)
TOP: View = (0.0, 90.0)
ORBIT_SPEED = 24.0  # degrees a second
_LONGEST_STEP_S = 0.1  # of time by which an orbit goes on from one frame to the next
_AROUND = 24  # places of an orbit at which all must be in view
_FRAMES = 20_000  # that stand for all of a clip
_ENOUGH = 20_000  # points that stand for all
FIELD_OF_VIEW = 30.0  # degrees, of the panel's shorter side
_MARGIN = 0.09  # of the panel, kept free on every side
_HEADROOM = 0.16  # metres above the highest joint: the head's disc
_EMPTY = np.array([[-0.7, -0.7, 0.0], [0.7, 0.7, 1.8]])


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with square pixels and the principal point in the middle.

    Attributes
    ----------
    rotation : (3, 3), world to camera axes (x right, y down, z into the picture)
    position : (3,) metres, world
    focal : px
    size : (w, h) px
    """

    rotation: np.ndarray
    position: np.ndarray
    focal: float
    size: tuple[int, int]

    @property
    def intrinsics(self) -> np.ndarray:
        """(3, 3) matrix K; the first pixel's centre is (0.5, 0.5)."""
        width, height = self.size
        return np.array([[self.focal, 0, width / 2], [0, self.focal, height / 2], [0, 0, 1]])

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where world points (..., 3) appear: (..., 2) px, and their depth (...) in metres.

        Points behind the camera give NaN px.
        """
        seen = (np.asarray(points, float) - self.position) @ self.rotation.T
        depth = seen[..., 2]
        safe = np.where(depth > 1e-3, depth, np.nan)
        return seen[..., :2] / safe[..., None] * self.focal + np.divide(self.size, 2), depth

    def turned(self, degrees: float, about: np.ndarray) -> Camera:
        """Moved around the upright through `about` (2,) metres; counter-clockwise from above."""
        turn, middle = _turn(degrees), np.append(about, 0)
        position = middle + turn @ (self.position - middle)
        return Camera(self.rotation @ turn.T, position, self.focal, self.size)


def _turn(degrees: float) -> np.ndarray:
    """(3, 3): turns points around the z axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def orbit_degrees(times: np.ndarray) -> np.ndarray:
    """(F,) how far an orbit has come at each of `times` (F,) seconds; no step is a jump."""
    steps = np.clip(np.diff(times, prepend=times[:1]), 0, _LONGEST_STEP_S)
    return ORBIT_SPEED * np.cumsum(steps)


def robust_points(joints_world: np.ndarray) -> np.ndarray:
    """(N, 3) metres: all joints of the clip but wild ones; the corners of a box if there are none.

    Of clips of many minutes, only some frames are looked at.

    Joints stay that lie near the usual paths of their person's root (2nd to 98th percentile), and
    near the root as joints usually do; "near" is generous, so that a jump or a lunge is kept.
    """
    every = max(1, math.ceil(len(joints_world) / _FRAMES))
    joints = np.asarray(joints_world[::every], float)
    root = joints[..., HIP, :]
    present = np.isfinite(root).all(-1)
    if not present.any():
        return _EMPTY.copy()
    kept = np.isfinite(joints).all(-1) & present[..., None]
    body = joints - root[..., None, :]
    kept &= _near(root, root[present])[..., None] & _near(body, body[kept])
    return joints[kept] if kept.any() else _EMPTY.copy()


def _near(points: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """(...) bool: inside the middle 96 % of `usual` (N, 3), widened by 0.5 m and a tenth."""
    low, high = np.percentile(usual, [2, 98], axis=0)
    slack = 0.5 + 0.1 * (high - low)
    with np.errstate(invalid="ignore"):
        return ((points > low - slack) & (points < high + slack)).all(-1)


def floor_box(points: np.ndarray) -> np.ndarray:
    """(2, 2) metres: lowest and highest x and y of points (N, 3)."""
    return np.stack([points[:, :2].min(0), points[:, :2].max(0)])


def _spun(points: np.ndarray, about: np.ndarray) -> np.ndarray:
    """Points (N, 3) turned around the upright through `about` (2,), the outermost ones only."""
    radius = np.hypot(*(points[:, :2] - about).T)
    profile = cv2.convexHull(np.stack([radius, points[:, 2]], -1).astype(np.float32))[:, 0]
    angles = np.arange(_AROUND) * 2 * np.pi / _AROUND
    circle = np.stack([np.cos(angles), np.sin(angles)], -1)
    places = about + profile[:, None, :1] * circle
    heights = np.broadcast_to(profile[:, None, 1:], (*places.shape[:2], 1))
    return np.concatenate([places, heights], -1).reshape(-1, 3)


def frame_clip(
    joints_world: np.ndarray,
    size: tuple[int, int],
    view: View = THREE_QUARTER,
    all_around: bool = False,
) -> Camera:
    """The one camera for a whole clip: everything inside, people large.

    Parameters
    ----------
    joints_world : (F, P, 17, 3) metres, z up, y away from the camera that filmed, NaN where absent
    size : (w, h) px of the panel
    view : from where, beside the camera that filmed, so that left and right agree with the picture
    all_around : everything stays inside when the camera is turned about the middle of the clip
    """
    angle, lift = np.radians(view[0] - 90), np.radians(view[1])
    back = np.array([np.cos(angle) * np.cos(lift), np.sin(angle) * np.cos(lift), np.sin(lift)])
    right = np.array([-np.sin(angle), np.cos(angle), 0.0])
    rotation = np.stack([right, np.cross(-back, right), -back])
    focal = min(size) / 2 / np.tan(np.radians(FIELD_OF_VIEW / 2))

    points = robust_points(joints_world)
    if len(points) > _ENOUGH:
        points = np.random.default_rng(0).choice(points, _ENOUGH, replace=False)
    if all_around:
        points = _spun(points, floor_box(points).mean(0))
    points = np.concatenate([points + np.array([0, 0, _HEADROOM]), points * [1, 1, 0]])

    seen = points @ rotation.T
    reach = (0.5 - _MARGIN) * np.asarray(size, float)
    target = (seen[:, :2].max(0) + seen[:, :2].min(0)) / 2
    # Perspective makes distance and centring depend on each other; a few rounds settle both.
    for _ in range(12):
        offset = np.abs(seen[:, :2] - target) * focal / reach
        eye = (seen[:, 2] - offset.max(1)).min()
        places = (seen[:, :2] - target) / (seen[:, 2] - eye)[:, None]
        middle = (places.max(0) + places.min(0)) / 2
        target = target + middle * np.median(seen[:, 2] - eye)
    offset = np.abs(seen[:, :2] - target) * focal / reach
    eye = (seen[:, 2] - offset.max(1)).min()
    position = np.array([*target, eye]) @ rotation
    return Camera(rotation, position, focal, (int(size[0]), int(size[1])))
