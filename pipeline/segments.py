"""Where long videos are cut, so that their segments can be worked on at the same time."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from pipeline.containers import Source, read_packets
from pipeline.video import VideoReader
from weights.errors import Pose3dError

# Shorter ones spend their time on opening files.
SHORTEST_S = 10.0
# A video is cut if it is longer than so many segments.
WORTH_IT = 1.5
# No codec stores a frame further from its turn; where it seems so, the clock was set back.
MOST_AHEAD = 16
# A place from which nothing nearer can be reached than this is not worth seeking.
FARTHEST_KEY_S = 60.0


@dataclass(frozen=True)
class Span:
    """A segment of the part of a video that is worked on.

    first, frames : its first frame, from 0 in that part, and how many there are
    start_s, end_s : seconds; its frames are those with start_s <= time < end_s; None is open
    warm_s : from where to read, so that what follows people has found them
    """

    first: int
    frames: int
    start_s: float | None
    end_s: float | None
    warm_s: float | None


@dataclass(frozen=True)
class Rule:
    """Where a first pass may be cut: at multiples of so many frames, or of so many seconds.

    warm_s : how much earlier the next segment must be read from
    warm_frames : if it is cut at frames, so many of them are enough
    """

    frames: int = 1
    seconds: float | None = None
    warm_s: float = 0.0
    warm_frames: int = 0


def check_seconds(seconds: float | None) -> None:
    """Raise Pose3dError unless segments can have this length."""
    if seconds is not None and not SHORTEST_S <= seconds < math.inf:
        raise Pose3dError(f"--segment must be {SHORTEST_S:g} seconds or more, not {seconds:g}")


def cut(
    times: np.ndarray, seconds: float, rule: Rule, start_s: float | None, end_s: float | None
) -> list[Span]:
    """Cut frames of times (F,) seconds into segments of about ``seconds``.

    ``start_s``, ``end_s``: the part of the video that is worked on. None are too short to be cut.
    """
    duration = float(times[-1] - times[0]) if len(times) else 0.0
    if duration <= WORTH_IT * seconds:
        return []
    count = round(duration / seconds)
    wanted = times[0] + duration * np.arange(1, count) / count
    if rule.seconds is None:
        places = np.unique(np.searchsorted(times, wanted) // rule.frames * rule.frames)
        edges = {int(i): float(times[i - 1] + times[i]) / 2 for i in places if 0 < i < len(times)}
    else:
        edges = {}
        for moment in np.unique(np.round(wanted / rule.seconds)) * rule.seconds:
            place = int(np.searchsorted(times, moment))
            # After a pause that is longer, it is not at this moment that anybody looks again.
            if 0 < place < len(times) and times[place - 1] >= moment - rule.seconds:
                edges[place] = float(moment)
    spans = []
    for first, stop in zip([0, *edges], [*edges, len(times)], strict=True):
        begin = edges.get(first, start_s)
        warm = begin
        if first and rule.warm_s:
            warm = begin - rule.warm_s
            if rule.seconds is None:
                place = max(first - rule.warm_frames, int(np.searchsorted(times, warm)))
                place = place // rule.frames * rule.frames
                warm = float(times[place - 1] + times[place]) / 2 if place else start_s
            warm = warm if start_s is None else max(warm, start_s)
        spans.append(Span(first, stop - first, begin, edges.get(stop, end_s), warm))
    return spans if len(spans) > 1 else []


def frame_times(path: Path, start_s: float | None, end_s: float | None) -> np.ndarray | None:
    """Seconds of all frames of a part of a video, from its packets, without decoding.

    None where that cannot be trusted: no stamps, a clock that is set back, damage, or a file in
    which nothing can be sought. Raises Pose3dError if it is no video.
    """
    reader = VideoReader(path)
    source = Source(path)
    try:
        stamps = _stamps(source, reader)
        if stamps is None:
            return None
        tick = source.stream.time_base
        times = np.array([float((stamp - reader.origin) * tick) for stamp in stamps])
        info = reader.info
        if info.duration_s and info.duration_s - times[-1] > 2 + 2 / info.frame_rate:
            return None  # cut off
        times = times[(times >= (start_s or 0)) & (times < (math.inf if end_s is None else end_s))]
        return times if len(times) and _can_seek(source, reader.origin, times) else None
    finally:
        source.container.close()


def _stamps(source: Source, reader: VideoReader) -> list[int] | None:
    """Presentation stamps of the frames in their order; None if they are not to be trusted."""
    if not reader.has_stamps or source.stamps_are_wrong():
        return None
    stamps = []
    for packet in read_packets(source.container, source.stream):
        if packet is None or packet.is_corrupt:
            return None
        if packet.size == 0 or packet.is_discard:
            continue
        if packet.pts is None:
            return None
        if packet.pts >= reader.origin:
            stamps.append(packet.pts)
    order = sorted(range(len(stamps)), key=stamps.__getitem__)
    moved = max((abs(turn - place) for turn, place in enumerate(order)), default=0)
    stamps.sort()
    different = all(a < b for a, b in pairwise(stamps))
    return stamps if stamps and different and moved <= MOST_AHEAD else None


def _can_seek(source: Source, origin: int, times: np.ndarray) -> bool:
    """Whether reading can begin near the middle of the part."""
    middle = float(times[len(times) // 2])
    stream = source.stream
    with suppress(OSError, StopIteration):  # those of libav among them
        source.container.seek(origin + int(middle / stream.time_base), stream=stream)
        packet = next(source.container.demux(stream))
        if packet.pts is not None:
            reached = float((packet.pts - origin) * stream.time_base)
            return middle - FARTHEST_KEY_S <= reached and reached > 0
    return False


@dataclass(frozen=True)
class Cuts:
    """The segments of a video, of its first pass and of its rendering; none where it is whole."""

    detect: tuple[Span, ...] = ()
    render: tuple[Span, ...] = ()


class Cutter:
    """Cuts videos into segments of about so many seconds; ``rule``: of the first pass, or None."""

    def __init__(
        self, seconds: float, rule: Rule | None, start_s: float | None, end_s: float | None
    ) -> None:
        check_seconds(seconds)
        self.seconds, self.rule, self.range = seconds, rule, (start_s, end_s)

    def __call__(self, path: Path) -> Cuts:
        """The segments of a video; whatever is wrong with it is told when it is worked on."""
        try:
            duration = VideoReader(path).info.duration_s
            if duration is not None and duration <= WORTH_IT * self.seconds:
                return Cuts()
            times = frame_times(path, *self.range)
        except (Pose3dError, OSError):
            return Cuts()
        if times is None:
            return Cuts()

        def spans(rule: Rule | None) -> tuple[Span, ...]:
            return () if rule is None else tuple(cut(times, self.seconds, rule, *self.range))

        return Cuts(spans(self.rule), spans(Rule()))


Cut = Callable[[Path], Cuts]
