"""A camera with RTSP for tests: H.264 in real time, over the TCP connection itself (RFC 2326)."""

import base64
import re
import socket
import struct
import threading
import time
from fractions import Fraction

import av
import numpy as np

LARGEST_PACKET = 1400
SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\n"
    "m={kind} 0 RTP/AVP 96\r\na=rtpmap:96 {codec}\r\na=fmtp:96 packetization-mode=1\r\n"
    "a=control:track1\r\n"
)


class RtspServer:
    """Serves what ``image`` gives for frame numbers, (H, W, 3) uint8 RGB, to whoever asks.

    rate, key_every : frames a second, and from key frame to key frame
    hang_up_after, silent_after : frames after which a connection is closed, or goes on without any
    silent_at : request ("DESCRIBE") that is never answered
    user : "name:password" that is asked for
    kind : of the stream, as the SDP tells it
    """

    def __init__(
        self,
        image,
        rate=30,
        key_every=15,
        hang_up_after=None,
        silent_after=None,
        silent_at=None,
        user=None,
        kind="video",
        port=0,
    ):
        self.image, self.rate, self.key_every = image, rate, key_every
        self.hang_up_after, self.silent_after = hang_up_after, silent_after
        self.silent_at, self.user, self.kind = silent_at, user, kind
        self.plays = 0
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self.url = f"rtsp://127.0.0.1:{self.port}/live"

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._listener.close()

    def _accept(self):
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection):
        with connection, connection.makefile("rb") as lines:
            try:
                while request := self._request(lines):
                    method, headers = request
                    if method == self.silent_at:
                        self._stop.wait()
                        return
                    self._answer(connection, method, headers)
                    if method == "PLAY":
                        self.plays += 1
                        self._play(connection)
                        return
            except OSError:  # who watched has gone
                pass

    @staticmethod
    def _request(lines):
        head = lines.readline().decode().split()
        headers = {}
        while line := lines.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return (head[0], headers) if head else None

    def _answer(self, connection, method, headers):
        status, more, body = "200 OK", "", ""
        wanted = self.user and "Basic " + base64.b64encode(self.user.encode()).decode()
        if wanted and headers.get("authorization") != wanted:
            status, more = "401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"\r\n'
        elif method == "OPTIONS":
            more = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
        elif method == "DESCRIBE":
            codec = "H264/90000" if self.kind == "video" else "L16/48000/1"
            body = SDP.format(kind=self.kind, codec=codec)
            more = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
        elif method == "SETUP" and "TCP" not in headers["transport"]:
            status = "461 Unsupported Transport"
        elif method == "SETUP":
            channels = re.search(r"interleaved=[\d-]+", headers["transport"])[0]
            more = f"Transport: RTP/AVP/TCP;unicast;{channels}\r\nSession: 1\r\n"
        elif method == "PLAY":
            more = "Session: 1\r\nRange: npt=now-\r\n"
        connection.sendall(
            f"RTSP/1.0 {status}\r\nCSeq: {headers.get('cseq', '0')}\r\n{more}\r\n{body}".encode()
        )

    def _play(self, connection):
        began, number, sequence = time.monotonic(), 0, 0
        encoder, size = None, None
        while not self._stop.is_set():
            if number == self.hang_up_after:
                return
            time.sleep(max(0.0, began + number / self.rate - time.monotonic()))
            if self.silent_after is not None and number >= self.silent_after:
                self._stop.wait()
                return
            image = self.image(number)
            if image.shape != size:
                encoder, size = self._encoder(image), image.shape
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, self.rate)
            for packet in encoder.encode(frame):
                stamp = round((time.monotonic() - began) * 90_000)
                payloads = [p for unit in _units(bytes(packet)) for p in _payloads(unit)]
                for place, payload in enumerate(payloads):
                    last = 0x80 if place == len(payloads) - 1 else 0
                    rtp = struct.pack(">BBHII", 0x80, 96 | last, sequence & 0xFFFF, stamp, 1)
                    content = rtp + payload
                    connection.sendall(struct.pack(">cBH", b"$", 0, len(content)) + content)
                    sequence += 1
            number += 1

    def _encoder(self, image):
        encoder = av.CodecContext.create("libx264", "w")
        encoder.width, encoder.height, encoder.pix_fmt = image.shape[1], image.shape[0], "yuv420p"
        encoder.time_base = Fraction(1, self.rate)
        encoder.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "x264-params": f"keyint={self.key_every}:repeat-headers=1:annexb=1",
        }
        return encoder


def _units(stream):
    """NAL units of an H.264 byte stream (Annex B)."""
    return [unit for unit in re.split(b"\x00\x00\x00?\x01", stream) if unit]


def _payloads(unit):
    """RTP payloads of a NAL unit: itself, or fragments of it (FU-A, RFC 6184)."""
    if len(unit) <= LARGEST_PACKET + 1:
        return [unit]
    parts = [unit[i : i + LARGEST_PACKET] for i in range(1, len(unit), LARGEST_PACKET)]
    indicator, kind = unit[0] & 0xE0 | 28, unit[0] & 0x1F
    flags = [0x80] + [0] * (len(parts) - 2) + [0x40]
    return [bytes([indicator, kind | flag]) + p for flag, p in zip(flags, parts, strict=True)]


def clock_picture(bits=16, size=(320, 240)):
    """(H, W, 3) whose lower half tells the time, ``time.monotonic`` in ms, as black and white."""
    now = round(time.monotonic() * 1000)
    row = np.array([255 * (now >> bit & 1) for bit in range(bits)], np.uint8)
    image = np.full((size[1], size[0], 3), 128, np.uint8)
    image[size[1] // 2 :] = np.repeat(row, size[0] // bits)[:, None]
    return image


def age_of(image, bits=16):
    """Seconds since a ``clock_picture``, of any size, was made."""
    height, width = image.shape[:2]
    columns = (np.arange(bits) + 0.5) * width / bits
    levels = image[height * 5 // 8, columns.astype(int), 1]
    made = sum(int(level > 128) << bit for bit, level in enumerate(levels))
    return (round(time.monotonic() * 1000) - made) % (1 << bits) / 1000
