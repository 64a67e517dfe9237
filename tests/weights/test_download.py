"""Downloads from a server on this machine, which does what servers and networks do."""

import hashlib
import threading
import time
from types import SimpleNamespace
from urllib.request import Request

import pytest

from tests.weights.site import (
    CONTENT,
    HALF,
    answer,
    entry,
    file,
    get,
    in_turn,
    kept,
    refused,
    status,
)
from weights import download


def test_a_good_server(site, folder):
    site.pages["/net.pth"] = file(CONTENT)
    told = []
    wanted = entry(site.url("/net.pth"))
    path = get(wanted, progress=lambda done, total: told.append((done, total)))
    assert path == folder / "net.pth"
    assert path.read_bytes() == CONTENT
    assert kept(folder) == ["net.pth"]
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert told == sorted(told)
    assert site.asked == [("/net.pth", None, None)]
    assert get(wanted) == path
    assert len(site.asked) == 1


def test_the_whole_sum_counts_where_it_is_known(site, folder):
    site.pages["/net.pth"] = file(CONTENT)
    whole = hashlib.sha256(CONTENT).hexdigest()
    last = whole[:-1] + ("0" if whole[-1] != "0" else "1")
    assert "its SHA-256" in refused(entry(site.url("/net.pth"), sha256=last))
    assert get(entry(site.url("/net.pth"), sha256=whole)).read_bytes() == CONTENT


def test_a_broken_download_asks_for_the_rest_only(site, folder):
    site.pages["/net.pth"] = in_turn(file(CONTENT, stop=HALF), file(CONTENT))
    notes, told = [], []
    path = get(
        entry(site.url("/net.pth")),
        note=notes.append,
        progress=lambda done, total: told.append((done, total)),
    )
    assert path.read_bytes() == CONTENT
    assert site.asked == [("/net.pth", None, None), ("/net.pth", f"bytes={HALF}-", '"1"')]
    assert len(notes) == 1
    assert f"broke off after {HALF} of {len(CONTENT)} bytes; trying again" in notes[0]
    assert {total for _, total in told} == {len(CONTENT)}
    assert told == sorted(told)
    assert kept(folder) == ["net.pth"]


def test_what_has_arrived_waits_for_the_next_call(site, folder):
    wanted = entry(site.url("/net.pth"))
    site.pages["/net.pth"] = file(CONTENT, stop=HALF)
    assert "try again later" in refused(wanted, rounds=1)
    assert (folder / ".net.pth.part").stat().st_size == HALF
    site.pages["/net.pth"] = file(CONTENT)
    assert get(wanted).read_bytes() == CONTENT
    assert site.asked[1:] == [("/net.pth", f"bytes={HALF}-", '"1"')]


def test_the_date_serves_where_there_is_no_strong_etag(site, folder):
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    page = {"etag": 'W/"1"', "headers": {"Last-Modified": date}}
    site.pages["/net.pth"] = in_turn(file(CONTENT, stop=HALF, **page), file(CONTENT, **page))
    assert get(entry(site.url("/net.pth"))).read_bytes() == CONTENT
    assert site.asked[1:] == [("/net.pth", f"bytes={HALF}-", date)]


@pytest.mark.parametrize(
    ("second", "asked"),
    [
        ({"ranges": False}, (f"bytes={HALF}-", '"1"')),  # the whole file again
        ({"etag": '"2"'}, (f"bytes={HALF}-", '"1"')),  # another file, told by If-Range
    ],
)
def test_a_server_that_sends_the_whole_again(site, folder, second, asked):
    old = CONTENT if "ranges" in second else CONTENT[::-1]
    site.pages["/net.pth"] = in_turn(file(old, stop=HALF), file(CONTENT, **second))
    assert get(entry(site.url("/net.pth"))).read_bytes() == CONTENT
    assert site.asked == [("/net.pth", None, None), ("/net.pth", *asked)]


def test_no_resuming_without_anything_to_know_the_file_by(site, folder):
    site.pages["/net.pth"] = in_turn(file(CONTENT, etag="", stop=HALF), file(CONTENT))
    assert get(entry(site.url("/net.pth"))).read_bytes() == CONTENT
    assert site.asked == [("/net.pth", None, None)] * 2


def test_a_file_that_changes_between_the_halves(site, folder):
    """The server does not look at If-Range, but its ETag tells."""
    site.pages["/net.pth"] = in_turn(
        file(CONTENT[::-1], stop=HALF), file(CONTENT, etag='"2"', if_range=False)
    )
    notes = []
    assert get(entry(site.url("/net.pth")), note=notes.append).read_bytes() == CONTENT
    assert "the file changed" in notes[1]
    assert site.asked[2] == ("/net.pth", None, None)


