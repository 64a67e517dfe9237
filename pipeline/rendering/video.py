"""The second pass: decode, draw, encode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from pipeline.progress import Progress
from pipeline.rendering.layout import SideBySide
from pipeline.result import PoseResult
from pipeline.video import Frame, VideoReader, VideoWriter, prefetch
from pipeline.world import place_on_floor, up_direction, usual_step
from weights.errors import Pose3dError

# World direction from the people to the camera that filmed: the room's y axis points away from it.
TOWARDS_CAMERA = np.array([0.0, -1.0])


def render_video(result: PoseResult, source: Path, target: Path, progress: Progress) -> None:
    """Draw a result beside its video: picture with 2D skeleton, 3D skeletons on a floor.

    The written video has the source's frames, frame rate, times and sound, of the range that the
    result covers. It appears as ``target`` when it is whole.

    Raises Pose3dError if source and result do not belong together, or the file cannot be written.
    """
    progress.stage("rendering", len(result))
    step_s = usual_step(result.time_s, result.frame_rate)
    joints = place_on_floor(result.joints3d, result.root, up_direction(result.joints3d), step_s)
    layout = SideBySide(
        result.keypoints2d,
        result.scores2d,
        joints,
        result.status,
        result.ids,
        result.time_s,
        result.picture_size,
        viewer=TOWARDS_CAMERA,
    )
    settings = result.provenance["settings"]
    start_s, end_s = settings["start"], settings["end"]
    reader = VideoReader(source, start_s, end_s)
    if (reader.info.width, reader.info.height) != tuple(result.picture_size):
        raise Pose3dError(
            f"{source} has pictures of {reader.info.width}x{reader.info.height}, the result was "
            f"made from {result.picture_size[0]}x{result.picture_size[1]}: another video?"
        )
    width, height = layout.size
    origin = float(result.time_s[0])
    with (
        VideoWriter(
            target,
            width,
            height,
            result.frame_rate,
            audio_from=source if reader.info.has_audio else None,
            audio_start_s=origin,
            audio_end_s=end_s,
        ) as writer,
        closing(prefetch(reader)) as frames,
        closing(prefetch(_draw(layout, frames, len(result)))) as drawn,
    ):
        for time_s, picture in drawn:
            writer.write(picture, time_s - origin)
            progress.advance()


def _draw(
    layout: SideBySide, frames: Iterable[Frame], count: int
) -> Iterator[tuple[float, np.ndarray]]:
    """Time and drawn picture of every frame that the result covers."""
    for frame in frames:
        if frame.index >= count:
            break
        yield frame.time_s, layout.draw(frame.index, frame.image)
