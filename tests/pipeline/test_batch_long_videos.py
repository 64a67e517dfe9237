"""The real work on long videos, in segments: it gives what it gives in one piece."""

from fractions import Fraction

import numpy as np
import pytest

from detectors2d.mediapipe import Keypoints
from pipeline.batch.find import Video
from pipeline.batch.manifest import Manifest
from pipeline.batch.recipe import recipe_of
from pipeline.batch.run import run_batch
from pipeline.batch.tasks import Summary
from pipeline.batch.work import VideoWork
from pipeline.batch.workers import Teller, do_job
from pipeline.detection import cutting_rule
from pipeline.result import load_result
from pipeline.segments import Cutter
from pipeline.settings import Settings
from pipeline.video import VideoReader
from tests.pipeline.batch_fakes import Ears
from tests.pipeline.clips import make_clip, number_of, numbered
from tests.pipeline.fakes import walking
from tests.pipeline.test_segments import KEYS


class Seeing:
    """In place of MediaPipe: the man who walks, where the picture's number says."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def close(self):
        pass

    def detect(self, image):
        number = number_of(image)
        if number in (0, 1):
            return None
        points = walking(3 * number, image.shape[1::-1])
        return Keypoints(points, np.full(17, 0.9, np.float32), np.zeros((33, 3), np.float32))


class Here:
    """A crew of workers in this process, which do their jobs when they are given them."""

    slots, tries = 2, 1

    def __init__(self, settings):
        self.work = VideoWork(settings)
        self.jobs = []

    def open(self):
        return range(self.slots)

    def hire(self, slot, folder):
        return Hand(self, folder)

    def wait(self, hands, seconds):
        pass


class Hand:
    def __init__(self, crew, folder):
        self.crew, self.folder, self.said = crew, folder, []
        folder.mkdir(parents=True)

    def give(self, job):
        self.crew.jobs.append((job.first, job.last, job.span and job.span.first, len(job.parts)))
        do_job(self.crew.work, job, Teller(lambda *message: self.said.append(message)))

    def messages(self):
        said, self.said = self.said, []
        yield from said

    def alive(self):
        return True

    def stop(self, at_once):
        pass

    def join(self):
        pass


@pytest.fixture
def batch(tmp_path, tiny, monkeypatch):
    """Runs a batch of one video in this process; the outcome and the jobs."""
    monkeypatch.setattr("pipeline.detection.MediaPipePose", Seeing)

    def run(path, folder, seconds=None, **values):
        settings = Settings(lifter=tiny, pose2d="mediapipe", layout="overlay", **values)
        cut = None
        if seconds is not None:
            cut = Cutter(seconds, cutting_rule(settings), settings.start, settings.end)
        crew, summary = Here(settings), Summary()
        run_batch(
            [Video(path, path.name)],
            Manifest(tmp_path / folder),
            crew,
            recipe_of(settings),
            Ears(),
            summary,
            render=settings.render,
            cut=cut,
        )
        (outcome,) = summary.outcomes
        return outcome, crew.jobs

    return run


def long_clip(path, **kwargs):
    return make_clip(
        path,
        size=(96, 54),
        rate=Fraction(1),
        frames=160,
        image=lambda i: numbered(i % 60, 96, 54),
        options={**KEYS, "g": "9"},
        **kwargs,
    )


def outputs(folder, name="clip"):
    return [folder / f"{name}_pose3d.npz", folder / f"{name}_pose3d.mp4"]


@pytest.mark.parametrize("part", [{}, {"start": 20.0, "end": 150.0}])
def test_a_long_video_in_segments(tmp_path, batch, part):
    path = long_clip(tmp_path / "clip.mp4", audio=True)
    whole, jobs = batch(path, "whole", **part)
    assert jobs == [("detect", "render", None, 0)]
    cut, jobs = batch(path, "cut", 50.0, **part)
    count = whole.frames
    assert (cut.state, cut.frames, cut.seconds) == ("done", count, whole.seconds)
    assert cut.warnings == whole.warnings
    # The first pass at whole minutes; drawing in parts of one length.
    begins = [0, 60, 120] if not part else [0, 40, 100]
    middle = [count * number // 3 for number in range(3)]
    assert [job[2] for job in jobs[:3]] == begins
    assert jobs[3] == ("lift", "lift", None, 3)
    np.testing.assert_allclose([job[2] for job in jobs[4:7]], middle, atol=2)
    assert jobs[7:] == [("render", "render", None, 3)]
    results, videos = zip(*(outputs(tmp_path / name) for name in ("whole", "cut")), strict=True)
    assert results[0].read_bytes() == results[1].read_bytes()
    assert set(load_result(results[0]).status.ravel()) > {"ok"}
    ours, theirs = (list(VideoReader(video)) for video in videos)
    assert [frame.time_s for frame in ours] == [frame.time_s for frame in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert np.abs(one.image.astype(int) - other.image).mean() < 1
    # Drawn anew, from the same result.
    again, jobs = batch(path, "cut", 50.0, **part)
    assert (again.state, jobs) == ("skipped", [])


def test_a_video_with_faults_is_done_whole(tmp_path, batch):
    path = long_clip(tmp_path / "clip.mp4")
    data = bytearray(path.read_bytes())
    for place in (0.4, 0.45, 0.5):
        place = int(len(data) * place)
        data[place : place + 40] = bytes(range(100, 140))
    path.write_bytes(data)
    whole, _ = batch(path, "whole")
    assert "damaged" in whole.warnings[0]
    cut, jobs = batch(path, "cut", 50.0)
    assert jobs[-1] == ("detect", "render", None, 0)
    assert cut.warnings == whole.warnings
    ours, theirs = (outputs(tmp_path / name)[0].read_bytes() for name in ("whole", "cut"))
    assert ours == theirs


def test_segments_that_were_kept(tmp_path, batch, monkeypatch):
    """Left by a batch that was killed; a file among them that cannot be read costs time alone."""
    path = long_clip(tmp_path / "clip.mp4")
    batch(path, "whole")
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.detection.detect_in_segments", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            batch(path, "cut", 50.0)
    parts = sorted(Manifest(tmp_path / "cut").segments_path("clip").iterdir())
    assert len(parts) == 3
    parts[1].unlink()
    parts[2].write_bytes(b"half")
    _, jobs = batch(path, "cut", 50.0)
    assert [job[:3] for job in jobs[:2]] == [("detect", "render", 60), ("lift", "lift", None)]
    (ours, _), (theirs, _) = (outputs(tmp_path / name) for name in ("cut", "whole"))
    assert ours.read_bytes() == theirs.read_bytes()
    assert not parts[0].parent.exists()
    # Without the video, then with it: the result tells which.
    (tmp_path / "cut" / "clip_pose3d.mp4").unlink()
    batch(path, "cut", 50.0, smooth="none", render=False)
    _, jobs = batch(path, "cut", 50.0, smooth="none")
    assert [job[0] for job in jobs] == ["render"] * 4
    assert load_result(ours).provenance["settings"]["render"] is True


def _interrupt(*_):
    raise KeyboardInterrupt
