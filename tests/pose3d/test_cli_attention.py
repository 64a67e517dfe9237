"""`pose3d attention`: a picture from a clip or from a result, and what is refused."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from tests.pipeline.fakes import FakePose

ROOT = Path(__file__).parents[2]


def is_picture(path):
    picture = cv2.imread(str(path))
    return picture is not None and min(picture.shape[:2]) > 400 and picture.std() > 10


def test_a_clip(command, here, clip, tiny):
    clip(frames=30)
    code, out, err = command("attention", "clip.mp4", "--lifter", tiny, "-o", "look.png")
    assert (code, out) == (0, "look.png\n")
    assert "2D keypoints" in err
    assert "warning" not in err
    assert is_picture("look.png")
    assert sorted(path.name for path in here.iterdir()) == ["clip.mp4", "look.png"]


def test_a_result_needs_no_detector(command, here, clip, tiny, monkeypatch):
    clip(frames=30)
    command("video", "clip.mp4", "--lifter", tiny, "--no-render", "--quiet")
    Path("clip.mp4").unlink()
    monkeypatch.setattr("pipeline.detection.MediaPipePose", None)
    code, out, err = command("attention", "clip_pose3d.npz", "--lifter", tiny)
    assert (code, out, err) == (0, "heads.png\n", "")
    whole = Path("heads.png").read_bytes()
    assert is_picture("heads.png")
    part = ["--start", "0.5", "--end", "0.9"]
    code, out, err = command("attention", "clip_pose3d.npz", "--lifter", tiny, *part)
    assert (code, out, err) == (0, "heads.png\n", "")
    assert Path("heads.png").read_bytes() != whole
    code, out, err = command("attention", "clip_pose3d.npz", "--lifter", tiny, "--start", "7")
    assert (code, out) == (2, "")
    assert err == "error: clip_pose3d.npz: no frame in the chosen range\n"


def test_a_clip_shorter_than_a_window(command, clip, tiny):
    clip(frames=5)
    code, out, err = command("attention", "clip.mp4", "--lifter", tiny)
    assert (code, out) == (0, "heads.png\n")
    assert "warning: the clip is shorter than the lifter's 9 frames" in err
    code, out, err = command("attention", "clip.mp4", "--lifter", tiny, "--quiet")
    assert (code, out, err) == (0, "heads.png\n", "")


def test_nobody_in_the_clip(command, here, clip, tiny, monkeypatch):
    nobody = FakePose(absent=lambda index: True)
    monkeypatch.setattr("pipeline.detection.MediaPipePose", lambda: nobody)
    clip()
    code, out, err = command("attention", "clip.mp4", "--lifter", tiny, "--quiet")
    assert (code, out) == (2, "")
    assert err == "error: clip.mp4: nobody was found in any frame: there is nothing to look at\n"
    assert [path.name for path in here.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.mp4"], "no such file: absent.mp4"),
        (["absent.npz"], "absent.npz: cannot read the result"),
        (["text.npz"], "text.npz: not a pose3d result"),
        (["clip.mp4", "-o", "a.jpg"], r"a\.jpg: the picture is a PNG"),
        (["clip.mp4", "-o", "a"], "a: the picture is a PNG"),
        (["clip.mp4", "-o", "absent/a.png"], "absent: no such folder"),
        (["clip.mp4", "-o", "folder.png"], r"folder\.png is a folder"),
        (["clip.png", "-o", "clip.png"], r"clip\.png is the input itself"),
        (["clip.mp4", "--lifter", "mixst"], "unknown lifter 'mixst'"),
        (["clip.mp4", "--lifter", "absent.pth"], r"absent\.pth"),
        (["clip.mp4", "--start", "3", "--end", "2"], "end"),
        (["clip.mp4", "--device", "gpu"], "unknown device 'gpu'"),
        ([], "CLIP"),
    ],
)
def test_bad_input(command, here, clip, tiny, arguments, words):
    clip()
    Path("folder.png").mkdir()
    Path("text.npz").write_text("This is no result.\n")
    Path("clip.png").symlink_to("clip.mp4")
    before = sorted((path.name, path.stat().st_mtime_ns) for path in here.iterdir())
    if "--lifter" not in arguments:
        arguments = [*arguments, "--lifter", tiny]
    code, out, err = command("attention", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert re.search(words, err)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in here.iterdir()) == before


def test_a_lifter_without_weights(command, clip, monkeypatch):
    monkeypatch.setattr("weights.store.entries", dict)
    clip()
    code, out, err = command("attention", "clip.mp4", "--lifter", "strided")
    assert (code, out) == (2, "")
    assert err == "error: no weights for 'strided' are shipped yet: give a weights file\n"


def test_disk_full(command, here, clip, tiny, monkeypatch):
    def fail(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    clip()
    monkeypatch.setattr(Path, "write_bytes", fail)
    code, out, err = command("attention", "clip.mp4", "--lifter", tiny, "--quiet")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == "error: heads.png: cannot be written (No space left on device)"
    assert [path.name for path in here.iterdir()] == ["clip.mp4"]


def test_the_help_is_quick(here):
    program = (
        "import sys\nfrom pose3d.cli import main\n"
        "try:\n    main()\nfinally:\n"
        "    print({'torch', 'matplotlib', 'av', 'cv2'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "attention", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"},
    )
    assert (done.returncode, done.stderr) == (0, "set()\n")
    for flag in ("CLIP", "--lifter", "--output", "--start", "--end", "--device", "--quiet"):
        assert flag in done.stdout
