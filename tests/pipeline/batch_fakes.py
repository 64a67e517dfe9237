"""A quick stand-in for the work on videos, and a program that runs a batch of it.

    python -m tests.pipeline.batch_fakes FOLDER OUTPUT LOG [layout=X] [workers=N] [cut=1] ...

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
from pipeline.segments import Cuts, Span
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
        if job.span is not None:
            return self._segment(text, job, progress, made)
        if job.first == "lift" and job.parts:
            text = " ".join(path.read_text() for path in job.parts)
            self._keep(text, job, made)
        elif job.first == "detect":
            self._begin("detect", job, progress)
            if "bad" in text:
                raise Pose3dError(f"{job.video} is not a video")
            if "fault" in text:
                raise KeyError("joint")
            if "killed" in text:
                os.kill(os.getpid(), signal.SIGKILL)
            self._keep(text, job, made)
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
        if self.settings.render and job.last == "render":
            path = job.folder / "video.mp4"
            if job.first == "render" and job.parts:
                path.write_bytes(b"".join(part.read_bytes() for part in job.parts))
            else:
                self._begin("render", job, progress)
                path.write_bytes(drawn(result, self.settings))
            made("render", path, FRAMES, 0.2)
        return ["it is a text"] if "odd" in text else []

    def _segment(self, text, job, progress, made):
        """A word of the text, or as many bytes of what is drawn."""
        words = text.split()
        number, count = job.span.first, len(words)
        self._begin(f"{job.first}:{number}", job, progress)
        if job.first == "render":
            content = drawn(job.result.read_bytes(), self.settings)
            content = content[number * len(content) // count : (number + 1) * len(content) // count]
        else:
            content = words[number].encode()
        if words[number] == "bad":
            raise Pose3dError(f"{job.video} is damaged there")
        if words[number] == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if words[number] == f"uneven-{job.first}":
            return ["it cannot be cut"]
        path = job.folder / "part"
        path.write_bytes(content)
        made("part", path, 1, 0.0)
        return []

    def _keep(self, text, job, made):
        path = job.folder / "detections.npz"
        header = {"format": "pose3d-detections", "version": 1, "made_of": job.made_of}
        header = np.frombuffer(json.dumps(header).encode(), np.uint8)
        np.savez(path, header=header, text=np.array(text))
        made("detect", path, FRAMES, 0.2)

    def _begin(self, stage, job, progress):
        _note(self.log, f"{stage} {job.identity['name']}")
        progress.stage(stage, FRAMES)
        for _ in range(FRAMES):
            time.sleep(self.pause / FRAMES)
            progress.advance()


def words_of(path):
    """The segments of a text: its words."""
    count = len(path.read_text().split())
    spans = tuple(Span(number, 1, None, None, None) for number in range(count))
    return Cuts(spans, spans) if count > 1 else Cuts()


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
    detect = {"pose2d": ["texts"], "people detector": ["nobody"], "start": settings.start}
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


def run_texts(
    folder, output, workers=2, shard=(1, 1), limit=None, from_stage=None, cut=None, **settings
):
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
        cut=cut,
    )
    return summary


class Shop:
    """Folders of texts and of outputs, and the log of the stages that began."""

    def __init__(self, folder, output, log):
        self.folder, self.output, self.log = folder, output, log

    def write(self, **texts):
        for name, text in texts.items():
            path = self.folder / f"{name.replace('__', '/')}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    def run(self, **options):
        """The summary, and the stages that began since the last run."""
        self.log.unlink(missing_ok=True)
        summary = run_texts(self.folder, self.output, **options)
        return summary, self.stages()

    def stages(self):
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if not line.startswith("start")]

    def check(self, name, text, **settings):
        chosen = Settings(**settings)
        result = (self.output / f"{name}_pose3d.npz").read_bytes()
        assert result == lifted(text, chosen)
        assert (self.output / f"{name}_pose3d.mp4").read_bytes() == drawn(result, chosen)


def main():
    folder, output, log, *rest = sys.argv[1:]
    given = dict(pair.split("=") for pair in rest)
    os.environ["POSE3D_TEST_LOG"] = log
    os.environ["POSE3D_TEST_PAUSE"] = given.pop("pause", "0")
    given = {name: int(v) if v.isdigit() else v for name, v in given.items()}
    if "shard" in given:
        given["shard"] = tuple(map(int, given["shard"].split("/")))
    if given.pop("cut", None):
        given["cut"] = words_of
    try:
        summary = run_texts(folder, output, **given)
    except Pose3dError as error:
        sys.exit(f"error: {error}")
    print(json.dumps({s: len(summary.of(s)) for s in ("done", "skipped", "failed")}))


if __name__ == "__main__":
    main()
