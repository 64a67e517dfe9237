"""Reader of MPI-INF-3DHP as P-STMO prepares it: ``data_train_3dhp.npz``, ``data_test_3dhp.npz``.

Train, ``data``: "S1 Seq1" -> [camera ("0" to "8", without "3") -> {``data_2d``, ``data_3d``},
frames/s]. Test, ``data``: "TS1" -> {``data_2d``, ``data_3d``, ``valid``}. ``data_2d`` is
(F, 17, 2) px, ``data_3d`` (F, 17, 3) millimetres in camera axes, ``valid`` (F,) 0 or 1.

``data_3d`` is the data set's ``univ_annot3`` in both files: bodies scaled to one universal
skeleton. All papers that use these files train and report on it; a lifter trained on it must not
be measured on true sizes (``annot3``), nor the other way round.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from lifters3d.data.clips import (
    H36M,
    Clip,
    ClipSet,
    Skeleton,
    entries,
    entry,
    points,
    told,
)
from lifters3d.data.object_arrays import listed, read_object_arrays
from weights.errors import Pose3dError

MPI_INF_3DHP = Skeleton(
    names=(
        "HeadTop",
        "Neck",
        "RShoulder",
        "RElbow",
        "RWrist",
        "LShoulder",
        "LElbow",
        "LWrist",
        "RHip",
        "RKnee",
        "RAnkle",
        "LHip",
        "LKnee",
        "LAnkle",
        "Pelvis",
        "Spine",
        "Head",
    ),
    parents=(16, 15, 1, 2, 3, 1, 5, 6, 14, 8, 9, 14, 11, 12, -1, 14, 1),
    left=(5, 6, 7, 11, 12, 13),
    right=(2, 3, 4, 8, 9, 10),
    root=14,
)
# For every joint of Human3.6M the one of MPI-INF-3DHP that stands for it.
TO_H36M: tuple[int, ...] = (14, 8, 9, 10, 11, 12, 13, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4)

Order = Literal["h36m", "3dhp"]

STUDIO_SIZE = (2048, 2048)
TEST_SIZES = dict.fromkeys(("TS1", "TS2", "TS3", "TS4"), STUDIO_SIZE) | dict.fromkeys(
    ("TS5", "TS6"), (1920, 1080)
)
# The test file does not tell it. The studio sequences are as long as the training sequences of 25.
TEST_FRAME_RATE = 25.0


def load_mpi_inf_3dhp(
    path_train: str | Path | None, path_test: str | Path | None, order: Order = "h36m"
) -> ClipSet:
    """MPI-INF-3DHP: a training clip for every sequence and camera, six test clips.

    A training clip's ``action`` is its sequence ("Seq1"); a test clip's ``name``, ``subject`` and
    ``action`` are all the sequence ("TS1"), by which results are reported. Only frames that are
    ``valid`` are scored; the others serve as context.

    Parameters
    ----------
    path_train, path_test : of the files, in P-STMO's format; None to leave that part empty
    order : "h36m" puts the joints in Human3.6M's order, for lifters of that skeleton; "3dhp"
        leaves them as they are, with the root at 14

    Raises
    ------
    Pose3dError
        If a file is missing or something else.
    """
    if order not in get_args(Order):
        raise ValueError(f"order must be one of {get_args(Order)}, not {order!r}")
    joints = list(TO_H36M) if order == "h36m" else list(range(17))
    return ClipSet(
        name="mpi_inf_3dhp",
        skeleton=H36M if order == "h36m" else MPI_INF_3DHP,
        train=[] if path_train is None else _train_clips(str(path_train), joints),
        test=[] if path_test is None else _test_clips(str(path_test), joints),
    )


def _train_clips(path: str, order: list[int]) -> list[Clip]:
    clips = []
    for name, sequence in _sequences(path, r"S[1-8] Seq[12]", "'S1 Seq1' to 'S8 Seq2'").items():
        where = f"{path}: {name}"
        if isinstance(sequence, np.ndarray) and sequence.ndim:
            sequence = list(sequence)
        if not isinstance(sequence, list | tuple) or len(sequence) != 2:
            raise Pose3dError(f"{where}: expected [cameras, frames/s], found {told(sequence)}")
        cameras, frame_rate = entries(sequence[0], where), sequence[1]
        if not isinstance(frame_rate, int | float) or frame_rate not in (25, 50):
            raise Pose3dError(f"{where}: expected 25 or 50 frames/s, found {told(frame_rate)}")
        subject, action = name.split(" ")
        for camera in list(cameras):
            # Taken out: the file is large, and what is copied need not stay in memory.
            keypoints, joints = _poses(cameras.pop(camera), order, f"{where}.{camera}")
            clips.append(
                Clip(
                    name=f"{name}.{camera}",
                    subject=subject,
                    action=action,
                    camera=str(camera),
                    keypoints=keypoints,
                    joints=joints,
                    size=STUDIO_SIZE,
                    frame_rate=float(frame_rate),
                    valid=np.ones(len(joints), bool),
                )
            )
    return clips


def _test_clips(path: str, order: list[int]) -> list[Clip]:
    clips = []
    for name, sequence in _sequences(path, "TS[1-6]", "'TS1' to 'TS6'").items():
        where = f"{path}: {name}"
        valid = _valid(entry(sequence, "valid", where), f"{where} valid")
        keypoints, joints = _poses(sequence, order, where, valid)
        clips.append(
            Clip(
                name=name,
                subject=name,
                action=name,
                camera="0",
                keypoints=keypoints,
                joints=joints,
                size=TEST_SIZES[name],
                frame_rate=TEST_FRAME_RATE,
                valid=valid,
            )
        )
    return clips


def _sequences(path: str, pattern: str, expected: str) -> dict:
    """The sequences of a file, all of whose names fit the pattern, in their order."""
    found = entries(read_object_arrays(path, ("data",))["data"], f"{path}: data")
    strange = [name for name in found if not re.fullmatch(pattern, str(name))]
    if strange or not found:
        raise Pose3dError(f"{path}: expected sequences {expected}, found {listed(strange)}")
    return dict(sorted(found.items()))


def _valid(value: object, where: str) -> np.ndarray:
    """(F,) bool of numbers 0 and 1."""
    if (
        not isinstance(value, np.ndarray)
        or value.ndim != 1
        or value.dtype.kind not in "biuf"
        or not np.isin(value, (0, 1)).all()
    ):
        raise Pose3dError(
            f"{where}: expected 0 or 1 for every frame (frames,), found {told(value)}"
        )
    return value.astype(bool)


def _poses(
    value: object, order: list[int], where: str, valid: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (F, 17, 2) px and joints (F, 17, 3) metres of one camera."""
    keypoints = points(entry(value, "data_2d", where), 17, 2, f"{where} data_2d")
    joints = entry(value, "data_3d", where)
    others = [part for part in (joints, valid) if isinstance(part, np.ndarray) and part.ndim]
    lengths = [len(keypoints), *map(len, others)]
    if len(set(lengths)) > 1:
        raise Pose3dError(
            f"{where}: 2D, 3D{'' if valid is None else ' and valid'} of "
            f"{', '.join(map(str, lengths))} frames; there must be as many of each"
        )
    joints = points(joints, 17, 3, f"{where} data_3d", valid)
    scored = joints if valid is None else joints[valid]
    if scored.size and (largest := np.abs(scored).max()) < 50:
        raise Pose3dError(
            f"{where}: positions up to {largest:.2f}; expected millimetres, these look like "
            "metres: multiply them by 1000"
        )
    return keypoints[:, order], joints[:, order] / 1000
