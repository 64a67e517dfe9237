"""Our own file of 2D keypoints, which ``pose3d detect`` writes: ``keypoints.json``.

A JSON object (version 1)::

    {"format": "pose3d-keypoints", "version": 1,
     "joint_names": ["nose", "left_eye", ...],   J names; any of which `names.canonical` knows
     "size": [1920, 1080],                       width and height of the pictures, px
     "frame_rate": "30000/1001",                 frames a second, exact
     "frames": [                                 every frame of the video, in order
       {"time_s": 0.0,                           optional; then in every frame
        "people": [
          {"id": 1,                              the same person in all frames
           "keypoints": [[312.5, 96.25], ..., null],   J pairs, px; null: not found
           "scores": [0.97, ..., 0]}]},          J numbers from 0 (not found) to 1
       ...]}

Coordinates count from the upper left corner, y down.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from lifters3d.data.clips import told
from pipeline.keypoint_files.content import Content, numbers, whole
from pipeline.keypoint_files.people import Found, Sighting
from weights.errors import Pose3dError
from weights.files import write_file

FORMAT, VERSION = "pose3d-keypoints", 1


def recognises(content: Content) -> bool:
    """It says so."""
    return (
        content.kind == "json"
        and isinstance(content.value, dict)
        and content.value.get("format") == FORMAT
    )


def read(content: Content) -> Found:
    """People of all frames, with everything that the file says of the video."""
    where, value = str(content.path), content.value
    if value.get("version") != VERSION:
        raise Pose3dError(
            f"{where}: version {told(value.get('version'))} of {FORMAT}, this program reads "
            f"{VERSION}; detect again"
        )
    names, frames, size = value.get("joint_names"), value.get("frames"), value.get("size")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Pose3dError(f"{where}: joint_names should be a list of names, found {told(names)}")
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise Pose3dError(f"{where}: frames should be a list of objects, found {told(frames)}")
    sides = [whole(side) for side in size] if isinstance(size, list) else []
    if len(sides) != 2 or not all(sides):
        raise Pose3dError(f"{where}: size should be [width, height] in px, found {told(size)}")
    sightings = []
    for index, frame in enumerate(frames):
        for person in frame.get("people") or ():
            sightings.append(_sighting(index, person, len(names), f"{where}: frame {index}"))
    return Found(
        names=tuple(names),
        sightings=sightings,
        size=(sides[0], sides[1]),
        frame_rate=_rate(value.get("frame_rate"), where),
        time_s=_times([frame.get("time_s") for frame in frames], where),
        frame_count=len(frames),
    )


def write(
    path: Path,
    names: Sequence[str],
    people: Mapping[int, tuple[np.ndarray, np.ndarray]],
    time_s: np.ndarray,
    size: tuple[int, int],
    frame_rate: Fraction,
) -> None:
    """Write people's keypoints, exact to the last bit of float32.

    Parameters
    ----------
    names : of the J joints
    people : by id, keypoints (F, J, 2) float32 px, NaN where not found, and scores (F, J) float32
        in [0, 1]
    time_s : (F,) seconds
    size : width and height of the pictures, px
    frame_rate : frames/s

    Raises
    ------
    Pose3dError
        If the file cannot be written.
    """
    head = {
        "format": FORMAT,
        "version": VERSION,
        "joint_names": list(names),
        "size": list(size),
        "frame_rate": str(Fraction(frame_rate)),
    }
    lines = []
    for index, time in enumerate(time_s):
        seen = [
            {"id": number, **_written(keypoints[index], scores[index])}
            for number, (keypoints, scores) in people.items()
            if np.isfinite(keypoints[index]).all(axis=-1).any()
        ]
        lines.append(json.dumps({"time_s": float(time), "people": seen}))
    # A line for every frame.
    text = json.dumps(head)[:-1] + ', "frames": [\n' + ",\n".join(lines) + "\n]}\n"
    write_file(path, text.encode())


def _written(keypoints: np.ndarray, scores: np.ndarray) -> dict[str, list]:
    there = np.isfinite(keypoints).all(axis=-1)
    pairs = [list(map(_short, p)) if t else None for p, t in zip(keypoints, there, strict=True)]
    marks = [_short(mark) if t else 0 for mark, t in zip(scores, there, strict=True)]
    return {"keypoints": pairs, "scores": marks}


def _short(value: np.float32) -> float:
    """The shortest decimal number that float32 reads back as the same."""
    return float(str(np.float32(value)))


def _sighting(index: int, person: object, joints: int, where: str) -> Sighting:
    if not isinstance(person, dict) or not isinstance(person.get("keypoints"), list):
        raise Pose3dError(f"{where}: a person without keypoints: {told(person)}")
    pairs = [[None, None] if pair is None else pair for pair in person["keypoints"]]
    points = numbers(pairs, where)
    scores = numbers(person.get("scores", [1] * joints), where)
    if points.shape != (joints, 2) or scores.shape != (joints,):
        raise Pose3dError(
            f"{where}: expected {joints} keypoints (x, y) and as many scores, found {points.shape} "
            f"and {scores.shape}"
        )
    return Sighting(index, whole(person.get("id")), points, scores)


def _rate(value: object, where: str) -> Fraction:
    try:
        rate = Fraction(str(value)).limit_denominator(1_000_000)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 10_000:
        raise Pose3dError(
            f'{where}: frame_rate should be frames a second such as 25 or "30000/1001", found '
            f"{told(value)}"
        )
    return rate


def _times(values: list, where: str) -> np.ndarray | None:
    if not values or all(value is None for value in values):
        return None
    times = numbers(values, where)
    if times.ndim != 1 or not np.isfinite(times).all() or (np.diff(times) < 0).any():
        raise Pose3dError(f"{where}: time_s should be in every frame, and never decrease")
    return times
