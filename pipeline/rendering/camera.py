"""The pinhole camera of the 3D panel, and the one place from which it sees a whole clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lifters3d.skeleton import HIP, LHIP, RHIP

ELEVATION = 17.0  # degrees above the horizon
TURN = 35.0  # degrees to the side of the front: the classical three-quarter view
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


def robust_points(joints_world: np.ndarray) -> np.ndarray:
    """(N, 3) metres: all joints of the clip but wild ones; the corners of a box if there are none.

    Joints stay that lie near the usual paths of their person's root (2nd to 98th percentile), and
    near the root as joints usually do; "near" is generous, so that a jump or a lunge is kept.
    """
    joints = np.asarray(joints_world, float)
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


def front(joints_world: np.ndarray) -> np.ndarray:
    """(2,) unit vector, world x and y: where people face on average.

    Someone who turns all ways has no front; then it is across the longer side of the path, from
    the side of negative y, so that the walk is seen from its side.
    """
    across = (joints_world[..., LHIP, :2] - joints_world[..., RHIP, :2]).reshape(-1, 2)
    across = across[np.isfinite(across).all(1)].astype(float)
    length = np.hypot(across[:, 0], across[:, 1])
    facing = np.stack([across[:, 1], -across[:, 0]], -1)[length > 1e-6]
    facing /= length[length > 1e-6, None]
    mean = facing.mean(0) if len(facing) else np.zeros(2)
    if np.hypot(*mean) > 0.4:
        return mean / np.hypot(*mean)
    width, depth = np.ptp(robust_points(joints_world)[:, :2], axis=0)
    return np.array([1.0, 0.0]) if depth > width else np.array([0.0, -1.0])


def frame_clip(
    joints_world: np.ndarray, size: tuple[int, int], viewer: np.ndarray | None = None
) -> Camera:
    """The one camera for a whole clip: three-quarter view, everything inside, people large.

    Parameters
    ----------
    joints_world : (F, P, 17, 3) metres, z up, NaN where absent
    size : (w, h) px of the panel
    viewer : (2,) world x and y of the direction from the people to the camera that filmed them;
        if given the panel looks from 35 degrees beside it, so that left and right agree with
        the picture; if not, from 35 degrees beside the people's front
    """
    toward = front(joints_world) if viewer is None else np.asarray(viewer, float)
    angle = np.arctan2(toward[1], toward[0]) + np.radians(TURN)
    lift = np.radians(ELEVATION)
    back = np.array([np.cos(angle) * np.cos(lift), np.sin(angle) * np.cos(lift), np.sin(lift)])
    right = np.array([-np.sin(angle), np.cos(angle), 0.0])
    rotation = np.stack([right, np.cross(-back, right), -back])
    focal = min(size) / 2 / np.tan(np.radians(FIELD_OF_VIEW / 2))

    points = robust_points(joints_world)
    points = points[:: max(1, len(points) // 20000)]
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
