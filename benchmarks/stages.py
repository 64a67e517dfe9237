"""Seconds a stage and peak memory of ``pose3d video`` on 1280x720 clips of two lengths.

    python -m benchmarks.stages [--seconds 10 100]

The clips are made of the bundled one, played back and forth and enlarged. Each is processed by the
command in a process of its own; the peak is the kernel's figure of that process's resident memory.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import cv2
import torch

from pipeline.video import VideoReader, VideoWriter

CLIP = Path(__file__).parent.parent / "demos" / "walk.mp4"
SIZE = (1280, 720)
STAGE = re.compile(r"^(.+?)\s+(\d+) frames in ([\d.]+) s", re.MULTILINE)


def make_clip(path: Path, seconds: int) -> None:
    """A 720p clip at 30 frames/s of the given length."""
    count = 30 * seconds
    written = 0
    with VideoWriter(path, *SIZE, Fraction(30)) as writer:
        frames = [frame.image for frame in VideoReader(CLIP)]
        cycle = frames + frames[-2:0:-1]
        while written < count:
            image = cv2.resize(cycle[written % len(cycle)], SIZE, interpolation=cv2.INTER_LINEAR)
            writer.write(image, written / 30)
            written += 1


def measure(path: Path, folder: Path) -> tuple[dict[str, tuple[int, float]], float]:
    """Frames and seconds of each stage, and the peak memory in MB."""
    command = [sys.executable, "-m", "pose3d", "video", str(path), "-o", str(folder)]
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(command, stderr=log, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        log.seek(0)
        text = log.read()
    if status:
        raise SystemExit(f"error: the command failed on {path}: {text}")
    stages = {name: (int(n), float(s)) for name, n, s in STAGE.findall(text)}
    return stages, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", nargs="+", type=int, default=[10, 100])
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seconds in arguments.seconds:
            clip = folder / f"clip{seconds}.mp4"
            make_clip(clip, seconds)
            stages, peak = measure(clip, folder)
            for stage, (frames, spent) in stages.items():
                print(f"{seconds:4d} s clip  {stage:13s} {spent:7.1f} s {frames / spent:7.1f} fps")
            print(f"{seconds:4d} s clip  peak memory   {peak:7.0f} MB", flush=True)


if __name__ == "__main__":
    main()
