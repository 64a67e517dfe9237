"""What is known of the videos of an output folder: a small file for each, in ``.pose3d``.

::

    OUTPUT/sub/NAME_pose3d.npz, .mp4      what the user wants
    OUTPUT/.pose3d/videos/sub/NAME.json   a ``Record``: of which file, made of what
    OUTPUT/.pose3d/detections/SHA.npz     the first pass over the video of this content
    OUTPUT/.pose3d/segments/NUMBER/       segments that are done of a video that is not
    OUTPUT/.pose3d/work/                  unfinished files of the batches that run

A file a video, not one for all: it is replaced whole, no other one is touched, and several batches
can write at the same time.
"""

from __future__ import annotations

import hashlib
import json
import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain, count
from pathlib import Path

from pipeline.batch.find import Video
from pipeline.batch.kept import made_of
from pipeline.batch.storage import (
    StoredPath,
    content_id,
    make_folder,
    place,
    read_all,
    same_file,
    write,
)
from weights.errors import Pose3dError

FORMAT, VERSION = "pose3d-batch", 1
# Bytes of a file's name, of 255, which leave room for the endings of all that is made of it.
LONGEST_NAME = 225


@dataclass
class Record:
    """One video: which content it has, and what its outputs were made of.

    name : of its outputs below the output folder, parts joined by "/"
    path, bytes, mtime_ns : the file, absolute, and what tells that it is still the same
    sha256 : of its content; of an object in a store, what stands for it there
    frames, seconds : of the part that was worked on; None before it was
    stages : by "lift" and "render", ``{"made_of": {...}, "bytes": size of the file}``
    failed : why the last try failed; None if it did not
    """

    name: str
    path: str
    bytes: int
    mtime_ns: int
    sha256: str
    frames: int | None = None
    seconds: float | None = None
    stages: dict[str, dict] = field(default_factory=dict)
    failed: str | None = None


class Manifest:
    """The records of an output folder, and where its files are."""

    def __init__(self, folder: Path) -> None:
        self.folder = place(folder)
        self.home = self.folder / ".pose3d"
        self.read()

    def read(self) -> None:
        """Read all records anew."""
        contents = read_all(self.home / "videos", ".json")
        records = [record for record in map(_read, contents) if record is not None]
        self.records = {record.name: record for record in records}
        self._by_path = {record.path: record for record in self.records.values()}

    def of(self, path: Path) -> Record | None:
        """What is known of a file."""
        return self._by_path.get(str(path))

    def knows(self, path: Path) -> bool:
        """Whether the file was there before, and a video."""
        record = self.of(path)
        return record is not None and _same(record, path)

    def save(self, record: Record) -> None:
        """Write a record; Pose3dError if that fails."""
        path = self.home / "videos" / f"{record.name}.json"
        make_folder(path.parent)
        content = {"format": FORMAT, "version": VERSION, **asdict(record)}
        write(path, json.dumps(content, indent=1).encode())
        self.records[record.name] = record
        self._by_path[record.path] = record

    def outputs(self) -> set[Path]:
        """All files for users that there may be."""
        names = self.records
        return {self.result_path(n) for n in names} | {self.video_path(n) for n in names}

    def result_path(self, name: str) -> Path:
        """Where the result of a video is, or will be."""
        return self.folder / f"{name}_pose3d.npz"

    def video_path(self, name: str) -> Path:
        """Where the rendered video is, or will be."""
        return self.folder / f"{name}_pose3d.mp4"

    def check_targets(self, name: str, video: Path | StoredPath) -> None:
        """Raise OSError or Pose3dError, before the work, if a video's outputs cannot be there."""
        if len(os.fsencode(name.rpartition("/")[2])) > LONGEST_NAME:
            raise Pose3dError("its name is too long for outputs beside it: rename it")
        for target in (self.result_path(name), self.video_path(name)):
            if target.is_dir():
                raise Pose3dError(f"{target} is a folder; move it or choose another --output")
            if target.exists() and same_file(target, video):
                raise Pose3dError(f"{target} would be overwritten; choose another --output")

    def detections_path(self, digest: str) -> Path:
        """Where the first pass over a video is kept, by the SHA-256 of the video."""
        return self.home / "detections" / f"{digest}.npz"

    def segments_path(self, name: str) -> Path:
        """The folder of the segments of a video, until it is done."""
        # Names of videos may be folders of other videos.
        return self.home / "segments" / hashlib.sha256(os.fsencode(name)).hexdigest()[:20]

    def detections_made_of(self, digest: str) -> dict | None:
        """What the first pass that is kept was made of; None if there is none."""
        return made_of(self.detections_path(digest))

    def identify(self, video: Video, name: str, guess: bool = False) -> Record:
        """The record of a video as it is now; hashes files that are new or were changed.

        ``guess``: do not hash a file whose size nothing known has; its ``sha256`` is then "".
        Raises OSError if the file cannot be read.
        """
        known = self.of(video.path)
        if known is not None and known.name == name and _same(known, video.path):
            return known
        stat = video.path.stat()
        known = self.records.get(name)
        old = asdict(known) if known else {"name": name}
        new = {"path": str(video.path), "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}
        hopeless = guess and all(stat.st_size != r.bytes for r in self.records.values())
        digest = "" if hopeless else content_id(video.path)
        return Record(**{**old, **new, "sha256": digest})

    def names(self, videos: Sequence[Video]) -> list[str]:
        """Names of the outputs: a video keeps the one that it has, and no two share one.

        A new one gets that of the file without its suffix; with it where two would be the same
        (``a.mp4`` and ``a.mov``), or where an output would take the place of an input.
        """
        inputs = {_key(str(video.path)) for video in videos}
        taken: set[str] = set()
        names: list[str | None] = []
        for video in videos:
            record = self.of(video.path)
            names.append(record.name if record else None)
        listed = {str(video.path) for video in videos}
        for record in self.records.values():
            # That of a file which is gone goes to whoever comes in its place.
            if record.path in listed or place(record.path).exists():
                taken.add(_key(record.name))
        stems = Counter(
            _key(_stem(video.place))
            for video, name in zip(videos, names, strict=True)
            if name is None
        )

        def free(name: str) -> bool:
            own = _key(str(self.video_path(name))) in inputs
            return not own and _key(name) not in taken

        for index, video in enumerate(videos):
            if names[index] is not None:
                continue
            stem = _stem(video.place)
            numbered = (f"{video.place}-{number}" for number in count(2))
            choices = chain([stem] if stems[_key(stem)] == 1 else [], [video.place], numbered)
            names[index] = next(filter(free, choices))
            taken.add(_key(names[index]))
        return names


def _same(record: Record, path: Path) -> bool:
    """Whether a file has the size and time of the one that was hashed."""
    try:
        stat = path.stat()
    except OSError:
        return False
    return (stat.st_size, stat.st_mtime_ns) == (record.bytes, record.mtime_ns)


def _read(text: bytes) -> Record | None:
    """A record; None for what is not (any more) one, whose video is then done anew."""
    try:
        content = json.loads(text)
        if (content.pop("format"), content.pop("version")) != (FORMAT, VERSION):
            return None
        return Record(**content)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _stem(place: str) -> str:
    folder, slash, name = place.rpartition("/")
    return folder + slash + Path(name).stem


def _key(name: str) -> str:
    """The same for names that some file systems take for one."""
    return unicodedata.normalize("NFC", name).casefold()
