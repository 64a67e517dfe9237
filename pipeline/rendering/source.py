"""The video of a result: where it is, and whether a file is it."""

from __future__ import annotations

from pathlib import Path

from pipeline.progress import Progress
from pipeline.rendering.video import check_size, range_of
from pipeline.result import PoseResult
from pipeline.video import VideoReader
from weights.errors import Pose3dError
from weights.files import sha256


def identity_of_video(result: PoseResult) -> dict | None:
    """Name, size and SHA-256 of the video that a result tells of; None if it tells of none."""
    found = result.provenance.get("input", {})
    # A result of keypoints names their file, and the video that was given with them.
    found = found.get("video", found)
    whole = isinstance(found, dict) and {"name", "bytes", "sha256"} <= found.keys()
    return found if whole else None


def find_video(result: PoseResult, path: Path) -> Path | None:
    """The video of the result in file ``path``, beside it or in the current folder; or None."""
    identity = identity_of_video(result)
    if identity is None:
        return None
    for folder in (path.parent, Path()):
        candidate = folder / Path(identity["name"]).name
        if _same(candidate, identity) and _is_video(candidate):
            return candidate
    return None


def check_video(result: PoseResult, path: Path, force: bool, progress: Progress) -> list[str]:
    """Whether a result belongs to a video: what the user should know, one line each.

    A different file of as many frames of the same size (converted, say) is accepted, with a
    warning; with ``force`` any is.

    Raises
    ------
    Pose3dError
        if pictures or number of frames differ, or the file is no video
    """
    reader = VideoReader(path, *range_of(result))
    identity = identity_of_video(result)
    if identity is not None and _same(path, identity):
        return []
    if not force:
        check_size(result, reader)
    count = _count(result, reader, progress)
    if count != len(result):
        words = f"{path} has {count} frames, the result {len(result)}"
        if not force:
            raise Pose3dError(
                f"{words}: give the video that the result was made from; --force draws the frames "
                "that both have"
            )
        return [f"{words}: the frames that both have are drawn"]
    if identity is None:
        return []
    return [
        f"{path} is not the file that the result was made from ({identity['name']}, another "
        "SHA-256), but has as many frames"
    ]


def _same(path: Path, identity: dict) -> bool:
    try:
        return (
            path.is_file()
            and path.stat().st_size == identity["bytes"]
            and sha256(path) == identity["sha256"]
        )
    except OSError:
        return False


def _is_video(path: Path) -> bool:
    try:
        VideoReader(path)
    except Pose3dError:
        return False
    return True


def _count(result: PoseResult, reader: VideoReader, progress: Progress) -> int:
    """Frames in the range of the result; they are only decoded if the header does not agree."""
    if range_of(result) == (None, None) and reader.info.frame_count == len(result):
        return len(result)
    progress.stage("comparison", reader.info.frame_count)
    count = 0
    for _ in reader:
        count += 1
        progress.advance()
    return count
