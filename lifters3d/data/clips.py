"""What the readers of the field's data files give: clips of one person, seen by one camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lifters3d import skeleton
from lifters3d.data.object_arrays import listed
from weights.errors import Pose3dError


@dataclass(frozen=True)
class Skeleton:
    """Names and structure of J joints.

    parents : index of each joint's parent, -1 if it has none
    left, right : joints of the sides, in pairs
    root : the joint that poses are relative to; None if the layout has no such joint
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    root: int | None

    @property
    def mirror(self) -> tuple[int, ...]:
        """For each joint the one of the other side, itself if it is of none."""
        other = dict(zip(self.left + self.right, self.right + self.left, strict=True))
        return tuple(other.get(joint, joint) for joint in range(len(self.names)))

    def without(self, joint: int) -> Skeleton:
        """The same without one joint, which is neither of a pair nor the root.

        Its children hang from its parent.
        """
        keep = [index for index in range(len(self.names)) if index != joint]
        new = {-1: -1} | {old: index for index, old in enumerate(keep)}
        new[joint] = new[self.parents[joint]]
        return Skeleton(
            names=tuple(self.names[index] for index in keep),
            parents=tuple(new[self.parents[index]] for index in keep),
            left=tuple(new[index] for index in self.left),
            right=tuple(new[index] for index in self.right),
            root=None if self.root is None else new[self.root],
        )


H36M = Skeleton(skeleton.JOINT_NAMES, skeleton.PARENTS, skeleton.LEFT, skeleton.RIGHT, skeleton.HIP)


@dataclass(frozen=True)
class Clip:
    """F consecutive frames of one person before one camera, J joints.

    name : tells the clip from the others of its data set
    action : as the papers' tables name it ("Walking" of "Walking 1")
    camera : the data set's name of the camera
    keypoints : (F, J, 2) float32 px, finite
    joints : (F, J, 3) float32 metres, camera axes (x right, y down, z away from the camera), not
        relative to the root, finite where valid; None if the file has no 3D
    size : picture width and height, px
    frame_rate : frames/s; None if neither the file nor its data set tells
    valid : (F,) bool, the frames that count in an evaluation
    """

    name: str
    subject: str
    action: str
    camera: str
    keypoints: np.ndarray
    joints: np.ndarray | None
    size: tuple[int, int]
    frame_rate: float | None
    valid: np.ndarray


@dataclass(frozen=True)
class ClipSet:
    """The clips of a data set, as the papers divide it, all of one skeleton."""

    name: str
    skeleton: Skeleton
    train: list[Clip]
    test: list[Clip]


def joint_count(value: object, where: str) -> int:
    """J of an array (F, J, n); Pose3dError if it is something else."""
    if not isinstance(value, np.ndarray) or value.ndim != 3:
        raise Pose3dError(f"{where}: expected an array (frames, joints, 2), found {told(value)}")
    return value.shape[1]


def points(
    value: object, joints: int, axes: int, where: str, valid: np.ndarray | None = None
) -> np.ndarray:
    """A new float32 array (F, ``joints``, ``axes``) of what a file holds.

    Pose3dError if it is something else, or not finite (in the frames that are ``valid``, if given).
    New because arrays out of a file cannot be written to, which torch does not like.
    """
    if (
        not isinstance(value, np.ndarray)
        or value.ndim != 3
        or value.shape[1:] != (joints, axes)
        or value.dtype.kind not in "fiu"
    ):
        raise Pose3dError(
            f"{where}: expected numbers (frames, {joints}, {axes}), found {told(value)}"
        )
    if not len(value):
        raise Pose3dError(f"{where}: no frames")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, which is told below
        value = value.astype(np.float32, order="C")
    bad = ~np.isfinite(value).all(axis=(1, 2))
    bad = bad if valid is None else bad & valid
    if bad.any():
        raise Pose3dError(
            f"{where}: {bad.sum()} of {len(value)} frames are not finite (NaN or infinite), the "
            f"first is {bad.argmax()}"
        )
    return value


def paired(keypoints: object, frames: int, joints: int, where: str) -> np.ndarray:
    """Keypoints (frames, ``joints``, 2) px: the videos may be a little longer than the 3D."""
    if joint_count(keypoints, where) == joints and len(keypoints) < frames:
        raise Pose3dError(
            f"{where}: 2D of {len(keypoints)} frames, but 3D of {frames}; the files do not belong "
            "together"
        )
    return points(keypoints[:frames], joints, 2, where)


def entries(value: object, where: str) -> dict:
    """A dict that a file must hold, of names that can be printed."""
    if not isinstance(value, dict):
        raise Pose3dError(f"{where}: expected a dict, found {told(value)}")
    for name in value:
        if not isinstance(name, str) or not name.isprintable():
            raise Pose3dError(f"{where}: expected names, found {ascii(name)[:80]}")
    return value


def entry(value: object, key: str, where: str) -> object:
    """What a dict of a file must hold under ``key``."""
    found = entries(value, where)
    if key not in found:
        raise Pose3dError(f"{where}: has no {ascii(key)[:80]}; found {listed(sorted(found))}")
    return found[key]


def joint_layout(metadata: object, where: str) -> tuple[int, frozenset[int], frozenset[int]]:
    """The number of joints and which are left and right, as a 2D file's ``metadata`` tells."""
    joints = entry(metadata, "num_joints", where)
    symmetry = entry(metadata, "keypoints_symmetry", where)
    if not isinstance(joints, int):
        raise Pose3dError(f"{where}: num_joints should be a number, found {told(joints)}")
    try:
        left, right = (frozenset(int(joint) for joint in side) for side in symmetry)
    except (TypeError, ValueError, OverflowError):
        raise Pose3dError(
            f"{where}: keypoints_symmetry should be the left and the right joints, found "
            f"{told(symmetry)}"
        ) from None
    return joints, left, right


def views(value: object, count: int, where: str) -> list:
    """The arrays of ``count`` cameras."""
    if isinstance(value, np.ndarray) and value.ndim:
        value = list(value)
    if not isinstance(value, list | tuple) or len(value) != count:
        raise Pose3dError(
            f"{where}: expected a list of the arrays of {count} cameras, found {told(value)}"
        )
    return list(value)


def told(value: object) -> str:
    """What a file holds instead of what it should, in words."""
    if isinstance(value, np.ndarray):
        return f"an array {value.shape} of {value.dtype}"
    if isinstance(value, dict):
        return f"a dict of {listed(list(value))}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return "None" if value is None else f"{ascii(value)[:40]}"


def check_metres(joints: np.ndarray, where: str) -> None:
    """Pose3dError if positions must be millimetres: no studio is 100 m wide."""
    if (largest := np.abs(joints).max()) > 100:
        raise Pose3dError(
            f"{where}: positions up to {largest:.0f}; expected metres, these look like "
            "millimetres: divide them by 1000"
        )
