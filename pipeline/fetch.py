"""Videos from a URL or standard input, spooled to a file: a video is read twice."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse, IncompleteRead
from pathlib import Path
from typing import BinaryIO
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from pipeline.process import make_folder
from weights.download import web_opener
from weights.errors import Pose3dError

STDIN = "-"
# Seconds without an answer, or without a byte, after which a connection is given up.
TIMEOUT_S = 20.0
MAX_REDIRECTS = 5
CHUNK = 1 << 18
# Bytes of the disk that are left for the results, and for everybody else.
KEPT_FREE = 1 << 28
# Of the file's name, which others are made from.
LONGEST_NAME = 80

# Told the bytes that are here, and their number in the end (None: unknown).
Progress = Callable[[int, int | None], None]


def is_remote(source: str) -> bool:
    """Whether a source is no file: "-" for standard input, or an http or https URL."""
    return source == STDIN or source.lower().startswith(("http://", "https://"))


@contextmanager
def spooled(
    source: str, folder: Path, progress: Progress = lambda done, total: None
) -> Iterator[Path]:
    """A file with what comes from a URL or standard input; it is gone after the block.

    It lies in a hidden folder of ``folder``, which is made, and is called "stdin" or as the last
    part of the URL's path. Errors that name it, from within the block, name the source instead.

    Raises
    ------
    Pose3dError
        if nothing comes, it breaks off, or is not a file; if it does not fit on the disk, of which
        ``KEPT_FREE`` bytes stay free.
    """
    shown = "standard input" if source == STDIN else _without_query(source)
    new = not folder.exists()
    make_folder(folder)
    hidden = None
    try:
        with _disk_failures(folder, shown):
            hidden = Path(tempfile.mkdtemp(prefix=".pose3d-", suffix=".part", dir=folder))
        path = hidden / name_of(source)
        if source == STDIN:
            _spool(_from_stdin(), None, path, shown, progress)
        else:
            with _open(source, shown) as response:
                _check_kind(response, shown)
                length = response.headers.get("Content-Length", "")
                total = int(length) if length.isdecimal() else None
                _spool(_from_web(response, shown), total, path, shown, progress)
        try:
            yield path
        except Pose3dError as error:
            raise Pose3dError(str(error).replace(str(path), shown)) from None
    finally:
        if hidden is not None:
            shutil.rmtree(hidden, ignore_errors=True)
        if new:
            with suppress(OSError):  # there are results in it
                folder.rmdir()


def name_of(source: str) -> str:
    """A file's name for a source: "stdin", or the last part of the URL's path, made harmless."""
    if source == STDIN:
        return "stdin"
    last = unquote(urlsplit(source).path).rstrip("/").rpartition("/")[2]
    stem, dot, suffix = re.sub(r"[^\w.+ ()-]", "_", last).strip(". ").rpartition(".")
    stem, suffix = (stem, dot + suffix[:8]) if dot else (suffix, "")
    # Its length counts in bytes.
    stem = stem.encode("utf-8", "replace")[:LONGEST_NAME].decode("utf-8", "ignore").lstrip("-")
    return (stem or "video") + suffix


def _without_query(url: str) -> str:
    """A URL as messages show it: what follows "?" may be a key."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises ValueError
        if not parts.hostname or re.search(r"[\s\x00-\x1f]", parts.netloc):
            raise ValueError
    except ValueError:
        raise Pose3dError(f"{url.partition('?')[0]} is not a valid URL") from None
    if parts.username is not None:
        raise Pose3dError(
            "URLs with a user name are not supported: download the video and give the file"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


class _Redirects(request.HTTPRedirectHandler):
    """Follows a few, to http and https alone, and never out of https; knows 308 on Python 3.10."""

    max_redirections = MAX_REDIRECTS
    max_repeats = 2
    http_error_308 = request.HTTPRedirectHandler.http_error_302

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        to = urlsplit(newurl).scheme
        if to not in ("http", "https") or (req.type == "https" and to == "http"):
            raise URLError(f"it redirects to {to}, which is not followed")
        return super().redirect_request(req, fp, 307 if code == 308 else code, msg, headers, newurl)


def _open(url: str, shown: str) -> HTTPResponse:
    try:
        asked = request.Request(_in_ascii(url), headers={"User-Agent": "pose3d"})
        response = web_opener(_Redirects()).open(asked, timeout=TIMEOUT_S)
    except HTTPError as error:
        error.close()
        if 300 <= error.code < 400:
            # Urllib refuses other schemes itself.
            nowhere = "not allowed" in str(error.reason) or not error.headers.get("Location")
            where = "to no web address" if nowhere else "too often"
            raise Pose3dError(f"{shown} redirects {where}") from None
        reason = " ".join(str(error.reason).split())
        raise Pose3dError(f"{shown} cannot be had: HTTP {error.code} {reason}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise Pose3dError(f"{shown} cannot be had: {_why(error)}") from None
    if response.status == 206:
        response.close()
        raise Pose3dError(f"{shown} cannot be had: the server sends a part of it only")
    return response


def _in_ascii(url: str) -> str:
    """A URL as it is sent: browsers take and show other characters, and spaces."""
    parts = urlsplit(url)
    host = parts.netloc.encode("idna").decode() if not parts.netloc.isascii() else parts.netloc
    path, query = (quote(part, safe="%/:=&?~+!$,;'@()*[]") for part in (parts.path, parts.query))
    return urlunsplit((parts.scheme, host, path, query, ""))


def _why(error: Exception) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, IncompleteRead):
        return "the server ended it early"
    if isinstance(reason, TimeoutError):
        return f"no answer for {TIMEOUT_S:g} s"
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__


def _check_kind(response: HTTPResponse, shown: str) -> None:
    kind = response.headers.get_content_type()
    if response.headers.get("Content-Type") and kind in ("text/html", "application/xhtml+xml"):
        raise _web_page(shown)


def _web_page(shown: str) -> Pose3dError:
    return Pose3dError(
        f"{shown} is a web page, not a video: give the address of the video file itself"
    )


def _from_web(response: HTTPResponse, shown: str) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read1(CHUNK)
        except (OSError, HTTPException, ValueError) as error:
            raise Pose3dError(f"{shown} broke off: {_why(error)}; try again") from None
        if not chunk:
            return
        yield chunk


def _from_stdin() -> Iterator[bytes]:
    try:
        stream: BinaryIO = sys.stdin.buffer
        if stream.isatty():
            raise Pose3dError("standard input is a terminal: pipe a video into pose3d")
        while chunk := stream.read1(CHUNK):
            yield chunk
    except (OSError, ValueError, AttributeError) as error:  # closed, or None
        raise Pose3dError(f"standard input cannot be read: {error}") from None


def _spool(
    chunks: Iterator[bytes], total: int | None, path: Path, shown: str, progress: Progress
) -> None:
    done = 0
    _check_space(path.parent, total or 0, shown)
    progress(0, total)
    with _disk_failures(path.parent.parent, shown), path.open("xb") as file:
        for chunk in chunks:
            start = b""
            if not done:
                start = chunk[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
                start = re.sub(rb"^(<!--.*?-->\s*)+", b"", start, flags=re.DOTALL)
            if start.startswith((b"<!doctype html", b"<html")):
                raise _web_page(shown)
            if start.startswith(b"#extm3u"):
                raise Pose3dError(f"{shown} is a play list, not a video: save the video as a file")
            _check_space(path.parent, len(chunk), shown)
            file.write(chunk)
            done += len(chunk)
            progress(done, total)
    if not done:
        raise Pose3dError(f"{shown} is empty (0 bytes)")
    if total is not None and done < total:
        raise Pose3dError(f"{shown} broke off after {done} of {total} bytes; try again")


def _check_space(folder: Path, needed: int, shown: str) -> None:
    room = shutil.disk_usage(folder).free - KEPT_FREE
    if needed > room:
        raise Pose3dError(
            f"{shown} does not fit on the disk of {folder.parent}, where {max(0, room) / 1e6:.0f} "
            "MB can be used; make room or choose another --output"
        )


@contextmanager
def _disk_failures(folder: Path, shown: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise Pose3dError(
            f"{shown} cannot be kept in {folder}: {why}; choose another --output"
        ) from None
