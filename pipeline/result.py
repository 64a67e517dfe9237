"""What a processed video gives: every person in every frame, in one object and one file."""

from __future__ import annotations

import io
import json
import math
import os
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from pathlib import Path

import numpy as np

from lifters3d.skeleton import JOINT_NAMES, PARENTS
from pipeline.version import VERSION
from pipeline.world import METHODS, World, estimate_world, to_world, usual_step
from weights.errors import Pose3dError
from weights.files import replace_file

STATUSES: tuple[str, ...] = (
    "ok",
    "sides_repaired",  # left and right, which the 2D detector had exchanged, were put back
    "interpolated",
    "low_confidence",
    "not_visible",
    "decode_error",
)
FILE_FORMAT = "pose3d-result"
FILE_VERSION = 1
UNITS = {
    "time_s": "s",
    "keypoints2d": "px",
    "scores2d": "1",
    "joints3d": "m",
    "root": "m",
    "uncertainty": "m",
}
AXES = "camera: x right, y down, z away from the camera; joints3d is relative to joint 0"

_STATUS_DTYPE = np.dtype("<U14")
# Name, dtype and shape of every array; letters stand for lengths that must agree, J for joints.
_ARRAYS: dict[str, tuple[np.dtype, tuple[str | int, ...]]] = {
    "time_s": (np.dtype("<f8"), ("F",)),
    "ids": (np.dtype("<i8"), ("P",)),
    "keypoints2d": (np.dtype("<f4"), ("F", "P", "J", 2)),
    "scores2d": (np.dtype("<f4"), ("F", "P", "J")),
    "joints3d": (np.dtype("<f4"), ("F", "P", "J", 3)),
    "root": (np.dtype("<f4"), ("F", "P", 3)),
    "uncertainty": (np.dtype("<f4"), ("F", "P", "J")),
    "status": (_STATUS_DTYPE, ("F", "P")),
}


