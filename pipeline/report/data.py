"""What the report page knows of a result: small whole numbers, and what to draw of them."""

from __future__ import annotations

import base64
import zlib

import numpy as np

from lifters3d.skeleton import HEAD, HIP, JOINT_NAMES, LEFT, NOSE, PARENTS, RIGHT
from pipeline.angles import DEFINITIONS, joint_angles, joint_speeds
from pipeline.cleaning import segments
from pipeline.rendering.camera import robust_points
from pipeline.rendering.clip import Clip
from pipeline.rendering.figure3d import solids
from pipeline.rendering.palette import BACKGROUND_TOP, FLOOR, GRID, joint_colours, tint
from pipeline.result import STATUSES, PoseResult
from pipeline.world import up_direction, usual_step

MOST_POSES = 120_000  # people x frames on a page; of longer videos every nth frame is shown
SHOWN = ("knee_flexion", "hip_flexion", "elbow_flexion", "wrist", "ankle", "doubt")


def pack(values: np.ndarray, dtype: type[np.integer], finest: float) -> dict:
    """Numbers as text: rounded, differences along the last axis, zlib, base64.

    Parameters
    ----------
    values : (..., N) float, NaN where there is nothing
    dtype : a signed or unsigned whole type; its lowest or highest value stands for NaN
    finest : the step of the rounding, unless the values are too large for it

    Returns
    -------
    type, shape, step, data: ``value = step * cumulative sum along the last axis`` (the sum wraps).
    """
    info = np.iinfo(dtype)
    absent = info.min if info.min < 0 else info.max
    known = np.isfinite(values)
    largest = float(np.abs(values[known]).max(initial=0))
    step = max(finest, largest / (info.max - 1))
    whole = np.full(values.shape, absent, np.dtype(dtype).newbyteorder("<"))
    whole[known] = np.rint(values[known] / step)
    start = np.zeros((*values.shape[:-1], 1), whole.dtype)
    steps = np.diff(whole, axis=-1, prepend=start)  # wraps around
    return {
        "type": np.dtype(dtype).name,
        "shape": list(values.shape),
        "step": step,
        "data": base64.b64encode(zlib.compress(steps.tobytes())).decode(),
    }


