"""The second pass: decode, draw, encode, each in a thread of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from pipeline.joining import VideoJoiner
from pipeline.progress import Progress
from pipeline.rendering.clip import clip_of
from pipeline.rendering.layout import Layout, make_layout
from pipeline.result import PoseResult
from pipeline.segments import Span
from pipeline.video import VideoReader, VideoWriter, prefetch
from weights.errors import Pose3dError

AHEAD = 4  # pictures that wait between decoding and drawing, and between drawing and encoding


def render_video(
    result: PoseResult,
    source: Path | None,
    target: Path,
    progress: Progress,
    layout: str = "side-by-side",
    orbit: bool = False,
    force: bool = False,
    span: Span | None = None,
) -> int:
    """Draw a result, beside or over its video; how many frames were drawn.

    The written video has the source's frames, frame rate, times and sound, of the range that the
    result covers. It appears as ``target`` when it is whole.

    Parameters
    ----------
    source : the video; None is enough for the layout "3d-only", which then has no sound
    layout, orbit : as in ``Settings``
    force : draw pictures of another size too
    span : draw this segment alone, without sound, up to the first frame that is not the result's

    Raises
    ------
    Pose3dError
        if there is nothing to draw, source and result do not belong together, or the file cannot
        be written
    """
    drawing = make_layout(layout, clip_of(result), orbit)
    first, count = (0, len(result)) if span is None else (span.first, span.frames)
    progress.stage("rendering", count)
    start_s, end_s = range_of(result) if span is None else (span.start_s, span.end_s)
    reader = None if source is None else VideoReader(source, start_s, end_s)
    if drawing.needs_picture and reader is None:
        raise Pose3dError(f"the layout {layout} shows the video's picture: give the video")
    if drawing.needs_picture and not force:
        check_size(result, reader)
    sound = reader if span is None else None
    drawn = 0
    with (
        VideoWriter(target, *drawing.size, result.frame_rate, **_sound(result, sound)) as writer,
        closing(prefetch(_drawn(drawing, result, reader, first, count), AHEAD)) as pictures,
    ):
        for time_s, picture in pictures:
            if span is not None and time_s != result.time_s[first + drawn] - result.time_s[first]:
                break
            writer.write(picture, time_s)
            drawn += 1
            progress.advance()
    return drawn


def join_rendered(
    result: PoseResult, source: Path, pieces: Sequence[Path], target: Path, progress: Progress
) -> bool:
    """The video of a result from those of its segments; False if they do not fit together.

    Nothing is drawn or encoded again; the sound is that of the source.
    """
    progress.stage("joining", len(result))
    start_s, end_s = range_of(result)
    sound = _sound(result, VideoReader(source, start_s, end_s))
    try:
        with VideoJoiner(target, pieces, result.frame_rate, **sound) as joiner:
            joiner.join(result.time_s - result.time_s[0], progress.advance)
    except Pose3dError:
        return False
    return True


def _sound(result: PoseResult, reader: VideoReader | None) -> dict:
    """What a ``VideoWriter`` is told of the sound of the video, if that has any."""
    if reader is None or not reader.info.has_audio:
        return {}
    return {
        "audio_from": reader.info.path,
        "audio_start_s": float(result.time_s[0]),
        "audio_end_s": range_of(result)[1],
    }


def range_of(result: PoseResult) -> tuple[float | None, float | None]:
    """Seconds of the video at which the result starts and ends; None is from or to the end."""
    settings = result.provenance.get("settings", {})
    return settings.get("start"), settings.get("end")


def check_size(result: PoseResult, reader: VideoReader) -> None:
    """Raise Pose3dError if pictures are not of the size that the result was made from."""
    width, height = result.picture_size
    if (reader.info.width, reader.info.height) != (width, height):
        raise Pose3dError(
            f"{reader.info.path} has pictures of {reader.info.width}x{reader.info.height}, the "
            f"result was made from {width}x{height}: another video?"
        )


def _drawn(
    drawing: Layout, result: PoseResult, reader: VideoReader | None, first: int, count: int
) -> Iterator[tuple[float, np.ndarray]]:
    """Seconds from the first one, and drawn picture, of frames ``first`` on of the result."""
    if reader is None or not drawing.needs_picture:
        for t in range(first, first + count):
            yield float(result.time_s[t] - result.time_s[first]), drawing.draw(t)
        return
    origin = None
    with closing(prefetch(reader, AHEAD)) as frames:
        for frame in frames:
            if frame.index >= count:
                break
            origin = frame.time_s if origin is None else origin
            yield frame.time_s - origin, drawing.draw(first + frame.index, frame.image)
