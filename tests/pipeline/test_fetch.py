"""Videos from the web: what arrives is spooled; what goes wrong is one line, and leaves none."""

import shutil
import time
from collections import namedtuple

import pytest

from pipeline import fetch
from pipeline.fetch import name_of, spooled
from tests.weights.site import CONTENT, Site, answer, file, status
from weights.errors import Pose3dError


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(fetch, "TIMEOUT_S", 0.5)
    site = Site()
    yield site
    site.close()


def refused(url, folder):
    """The one line of the error; nothing may be left of the attempt."""
    with pytest.raises(Pose3dError) as caught, spooled(url, folder):
        pass
    assert not folder.exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_is_there_during_the_block_and_named_as_in_the_url(site, tmp_path):
    site.pages["/old"] = status(302, Location="/a/my%20clip.mp4?key=secret")
    site.pages["/a/my%20clip.mp4?key=secret"] = file(CONTENT)
    told = []
    with spooled(site.url("/old"), tmp_path, lambda *told_: told.append(told_)) as path:
        assert path.read_bytes() == CONTENT
        assert path.name == "old"
        (hidden,) = tmp_path.iterdir()
        assert (hidden.name[0], hidden.suffix) == (".", ".part")
    assert (told[0], told[-1]) == ((0, len(CONTENT)), (len(CONTENT), len(CONTENT)))
    assert not list(tmp_path.iterdir())
    with spooled(site.url("/a/my%20clip.mp4?key=secret"), tmp_path) as path:
        assert path.name == "my clip.mp4"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://a.b/x/dance.webm?t=1#2", "dance.webm"),
        ("https://a.b/", "video"),
        ("https://a.b/%2e%2e%2f..", "video"),
        ("https://a.b/..%2f.bashrc", "bashrc"),
        ("https://a.b/a%00b%0a.mp4", "a_b_.mp4"),
        ("https://a.b/-o.mp4", "o.mp4"),
        ("https://a.b/" + "é" * 300 + ".mp4", "é" * 40 + ".mp4"),
        ("-", "stdin"),
    ],
)
def test_names_are_harmless(url, name):
    assert name_of(url) == name


def test_what_the_web_answers_instead(site, tmp_path):
    folder = tmp_path / "out"
    site.pages["/gone.mp4?key=1"] = status(404)
    site.pages["/page.mp4"] = lambda h: answer(h, 200, b"hi", Content_Type="text/html")
    site.pages["/liar.mp4"] = lambda h: answer(
        h, 200, b" <!DOCTYPE html>", Content_Type="video/mp4"
    )
    site.pages["/list"] = lambda h: answer(h, 200, b"#EXTM3U\n")
    site.pages["/round"] = status(302, Location="/round")
    site.pages["/ftp"] = status(302, Location="ftp://127.0.0.1/a.mp4")
    site.pages["/local"] = status(302, Location="file:///etc/hostname")
    site.pages["/nothing"] = status(200)
    site.pages["/nowhere"] = status(302)
    site.pages["/part"] = lambda h: answer(h, 206, CONTENT[:9], Content_Range="bytes 0-8/99")
    site.pages["/comment.mp4"] = lambda h: answer(
        h, 200, b"\xef\xbb\xbf<!-- a\n-->\n<html>", Content_Type="video/mp4"
    )
    said = refused(site.url("/gone.mp4?key=1"), folder)
    assert said == f"{site.url('/gone.mp4')} cannot be had: HTTP 404 Not Found"
    for path, words in {
        "/page.mp4": "is a web page",
        "/liar.mp4": "is a web page",
        "/list": "is a play list",
        "/round": "redirects too often",
        "/ftp": "redirects to ftp",
        "/local": "redirects to no web address",
        "/nothing": "is empty",
        "/nowhere": "redirects to no web address",
        "/part": "sends a part of it only",
        "/comment.mp4": "is a web page",
    }.items():
        assert words in refused(site.url(path), folder)


def test_many_redirects_are_too_many(site, tmp_path):
    for n in range(20):
        site.pages[f"/{n}"] = status(302, Location=f"/{n + 1}")
    assert "redirects too often" in refused(site.url("/0"), tmp_path / "out")
    assert len(site.asked) == 6


def test_connections_that_break_off_or_fall_silent(site, tmp_path):
    folder = tmp_path / "out"

    def slow(handler):
        answer(handler, 200, CONTENT[:1000], announced=2000)
        time.sleep(2)

    site.pages["/half.mp4"] = file(CONTENT, stop=5000)
    site.pages["/slow.mp4"] = slow
    site.pages["/mute.mp4"] = lambda handler: time.sleep(2)
    assert f"broke off after 5000 of {len(CONTENT)} bytes" in refused(site.url("/half.mp4"), folder)
    began = time.monotonic()
    assert "broke off: no answer for 0.5 s" in refused(site.url("/slow.mp4"), folder)
    assert "no answer for 0.5 s" in refused(site.url("/mute.mp4"), folder)
    assert time.monotonic() - began < 2
    site.close()
    assert "refused" in refused(site.url("/half.mp4"), folder)


def test_urls_as_browsers_show_them(site, tmp_path):
    site.pages["/f%C3%BCnf%20%20a.mp4?x=%C3%A4"] = file(CONTENT)
    with spooled(site.url("/fünf%20 a.mp4?x=ä"), tmp_path / "out") as path:
        assert path.name == "fünf  a.mp4"
        assert path.read_bytes() == CONTENT


def test_bad_urls(tmp_path):
    assert "not a valid URL" in refused("http://", tmp_path / "out")
    assert "not a valid URL" in refused("http://a b/c.mp4", tmp_path / "out")
    assert "not a valid URL" in refused("http://a:b/c.mp4", tmp_path / "out")
    assert "secret" not in refused("http://me:secret@127.0.0.1/c.mp4", tmp_path / "out")


def test_the_disk_stays_free(site, tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(fetch.KEPT_FREE + 9000))
    site.pages["/told.mp4"] = file(CONTENT)

    def untold(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(CONTENT)

    site.pages["/untold.mp4"] = untold
    for path in ("/told.mp4", "/untold.mp4"):
        assert "does not fit on the disk" in refused(site.url(path), tmp_path / "out")


def test_errors_inside_name_the_source(site, tmp_path):
    site.pages["/a.mp4"] = file(CONTENT)
    with pytest.raises(Pose3dError) as caught, spooled(site.url("/a.mp4"), tmp_path) as path:
        raise Pose3dError(f"{path} is not a video")
    assert str(caught.value) == f"{site.url('/a.mp4')} is not a video"
