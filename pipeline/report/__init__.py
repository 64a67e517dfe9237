"""A result as one web page that needs no server and no network."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from urllib.parse import quote

from pipeline.process import check_targets, make_folder
from pipeline.rendering.clip import clip_of
from pipeline.rendering.layout import shown_size
from pipeline.rendering.source import find_video
from pipeline.report.data import page_data
from pipeline.report.html import fill
from pipeline.result import PoseResult
from pipeline.video import VideoInfo, probe
from weights.errors import Pose3dError
from weights.files import write_file

__all__ = ["choose_video", "write_report"]

MOST_EMBEDDED = 40_000_000  # bytes of a video that becomes part of the page
# What all of today's browsers play.
_CODECS = ("h264", "vp8", "vp9", "av1")
_PIXELS = ("yuv420p", "yuvj420p")
_TYPES = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm"}


def write_report(
    result: PoseResult, path: str | Path, video: str | Path | None = None, *, title: str = ""
) -> list[str]:
    """Write a page with the skeletons in 3D, curves, notices and settings of a result.

    Parameters
    ----------
    path : of the page
    video : to be shown beside the skeletons: the result's own, or one rendered of it. Up to 40 MB
        become part of the page, larger ones are linked.
    title : heading of the page

    Returns
    -------
    What the user should know, one line each.

    Raises
    ------
    Pose3dError
        if the result has no frames or another skeleton, the video cannot be read, or the page
        cannot be written.
    """
    path = Path(path)
    clip = clip_of(result)
    check_targets(path.parent if video is None else Path(video), path.parent, [path])
    notes, told, content, with_2d = [], None, "", False
    if video is not None:
        video = Path(video)
        info = probe(video)
        end_s, lasts_s = float(result.time_s[-1]), info.duration_s
        whole = _settings(result).get("end") is None
        if lasts_s is not None and (end_s > lasts_s + 1 or (whole and lasts_s > end_s + 1)):
            notes.append(
                f"{video} lasts {lasts_s:.1f} s, the result ends at {end_s:.1f} s: another video?"
            )
        with_2d = (info.width, info.height) == result.picture_size
        told = {"offset": _offset(result, info), "part": _part(result, info)}
        if not playable(info):
            notes.append(f"{video}: some browsers do not play {info.codec} of this kind")
        size = video.stat().st_size
        if size <= MOST_EMBEDDED:
            told["type"] = _TYPES.get(video.suffix.lower(), "video/mp4")
            content = base64.b64encode(_bytes(video)).decode()
        else:
            told["href"] = _link(video, path.parent)
            notes.append(
                f"{video} is linked, not part of the page: it has {size / 1e6:.0f} MB, the limit "
                f"is {MOST_EMBEDDED / 1e6:.0f} MB"
            )
    data = page_data(result, clip, with_2d)
    if data["every"] > 1:
        notes.append(f"the result is long: the page shows one frame in {data['every']}")
    page = fill(result, title or "pose3d", data, told, content)
    make_folder(path.parent)
    write_file(path, page)
    return notes


def choose_video(result: PoseResult, path: Path) -> Path | None:
    """The video for the report of the result in file ``path``, or None.

    It is the one that the result was made from, beside it or in the current folder, if browsers
    can play it; else the one that was rendered of it, which lies beside it.
    """
    source = find_video(result, path)
    if source is not None and playable(probe(source)):
        return source
    rendered = path.with_suffix(".mp4")
    # Its 3D view shows nothing that the page does not.
    if _settings(result).get("layout") == "3d-only" or not rendered.is_file():
        return source
    try:
        probe(rendered)
    except Pose3dError:
        return source
    return rendered


def playable(info: VideoInfo) -> bool:
    """Whether all of today's browsers play a video."""
    known = info.codec in _CODECS and info.pixel_format in _PIXELS
    return known and info.path.suffix.lower() in _TYPES


def _settings(result: PoseResult) -> dict:
    settings = result.provenance.get("settings")
    return settings if isinstance(settings, dict) else {}


def _offset(result: PoseResult, info: VideoInfo) -> float:
    """Seconds of the result at the video's beginning; rendered videos begin where it begins."""
    short = info.duration_s is not None and info.duration_s < result.time_s[-1]
    return float(result.time_s[0]) if short else 0.0


def _part(result: PoseResult, info: VideoInfo) -> list[float]:
    """Width and height of the picture in a rendered video, as shares; it is at the upper left."""
    layout = _settings(result).get("layout")
    if (info.width, info.height) == result.picture_size:
        return [1, 1]
    width, height = (n + n % 2 for n in shown_size(result.picture_size))
    if layout == "side-by-side" and info.height == height and info.width > width:
        return [width / info.width, 1]
    if layout == "grid":
        return [0.5, 0.5]
    return [1, 1]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Pose3dError(f"{path}: cannot be read ({error.strerror})") from None


def _link(video: Path, folder: Path) -> str:
    """Where the video is, seen from a page in ``folder``."""
    try:
        relative = Path(os.path.relpath(video, folder))
    except ValueError:  # another drive
        return video.resolve().as_uri()
    return quote(os.fsencode(relative.as_posix()))
