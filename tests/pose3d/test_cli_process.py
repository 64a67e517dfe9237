"""The command in a process of its own: names, signals, full disks, a quiet stderr."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import pose3d

ROOT = Path(__file__).parents[2]

PROGRAM = """
import resource, signal, sys, time
import pipeline.detection
from pose3d.cli import main
from tests.pipeline.fakes import FakePose

limit, pause = int(sys.argv.pop(1)), float(sys.argv.pop(1))
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
if pause:
    import pipeline.video
    write = pipeline.video.VideoWriter.write
    def slowly(*arguments):
        time.sleep(pause)
        write(*arguments)
    pipeline.video.VideoWriter.write = slowly
pipeline.detection.MediaPipePose = FakePose
# Started in the background of a shell, programs ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""


def program(*arguments, limit=0, pause=0, text=True):
    """Starts the command with a quick detector, a limit on the size of files, slow encoding."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(limit), str(pause), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=text,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on file sizes")
def test_disk_full_while_rendering(here, clip, tiny):
    noise = np.random.default_rng(0).integers(0, 256, (20, 240, 320, 3), np.uint8)
    clip(frames=20, size=(320, 240), image=lambda i: noise[i])
    process = program("video", "clip.mp4", "--lifter", tiny, limit=60_000)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert out == ""
    *_, line = err.splitlines()
    assert line.startswith("error: ")
    assert "larger than the system allows" in line
    assert err.count("error") == 1
    assert "Traceback" not in err
    assert sorted(path.name for path in here.iterdir()) == ["clip.mp4", "clip_pose3d.npz"]
    assert len(pose3d.load_result("clip_pose3d.npz")) == 20


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
@pytest.mark.parametrize(
    ("sent", "code", "said"),
    [
        (signal.SIGINT, 130, "error: interrupted; files that were finished remain\n"),
        (signal.SIGTERM, 143, ""),
    ],
    ids=["SIGINT", "SIGTERM"],
)
def test_ctrl_c_while_rendering(here, clip, tiny, sent, code, said):
    clip(frames=60)
    process = program("video", "clip.mp4", "--lifter", tiny, "--quiet", pause=0.5)
    deadline = time.monotonic() + 60
    while not list(here.glob(".*.part.mp4")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(sent)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert out == ""
    assert err == said
    assert sorted(path.name for path in here.iterdir()) == ["clip.mp4", "clip_pose3d.npz"]
    assert len(pose3d.load_result("clip_pose3d.npz")) == 60


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are Unicode")
def test_a_name_that_is_no_text(clip, tiny):
    name = b"l\xe4ufer.mp4"
    os.rename(clip("clip.mp4"), name)
    process = program("video", os.fsdecode(name), "--lifter", tiny, "--quiet", text=False)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert out.splitlines() == [b"l\xe4ufer_pose3d.mp4", b"l\xe4ufer_pose3d.npz"]
    result = pose3d.load_result(os.fsdecode(b"l\xe4ufer_pose3d.npz"))
    assert result.provenance["input"]["name"] == "l\N{REPLACEMENT CHARACTER}ufer.mp4"


def test_the_real_command_is_quiet(here):
    """Not a word but ours on stderr, whatever libraries are loaded on the way."""
    done = subprocess.run(
        [sys.executable, "-m", "pose3d", "video", "absent.mp4"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: no such file: absent.mp4\n"
    assert list(here.iterdir()) == []
