"""Reading and writing video files (PyAV): the only way to pictures and codecs in this program.

Pictures are `(H, W, 3)` uint8 RGB, upright, with square pixels. Times are seconds on the file's own
clock, counted from its first frame; they come from the presentation stamps, never from index / fps,
so sources of variable frame rate keep theirs.
"""

import errno
import os
import queue
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TypeVar

import av
import numpy as np

from pipeline.containers import Source, writing_failures
from pipeline.pictures import shape_of, to_rgb
from pipeline.soundtrack import open_soundtrack
from pipeline.yuv import to_yuv420
from weights.errors import Pose3dError

T = TypeVar("T")

MADE_BY = "rendered by pose3d"  # in every written file, so that its videos are told from others
TICKS_PER_SECOND = 90_000  # at least; the clock of written files
SNAP_S = 0.9e-3  # stamps of MKV and WebM are whole milliseconds: put them back on the frame grid
# What written files are tagged with: BT.709 primaries and curve (those of RGB on screens), and the
# BT.601 matrix, because readers that look at no tags (OpenCV, most of Python) take it for granted.
BT709, BT601, LIMITED_RANGE = 1, 6, 1


@dataclass(frozen=True)
class Frame:
    """One decoded picture: `index` from 0 in the range read, `time_s`, `image` (H, W, 3) RGB."""

    index: int
    time_s: float
    image: np.ndarray


@dataclass(frozen=True)
class VideoInfo:
    """What the header and the first picture of a video tell.

    width, height: of the upright picture with square pixels, as `VideoReader` yields it.
    rotation: degrees clockwise (0, 90, 180, 270) by which the stored picture is turned upright.
    frame_rate: exact average (30000/1001); 30 when the container has none.
    duration_s, frame_count: from the header, None when it has none; may be wrong.
    """

    path: Path
    width: int
    height: int
    frame_rate: Fraction
    duration_s: float | None
    frame_count: int | None
    rotation: int
    has_audio: bool
    codec: str
    pixel_format: str


class VideoReader:
    """Decodes a video, one upright RGB picture after the other: `for frame in VideoReader(path)`.

    start_s, end_s: the range of `Frame.time_s` that is read, end exclusive; None is all. Times stay
    those of the file, `Frame.index` counts the frames of the range from 0. Every iteration reads
    anew, in constant memory. As a context manager it closes the file of an iteration left early.

    info: `VideoInfo`. origin: the stamp of time 0; has_stamps: whether the file has any.
    After an iteration: `truncated` (the file ends before its header says),
    `decode_errors` (damaged places, passed over), `warning` (both in one line, or None).

    Raises `Pose3dError` if there is nothing to read: no such file, not a video, only sound, no
    picture, a range outside the video.
    """

    def __init__(self, path: str | Path, start_s: float | None = None, end_s: float | None = None):
        self._path = Path(path)
        self._start_s = start_s or 0.0
        self._end_s = float("inf") if end_s is None else end_s
        if not 0 <= self._start_s < self._end_s:
            raise Pose3dError(
                f"the range {self._start_s:g} s to {self._end_s:g} s of {path} is empty: "
                "the start must be 0 or more and before the end"
            )
        self.truncated = False
        self.decode_errors = 0
        self.warning: str | None = None
        self._running: Iterator[Frame] | None = None
        source = Source(self._path)
        try:
            first = next(source.timed_frames(0), None)
            if first is None:
                raise Pose3dError(f"{path} holds no picture that can be decoded")
            self._describe(source, first[1])
        finally:
            source.container.close()

    def _describe(self, source: Source, first: av.VideoFrame) -> None:
        stream = source.stream
        self.has_stamps = first.pts is not None
        self.origin = first.pts or 0
        duration_s, self._duration_tolerance_s = source.duration_s()
        self._shape = shape_of(first, stream.sample_aspect_ratio)
        width, height, turns = self._shape
        if turns % 2:
            width, height = height, width
        self.info = VideoInfo(
            path=self._path,
            width=width,
            height=height,
            frame_rate=source.frame_rate,
            duration_s=duration_s,
            frame_count=stream.frames or None,
            rotation=-90 * turns % 360,
            has_audio=bool(source.container.streams.audio),
            codec=stream.codec_context.codec.canonical_name,
            pixel_format=first.format.name,
        )

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *_) -> None:
        if self._running is not None:
            with suppress(ValueError):  # at work in another thread, which ends it
                self._running.close()

    def __iter__(self) -> Iterator[Frame]:
        self._running = self._read()
        return self._running

    def _read(self) -> Iterator[Frame]:
        source, timed_frames = self._open_at_start()
        index = 0
        try:
            for time, frame in timed_frames:
                if time >= self._end_s:
                    self._finish(source, index, complete=False)
                    break
                if time >= self._start_s:
                    try:
                        image = to_rgb(frame, self._shape)
                    except av.FFmpegError:
                        source.errors += 1
                        continue
                    yield Frame(index, time, image)
                    index += 1
            else:
                self._finish(source, index, complete=True)
        finally:
            self.decode_errors = source.errors
            source.container.close()

    def _open_at_start(self) -> tuple[Source, Iterator[tuple[float, av.VideoFrame]]]:
        source = Source(self._path)
        for early_s in (1, 15):  # seeking is inexact, and may land on the key frame after the stamp
            seek_s = self._start_s - early_s
            if not self.has_stamps or seek_s <= 0:
                break
            stamp = self.origin + int(seek_s / source.stream.time_base)
            with suppress(av.FFmpegError, OSError, StopIteration):
                source.container.seek(stamp, stream=source.stream)
                timed_frames = source.timed_frames(self.origin)
                first = next(timed_frames)
                if first[0] <= self._start_s:
                    return source, chain([first], timed_frames)
            source.container.close()
            source = Source(self._path)
        return source, source.timed_frames(self.origin)

    def _finish(self, source: Source, count: int, complete: bool) -> None:
        """Checks and words what was read; `complete`: up to the end of the file."""
        duration = self.info.duration_s or 0.0
        if not count:
            until = f"and {self._end_s:g} s" if self._end_s < float("inf") else "and its end"
            raise Pose3dError(
                f"{self._path} has no frame between {self._start_s:g} s {until}: "
                f"it lasts {source.end_s if complete else duration:.2f} s"
            )
        missing_s = duration - source.end_s
        self.truncated = complete and (source.cut_off or missing_s > self._duration_tolerance_s)
        if self.truncated:
            expected = f" of {duration:.2f} s" if duration else ""
            self.warning = (
                f"{self._path} is cut off: {count} frames could be read, up to "
                f"{source.end_s:.2f} s{expected}"
            )
        elif source.errors:
            self.warning = (
                f"{self._path} is damaged: {source.errors} faults were passed over, {count} "
                "frames could be read"
            )


