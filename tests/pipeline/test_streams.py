"""Streams: RTSP, TCP and pipes that are made here; what breaks off, is silent, or is no video."""

import http.server
import os
import socket
import threading
import time
from fractions import Fraction
from itertools import islice, pairwise

import av
import numpy as np
import pytest

from pipeline import streams
from pipeline.mjpeg import MjpegServer
from pipeline.streams import StreamSource
from tests.pipeline.clips import make_clip, number_of, numbered, quadrant_colours, quadrants
from tests.pipeline.rtsp import RtspServer
from weights.errors import Pose3dError


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Limits that tests can wait for."""
    monkeypatch.setattr(streams, "TIMEOUT_S", 1.5)
    monkeypatch.setattr(streams, "LOST_S", 3.0)
    monkeypatch.setattr(streams, "PAUSE_S", 0.1)


def small(number):
    return numbered(number % 60, 64, 48)


def test_rtsp_breaks_off_and_comes_back():
    told = []
    with RtspServer(small, hang_up_after=50) as server:
        source = StreamSource(server.url, told.append)
        assert source.size == (64, 48)
        pictures = source.frames()
        numbers, times = [], []
        for picture in pictures:
            numbers.append(number_of(picture.image))
            times.append(picture.time_s)
            if server.plays == 2 and len(told) == 2:
                break
        numbers += [number_of(picture.image) for picture in islice(pictures, 10)]
    assert told[0].startswith(f"{server.url} broke off: it was closed; it is tried again")
    assert told[1] == f"{server.url} is back"
    # Where it broke off, the last picture came, and then the first ones again.
    end = numbers.index(49)
    assert numbers[:end] == sorted(set(numbers[:end]))
    assert numbers[end + 1] < 45
    assert times == sorted(times)


def test_rtsp_that_is_gone_is_tried_again_for_a_while():
    told = []
    with RtspServer(small, hang_up_after=45) as server:
        source = StreamSource(server.url, told.append)
        pictures = source.frames()
        next(pictures)
    # Gone is the server as well now.
    with pytest.raises(Pose3dError) as caught:
        list(pictures)
    message = f"{server.url} is lost: Connection refused; it was tried again for 3 s"
    assert str(caught.value) == message
    assert len(told) == 1


def test_rtsp_that_falls_silent():
    told = []
    with RtspServer(small, silent_after=45) as server:
        source = StreamSource(server.url, told.append)
        pictures = source.frames(lambda: len(told) > 0)
        assert len(list(pictures)) > 10
        assert "broke off: no answer for 1.5 s" in told[0]


def test_whoever_asked_can_stop_a_silent_stream():
    with RtspServer(small, silent_after=45) as server:
        pictures = StreamSource(server.url).frames(lambda: server.plays == 1)
        began = time.monotonic()
        assert list(pictures)
        assert time.monotonic() - began < 1.2


class Page(http.server.BaseHTTPRequestHandler):
    content = b"<!doctype html><title>no video</title>" + b"<p>words</p>" * 400

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *_):
        pass


def test_what_is_no_stream():
    def reason(url):
        with pytest.raises(Pose3dError) as caught:
            StreamSource(url)
        assert "secret" not in str(caught.value)
        assert "\n" not in str(caught.value)
        return str(caught.value).partition(" gives no picture: ")[2] or str(caught.value)

    with RtspServer(small, user="me:secret1") as server:
        wrong = server.url.replace("//", "//me:secret2@")
        assert reason(server.url) == "the user name or password is missing or wrong"
        assert reason(wrong) == "the user name or password is missing or wrong"
        right = StreamSource(server.url.replace("//", "//me:secret1@"))
        assert "secret" not in right.name
        right.frames().close()
    with RtspServer(small, silent_at="DESCRIBE") as server:
        assert reason(server.url) == "no answer for 1.5 s"
    with RtspServer(small, silent_at="PLAY") as server:
        assert reason(server.url) == "no answer for 1.5 s"
    with RtspServer(small, kind="audio") as server:
        assert reason(server.url) == "it holds only sound"
    assert reason("rtsp://127.0.0.1:1/a?token=secret") == "Connection refused"
    assert "found or reached" in reason("rtsp://no-such-host.invalid/a")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert "no video" in reason(f"http://127.0.0.1:{server.server_port}/a")
        server.shutdown()
    for url in ("file://me:secret@host/etc/passwd", "rtsp://", "rtsp://a:b:c/", "concat:/a|/b"):
        assert "not a URL of a stream" in reason(url)


def test_pictures_of_another_size():
    # The first ones are 320 x 240: others of their shape are made as large, no others are.
    sizes = [(320, 240)] * 45 + [(160, 120)] * 30 + [(160, 160)] * 30
    with RtspServer(lambda n: quadrants(*sizes[min(n, 104)])) as server:
        source = StreamSource(server.url)
        seen = []

        def watch():
            for picture in source.frames():
                seen.append(picture.image)

        with pytest.raises(Pose3dError, match="320x240 to 160x160, which is another shape"):
            watch()
    assert {image.shape for image in seen} == {(240, 320, 3)}
    # Of the second kind were the last.
    assert np.abs(quadrant_colours(seen[-1]) - quadrant_colours(quadrants(320, 240))).max() < 25
    assert len(seen) > 35


def test_a_decoder_that_is_too_slow_goes_on_at_a_key_frame(monkeypatch):
    monkeypatch.setattr(streams, "BACKLOG_S", 0.3)

    class Slow(StreamSource):
        def _put(self, picture, came_s):
            time.sleep(0.1)
            super()._put(picture, came_s)

    with RtspServer(small, key_every=10) as server:
        pictures = Slow(server.url).frames()
        seen, ages = [], []
        for picture in islice(pictures, 30):
            seen.append(number_of(picture.image))
            ages.append(time.monotonic() - picture.due_s)
            last = picture
        pictures.close()
    # 10 of 30 pictures a second, whole ones, none of which is older than it may be, and some.
    assert max(ages) < 1.2  # if none were passed over, 2 s
    assert last.dropped > 40
    jumps = [after for before, after in pairwise(seen) if after != (before + 1) % 60]
    assert jumps
    assert not [after for after in jumps if after % 10]


def write_live(file, frames, rate=30):
    """Writes MPEG-TS of numbered pictures as they happen, and closes it."""
    with file, av.open(file, "w", format="mpegts") as out:
        stream = out.add_stream("libx264", rate=rate, options={"tune": "zerolatency", "g": "15"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        began = time.monotonic()
        for number in range(frames):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            frame = av.VideoFrame.from_ndarray(small(number), format="rgb24")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


@pytest.fixture
def stdin():
    """The end of a pipe that is standard input for as long as the test."""
    kept = os.dup(0)
    reading, writing = os.pipe()
    os.dup2(reading, 0)
    os.close(reading)
    yield os.fdopen(writing, "wb", buffering=0)
    os.dup2(kept, 0)
    os.close(kept)


def test_live_pipe(stdin):
    threading.Thread(target=write_live, args=(stdin, 58), daemon=True).start()
    told = []
    source = StreamSource("-", told.append)
    assert source.name == "standard input"
    numbers = [number_of(picture.image) for picture in source.frames()]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 57
    assert told == []


def put_into(pipe, path):
    threading.Thread(target=lambda: (pipe.write(path.read_bytes()), pipe.close())).start()


@pytest.mark.parametrize("name", ["clip.mkv", "clip.ts"])
def test_a_recording_in_a_pipe_is_played_at_its_own_rate(stdin, tmp_path, name):
    put_into(stdin, make_clip(tmp_path / name, frames=40, image=small))
    pictures = list(StreamSource("-").frames())
    numbers = [number_of(picture.image) for picture in pictures]
    # At once, most would be passed over.
    assert len(numbers) > 25
    assert [picture.time_s for picture in pictures] == pytest.approx(
        (np.array(numbers) - numbers[0]) / 30, abs=0.01
    )
    assert numbers[-1] == 39


def test_a_recording_on_the_web_is_played_once(tmp_path, monkeypatch):
    clip = make_clip(tmp_path / "clip.ts", frames=40, image=small)
    monkeypatch.setattr(Page, "content", clip.read_bytes())
    told = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        source = StreamSource(f"http://127.0.0.1:{server.server_port}/clip.ts", told.append)
        numbers = [number_of(picture.image) for picture in source.frames()]
        server.shutdown()
    assert len(numbers) > 25
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 39
    assert told == []


def test_an_mp4_whose_index_comes_last(stdin, tmp_path):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (10, 240, 320, 3), np.uint8)  # more than libav keeps
    clip = {"size": (320, 240), "frames": 10, "image": pictures.__getitem__}
    put_into(stdin, make_clip(tmp_path / "clip.mp4", **clip))
    with pytest.raises(Pose3dError, match="whose index comes last cannot be streamed"):
        StreamSource("-")


def test_empty_pipe(stdin):
    stdin.close()
    with pytest.raises(Pose3dError, match="standard input gives no picture"):
        StreamSource("-")


def test_mpegts_over_tcp(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def send():
            connection, _ = listener.accept()
            write_live(connection.makefile("wb"), 50)
            connection.close()

        threading.Thread(target=send, daemon=True).start()
        told = []
        port = listener.getsockname()[1]
        source = StreamSource(f"tcp://127.0.0.1:{port}", told.append)
        numbers = [number_of(p.image) for p in source.frames(lambda: len(told) > 0)]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 49


def test_motion_jpeg():
    # Of cameras for the web, and of our own page.
    with MjpegServer() as server:

        def show():
            while not done.wait(1 / 20):
                server.show(quadrants(64, 48))

        done = threading.Event()
        threading.Thread(target=show, daemon=True).start()
        pictures = list(islice(StreamSource(f"{server.url}stream").frames(), 20))
        done.set()
    assert (
        np.abs(quadrant_colours(pictures[-1].image) - quadrant_colours(quadrants(64, 48))).max()
        < 12
    )
    # Its own clock, which libav makes up, says 25 pictures a second.
    assert pictures[-1].time_s - pictures[-11].time_s == pytest.approx(10 / 20, rel=0.3)


def test_upright_pictures_with_square_pixels(stdin, tmp_path):
    clip = make_clip(
        tmp_path / "clip.mkv", size=(96, 48), rotation=90, aspect=Fraction(4, 3), frames=10
    )
    put_into(stdin, clip)
    source = StreamSource("-")
    assert source.size == (48, 128)
    image = next(source.frames()).image
    # Turned clockwise, what was on the left is above.
    expected = quadrant_colours(np.rot90(quadrants(128, 48), -1))
    assert np.abs(quadrant_colours(image) - expected).max() < 25
