"""OpenPose's ``--write_json`` folder: NAME_000000000000_keypoints.json, a file for every frame.

``people``: a list of ``pose_keypoints_2d`` (x, y, score of 25, 18 or 15 joints in a row) and, from
version 1.2 on, ``person_id`` ([-1] without ``--tracking``). A joint that was not found is 0, 0, 0.
"""

from __future__ import annotations

import re
from pathlib import Path

from lifters3d.data.clips import told
from pipeline.keypoint_files.content import Content, parse_json, triples, whole
from pipeline.keypoint_files.names import BODY_25, COCO_18, MPI_15
from pipeline.keypoint_files.people import Found, Sighting
from weights.errors import Pose3dError

# Files that are looked at: other programs' may lie in the folder, and sort first.
FIRST = 5
MODELS: dict[int, tuple[str, ...]] = {25: BODY_25, 18: COCO_18, 15: MPI_15}


def recognises(content: Content) -> bool:
    """A folder with a file of OpenPose's among its first."""
    return content.kind == "folder" and any(
        _is_frame(_read(file)) for file in content.value[:FIRST]
    )


def read(content: Content) -> Found:
    """People of all frames; the frame with the smallest number is the first."""
    numbers = _frame_numbers(content.value)
    model, sightings = 0, []
    for file in content.value:
        frame = _read(file)
        if not _is_frame(frame):
            raise Pose3dError(
                f"{file}: no frame of OpenPose: expected people, found {told(frame)}; if it is of "
                "another program, move it out of the folder"
            )
        for person in frame["people"]:
            flat = person.get("pose_keypoints_2d", person.get("pose_keypoints"))
            if not flat:
                continue  # only hands or a face were found
            joints = triples(flat, str(file))
            if len(joints) not in MODELS or len(joints) != (model or len(joints)):
                raise Pose3dError(
                    f"{file}: {len(joints)} joints a person"
                    + (f" after {model}" if model else "")
                    + "; known are OpenPose's BODY_25 (25), COCO (18) and MPI (15)"
                )
            model = len(joints)
            own = whole(person.get("person_id"))
            sightings.append(Sighting(numbers[file], own, joints[:, :2], joints[:, 2]))
    if not model:
        raise Pose3dError(f"{content.path}: OpenPose found nobody in any of its files")
    return Found(MODELS[model], sightings, frame_count=1 + max(numbers.values()))


def _read(file: Path) -> object:
    try:
        return parse_json(file.read_text("utf-8-sig"), file)
    except OSError as error:
        raise Pose3dError(f"{file}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise Pose3dError(f"{file}: not a text") from None


def _is_frame(value: object) -> bool:
    people = value.get("people") if isinstance(value, dict) else None
    return isinstance(people, list) and all(isinstance(person, dict) for person in people)


def _frame_numbers(files: list[Path]) -> dict[Path, int]:
    found = [re.search(r"(\d+)(_keypoints)?$", file.stem) for file in files]
    numbers = [int(match[1]) if match else -1 for match in found]
    if min(numbers) < 0 or len(set(numbers)) < len(files):
        return {file: index for index, file in enumerate(files)}
    return {file: n - min(numbers) for file, n in zip(files, numbers, strict=True)}
