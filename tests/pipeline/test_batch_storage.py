"""Batches on an object store, without locks or renaming, with processes of their own."""

import os
from pathlib import Path

import pytest

from pipeline.batch.find import Video, find_videos
from pipeline.batch.manifest import Manifest
from pipeline.batch.recipe import recipe_of
from pipeline.batch.run import run_batch
from pipeline.batch.storage import StorageError, StoredPath, place
from pipeline.batch.tasks import Summary
from pipeline.batch.workers import LocalCrew
from pipeline.result import load_result
from pipeline.settings import Settings
from tests.pipeline.batch_fakes import Ears, drawn, lifted, recipe, words_of
from tests.pipeline.bucket import FakeWorkOnBuckets, VideoWorkOnBuckets, new_bucket
from tests.pipeline.clips import make_clip
from weights.errors import Pose3dError
from weights.files import sha256


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    monkeypatch.setenv("POSE3D_TEST_LOG", str(tmp_path / "log"))
    return new_bucket(tmp_path / "bucket")


def run(bucket, output=None, cut=None, work=FakeWorkOnBuckets, **settings):
    """A batch of the texts in the bucket; its summary, and the stages that began."""
    log = Path(os.environ["POSE3D_TEST_LOG"])
    log.unlink(missing_ok=True)
    folder = bucket / "in"
    videos = [Video(each, each.name) for each in folder.files(recursive=True)]
    chosen, summary = Settings(**settings), Summary()
    crew = LocalCrew([chosen] * 2, work=work)
    output = bucket / "out" if output is None else output
    run_batch(videos, Manifest(output), crew, recipe(chosen), Ears(), summary, cut=cut)
    lines = log.read_text().splitlines() if log.exists() else []
    return summary, sorted(line for line in lines if not line.startswith("start"))


def check(output, name, text, **settings):
    chosen = Settings(**settings)
    result = (output / f"{name}_pose3d.npz").read_bytes()
    assert result == lifted(text, chosen)
    assert (output / f"{name}_pose3d.mp4").read_bytes() == drawn(result, chosen)


def stages_of(*names, stages=("detect", "lift", "render")):
    return sorted(f"{stage} {name}.txt" for name in names for stage in stages)


def test_videos_and_outputs_in_a_store(bucket):
    (bucket / "in/a.txt").write_bytes(b"one")
    (bucket / "in/b.txt").write_bytes(b"two")
    (bucket / "in/bad.txt").write_bytes(b"bad")
    summary, stages = run(bucket)
    assert stages == sorted([*stages_of("a", "b"), "detect bad.txt"])
    assert [o.task.name for o in summary.of("failed")] == ["bad"]
    assert summary.of("failed")[0].reason == "is not a video"
    check(bucket / "out", "a", "one")
    check(bucket / "out", "b", "two")
    (bucket / "in/bad.txt").unlink()
    # Whoever comes next finds all that it needs there, and nothing that was unfinished.
    assert not (bucket / "out/.pose3d/work").exists()
    assert run(bucket)[1] == []
    assert run(bucket, layout="grid")[1] == stages_of("a", "b", stages=["render"])
    assert run(bucket, smooth="none")[1] == stages_of("a", "b", stages=["lift", "render"])
    check(bucket / "out", "a", "one", smooth="none")
    # Content counts: another time does not.
    (bucket / "in/a.txt").write_bytes(b"one")
    (bucket / "in/b.txt").write_bytes(b"three")
    assert run(bucket, smooth="none")[1] == stages_of("b")
    check(bucket / "out", "b", "three", smooth="none")
    (bucket / "out/a_pose3d.mp4").unlink()
    assert run(bucket, smooth="none")[1] == stages_of("a", stages=["render"])


def test_from_a_store_to_a_folder_and_back(bucket, tmp_path):
    (bucket / "in/a.txt").write_bytes(b"one")
    assert run(bucket, tmp_path / "out")[1] == stages_of("a")
    check(tmp_path / "out", "a", "one")
    assert run(bucket, tmp_path / "out")[1] == []
    (tmp_path / "b.txt").write_text("one two")
    chosen, summary = Settings(), Summary()
    videos = [Video(tmp_path / "b.txt", "b.txt")]
    crew = LocalCrew([chosen], work=FakeWorkOnBuckets)
    output = Manifest(bucket / "out")
    run_batch(videos, output, crew, recipe(chosen), Ears(), summary, cut=words_of)
    assert len(summary.of("done")) == 1
    check(bucket / "out", "b", "one two")
    # In segments, which are gone.
    assert not (bucket / "out/.pose3d/segments").exists()


def test_a_video_that_is_written_again_meanwhile_fails(bucket):
    (bucket / "in/a.txt").write_bytes(b"one")

    class Late(LocalCrew):
        def hire(self, slot, folder):
            (bucket / "in/a.txt").write_bytes(b"another")
            return super().hire(slot, folder)

    chosen, summary = Settings(), Summary()
    videos = [Video(bucket / "in/a.txt", "a.txt")]
    crew = Late([chosen], work=FakeWorkOnBuckets)
    run_batch(videos, Manifest(bucket / "out"), crew, recipe(chosen), Ears(), summary)
    assert "it was changed since it was found" in summary.of("failed")[0].reason


