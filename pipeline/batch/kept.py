"""The first pass over a video, kept: lifting it in another way needs no decoding."""

from __future__ import annotations

import io
import json
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from weights.errors import Pose3dError

if TYPE_CHECKING:
    from pipeline.sightings import Detections, Sightings

FORMAT, VERSION = "pose3d-detections", 1


def save_detections(path: Path, found: Detections, made_of: dict) -> None:
    """Write what the first pass found, exactly, and what it was made of, as .npz.

    Raises Pose3dError if the file cannot be written.
    """
    header = {
        "format": FORMAT,
        "version": VERSION,
        "made_of": made_of,
        "size": list(found.size),
        "frame_rate": str(found.frame_rate),
        "weights": found.weights,
        "warnings": found.warnings,
    }
    arrays = {
        "header": np.frombuffer(json.dumps(header).encode(), np.uint8),
        "time_s": found.time_s,
        "ids": np.array([person.id for person in found.people]),
        "keypoints": np.stack([person.keypoints for person in found.people], axis=1),
        "scores": np.stack([person.scores for person in found.people], axis=1),
    }
    try:
        np.savez_compressed(path, **arrays)
    except OSError as error:
        raise Pose3dError(f"{path}: cannot be written ({error.strerror})") from None


def made_of(path: Path) -> dict | None:
    """What a kept first pass was made of; None if there is none, or none that can be read."""
    try:
        # In memory, because it may be in a store.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            return _header(file)["made_of"]
    except Exception:  # a damaged zip fails in a dozen ways
        return None


def load_detections(path: Path, wanted: dict) -> Detections | None:
    """A kept first pass; None if it is damaged, not there, or not made of what is wanted."""
    from pipeline.sightings import Detections, Person

    try:
        with np.load(path, allow_pickle=False) as file:
            header = _header(file)
            if header["made_of"] != wanted:
                return None
            people = zip(
                file["ids"].tolist(),
                np.moveaxis(file["keypoints"], 1, 0),
                np.moveaxis(file["scores"], 1, 0),
                strict=True,
            )
            return Detections(
                time_s=file["time_s"],
                people=[
                    Person(number, np.ascontiguousarray(keypoints), np.ascontiguousarray(scores))
                    for number, keypoints, scores in people
                ],
                size=tuple(header["size"]),
                frame_rate=Fraction(header["frame_rate"]),
                weights=header["weights"],
                warnings=header["warnings"],
            )
    except Exception:  # a damaged zip fails in a dozen ways
        return None


def save_sightings(path: Path, seen: Sightings) -> None:
    """Write what was seen in a segment, exactly, as .npz; Pose3dError if that fails."""
    from pipeline.sightings import ARRAYS

    header = {
        "began_s": seen.began_s,
        "ended_s": seen.ended_s,
        "size": seen.size,
        "frame_rate": str(seen.frame_rate),
        "weights": seen.weights,
        "warnings": seen.warnings,
    }
    arrays = {name: getattr(seen, name) for name in ARRAYS}
    try:
        np.savez(path, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)
    except OSError as error:
        raise Pose3dError(f"{path}: cannot be written ({error.strerror})") from None


def load_sightings(path: Path) -> Sightings | None:
    """What was seen in a segment; None if the file is damaged or not there."""
    from pipeline.sightings import ARRAYS, Sightings

    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(bytes(file["header"]))
            header["began_s"] = tuple(header["began_s"])
            header["size"] = tuple(header["size"])
            header["frame_rate"] = Fraction(header["frame_rate"])
            return Sightings(**{name: file[name] for name in ARRAYS}, **header)
    except Exception:  # a damaged zip fails in a dozen ways
        return None


def _header(file: np.lib.npyio.NpzFile) -> dict:
    header = json.loads(bytes(file["header"]))
    if (header["format"], header["version"]) != (FORMAT, VERSION):
        raise ValueError("another format")
    return header
