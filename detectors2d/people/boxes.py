"""People whose boxes need no network: everything in the picture, or what a file says."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from detectors2d.people.protocol import NOBODY, Found, check_images
from weights.errors import Pose3dError

# Larger numbers are neither frames nor px.
LARGEST = 1e9
COLUMNS = ("frame", "x1", "y1", "x2", "y2", "score")


class WholeFrame:
    """One person a picture, anywhere in it: its box is the picture."""

    def detect(self, images: Sequence[np.ndarray]) -> list[Found]:
        """See ``People``."""
        check_images(images)
        return [
            (np.array([[0, 0, image.shape[1], image.shape[0]]], np.float32), np.ones(1, np.float32))
            for image in images
        ]


class GivenBoxes:
    """The boxes of a file (``read_boxes``); the first picture ever given is frame 0."""

    def __init__(self, path: str | Path) -> None:
        self.boxes = read_boxes(path)
        self.frame = 0

    def detect(self, images: Sequence[np.ndarray]) -> list[Found]:
        """See ``People``; boxes may reach beyond the picture. Nobody after the file's end."""
        check_images(images)
        frames = range(self.frame, self.frame + len(images))
        self.frame += len(images)
        return [self.boxes.get(frame, NOBODY) for frame in frames]


def read_boxes(path: str | Path) -> dict[int, Found]:
    """People's boxes by frame, from a table of frame, x1, y1, x2, y2 and, if wanted, score.

    frame counts the pictures of the video from 0; x1, y1 is the upper left corner and x2, y2 the
    lower right one, in px; score is in [0, 1], 1 if there is none. Any order, any number a frame.

    ``.csv``: a line a box, columns in this order or named in the first line. ``.json``: a list of
    objects with these names, or of lists in this order. ``.npz``: an array a column, by its name.

    Raises
    ------
    Pose3dError
        with the first line, entry or array that is wrong.
    """
    path = Path(path)
    readers = {".csv": _csv_rows, ".json": _json_rows, ".npz": _npz_rows}
    if path.suffix.lower() not in readers:
        raise Pose3dError(f"{path}: boxes must be in a .csv, .json or .npz file")
    boxes: dict[int, list[list[float]]] = {}
    try:
        for where, row in readers[path.suffix.lower()](path):
            try:
                frame, *numbers = _checked(row)
            except ValueError as error:
                raise Pose3dError(f"{path}, {where}: {error}") from None
            boxes.setdefault(int(frame), []).append(numbers)
    except OSError as error:
        reason = error.strerror or "not readable"
        raise Pose3dError(f"{path}: no boxes can be read ({reason})") from None
    if not boxes:
        raise Pose3dError(f"{path}: holds no boxes")
    tables = {frame: np.array(rows, np.float32) for frame, rows in boxes.items()}
    return {frame: (table[:, :4], table[:, 4]) for frame, table in tables.items()}


def _is_number(value: object) -> bool:
    try:
        float(value)
    except (ValueError, TypeError, OverflowError):
        return False
    return not isinstance(value, bool)


def _checked(row: Sequence[object]) -> list[float]:
    """frame, x1, y1, x2, y2, score; ValueError says what is wrong."""
    if len(row) not in (5, 6):
        raise ValueError(f"{len(row)} values, not {', '.join(COLUMNS[:5])} and perhaps score")
    for name, value in zip(COLUMNS, row, strict=False):
        if not _is_number(value) or not math.isfinite(float(value)):
            raise ValueError(f"{name} is {value!r:.40}, not a number")
        if abs(float(value)) > LARGEST:
            raise ValueError(f"{name} is {float(value):g}, beyond {LARGEST:g}")
    frame, x1, y1, x2, y2, score = [float(value) for value in row] + [1.0] * (6 - len(row))
    if frame < 0 or frame != int(frame):
        raise ValueError(f"frame is {frame:g}, but frames are counted 0, 1, 2, ...")
    if not (x1 < x2 and y1 < y2):
        raise ValueError(
            f"the box {x1:g}, {y1:g}, {x2:g}, {y2:g} is empty: x2, y2 is its lower right corner, "
            "not its size"
        )
    if not 0 <= score <= 1:
        raise ValueError(f"score is {score:g}, not within 0 and 1")
    return [frame, x1, y1, x2, y2, score]


def _in_order(names: Sequence[str]) -> list[int]:
    """Where the columns are among names; ValueError if one is missing, unknown or there twice."""
    names = [name.strip().lower() for name in names]
    if sorted(names) not in (sorted(COLUMNS), sorted(COLUMNS[:5])):
        raise ValueError(
            f"the columns are {', '.join(names)}, not {', '.join(COLUMNS[:5])} and perhaps score"
        )
    return [names.index(name) for name in COLUMNS if name in names]


def _csv_rows(path: Path) -> Iterator[tuple[str, Sequence[object]]]:
    order: list[int] | None = None
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            for number, row in enumerate(reader):
                where = f"line {reader.line_num}"
                if not row:
                    continue
                if number == 0 and not any(_is_number(cell) for cell in row):
                    order = _in_order(row)
                elif order is None:
                    yield where, row
                elif len(row) != len(order):
                    raise ValueError(f"{where}: {len(row)} values under {len(order)} names")
                else:
                    yield where, [row[index] for index in order]
    except (ValueError, csv.Error) as error:  # ValueError: not UTF-8, too
        raise Pose3dError(f"{path}: not a table of boxes ({error})") from None


def _json_rows(path: Path) -> Iterator[tuple[str, Sequence[object]]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise Pose3dError(f"{path}: not a JSON file ({error})") from None
    if not isinstance(rows, list):
        raise Pose3dError(f"{path}: not a list of boxes")
    for number, row in enumerate(rows):
        where = f"entry {number}"
        if isinstance(row, dict):
            try:
                names = list(row)
                row = [row[names[index]] for index in _in_order(names)]
            except ValueError as error:
                raise Pose3dError(f"{path}, {where}: {error}") from None
        elif not isinstance(row, list):
            raise Pose3dError(f"{path}, {where}: not an object or a list")
        yield where, row


def _npz_rows(path: Path) -> Iterator[tuple[str, Sequence[object]]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            names = file.files
            columns = [file[names[index]] for index in _in_order(names)]
    except OSError:
        raise
    # A damaged archive makes numpy raise nearly anything.
    except Exception as error:
        raise Pose3dError(f"{path}: not a table of boxes ({error})") from None
    if any(column.ndim != 1 or len(column) != len(columns[0]) for column in columns):
        shapes = ", ".join(str(column.shape) for column in columns)
        raise Pose3dError(f"{path}: the columns must be (n,) arrays of one length, not {shapes}")
    for number, row in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        yield f"row {number}", row