@dataclass(eq=False)
class PoseResult:
    """Every person in every frame of one video. F frames, P people, 17 joints in H36M order.

    Absent numbers are NaN; F is the number of frames of the video, always. Arrays are converted
    to the types below when the object is made, then checked (`validate`).

    Attributes
    ----------
    time_s : (F,) float64, seconds, never decreasing
    ids : (P,) int64, all different
    keypoints2d : (F, P, 17, 2) float32, px from the upper left corner
    scores2d : (F, P, 17) float32
    joints3d : (F, P, 17, 3) float32, metres relative to the root (joint 0), camera axes
    root : (F, P, 3) float32, metres, camera axes, approximate
    uncertainty : (F, P, 17) float32, metres, 0 or more; NaN where not estimated
    status : (F, P) strings, each one of `STATUSES`
    picture_size : width and height, px
    frame_rate : nominal frames a second, exact
    provenance : the identity of "input", "settings" and "weights": JSON values only
    warnings : what the reader of the result should know, one sentence each
    world : the way up, the floor and the scale, estimated; None in older results
    """

    time_s: np.ndarray
    ids: np.ndarray
    keypoints2d: np.ndarray
    scores2d: np.ndarray
    joints3d: np.ndarray
    root: np.ndarray
    uncertainty: np.ndarray
    status: np.ndarray
    picture_size: tuple[int, int]
    frame_rate: Fraction
    joint_names: tuple[str, ...] = JOINT_NAMES
    parents: tuple[int, ...] = PARENTS
    units: dict[str, str] = field(default_factory=lambda: dict(UNITS))
    axes: str = AXES
    program_version: str = VERSION
    provenance: dict = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    world: World | None = None

    def __post_init__(self) -> None:
        for name, (dtype, _) in _ARRAYS.items():
            setattr(self, name, _as_array(getattr(self, name), dtype, name))
        try:
            self.picture_size = tuple(int(n) for n in self.picture_size)
            self.frame_rate = Fraction(self.frame_rate)
            self.joint_names = tuple(str(n) for n in self.joint_names)
            self.parents = tuple(int(n) for n in self.parents)
            self.warnings = [str(w) for w in self.warnings]
            # Through JSON at once, so that what a file gives back is equal to what was saved.
            self.provenance = json.loads(_json(self.provenance, "provenance"))
            self.units = json.loads(_json(self.units, "units"))
            if isinstance(self.world, dict):
                self.world = World(**self.world)
        except (TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
            raise Pose3dError(f"result: a field cannot be read: {error}") from None
        self.validate()

    def __len__(self) -> int:
        return len(self.time_s)

    @property
    def frames(self) -> int:
        """Number of frames F."""
        return len(self.time_s)

    @property
    def people(self) -> int:
        """Number of people P."""
        return len(self.ids)

    @property
    def joints_camera(self) -> np.ndarray:
        """(F, P, 17, 3) float32: joints in camera axes, metres from the camera (approximate)."""
        return self.joints3d + self.root[..., None, :]

    def room(self) -> World:
        """``world``; for older results, which have none, what it would be."""
        if self.world is not None:
            return self.world
        step_s = usual_step(self.time_s, self.frame_rate)
        return estimate_world(self.joints3d, self.root, step_s)[0]

    def world_joints(self) -> np.ndarray:
        """Joints in a room: x right, y away from the camera, z up, one floor z = 0 for the clip.

        An estimate from one camera, taken to stand still: the way up is right within a few degrees,
        distances only as far as the field of view and a person's height are known.

        Returns
        -------
        (F, P, 17, 3) float32 metres, the camera above the origin; NaN where absent.
        """
        return to_world(self.joints3d, self.root, self.room())

    def validate(self) -> None:
        """Raise Pose3dError, naming the field, if shapes disagree or a value is not possible."""
        lengths = {"F": self.time_s.size, "P": self.ids.size, "J": len(self.joint_names)}
        for name, (_, shape) in _ARRAYS.items():
            expected = tuple(lengths.get(n, n) for n in shape)
            found = getattr(self, name).shape
            if found != expected:
                letters = ", ".join(map(str, shape))
                _fail(f"{name} has shape {found}, expected {expected}, which is ({letters})")
        if not np.isfinite(self.time_s).all() or (np.diff(self.time_s) < 0).any():
            _fail("time_s must be finite and never decrease")
        if len(set(self.ids.tolist())) != self.people:
            _fail(f"ids must differ, found {self.ids.tolist()}")
        for name in _ARRAYS.keys() - {"time_s", "ids", "status"}:
            if np.isinf(getattr(self, name)).any():
                _fail(f"{name} holds an infinite value; use NaN where there is nothing")
        if (self.uncertainty < 0).any():
            _fail("uncertainty holds a negative value")
        _check_status(self.status)
        if len(self.picture_size) != 2 or min(self.picture_size) < 1:
            _fail(f"picture_size must be (width, height) in px, not {self.picture_size}")
        if self.frame_rate <= 0:
            _fail(f"frame_rate must be above 0, not {self.frame_rate}")
        joints = lengths["J"]
        if len(self.parents) != joints or not all(-1 <= p < joints for p in self.parents):
            _fail(f"parents must hold {joints} joint numbers (-1 for the root)")
        if not isinstance(self.provenance, dict) or not isinstance(self.units, dict):
            _fail("provenance and units must be dicts")
        for name in ("input", "settings", "weights"):
            if not isinstance(self.provenance.get(name, {}), dict):
                _fail(f"provenance: {name} must be a dict")
        name, focal = self.provenance.get("input", {}).get("name", ""), 1.0
        focal = self.provenance.get("focal_px", focal)
        if not isinstance(name, str):
            _fail("provenance: the name of the input must be a string")
        if isinstance(focal, bool) or not isinstance(focal, (int, float)) or not focal > 0:
            _fail(f"provenance: focal_px must be a number above 0, not {focal!r}")
        if self.world is not None:
            _check_world(self.world, self.people)

    def __repr__(self) -> str:
        name = self.provenance.get("input", {}).get("name", "")
        return f"<PoseResult of {name or 'no file'}: {len(self)} frames, {self.people} people>"

    def equals(self, other: object) -> bool:
        """True if every field is the same; NaN equals NaN."""
        if not isinstance(other, PoseResult):
            return False
        for item in fields(self):
            a, b = getattr(self, item.name), getattr(other, item.name)
            if item.name in _ARRAYS:
                if not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
                    return False
            elif a != b:
                return False
        return True

    __eq__ = equals

    def save(self, path: str | os.PathLike) -> Path:
        """Write one .npz file: the arrays, and a JSON header under the name "header".

        The file appears whole or not at all, and equal results give equal bytes.

        Raises
        ------
        Pose3dError
            if a field is not valid or the file cannot be written (no folder, no room, no right).
        """
        self.validate()
        header = {
            "format": FILE_FORMAT,
            "version": FILE_VERSION,
            "frame_rate": f"{self.frame_rate.numerator}/{self.frame_rate.denominator}",
            "statuses": list(STATUSES),
        }
        for item in fields(self):
            if item.name not in _ARRAYS:
                header.setdefault(item.name, getattr(self, item.name))
        header["world"] = None if self.world is None else asdict(self.world)
        text = _json(header, "header")
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        # One byte a frame and person; the words are in the header.
        arrays["status"] = np.array(
            [STATUSES.index(s) for s in self.status.ravel().tolist()], np.uint8
        ).reshape(self.status.shape)
        arrays["header"] = np.frombuffer(text.encode(), np.uint8)
        # In memory first: a zip file that runs out of disk complains again when it is collected.
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        path = Path(path)
        try:
            replace_file(path, buffer.getbuffer())
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise Pose3dError(f"{path}: cannot write the result: {reason}") from None
        return path


def as_path(path: str | os.PathLike) -> Path:
    """A path of what may be none; Pose3dError then."""
    if not isinstance(path, str | os.PathLike):
        raise Pose3dError(f"give the path of a file, not {path!r}")
    return Path(path)


def load_result(path: str | os.PathLike) -> PoseResult:
    """Read a result that `PoseResult.save` wrote; nothing in the file is ever executed.

    Raises
    ------
    Pose3dError
        if there is no such file, or it is damaged, not a result, or of another version.
    """
    path = as_path(path)
    try:
        # Opened here: np.load leaves the file open when the zip inside is damaged.
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            contents = {name: file[name] for name in file.files}
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise Pose3dError(f"{path}: cannot read the result: {reason}") from None
    except Exception:  # a damaged zip fails in a dozen ways (zlib, struct, BadZipFile, ...)
        raise Pose3dError(
            f"{path}: not a pose3d result, or damaged; process the video again"
        ) from None
    try:
        header = json.loads(bytes(contents["header"]))
        found = (header["format"], header["version"])
    except (KeyError, ValueError, TypeError):
        raise Pose3dError(
            f"{path}: not a pose3d result (no header); give a .npz written by pose3d"
        ) from None
    if found != (FILE_FORMAT, FILE_VERSION):
        raise Pose3dError(
            f"{path}: format {found[0]!r} version {found[1]!r}, this program reads "
            f"{FILE_FORMAT!r} version {FILE_VERSION}; process the video again"
        )
    try:
        words = np.array(header["statuses"], _STATUS_DTYPE)
        values = {name: contents[name] for name in _ARRAYS}
        values["status"] = words[values["status"]]
        for item in fields(PoseResult):
            if item.name not in _ARRAYS and item.name != "world":
                values[item.name] = header[item.name]
        values["world"] = header.get("world")  # older results have none
        return PoseResult(**values)
    except Pose3dError as error:
        raise Pose3dError(f"{path}: {error}") from None
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise Pose3dError(
            f"{path}: the result is incomplete ({_one_line(error)}); process the video again"
        ) from None


def _fail(what: str) -> None:
    raise Pose3dError(f"result: {what}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def _check_status(status: np.ndarray) -> None:
    unknown = sorted({str(s) for s in status.ravel().tolist()} - set(STATUSES))
    if unknown:
        _fail(f"status {unknown[0]!r} is not one of {', '.join(STATUSES)}")


def _check_world(world: object, people: int) -> None:
    """A World of finite numbers with a unit vector up and a scale for everyone."""
    if not isinstance(world, World) or world.method not in METHODS:
        _fail(f"world must be a World whose method is one of {', '.join(METHODS)}")
    if len(world.up) != 3 or not abs(np.linalg.norm(world.up) - 1) < 1e-6:
        _fail(f"world: up must be a unit vector, not {world.up}")
    if not math.isfinite(world.camera_height):
        _fail("world: camera_height must be finite")
    if len(world.scale) != people or not all(0 < factor < math.inf for factor in world.scale):
        _fail(f"world: scale must be {people} numbers above 0, not {world.scale}")


def _as_array(values: object, dtype: np.dtype, name: str) -> np.ndarray:
    try:
        array = np.asarray(values)
        if name == "status":
            _check_status(array)  # before the conversion, which would cut long words silently
        if name == "ids" and array.size and array.dtype.kind not in "iu":
            _fail(f"ids must be whole numbers, not {array.dtype}")
        return np.ascontiguousarray(array, dtype)
    except (TypeError, ValueError) as error:
        raise Pose3dError(f"result: {name} cannot be an array: {_one_line(error)}") from None


def _json(value: object, name: str) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise Pose3dError(f"result: {name} holds what JSON cannot: {_one_line(error)}") from None
