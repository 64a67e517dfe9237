"""Reader of ``mocap17`` files: 17-joint motion capture, delta-coded int16 in one npz.

A file holds ``length`` (clips,) frames a clip, ``root_mm`` and ``rel_half_mm`` (channels, frames):
time differences of the Hip in millimetres and of the other 16 joints relative to it in half
millimetres (the first frame of every clip is its difference from zero), and ``table``, one JSON
record a clip.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weights.errors import Pose3dError


@dataclass(frozen=True)
class Mocap:
    """Motion capture of many clips, one after the other.

    positions : (frames, 17, 3) float32 metres, z up, Human3.6M joint order, 30 frames/s
    spans : (clips, 2) int64, first frame and one past the last
    table : one record a clip (``source``, ``fidelity``, ``subject``, ``text``, ...)
    """

    positions: np.ndarray
    spans: np.ndarray
    table: list[dict]

    frame_rate = 30.0

    def select(self, keep: list[bool]) -> Mocap:
        """The clips for which ``keep`` is true, with the same positions array."""
        indices = np.flatnonzero(keep)
        return Mocap(self.positions, self.spans[indices], [self.table[i] for i in indices])


def load_mocap(path: str | Path) -> Mocap:
    """Read a ``mocap17`` file; Pose3dError if it is missing or something else."""
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            length = archive["length"].astype(np.int64)
            root = archive["root_mm"]
            relative = archive["rel_half_mm"]
            table = json.loads(str(archive["table"]))
    except FileNotFoundError:
        raise Pose3dError(f"{path}: no such file; give the path of a mocap17 .npz file") from None
    except (
        OSError,
        EOFError,
        TypeError,  # a lone array (.npy) is no archive
        ValueError,
        KeyError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise Pose3dError(f"{path}: not a mocap17 file ({error})") from None
    if length.ndim != 1 or (length < 1).any():
        raise Pose3dError(f"{path}: damaged mocap17 file: clips without frames")
    if not isinstance(table, list) or not all(
        isinstance(row, dict) and {"source", "fidelity"} <= row.keys() for row in table
    ):
        raise Pose3dError(f"{path}: damaged mocap17 file: a clip lacks its source or fidelity")
    frames = int(length.sum())
    if root.shape != (3, frames) or relative.shape != (48, frames) or len(table) != len(length):
        raise Pose3dError(
            f"{path}: damaged mocap17 file: {frames} frames in {len(length)} clips announced, "
            f"found root {root.shape}, relative {relative.shape}, table {len(table)}"
        )
    stop = np.cumsum(length)
    spans = np.stack([stop - length, stop], axis=1)
    hip = _undo_delta(root, spans) / 1000.0
    others = hip[:, None] + _undo_delta(relative, spans).reshape(frames, 16, 3) / 2000.0
    positions = np.concatenate([hip[:, None], others], axis=1).astype(np.float32)
    return Mocap(positions, spans, table)


def _undo_delta(code: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """(channels, frames) differences to (frames, channels) values, each clip from zero."""
    total = np.cumsum(code.T.astype(np.int64), axis=0)
    before = np.zeros((len(spans), total.shape[1]), np.int64)
    before[1:] = total[spans[1:, 0] - 1]
    return (total - np.repeat(before, spans[:, 1] - spans[:, 0], axis=0)).astype(np.float64)
