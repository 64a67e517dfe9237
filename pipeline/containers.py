"""Open media files, their packets and the clock of their pictures; tolerant of damage.

Part of `pipeline/video.py`, the interface of which the rest of the program uses.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import av.logging
from av.container import InputContainer
from av.stream import Disposition

from weights.errors import Pose3dError

av.logging.set_level(None)  # libav reports on the terminal otherwise; errors reach us as exceptions

FALLBACK_RATE = Fraction(30)
MAX_READ_ERRORS = 64  # in a row; a file that is cut off may fail once for every sample in its index


def open_container(path: Path) -> InputContainer:
    """Opens a media file, local or a path of a store; every failure is one `Pose3dError`."""
    try:
        if path.is_dir():
            raise Pose3dError(f"{path} is a folder: give a video file")
        if not path.exists():
            raise Pose3dError(f"no such file: {path}")
        if path.is_file() and path.stat().st_size == 0:
            raise Pose3dError(f"{path} is empty (0 bytes)")
        # "file:" and the white list: a name with a colon is no URL, a play list opens no network.
        return av.open(
            f"file:{path}" if isinstance(path, Path) else path.open("rb"),
            container_options={"protocol_whitelist": "file"},
            metadata_errors="replace",
        )
    except PermissionError as error:
        raise Pose3dError(f"{path} cannot be read: permission denied") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise _not_a_video(path) from error


@contextmanager
def writing_failures(path: Path) -> Iterator[None]:
    """Makes one `Pose3dError` of what can go wrong while `path` is written."""
    try:
        yield
    except (av.FFmpegError, OSError, ValueError) as error:
        reasons = {
            errno.ENOSPC: "the disk is full; free some space or choose another folder",
            errno.EDQUOT: "the disk quota is used up; free some space",
            errno.EFBIG: "the file grew larger than the system allows",
            errno.ENOENT: f"there is no folder {path.parent}; make it first",
            errno.ENOTDIR: f"{path.parent} is not a folder",
            errno.EACCES: "permission denied; choose another folder or name",
            errno.EROFS: "the disk is read-only; choose another folder",
        }
        reason = reasons.get(getattr(error, "errno", None)) or str(error)
        raise Pose3dError(f"{path} could not be written: {reason}") from error


def read_packets(container, stream) -> Iterator[av.Packet | None]:
    """Packets to the end of the file; None for each failure to read, of which it survives many."""
    failures_in_a_row = 0
    while failures_in_a_row < MAX_READ_ERRORS:
        try:
            for packet in container.demux(stream):
                failures_in_a_row = 0
                yield packet
            return
        except (av.FFmpegError, OSError):
            failures_in_a_row += 1
            yield None


def _not_a_video(path: Path) -> Pose3dError:
    with suppress(OSError), path.open("rb") as file:
        if file.read(8)[4:] in (b"ftyp", b"mdat", b"moov", b"wide", b"free", b"skip"):
            return Pose3dError(
                f"{path} is an unfinished or damaged recording: its index (the 'moov' part of the "
                "MP4) is missing or broken; repair it with a recovery tool or use the original"
            )
    return Pose3dError(f"{path} is not a video, or of a kind that cannot be read")


class Source:
    """An open container, its main video stream and that stream's clock; tolerant of damage."""

    def __init__(self, path: Path):
        self._path = path
        self.errors = 0
        self.end_s = 0.0  # of the last picture
        self.cut_off = False  # reading failed at the end of the file
        self.container = open_container(path)
        try:
            self.stream = self._main_stream()
        except BaseException:
            self.container.close()
            raise
        self.stream.thread_type = "AUTO"
        self.frame_rate = self._frame_rate()

    def _main_stream(self) -> av.VideoStream:
        videos = [
            stream
            for stream in self.container.streams.video
            if not stream.disposition & Disposition.attached_pic  # the cover of a song
        ]
        if not videos and self.container.streams.audio:
            raise Pose3dError(f"{self._path} holds only sound, no pictures: give a video file")
        if not videos or videos[0].name == "ansi":  # libav takes any .txt for character graphics
            raise _not_a_video(self._path)
        playable = [stream for stream in videos if stream.codec_context is not None]
        if not playable:
            raise Pose3dError(f"{self._path}: its video codec is unknown; convert it to H.264")
        return max(playable, key=lambda stream: stream.width * stream.height)

    def _frame_rate(self) -> Fraction:
        stream = self.stream
        for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
            if rate and 0 < rate <= 1000:
                # An average of rounded stamps (FLV: 989/33) stands for the standard rate beside it.
                for exact in (
                    Fraction(round(rate)),
                    Fraction(round(rate * 1001 / 1000) * 1000, 1001),
                ):
                    if exact and abs(rate / exact - 1) < 1e-4:
                        return exact
                return rate
        return FALLBACK_RATE

    def _frames(self) -> Iterator[av.VideoFrame]:
        for packet in read_packets(self.container, self.stream):
            self.cut_off = packet is None or (self.cut_off and packet.size == 0)
            if packet is None:
                self.errors += 1
            else:
                yield from self._decode(packet)
        yield from self._decode(None)

    def stamps_are_wrong(self) -> bool:
        """Whether the stamps of the file do not say when its frames are shown."""
        # AVI stores none; libavformat numbers its frames in decoding order.
        return self.container.format.name == "avi" and self.stream.codec_context.has_b_frames

    def _decode(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        try:
            frames = self.stream.decode(packet)
        except av.error.EOFError:  # nothing is left to flush
            return []
        except (av.FFmpegError, OSError):
            self.errors += 1
            return []
        for frame in frames:
            self.errors += frame.is_corrupt
            if self.stamps_are_wrong():
                frame.pts = None
        return frames

    def timed_frames(self, origin: int) -> Iterator[tuple[float, av.VideoFrame]]:
        """(seconds since the stamp `origin`, frame) from here to the end, strictly rising."""
        tick = self.stream.time_base
        step = float(1 / self.frame_rate)
        previous, shift = None, 0.0
        for frame in self._frames():
            time = None if frame.pts is None else float((frame.pts - origin) * tick) + shift
            if previous is None:
                time = time or 0.0
            elif time is None:
                time = previous + step
            elif time < previous - 1:  # the clock was set back: recordings joined to one file
                shift += previous + step - time
                time = previous + step
            elif time <= previous:
                time = previous + step / 2
            previous = time
            self.end_s = time + max(step, float((frame.duration or 0) * tick))
            yield time, frame

    def duration_s(self) -> tuple[float | None, float]:
        """Length of the pictures by the header (None if unknown), and how far off it may be."""
        stream = self.stream
        step_s = float(1 / self.frame_rate)
        if stream.duration:
            return float(stream.duration * stream.time_base), 1.5 * step_s
        with suppress(KeyError, ValueError):  # Matroska: "00:01:02.345000000"
            hours, minutes, seconds = stream.metadata["DURATION"].split(":")
            end_s = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
            # From 0, where pictures need not begin.
            begin_s = float((stream.start_time or 0) * stream.time_base)
            return end_s - max(0.0, begin_s), 1.5 * step_s
        if self.container.duration:  # of the longest stream, which may be the sound
            return self.container.duration / av.time_base, 1 + step_s
        return None, 0.0
