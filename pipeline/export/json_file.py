"""JSON: everything that a result holds, frame by frame, as ``schema.json`` describes it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from pipeline.export.axes import ROOM
from pipeline.export.motion import File, Motion
from pipeline.version import VERSION

FORMAT, FORMAT_VERSION = "pose3d-poses", 1
SCHEMA = Path(__file__).with_name("schema.json")
# Decimals: a tenth of a millimetre, a hundredth of a pixel.
_DECIMALS = {
    "joints3d": 4,
    "root": 4,
    "joints_world": 4,
    "keypoints2d": 2,
    "scores2d": 3,
    "uncertainty": 4,
}


def schema() -> str:
    """The JSON Schema (draft 2020-12) of what `write_json` writes."""
    return SCHEMA.read_text(encoding="utf-8")


def write_json(motion: Motion) -> list[File]:
    """One file with all people; a line a frame, so that it can be read in pieces."""
    result = motion.result
    header = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "program": f"pose3d {VERSION}",
        "frame_rate": f"{result.frame_rate.numerator}/{result.frame_rate.denominator}",
        "picture_size": result.picture_size,
        "joint_names": result.joint_names,
        "parents": result.parents,
        "units": {**result.units, "joints_world": "m"},
        "axes": {
            "keypoints2d": "x right, y down, from the picture's upper left corner",
            "joints3d": "x right, y down, z away from the camera; from the person's hip",
            "root": "x right, y down, z away; from the camera; approximate",
            "joints_world": f"{ROOM.words}; estimated",
        },
        "in_place": motion.in_place,
        "ids": result.ids.tolist(),
        "warnings": result.warnings,
        "provenance": result.provenance,
    }
    arrays = {name: getattr(result, name) for name in _DECIMALS if name != "joints_world"}
    arrays["joints_world"] = motion.joints
    frames = (_line(motion, arrays, frame) for frame in range(len(result)))
    head = json.dumps(header, ensure_ascii=False, allow_nan=False)[:-1]
    text = f'{head}, "frames": [\n' + ",\n".join(frames) + "\n]}\n"
    return [File(".json", text.encode(), "m and px, every frame; pose3d schema describes it")]


def _line(motion: Motion, arrays: dict[str, np.ndarray], frame: int) -> str:
    result = motion.result
    people = []
    for place, person in enumerate(result.ids.tolist()):
        told = {"id": person, "status": str(result.status[frame, place])}
        for name, decimals in _DECIMALS.items():
            values = arrays[name][frame, place]
            if np.isfinite(values).any():
                told[name] = _rounded(values, decimals)
        people.append(told)
    line = {"time_s": round(float(result.time_s[frame]), 6), "people": people}
    return json.dumps(line, allow_nan=False, separators=(",", ":"))


def _rounded(values: np.ndarray, decimals: int) -> list:
    """Numbers, or points of which each is whole or null."""
    rounded = np.round(values.astype(np.float64), decimals)
    if rounded.ndim == 1:
        return [value if np.isfinite(value) else None for value in rounded.tolist()]
    whole = np.isfinite(rounded).all(axis=-1)
    return [point if there else None for point, there in zip(rounded.tolist(), whole, strict=True)]
