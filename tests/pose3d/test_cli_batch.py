"""``pose3d batch`` as a user meets it."""

import os
import shutil

import numpy as np
import pytest

from pipeline.result import load_result
from tests.pipeline.batch_fakes import FakeWork, recipe
from tests.pipeline.clips import make_clip


@pytest.fixture
def quick(here, monkeypatch):
    """A folder with two clips, one broken one and a text; their processing is quick."""
    monkeypatch.setattr("pipeline.batch.workers.VideoWork", FakeWork)
    monkeypatch.setattr("pipeline.batch.recipe.recipe_of", recipe)
    monkeypatch.setenv("POSE3D_TEST_LOG", str(here.parent / "log"))
    (here / "in").mkdir()
    make_clip("in/a.mp4", frames=2)
    make_clip("in/b.mp4", frames=3)
    (here / "in" / "broken.mp4").write_bytes((here / "in" / "a.mp4").read_bytes()[:300])
    (here / "in" / "notes.md").write_text("no video")
    return here


def test_a_batch_and_the_same_again(quick, command):
    code, out, err = command("batch", "in", "-o", "out", "--workers", 1)
    assert code == 1
    failure, *lines = err.splitlines()
    assert failure.startswith("[1/3] broken.mp4: failed: is ")
    assert [line[:5] for line in lines] == ["[2/3]", "[3/3]"]
    # The larger one came first.
    for name, line in zip(("a.mp4", "b.mp4"), sorted(lines, key=lambda s: s[6:]), strict=True):
        assert line[6:].startswith(f"{name}: 6 frames in ")
    assert "broken.mp4  is " in out
    assert "videos: 2 done, 0 skipped (done before), 1 failed" in out
    assert "times real time" in out
    assert "passed over: not videos: 1, made by pose3d: 0" in out
    assert sorted(path.name for path in (quick / "out").iterdir() if path.name[0] != ".") == [
        "a_pose3d.mp4",
        "a_pose3d.npz",
        "b_pose3d.mp4",
        "b_pose3d.npz",
    ]
    os.remove("in/broken.mp4")
    code, out, err = command("batch", "in", "-o", "out")
    assert (code, err) == (0, "")
    assert "videos: 0 done, 2 skipped (done before), 0 failed" in out
    code, out, err = command("batch", "in", "-o", "out", "--layout", "grid", "--limit", 1)
    assert code == 0
    assert "[1/2] a.mp4: 6 frames" in err
    assert "from render on)" in err
    assert "videos: 1 done, 0 skipped (done before), 0 failed, 1 left" in out


def test_quiet_says_failures_alone(quick, command):
    code, out, err = command("batch", "in", "-o", "out", "-q")
    assert (code, out) == (1, "")
    assert err.startswith("failed: broken.mp4: is ")
    assert len(err.splitlines()) == 1


def test_a_dry_run_says_what_and_why_and_does_nothing(quick, command):
    shutil.copy("in/a.mp4", "in/a.mov")
    code, out, err = command("batch", "in", "-o", "out", "--dry-run")
    assert (code, err) == (0, "")
    rows = [line.split(maxsplit=1) for line in out.splitlines()]
    rows = {name: " ".join(rest.split()) for name, rest in filter(lambda r: len(r) == 2, rows)}
    assert rows["a.mov"] == "detect, lift, render new a.mov_pose3d"
    assert rows["b.mp4"] == "detect, lift, render new b_pose3d"
    assert rows["broken.mp4"].startswith("fail is ")
    assert "videos: 4, to work on: 3" in out
    assert not (quick / "out").exists()
    command("batch", "in", "-o", "out")
    code, out, _ = command("batch", "in", "-o", "out", "--dry-run", "--smooth", "none")
    assert out.count("lift, render  smooth changed") == 3
    assert "detect, lift" not in out
    code, out, _ = command("batch", "in", "-o", "out", "--dry-run", "--no-render")
    assert out.count("nothing  done before") == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent"], "no such file or folder: absent"),
        (["in/notes.md", "--shard", "0/2"], "--shard must be I/N"),
        (["in", "--shard", "3/2"], "--shard must be I/N"),
        (["in", "--from-stage", "track"], "--from-stage must be detect, lift or render"),
        (["in", "--from-stage", "render", "--no-render"], "exclude each other"),
        (["in", "--gpus", "a"], "--gpus must be numbers"),
        (["in", "--gpus", "0", "--device", "cpu"], "exclude each other"),
        (["in", "--gpus", "99"], "device 'cuda:99' is not there"),
        (["in", "--device", "tpu"], "unknown device 'tpu'"),
        (["in", "--people", "all", "--person", "1"], "exclude each other"),
        (["in", "--layout", "round"], "setting layout must be"),
        (["in", "--workers", "0"], "--workers"),
        (["in", "--segment", "3"], "--segment must be 10 seconds or more, not 3"),
        (["in", "--segment", "nan"], "--segment must be 10 seconds or more, not nan"),
    ],
)
def test_wrong_usage_is_one_line(quick, command, arguments, words):
    code, out, err = command("batch", *arguments, "-o", "out")
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1
    assert not (quick / "out").exists()


def test_the_real_work_through_the_command(here, command, tiny):
    """MediaPipe, a lifter, two workers; files with names that are strange to terminals."""
    pytest.importorskip("mediapipe")
    make_clip("[red]one:smile:.mp4", frames=4)
    make_clip("two.mkv", frames=5)
    code, out, err = command("batch", ".", "--lifter", tiny, "--workers", 2, "--layout", "overlay")
    assert code == 0, err
    assert "videos: 2 done (2 with warnings)" in out
    assert "warning: two.mkv: no person was found in any frame" in err
    for name, frames in (("[red]one:smile:", 4), ("two", 5)):
        result = load_result(f"{name}_pose3d.npz")
        assert len(result) == frames
        assert np.isnan(result.joints3d).all()
        assert os.path.getsize(f"{name}_pose3d.mp4")
    code, out, _ = command("batch", ".", "--lifter", tiny, "--layout", "overlay")
    assert "videos: 0 done, 2 skipped" in out
    assert "passed over: not videos: 0, made by pose3d: 4" in out
    # The lifter's neighbour re-lifts without the videos' pictures.
    code, out, err = command("batch", ".", "--lifter", tiny, "--layout", "overlay", "--fov", 40)
    assert err.count("from lift on)") == 2
