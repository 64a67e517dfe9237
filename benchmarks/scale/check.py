"""A real ``pose3d batch`` against what model and simulation say of it."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.scale.model import Costs, Knobs, Videos, stage_seconds
from benchmarks.scale.simulation import Step, jobs_of, simulate
from pipeline.batch.find import find_videos
from pipeline.batch.resources import cores
from pipeline.video import probe
from weights.errors import Pose3dError

# What a batch tells of a video: [1/5] walk.mp4: 225 frames in 9.1 s (25 frames/s)
TOOK = re.compile(r"^\[\d+/\d+\] (.+): \d+ frames in ([\d.]+) s", re.MULTILINE)


def videos_of(folders: Sequence[str]) -> Videos:
    """The videos of folders; all count as H.264, which is the codec of most."""
    paths = [video.path for video in find_videos(folders).videos if not video.fault]
    infos = [probe(path) for path in paths]
    return Videos(
        seconds=np.array([info.duration_s for info in infos], float),
        megapixels=np.array([info.width * info.height / 1e6 for info in infos]),
        rate=np.array([float(info.frame_rate) for info in infos]),
        bytes=np.array([path.stat().st_size for path in paths], float),
    )


def check(
    folders: Sequence[str], workers: Sequence[int], figures: Mapping, parallel: float
) -> list[dict]:
    """Seconds and core seconds of a batch, as they are and as they should be.

    parallel : cores that one worker keeps busy if it has them, as ``measure`` found

    Simulated twice: with what the model says of the videos, and with what each of them took in this
    batch, which leaves the order of the work as the only thing to be wrong about.
    """
    costs, videos, knobs = Costs.read_from(figures), videos_of(folders), Knobs()
    jobs = jobs_of(costs, videos, knobs)
    work = sum(float(each.sum()) for each in stage_seconds(costs, videos, knobs).values())
    # The process that gives the work starts like a worker, before the others.
    before_s = figures["worker"]["wall_s"]
    rows = []
    for count in workers:
        load = round(os.getloadavg()[0], 1)
        core_s, wall_s, took_s = _batch(folders, count)
        # With fewer workers than cores a worker has more than one of them to itself.
        speed = max(1.0, min(parallel, cores() / count))
        run = simulate(jobs, count, start_s=costs.worker_s * speed)
        replay = simulate([[[(Step(each),)]] for each in took_s], count)
        rows.append(
            {
                "workers": count,
                "load": load,
                "videos": len(videos),
                "core_s": core_s,
                "model_core_s": work + (count + 1) * costs.worker_s,
                "wall_s": wall_s,
                "simulated_wall_s": before_s + run.wall / speed,
                "replayed_wall_s": before_s + replay.wall,
            }
        )
    return rows


def _batch(folders: Sequence[str], workers: int) -> tuple[float, float, list[float]]:
    """Core seconds of all its processes, seconds, and those of every video in their order."""
    command = [sys.executable, "-m", "pose3d", "batch", *folders, "--pose2d", "mediapipe"]
    with tempfile.TemporaryDirectory() as output:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        done = subprocess.run(
            [*command, "--workers", str(workers), "-o", output],
            env={**os.environ, "COLUMNS": "1000"},
            capture_output=True,
            text=True,
        )
        wall_s = time.monotonic() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise Pose3dError(f"the batch failed: {done.stderr.strip()[-500:]}")
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    took = {name: float(seconds) for name, seconds in TOOK.findall(done.stderr)}
    return spent, wall_s, [took[name] for name in sorted(took)]
