"""A web server on this machine, whose pages are functions, and downloads from it."""

import contextlib
import hashlib
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from weights import download, store
from weights.errors import Pose3dError

CONTENT = bytes(range(256)) * 4000
HALF = 500_000


class Site:
    """Answers on loopback: ``pages`` holds a function of the request handler for every path.

    ``asked`` remembers the path, Range and If-Range of every request.
    """

    def __init__(self):
        self.pages = {}
        self.asked = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                site.asked.append((self.path, self.headers["Range"], self.headers["If-Range"]))
                with contextlib.suppress(ConnectionError):  # who asks may have given up
                    site.pages[self.path](self)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def answer(handler, code, body=b"", announced=None, **headers):
    """One answer; ``announced`` is the Content-Length if it is not that of the body."""
    handler.send_response(code)
    handler.send_header("Content-Length", str(len(body) if announced is None else announced))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def file(content, etag='"1"', ranges=True, if_range=True, stop=None, headers=None):
    """A page with a file on it, by the rules of HTTP.

    ranges: whether it looks at Range; if_range: at If-Range; stop: breaks off before this byte.
    """

    def page(handler):
        told = {"ETag": etag} if etag else {}
        told |= headers or {}
        asked = handler.headers["Range"] if ranges else None
        if if_range and handler.headers["If-Range"] not in (None, *told.values()):
            asked = None
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if start >= len(content):
            return answer(handler, 416)
        if asked:
            told["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        answer(
            handler,
            206 if asked else 200,
            content[start:stop],
            announced=len(content) - start,
            **told,
        )

    return page


def in_turn(*pages):
    """A page that answers like each of the pages once, and then like the last one."""
    left = list(pages)

    def page(handler):
        (left.pop(0) if len(left) > 1 else left[0])(handler)

    return page


def status(code, **headers):
    return lambda handler: answer(handler, code, **headers)


def entry(*urls, content=CONTENT, **changes):
    digest = hashlib.sha256(content).hexdigest()[:8]
    given = store.Public("net", "pose2d", urls, digest, "Apache-2.0", ("COCO",), "c.py", "AP 1")
    return replace(given, **changes)


def get(wanted, **changes):
    """Downloads with short times; what fails is tried again at once."""
    return download.fetch(wanted, **{"timeout_s": 5, "wait_s": 0, **changes})


def refused(wanted, **changes):
    """Downloads in vain: the one line of the error."""
    with pytest.raises(Pose3dError) as caught:
        get(wanted, **changes)
    assert "\n" not in str(caught.value)
    assert not download.location(wanted).exists()
    return str(caught.value)


def kept(folder):
    """The files that a download has left, but for the lock."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")
