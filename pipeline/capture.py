"""Pictures as they happen: of a camera, a stream, or a file that is played at its own rate."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import cv2
import numpy as np

from pipeline.video import VideoReader, prefetch
from weights.errors import Pose3dError

SCHEMES = ("rtsp", "rtsps", "rtmp", "http", "https")
# Seconds without a connection, or without a picture, after which a stream is given up.
TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Captured:
    """A picture: image (H, W, 3) uint8 RGB; time_s since the first one (of a file: its own).

    due_s : by the clock, when it was there to be worked on
    dropped : pictures that were passed over so far, because the work was late
    """

    image: np.ndarray
    time_s: float
    due_s: float
    dropped: int


class Clock(Protocol):
    """Seconds that go on; ``time`` is one."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class FileSource:
    """A video file at its own rate: pictures that are late by then are passed over."""

    def __init__(self, path: str | Path, clock: Clock = time) -> None:
        self._reader = VideoReader(path)
        self._clock = clock
        self.size = self._reader.info.width, self._reader.info.height
        self.frame_rate: Fraction | None = self._reader.info.frame_rate
        self.name = Path(path).name

    def frames(self) -> Iterator[Captured]:
        """The newest picture whenever the next one is asked for; waits until it is due."""
        dropped = 0
        with closing(prefetch(self._reader)) as frames:
            frame = next(frames, None)
            if frame is None:
                return
            origin = self._clock.monotonic() - frame.time_s
            while frame is not None:
                now = self._clock.monotonic() - origin
                later = next(frames, None)
                if later is not None and later.time_s <= now:
                    dropped += 1
                else:
                    if frame.time_s > now:
                        self._clock.sleep(frame.time_s - now)
                    yield Captured(frame.image, frame.time_s, origin + frame.time_s, dropped)
                frame = later


class CameraSource:
    """A camera by its number, or a stream by its URL; a thread keeps the newest picture only."""

    frame_rate: Fraction | None = None  # what cameras say of theirs is often wrong

    def __init__(self, camera: int | str) -> None:
        if isinstance(camera, str):
            self.name = _without_password(camera)
            limit = round(TIMEOUT_S * 1000)
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit]
            with _no_words():
                self._capture = cv2.VideoCapture(camera, cv2.CAP_FFMPEG, limits)
        else:
            self.name = f"camera {camera}"
            with _no_words():
                self._capture = cv2.VideoCapture(camera)
        found, first = self._capture.read() if self._capture.isOpened() else (False, None)
        if not found:
            self._capture.release()
            hint = "is it right, and on?" if isinstance(camera, str) else "is another one meant?"
            raise Pose3dError(f"{self.name} gives no picture: {hint}")
        self.size = first.shape[1], first.shape[0]
        self._news = threading.Condition()
        self._newest: tuple[np.ndarray, float] | None = (first, time.monotonic())
        self._taken = self._seen = 0
        self._over = self._stop = False

    def _grab(self) -> None:
        try:
            while not self._stop:
                found, image = self._capture.read()
                with self._news:
                    if not found:
                        return
                    self._newest = image, time.monotonic()
                    self._seen += 1
                    self._news.notify()
        finally:
            with self._news:
                self._over = True
                self._news.notify()

    def frames(self) -> Iterator[Captured]:
        """The newest picture whenever the next one is asked for; waits for one.

        Raises Pose3dError when no more come.
        """
        self._seen = 1
        thread = threading.Thread(target=self._grab, name="camera", daemon=True)
        thread.start()
        origin = None
        try:
            while True:
                with self._news:
                    told = self._news.wait_for(lambda: self._newest or self._over, TIMEOUT_S)
                    if not told or self._newest is None:
                        raise Pose3dError(f"{self.name} gives no more pictures")
                    (image, due_s), self._newest = self._newest, None
                    self._taken += 1
                    dropped = self._seen - self._taken
                origin = due_s if origin is None else origin
                if image.shape[1::-1] != self.size:
                    raise Pose3dError(f"{self.name} changed the size of its pictures: start anew")
                rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
                yield Captured(rgb, due_s - origin, due_s, dropped)
        finally:
            self._stop = True
            thread.join(TIMEOUT_S)
            self._capture.release()


def _without_password(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in SCHEMES:
        raise Pose3dError(f"not a URL of a stream: give one of {', '.join(SCHEMES)}")
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"


@contextmanager
def _no_words() -> Iterator[None]:
    """OpenCV tells on the terminal what the error tells, and FFmpeg inside of it much more."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    level = cv2.getLogLevel()
    cv2.setLogLevel(0)
    try:
        yield
    finally:
        cv2.setLogLevel(level)
