"""Recordings: the result of a live run, also when the run was killed."""

import resource
import signal
import subprocess
import sys
from collections import deque
from fractions import Fraction

import numpy as np
import pytest

import lifters3d
from pipeline.capture import Captured
from pipeline.joints import coco_to_h36m
from pipeline.live import CausalLifter, Moment
from pipeline.recording import MOMENT, Recording, read_recording
from pipeline.settings import Settings
from pose3d import lift
from tests.pipeline.fakes import save_tiny_lifter, walking
from weights.errors import Pose3dError

SIZE = (640, 480)
LIVE = Settings(causal=True, precision="fp32", device="cpu")
RATE = 20


@pytest.fixture
def network(tmp_path):
    return lifters3d.load(save_tiny_lifter(tmp_path / "tiny.safetensors"))


def moments(network, count, absent=()):
    """Of a man who walks, 20 times a second; he is away in some."""
    lifter = CausalLifter(network, SIZE, LIVE)
    for number in range(count):
        picture = Captured(np.zeros((1, 1, 3), np.uint8), number / RATE, number / RATE, number // 2)
        if number in absent:
            lifter.reset()
            nothing = np.full((17, 3), np.nan, np.float32)
            none = nothing[:, 0]
            yield Moment(picture, nothing[:, :2], none, nothing, none, "not_visible", 0.1)
        else:
            keypoints, scores = coco_to_h36m(walking(number, SIZE), np.full(17, 0.9))
            joints, doubt = lifter(keypoints, number / RATE)
            yield Moment(picture, keypoints, scores, joints, doubt, "ok", 0.1)


def test_recording_is_causal_lift(tmp_path, network):
    path = tmp_path / "a.npz.part"
    with Recording(path, "walk.mp4", SIZE, Fraction(RATE), network, LIVE) as recording:
        for moment in moments(network, 40, absent=range(18, 22)):
            recording.add(moment)
        assert len(recording) == 40
    result = read_recording(path)
    assert result.time_s == pytest.approx(np.arange(40) / RATE)
    there = np.r_[0:18, 22:40]
    expected = lift(
        result.keypoints2d[:, 0],
        SIZE,
        lifter=network,
        time_s=result.time_s,
        causal=True,
        precision="fp32",
    )
    assert np.abs(result.joints3d[there, 0] - expected[there]).max() < 1e-4
    assert np.isfinite(result.root[there]).all()
    assert np.isfinite(result.uncertainty[there]).all()
    assert (result.status[:, 0] == "not_visible").nonzero()[0].tolist() == [18, 19, 20, 21]
    assert np.isnan(result.joints3d[18:22]).all()
    assert result.frame_rate == RATE
    assert result.provenance["input"] == {"name": "walk.mp4", "live": True, "dropped": 19}
    assert result.provenance["settings"] == LIVE.as_dict()
    assert result.warnings == ["live: 19 pictures were dropped to keep up"]


def test_rate_of_a_camera_is_the_usual_one(tmp_path, network):
    path = tmp_path / "a.npz.part"
    with Recording(path, "camera 0", SIZE, None, network, LIVE) as recording:
        for number, moment in enumerate(moments(network, 30)):
            if number not in (7, 8, 20):
                recording.add(moment)
    assert read_recording(path).frame_rate == RATE


KILLED = """
import os, signal, sys
from pathlib import Path
import lifters3d
from pipeline.recording import Recording
from tests.pipeline.test_recording import LIVE, SIZE, moments
network = lifters3d.load(sys.argv[1])
recording = Recording(Path(sys.argv[2]), "camera 0", SIZE, None, network, LIVE)
for moment in moments(network, 25):
    recording.add(moment)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nothing_is_lost_when_it_is_killed(tmp_path, network):
    path, weights = tmp_path / "a.npz.part", tmp_path / "tiny.safetensors"
    done = subprocess.run([sys.executable, "-c", KILLED, weights, path], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    result = read_recording(path)
    expected = np.stack([moment.joints for moment in moments(network, 25)])
    assert result.joints3d[:, 0] == pytest.approx(expected, abs=1e-5)
    # The power went in the middle of a moment: that one is lost.
    path.write_bytes(path.read_bytes()[:-7])
    assert len(read_recording(path)) == 24


def test_what_is_no_recording(tmp_path, network):
    path = tmp_path / "a.npz.part"
    with pytest.raises(Pose3dError, match="cannot be read"):
        read_recording(path)
    for content in (b"", b"\x00\xff" * 400, b"{}\n", b'{"format": "pose3d-recording"}\n', b"[1]\n"):
        path.write_bytes(content)
        with pytest.raises(Pose3dError, match="not what 'pose3d live --record' leaves"):
            read_recording(path)
    with pytest.raises(Pose3dError, match=r"a\.npz\.part is there: .* --recover"):
        Recording(path, "camera 0", SIZE, None, network, LIVE)
    path.unlink()
    Recording(path, "camera 0", SIZE, None, network, LIVE)
    with pytest.raises(Pose3dError, match="camera 0 was not recorded: there was no picture"):
        read_recording(path)


def test_full_disk(tmp_path, network):
    path = tmp_path / "a.npz.part"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    recording = Recording(path, "camera 0", SIZE, None, network, LIVE)
    room = path.stat().st_size + 3 * MOMENT.itemsize + 50
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(Pose3dError, match="cannot be written"):
            deque(map(recording.add, moments(network, 9)), maxlen=0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(recording) == 3
    assert len(read_recording(path)) == 3
