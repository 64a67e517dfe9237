"""What Ray adds to a video: ``pose3d batch`` with processes of its own, and with actors of Ray.

    python -m benchmarks.ray_overhead [--clips 4] [--end 1]

Jobs that do nothing but write three small files, 20 and 220 of them with one worker: their
difference is the time a video, the rest that of the start. Then copies of the demo clip, with two
workers of the real work. Ray is one of this machine, started for each run.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.batch.find import Video
from pipeline.batch.manifest import Manifest
from pipeline.batch.ray_crew import RayCrew, connected
from pipeline.batch.recipe import Recipe
from pipeline.batch.run import run_batch
from pipeline.batch.tasks import Outcome, Summary, Task
from pipeline.batch.work import Job, Made
from pipeline.batch.workers import Crew, LocalCrew
from pipeline.progress import Progress
from pipeline.settings import Settings

DEMO = Path(__file__).parents[1] / "demos" / "walk.mp4"
FEW, MANY = 20, 220


class TinyWork:
    """Work without any."""

    def __init__(self, settings: Settings) -> None:
        pass

    def load(self, first: str) -> None:
        pass

    def run(self, job: Job, progress: Progress, made: Made) -> list[str]:
        for stage in ("detect", "lift", "render"):
            path = job.folder / stage
            path.write_bytes(b"x" * 1000)
            made(stage, path, 1, 1.0)
        return []


class Silence:
    """A listener that shows nothing."""

    def begin(self, total: int) -> None:
        pass

    def work(self, slot: int, task: Task, stage: str, done: int, total: int | None) -> None:
        pass

    def end(self, slot: int | None, outcome: Outcome) -> None:
        pass


@contextmanager
def crew_of(engine: str) -> Iterator[Crew]:
    if engine == "local":
        yield LocalCrew([Settings()], work=TinyWork)
    else:
        with connected("local"):
            yield RayCrew(Settings(), workers=1, work=TinyWork)


def tiny(engine: str, count: int) -> float:
    """Seconds of a batch of so many tiny jobs."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        videos = []
        for number in range(count):
            path = folder / f"{number}.txt"
            path.write_text(str(number))
            videos.append(Video(path, path.name))
        began, summary = time.perf_counter(), Summary()
        with crew_of(engine) as crew:
            manifest = Manifest(folder / "out")
            run_batch(videos, manifest, crew, Recipe({}, {}, {}), Silence(), summary)
        if len(summary.of("done")) != count:
            raise SystemExit(f"failed: {summary.of('failed')}")
        return time.perf_counter() - began


def real(engine: str, clips: int, end: float) -> float:
    """Seconds of ``pose3d batch`` over copies of the demo clip, with its start."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "in").mkdir()
        for number in range(clips):
            # Other content, or there would be one first pass.
            path = folder / "in" / f"{number}.mp4"
            shutil.copy(DEMO, path)
            with path.open("ab") as file:
                file.write(str(number).encode())
        command = [sys.executable, "-m", "pose3d", "batch", folder / "in", "-o", folder / "out"]
        command += ["--engine", engine, "--workers", "2", "--end", end, "--quiet"]
        began = time.perf_counter()
        subprocess.run(list(map(str, command)), check=True)
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--end", type=float, default=1.0, help="seconds of each clip")
    arguments = parser.parse_args()
    for engine in ("local", "ray"):
        few, many = tiny(engine, FEW), tiny(engine, MANY)
        a_video = (many - few) / (MANY - FEW)
        start = few - FEW * a_video
        print(f"{engine:5s}  start {start:6.2f} s   tiny job {1000 * a_video:6.1f} ms", flush=True)
    for engine in ("local", "ray"):
        took = real(engine, arguments.clips, arguments.end)
        a_video = took / arguments.clips
        print(f"{engine:5s}  {arguments.clips} clips {took:6.1f} s   a clip {a_video:6.2f} s")


if __name__ == "__main__":
    main()
