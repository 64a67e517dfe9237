"""Pictures as they happen: of a camera, or of a file that is played at its own rate.

Streams, which are pictures as they happen too, are in ``streams``.
"""

from __future__ import annotations

import glob
import os
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from pipeline.video import VideoReader, prefetch
from weights.errors import Pose3dError

# Seconds without a picture after which a camera is given up.
TIMEOUT_S = 10.0
# Between two questions, while nothing comes, whether to go on.
POLL_S = 0.05

# Asked while nothing comes; true ends the pictures.
Over = Callable[[], bool]


def never() -> bool:
    """The pictures go on until there are no more."""
    return False


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
        path = Path(path)
        if path.exists() and not (path.is_file() or path.is_dir()):
            name = shlex.quote(str(path))
            raise Pose3dError(f"{path} is a pipe or a device: pose3d live - < {name}, or --camera")
        self._reader = VideoReader(path)
        self._clock = clock
        self.size = self._reader.info.width, self._reader.info.height
        self.frame_rate: Fraction | None = self._reader.info.frame_rate
        self.name = path.name

    def frames(self, over: Over = never) -> Iterator[Captured]:
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
                    due_s = origin + frame.time_s
                    while (wait_s := due_s - self._clock.monotonic()) > 0:
                        if over():
                            return
                        self._clock.sleep(min(wait_s, POLL_S))
                    yield Captured(frame.image, frame.time_s, due_s, dropped)
                frame = later


class NewestSource:
    """What cameras and streams share: threads bring pictures, of which the newest is kept.

    A thread calls ``_put`` for every picture, and ``_end`` after the last one.
    """

    name: str
    size: tuple[int, int]
    frame_rate: Fraction | None = None  # what cameras say of theirs is often wrong

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._news = threading.Condition()
        self._newest: tuple[object, float] | None = None
        self._dropped = 0
        self._ended = False
        self._error: Pose3dError | None = None
        self._stop = threading.Event()

    def _put(self, picture: object, came_s: float) -> None:
        with self._news:
            self._dropped += self._newest is not None
            self._newest = picture, came_s
            self._news.notify_all()

    def _end(self, error: Pose3dError | None) -> None:
        with self._news:
            self._ended, self._error = True, error
            self._news.notify_all()

    def _to_rgb(self, picture: object) -> np.ndarray:
        """(H, W, 3) uint8 of what ``_put`` was given."""
        raise NotImplementedError

    def _silence(self) -> Pose3dError:
        """What to say when no picture came for ``_patience_s``."""
        return Pose3dError(f"{self.name} gave no picture for {self._patience_s:g} s")

    def frames(self, over: Over = never) -> Iterator[Captured]:
        """The newest picture whenever the next one is asked for; waits for one.

        Raises Pose3dError when no more come, unless that is how this source ends.
        """
        origin, heard_s = None, time.monotonic()
        try:
            while True:
                with self._news:
                    self._news.wait_for(lambda: self._newest or self._ended, POLL_S)
                    newest, self._newest = self._newest, None
                    dropped, ended = self._dropped, self._ended
                if newest is not None:
                    picture, came_s = newest
                    origin = came_s if origin is None else origin
                    yield Captured(self._to_rgb(picture), came_s - origin, came_s, dropped)
                    heard_s = time.monotonic()
                elif ended:
                    if self._error is not None:
                        raise self._error
                    return
                elif over():
                    return
                elif time.monotonic() - heard_s > self._patience_s:
                    raise self._silence()
        finally:
            self._stop.set()


class CameraSource(NewestSource):
    """A camera by its number."""

    def __init__(self, camera: int) -> None:
        super().__init__(TIMEOUT_S)
        self.name = f"camera {camera}"
        with _silent_opencv():
            self._capture = cv2.VideoCapture(camera)
            found, first = self._capture.read() if self._capture.isOpened() else (False, None)
        if not found:
            self._capture.release()
            raise Pose3dError(f"{self.name} gives no picture: {_why_not(camera)}")
        self.size = first.shape[1], first.shape[0]
        self._put(first, time.monotonic())
        self._thread = threading.Thread(target=self._grab, name="camera", daemon=True)

    def frames(self, over: Over = never) -> Iterator[Captured]:
        self._thread.start()
        try:
            yield from super().frames(over)
        finally:
            self._thread.join(1.0)  # a camera that hangs is not waited for

    def _grab(self) -> None:
        try:
            while not self._stop.is_set() and self._capture.grab():
                came_s = time.monotonic()
                found, image = self._capture.retrieve()
                if not found:
                    break
                self._put(image, came_s)
        finally:
            self._capture.release()
            self._end(Pose3dError(f"{self.name} gives no more pictures: was it unplugged?"))

    def _to_rgb(self, picture: np.ndarray) -> np.ndarray:
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _why_not(camera: int) -> str:
    """Why a camera gives no picture, and what to do."""
    if not sys.platform.startswith("linux"):
        return "is it another number, does another program use it, and may this one?"
    device = Path(f"/dev/video{camera}")
    if not device.exists():
        others = sorted(int(path[10:]) for path in glob.glob("/dev/video*") if path[10:].isdigit())
        there = f"there are {', '.join(map(str, others))}" if others else "none is plugged in"
        return f"there is no {device}; {there}"
    if not os.access(device, os.R_OK | os.W_OK):
        return f"{device} may not be read by you: join the group that may (often 'video')"
    return "does another program use it? If not, another number may be its picture"


@contextmanager
def _silent_opencv() -> Iterator[None]:
    """OpenCV tells on the terminal what the error tells."""
    level = cv2.getLogLevel()
    cv2.setLogLevel(0)
    try:
        yield
    finally:
        cv2.setLogLevel(level)
