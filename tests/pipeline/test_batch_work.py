"""The work on one video, by stages, and what tells whether a stage is due."""

from dataclasses import fields, replace

import av
import numpy as np
import pytest

import lifters3d
from lifters3d.registry import Convention, save
from pipeline.batch.kept import load_detections, made_of, save_detections
from pipeline.batch.manifest import Manifest
from pipeline.batch.plan import plan
from pipeline.batch.recipe import STAGES, changes, recipe_of
from pipeline.batch.resources import cores, default_workers, memory
from pipeline.batch.work import Job, VideoWork
from pipeline.detection import detect
from pipeline.process import process_video
from pipeline.progress import Silence
from pipeline.result import load_result
from pipeline.settings import Settings
from pipeline.video import VideoReader
from weights import store
from weights.errors import Pose3dError
from weights.files import sha256


class Video:
    """A video's pictures; equal if nobody could see a difference.

    Rounding, other on every machine and at other times, moves edges by a sixteenth of a pixel.
    """

    def __init__(self, source):
        with av.open(source) as file:
            frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        self.frames = np.stack(frames).astype(float)

    def __eq__(self, other):
        same = self.frames.shape == other.frames.shape
        return same and np.abs(self.frames - other.frames).mean() < 0.1


def content(path):
    """Of a file, to be compared."""
    return Video(str(path)) if path.suffix == ".mp4" else path.read_bytes()


class Bench:
    """Runs jobs of one video in this process, and puts files where a batch would."""

    def __init__(self, folder, video):
        self.folder, self.video, self.made = folder, video, []
        for name in ("work", "kept", "out"):
            (folder / name).mkdir()

    def run(self, settings, first="detect", work=None, **changed):
        stat = self.video.stat()
        identity = {
            "name": self.video.name,
            "bytes": stat.st_size,
            "sha256": sha256(self.video),
        }
        self.job = replace(
            Job(
                video=self.video,
                identity=identity,
                mtime_ns=stat.st_mtime_ns,
                first=first,
                detections=self.folder / "kept" / "detections.npz",
                result=self.folder / "out" / "result.npz",
                made_of=recipe_of(settings).of(identity["sha256"])["detect"],
                folder=self.folder / "work",
            ),
            **changed,
        )
        self.made = []
        return (work or VideoWork(settings)).run(self.job, Silence(), self._made)

    def _made(self, stage, path, frames, seconds):
        self.made.append((stage, frames, round(seconds, 6)))
        path.rename(self.folder / ("kept" if stage == "detect" else "out") / path.name)

    def file(self, name):
        return content(self.folder / "out" / name)


@pytest.fixture
def bench(tmp_path, clip):
    return Bench(tmp_path, clip(frames=30, size=(192, 108), audio=True))


def test_it_is_what_pose3d_video_makes(tmp_path, bench, pose, tiny):
    settings = Settings(lifter=tiny)
    pose()
    process_video(bench.video, tmp_path / "video", settings)
    pose()
    assert bench.run(settings) == []
    assert bench.made == [(stage, 30, 1.0) for stage in STAGES]
    for ours, theirs in (("result.npz", "clip_pose3d.npz"), ("video.mp4", "clip_pose3d.mp4")):
        assert bench.file(ours) == content(tmp_path / "video" / theirs)


def test_later_stages_need_no_earlier_ones(bench, pose, tiny, monkeypatch):
    """From kept files comes what a whole run with the same settings gives, to the last bit."""
    others = [
        ("lift", Settings(lifter=tiny, smooth="none", flip=False, height=1.5, render=False)),
        ("render", Settings(lifter=tiny, layout="overlay")),
    ]
    for first, settings in others:
        pose()
        bench.run(settings)
        expected = {
            name: bench.file(name) for name in ("result.npz", "video.mp4")[: len(bench.made) - 1]
        }
        pose()
        bench.run(Settings(lifter=tiny))
        assert bench.file("result.npz") != expected["result.npz"]
        fake = pose()
        with monkeypatch.context() as patch:
            if first == "lift":
                patch.setattr("pipeline.process.VideoReader", None)  # nothing is decoded
                patch.setattr("pipeline.rendering.video.VideoReader", None)
            else:
                patch.setattr("pipeline.process.lift_people", None)
            bench.run(settings, first)
        assert fake.shapes == []
        assert {name: bench.file(name) for name in expected} == expected
    assert load_result(bench.job.result).provenance["settings"]["layout"] == "overlay"


