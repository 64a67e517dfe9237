"""What a live run records: on disk as it comes, a result at the end, however it ends."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
from torch import nn

from pipeline.lifting import focal_length
from pipeline.live import Moment
from pipeline.result import STATUSES, PoseResult
from pipeline.settings import Settings
from pipeline.uncertainty import signs_of_doubt, uncertainty
from pipeline.world import estimate_world, root_path, usual_step
from weights.errors import Pose3dError

FORMAT, VERSION = "pose3d-recording", 1
# A moment: half a kilobyte, in the types of the result.
MOMENT = np.dtype(
    [
        ("time_s", "<f8"),
        ("keypoints", "<f4", (17, 2)),
        ("scores", "<f4", 17),
        ("joints", "<f4", (17, 3)),
        ("doubt", "<f4", 17),
        ("status", "u1"),
        ("dropped", "<u4"),
    ]
)


class Recording:
    """Writes moments, without their pictures, to a file: a line of JSON, then a ``MOMENT`` each.

    Each is written at once, so that nothing is lost when the program is killed, and memory does not
    grow. ``read_recording`` makes a result of the file.

    Parameters
    ----------
    path : a file that is not there yet
    name : of the source
    size : width and height of the pictures, px
    frame_rate : of a file; None is what the times tell

    Raises
    ------
    Pose3dError
        if the file is there, or cannot be written.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        size: tuple[int, int],
        frame_rate: Fraction | None,
        lifter: nn.Module,
        settings: Settings,
    ) -> None:
        self._path, self._count = path, 0
        header = {
            "format": FORMAT,
            "version": VERSION,
            "name": name,
            "size": size,
            "frame_rate": frame_rate and str(frame_rate),
            "lifter": lifter.weights_identity,
            "settings": settings.as_dict(),
        }
        try:
            self._file = path.open("xb", buffering=0)
        except OSError as error:
            raise _unwritable(path, error) from None
        self._write(json.dumps(header).encode() + b"\n")

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._count

    def add(self, moment: Moment) -> None:
        """Write a moment; Pose3dError if the disk is full."""
        row = np.zeros((), MOMENT)
        row["time_s"], row["dropped"] = moment.captured.time_s, moment.captured.dropped
        row["keypoints"], row["scores"] = moment.keypoints, moment.scores
        row["joints"], row["doubt"] = moment.joints, moment.doubt
        row["status"] = STATUSES.index(moment.status)
        self._write(row.tobytes())
        self._count += 1

    def _write(self, content: bytes) -> None:
        try:
            if self._file.write(content) < len(content):
                raise OSError(28, os.strerror(28))  # ENOSPC: some of it had room
        except OSError as error:
            raise _unwritable(self._path, error) from None


def read_recording(path: Path) -> PoseResult:
    """The pictures that were worked on, at their times, with the joints as they were shown.

    The root's path and the uncertainty look back only; the floor and the way up are those of the
    whole recording. Raises Pose3dError if it is no recording, or holds no moment.
    """
    try:
        with path.open("rb") as file:
            header = json.loads(file.readline(1 << 16))
            if (header["format"], header["version"]) != (FORMAT, VERSION):
                raise ValueError
            name, size, rate = header["name"], tuple(header["size"]), header["frame_rate"]
            settings, lifter = Settings(**header["settings"]), header["lifter"]
            content = file.read()
    except OSError as error:
        raise Pose3dError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError):
        raise Pose3dError(
            f"{path}: not what 'pose3d live --record' leaves when it is killed (.npz.part)"
        ) from None
    # The last may be cut off, where the power went.
    rows = np.frombuffer(content, MOMENT, count=len(content) // MOMENT.itemsize)
    if not len(rows):
        raise Pose3dError(f"{path}: {name} was not recorded: there was no picture")
    time_s, keypoints, scores = rows["time_s"], rows["keypoints"], rows["scores"]
    joints = rows["joints"]
    focal = focal_length(size, settings.fov)
    rate = Fraction(rate) if rate else _rate_of(time_s)
    root = root_path(joints, keypoints, scores, focal, size, float(1 / rate), causal=True)
    doubt = np.stack([rows["doubt"], np.full_like(rows["doubt"], np.nan)], axis=-1)
    signs = signs_of_doubt(joints, keypoints, root, doubt, focal, size, causal=True)
    unseen = ~np.isfinite(keypoints).all(axis=-1)
    unsure = uncertainty(signs, unseen, lifter["name"])
    world, _ = estimate_world(
        joints[:, None],
        root[:, None],
        usual_step(time_s, rate),
        upright=settings.upright,
        scale=(1.0,),
    )
    status, dropped = np.array(STATUSES)[rows["status"]], int(rows["dropped"][-1])
    warnings = []
    if dropped:
        warnings.append(f"live: {dropped} pictures were dropped to keep up")
    if (status == "not_visible").all():
        warnings.append("no person was found in any frame")
    return PoseResult(
        time_s=time_s,
        ids=np.array([1]),
        keypoints2d=keypoints[:, None],
        scores2d=scores[:, None],
        joints3d=joints[:, None],
        root=root[:, None],
        uncertainty=unsure[:, None],
        status=status[:, None],
        picture_size=size,
        frame_rate=rate,
        provenance={
            "input": {"name": name, "live": True, "dropped": dropped},
            "settings": settings.as_dict(),
            "weights": {"lifter": lifter, "pose2d": {"name": "mediapipe"}},
            "focal_px": focal,
            "focal_guessed": settings.fov is None,
        },
        warnings=warnings,
        world=world,
    )


def _rate_of(time_s: np.ndarray) -> Fraction:
    usual = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 0.0
    return Fraction(1 / usual).limit_denominator(1000) if usual > 1e-3 else Fraction(30)


def _unwritable(path: Path, error: OSError) -> Pose3dError:
    if isinstance(error, FileExistsError):
        return Pose3dError(
            f"{path} is there: of a run that goes on, or that was killed, which "
            f"'pose3d live --recover {path}' finishes; choose another --record"
        )
    return Pose3dError(f"{path} cannot be written: {error.strerror}; choose another --record")
