"""Public weights from the web: resumed where they broke off, checked, and kept in a cache folder.

The standard library's HTTP is enough for this: what a download manager would have to add on top
(resuming, mirrors, a lock) is what this file is about.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from weights import store
from weights.errors import Pose3dError
from weights.files import replace_file, sha256

CHUNK = 1 << 18
# Answers after which the same server may well give the file a little later. 403 is among them
# because the busy ones of some content networks say so; 416 because the next try starts anew.
PASSING = {403, 408, 416, 425, 429, 500, 502, 503, 504}

Progress = Callable[[int, int | None], None]
Note = Callable[[str], None]


def cache_folder() -> Path:
    """Where fetched weights are kept: POSE3D_HOME, else pose3d in XDG_CACHE_HOME or ~/.cache."""
    try:
        if home := os.environ.get("POSE3D_HOME"):
            return Path(home).expanduser().absolute()
        caches = os.environ.get("XDG_CACHE_HOME", "")
        # Its specification says that paths which are not absolute are to be ignored.
        return (Path(caches) if os.path.isabs(caches) else Path.home() / ".cache") / "pose3d"
    except RuntimeError:
        raise Pose3dError("no home folder to keep weights in: set POSE3D_HOME to one") from None


def location(entry: store.Public) -> Path:
    """Where the file of a public checkpoint is once it has been fetched."""
    return cache_folder() / entry.file


def fetch(
    source: str | store.Entry | store.Public,
    *,
    offline: bool = False,
    progress: Progress = lambda done, total: None,
    note: Note = lambda message: None,
    timeout_s: float = 30.0,
    rounds: int = 4,
    wait_s: float = 1.0,
) -> Path:
    """The file of shipped or public weights, downloaded if it is not here yet.

    What has arrived when a download breaks off is kept, and only the rest is asked for later. The
    file appears under its name when it is whole and its SHA-256 is right; one that is there is not
    checked again (``verify`` does). Of several processes that fetch it at once, one does.

    Parameters
    ----------
    source : a name, or what ``store.find`` gives for it
    offline : never open a connection; the variable POSE3D_OFFLINE=1 says the same
    progress : is called with the bytes here so far, and their number in the end (None: unknown)
    note : is called with a line when something goes wrong that is tried again, or is waited for
    timeout_s : seconds without an answer, or without a byte, after which a connection is given up
    rounds : how often every address is tried
    wait_s : seconds before the second round; twice as many before each one after it

    Raises
    ------
    Pose3dError
        for an unknown name, and if the file cannot be had, says why of every address.
    """
    entry = store.find(source) if isinstance(source, str) else source
    if isinstance(entry, store.Entry):
        return store.path_of(entry.name)
    path = location(entry)
    if path.is_file():
        return path
    if offline or os.environ.get("POSE3D_OFFLINE", "").lower() not in ("", "0", "false", "no"):
        raise Pose3dError(
            f"{entry.name}: not in {path.parent}; fetch it with 'pose3d weights fetch "
            f"{entry.name}' where there is a connection, or copy {entry.file} there"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path, note):
            if not path.is_file():  # Another process may have fetched it while this one waited.
                _download(entry, path, progress, note, timeout_s, rounds, wait_s)
    except OSError as error:  # The disk's: those of the net are _AttemptError.
        raise Pose3dError(
            f"{path.parent}: cannot hold {entry.name} ({error.strerror or error}); make room or "
            "set POSE3D_HOME to another folder"
        ) from None
    return path


def resolve(source: str) -> str:
    """The file of weights by a name, shipped or fetched before; what is no name stays as it is.

    Raises Pose3dError for public weights that were not fetched.
    """
    if source in store.entries() or source in store.public():
        return str(fetch(source, offline=True))
    return source


def verify(entry: store.Entry | store.Public) -> Path:
    """The file of weights that are here, after comparing its SHA-256.

    Raises
    ------
    Pose3dError
        if they are not here, cannot be read, or are not what they should be.
    """
    path = fetch(entry, offline=True)
    try:
        digest = sha256(path)
    except OSError as error:
        raise Pose3dError(f"{path}: cannot be read ({error.strerror})") from None
    if not digest.startswith(entry.sha256):
        mend = f"'pose3d weights remove {entry.name}', then fetch it again"
        if isinstance(entry, store.Entry):
            mend = "install pose3d again"
        raise Pose3dError(f"{path}: damaged, {_unlike(digest, entry.sha256)}: {mend}")
    return path


def remove(entry: store.Public) -> bool:
    """Delete a fetched file, and what there is of an unfinished one; False if there was nothing."""
    path = location(entry)
    files = [path, _part(path), _origin(path)]
    if not any(file.exists() for file in files):
        return False
    try:
        with _locked(path, lambda message: None):
            for file in files:
                file.unlink(missing_ok=True)
    except OSError as error:
        raise Pose3dError(f"{path}: cannot be removed ({error.strerror})") from None
    return True


class _AttemptError(Exception):
    """A try that failed; ``final``: the same address is not worth another."""

    def __init__(self, why: str, final: bool = False, code: int = 0) -> None:
        super().__init__(why)
        self.final = final
        self.code = code


class _Redirects(request.HTTPRedirectHandler):
    """Follows them to http and https alone, and never out of https; knows 308 on Python 3.10."""

    http_error_308 = request.HTTPRedirectHandler.http_error_302

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        to = urlsplit(newurl).scheme
        if to not in ("http", "https") or (req.type == "https" and to == "http"):
            raise _AttemptError(f"redirects to {newurl}, which is not followed", final=True)
        return super().redirect_request(req, fp, 307 if code == 308 else code, msg, headers, newurl)


def _download(
    entry: store.Public,
    path: Path,
    progress: Progress,
    note: Note,
    timeout_s: float,
    rounds: int,
    wait_s: float,
) -> None:
    """Try the addresses in turn, again and again; Pose3dError when none has given the file."""
    failures: dict[str, str] = {}
    urls = list(entry.urls)
    last = ""
    for number in range(rounds):
        if not urls:
            break
        if number:
            time.sleep(wait_s * 2 ** (number - 1))
        for url in list(urls):
            if last:
                where = "again" if url == last else url
                note(f"{entry.name}: {last}: {failures[last]}; trying {where}")
            try:
                return _attempt(entry, url, path, progress, timeout_s)
            except _AttemptError as failure:
                failures[url] = str(failure)
                last = url
                if failure.final:
                    urls.remove(url)
    told = "; ".join(f"{url}: {why}" for url, why in failures.items())
    raise Pose3dError(
        f"{entry.name} cannot be downloaded: {told}; try again later, or put {entry.file} from "
        f"elsewhere into {path.parent}"
    )


def _attempt(
    entry: store.Public, url: str, path: Path, progress: Progress, timeout_s: float
) -> None:
    """One request: the whole file, or the rest of what this address gave before."""
    part = _part(path)
    have, validator = _arrived(path, url)
    asked = {"Range": f"bytes={have}-", "If-Range": validator} if have else {}
    try:
        response = _open(url, asked, timeout_s)
    except _AttemptError as failure:
        if failure.code == 416:  # There is no such rest.
            _forget(path)
        raise
    with response:
        start = have if response.status == 206 else 0
        if start and not _continues(response, start, validator):
            _forget(path)
            raise _AttemptError("the file changed while it was downloaded")
        total = None if response.length is None else start + response.length
        if entry.bytes is not None and total not in (None, entry.bytes):
            raise _AttemptError(f"offers {total} bytes, not {entry.bytes}", final=True)
        _check_space(entry, path.parent, (total or entry.bytes or 0) - start)
        if not start:
            _begin(path, url, _validator(response))
        done = start
        progress(done, total)
        with part.open("ab") as file:
            for chunk in _chunks(response, timeout_s):
                file.write(chunk)
                done += len(chunk)
                progress(done, total)
    if total is not None and done < total:
        raise _AttemptError(f"broke off after {done} of {total} bytes")
    digest = sha256(part)
    if not digest.startswith(entry.sha256):
        _forget(path)
        # Two halves that do not fit, or an end that was not told from a break: worth another try.
        final = start == 0 and total is not None
        raise _AttemptError(f"gave another file, {_unlike(digest, entry.sha256)}", final)
    os.replace(part, path)
    _forget(path)


def web_opener(redirects: request.HTTPRedirectHandler) -> request.OpenerDirector:
    """What opens http and https alone; build_opener would open file:// and ftp:// as well."""
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(),
        request.HTTPErrorProcessor(),
        request.HTTPDefaultErrorHandler(),
        request.UnknownHandler(),
        redirects,
    ):
        opener.add_handler(handler)
    return opener