def test_damaged_files_of_earlier_stages_are_made_anew(bench, pose, tiny):
    settings = Settings(lifter=tiny)
    pose()
    bench.run(settings)
    whole = bench.file("result.npz"), bench.file("video.mp4")
    bench.job.result.write_bytes(whole[0][:999])
    pose()
    bench.run(settings, "render")
    assert [stage for stage, *_ in bench.made] == ["lift", "render"]
    bench.job.result.unlink()
    bench.job.detections.write_bytes(bench.job.detections.read_bytes()[:999])
    pose()
    bench.run(settings, "render")
    assert [stage for stage, *_ in bench.made] == list(STAGES)
    assert (bench.file("result.npz"), bench.file("video.mp4")) == whole


def test_networks_are_loaded_once(bench, pose, tiny, monkeypatch):
    calls = []
    load = lifters3d.load
    monkeypatch.setattr("lifters3d.load", lambda source: calls.append(source) or load(source))
    work = VideoWork(Settings(lifter=tiny, render=False))
    for _ in range(2):
        pose()
        work.load("detect")
        bench.run(work.settings, work=work)
    assert calls == [tiny]
    VideoWork(Settings(lifter="absent.safetensors")).load("render")
    with pytest.raises(Pose3dError, match="no such weights file"):
        VideoWork(Settings(lifter="absent.safetensors")).load("lift")


def test_a_video_that_changes_while_it_is_read(bench, pose, tiny):
    pose()
    with pytest.raises(Pose3dError, match="changed while it was read"):
        bench.run(Settings(lifter=tiny), mtime_ns=1)
    assert bench.made == []


def test_detections_are_kept_exactly(tmp_path, clip, pose):
    pose(absent=[3, 4])
    found = detect(VideoReader(clip()), Settings(), Silence())
    path = tmp_path / "kept.npz"
    save_detections(path, found, {"start": None})
    again = load_detections(path, {"start": None})
    np.testing.assert_array_equal(again.time_s, found.time_s)
    for ours, theirs in zip(again.people, found.people, strict=True):
        assert ours.id == theirs.id
        assert ours.keypoints.dtype == theirs.keypoints.dtype
        np.testing.assert_array_equal(ours.keypoints, theirs.keypoints)
        np.testing.assert_array_equal(ours.scores, theirs.scores)
    for name in ("size", "frame_rate", "weights", "warnings"):
        assert getattr(again, name) == getattr(found, name)
    assert made_of(path) == {"start": None}
    assert load_detections(path, {"start": 1.0}) is None
    assert load_detections(tmp_path / "absent.npz", {}) is None


# What is made of what ----------------------------------------------------------------------------


def changed(**settings):
    """The stages whose recipe another setting changes."""
    base = {"lifter": settings.pop("from_", "mixste"), "pose2d": settings.pop("by", "mediapipe")}
    old = recipe_of(Settings(**base)).of("0")
    new = recipe_of(Settings(**{**base, **settings})).of("0")
    return [stage for stage in STAGES if old[stage] != new[stage]]


OTHER = {
    "lifter": "strided",
    "start": 1.0,
    "end": 9.0,
    "fov": 60.0,
    "flip": False,
    "causal": True,
    "precision": "fp32",
    "smooth": "none",
    "remove_outliers": True,
    "max_gap": 0.1,
    "repair": False,
    "upright": False,
    "height": 1.8,
    "constant_bones": True,
    "lock_feet": True,
    "layout": "grid",
    "orbit": True,
    "device": "cpu",
    "render": False,
}


@pytest.mark.parametrize(("name", "value"), OTHER.items())
def test_what_a_setting_changes(name, value):
    first = {"start": 0, "end": 0, "layout": 2, "orbit": 2, "device": 3, "render": 3}.get(name, 1)
    assert changed(**{name: value}) == list(STAGES[first:])


