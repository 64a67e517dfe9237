"""The sound of the source beside a new picture: packets are copied, or made AAC.

Part of `pipeline/video.py`, nothing else needs this module.
"""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer

from pipeline.containers import Source, open_container, read_packets
from weights.errors import Pose3dError

# The AVCodec names of what MP4 can hold.
COPIED = {"aac", "mp3", "mp3float", "ac3", "eac3", "opus", "libopus", "flac", "alac"}
AAC_BIT_RATE = 192_000
AAC_RATES = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000}
ROUNDING_S = 0.002  # stamps in whole milliseconds (MKV): go on counting samples instead


def open_soundtrack(
    path: Path, output: OutputContainer, start_s: float, end_s: float | None
) -> "Soundtrack | None":
    """The sound of `path` between two times of its pictures (`Frame.time_s`), None if it has none.

    Adds the stream to `output`, in which `start_s` becomes 0; call before the header is written.
    """
    container = open_container(path)
    sounds = [stream for stream in container.streams.audio if stream.codec_context is not None]
    if not sounds:
        container.close()
        return None
    begin_s = _first_picture_s(path)
    return Soundtrack(
        sounds[0], output, begin_s + start_s, None if end_s is None else begin_s + end_s
    )


def _first_picture_s(path: Path) -> float:
    """Where time 0 of the pictures lies on the clock of the file, to which its sound keeps."""
    try:
        source = Source(path)
    except Pose3dError:  # a file of sound alone
        return 0.0
    try:
        return next(source.timed_frames(0), (0.0, None))[0]
    finally:
        source.container.close()


class Soundtrack:
    """Writes one stream of sound step by step, as the pictures beside it are written.

    start_s, end_s: on the clock of the source's stamps; `start_s` becomes 0 of the output.
    """

    def __init__(
        self,
        source: av.AudioStream,
        output: OutputContainer,
        start_s: float,
        end_s: float | None,
    ):
        self._source = source
        self._input = read_packets(source.container, source)
        self._output = output
        self._start = Fraction(start_s)
        self._end_s = None if end_s is None else end_s - start_s
        if source.codec_context.name in COPIED:
            self._stream = output.add_stream_from_template(source)
            self._packets = self._copy()
        else:
            rate = source.rate if source.rate in AAC_RATES else 48_000
            self._stream = output.add_stream("aac", rate=rate)
            self._stream.bit_rate = AAC_BIT_RATE
            self._stream.layout = "mono" if source.channels == 1 else "stereo"
            self._packets = self._encode()
        self._next = None

    def write_until(self, time_s: float) -> None:
        """Writes the packets that begin before `time_s` of the output."""
        if self._end_s is not None:
            time_s = min(time_s, self._end_s)
        while True:
            self._next = self._next or next(self._packets, None)
            if self._next is None or self._next.pts * self._next.time_base >= time_s:
                return
            self._output.mux_one(self._next)
            self._next = None

    def close(self) -> None:
        """Closes the source; the output belongs to its writer."""
        self._source.container.close()

    def _copy(self) -> Iterator[av.Packet]:
        rate, samples = self._source.rate, self._source.codec_context.frame_size
        expected = None  # where the next packet begins, in samples
        for packet in self._input:
            if packet is None or packet.size == 0 or packet.pts is None:
                continue
            begin = round((packet.pts * packet.time_base - self._start) * rate)
            length = samples or round((packet.duration or 0) * packet.time_base * rate)
            # A packet that ends where the range begins is kept: decoders need it to warm up.
            if begin + length < 0:
                continue
            if expected is not None:
                if abs(begin - expected) <= ROUNDING_S * rate:
                    begin = expected
                elif begin < expected:  # repeated by a damaged file; MP4 cannot go back in time
                    continue
            expected = begin + max(length, 1)
            packet.stream = self._stream
            packet.time_base = Fraction(1, rate)
            packet.pts = packet.dts = begin
            packet.duration = length
            yield packet

    def _encode(self) -> Iterator[av.Packet]:
        expected = None
        for frame in self._decode():
            rate = frame.sample_rate
            begin = round((frame.pts * frame.time_base - self._start) * rate)
            if begin + frame.samples <= 0:
                continue
            if expected is not None and abs(begin - expected) <= ROUNDING_S * rate:
                begin = expected
            expected = begin + frame.samples
            frame.time_base = Fraction(1, rate)
            frame.pts = begin
            with suppress(ValueError):  # the sound format changes on the way: leave that part out
                yield from self._stream.encode(frame)
        yield from self._stream.encode(None)

    def _decode(self) -> Iterator[av.AudioFrame]:
        for packet in self._input:
            if packet is not None:
                with suppress(av.FFmpegError):  # a damaged packet is a short silence
                    yield from (f for f in self._source.decode(packet) if f.pts is not None)
