"""Live lifting: it is the causal lifting of the whole, and late pictures are passed over."""

import os
import threading
import time
from collections import deque

import numpy as np
import pytest

import lifters3d
from pipeline.capture import CameraSource, FileSource
from pipeline.joints import coco_to_h36m
from pipeline.live import CausalLifter, follow
from pipeline.settings import Settings
from pose3d import lift
from tests.pipeline.clips import make_clip, number_of, numbered
from tests.pipeline.fakes import FakePose, save_tiny_lifter, walking
from weights.errors import Pose3dError

SIZE = (640, 480)
LIVE = Settings(causal=True, precision="fp32", device="cpu")


class FakeClock:
    """Time passes when somebody sleeps, or works."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        assert seconds >= 0
        self.now += seconds


def h36m(count):
    return coco_to_h36m(np.stack([walking(n, SIZE) for n in range(count)]))[0]


@pytest.mark.parametrize(
    ("name", "rate", "flip"),
    [("poseformer", 30, True), ("poseformer", 47, False), ("strided", 25, False)],
)
def test_frame_by_frame_is_causal_lift(name, rate, flip):
    count = 60
    time_s = np.arange(count) / rate + 0.004 * np.sin(np.arange(count))
    keypoints = h36m(count)
    keypoints[20:25, 3] = np.nan
    network = lifters3d.load(name)
    expected = lift(
        keypoints, SIZE, lifter=network, time_s=time_s, causal=True, flip=flip, precision="fp32"
    )
    settings = Settings(causal=True, flip=flip, precision="fp32", device="cpu")
    live = CausalLifter(network, SIZE, settings)
    got = np.stack([live(*frame)[0] for frame in zip(keypoints, time_s, strict=True)])
    assert np.abs(got - expected).max() < 1e-4


def test_sequence_lifter(tmp_path):
    network = lifters3d.load(save_tiny_lifter(tmp_path / "tiny.safetensors"))
    keypoints, time_s = h36m(40), np.arange(40) / 30
    expected = lift(keypoints, SIZE, lifter=network, time_s=time_s, causal=True, precision="fp32")
    live = CausalLifter(network, SIZE, LIVE)
    got = np.stack([live(*frame)[0] for frame in zip(keypoints, time_s, strict=True)])
    assert np.abs(got - expected).max() < 1e-4


def played(tmp_path, work_s, frames=30):
    """Numbers and moments of a clip of 30 frames/s, each worked on for so many seconds."""
    clip = make_clip(tmp_path / "clip.mp4", frames=frames, image=lambda i: numbered(i, 64, 48))
    clock = FakeClock()
    source = FileSource(clip, clock)
    detector = FakePose(on_frame=lambda index: clock.sleep(work_s))
    network = lifters3d.load(save_tiny_lifter(tmp_path / "tiny.safetensors"))
    lifter = CausalLifter(network, source.size, LIVE)
    moments = list(follow(source.frames(), detector, lifter, clock))
    return [number_of(moment.captured.image) for moment in moments], moments, source, network


def test_a_file_in_time_drops_nothing_and_takes_its_own_length(tmp_path):
    numbers, moments, _, _ = played(tmp_path, 0.010)
    assert numbers == list(range(30))
    assert moments[-1].captured.dropped == 0
    assert [m.latency_s for m in moments] == pytest.approx([0.010] * 30)
    assert moments[-1].captured.due_s - moments[0].captured.due_s == pytest.approx(29 / 30)


def test_late_work_gets_the_newest_picture(tmp_path):
    # 0.1 s is three pictures of 30 frames/s; a little more passes over a fourth now and then.
    numbers, moments, _, _ = played(tmp_path, 0.101)
    assert numbers[:4] == [0, 3, 6, 9]
    assert moments[-1].captured.dropped == 30 - len(numbers)
    # Never later than the work and the age of the newest picture (but after the last none comes).
    assert max(m.latency_s for m in moments[:-1]) < 0.101 + 1 / 30 + 1e-6


def test_whoever_asked_can_stop_between_pictures(tmp_path):
    # One picture a second: it is asked often while the next is awaited.
    clip = make_clip(tmp_path / "slow.mp4", rate=1, frames=5)
    asked = []
    clock = FakeClock()
    source = FileSource(clip, clock)
    pictures = source.frames(lambda: asked.append(clock.now) or clock.now > 101.5)
    assert len(list(pictures)) == 2
    assert 20 < len(asked) < 50


def test_pictures_at_uneven_times(tmp_path):
    times = [0.0, 0.02, 0.3, 0.31, 0.9]
    clip = make_clip(tmp_path / "uneven.mkv", times=times)
    clock = FakeClock()
    due = []
    for picture in FileSource(clip, clock).frames():
        assert clock.now == pytest.approx(picture.due_s)
        due.append(clock.now - 100)
    assert due == pytest.approx(times, abs=0.002)


class FakeCamera:
    """A camera of 100 pictures a second, whose level tells their number; pulled out after 30."""

    def __init__(self, *_):
        self.number = -1

    def isOpened(self):  # noqa: N802 - OpenCV's
        return True

    def grab(self):
        self.number += 1
        time.sleep(0.01)
        return self.number < 30

    def retrieve(self):
        return True, numbered(self.number, 64, 48)

    def read(self):
        return self.grab(), self.retrieve()[1]

    def release(self):
        pass


def test_camera_gives_its_newest_picture_until_it_is_gone(monkeypatch):
    monkeypatch.setattr("cv2.VideoCapture", FakeCamera)
    source = CameraSource(0)
    assert source.size == (64, 48)
    numbers, dropped = [], []

    def work(picture):
        numbers.append(number_of(picture.image))
        dropped.append(picture.dropped)
        time.sleep(0.05)

    with pytest.raises(Pose3dError, match="camera 0 gives no more pictures"):
        deque(map(work, source.frames()), maxlen=0)
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 29
    assert dropped[-1] == 30 - len(numbers)
    assert len(numbers) < 15


def test_a_camera_that_hangs_is_given_up(monkeypatch):
    pulled = threading.Event()

    class Hanging(FakeCamera):
        def grab(self):
            return super().grab() if self.number < 3 else pulled.wait()

    monkeypatch.setattr("cv2.VideoCapture", Hanging)
    monkeypatch.setattr("pipeline.capture.TIMEOUT_S", 0.5)
    source = CameraSource(0)
    with pytest.raises(Pose3dError, match=r"camera 0 gave no picture for 0\.5 s"):
        deque(source.frames(), maxlen=0)
    pulled.set()


def test_no_such_camera():
    with pytest.raises(Pose3dError, match="camera 97 gives no picture: there is no /dev/video97"):
        CameraSource(97)


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Pose3dError, match="is a pipe or a device: pose3d live - <"):
        FileSource(tmp_path / "pipe")
