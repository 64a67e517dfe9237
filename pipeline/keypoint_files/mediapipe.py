"""MediaPipe's 33 pose landmarks as people save them; parts of the picture's size, from 0 to 1.

MediaPipe itself defines no file. Read are:

JSON: a list (or ``{"frames": list}``) with an entry for every frame: a list of 33
``{"x", "y", "visibility"}``, or a dict that has it as ``landmarks`` or ``pose_landmarks``; null or
an empty list where nobody was found. ``pose_landmarks`` may be a list of such lists, of several
people, as in the results of MediaPipe Tasks.

CSV with a row for every frame: a column ``AXIS`` of every landmark, named ``x0``, ``x_0``,
``landmark_0_x``, ``0_x``, ``NOSE_x`` or ``nose.x`` (and so on; from 0 to 32, or from 1 to 33).
CSV with a row for every landmark: columns ``frame`` and ``landmark`` (numbers from 0, or names),
``x`` and ``y``. AXIS is x, y, and v, vis, visibility or presence (without it all are seen); other
columns are not looked at. ``frame`` (``frame_id``, ``frame_number``, ...) counts frames, without it
the rows do.
"""

from __future__ import annotations

import re

import numpy as np

from detectors2d.mediapipe import BLAZEPOSE_NAMES
from pipeline.keypoint_files.content import Content, numbers, table
from pipeline.keypoint_files.people import Found, Sighting
from weights.errors import Pose3dError

COUNT = len(BLAZEPOSE_NAMES)
_VISIBILITY = ("v", "vis", "visibility", "presence")
_AXIS = r"(x|y|v|vis|visibility|presence)"
_COLUMN = re.compile(rf"{_AXIS}_?(\d+)|(?:landmark_?)?([a-z_]+|\d+)[_.]{_AXIS}")
_FRAME = re.compile(r"frame(_?(id|no|number|num|idx|index))?")
_LANDMARK = re.compile(r"landmark(_?(id|no|name|idx|index))?")


def recognises(content: Content) -> bool:
    """Entries of landmarks with x and y, or columns of 33 landmarks."""
    if content.kind == "csv":
        header = _header(content)
        return _is_long(header) or len(_columns(header)) >= 11
    if content.kind != "json" or not isinstance(_entries(content.value), list):
        return False
    people = [_people(entry) for entry in _entries(content.value)[:1000]]
    first = next((person for listed in people for person in listed), None)
    mark = first[0] if isinstance(first, list) else None
    return isinstance(mark, dict) and {"x", "y"} <= mark.keys()


def read(content: Content) -> Found:
    """People of all frames, px / the picture's size."""
    if content.kind == "csv":
        return _read_long(content) if _is_long(_header(content)) else _read_wide(content)
    entries, sightings = _entries(content.value), []
    for frame, entry in enumerate(entries):
        for person in _people(entry):
            where = f"{content.path}: frame {frame}"
            if len(person) != COUNT or not all(isinstance(mark, dict) for mark in person):
                raise Pose3dError(f"{where}: {len(person)} landmarks, not MediaPipe's {COUNT}")
            marks = [[mark.get("x"), mark.get("y"), mark.get("visibility", 1)] for mark in person]
            marks = numbers(marks, where)
            sightings.append(Sighting(frame, None, marks[:, :2], marks[:, 2]))
    return Found(BLAZEPOSE_NAMES, sightings, frame_count=len(entries))


def _entries(value: object) -> object:
    return value.get("frames") if isinstance(value, dict) else value


def _people(entry: object) -> list[list]:
    """The people of a frame: lists of landmarks."""
    if isinstance(entry, dict):
        entry = entry.get("landmarks", entry.get("pose_landmarks"))
    if not isinstance(entry, list) or not entry:
        return []
    return [person for person in entry if person] if isinstance(entry[0], list) else [entry]


def _header(content: Content) -> list[str]:
    return [cell.strip().lower() for cell in content.value[0]]


def _is_long(header: list[str]) -> bool:
    return {"x", "y"} <= set(header) and _column(header, _LANDMARK) is not None


def _column(header: list[str], pattern: re.Pattern) -> int | None:
    """The first column whose whole name fits."""
    return next((index for index, name in enumerate(header) if pattern.fullmatch(name)), None)


