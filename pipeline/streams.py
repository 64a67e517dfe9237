"""Streams: pictures as they come over the network or by standard input (PyAV)."""

from __future__ import annotations

import errno
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from urllib.parse import urlsplit

import av
import numpy as np

from pipeline.capture import POLL_S, NewestSource
from pipeline.pictures import shape_of, to_rgb
from weights.errors import Pose3dError

SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "tcp", "udp")
STDIN = "-"
# What a play list may lead to: no files.
PROTOCOLS = "crypto,data,http,httpproxy,https,rtmp,rtmps,rtmpt,rtp,srtp,tcp,tls,udp"
# Seconds for the connection, and without a word, after which it is taken for dead.
TIMEOUT_S = 10.0
# Seconds without a picture in which a stream that was there is tried again, and between tries.
LOST_S = 60.0
PAUSE_S = 1.0
# Seconds for which packets wait for the decoder, and their number, before some are passed over.
BACKLOG_S, BACKLOG = 1.0, 256
# Seconds after which a pipe that is not full of packets is no recording.
FULL_S = 0.3
# Seconds of a stream that are looked at to find out what it is.
PROBE_S = 1.0
# By which two shapes (width over height) may differ.
SAME_SHAPE = 0.02


class StreamSource(NewestSource):
    """A stream by its URL, or standard input ("-"); one that breaks off is tried again.

    A recording, on the web or in a pipe, is played at its own rate; the end of it and of standard
    input is the end. (It tells its length, or fills the pipe at once.) One thread reads, so that it
    is known when a picture came; another decodes, and goes on at a key frame where it is too slow.
    (Over RTSP, libav knows that a picture is whole when the next one begins: it came one earlier
    than is said here.)

    Parameters
    ----------
    tell : told in a line that the stream broke off, and that it is back

    Raises
    ------
    Pose3dError
        if it is no such URL, or gives no picture.
    """

    def __init__(self, url: str, tell: Callable[[str], None] = lambda line: None) -> None:
        super().__init__(LOST_S)
        if url == STDIN:
            if sys.stdin is None or sys.stdin.isatty():
                raise Pose3dError("standard input is a terminal: pipe a video into pose3d")
            self.name, self._url = "standard input", "pipe:0"
        else:
            self.name, self._url = without_password(url), url
        self._tell = tell
        self._packets: deque[tuple[av.VideoCodecContext, av.Packet]] = deque()
        self._waiting_for_key = self._read_all = False
        self._paced = False
        self._undecided = url == STDIN  # whether it is a recording
        self._shape: tuple[int, int, int] | None = None
        self._heard_s = 0.0  # when the last packet came
        self._trouble: str | None = None  # why there is none now
        for work in (self._read, self._decode):
            threading.Thread(target=work, name="stream", daemon=True).start()
        try:
            self._await_first()
        except BaseException:
            self._stop.set()
            raise

    def _await_first(self) -> None:
        # Connecting, and finding out what it is, have a limit each.
        patience_s = self._patience_s if self._url == "pipe:0" else 2 * TIMEOUT_S
        limit_s = time.monotonic() + patience_s
        with self._news:
            while self._newest is None and not self._ended:
                if time.monotonic() > limit_s:
                    raise self._no_picture(f"none came in {patience_s:g} s")
                self._news.wait(POLL_S)
            if self._newest is None:
                raise self._error or self._no_picture("it is empty")
            self._shape = shape_of(*self._newest[0])
        width, height, turns = self._shape
        self.size = (height, width) if turns % 2 else (width, height)

    def _no_picture(self, reason: str) -> Pose3dError:
        if self.name == "standard input" or self.name.lower().endswith((".mp4", ".m4v", ".mov")):
            reason += " (an MP4 whose index comes last cannot be streamed: give it as a file)"
        return Pose3dError(f"{self.name} gives no picture: {reason}")

    def _silence(self) -> Pose3dError:
        if self._trouble is None:
            return super()._silence()
        return Pose3dError(
            f"{self.name} is lost: {self._trouble}; it was tried again for {self._patience_s:g} s"
        )

    def _read(self) -> None:
        """Of the reading thread: one connection after the other."""
        error = None
        try:
            while not self._stop.is_set():
                began_s = time.monotonic()
                try:
                    ends, trouble = self._read_connection(), "it was closed"
                except (av.FFmpegError, OSError, ValueError) as failure:
                    ends, trouble = False, _reason(failure)
                    if self._heard_s > began_s and failure.errno == errno.EIO:
                        trouble = "it was closed"
                    if time.monotonic() - max(began_s, self._heard_s) >= TIMEOUT_S:
                        trouble = f"no answer for {TIMEOUT_S:g} s"  # libav tells it in many ways
                except Pose3dError as failure:
                    ends, trouble = False, str(failure)
                if self._stop.is_set():
                    return
                if ends or self._url == "pipe:0" or not self._heard_s:
                    error = None if self._heard_s else self._no_picture(trouble)
                    return
                if self._trouble is None:
                    lost_s = f"{self._patience_s:g} s"
                    self._tell(f"{self.name} broke off: {trouble}; it is tried again for {lost_s}")
                self._trouble = trouble
                self._stop.wait(PAUSE_S)
        finally:
            with self._news:
                self._error, self._read_all = error, True
                self._news.notify_all()

    def _read_connection(self) -> bool:
        """Reads until the end; whether it is one that was to come."""
        with av.open(self._url, **_options(self._url)) as container:
            stream = _main_stream(container)
            codec = stream.codec_context
            codec.thread_type = "SLICE"  # threads for frames would hold some back
            codec.copy_opaque = True
            rtsp = container.format.name == "rtsp"
            hls = container.format.name == "hls"
            # Of a web server that knows how long its answer is.
            whole = self._url.startswith("http") and not hls and container.size > 0
            has_end = (container.duration is not None or whole) and not rtsp
            if has_end or hls:
                self._paced, self._undecided = True, False
            for packet in container.demux(stream):
                if self._stop.is_set():
                    break
                self._heard_s = time.monotonic()
                if self._trouble is not None and packet.size:
                    self._tell(f"{self.name} is back")
                    self._trouble = None
                packet.opaque = self._heard_s
                self._keep(codec, packet)
            return has_end

    def _keep(self, codec: av.VideoCodecContext, packet: av.Packet) -> None:
        """Hand a packet to the decoder; where that is behind, go on at the newest key frame."""
        with self._news:
            if self._paced or self._undecided:
                while len(self._packets) >= BACKLOG and not self._stop.is_set():
                    self._news.wait(POLL_S)
            elif self._packets:
                oldest_s = self._packets[0][1].opaque
                if packet.opaque - oldest_s > BACKLOG_S or len(self._packets) >= BACKLOG:
                    self._pass_over()
            if self._waiting_for_key and packet.size:
                if not packet.is_keyframe:
                    self._dropped += 1
                    return
                self._waiting_for_key = False
            self._packets.append((codec, packet))
            self._news.notify_all()

    def _pass_over(self) -> None:
        keys = [place for place, (_, packet) in enumerate(self._packets) if packet.is_keyframe]
        if keys and keys[-1] > 0:
            late = keys[-1]
        else:
            late, self._waiting_for_key = len(self._packets), True
        for _ in range(late):
            self._packets.popleft()
        self._dropped += late

    def _decide(self) -> None:
        """Whether a pipe holds a recording: then whoever fills it is soon far ahead."""

        def full() -> bool:
            return len(self._packets) >= BACKLOG or self._read_all

        with self._news:
            while self._undecided and not self._packets and not full() and not self._stop.is_set():
                self._news.wait(POLL_S)
            if self._undecided:
                self._paced = self._news.wait_for(full, FULL_S)
                self._undecided = False

    def _decode(self) -> None:
        """Of the decoding thread."""
        began_s = -np.inf
        self._decide()
        try:
            while not self._stop.is_set():
                with self._news:
                    self._news.wait_for(lambda: self._packets or self._read_all, POLL_S)
                    if not self._packets:
                        if self._read_all:
                            return
                        continue
                    codec, packet = self._packets.popleft()
                    self._news.notify_all()
                with suppress(av.FFmpegError, OSError):  # the next key frame mends it
                    for frame in codec.decode(packet):
                        if frame.is_corrupt:
                            continue
                        came_s = frame.opaque or time.monotonic()
                        if self._paced and frame.time is not None:
                            now = time.monotonic()
                            # Far off: the clock of a recording jumps, or the network was late.
                            if not -BACKLOG_S < began_s + frame.time - now < TIMEOUT_S:
                                began_s = now - frame.time
                            came_s = began_s + frame.time
                            self._stop.wait(max(0.0, came_s - now))
                        self._put((frame, codec.sample_aspect_ratio), came_s)
        finally:
            self._end(self._error)

    def _to_rgb(self, picture: tuple[av.VideoFrame, Fraction | None]) -> np.ndarray:
        frame, aspect = picture
        width, height, turns = self._shape
        new_width, new_height, new_turns = shape_of(frame, aspect)
        change = (new_width / new_height) / (width / height)
        if new_turns != turns or abs(change - 1) > SAME_SHAPE:
            raise Pose3dError(
                f"{self.name} changed its pictures from {width}x{height} to "
                f"{new_width}x{new_height}, which is another shape: start anew"
            )
        # Of another size, they become as large as the first.
        return to_rgb(frame, self._shape)


