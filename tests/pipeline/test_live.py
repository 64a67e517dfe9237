"""Live lifting: it is the causal lifting of the whole, and late pictures are passed over."""

import time
from collections import deque
from fractions import Fraction

import numpy as np
import pytest

import lifters3d
from pipeline.capture import CameraSource, FileSource
from pipeline.joints import coco_to_h36m
from pipeline.live import CausalLifter, Recording, follow
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


def test_record(tmp_path):
    numbers, moments, source, network = played(tmp_path, 0.05)
    recording = Recording(source.name, source.size, source.frame_rate)
    for moment in moments:
        recording.add(moment)
    result = recording.result(network, LIVE)
    assert result.time_s == pytest.approx(np.array(numbers) / 30)
    expected = lift(
        result.keypoints2d[:, 0],
        source.size,
        lifter=network,
        time_s=result.time_s,
        causal=True,
        precision="fp32",
    )
    assert np.abs(result.joints3d[:, 0] - expected).max() < 1e-4
    assert np.isfinite(result.root).all()
    assert result.frame_rate == Fraction(30)
    assert result.provenance["input"]["dropped"] == 30 - len(numbers)
    assert result.warnings == [f"live: {30 - len(numbers)} pictures were dropped to keep up"]


class FakeCamera:
    """A camera of 100 pictures a second, whose level tells their number; pulled out after 30."""

    def __init__(self, *_):
        self.number = -1

    def isOpened(self):  # noqa: N802 - OpenCV's
        return True

    def read(self):
        self.number += 1
        time.sleep(0.01)
        return self.number < 30, numbered(self.number, 64, 48)

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


def test_nothing_recorded_and_no_camera():
    with pytest.raises(Pose3dError, match="no picture to record"):
        Recording("camera 0", SIZE, None).result(None, LIVE)
    with pytest.raises(Pose3dError, match="camera 97 gives no picture"):
        CameraSource(97)
    with pytest.raises(Pose3dError, match="not a URL") as caught:
        CameraSource("file://me:secret@host/etc/passwd")
    assert "secret" not in str(caught.value)
