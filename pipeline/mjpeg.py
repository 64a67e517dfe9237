"""A page that shows pictures as they come: Motion JPEG over HTTP, for this machine unless told."""

from __future__ import annotations

import ipaddress
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np

from weights.errors import Pose3dError

HOST = "127.0.0.1"
BOUNDARY = "pose3d-picture"
QUALITY = 80
# Bytes on their way to a viewer: less than a second of pictures, which are late by so much.
SENT_AHEAD = 1 << 17
# Seconds after which a viewer who takes nothing is given up.
TIMEOUT_S = 10.0
PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>pose3d live</title>
<style>body{margin:0;background:#16181d}img{display:block;width:100%;height:100vh;
object-fit:contain}</style><img src="/stream" alt="The picture beside the 3D skeleton"></html>
"""


class MjpegServer:
    """Serves a page with the newest picture, at ``url``, until the block ends.

    Slow viewers miss pictures; nobody waits for them. Only requests by an address or the machine's
    own names are answered, so that no page of the web can look on under a name of its own.

    Parameters
    ----------
    port : 0 is any that is free
    host : the address of this machine at which it is served; "0.0.0.0" is all of them

    Raises
    ------
    Pose3dError
        if the port is taken or not allowed, or the address is not one of this machine.
    """

    def __init__(self, port: int = 0, host: str = HOST) -> None:
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise Pose3dError(
                f"{host!r} is no address such as 192.168.1.5: 0.0.0.0 is every one of this machine"
            ) from None
        self._news = threading.Condition()
        self._jpeg, self._number, self._over, self._viewers = b"", 0, False, 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            timeout = TIMEOUT_S

            def do_GET(self) -> None:
                if not _is_own_name(self.headers.get("Host", "")):
                    self.send_error(403)
                elif self.path == "/":
                    self.send_response(200)
                    self.send_header("Content-Type", "text/html; charset=utf-8")
                    self.send_header("Content-Length", str(len(PAGE)))
                    self.end_headers()
                    self.wfile.write(PAGE)
                elif self.path == "/stream":
                    outer._stream(self)
                else:
                    self.send_error(404)

            def log_message(self, *_: object) -> None:
                pass

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            raise Pose3dError(
                f"port {port} of {host} cannot be served: {why}; choose another"
            ) from None
        self._server.daemon_threads = True
        self._server.block_on_close = False
        shown = socket.gethostname() if host == "0.0.0.0" else host
        self.url = f"http://{shown}:{self._server.server_port}/"
        self.is_private = ipaddress.IPv4Address(host).is_loopback

    def __enter__(self) -> MjpegServer:
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._news:
            self._over = True
            self._news.notify_all()
        self._server.shutdown()
        self._server.server_close()

    @property
    def watched(self) -> bool:
        """Whether anybody looks: if not, nothing need be drawn."""
        return self._viewers > 0

    def show(self, image: np.ndarray) -> None:
        """The newest picture, (H, W, 3) uint8 RGB."""
        quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
        _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
        with self._news:
            self._jpeg, self._number = jpeg.tobytes(), self._number + 1
            self._news.notify_all()

    def _stream(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        handler.send_header("Cache-Control", "no-store")
        handler.end_headers()
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENT_AHEAD)
        seen = 0
        with self._news:
            self._viewers += 1
        try:
            while True:
                with self._news:
                    self._news.wait_for(lambda: self._over or self._number > seen)  # noqa: B023
                    if self._over:
                        break
                    jpeg, seen = self._jpeg, self._number
                handler.wfile.write(
                    f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n"
                    f"Content-Length: {len(jpeg)}\r\n\r\n".encode()
                )
                handler.wfile.write(jpeg + b"\r\n")
            handler.wfile.write(f"--{BOUNDARY}--\r\n".encode())
        except OSError:  # who looked on has gone
            pass
        finally:
            handler.close_connection = True
            with self._news:
                self._viewers -= 1


def _is_own_name(host: str) -> bool:
    """Whether a request's Host header is an address, or a name that is surely this machine's."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return name.lower() in ("localhost", socket.gethostname().lower())
    return True