def page_data(result: PoseResult, clip: Clip, with_2d: bool) -> dict:
    """Everything that the page draws, as JSON values.

    Parameters
    ----------
    clip : ``clip_of(result)``
    with_2d : add the 2D joints, to be drawn over the video
    """
    every = max(1, -(-len(result) * result.people // MOST_POSES))
    rows = slice(None, None, every)
    speeds = np.full((17, result.people, len(result)), np.nan)
    angles = np.full((len(DEFINITIONS), result.people, len(result)), np.nan)
    up = np.array(result.world.up) if result.world else up_direction(result.joints3d)
    positions = result.joints_camera
    for person in range(result.people):
        found = joint_angles(result.joints3d[:, person], up=up)
        angles[:, person] = np.stack([found[name] for name in DEFINITIONS])
        speeds[:, person] = joint_speeds(positions[:, person], result.time_s).T
    doubt = result.uncertainty[..., [j for j in range(17) if j != HIP]]
    some = np.isfinite(doubt).any(axis=-1)
    mean = np.full(some.shape, np.nan)
    mean[some] = np.nanmean(doubt[some], axis=-1)
    arrays = {
        "time": pack(result.time_s[rows], np.int32, 1e-6),
        "joints3d": pack(np.moveaxis(clip.joints_world[rows], 0, -1), np.int16, 1e-3),
        "opacity": pack(np.moveaxis(clip.opacity3d[rows], 0, -1), np.uint8, 1 / 254),
        "uncertainty": pack(np.moveaxis(result.uncertainty[rows], 0, -1), np.uint8, 4e-3),
        "angles": pack(angles[..., rows], np.int16, 0.1),
        "speeds": pack(speeds[..., rows], np.int16, 5e-3),
        "doubt": pack(100 * mean.T[None, ..., rows], np.int16, 0.1),
    }
    if with_2d:
        arrays["keypoints"] = pack(np.moveaxis(result.keypoints2d[rows], 0, -1), np.int16, 0.25)
    seen = np.isfinite(clip.joints_world).all(axis=(2, 3)).sum(axis=0).tolist()
    box = robust_points(clip.joints_world)
    return {
        "every": every,
        "frames": len(result),
        "step_s": usual_step(result.time_s, result.frame_rate),
        "size": list(result.picture_size),
        "people": [
            {
                "id": int(id_),
                "frames": seen[place],
                "tint": list(tint(place)),
                "colours": joint_colours(tint(place)).astype(int).tolist(),
            }
            for place, id_ in enumerate(result.ids)
        ],
        "joints": list(JOINT_NAMES),
        "parents": list(PARENTS),
        "scene": {
            "background": list(BACKGROUND_TOP),
            "floor": list(FLOOR),
            "grid": list(GRID),
            "box": np.stack([box.min(axis=0), box.max(axis=0)]).round(3).tolist(),
            **_shapes(),
        },
        "statuses": list(STATUSES),
        "spans": spans(result),
        "panels": _panels(),
        "arrays": arrays,
    }


def spans(result: PoseResult) -> list[list[tuple[float, float, int]]]:
    """For every person the stretches of one status: start and stop in seconds, its number."""
    step = usual_step(result.time_s, result.frame_rate)
    # A frame lasts until the next one.
    ends = np.append(result.time_s[1:], result.time_s[-1:] + step).round(4).tolist()
    starts = result.time_s.round(4).tolist()
    found = []
    for statuses in result.status.T:
        own = [
            (starts[start], ends[stop - 1], number)
            for number, status in enumerate(STATUSES)
            for start, stop in segments(statuses == status)
        ]
        found.append(sorted(own))
    return found


def _shapes() -> dict:
    """The rounded shapes of a figure: bones [from, to, radii], balls [joint, radius], the head."""
    pose = np.arange(17 * 3, dtype=float).reshape(17, 3)
    _, radii, owner, start = solids(pose)
    parts = list(zip(start.tolist(), owner.tolist(), radii.tolist(), strict=True))
    balls = [[to, r[0]] for begin, to, r in parts if begin == to and to != HEAD]
    return {
        "bones": [[begin, to, *r] for begin, to, r in parts if begin != to],
        "balls": balls,
        "head": [NOSE, HEAD, next(r[0] for begin, to, r in parts if begin == to == HEAD)],
    }


def _panels() -> list[dict]:
    """The curves that can be drawn, left and right in one panel; ``lines``: side to row."""
    panels: dict[str, dict] = {}
    for row, (name, text) in enumerate(DEFINITIONS.items()):
        side = {"_r": "right", "_l": "left"}.get(name[-2:], "middle")
        key = name if side == "middle" else name[:-2]
        # Zero and direction, which are the same for both sides.
        note = text.split(": ", 1)[1].removesuffix("; needs up")
        fresh = {"group": "Angles", "title": key.replace("_", " "), "unit": "\N{DEGREE SIGN}"}
        panel = panels.setdefault(key, {**fresh, "note": note, "array": "angles", "lines": {}})
        panel["lines"][side] = row
    for row, name in enumerate(JOINT_NAMES):
        side = "right" if row in RIGHT else "left" if row in LEFT else "middle"
        joint = name.lower() if side == "middle" else name[1:].lower()
        # Human3.6M's Foot is the ankle; its Hip is the middle of the pelvis.
        joint = {"foot": "ankle", "hip": "hip" if row != HIP else "pelvis"}.get(joint, joint)
        fresh = {"group": "Speeds", "title": f"{joint} speed", "unit": "m/s", "array": "speeds"}
        note = "against the camera, taken to stand still; approximate"
        panel = panels.setdefault(joint, {**fresh, "note": note, "lines": {}})
        panel["lines"][side] = row
    panels["doubt"] = {
        "group": "Other",
        "title": "uncertainty",
        "unit": "cm",
        "note": "expected error of a joint, mean of all but the hip",
        "array": "doubt",
        "lines": {"middle": 0},
    }
    for panel in panels.values():
        panel["lines"] = dict(sorted(panel["lines"].items()))  # left before right
    return [{"key": key, "shown": key in SHOWN, **panel} for key, panel in panels.items()]
