"""A video, or a segment of one, in a worker: stages from the first one due, in its own folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.batch.kept import (
    load_detections,
    load_sightings,
    save_detections,
    save_sightings,
)
from pipeline.progress import Progress
from pipeline.segments import Span
from pipeline.settings import Settings
from weights.errors import Pose3dError

if TYPE_CHECKING:
    import torch

    from pipeline.detection import Detections
    from pipeline.result import PoseResult


@dataclass(frozen=True)
class Job:
    """A video to work on.

    identity : its "name", "bytes" and "sha256"
    mtime_ns : its time when it was hashed
    first, last : the stages to begin and to end with
    detections, result : where the outputs of earlier stages are, if there are any
    made_of : what the first pass is made of
    folder : where to write
    span : the segment of the video that alone is to be worked on, in its first stage; None: all
    spans, parts : segments of the first stage, and where what was made of them is, to be joined
    """

    video: Path
    identity: dict
    mtime_ns: int
    first: str
    detections: Path
    result: Path
    made_of: dict
    folder: Path
    last: str = "render"
    span: Span | None = None
    spans: tuple[Span, ...] = ()
    parts: tuple[Path, ...] = ()


# Told of every file that is whole: stage ("part": of a segment), file, frames, and seconds of the
# video.
Made = Callable[[str, Path, int, float], None]


class VideoWork:
    """The work of one process: its networks are loaded once, when a video first needs them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def load(self, first: str) -> None:
        """Load what the stages from ``first`` on need; Pose3dError if that fails."""
        if first != "render":
            self._lifter  # noqa: B018
        if first == "detect":
            self._top_down()

    def run(self, job: Job, progress: Progress, made: Made) -> list[str]:
        """Run the stages of a video; files of earlier ones that are damaged are made anew.

        Returns the result's warnings, of a segment what speaks against working in segments; raises
        Pose3dError for what is wrong with the video.
        """
        from pipeline.process import lift
        from pipeline.rendering.video import join_rendered, render_video

        settings = self.settings
        if job.span is not None:
            segment = self._see if job.first == "detect" else self._render
            return segment(job, progress, made)
        result = _load_result(job.result) if job.first == "render" else None
        if result is None:
            found = None
            if job.first == "lift" and job.parts:
                found = self._join(job, progress, made)
            elif job.first != "detect":
                found = load_detections(job.detections, job.made_of)
            if found is None:
                found = self._detect(job, progress, made)
            result = lift(found, job.identity, self._lifter, settings, progress)
            made("lift", result.save(job.folder / "result.npz"), *_length(result))
        elif (told := {**result.provenance["settings"], **_drawing(settings)}) != (
            result.provenance["settings"]
        ):
            # As a run from the beginning would have saved it.
            result = replace(result, provenance={**result.provenance, "settings": told})
            made("lift", result.save(job.folder / "result.npz"), *_length(result))
        if settings.render and job.last == "render":
            path = job.folder / "video.mp4"
            pieces = job.parts if job.first == "render" else ()
            if not (pieces and join_rendered(result, job.video, pieces, path, progress)):
                render_video(result, job.video, path, progress, settings.layout, settings.orbit)
            made("render", path, *_length(result))
        return result.warnings

    def _detect(self, job: Job, progress: Progress, made: Made) -> Detections:
        from pipeline.process import first_pass

        return self._keep(
            job, first_pass(job.video, self.settings, progress, self._top_down()), made
        )

    def _keep(self, job: Job, found: Detections, made: Made) -> Detections:
        _check_unchanged(job)
        path = job.folder / "detections.npz"
        save_detections(path, found, job.made_of)
        made("detect", path, *_length(found))
        return found

    def _see(self, job: Job, progress: Progress, made: Made) -> list[str]:
        """The first pass over a segment."""
        from pipeline.detection import see_segment

        seen = see_segment(job.video, job.span, self.settings, progress, self._top_down())
        _check_unchanged(job)
        times, end_s = seen.time_s, job.span.end_s
        # (It may go on into the next one.)
        count = len(times) if end_s is None else int(np.searchsorted(times, end_s))
        if count != job.span.frames or seen.warnings:
            return seen.warnings or ["its frames are not those that its packets tell of"]
        path = job.folder / "part.npz"
        save_sightings(path, seen)
        made("part", path, count, 0.0)
        return []

    def _join(self, job: Job, progress: Progress, made: Made) -> Detections | None:
        """The first pass, of its segments; None if one of them is damaged."""
        from pipeline.detection import detect_in_segments

        parts = [load_sightings(path) for path in job.parts]
        if any(part is None for part in parts):
            return None
        found = detect_in_segments(job.video, job.spans, parts, self.settings, progress)
        return self._keep(job, found, made)

    def _render(self, job: Job, progress: Progress, made: Made) -> list[str]:
        """The video of a segment."""
        from pipeline.rendering.video import render_video

        settings, span = self.settings, job.span
        result = _load_result(job.result)
        if result is None:
            return ["its result is damaged"]
        path = job.folder / "part.mp4"
        count = render_video(
            result, job.video, path, progress, settings.layout, settings.orbit, span=span
        )
        if count != span.frames:
            return ["its frames are not those of the result"]
        made("part", path, count, 0.0)
        return []

    @cached_property
    def _lifter(self) -> torch.nn.Module:
        from pipeline.process import open_lifter

        return open_lifter(self.settings)

    def _top_down(self) -> tuple | None:
        """What ``pipeline.detection.detect`` takes for one more video."""
        from detectors2d.people.registry import WITHOUT_WEIGHTS
        from pipeline.networks import choose_detector, open_people

        if self._pose2d is None:
            return None
        # Those without a network count the frames of their video, or follow one in it.
        if choose_detector(self.settings).partition(":")[0] in WITHOUT_WEIGHTS:
            return self._pose2d, open_people(self.settings)
        return self._pose2d, self._people

    @cached_property
    def _pose2d(self) -> object | None:
        from pipeline.networks import check_pose2d, open_pose2d

        name = check_pose2d(self.settings)
        return None if name == "mediapipe" else open_pose2d(name, self.settings)

    @cached_property
    def _people(self) -> object:
        from pipeline.networks import open_people

        return open_people(self.settings)


def _load_result(path: Path) -> PoseResult | None:
    from pipeline.result import load_result

    try:
        return load_result(path)
    except Pose3dError:
        return None


def _drawing(settings: Settings) -> dict:
    """The settings of the rendering, which a result tells as well."""
    return {"layout": settings.layout, "orbit": settings.orbit, "render": settings.render}


def _check_unchanged(job: Job) -> None:
    try:
        stat = job.video.stat()
        same = (stat.st_size, stat.st_mtime_ns) == (job.identity["bytes"], job.mtime_ns)
    except OSError:
        same = False
    if not same:
        raise Pose3dError("it was changed while it was read (still being copied?): run again")


def _length(of: Detections | PoseResult) -> tuple[int, float]:
    """Frames, and seconds from the start of the first to the end of the last."""
    times = of.time_s
    return len(times), float(times[-1] - times[0]) + float(1 / of.frame_rate)
