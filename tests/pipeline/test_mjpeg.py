"""The live page: whole JPEGs between boundaries, for this machine alone."""

import http.client
import threading
import time

import cv2
import numpy as np
import pytest

from pipeline.capture import Captured
from pipeline.live import Moment
from pipeline.mjpeg import MjpegServer
from pipeline.rendering.live import LiveView
from tests.pipeline.clips import quadrant_colours, quadrants
from weights.errors import Pose3dError


def ask(server, path, host=None):
    port = int(server.url.rstrip("/").rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path, headers={"Host": host} if host else {})
    return connection.getresponse()


def read_part(stream, boundary):
    """One picture of a multipart/x-mixed-replace stream, decoded to RGB."""
    assert stream.readline() == b"--" + boundary + b"\r\n"
    headers = {}
    while line := stream.readline().strip():
        name, _, value = line.partition(b": ")
        headers[name.lower()] = value
    assert headers[b"content-type"] == b"image/jpeg"
    jpeg = stream.read(int(headers[b"content-length"]))
    assert stream.readline() == b"\r\n"
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def test_stream_shows_the_newest_picture():
    image = quadrants(64, 48)
    with MjpegServer() as server:
        assert not server.watched
        server.show(image)
        server.show(image[::-1])
        stream = ask(server, "/stream")
        boundary = stream.getheader("Content-Type").partition("boundary=")[2].encode()
        first = read_part(stream, boundary)
        assert np.abs(quadrant_colours(first) - quadrant_colours(image[::-1])).max() < 12
        assert server.watched
        server.show(image)
        second = read_part(stream, boundary)
        assert np.abs(quadrant_colours(second) - quadrant_colours(image)).max() < 12
    assert stream.readline() == b"--" + boundary + b"--\r\n"
    assert threading.active_count() < 20


def test_only_this_machine_by_its_own_names():
    with MjpegServer() as server:
        assert server.url.startswith("http://127.0.0.1:")
        page = ask(server, "/")
        assert page.status == 200
        assert b'src="/stream"' in page.read()
        assert ask(server, "/", host="evil.example").status == 403
        assert ask(server, "/stream", host="evil.example:80").status == 403
        assert ask(server, "/etc/passwd").status == 404
        port = int(server.url.rstrip("/").rpartition(":")[2])
        with pytest.raises(Pose3dError, match=f"port {port} of 127.0.0.1 cannot be served"):
            MjpegServer(port)


def test_another_address():
    with MjpegServer(host="0.0.0.0") as server:
        assert not server.is_private
        assert ask(server, "/", host="192.168.1.5:8000").status == 200
        assert ask(server, "/", host="evil.example:8000").status == 403
    with MjpegServer() as server:
        assert server.is_private
    with pytest.raises(Pose3dError, match=r"203\.0\.113\.7 cannot be served"):
        MjpegServer(host="203.0.113.7")  # of nobody (RFC 5737)
    with pytest.raises(Pose3dError, match="is no address such as"):
        MjpegServer(host="kitchen")


def test_a_viewer_who_stops_reading_holds_nobody_up(monkeypatch):
    monkeypatch.setattr("pipeline.mjpeg.TIMEOUT_S", 0.5)
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    with MjpegServer() as server:
        server.show(noise)
        stuck, reading = ask(server, "/stream"), ask(server, "/stream")
        boundary = reading.getheader("Content-Type").partition("boundary=")[2].encode()
        read_part(reading, boundary)
        began, slowest = time.monotonic(), 0.0
        while time.monotonic() < began + 1.5:
            before = time.monotonic()
            server.show(noise)
            slowest = max(slowest, time.monotonic() - before)
            read_part(reading, boundary)
        assert slowest < 0.4
        reading.close()
        # Both have gone: one by itself, the other was given up.
        while server.watched and time.monotonic() < began + 5:
            server.show(noise)
            time.sleep(0.02)
        assert not server.watched
        stuck.close()


def test_view_draws_somebody_and_nobody():
    size = (320, 240)
    view = LiveView(size, 400.0)
    picture = Captured(quadrants(*size), 1.0, 1.0, 0)
    there = np.random.default_rng(0).normal(0, 0.4, (17, 3)).astype(np.float32)
    points = np.random.default_rng(1).uniform(50, 200, (17, 2)).astype(np.float32)
    absent = np.full((17, 3), np.nan, np.float32)
    ones = np.ones(17, np.float32)
    somebody = view.draw(Moment(picture, points, ones, there, ones, "ok", 0.01), "30 frames/s")
    nobody = view.draw(
        Moment(picture, absent[:, :2], ones * np.nan, absent, ones, "not_visible", 0.01), ""
    )
    assert somebody.shape == nobody.shape == (view.size[1], view.size[0], 3)
    # On both sides, the skeleton is there and gone again.
    middle = view.size[0] // 2
    different = np.abs(somebody.astype(int) - nobody).max(axis=-1) > 40
    assert different[60:, : middle - 100].sum() > 200
    assert different[60:, middle + 100 :].sum() > 200
