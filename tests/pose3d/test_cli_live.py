"""``pose3d live`` of a file; the command itself, as users get it, is registered in ``cli``."""

import re

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import pose3d
from pose3d.live import live
from tests.pipeline.fakes import FakePose
from weights.errors import Pose3dError


@pytest.fixture
def run(monkeypatch):
    """Runs the function as a command with a quick detector."""
    monkeypatch.setattr("pipeline.detection.MediaPipePose", FakePose)
    app = typer.Typer()
    app.command()(live)

    def run(*arguments):
        answer = CliRunner().invoke(app, [str(argument) for argument in arguments])
        error = answer.exception
        if error is not None and not isinstance(error, SystemExit | Pose3dError):
            raise error
        return error, answer.stdout

    return run


def test_file_is_recorded(here, clip, run, tiny):
    clip("clip.mp4", frames=20)
    error, out = run("clip.mp4", "--record", "out/session.npz", "--lifter", tiny, "--no-flip")
    assert error is None
    assert out.split()[-1] == "out/session.npz"
    result = pose3d.load_result("out/session.npz")
    assert 1 <= len(result) <= 20
    assert len(result) + result.provenance["input"]["dropped"] == 20
    assert np.isfinite(result.joints3d).all()
    assert result.provenance["settings"]["causal"] is True


def test_interrupt_is_the_usual_end(here, clip, run, tiny, monkeypatch):
    def interrupt(index):
        if index == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.detection.MediaPipePose", lambda: FakePose(on_frame=interrupt))
    clip("clip.mp4", frames=60)
    error, out = run("clip.mp4", "--record", "session.npz", "--lifter", tiny)
    assert error is None
    assert out.split() == ["session.npz"]
    assert len(pose3d.load_result("session.npz")) == 5


def test_page_and_seconds(here, clip, run, tiny):
    clip("clip.mp4", frames=90)
    error, out = run("clip.mp4", "--lifter", tiny, "--seconds", "0.3", "--serve", "0", "-q")
    assert error is None
    assert re.search(r"http://127\.0\.0\.1:\d+/", out)
    assert not list(here.glob("*.npz"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("clip.mp4", "--camera", "1"), "exclude each other"),
        (("--record", "a.txt"), "ends in .npz"),
        (("none.mp4",), "no such file"),
        (("--camera", "97"), "camera 97 gives no picture"),
        (("--url", "file:///etc/passwd"), "not a URL"),
        (("--url", "rtsp://me:secret@127.0.0.1:1/a"), "rtsp://127.0.0.1:1/a gives no picture"),
    ],
)
def test_bad_input(here, run, tiny, capfd, arguments, words):
    error, _ = run(*arguments, "--lifter", tiny)
    assert words in str(error)
    assert "\n" not in str(error)
    assert capfd.readouterr().err == ""
