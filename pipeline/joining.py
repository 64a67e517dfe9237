"""Videos that were written in pieces, joined without encoding their pictures again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np

from pipeline.containers import open_container, writing_failures
from pipeline.video import VideoWriter
from weights.errors import Pose3dError


class VideoJoiner(VideoWriter):
    """Writes the pictures of files that `VideoWriter` wrote, one file after the other.

    pieces: these files, at least one; of one size. The others are `VideoWriter`'s parameters.
    """

    def __init__(self, path: str | Path, pieces: Sequence[Path], frame_rate: Fraction, **sound):
        super().__init__(path, 2, 2, frame_rate, **sound)  # its pictures are not written
        self._pieces = pieces

    def _add_stream(self) -> av.VideoStream:
        with open_container(self._pieces[0]) as container:
            template = container.streams.video[0]
            self._encoding = template.codec_context.extradata
            stream = self._container.add_stream_from_template(template)
        stream.time_base = Fraction(1, self._ticks_per_s)
        return stream

    def _flush(self) -> None:
        """Nothing is on its way through an encoder."""

    def join(self, times: np.ndarray, done: Callable[[int], None] = lambda frames: None) -> None:
        """Add the pictures of all pieces, each shown at its time.

        Parameters
        ----------
        times : (F,) seconds after the start of the file, increasing, of all pictures
        done : told how many more pictures are written

        Raises
        ------
        Pose3dError
            if a piece cannot be read, or the pieces are not just these pictures in one encoding.
        """
        ticks = []
        for time_s in times.tolist():
            self._last_tick = self._tick(time_s)
            ticks.append(self._last_tick)
        turns, ahead = self._turns()
        if len(turns) != len(ticks):
            raise Pose3dError(f"the pieces hold {len(turns)} pictures, not {len(ticks)}")
        lead = ticks[min(ahead, len(ticks) - 1)] - ticks[0]
        duration = round(self._ticks_per_s / self._rate)
        packets = chain.from_iterable(map(self._packets, self._pieces))
        for number, (turn, packet) in enumerate(zip(turns, packets, strict=True)):
            packet.stream = self._stream
            packet.time_base = Fraction(1, self._ticks_per_s)
            packet.pts = ticks[turn]
            packet.dts = ticks[number - ahead] if number >= ahead else ticks[number] - lead
            packet.duration = duration
            with writing_failures(self._path):
                self._container.mux_one(packet)
                if self._sound is not None:
                    self._sound.write_until(ticks[turn] / self._ticks_per_s)
            done(1)

    def _turns(self) -> tuple[list[int], int]:
        """Which picture each packet holds, and by how many packets they come before their turn."""
        turns: list[int] = []
        for path in self._pieces:
            stamps = np.array([packet.pts for packet in self._packets(path)])
            order = np.argsort(np.argsort(stamps, kind="stable"), kind="stable")
            turns += (order + len(turns)).tolist()
        return turns, max((number - turn for number, turn in enumerate(turns)), default=0)

    def _packets(self, path: Path) -> Iterator[av.Packet]:
        with open_container(path) as container:
            stream = next(iter(container.streams.video), None)
            if stream is None:
                raise Pose3dError(f"{path} is damaged: it holds no pictures")
            if stream.codec_context.extradata != self._encoding:
                raise Pose3dError(f"{path} is encoded in another way")
            yield from (packet for packet in container.demux(stream) if packet.size)
