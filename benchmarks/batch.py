"""Videos an hour of ``pose3d batch`` against ``pose3d video`` run on one after the other.

    python -m benchmarks.batch FOLDER [--workers 2] [--end 4] [--segment 60]

The same files and settings, each way once: a process a video; a batch of one worker; a batch of
several; and such a batch that is killed (SIGKILL, all its processes) when half of its videos are
done, and run again. Memory is the proportional set size of all processes at its peak (Linux).
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.batch.find import find_videos

POSE3D = [sys.executable, "-m", "pose3d"]


class Memory:
    """Peak of the memory of processes, with all that they started, in MB; sampled."""

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(0.25):
            total = sum(map(_pss_mb, _descendants(os.getpid())))
            self.peak_mb = max(self.peak_mb, total)


def _descendants(root: int) -> list[int]:
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
    found, todo = [], [root]
    while todo:
        parent = todo.pop()
        own = [pid for pid, other in parents.items() if other == parent]
        found += own
        todo += own
    return found


def _pss_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    except OSError:
        return 0.0


def run(*arguments: object) -> None:
    """A command of pose3d, to its end."""
    subprocess.run(
        [*POSE3D, *map(str, arguments), "--quiet"], check=True, stdout=subprocess.DEVNULL
    )


def run_killed(arguments: Sequence[object], output: Path, half: int) -> None:
    """A batch that is killed when so many videos are done."""
    process = subprocess.Popen([*POSE3D, *map(str, arguments), "-q"], start_new_session=True)
    while process.poll() is None and len(list(output.rglob("*_pose3d.mp4"))) < half:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def timed(title: str, videos: int, work: Callable[[], None]) -> float:
    """Seconds that some work takes; prints a row."""
    began = time.perf_counter()
    with Memory() as memory:
        work()
    took = time.perf_counter() - began
    print(
        f"{title:34s} {took:8.1f} s {3600 * videos / took:8.0f} videos/h {memory.peak_mb:7.0f} MB",
        flush=True,
    )
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--end", type=float, help="seconds of each video; all if not given")
    parser.add_argument("--segment", type=float, help="of batches: cut videos into segments")
    arguments = parser.parse_args()
    videos = [video.path for video in find_videos([arguments.folder]).videos if not video.fault]
    end = [] if arguments.end is None else ["--end", arguments.end]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        batch = ["batch", *videos, *end]
        count = len(videos)
        name = f"batch, {arguments.workers} workers"

        def one_by_one() -> None:
            for video in videos:
                run("video", video, *end, "-o", folder / "single")

        single = timed("video, one after the other", count, one_by_one)
        one = [*batch, "--workers", 1, "-o", folder / "one"]
        many = [*batch, "--workers", arguments.workers]
        if arguments.segment is not None:
            many += ["--segment", arguments.segment]
            name += f", segments of {arguments.segment:g} s"
        timed("batch, 1 worker", count, lambda: run(*one))
        whole = timed(name, count, lambda: run(*many, "-o", folder / "many"))

        def broken() -> None:
            killed = [*many, "-o", folder / "killed"]
            run_killed(killed, folder / "killed", count // 2)
            run(*killed)

        lost = timed(f"{name}, killed and run again", count, broken) - whole
        timed(f"{name}, nothing to do", count, lambda: run(*many, "-o", folder / "many"))
    print(f"{name}: {single / whole:.2f} times as fast; a kill costs {lost:.1f} s")


if __name__ == "__main__":
    main()
