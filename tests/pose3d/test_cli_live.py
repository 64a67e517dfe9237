"""``pose3d live`` of files and streams, with a quick detector."""

import http.client
import re
import shutil
import socket
import threading
import time

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import pose3d
from pose3d.live import live
from tests.pipeline.fakes import FakePose
from tests.pipeline.rtsp import RtspServer, age_of, clock_picture
from tests.pipeline.test_window import Screen
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
        return error, answer.stdout if error is not None else answer.output

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
    assert "session.npz" in out.split()
    assert len(pose3d.load_result("session.npz")) == 5
    assert not list(here.glob("*.part"))


def test_terminated(here, clip, run, tiny, monkeypatch):
    def terminate(index):
        if index == 5:
            raise SystemExit(143)  # as ``cli`` makes of SIGTERM

    monkeypatch.setattr("pipeline.detection.MediaPipePose", lambda: FakePose(on_frame=terminate))
    clip("clip.mp4", frames=60)
    error, _ = run("clip.mp4", "--record", "session.npz", "--lifter", tiny)
    assert error.code == 143
    assert len(pose3d.load_result("session.npz")) == 5


def test_killed_and_recovered(here, clip, run, tiny, monkeypatch):
    kept = here / "kept.npz.part"

    def keep(index):  # what is there in the middle of it
        if index == 8:
            shutil.copy("session.npz.part", kept)

    monkeypatch.setattr("pipeline.detection.MediaPipePose", lambda: FakePose(on_frame=keep))
    clip("clip.mp4", frames=60)
    run("clip.mp4", "--record", "session.npz", "--lifter", tiny)
    error, out = run("--recover", kept)
    assert error is None
    assert str(here / "kept.npz") in out
    whole, part = pose3d.load_result("session.npz"), pose3d.load_result(here / "kept.npz")
    assert len(part) == 8
    assert part.joints3d == pytest.approx(whole.joints3d[:8])
    # Nothing is overwritten, and a new run does not write to what is left of the old one.
    assert "is there already" in str(run("--recover", kept)[0])
    again, _ = run("clip.mp4", "--record", "kept.npz", "--lifter", tiny)
    assert "kept.npz.part is there: " in str(again)
    error, _ = run("--recover", kept, "--record", "other.npz")
    assert error is None
    assert pose3d.load_result("other.npz").equals(part)


def test_window_that_is_closed(here, clip, run, tiny, monkeypatch):
    screen = Screen(monkeypatch)
    monkeypatch.setattr("pipeline.window.check_display", lambda: None)
    detector = FakePose(on_frame=lambda index: setattr(screen, "key", ord("q") if index > 6 else 0))
    monkeypatch.setattr("pipeline.detection.MediaPipePose", lambda: detector)
    clip("clip.mp4", frames=60)
    error, out = run("clip.mp4", "--show", "--record", "session.npz", "--lifter", tiny)
    assert error is None
    assert "http://" not in out
    assert len(pose3d.load_result("session.npz")) == 8
    assert screen.shown == {}  # the window has gone


def test_window_can_be_closed_while_nothing_comes(here, run, tiny, monkeypatch):
    screen = Screen(monkeypatch)
    monkeypatch.setattr("pipeline.window.check_display", lambda: None)
    with RtspServer(lambda number: clock_picture(), silent_after=45) as server:
        threading.Timer(4, lambda: setattr(screen, "key", 27)).start()
        began = time.monotonic()
        error, out = run("--url", server.url, "--show", "--lifter", tiny)
    assert error is None
    assert time.monotonic() - began < 8
    assert "0 frames" not in out


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def watch(port, ages):
    """Ages of the pictures of the page, by the clock that is in them, as they come to a viewer."""
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", "/stream")
            stream = connection.getresponse()
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    while line := stream.readline():
        if line.lower().startswith(b"content-length"):
            stream.readline()
            jpeg = stream.read(int(line.split()[1]))
            image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            ages.append(age_of(image[:, :480]))  # the camera's picture, half as large again


def test_latency_that_is_told_is_that_of_a_viewer(here, run, tiny, monkeypatch):
    detector = FakePose(absent=lambda index: True, on_frame=lambda index: time.sleep(0.1))
    monkeypatch.setattr("pipeline.detection.MediaPipePose", lambda: detector)
    port, ages, rate = free_port(), [], 25
    threading.Thread(target=watch, args=(port, ages), daemon=True).start()
    with RtspServer(lambda number: clock_picture(), rate=rate) as server:
        error, out = run("--url", server.url, "--serve", port, "--seconds", 5, "--lifter", tiny)
    assert error is None
    told = int(re.search(r"latency (\d+) ms \(median\)", out)[1]) / 1000
    assert told > 0.1
    assert len(ages) > 15
    # On top are coding, and the picture that libav waits for.
    assert -0.005 < np.median(ages) - told < 1 / rate + 0.08


def test_a_camera_that_drops_out_does_not_end_the_recording(here, run, tiny):
    with RtspServer(lambda number: clock_picture(), hang_up_after=60) as server:
        arguments = ("--url", server.url, "--record", "session.npz", "--seconds", 12)
        error, out = run(*arguments, "--lifter", tiny, "--no-flip")
    assert error is None
    assert "broke off: it was closed" in out
    assert f"{server.url} is back" in out
    result = pose3d.load_result("session.npz")
    assert result.provenance["input"]["name"] == server.url
    away = np.flatnonzero(np.diff(result.time_s) > 0.5)
    away = away[away > 10]  # a busy machine stutters at first
    assert len(away)
    assert result.time_s[-1] - result.time_s[away[0] + 1] > 0.3


def test_very_slow_lifter(here, clip, run, tiny, monkeypatch):
    detector = FakePose(on_frame=lambda index: time.sleep(0.7))
    monkeypatch.setattr("pipeline.detection.MediaPipePose", lambda: detector)
    clip("clip.mp4", frames=60)
    error, _ = run("clip.mp4", "--record", "session.npz", "--lifter", tiny)
    assert error is None
    result = pose3d.load_result("session.npz")
    assert 3 <= len(result) <= 5
    assert np.isfinite(result.joints3d).all()


def test_page_for_others_is_told(here, clip, run, tiny):
    clip("clip.mp4", frames=3)
    error, out = run("clip.mp4", "--host", "0.0.0.0", "--lifter", tiny)
    assert error is None
    words = re.sub(r"\s+", " ", out)
    assert "can watch, without a password" in words
    assert "can watch" not in run("clip.mp4", "--lifter", tiny)[1]


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
        (("--url", ""), "not a URL"),
        (("rtsp://127.0.0.1:1/a",), "is given by --url"),
        (("--recover", "none.npz.part"), "cannot be read"),
        (("--recover", "session.npz"), "give the .npz.part"),
        (("--recover", "a.npz.part", "--record", "a.txt"), "ends in .npz"),
        (("--recover", "a.npz.part", "--seconds", "3"), "leave out all but --record"),
        (("clip.mp4", "--recover", "a.npz.part"), "exclude each other"),
        (("--host", "kitchen"), "is no address"),
    ],
)
def test_bad_input(here, run, tiny, capfd, arguments, words):
    error, _ = run(*arguments, "--lifter", tiny)
    assert words in str(error)
    assert "\n" not in str(error)
    assert capfd.readouterr().err == ""
