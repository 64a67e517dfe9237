"""C3D: the biomechanists' binary file of marker positions. Millimetres, z up, all people.

Written with ezc3d (an extra). Every joint is a point; where a person is absent its residual is -1,
which is the format's mark for "not there". Of several people the labels begin with "P<id>:".
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from pipeline.export.axes import ROOM
from pipeline.export.motion import File, Motion
from pipeline.version import VERSION
from weights.errors import Pose3dError

MM = 1000
MOST_FRAMES = 65535  # the header counts them in 16 bits


def write_c3d(motion: Motion) -> list[File]:
    """One file with everybody seen, at the nominal frame rate."""
    try:
        import ezc3d
    except ImportError:
        raise Pose3dError('c3d needs ezc3d; pip install "pose3d[export]" brings it') from None
    frames, people = len(motion.even_times), motion.seen
    if frames > MOST_FRAMES:
        raise Pose3dError(
            f"a c3d file holds {MOST_FRAMES} frames, these are {frames}; export trc, or process "
            "a part of the video (--start, --end)"
        )
    several = len(people) > 1
    prefixes = [f"P{motion.result.ids[place]}:" if several else "" for place in people]
    labels = [prefix + name for prefix in prefixes for name in motion.joint_names]
    positions = MM * ROOM.turn(motion.even_joints[:, people]).reshape(frames, -1, 3)
    absent = np.isnan(positions).any(axis=-1)

    file = ezc3d.c3d()
    point = file["parameters"]["POINT"]
    point["RATE"]["value"] = [motion.rate]
    point["UNITS"]["value"] = ["mm"]
    # The first 255; the writer carries on in LABELS2, as the format wants it.
    point["LABELS"]["value"] = labels
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Z"])
    file.add_parameter("MANUFACTURER", "SOFTWARE", ["pose3d"])
    file.add_parameter("MANUFACTURER", "VERSION_LABEL", [VERSION])
    file.add_parameter("POSE3D", "AXES", [ROOM.words])
    file.add_parameter("POSE3D", "START_TIME_S", [float(motion.even_times[0])])
    if several:
        file.add_parameter("SUBJECTS", "USED", [len(people)])
        file.add_parameter("SUBJECTS", "USES_PREFIXES", [1])
        file.add_parameter("SUBJECTS", "NAMES", [prefix.rstrip(":") for prefix in prefixes])
        file.add_parameter("SUBJECTS", "LABEL_PREFIXES", prefixes)
    file["data"]["points"] = np.concatenate(
        [positions.transpose(2, 1, 0), np.ones((1, len(labels), frames))]
    )
    file["data"]["meta_points"]["residuals"] = np.where(absent.T, -1.0, 0.0)[None]
    note = f"mm, z up, {motion.rate_note}"
    if absent.any():
        note += f", {int(absent.any(axis=1).sum())} frames with absent points (residual -1)"
    return [File(".c3d", _bytes(file), note)]


def _bytes(file: object) -> bytes:
    """What ezc3d writes, which it does to a file only."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "points.c3d"
        file.write(str(path))
        return path.read_bytes()