def test_halves_that_do_not_fit_are_fetched_anew(site, folder):
    """Nothing tells that the file changed, until its sum does."""
    site.pages["/net.pth"] = in_turn(file(CONTENT[::-1], stop=HALF), file(CONTENT))
    assert get(entry(site.url("/net.pth"))).read_bytes() == CONTENT
    assert [asked[1] for asked in site.asked] == [None, f"bytes={HALF}-", None]


def test_a_part_that_is_longer_than_the_file(site, folder):
    site.pages["/net.pth"] = in_turn(file(CONTENT * 2, stop=len(CONTENT)), file(CONTENT))
    assert get(entry(site.url("/net.pth"))).read_bytes() == CONTENT
    assert [asked[1] for asked in site.asked] == [None, f"bytes={len(CONTENT)}-", None]


def test_a_damaged_note_of_where_the_part_came_from(site, folder):
    wanted = entry(site.url("/net.pth"))
    site.pages["/net.pth"] = file(CONTENT, stop=HALF)
    refused(wanted, rounds=1)
    (folder / ".net.pth.part.json").write_text("{")
    site.pages["/net.pth"] = file(CONTENT)
    assert get(wanted).read_bytes() == CONTENT
    assert site.asked[1] == ("/net.pth", None, None)


def test_a_length_that_is_too_large(site, folder):
    site.pages["/net.pth"] = lambda handler: answer(handler, 200, CONTENT, len(CONTENT) + 10)
    assert "broke off after 1024000 of 1024010 bytes" in refused(entry(site.url("/net.pth")))


def test_a_length_that_is_too_small(site, folder):
    site.pages["/net.pth"] = lambda handler: answer(handler, 200, CONTENT, len(CONTENT) - 10)
    assert "gave another file, its SHA-256 begins with" in refused(entry(site.url("/net.pth")))
    assert kept(folder) == []


def test_no_length(site, folder):
    def page(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(CONTENT)

    site.pages["/net.pth"] = page
    told = []
    path = get(entry(site.url("/net.pth")), progress=lambda *call: told.append(call))
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), None)


def test_a_server_that_keeps_the_connection_open(site, folder):
    """The announced length ends the file, not the end of the connection."""
    quiet = threading.Event()

    def page(handler):
        file(CONTENT)(handler)
        handler.wfile.flush()
        quiet.wait(20)

    site.pages["/net.pth"] = page
    assert get(entry(site.url("/net.pth")), timeout_s=1, rounds=1).read_bytes() == CONTENT
    quiet.set()


def test_another_size_than_is_known(site, folder):
    site.pages["/net.pth"] = file(CONTENT)
    error = refused(entry(site.url("/net.pth"), bytes=5))
    assert "offers 1024000 bytes, not 5" in error
    assert len(site.asked) == 1


def test_wrong_bytes(site, folder):
    wrong = CONTENT[:-1] + b"?"
    site.pages["/net.pth"] = file(wrong)
    error = refused(entry(site.url("/net.pth")))
    right, given = (hashlib.sha256(content).hexdigest()[:8] for content in (CONTENT, wrong))
    assert f"its SHA-256 begins with {given}, not {right}" in error
    assert site.url("/net.pth") in error
    assert str(folder) in error
    assert kept(folder) == []
    assert len(site.asked) == 1


def test_a_web_page_in_place_of_the_file(site, folder):
    site.pages["/net.pth"] = lambda handler: answer(
        handler, 200, b"<html>log in", Content_Type="text/html; charset=utf-8"
    )
    assert "answers with a web page" in refused(entry(site.url("/net.pth")))


def test_redirects_are_followed_with_the_range(site, folder):
    site.pages["/net.pth"] = status(302, Location="/a")
    site.pages["/a"] = status(308, Location=site.url("/b"))
    site.pages["/b"] = in_turn(file(CONTENT, stop=HALF), file(CONTENT))
    path = get(entry(site.url("/net.pth")))
    assert path == folder / "net.pth"
    assert path.read_bytes() == CONTENT
    assert site.asked[-1] == ("/b", f"bytes={HALF}-", '"1"')


def test_redirects_without_end(site, folder):
    site.pages["/net.pth"] = status(302, Location="/a")
    site.pages["/a"] = status(302, Location="/net.pth")
    assert "HTTP 302" in refused(entry(site.url("/net.pth")))


