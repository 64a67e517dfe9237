"""Which videos folders, patterns, lists and names mean, by looking into the files."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from pipeline.batch.storage import StoredPath, is_url, place
from pipeline.containers import Source
from pipeline.video import MADE_BY
from weights.errors import Pose3dError
from weights.files import in_unicode

# A file of such a name that cannot be decoded is a broken video, any other one is no video.
VIDEO_SUFFIXES = {
    *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov"),
    *(".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".webm", ".wmv"),
}
# Photos in the container of MP4 (HEIC, AVIF), by its brand.
PHOTO_BRANDS = {"avif", "heic", "heix", "mif1", "msf1"}
LOOKING_AT_ONCE = 8


@dataclass(frozen=True)
class Video:
    """A file to work on.

    path : absolute, or in a store
    place : its path below the common folder of all, parts joined by "/"
    fault : why it cannot be read; None if it can
    """

    path: Path | StoredPath
    place: str
    fault: str | None = None

    @property
    def shown(self) -> str:
        """The place for people to read: names may hold what is no text, or commands terminals."""
        text = in_unicode(self.place)
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@dataclass(frozen=True)
class Found:
    """videos in the order of their places; files that are no videos; files that pose3d made."""

    videos: list[Video]
    others: list[Path]
    own: list[Path]

    def passed_over(self) -> str:
        """How many files were not taken, and why."""
        return f"not videos: {len(self.others)}, made by pose3d: {len(self.own)}"


def find_videos(
    sources: Sequence[str],
    recursive: bool = False,
    known: Callable[[Path], bool] = lambda path: False,
    outputs: Collection[Path] = (),
) -> Found:
    """The videos that folders, files, patterns (``*.mp4``) and lists (``.txt``) mean.

    Each but a list may be in a store, as ``s3://bucket/folder``.

    A list has a name a line, below its own folder unless absolute; lines that begin with # say
    nothing. Files in folders are taken if a picture of them decodes, whatever their names; hidden
    ones, photos, and videos that pose3d rendered are not. Named files that do not decode, and
    those in folders whose names say that they are videos, come with their ``fault``.

    Parameters
    ----------
    recursive : look into the folders in folders
    known : says of a file that it is a video, so that it need not be opened
    outputs : files that pose3d made, which need not be opened either

    Raises
    ------
    Pose3dError
        if a source is not there, a list cannot be read, or there is no video.
    """
    candidates: dict[Path, _Candidate] = {}
    for source in sources:
        for candidate in _gather(source, recursive):
            # What is named counts, wherever else it was found before.
            if candidate.named or candidate.path not in candidates:
                candidates[candidate.path] = candidate
    root = _common([candidate.base.parts for candidate in candidates.values()])
    files = list(candidates.values())

    def kind(candidate: _Candidate) -> str:
        if candidate.path in outputs:
            return OWN
        return "" if candidate.fault or known(candidate.path) else look(candidate.path)

    with ThreadPoolExecutor(LOOKING_AT_ONCE) as pool:
        looks = list(pool.map(kind, files))
    found = Found([], [], [])
    for candidate, seen in zip(files, looks, strict=True):
        path = candidate.path
        fault = candidate.fault or seen or None
        if seen == OWN:
            found.own.append(path)
        elif (fault and not candidate.named and path.suffix.lower() not in VIDEO_SUFFIXES) or (
            seen == PHOTO and not candidate.named
        ):
            found.others.append(path)
        else:
            found.videos.append(Video(path, _place(path, root), None if seen == PHOTO else fault))
    found.videos.sort(key=lambda video: video.place)
    if not found.videos:
        raise Pose3dError(_nothing(sources, recursive, found))
    return found


OWN, PHOTO = "made by pose3d", "a photo"


def look(path: Path) -> str:
    """ "" for a video, else OWN, PHOTO or why nothing in the file can be decoded."""
    try:
        source = Source(path)
        try:
            container = source.container
            if container.metadata.get("comment") == MADE_BY:
                return OWN
            kind = container.format.name
            brand = container.metadata.get("major_brand", "").strip()
            photo = kind == "image2" or kind.endswith("_pipe") or brand in PHOTO_BRANDS
            if next(source.timed_frames(0), None) is None:
                return "holds no picture that can be decoded"
            return PHOTO if photo else ""
        finally:
            source.container.close()
    except Pose3dError as error:
        return plain_reason(error, path)
    except Exception as error:  # whatever strange files do to libav, the rest goes on
        return f"cannot be read ({type(error).__name__}: {error})"


def plain_reason(error: object, path: Path) -> str:
    """A message without the path that it begins with, because it will stand beside the path."""
    return " ".join(str(error).split()).removeprefix(str(path)).lstrip(": ")


@dataclass(frozen=True)
class _Candidate:
    """A file; base: the folder below which its place is told; named: not met in a folder."""

    path: Path | StoredPath
    base: Path | StoredPath
    named: bool
    fault: str | None = None


def _gather(source: str, recursive: bool, listed: bool = False) -> Iterator[_Candidate]:
    source = source.removeprefix("file://")
    path = place(source)
    if isinstance(path, StoredPath):
        yield from _in_store(path, recursive)
    elif path.is_dir():
        yield from _in_folder(path, recursive)
    elif path.is_file() and path.suffix.lower() == ".txt" and not listed:
        yield from _in_list(path, recursive)
    elif path.exists():
        fault = None if path.is_file() else "is a pipe or a device, not a file"
        yield _Candidate(path, path.parent, True, fault)
    elif glob.has_magic(source):
        matches = sorted(glob.glob(source, recursive=True))
        if not matches:
            raise Pose3dError(f"no file matches {source}")
        for match in map(Path, map(os.path.abspath, matches)):
            if match.is_dir():
                yield from _in_folder(match, recursive)
            elif match.is_file():
                yield _Candidate(match, match.parent, False)
    elif listed:
        yield _Candidate(path, path.parent, True, "no such file")
    else:
        raise Pose3dError(f"no such file or folder: {source}")


def _in_folder(folder: Path, recursive: bool) -> Iterator[_Candidate]:
    faults: list[OSError] = []
    for inside, folders, files in os.walk(folder, onerror=faults.append):
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
        for name in sorted(files):
            path = Path(inside, name)
            if not name.startswith(".") and path.is_file():
                yield _Candidate(path, folder, False)
    for error in faults:
        path = Path(error.filename)
        yield _Candidate(path, folder, True, f"cannot be read ({error.strerror})")


def _in_store(path: StoredPath, recursive: bool) -> Iterator[_Candidate]:
    if path.is_file():
        yield _Candidate(path, path.parent, True)
    elif glob.has_magic(path.url):
        depth = next(n for n, part in enumerate(path.parts) if glob.has_magic(part))
        folder = StoredPath("/".join(path.parts[:depth]))
        matches = _not_hidden(folder, folder.glob("/".join(path.parts[depth:])))
        if not matches:
            raise Pose3dError(f"no file matches {path}")
        yield from (_Candidate(match, match.parent, False) for match in matches)
    elif path.is_dir():
        for each in _not_hidden(path, path.files(recursive)):
            yield _Candidate(each, path, False)
    else:
        raise Pose3dError(f"no such file or folder: {path}")


def _not_hidden(folder: StoredPath, paths: list[StoredPath]) -> list[StoredPath]:
    depth = len(folder.parts)
    return [path for path in paths if not any(part[:1] == "." for part in path.parts[depth:])]


def _in_list(path: Path, recursive: bool) -> Iterator[_Candidate]:
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise Pose3dError(f"{path}: cannot be read ({error.strerror})") from None
    lines = [line.strip() for line in text.splitlines()]
    names = [line for line in lines if line and not line.startswith("#")]
    # A text that is no list would be a heap of files that are not there.
    if not any(
        is_url(name) or glob.has_magic(name) or os.path.lexists(path.parent / name)
        for name in names
    ):
        raise Pose3dError(f"{path}: not a list of videos: no line names a file that is there")
    for name in names:
        source = name if is_url(name) else str(path.parent / name)
        yield from _gather(source, recursive, listed=True)


def _common(folders: Sequence[Sequence[str]]) -> list[str]:
    """The parts with which all begin."""
    columns = zip(*folders, strict=False)
    return [parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, columns)]


def _place(path: Path | StoredPath, root: Sequence[str]) -> str:
    # Of several drives or stores there is no common folder.
    return "/".join(path.parts[len(root) :]) if root else path.name


def _nothing(sources: Sequence[str], recursive: bool, found: Found) -> str:
    where = ", ".join(sources[:3]) + (", ..." if sources[3:] else "")
    more = f" ({found.passed_over()})" if found.others or found.own else ""
    hint = "" if recursive else "; -r looks into the folders inside as well"
    return f"no video in {where}{more}{hint}"
