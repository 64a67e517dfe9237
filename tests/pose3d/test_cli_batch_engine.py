"""``pose3d batch --engine ray`` and outputs in stores, as a user meets what is wrong with them."""

import socket
import sys

import pytest

from tests.pipeline.batch_fakes import FakeWork, recipe
from tests.pipeline.clips import make_clip


@pytest.fixture
def clip(here, monkeypatch):
    """A folder with a clip; no network is needed."""
    monkeypatch.setattr("pipeline.batch.workers.VideoWork", FakeWork)
    monkeypatch.setattr("pipeline.batch.recipe.recipe_of", recipe)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    make_clip("a.mp4", frames=2)
    return here


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--engine", "slurm"], "--engine must be local or ray, not 'slurm'"),
        (["--address", "head:6379"], "--address is that of a Ray cluster: give --engine ray"),
        (["--engine", "ray", "--gpus", "0"], "Ray gives GPUs out itself: leave it out"),
        (["--output", "moon://base/out"], "moon:// is no storage that is known"),
        (["--output", "s3://bucket/out"], "s3:// needs s3fs: pip install s3fs"),
    ],
)
def test_options_that_do_not_go_together(clip, command, options, words):
    code, out, err = command("batch", "a.mp4", *options)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1
    assert [path.name for path in clip.iterdir()] == ["a.mp4"]


def test_no_ray_is_installed(clip, command, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    code, out, err = command("batch", "a.mp4", "--engine", "ray")
    assert (code, out) == (2, "")
    assert "--engine ray needs Ray: pip install 'pose3d[ray]'" in err
    assert len(err.splitlines()) == 1


def test_no_ray_is_there(clip, command):
    pytest.importorskip("ray")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    code, out, err = command("batch", "a.mp4", "--engine", "ray", "--address", address)
    assert (code, out) == (2, "")
    assert f"nothing answers at {address} (Connection refused)" in err
    assert len(err.splitlines()) == 1
