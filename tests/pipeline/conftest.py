"""What the tests of whole runs share: a quick lifter, a quick detector, clips, a progress."""

import pytest
import torch

from tests.pipeline.batch_fakes import Shop
from tests.pipeline.clips import make_clip
from tests.pipeline.fakes import FakePose, save_tiny_lifter


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Path of a quick lifter's weights."""
    return str(save_tiny_lifter(tmp_path_factory.mktemp("weights") / "tiny.safetensors"))


@pytest.fixture
def pose(monkeypatch):
    """Puts a FakePose in place of the detector, and gives it."""

    def install(**kwargs):
        fake = FakePose(**kwargs)
        monkeypatch.setattr("pipeline.detection.MediaPipePose", lambda: fake)
        return fake

    return install


@pytest.fixture
def clip(tmp_path):
    def make(name="clip.mp4", **kwargs):
        return make_clip(tmp_path / name, **{"frames": 12, **kwargs})

    return make


class Listener:
    """A progress that remembers."""

    def __init__(self):
        self.stages = []

    def stage(self, name, total):
        self.stages.append([name, total, 0])

    def advance(self, frames=1):
        self.stages[-1][2] += frames


@pytest.fixture
def listener():
    return Listener()


@pytest.fixture
def one_thread():
    """Batches one after the other, for lifters that keep what they were given in order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Folders of texts and of outputs, and the log of the stages that began."""
    monkeypatch.setenv("POSE3D_TEST_LOG", str(tmp_path / "log"))
    (tmp_path / "in").mkdir()
    return Shop(tmp_path / "in", tmp_path / "out", tmp_path / "log")
