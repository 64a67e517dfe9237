"""From a keypoint file to 3D: the same lifting, result and rendering as of a video."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

import numpy as np

import lifters3d
from pipeline.compute import choose_device, choose_precision
from pipeline.detection import Person
from pipeline.keypoint_files.checks import in_pixels, warnings_of
from pipeline.keypoint_files.people import KeypointFile, Track
from pipeline.keypoint_files.skeletons import to_h36m
from pipeline.lifting import check_joints
from pipeline.process import Outcome, check_targets, identify, lift_people, make_folder
from pipeline.progress import Progress
from pipeline.rendering.video import render_video
from pipeline.settings import Settings
from pipeline.video import VideoReader
from weights.errors import Pose3dError
from weights.files import in_unicode

# Of files that do not say, and with a warning.
FALLBACK_RATE = Fraction(30)


def lift_file(
    file: KeypointFile,
    folder: str | Path,
    settings: Settings,
    progress: Progress,
    *,
    size: tuple[int, int] | None = None,
    frame_rate: Fraction | None = None,
    person: int | None = None,
    video: str | Path | None = None,
) -> Outcome:
    """Lift a keypoint file's people; save ``<name>_pose3d.npz``, render if all is there for it.

    Parameters
    ----------
    file : from ``pipeline.keypoint_files.read``
    folder : for the files that are written; made if it is not there
    size : width and height of the pictures, px, if neither file nor video says
    frame_rate : frames/s, over the file's
    person : the id of the only one to lift; all if None
    video : the keypoints' video; gives size, frame rate and times, and is drawn

    Raises
    ------
    Pose3dError
        One line: file and video do not belong together, no size, an unknown lifter, ...
    """
    folder, source = Path(folder), file.path.resolve()
    name = source.stem if source.is_file() else source.name
    result_path, video_path = folder / f"{name}_pose3d.npz", folder / f"{name}_pose3d.mp4"
    if video is not None:
        if size is not None or frame_rate is not None:
            raise Pose3dError("--video gives size and frame rate: leave --size and --fps out")
        check_targets(Path(video), folder, [result_path, video_path])
    drawn = settings.render and (video is not None or settings.layout == "3d-only")
    check_targets(file.path, folder, [result_path, video_path] if drawn else [result_path])
    reader = None if video is None else VideoReader(video)
    if reader is not None:
        size = reader.info.width, reader.info.height
        frame_rate = reader.info.frame_rate
    file = in_pixels(file, size)
    tracks = _chosen(file, person)
    warnings = [*file.warnings, *warnings_of(file)]
    device = choose_device(settings.device)
    choose_precision(settings.precision, device)
    lifter = lifters3d.load(settings.lifter).to(device)
    check_joints(lifter)

    if reader is not None:
        time_s = _times_of(reader, file, progress)
        warnings += [in_unicode(reader.warning)] if reader.warning else []
    elif file.time_s is not None and frame_rate is None:
        time_s = file.time_s
    else:
        if frame_rate is None and file.frame_rate is None:
            warnings.append(
                f"no frame rate: {FALLBACK_RATE} frames/s are assumed; --fps or --video tells"
            )
        rate = frame_rate or file.frame_rate or FALLBACK_RATE
        time_s = np.arange(file.frames) / float(rate)
    identity = _identity(file.path)
    if video is not None:
        identity["video"] = identify(video)
    result = lift_people(
        [_person(track, file.layout.kind, len(time_s)) for track in tracks],
        time_s,
        file.size,
        frame_rate or file.frame_rate or FALLBACK_RATE,
        lifter,
        settings,
        progress,
        source=identity,
        weights={"pose2d": {"name": file.format}},
        warnings=warnings,
    )
    make_folder(folder)
    result.save(result_path)
    if not drawn:
        return Outcome(result, result_path, None)
    seen = None if video is None else Path(video)
    render_video(result, seen, video_path, progress, settings.layout, settings.orbit)
    return Outcome(result, result_path, video_path)


def _chosen(file: KeypointFile, person: int | None) -> list[Track]:
    tracks = [track for track in file.tracks if person in (None, track.id)]
    if not tracks:
        ids = ", ".join(str(track.id) for track in file.tracks[:12])
        more = ", ..." if len(file.tracks) > 12 else ""
        raise Pose3dError(f"{file.path}: no person {person}; it has {ids}{more}")
    return tracks


def _person(track: Track, kind: str, frames: int) -> Person:
    """A track over all frames, in Human3.6M's joints."""
    keypoints = np.full((frames, 17, 2), np.nan, np.float32)
    scores = np.zeros((frames, 17), np.float32)
    keypoints[track.frames], scores[track.frames] = to_h36m(kind, track.keypoints, track.scores)
    return Person(track.id, keypoints, scores)


def _times_of(reader: VideoReader, file: KeypointFile, progress: Progress) -> np.ndarray:
    """(F,) seconds of the video's frames, of which there must be as many as the file says."""
    progress.stage("time stamps", reader.info.frame_count)
    times = []
    for frame in reader:
        times.append(frame.time_s)
        progress.advance()
    if len(times) < file.frames or len(times) != (file.frame_count or len(times)):
        at_least = "" if file.frame_count else "at least "
        raise Pose3dError(
            f"{file.path} is of {at_least}{file.frames} frames, {reader.info.path} has "
            f"{len(times)}: give the video that the keypoints are of, not cut or converted"
        )
    return np.array(times)


def _identity(path: Path) -> dict:
    """``identify`` of a file, or of all .json files of a folder together."""
    if path.is_file():
        return identify(path)
    parts = [identify(file) for file in sorted(path.glob("*.json"))]
    digest = hashlib.sha256("".join(part["sha256"] for part in parts).encode()).hexdigest()
    size = sum(part["bytes"] for part in parts)
    return {"name": in_unicode(path.resolve().name), "bytes": size, "sha256": digest}