@pytest.mark.parametrize("scheme", ["file", "ftp", "data"])
def test_other_schemes_are_not_followed(site, folder, tmp_path, scheme):
    (tmp_path / "net.pth").write_bytes(CONTENT)
    there = {"file": (tmp_path / "net.pth").as_uri(), "ftp": "ftp://127.0.0.1/net.pth"}
    there = there.get(scheme, "data:,net.pth")
    site.pages["/net.pth"] = status(302, Location=there)
    error = refused(entry(site.url("/net.pth")))
    assert "which is not followed" in error or "is not allowed" in error
    assert f"unknown url type: {scheme}" in refused(entry(there), rounds=1)


def test_no_redirect_out_of_https():
    follow = download._Redirects().redirect_request
    for start, end, good in (("https", "http", False), ("http", "https", True)):
        given = Request(f"{start}://a/net.pth"), None, 302, "Found", {}, f"{end}://b/net.pth"
        if good:
            assert follow(*given).full_url == "https://b/net.pth"
        else:
            with pytest.raises(download._AttemptError, match="not followed"):
                follow(*given)


def test_a_silent_server(site, folder):
    quiet = threading.Event()
    site.pages["/net.pth"] = lambda handler: quiet.wait(20)
    began = time.monotonic()
    error = refused(entry(site.url("/net.pth")), timeout_s=0.2, rounds=2)
    assert "silent for 0.2 s" in error
    assert time.monotonic() - began < 10
    assert len(site.asked) == 2
    quiet.set()


def test_a_server_that_falls_silent(site, folder):
    quiet = threading.Event()

    def stalls(handler):
        file(CONTENT, stop=HALF)(handler)
        handler.wfile.flush()
        quiet.wait(20)

    site.pages["/net.pth"] = in_turn(stalls, file(CONTENT))
    notes = []
    path = get(entry(site.url("/net.pth")), timeout_s=0.5, note=notes.append)
    quiet.set()
    assert path.read_bytes() == CONTENT
    assert "silent for 0.5 s" in notes[0]
    assert site.asked[1] == ("/net.pth", f"bytes={HALF}-", '"1"')


def test_a_mirror(site, folder):
    site.pages["/gone/net.pth"] = status(404)
    site.pages["/wrong/net.pth"] = file(CONTENT[::-1])
    site.pages["/net.pth"] = file(CONTENT)
    urls = [site.url(path) for path in ("/gone/net.pth", "/wrong/net.pth", "/net.pth")]
    notes = []
    assert get(entry(*urls), note=notes.append).read_bytes() == CONTENT
    assert [asked[0] for asked in site.asked] == ["/gone/net.pth", "/wrong/net.pth", "/net.pth"]
    assert "HTTP 404" in notes[0]
    assert notes[0].endswith(f"; trying {urls[1]}")
    assert "SHA-256" in notes[1]


def test_the_half_of_one_mirror_is_not_continued_by_another(site, folder):
    site.pages["/a/net.pth"] = file(CONTENT, stop=HALF)
    site.pages["/b/net.pth"] = file(CONTENT)
    assert get(entry(site.url("/a/net.pth"), site.url("/b/net.pth"))).read_bytes() == CONTENT
    assert site.asked[1] == ("/b/net.pth", None, None)


def test_what_is_gone_for_good_is_asked_for_once(site, folder):
    site.pages["/net.pth"] = status(404)
    site.pages["/b/net.pth"] = status(410)
    error = refused(entry(site.url("/net.pth"), site.url("/b/net.pth")))
    assert len(site.asked) == 2
    for words in ("HTTP 404", "HTTP 410", site.url("/b/net.pth"), "net.pth from elsewhere"):
        assert words in error


@pytest.mark.parametrize("code", [403, 429, 500, 503])
def test_passing_faults_are_tried_again_after_longer_waits(site, folder, monkeypatch, code):
    waits = []
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=waits.append))
    site.pages["/net.pth"] = in_turn(*[status(code)] * 3, file(CONTENT))
    assert get(entry(site.url("/net.pth")), wait_s=1).read_bytes() == CONTENT
    assert waits == [1, 2, 4]
    site.pages["/b.pth"] = status(code)
    assert f"HTTP {code}" in refused(entry(site.url("/b.pth")), rounds=2)
    assert len(site.asked) == 4 + 2


def test_nobody_there(site, folder):
    url = site.url("/net.pth")
    site.close()
    assert "refused" in refused(entry(url), rounds=1)
