"""CSV for spreadsheets and NPZ for NumPy: every frame of the video at its own time, all people."""

from __future__ import annotations

import csv
import io
import json

import numpy as np

from pipeline.export.axes import ROOM
from pipeline.export.motion import File, Motion
from pipeline.version import VERSION

_COLUMNS = ("x", "y", "z", "score", "uncertainty")


def write_csv(motion: Motion) -> list[File]:
    """One row a frame and person; lines that begin with # say units and axes.

    pandas reads it with ``read_csv(path, comment="#")``. Empty cells are values that are unknown.
    """
    result = motion.result
    text = io.StringIO()
    for line in (
        f"pose3d {VERSION}: joints of people in a room, every frame of the video",
        f"axes: {ROOM.words}; estimated{'; hips held over the origin' * motion.in_place}",
        "units: time s, positions and uncertainty m, score (of the 2D joint) 0 to 1",
        f"frame_rate: {result.frame_rate} (nominal; time_s is exact)",
        f"joints: {' '.join(motion.joint_names)}",
    ):
        text.write(f"# {line}\n")
    table = csv.writer(text, lineterminator="\n")
    names = [f"{joint}_{column}" for joint in motion.joint_names for column in _COLUMNS]
    table.writerow(["frame", "time_s", "person", "status", *names])
    for frame, time in enumerate(result.time_s):
        for place, person in enumerate(result.ids):
            values = np.column_stack(
                [
                    motion.joints[frame, place],
                    result.scores2d[frame, place],
                    result.uncertainty[frame, place],
                ]
            )
            cells = ("" if np.isnan(value) else f"{value:.5f}" for value in values.ravel())
            table.writerow([frame, f"{time:.6f}", person, result.status[frame, place], *cells])
    return [File(".csv", text.getvalue().encode(), "m, z up, one row a frame and person")]


def write_npz(motion: Motion) -> list[File]:
    """The result's arrays under their names, ``joints_world``, and a header in JSON.

    Named .arrays.npz, so that it does not replace the result beside it.
    """
    result = motion.result
    header = {
        "program": f"pose3d {VERSION}",
        "frame_rate": str(result.frame_rate),
        "picture_size": result.picture_size,
        "in_place": motion.in_place,
        "units": {**result.units, "joints_world": "m"},
        "axes": {"joints3d": result.axes, "root": result.axes, "joints_world": ROOM.words},
    }
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        time_s=result.time_s,
        ids=result.ids,
        status=result.status,
        joints_world=motion.joints.astype(np.float32),
        joints3d=result.joints3d,
        root=result.root,
        keypoints2d=result.keypoints2d,
        scores2d=result.scores2d,
        uncertainty=result.uncertainty,
        joint_names=np.array(result.joint_names),
        parents=np.array(result.parents),
        header=np.array(json.dumps(header)),
    )
    note = "NumPy arrays in metres, joints_world with z up; header is JSON"
    return [File(".arrays.npz", buffer.getvalue(), note)]