def _open(url: str, headers: dict[str, str], timeout_s: float) -> HTTPResponse:
    """The answer to a request, if it is a file or a part of one."""
    try:
        asked = request.Request(url, headers={"User-Agent": "pose3d", **headers})
        response = web_opener(_Redirects()).open(asked, timeout=timeout_s)
    except HTTPError as error:
        error.close()
        why = f"HTTP {error.code} {' '.join(str(error.reason).split())}"
        raise _AttemptError(why, error.code not in PASSING, error.code) from None
    except (OSError, HTTPException, ValueError) as error:
        raise _AttemptError(_why(error, timeout_s)) from None
    kind = response.headers.get_content_type()
    if response.status not in (200, 206) or kind == "text/html":
        response.close()
        what = "a web page" if kind == "text/html" else f"HTTP {response.status}"
        raise _AttemptError(f"answers with {what} instead of the file", final=True)
    return response


def _chunks(response: HTTPResponse, timeout_s: float) -> Iterator[bytes]:
    """What arrives, until the announced length or the end of the connection."""
    while True:
        try:
            # read1: what is there at once, so that nothing is lost when the connection breaks.
            chunk = response.read1(CHUNK)
        except (OSError, HTTPException) as error:
            raise _AttemptError(_why(error, timeout_s)) from None
        if not chunk:
            return
        yield chunk


