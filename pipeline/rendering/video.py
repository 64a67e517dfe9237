"""The second pass: decode, draw, encode, each in a thread of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from pipeline.progress import Progress
from pipeline.rendering.clip import clip_of
from pipeline.rendering.layout import Layout, make_layout
from pipeline.result import PoseResult
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
) -> None:
    """Draw a result, beside or over its video.

    The written video has the source's frames, frame rate, times and sound, of the range that the
    result covers. It appears as ``target`` when it is whole.

    Parameters
    ----------
    source : the video; None is enough for the layout "3d-only", which then has no sound
    layout, orbit : as in ``Settings``
    force : draw pictures of another size too

    Raises
    ------
    Pose3dError
        if there is nothing to draw, source and result do not belong together, or the file cannot
        be written
    """
    drawing = make_layout(layout, clip_of(result), orbit)
    progress.stage("rendering", len(result))
    start_s, end_s = range_of(result)
    reader = None if source is None else VideoReader(source, start_s, end_s)
    if drawing.needs_picture and reader is None:
        raise Pose3dError(f"the layout {layout} shows the video's picture: give the video")
    if drawing.needs_picture and not force:
        check_size(result, reader)
    width, height = drawing.size
    with (
        VideoWriter(
            target,
            width,
            height,
            result.frame_rate,
            audio_from=source if reader is not None and reader.info.has_audio else None,
            audio_start_s=float(result.time_s[0]),
            audio_end_s=end_s,
        ) as writer,
        closing(prefetch(_drawn(drawing, result, reader), AHEAD)) as pictures,
    ):
        for time_s, picture in pictures:
            writer.write(picture, time_s)
            progress.advance()


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
    drawing: Layout, result: PoseResult, reader: VideoReader | None
) -> Iterator[tuple[float, np.ndarray]]:
    """Seconds from the start, and drawn picture, of every frame that the result covers."""
    if reader is None or not drawing.needs_picture:
        for t, time_s in enumerate(result.time_s):
            yield float(time_s - result.time_s[0]), drawing.draw(t)
        return
    origin = None
    with closing(prefetch(reader, AHEAD)) as frames:
        for frame in frames:
            if frame.index >= len(result):
                break
            origin = frame.time_s if origin is None else origin
            yield frame.time_s - origin, drawing.draw(frame.index, frame.image)
