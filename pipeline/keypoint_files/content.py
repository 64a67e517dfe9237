"""What a file is made of (JSON, CSV, npz, a folder), before anybody asks what it means."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weights.errors import Pose3dError

_MAGIC = {
    b"\x89HDF": "an HDF5 file (of DeepLabCut? give its .csv)",
    b"%YAM": "a YAML file; give OpenPose's --write_json folder",
    b"\x80": "a pickle, which is not read because it could run code; write JSON, CSV or .npz",
    b"\x93NUM": "a plain array; pose3d.lift lifts arrays in Python",
}


@dataclass(frozen=True)
class Content:
    """A file that has been read, but not understood.

    kind : "json", "csv", "npz" or "folder"
    value : the JSON value; rows of cells; names of the entries; paths of the .json files in order
    """

    path: Path
    kind: str
    value: object


def load(path: str | Path) -> Content:
    """Read a file (of an .npz the names only), or list a folder.

    Raises Pose3dError if it is missing, damaged, or none of these.
    """
    path = Path(path)
    try:
        if path.is_dir():
            files = [file for file in path.iterdir() if file.suffix.lower() == ".json"]
            if not files:
                raise Pose3dError(f"{path}: a folder without .json files, so not OpenPose's")
            return Content(path, "folder", sorted(files, key=natural))
        if not path.is_file():
            what = "neither a file nor a folder" if path.exists() else "no such file or folder"
            raise Pose3dError(f"{path}: {what}")
        raw = path.read_bytes()
    except OSError as error:
        raise Pose3dError(f"{path}: cannot be read ({error.strerror})") from None
    if not raw.strip():
        raise Pose3dError(f"{path}: empty")
    if raw.startswith(b"PK"):
        try:
            with zipfile.ZipFile(path) as archive:
                names = [name.removesuffix(".npy") for name in archive.namelist()]
        except (zipfile.BadZipFile, OSError):
            raise Pose3dError(f"{path}: an archive that is damaged or not complete") from None
        return Content(path, "npz", names)
    for magic, what in _MAGIC.items():
        if raw.startswith(magic):
            raise Pose3dError(f"{path}: {what}")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Pose3dError(
            f"{path}: neither text nor .npz; keypoints come as JSON, CSV, .npz or OpenPose's folder"
        ) from None
    if text.lstrip()[0] in "{[":
        return Content(path, "json", parse_json(text, path))
    try:
        return Content(path, "csv", [row for row in csv.reader(io.StringIO(text)) if row])
    except csv.Error as error:
        raise Pose3dError(f"{path}: neither JSON nor CSV ({error})") from None


def parse_json(text: str, path: Path) -> object:
    """The value of a JSON text; Pose3dError with the place if it is none."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise Pose3dError(
            f"{path}: JSON that is damaged or cut off at line {error.lineno}, column {error.colno} "
            f"({error.msg})"
        ) from None
    except (RecursionError, ValueError):
        raise Pose3dError(f"{path}: JSON that no program of the field wrote") from None


def natural(path: Path) -> list:
    """Key that sorts frame_9 before frame_10."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def numbers(value: object, where: str) -> np.ndarray:
    """An array of what should be numbers; null is NaN. Pose3dError, saying where, if it is not."""
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise Pose3dError(f"{where}: expected numbers") from None


def triples(value: object, where: str) -> np.ndarray:
    """(J, 3) of a flat list x, y, score, x, y, score, ..."""
    flat = numbers(value, where)
    if flat.ndim != 1 or not len(flat) or len(flat) % 3:
        raise Pose3dError(f"{where}: expected x, y, score, x, y, score, ..., found {flat.shape}")
    return flat.reshape(-1, 3)


def table(rows: list[list[str]], columns: list[int], where: str) -> np.ndarray:
    """(rows, columns) numbers of a CSV; an empty cell is NaN."""
    try:
        cells = [[row[column].strip() or "nan" for column in columns] for row in rows]
        return np.array(cells, np.float64).reshape(len(rows), len(columns))
    except IndexError:
        raise Pose3dError(f"{where}: rows of different lengths; is the file complete?") from None
    except ValueError as error:
        raise Pose3dError(f"{where}: a cell is no number ({error})") from None


def whole(value: object) -> int | None:
    """An int of 0 or more that a file gives as a number, perhaps in a list of one; else None."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value < 2**53 and value == int(value) else None