def probe(path: str | Path) -> VideoInfo:
    """Describes a video from its header and first picture; raises `Pose3dError` as the reader."""
    return VideoReader(path).info


class VideoWriter:
    """Writes an H.264 MP4 that browsers play: `with VideoWriter(...) as out: out.write(...)`.

    width, height: of the pictures; odd sizes get one row or column more, a copy of the edge,
    because 4:2:0 pictures have even sizes. frame_rate: exact; times within 1 ms of its grid are
    put on it, all others stay as given (variable frame rate).
    audio_from: the file whose sound goes with the pictures, copied where MP4 can hold it and made
    AAC where not; it stops with the pictures. audio_start_s, audio_end_s: `Frame.time_s` in that
    file of the picture written at time 0, and where the sound ends.
    preset, crf: of x264; smaller crf is better and larger, 0-51.

    The file appears under its name when the block ends without an error; before, it has a hidden
    name in the same folder, and after an error nothing remains. Raises `Pose3dError` if the disk
    is full, the folder cannot be written, or no picture was written.
    """

    def __init__(
        self,
        path: str | Path,
        width: int,
        height: int,
        frame_rate: Fraction,
        audio_from: str | Path | None = None,
        audio_start_s: float = 0.0,
        audio_end_s: float | None = None,
        preset: str = "veryfast",
        crf: int = 20,
    ):
        self._path = Path(path)
        self._shape = (height, width, 3)
        self._padding = ((0, height % 2), (0, width % 2), (0, 0))
        self._rate = Fraction(frame_rate).limit_denominator(1_000_000)
        if width < 1 or height < 1 or self._rate <= 0:
            raise ValueError(f"cannot write {width}x{height} at {frame_rate} frames/s")
        # A multiple of the numerator gives every frame of a constant rate the same whole length.
        numerator = self._rate.numerator
        self._ticks_per_s = numerator * -(-TICKS_PER_SECOND // numerator)
        self._last_tick = -1
        self._audio = None if audio_from is None else Path(audio_from)
        self._audio_range = audio_start_s, audio_end_s
        self._options = {"preset": preset, "crf": str(crf)}
        self._temporary = self._path.with_name(f".pose3d-{uuid.uuid4().hex[:12]}.part.mp4")
        self._container = self._sound = None

    def __enter__(self) -> "VideoWriter":
        try:
            with writing_failures(self._path):
                if self._path.is_dir():
                    raise Pose3dError(f"{self._path} is a folder: give the name of a file")
                if self._path.exists() and not os.access(self._path, os.W_OK):
                    raise PermissionError(errno.EACCES, "Permission denied")
                self._temporary.open("xb").close()
                self._open()
        except BaseException:
            self._discard()
            raise
        return self

    def _open(self) -> None:
        options = {"movflags": "+faststart"}  # index first: plays while it loads
        name = f"file:{self._temporary}"
        self._container = av.open(name, "w", format="mp4", container_options=options)
        self._container.metadata["comment"] = MADE_BY
        self._stream = self._add_stream()
        if self._audio is not None:
            self._sound = open_soundtrack(self._audio, self._container, *self._audio_range)
        self._container.start_encoding()

    def _add_stream(self) -> av.VideoStream:
        height, width, _ = self._shape
        stream = self._container.add_stream(
            "libx264",
            rate=self._rate,
            options=self._options,
            width=width + width % 2,
            height=height + height % 2,
            time_base=Fraction(1, self._ticks_per_s),
        )
        stream.pix_fmt = "yuv420p"
        codec = stream.codec_context
        codec.color_range = LIMITED_RANGE
        codec.colorspace, codec.color_primaries, codec.color_trc = BT601, BT709, BT709
        return stream

    def write(self, image: np.ndarray, time_s: float) -> None:
        """Adds a picture, (H, W, 3) uint8 RGB, shown `time_s` after the start of the file."""
        if image.shape != self._shape or image.dtype != np.uint8:
            raise ValueError(f"expected {self._shape} uint8, got {image.shape} {image.dtype}")
        tick = self._tick(time_s)
        even = np.ascontiguousarray(np.pad(image, self._padding, mode="edge"))
        frame = av.VideoFrame.from_ndarray(to_yuv420(even), format="yuv420p")
        frame.time_base = Fraction(1, self._ticks_per_s)
        frame.pts = tick
        frame.duration = round(self._ticks_per_s / self._rate)
        with writing_failures(self._path):
            self._container.mux(self._stream.encode(frame))
            if self._sound is not None:
                self._sound.write_until(tick / self._ticks_per_s)
        self._last_tick = tick

    def _tick(self, time_s: float) -> int:
        tick = round(time_s * self._ticks_per_s)
        on_grid = round(round(time_s * self._rate) * self._ticks_per_s / self._rate)
        if abs(on_grid - tick) <= SNAP_S * self._ticks_per_s and on_grid > self._last_tick:
            return on_grid
        if tick < 0:
            raise ValueError(f"time {time_s} s is before the start of the file")
        return max(tick, self._last_tick + 1)

    def __exit__(self, error_type, *_) -> None:
        try:
            if error_type is None:
                with writing_failures(self._path):
                    self._flush()
                    self._finish()
        finally:
            self._discard()

    def _flush(self) -> None:
        if self._last_tick < 0:
            raise Pose3dError(f"{self._path} was not written: there was no picture to put in it")
        self._container.mux(self._stream.encode(None))

    def _finish(self) -> None:
        if self._sound is not None:
            self._sound.write_until(self._last_tick / self._ticks_per_s + float(1 / self._rate))
        self._container.close()
        os.replace(self._temporary, self._path)

    def _discard(self) -> None:
        """Lets go of every file; after `_finish` nothing is left to remove."""
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)
        for container in (self._sound, self._container):
            if container is not None:
                with suppress(av.FFmpegError, OSError):
                    container.close()


def prefetch(iterable: Iterable[T], depth: int = 8) -> Iterator[T]:
    """Yields the items of `iterable`, made up to `depth` ahead in a thread of their own.

    An exception of the producer reaches the consumer after the items before it. When the consumer
    stops early (break, error, close), the thread ends before this generator does.
    """
    items: queue.Queue = queue.Queue(maxsize=max(depth, 1))
    stop = threading.Event()

    def produce() -> None:
        try:
            for item in iterable:
                items.put((item, None))
                if stop.is_set():
                    return
            items.put((None, StopIteration()))
        except BaseException as error:  # all of them belong to the consumer
            items.put((None, error))

    thread = threading.Thread(target=produce, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error = items.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item
    finally:
        stop.set()
        while thread.is_alive():  # a producer that waits for room gets it
            with suppress(queue.Empty):
                items.get(timeout=0.05)
        thread.join()
