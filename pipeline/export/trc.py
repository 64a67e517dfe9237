"""TRC: OpenSim's text file of marker positions. Metres, OpenSim's axes, one person a file.

The header names units, rates and markers; it has no place for axes. A gap is an empty cell, which
OpenSim 4 reads as "not there".
"""

from __future__ import annotations

import numpy as np

from pipeline.export.axes import OPENSIM
from pipeline.export.motion import File, Motion

_HEADER = (
    "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\t"
    "OrigNumFrames"
)


def write_trc(motion: Motion) -> list[File]:
    """One file for everybody seen, at the nominal frame rate, in the video's time."""
    names, times = motion.joint_names, motion.even_times
    rate = f"{motion.rate:.9g}"
    files = []
    for place, suffix in motion.each("trc"):
        positions = OPENSIM.turn(motion.even_joints[:, place])
        lines = [
            f"PathFileType\t4\t(X/Y/Z)\t{motion.name}{suffix}",
            _HEADER,
            f"{rate}\t{rate}\t{len(times)}\t{len(names)}\tm\t{rate}\t1\t{len(times)}",
            "\t".join(["Frame#", "Time", *(f"{name}\t\t" for name in names)]),
            "\t\t" + "\t".join(f"X{n}\tY{n}\tZ{n}" for n in range(1, len(names) + 1)),
            "",
        ]
        for number, (time, pose) in enumerate(zip(times, positions, strict=True), 1):
            cells = ("" if np.isnan(value) else f"{value:.6f}" for value in pose.ravel())
            lines.append("\t".join([str(number), f"{time:.6f}", *cells]))
        gaps = int(np.isnan(positions).any(axis=(1, 2)).sum())
        note = f"m, OpenSim's axes ({OPENSIM.words}), {motion.rate_note}"
        note += f", {gaps} frames with empty cells" if gaps else ""
        files.append(File(suffix, ("\n".join(lines) + "\n").encode(), note))
    return files
