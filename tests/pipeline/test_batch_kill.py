"""Batches that are killed: what a later run finds, redoes, and leaves in the end."""

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.pipeline.clips import make_clip
from tests.pipeline.test_batch_work import Video

ROOT = Path(__file__).parents[2]
VIDEOS = 8
pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends signals")


def batch(folder, output, log, *more, **options):
    """Starts a batch of texts in a process of its own, whose processes can be told."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.pipeline.batch_fakes", folder, output, log, *more],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.fixture
def texts(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(VIDEOS):
        # Two copies among them.
        (folder / f"v{number}.txt").write_text(f"text {number % (VIDEOS - 1)}")
    return folder


def lines_of(log):
    return log.read_text().splitlines() if log.exists() else []


def until(condition, process=None):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        if process is not None and process.poll() is not None:
            return
        time.sleep(0.005)


def tree(folder):
    """Bytes of all files by their place, but of those in the hidden folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in files
        if path.relative_to(folder).parts[0] != ".pose3d"
    }


def finished(output):
    """Names of the videos whose records say that they are done."""
    records = [json.loads(p.read_text()) for p in (output / ".pose3d/videos").glob("*.json")]
    return {Path(r["path"]).name for r in records if set(r["stages"]) == {"lift", "render"}}


def workers_of(log):
    return {int(line.split()[1]) for line in lines_of(log) if line.startswith("start")}


def alive(pid):
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        return not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except ProcessLookupError:
        return False


def test_killed_at_any_moment_and_run_again(texts, tmp_path):
    """The outputs are those of an unbroken run, and only videos in flight are done twice."""
    whole = batch(texts, tmp_path / "whole", tmp_path / "log0")
    assert whole.wait(60) == 0
    expected = tree(tmp_path / "whole")
    assert len(expected) == 2 * VIDEOS

    output, log = tmp_path / "out", tmp_path / "log"
    chance, kills, done = random.Random(0), 0, set()
    while True:
        before = len(lines_of(log))
        process = batch(texts, output, log, "pause=0.03")
        more = before + chance.randint(2, 7)
        until(lambda more=more: len(lines_of(log)) >= more, process)
        time.sleep(chance.random() * 0.05)
        process.kill()
        _, err = process.communicate(timeout=60)
        assert err == ""
        # No worker outlives its batch by more than a moment.
        until(lambda: not any(map(alive, workers_of(log))))
        worked_on = {line.split()[1] for line in lines_of(log)[before:]}
        assert not worked_on & done
        done = finished(output)
        if process.returncode == 0:
            break
        kills += 1
        # Every file that is there is whole.
        for name, content in tree(output).items():
            assert content == expected[name]
    assert kills >= 3
    assert tree(output) == expected
    stages = Counter(line for line in lines_of(log) if not line.startswith("start"))
    first_passes = sum(count for line, count in stages.items() if line.startswith("detect"))
    # Two workers; the copies have one first pass.
    assert first_passes <= VIDEOS - 1 + 2 * kills
    assert sum(stages.values()) <= 3 * VIDEOS - 1 + 2 * 3 * kills
    assert not list((output / ".pose3d" / "work").iterdir())


def test_killed_while_it_draws_anew(texts, tmp_path):
    """Old files beside new settings are not taken for new ones."""
    output, log = tmp_path / "out", tmp_path / "log"
    assert batch(texts, output, log).wait(60) == 0
    old = tree(output)
    assert batch(texts, tmp_path / "new", log, "smooth=none", "layout=grid").wait(60) == 0
    new = tree(tmp_path / "new")
    before = len(lines_of(log))
    process = batch(texts, output, log, "smooth=none", "layout=grid", "pause=0.05")
    until(lambda: len(lines_of(log)) >= before + 6)
    process.kill()
    process.communicate()
    for name, content in tree(output).items():
        assert content in (old[name], new[name])
    assert tree(output) not in (old, new)
    assert batch(texts, output, log, "smooth=none", "layout=grid").wait(60) == 0
    assert tree(output) == new
    assert not any(line.startswith("detect") for line in lines_of(log)[before:])
    # And back again.
    assert batch(texts, output, log).wait(60) == 0
    assert tree(output) == old


