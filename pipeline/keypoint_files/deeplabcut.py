"""DeepLabCut's CSV of an analysed video, whose body parts are known by their names.

Three rows on top: ``scorer``, ``bodyparts``, ``coords`` (x, y, likelihood); of a multi-animal
project four, with ``individuals`` in the second. Then a row for every frame, its number first.
Names may be spelt as anybody would (``left_wrist``, ``LWrist``, ``wrist.l``); ``wrist1`` is the
right, ``wrist2`` the left one, as in DeepLabCut's own human models.
"""

from __future__ import annotations

import re

import numpy as np

from pipeline.keypoint_files.content import Content, table
from pipeline.keypoint_files.names import canonical
from pipeline.keypoint_files.people import Found, Sighting
from weights.errors import Pose3dError

_HEADERS = (["scorer", "bodyparts", "coords"], ["scorer", "individuals", "bodyparts", "coords"])


def recognises(content: Content) -> bool:
    """The first cells of the rows on top."""
    return content.kind == "csv" and _header_rows(content.value) > 0


def read(content: Content) -> Found:
    """Every individual is a person; ``single``, DeepLabCut's name for loose body parts, is none."""
    where, count = str(content.path), _header_rows(content.value)
    header, rows = content.value[:count], content.value[count:]
    labels = [[cell.strip() for cell in row] for row in header]
    if "z" in labels[-1]:
        raise Pose3dError(f"{where}: keypoints in 3D; give the CSV of one camera")
    if not rows or not all(re.fullmatch(r"\d+(\.0+)?", row[0].strip()) for row in rows):
        raise Pose3dError(
            f"{where}: expected a row for every frame, its number first (of an analysed video, "
            "not labelled pictures)"
        )
    frames = table(rows, [0], where)[:, 0].astype(int)
    people = labels[1] if count == 4 else ["person"] * len(labels[0])
    columns: dict[tuple[str, str, str], int] = {}
    for column in range(1, min(map(len, labels))):
        key = people[column], labels[-2][column], labels[-1][column]
        columns.setdefault(key, column)
    individuals = list(dict.fromkeys(key[0] for key in columns if key[0] != "single"))
    names = tuple(dict.fromkeys(key[1] for key in columns if key[0] != "single"))
    sightings = []
    for number, individual in enumerate(individuals, 1):
        marks = np.full((len(rows), len(names), 3), np.nan)
        for place, name in enumerate(names):
            for axis, coord in enumerate(("x", "y", "likelihood")):
                if (column := columns.get((individual, name, coord))) is not None:
                    marks[:, place, axis] = table(rows, [column], where)[:, 0]
                elif coord == "likelihood":
                    marks[:, place, axis] = 1
        for frame, mark in zip(frames.tolist(), marks, strict=True):
            sightings.append(Sighting(frame, number, mark[:, :2], mark[:, 2]))
    numbered = [name for name in names if re.search(r"[12]$", name) and canonical(name)]
    warning = f"{', '.join(numbered[:2])}, ...: 1 is taken for the right side, 2 for the left"
    count = 1 + int(frames.max())
    return Found(names, sightings, frame_count=count, warnings=[warning] if numbered else [])


def _header_rows(rows: list[list[str]]) -> int:
    """3 or 4; 0 if the rows on top are others."""
    first = [row[0].strip() for row in rows[:4]]
    return next((len(names) for names in _HEADERS if first[: len(names)] == names), 0)
