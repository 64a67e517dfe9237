"""What the tests of the command share: an empty folder, clips, a quick lifter and detector."""

import sys

import pytest

from pose3d import cli
from tests.pipeline.clips import make_clip
from tests.pipeline.fakes import FakePose, save_tiny_lifter


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Path of a quick lifter's weights."""
    return str(save_tiny_lifter(tmp_path_factory.mktemp("weights") / "tiny.safetensors"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def clip(here):
    """Makes a short clip in the empty folder."""

    def make(path="clip.mp4", **kwargs):
        return make_clip(path, **{"frames": 6, **kwargs})

    return make


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs the command in this process, with a quick detector: exit code, stdout and stderr."""
    monkeypatch.setattr("pipeline.detection.MediaPipePose", FakePose)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["pose3d", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        said = capsys.readouterr()
        return stopped.value.code or 0, said.out, said.err

    return run
