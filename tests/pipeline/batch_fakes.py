"""A quick stand-in for the work on videos, and a program that runs a batch of it.

    python -m tests.pipeline.batch_fakes FOLDER OUTPUT LOG [layout=X] [workers=N] [pause=S] ...

Its "videos" are texts. What a stage makes depends on what it would depend on, and LOG gets a line
for every stage that begins: "stage name".
"""

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from pipeline.batch.find import Video
from pipeline.batch.manifest import Manifest
from pipeline.batch.recipe import Recipe
from pipeline.batch.run import run_batch
from pipeline.batch.tasks import Summary
from pipeline.batch.workers import LocalCrew
from pipeline.settings import Settings
from weights.errors import Pose3dError

FRAMES = 6


class FakeWork:
    """What `VideoWork` is to workers, for texts. The text says how the video is.

    "bad": it cannot be decoded. "fault": a mistake of the program. "killed": the process dies, as
    if memory had run out. "broken settings": no video can be done.
    """

    def __init__(self, settings):
        self.settings = settings
        self.log = Path(os.environ["POSE3D_TEST_LOG"])
        self.pause = float(os.environ.get("POSE3D_TEST_PAUSE", "0"))
        _note(self.log, f"start {os.getpid()}")
        if os.environ.get("POSE3D_TEST_DEAD"):
            print("no memory for the network", file=sys.stderr)
            sys.exit(3)

    def load(self, first):
        if self.settings.lifter == "unusable":
            raise Pose3dError("the lifter is not usable")

    def run(self, job, progress, made):
        text = job.video.read_text(errors="replace")
        if job.first == "detect":
            self._begin("detect", job, progress)
            if "bad" in text:
                raise Pose3dError(f"{job.video} is not a video")
            if "fault" in text:
                raise KeyError("joint")
            if "killed" in text:
                os.kill(os.getpid(), signal.SIGKILL)
            path = job.folder / "detections.npz"
            header = {"format": "pose3d-detections", "version": 1, "made_of": job.made_of}
            header = np.frombuffer(json.dumps(header).encode(), np.uint8)
            np.savez(path, header=header, text=np.array(text))
            made("detect", path, FRAMES, 0.2)
        else:
            with np.load(job.detections) as kept:
                text = str(kept["text"])
        if job.first != "render":
            self._begin("lift", job, progress)
            path = job.folder / "result.npz"
            result = lifted(text, self.settings)
            path.write_bytes(result)
            made("lift", path, FRAMES, 0.2)
        else:
            result = job.result.read_bytes()
        if self.settings.render:
            self._begin("render", job, progress)
            path = job.folder / "video.mp4"
            path.write_bytes(drawn(result, self.settings))
            made("render", path, FRAMES, 0.2)
        return ["it is a text"] if "odd" in text else []

    def _begin(self, stage, job, progress):
        _note(self.log, f"{stage} {job.identity['name']}")
        progress.stage(stage, FRAMES)
        for _ in range(FRAMES):
            time.sleep(self.pause / FRAMES)
            progress.advance()


def lifted(text, settings):
    """Bytes of the result of a text."""
    return hashlib.sha256(f"{text} {settings.lifter} {settings.smooth}".encode()).digest() * 40


def drawn(result, settings):
    """Bytes of the rendered video of a result."""
    return hashlib.sha256(result + settings.layout.encode()).digest() * 70


def _note(log, line):
    # One write to the end of the file: lines of several processes do not mix.
    with open(log, "ab", buffering=0) as file:
        file.write(f"{line}\n".encode())


def recipe(settings):
    """As `recipe_of`, for texts."""
    lift = {"lifter": settings.lifter, "smooth": settings.smooth}
    detect = {"pose2d": ["texts"], "start": settings.start}
    return Recipe(detect, lift, {"layout": settings.layout})


def texts_of(folder):
    """The "videos" of a folder."""
    files = sorted(path for path in Path(folder).rglob("*.txt"))
    return [Video(path.absolute(), path.relative_to(folder).as_posix()) for path in files]


class Ears:
    """A listener that remembers."""

    def __init__(self):
        self.total, self.stages = None, []

    def begin(self, total):
        self.total = total

    def work(self, slot, task, stage, done, total):
        self.stages.append((slot, task.name, stage, done))

    def end(self, slot, outcome):
        pass


def run_texts(folder, output, workers=2, shard=(1, 1), limit=None, from_stage=None, **settings):
    """A batch of texts in this process; what became of it."""
    chosen = Settings(**settings)
    summary = Summary()
    run_batch(
        texts_of(folder),
        Manifest(output),
        LocalCrew([chosen] * workers, work=FakeWork),
        recipe(chosen),
        Ears(),
        summary,
        shard=shard,
        limit=limit,
        from_stage=from_stage,
        render=chosen.render,
    )
    return summary


def main():
    folder, output, log, *rest = sys.argv[1:]
    given = dict(pair.split("=") for pair in rest)
    os.environ["POSE3D_TEST_LOG"] = log
    os.environ["POSE3D_TEST_PAUSE"] = given.pop("pause", "0")
    given = {name: int(v) if v.isdigit() else v for name, v in given.items()}
    if "shard" in given:
        given["shard"] = tuple(map(int, given["shard"].split("/")))
    try:
        summary = run_texts(folder, output, **given)
    except Pose3dError as error:
        sys.exit(f"error: {error}")
    print(json.dumps({s: len(summary.of(s)) for s in ("done", "skipped", "failed")}))


if __name__ == "__main__":
    main()