def _options(url: str) -> dict:
    options = {"analyzeduration": str(round(PROBE_S * 1e6))}
    if url == "pipe:0":
        return {"container_options": options | {"protocol_whitelist": "pipe"}}
    options["protocol_whitelist"] = PROTOCOLS
    if url.startswith("rtsp"):
        options["rtsp_flags"] = "prefer_tcp"  # loses nothing, and passes firewalls
    return {"container_options": options, "timeout": TIMEOUT_S}


def _main_stream(container: av.container.InputContainer) -> av.VideoStream:
    videos = container.streams.video
    if not videos and container.streams.audio:
        raise Pose3dError("it holds only sound")
    if not videos or videos[0].name == "ansi":  # libav takes any text for character graphics
        raise Pose3dError("it is no video")
    playable = [stream for stream in videos if stream.codec_context is not None]
    if not playable:
        raise Pose3dError("its video codec is unknown")
    return max(playable, key=lambda stream: stream.width * stream.height)


def _reason(error: Exception) -> str:
    """Why a stream fails, without its URL, in which a password may be."""
    if isinstance(error, av.error.HTTPUnauthorizedError):
        return "the user name or password is missing or wrong"
    if isinstance(error, av.error.HTTPForbiddenError):
        return "it may not be watched with this user name (HTTP 403)"
    if isinstance(error, av.error.HTTPNotFoundError):
        return "the server knows no stream of this name (HTTP 404)"
    if isinstance(error, av.error.ExitError):
        return f"no answer for {TIMEOUT_S:g} s"
    if getattr(error, "errno", None) == errno.EIO:
        return "it cannot be found or reached, or is no video"
    if isinstance(error, av.error.InvalidDataError):
        return "it is no video, or of a kind that cannot be read"
    words = getattr(error, "strerror", None) or type(error).__name__
    return " ".join(words.split())


def without_password(url: str) -> str:
    """A URL as messages show it: without a user, a password, or what follows "?"."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in SCHEMES and parts.netloc
        parts.port  # noqa: B018 - raises ValueError
    except ValueError:
        known = False
    if not known:
        raise Pose3dError(f"not a URL of a stream: give one of {', '.join(SCHEMES)}")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