def test_videos_are_found_in_stores(bucket, tmp_path):
    make_clip(tmp_path / "clip.mp4", frames=2)
    clip = (tmp_path / "clip.mp4").read_bytes()
    for name in ("in/b.mp4", "in/a.mov", "in/sub/c.mp4", "in/.hidden/d.mp4"):
        (bucket / name).write_bytes(clip)
    (bucket / "in/broken.mp4").write_bytes(clip[:200])
    (bucket / "in/notes.txt").write_bytes(b"no video")

    def found(*sources, **options):
        return [video.place for video in find_videos(sources, **options).videos]

    assert found(f"{bucket}/in") == ["a.mov", "b.mp4", "broken.mp4"]
    assert found(f"{bucket}/in/", recursive=True) == ["a.mov", "b.mp4", "broken.mp4", "sub/c.mp4"]
    assert found(f"{bucket}/in/**/*.mp4") == ["b.mp4", "broken.mp4", "sub/c.mp4"]
    assert found(f"{bucket}/in/sub/c.mp4", f"{bucket}/in/b.mp4") == ["b.mp4", "sub/c.mp4"]
    assert found(f"{bucket}/in/b.mp4", str(tmp_path / "clip.mp4")) == ["b.mp4", "clip.mp4"]
    (tmp_path / "list.txt").write_text(f"{bucket}/in/a.mov\nclip.mp4\n")
    assert found(str(tmp_path / "list.txt")) == ["a.mov", "clip.mp4"]
    faults = {video.place: video.fault for video in find_videos([f"{bucket}/in"]).videos}
    assert faults["b.mp4"] is None
    assert "damaged recording" in faults["broken.mp4"]
    with pytest.raises(Pose3dError, match=r"no such file or folder: bucket://.*/nothing"):
        found(f"{bucket}/nothing")
    with pytest.raises(Pose3dError, match=r"no file matches bucket://.*\*.mkv"):
        found(f"{bucket}/in/*.mkv")


@pytest.mark.slow
def test_the_real_work_gives_what_it_gives_of_files(bucket, tmp_path):
    pytest.importorskip("mediapipe")
    (tmp_path / "in").mkdir()
    make_clip(tmp_path / "in" / "a.mp4", frames=8, size=(128, 96))
    (bucket / "in/a.mp4").write_bytes((tmp_path / "in" / "a.mp4").read_bytes())
    chosen = Settings()
    results = []
    for source, output in ((bucket, bucket / "out"), (tmp_path, tmp_path / "out")):
        videos = find_videos([str(source / "in")]).videos
        crew, summary = LocalCrew([chosen], work=VideoWorkOnBuckets), Summary()
        run_batch(videos, Manifest(output), crew, recipe_of(chosen), Ears(), summary)
        assert len(summary.of("done")) == 1, summary.outcomes
        results.append((output / "a_pose3d.npz").read_bytes())
    assert results[0] == results[1]
    (tmp_path / "it.npz").write_bytes(results[0])
    identity = load_result(tmp_path / "it.npz").provenance["input"]
    assert identity["sha256"] == sha256(tmp_path / "in" / "a.mp4")
    # What pose3d drew is no video to work on.
    with pytest.raises(Pose3dError, match="made by pose3d: 1"):
        find_videos([f"{bucket}/out"])


def test_stores_that_cannot_be_used(bucket, monkeypatch):
    for url, words in [
        ("s3://bucket/x", "s3:// needs s3fs: pip install s3fs"),
        ("moon://bucket/x", "moon:// is no storage that is known"),
    ]:
        with pytest.raises(Pose3dError, match=words):
            StoredPath(url).exists()

    def refuse(*_, **__):
        raise ConnectionResetError("the line\nis cut")

    (bucket / "in/a.txt").write_bytes(b"one")
    with monkeypatch.context() as patch:
        patch.setattr("tests.pipeline.bucket.Bucket.pipe_file", refuse)
        with pytest.raises(StorageError, match=r"/out/.*: the line is cut"):
            run(bucket)
    assert not Path(os.environ["POSE3D_TEST_LOG"]).exists()
    monkeypatch.setattr("tests.pipeline.bucket.Bucket.info", refuse)
    with pytest.raises(StorageError) as caught:
        (bucket / "x").stat()
    assert str(caught.value) == f"{bucket}/x: the line is cut"


def test_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert place("a/../b") == tmp_path / "b"
    assert place(f"file://{tmp_path}/b") == tmp_path / "b"
    path = place("s3://bucket/a/b.c.mp4/")
    assert str(path) == "s3://bucket/a/b.c.mp4"
    assert (path.name, path.stem, path.suffix) == ("b.c.mp4", "b.c", ".mp4")
    assert path.parts == ("s3://bucket", "a", "b.c.mp4")
    assert str(path.parent.parent / "x") == "s3://bucket/x"
