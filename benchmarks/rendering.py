"""Output frames a second of every layout for a 1280x720 video, H.264 and decoding included.

    python -m benchmarks.rendering [--seconds 15] [--runs 3]

The clip is made of the bundled one, played back and forth and enlarged; it is processed once and
then drawn with each layout. The best of some runs counts, since other programs can only slow it
down; the processor's time a frame, all threads together, tells what two quiet cores can do.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from benchmarks.stages import make_clip
from pipeline.progress import Silence
from pipeline.rendering.video import render_video
from pipeline.result import PoseResult
from pipeline.settings import LAYOUTS, ORBITS
from pipeline.video import probe
from pose3d import estimate


def measure(
    result: PoseResult, clip: Path, target: Path, layout: str, orbit: bool
) -> tuple[float, float]:
    """Seconds, and seconds of processor time, a frame."""
    began, busy = time.perf_counter(), time.process_time()
    render_video(result, clip, target, Silence(), layout, orbit)
    frames = len(result)
    return (time.perf_counter() - began) / frames, (time.process_time() - busy) / frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores; 1280x720, {30 * arguments.seconds} frames")
    print("layout               output      frames/s   ms of processor a frame      MB")
    with tempfile.TemporaryDirectory() as name:
        clip, target = Path(name) / "clip.mp4", Path(name) / "drawn.mp4"
        make_clip(clip, arguments.seconds)
        result = estimate(clip)
        for layout in LAYOUTS:
            for orbit in (False, True) if layout in ORBITS else (False,):
                runs = [measure(result, clip, target, layout, orbit) for _ in range(arguments.runs)]
                wall, busy = min(runs)
                info, size = probe(target), target.stat().st_size / 1e6
                words = layout + (" --orbit" if orbit else "")
                print(
                    f"{words:20s} {info.width:4d}x{info.height:<4d} {1 / wall:10.1f} "
                    f"{1000 * busy:21.1f} {size:12.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