def test_a_worker_that_is_killed_fails_its_video_alone(texts, tmp_path):
    output, log = tmp_path / "out", tmp_path / "log"
    process = batch(texts, output, log, "pause=0.2", "workers=1")
    until(lambda: len(lines_of(log)) >= 2)
    (worker,) = workers_of(log)
    os.kill(worker, signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert (json.loads(out), err) == ({"done": VIDEOS - 1, "skipped": 0, "failed": 1}, "")
    assert len(workers_of(log)) == 2
    out, _ = batch(texts, output, log).communicate(timeout=60)
    assert json.loads(out) == {"done": 1, "skipped": VIDEOS - 1, "failed": 0}


def test_a_second_batch_is_told_of_the_first(texts, tmp_path):
    output, log = tmp_path / "out", tmp_path / "log"
    first = batch(texts, output, log, "pause=0.2")
    until(lambda: lines_of(log))
    second = batch(texts, output, log)
    _, err = second.communicate(timeout=60)
    assert second.returncode == 1  # of the tests' program
    assert err.startswith("error: another pose3d batch is at work on")
    assert first.wait(60) == 0
    assert len(tree(output)) == 2 * VIDEOS


PROGRAM = """
import signal, sys
import typer
from pose3d import cli
import pipeline.batch.workers, pipeline.batch.recipe
from tests.pipeline.batch_fakes import FakeWork, recipe

pipeline.batch.workers.VideoWork = FakeWork
pipeline.batch.recipe.recipe_of = recipe
signal.signal(signal.SIGINT, signal.default_int_handler)
cli.main()
"""


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_it_cleanly_with_the_summary(tmp_path, sent, code):
    folder, output, log = tmp_path / "in", tmp_path / "out", tmp_path / "log"
    folder.mkdir()
    for number in range(6):
        # FakeWork reads what is in a video as text.
        make_clip(folder / f"v{number}.mp4", frames=1, size=(16, 16 + 2 * number))
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "batch", folder, "-o", output, "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "POSE3D_TEST_LOG": str(log),
            "POSE3D_TEST_PAUSE": "0.2",
        },
        start_new_session=True,
    )
    until(lambda: len(lines_of(log)) >= 8, process)
    # As a terminal does: to the workers as well.
    os.killpg(process.pid, sent) if sent == signal.SIGINT else process.send_signal(sent)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
    done = len(finished(output))
    assert f"videos: {done} done, 0 skipped (done before), 0 failed, {6 - done} left" in out
    assert not any(map(alive, workers_of(log)))
    assert not list((output / ".pose3d" / "work").iterdir())
    assert {Path(name).suffix for name in tree(output)} <= {".npz", ".mp4"}


def same(ours, theirs):
    """Whether files are the same: to the bit, or to the eye if they are videos."""
    if ours == theirs or ours[4:8] != b"ftyp":
        return ours == theirs
    return Video(io.BytesIO(ours)) == Video(io.BytesIO(theirs))


@pytest.mark.slow
def test_the_real_work_killed_in_every_stage(tmp_path):
    pytest.importorskip("mediapipe")
    folder, output = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    clip = (ROOT / "demos" / "walk.mp4").read_bytes()
    for name in ("a.mp4", "b.mp4"):
        # Other content, the same pictures.
        (folder / name).write_bytes(clip + name.encode())

    def start(output):
        command = [sys.executable, "-m", "pose3d", "batch", folder, "-o", output, "--end", "1"]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen([*command, "--workers", "2", "-q"], env=env)

    assert start(tmp_path / "whole").wait(600) == 0
    expected = tree(tmp_path / "whole")
    assert len(expected) == 4
    chance, kills = random.Random(0), 0
    moments = (
        ".pose3d/work/1-of-1/*/*/log.txt",
        ".pose3d/detections/*.npz",
        "*_pose3d.npz",
        ".pose3d/work/1-of-1/*/*/.*.part.mp4",
    )
    for moment in moments:
        process = start(output)
        until(lambda moment=moment: list(output.glob(moment)), process)
        time.sleep(chance.random() * 0.3)
        process.kill()
        kills += process.wait() != 0
        for name, content in tree(output).items():
            assert same(content, expected[name]), name
    assert start(output).wait(600) == 0
    found = tree(output)
    assert found.keys() == expected.keys()
    assert all(same(found[name], expected[name]) for name in found)
    assert kills >= 2
