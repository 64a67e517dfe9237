"""``pose3d video`` of a URL and of a pipe."""

import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import pose3d
from tests.weights.site import Site, file


@pytest.fixture
def pipe(monkeypatch):
    """Puts bytes on standard input."""

    def put(content):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))

    return put


def test_url_gives_what_the_file_gives(here, clip, command, tiny, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    path = clip("clip.mp4")
    site = Site()
    try:
        site.pages["/videos/dance.mp4"] = file(path.read_bytes())
        url = site.url("/videos/dance.mp4")
        code, out, err = command("video", url, "--lifter", tiny, "-o", "web")
    finally:
        site.close()
    assert code == 0, err
    assert out.split() == ["web/dance_pose3d.mp4", "web/dance_pose3d.npz"]
    assert sorted(p.name for p in (here / "web").iterdir()) == [
        "dance_pose3d.mp4",
        "dance_pose3d.npz",
    ]
    assert command("video", "clip.mp4", "--lifter", tiny, "--no-render")[0] == 0
    web = pose3d.load_result("web/dance_pose3d.npz")
    local = pose3d.load_result("clip_pose3d.npz")
    assert np.array_equal(web.joints3d, local.joints3d)
    assert web.provenance["input"]["name"] == "dance.mp4"
    assert web.provenance["input"]["sha256"] == local.provenance["input"]["sha256"]


def test_stdin(here, clip, command, tiny, pipe):
    pipe(clip("clip.mp4").read_bytes())
    code, out, err = command("video", "-", "--lifter", tiny, "--no-render", "-o", "piped")
    assert code == 0, err
    assert out.split() == ["piped/stdin_pose3d.npz"]
    assert len(pose3d.load_result("piped/stdin_pose3d.npz")) == 6
    assert [p.name for p in (here / "piped").iterdir()] == ["stdin_pose3d.npz"]


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "standard input is empty"), (b"x" * 99, "is not a video")]
)
def test_bad_stdin(here, command, tiny, pipe, content, words):
    pipe(content)
    code, out, err = command("video", "-", "--lifter", tiny, "-q", "-o", "piped")
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert words in line
    assert "standard input" in line
    assert not list(here.iterdir())
