"""MOT: OpenSim's text file of motions, here of joint angles. One person a file.

The angles are those of `pipeline.angles`, defined in the header, in degrees. pelvis_tx, pelvis_ty
and pelvis_tz are the path of the hip in metres, in OpenSim's axes. Frames without the person are
left out, which the time column tells: OpenSim's tools cannot calculate with empty values.
"""

from __future__ import annotations

import numpy as np

from pipeline.angles import DEFINITIONS, joint_angles
from pipeline.export.axes import OPENSIM
from pipeline.export.motion import File, Motion

_UP = np.array([0.0, 1.0, 0.0])


def write_mot(motion: Motion) -> list[File]:
    """One file for everybody seen, at the nominal frame rate, in the video's time."""
    files = []
    for place, suffix in motion.each("mot"):
        joints = OPENSIM.turn(motion.even_joints[:, place])
        whole = np.isfinite(joints).all(axis=(1, 2))
        angles = joint_angles(joints, up=_UP)
        columns = {
            "time": motion.even_times,
            **angles,
            **{f"pelvis_t{axis}": joints[:, 0, n] for n, axis in enumerate("xyz")},
        }
        table = np.stack(list(columns.values()), axis=1)[whole]
        lines = [
            f"{motion.name}{suffix}",
            "version=1",
            f"nRows={len(table)}",
            f"nColumns={len(columns)}",
            "inDegrees=yes",
            "",
            f"Angles in degrees, pelvis_t in metres; {OPENSIM.words}; {motion.rate_note}.",
            *(f"{name}: {DEFINITIONS[name]}" for name in angles),
            "endheader",
            "\t".join(columns),
            *("\t".join(f"{value:.6f}" for value in row) for row in table),
        ]
        note = f"{len(angles)} angles in degrees, defined in the header, {motion.rate_note}"
        left_out = len(whole) - len(table)
        note += f", {left_out} frames without the person left out" if left_out else ""
        files.append(File(suffix, ("\n".join(lines) + "\n").encode(), note))
    return files