def _columns(header: list[str]) -> dict[str, dict[str, int]]:
    """Landmark -> axis ("x", "y", "v") -> column."""
    found: dict[str, dict[str, int]] = {}
    for index, name in enumerate(header):
        if match := _COLUMN.fullmatch(name):
            axis, key = match[1] or match[4], match[2] or match[3]
            key = str(int(key)) if key.isdecimal() else key
            found.setdefault(key, {})["v" if axis in _VISIBILITY else axis] = index
    return {key: axes for key, axes in found.items() if {"x", "y"} <= axes.keys()}


def _landmarks(keys: list[str], where: str) -> list[int]:
    """Which of the 33 landmarks each key is."""
    if set(keys) <= set(BLAZEPOSE_NAMES):
        return [BLAZEPOSE_NAMES.index(key) for key in keys]
    found = [int(key) if key.isdecimal() else -1 for key in keys]
    if sorted(found) == list(range(1, COUNT + 1)):
        return [number - 1 for number in found]
    if min(found) < 0 or max(found) >= COUNT:
        raise Pose3dError(f"{where}: its landmarks are not MediaPipe's {COUNT} of the pose")
    return found


def _read_wide(content: Content) -> Found:
    where, (_, *rows), header = str(content.path), content.value, _header(content)
    columns = _columns(header)
    if len(columns) != COUNT:
        raise Pose3dError(f"{where}: columns of {len(columns)} landmarks, not MediaPipe's {COUNT}")
    points, scores = np.empty((len(rows), COUNT, 2)), np.ones((len(rows), COUNT))
    for axes, landmark in zip(columns.values(), _landmarks(list(columns), where), strict=True):
        points[:, landmark] = table(rows, [axes["x"], axes["y"]], where)
        if "v" in axes:
            scores[:, landmark] = table(rows, [axes["v"]], where)[:, 0]
    return _found(_frames(rows, header, where), points, scores, where)


def _read_long(content: Content) -> Found:
    where, (_, *rows), header = str(content.path), content.value, _header(content)
    landmark = _column(header, _LANDMARK)
    keys = [row[landmark].strip().lower() if len(row) > landmark else "" for row in rows]
    kinds = sorted(set(keys))
    place = dict(zip(kinds, _landmarks(kinds, where), strict=True)) if kinds else {}
    if _column(header, _FRAME) is None:
        raise Pose3dError(f"{where}: a row for every landmark, but no column that counts frames")
    frames, rank = np.unique(_frames(rows, header, where), return_inverse=True)
    marks = table(rows, [header.index("x"), header.index("y")], where)
    seen = next((header.index(name) for name in _VISIBILITY if name in header), None)
    scores = np.ones(len(rows)) if seen is None else table(rows, [seen], where)[:, 0]
    points = np.full((len(frames), COUNT, 2), np.nan)
    scored = np.zeros((len(frames), COUNT))
    columns = [place[key] for key in keys]
    points[rank, columns], scored[rank, columns] = marks, scores
    return _found(frames, points, scored, where)


def _frames(rows: list[list[str]], header: list[str], where: str) -> np.ndarray:
    """(rows,) number of each row's frame."""
    column = _column(header, _FRAME)
    if column is None:
        return np.arange(len(rows))
    counted = table(rows, [column], where)[:, 0]
    # Beyond 2**53 a float64 counts nothing; infinity is its own floor.
    if not ((counted == np.floor(counted)) & (counted >= 0) & (counted < 2**53)).all():
        raise Pose3dError(f"{where}: column {header[column]} should count frames")
    return counted.astype(int)


def _found(frames: np.ndarray, points: np.ndarray, scores: np.ndarray, where: str) -> Found:
    if not len(frames):
        raise Pose3dError(f"{where}: a header without rows")
    if len(set(frames.tolist())) < len(frames):
        raise Pose3dError(f"{where}: several rows of one frame; only one person is read from CSV")
    start = int(frames.min() == 1)  # some count from 1
    sightings = [
        Sighting(frame - start, 1, *marks)
        for frame, *marks in zip(frames.tolist(), points, scores, strict=True)
    ]
    return Found(BLAZEPOSE_NAMES, sightings)
