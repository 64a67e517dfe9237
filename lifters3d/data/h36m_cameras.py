"""The cameras of Human3.6M: where they stand, and how they see.

Points are (..., 3) metres, float32 or float64, and results are of the same type. World axes have z
up, camera axes x right, y down, z away from the camera. Projections are in ``screen`` units
(`lifters3d.normalisation`): -1 and 1 at the picture's left and right edges, 0 at its centre, and
the same scale vertically.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weights.errors import Pose3dError

TABLE = Path(__file__).with_name("h36m_cameras.json")


@dataclass(frozen=True)
class Camera:
    """A calibrated camera.

    name : Human3.6M's number of the camera
    size : picture width and height, px
    orientation : (4,) unit quaternion w, x, y, z that turns camera axes to world axes
    position : (3,) metres, world axes
    intrinsics : (9,) in ``screen`` units: focal lengths (2), principal point (2), radial (3) and
        tangential (2) distortion
    """

    name: str
    size: tuple[int, int]
    orientation: np.ndarray
    position: np.ndarray
    intrinsics: np.ndarray


def cameras(subject: str) -> list[Camera]:
    """The four cameras around a subject ("S1"), in the order of the data set's 2D files.

    Pose3dError if Human3.6M publishes no cameras for the subject.
    """
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    if subject not in table["extrinsics"]:
        known = ", ".join(table["extrinsics"])
        raise Pose3dError(f"Human3.6M has no cameras for subject {subject!r}; it has {known}")
    found = []
    for inside, outside in zip(table["intrinsics"], table["extrinsics"][subject], strict=True):
        width, height = inside["size_px"]
        focal = np.array(inside["focal_px"]) * (2 / width)
        centre = np.array(inside["centre_px"]) * (2 / width) - [1, height / width]
        distortion = inside["radial"], inside["tangential"]
        found.append(
            Camera(
                name=inside["name"],
                size=(width, height),
                orientation=np.array(outside["orientation_wxyz"]),
                position=np.array(outside["position_mm"]) / 1000,
                intrinsics=np.concatenate([focal, centre, *distortion]),
            )
        )
    return found


def world_to_camera(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Points (..., 3) of world axes in camera axes."""
    rotation, position = _pose(camera, points.dtype)
    return (points - position) @ rotation  # the inverse of a rotation is its transpose


def camera_to_world(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Points (..., 3) of camera axes in world axes."""
    rotation, position = _pose(camera, points.dtype)
    return points @ rotation.T + position


def _pose(camera: Camera, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """The rotation matrix (camera to world) and position of a camera."""
    # Published to float32: made of exact length here, so that the matrix is a rotation.
    w, x, y, z = camera.orientation / np.linalg.norm(camera.orientation)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation = np.eye(3) + 2 * w * cross + 2 * cross @ cross
    return rotation.astype(dtype), camera.position.astype(dtype)


def project(points: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """What a camera sees of points (..., 3) of its axes: (..., 2) in screen units, distorted.

    As in the papers' code, x / z and y / z are held within -1 and 1: far outside of the picture
    the distortion would fold points back into it. Points must be in front of the camera.
    """
    focal, centre, radial, tangential = np.split(intrinsics.astype(points.dtype), [2, 4, 7])
    rays = _rays(points)
    square = np.square(rays).sum(-1, keepdims=True)
    stretch = 1 + square * (radial[0] + square * (radial[1] + square * radial[2]))
    tilt = (tangential * rays).sum(-1, keepdims=True)
    return focal * (rays * (stretch + tilt) + tangential * square) + centre


def project_linear(points: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """As `project`, through a lens without distortion."""
    focal, centre = np.split(intrinsics[:4].astype(points.dtype), 2)
    return focal * _rays(points) + centre


def _rays(points: np.ndarray) -> np.ndarray:
    return (points[..., :2] / points[..., 2:]).clip(-1, 1)


def uvd_to_xyz(uvd: np.ndarray, root_depth: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Joints on the rays of their 2D points, at known depths; undoes `project_linear`.

    Parameters
    ----------
    uvd : (..., J, 3) screen units, and metres behind the root, which is joint 0 (its own is not
        read: it is 0)
    root_depth : (...,) metres from the camera, z of the root
    intrinsics : (9,)

    Returns
    -------
    (..., J, 3) metres, camera axes, relative to the root.
    """
    focal, centre = np.split(intrinsics[:4].astype(uvd.dtype), 2)
    depth = uvd[..., 2:] + np.asarray(root_depth, uvd.dtype)[..., None, None]
    depth[..., 0, 0] = root_depth
    points = np.concatenate([(uvd[..., :2] - centre) / focal * depth, depth], axis=-1)
    return points - points[..., :1, :]


def to_pixels(screen: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Points (..., 2) in screen units to px of a picture ``size`` = (w, h) px."""
    width, height = size
    return (screen + np.array([1, height / width], screen.dtype)) * (width / 2)