def _why(error: Exception, timeout_s: float) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError):
        return f"silent for {timeout_s:g} s"
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__


def _unlike(digest: str, wanted: str) -> str:
    return f"its SHA-256 begins with {digest[:8]}, not {wanted[:8]}"


def _check_space(entry: store.Public, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise Pose3dError(
            f"{folder}: {entry.name} needs {needed / 1e6:.1f} MB and {free / 1e6:.1f} MB are free; "
            "make room or set POSE3D_HOME to another folder"
        )


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _origin(path: Path) -> Path:
    """Beside the unfinished file: its address, and what the server calls this state of it."""
    return path.with_name(f".{path.name}.part.json")


def _begin(path: Path, url: str, validator: str) -> None:
    # In this order: a part is never left with another one's origin.
    _forget(path)
    _part(path).touch()
    if validator:
        replace_file(_origin(path), json.dumps({"url": url, "validator": validator}).encode())


def _forget(path: Path) -> None:
    _origin(path).unlink(missing_ok=True)
    _part(path).unlink(missing_ok=True)


def _arrived(path: Path, url: str) -> tuple[int, str]:
    """How many bytes are here from an address, and their validator; 0 if it cannot be resumed."""
    try:
        origin = json.loads(_origin(path).read_text(encoding="utf-8"))
        if origin["url"] == url:
            return _part(path).stat().st_size, origin["validator"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0, ""


def _validator(response: HTTPResponse) -> str:
    """What If-Range may name: a strong ETag or else the date; "" if the server gives neither."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def _continues(response: HTTPResponse, start: int, validator: str) -> bool:
    """Whether a 206 is the rest of the same file; some servers do not look at If-Range."""
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    same = _validator(response) in ("", validator)
    return found is not None and int(found[1]) == start and same


@contextlib.contextmanager
def _locked(path: Path, note: Note) -> Iterator[None]:
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        note(f"another process is fetching {path.name}: waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