def test_every_setting_counts_with_a_network_of_joints(tmp_path):
    """One that nobody thought of is a part of the first pass: rather slow than wrong."""
    weights = tmp_path / "hrnet.pth"
    weights.write_bytes(b"weights")
    network = {"by": str(weights), "detector": "whole-frame"}
    values = {"people": "all", "min_track": 1.0, "det_every": 3, "backend": "onnx"}
    for name, value in {**values, "flip": False, "precision": "fp32", "start": 2.0}.items():
        assert changed(**network, **{name: value}) == list(STAGES), name
    known = {*OTHER, *values, "pose2d", "detector"}
    assert {field.name for field in fields(Settings)} == known


def test_networks_are_told_by_their_content(tmp_path):
    weights, boxes = tmp_path / "a=b:c.pth", tmp_path / "boxes.csv"
    weights.write_bytes(b"weights")
    boxes.write_text("0,1,1,2,2\n")
    settings = Settings(pose2d=str(weights), detector=f"boxes:{boxes}")
    old = recipe_of(settings)
    boxes.write_text("0,1,1,3,3\n")
    assert changes(old.detect, recipe_of(settings).detect) == ["people detector"]
    weights.write_bytes(b"other weights")
    assert changes(old.detect, recipe_of(settings).detect) == ["pose2d", "people detector"]
    assert sha256(weights) in recipe_of(settings).detect["pose2d"]

    lifter = lifters3d.build("mixste", frames=9, width=16, depth=1, heads=2)
    lifter.convention = Convention("person", "derived", 30.0)
    save(lifter, "mixste", tmp_path / "tiny.safetensors", training={})
    settings = Settings(lifter=str(tmp_path / "tiny.safetensors"))
    old = recipe_of(settings)
    lifter.convention = Convention("person", "derived", 50.0)
    save(lifter, "mixste", tmp_path / "tiny.safetensors", training={})
    assert changes(old.lift, recipe_of(settings).lift) == ["lifter"]
    assert old.detect == recipe_of(settings).detect


def test_networks_that_are_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("POSE3D_HOME", str(tmp_path))
    for settings, words in [
        (Settings(lifter="mixst"), "did you mean mixste"),
        (Settings(lifter=str(tmp_path / "absent.safetensors")), "cannot be read"),
        (Settings(pose2d="hrnet-w48-256x192"), "fetch it with"),
        (Settings(pose2d="mediapipe", people="2"), "MediaPipe follows one person"),
    ]:
        with pytest.raises(Pose3dError, match=words):
            recipe_of(settings)


def test_a_better_network_that_was_fetched_changes_auto(tmp_path, monkeypatch):
    monkeypatch.setenv("POSE3D_HOME", str(tmp_path))
    assert recipe_of(Settings()).detect["pose2d"][0] == "mediapipe"
    entry = store.public()["hrnet-w32-256x192"]
    (tmp_path / entry.file).write_bytes(b"weights")
    detect = recipe_of(Settings()).detect
    assert detect["pose2d"] == ["hrnet-w32-256x192", sha256(tmp_path / entry.file)]
    assert detect["people detector"][0] == "centernet"


def test_a_plan_says_why(tmp_path, clip):
    from pipeline.batch.find import Video

    manifest, recipe = Manifest(tmp_path / "out"), recipe_of(Settings())
    path = clip()
    record = manifest.identify(Video(path, "clip.mp4"), "clip")
    assert record.sha256 == sha256(path)
    assert plan(record, recipe, manifest, True) == ("detect", "new")
    manifest.save(record)
    manifest.result_path("clip").write_bytes(b"12")
    made = recipe.of(record.sha256)
    record.stages["lift"] = {"made_of": made["lift"], "bytes": 2}
    assert plan(record, recipe, manifest, False) == (None, "done before")
    assert plan(record, recipe, manifest, True) == ("render", "not rendered yet")
    other = recipe_of(Settings(smooth="none", fov=50.0))
    assert plan(record, other, manifest, True) == ("detect", "fov, smooth changed")
    record.failed = "is damaged"
    assert plan(record, recipe, manifest, True) == ("render", "failed before: is damaged")
    manifest.result_path("clip").write_bytes(b"123")
    why = "clip_pose3d.npz was changed"
    assert plan(record, recipe, manifest, True) == ("detect", why)


def test_resources():
    assert 1 <= cores() <= 4096
    assert memory() is None or memory() > 1 << 28
    assert default_workers(3) == 3
    assert 1 <= default_workers(0) <= cores()
