"""Videos and outputs in object stores (``s3://...``, ``gs://...``), through fsspec.

A ``StoredPath`` has as much of ``pathlib.Path`` as a batch uses, so that most of the program need
not know where a file is; a worker brings near what is far (``at_hand``). Objects are put whole,
and nothing is said to be in its place before it is: no store needs to rename or to lock.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from weights.errors import Pose3dError
from weights.files import sha256, write_file

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from pipeline.batch.work import Job, Made

PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss"), "adlfs"),
}
# What stores call an object's content, then its time.
TAGS = ("md5Hash", "ETag", "etag")
TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")


class StorageError(Pose3dError, OSError):
    """A store that cannot be used, or does not do as it is told."""

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


class Stat(NamedTuple):
    """Bytes of an object, and its time or 0 where a store tells none."""

    st_size: int
    st_mtime_ns: int


def is_url(source: object) -> bool:
    """Whether a source names something in a store."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", str(source)) is not None


def place(source: str | Path) -> Path | StoredPath:
    """The absolute path of a file or folder, wherever it is."""
    text = str(source).removeprefix("file://")
    return StoredPath(text.rstrip("/")) if is_url(text) else Path(os.path.abspath(text))


@dataclass(frozen=True)
class StoredPath:
    """An object, or the folder of those whose names begin with its own.

    Methods raise ``StorageError``; FileNotFoundError where there is no such object.
    """

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> StoredPath:
        return StoredPath(f"{self.url}/{name}")

    @property
    def parts(self) -> tuple[str, ...]:
        scheme, _, path = self.url.partition("://")
        bucket, *names = path.split("/")
        return (f"{scheme}://{bucket}", *names)

    @property
    def name(self) -> str:
        return self.parts[-1]

    @property
    def stem(self) -> str:
        return Path(self.name).stem

    @property
    def suffix(self) -> str:
        return Path(self.name).suffix

    @property
    def parent(self) -> StoredPath:
        return StoredPath("/".join(self.parts[:-1]))

    @contextmanager
    def _store(self) -> Iterator[tuple[AbstractFileSystem, str]]:
        """The store and the name there; every failure says which object it is about."""
        try:
            store = _filesystem(self.parts[0].partition("://")[0])
            yield store, store._strip_protocol(self.url)
        except Pose3dError:
            raise
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, "no such object", self.url) from None
        except Exception as error:  # every store has its own
            text = " ".join(str(error).split())[:300] or type(error).__name__
            raise StorageError(errno.EIO, text, self.url) from error

    @contextmanager
    def _writing(self) -> Iterator[tuple[AbstractFileSystem, str]]:
        try:
            with self._store() as there:
                yield there
        except FileNotFoundError:
            raise StorageError(errno.ENOENT, "there is no such bucket", self.url) from None

    def stat(self) -> Stat:
        info = self._info()
        return Stat(int(info["size"] or 0), _time_ns(info))

    def content_id(self) -> str:
        """64 hexadecimal digits that tell another content, without reading it."""
        info = self._info()
        tag = next((str(info[name]) for name in TAGS if info.get(name)), None)
        text = tag or f"{self.url} {_time_ns(info)}"
        return hashlib.sha256(f"{text} {info['size']}".encode()).hexdigest()

    def _info(self) -> dict:
        with self._store() as (store, path):
            return store.info(path)

    def exists(self) -> bool:
        with self._store() as (store, path):
            return store.exists(path)

    def is_file(self) -> bool:
        with self._store() as (store, path):
            return store.isfile(path)

    def is_dir(self) -> bool:
        with self._store() as (store, path):
            return store.isdir(path)

    def glob(self, pattern: str) -> list[StoredPath]:
        """Objects by a pattern such as ``**/*.mp4``, in the order of their names."""
        with self._store() as (store, path):
            return [
                StoredPath(store.unstrip_protocol(found))
                for found, info in sorted(store.glob(f"{path}/{pattern}", detail=True).items())
                if info["type"] == "file"
            ]

    def files(self, recursive: bool) -> list[StoredPath]:
        """The objects of a folder, in the order of their names."""
        with self._store() as (store, path):
            found = store.find(path, maxdepth=None if recursive else 1)
            return [StoredPath(store.unstrip_protocol(each)) for each in sorted(found)]

    def open(self, mode: str = "rb") -> BinaryIO:
        with self._store() as (store, path):
            return store.open(path, mode)

    def read_bytes(self) -> bytes:
        with self._store() as (store, path):
            return store.cat_file(path)

    def write_bytes(self, content: bytes) -> None:
        with self._writing() as (store, path):
            store.pipe_file(path, content)

    def unlink(self, missing_ok: bool = False) -> None:
        with suppress(*[FileNotFoundError] * missing_ok), self._store() as (store, path):
            store.rm_file(path)

    def fetch(self, target: Path) -> None:
        """Copy it to a file."""
        with self._store() as (store, path):
            store.get_file(path, str(target))

    def put(self, source: Path) -> None:
        """Make it of a file."""
        with self._writing() as (store, path):
            store.put_file(str(source), path)


@lru_cache
def _filesystem(scheme: str) -> AbstractFileSystem:
    import fsspec

    try:
        # Without a memory of what was there before: others write as well.
        return fsspec.filesystem(scheme, use_listings_cache=False)
    except ImportError as error:
        package = PACKAGES.get(scheme)
        needs = f"{package}: pip install {package}" if package else str(error)
        raise Pose3dError(f"{scheme}:// needs {needs}") from None
    except ValueError as error:
        raise Pose3dError(f"{scheme}:// is no storage that is known ({error})") from None


def _time_ns(info: dict) -> int:
    value = next((info[name] for name in TIMES if info.get(name)), 0)
    if isinstance(value, str):
        with suppress(ValueError):
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
    if isinstance(value, datetime):
        value = value.timestamp()
    return round(value * 1e9) if isinstance(value, int | float) else 0


def content_id(path: Path | StoredPath) -> str:
    """What tells a file's content from others: its SHA-256, or what its store says of it."""
    return path.content_id() if isinstance(path, StoredPath) else sha256(path)


def same_file(one: Path | StoredPath, other: Path | StoredPath) -> bool:
    """Whether two paths, of which the first is there, name one file."""
    if isinstance(one, StoredPath) or isinstance(other, StoredPath):
        return one == other
    return one.samefile(other)


def make_folder(folder: Path | StoredPath) -> None:
    """Make a folder and those above it, which stores do not need; Pose3dError if that fails."""
    if isinstance(folder, StoredPath):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Pose3dError(f"{folder}: cannot be made ({error.strerror})") from None


def write(path: Path | StoredPath, content: bytes) -> None:
    """Put a whole file in its place, whose folder is there; Pose3dError if that fails."""
    if isinstance(path, StoredPath):
        path.write_bytes(content)
    else:
        write_file(path, content)


def read_all(folder: Path | StoredPath, suffix: str) -> list[bytes]:
    """The contents of all files of a suffix in a folder and those in it, as far as readable."""
    contents = []
    if isinstance(folder, StoredPath):
        # In one go, which stores do side by side.
        with suppress(FileNotFoundError), folder._store() as (store, _):
            names = [path.url for path in folder.files(recursive=True) if path.suffix == suffix]
            contents += store.cat(names, on_error="omit").values() if names else []
        return contents
    for path in sorted(folder.rglob(f"*{suffix}")):
        with suppress(OSError):
            contents.append(path.read_bytes())
    return contents


def move(path: Path | StoredPath, target: Path | StoredPath) -> None:
    """Put a finished file of the same storage in its place; OSError, Pose3dError if that fails."""
    if isinstance(path, StoredPath):
        with path._store() as (store, name):
            store.cp_file(name, store._strip_protocol(target.url))
            store.rm_file(name)
    else:
        make_folder(target.parent)
        os.replace(path, target)


def remove_folder(folder: Path | StoredPath) -> None:
    """Remove all that is in a folder, as far as that is possible."""
    if isinstance(folder, StoredPath):
        with suppress(OSError):
            for path in folder.files(recursive=True):
                path.unlink(missing_ok=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def at_hand(job: Job, made: Made) -> Iterator[tuple[Job, Made]]:
    """A job on files of this machine, and whom it tells of what it made, which is sent away.

    All is removed after the block; errors that name a file name what it is a copy of.

    Raises
    ------
    Pose3dError
        if something cannot be fetched, or the video is not what it was.
    """
    if not any(isinstance(path, StoredPath) for path in (job.video, job.result)):
        yield job, made
        return
    with TemporaryDirectory(prefix="pose3d-") as folder:
        spool = Path(folder)
        near = _fetched(job, spool)
        try:
            yield near, _sent(job, made, spool)
        except Pose3dError as error:
            text = str(error).replace(str(near.video), str(job.video))
            raise Pose3dError(text) from None


def _fetched(job: Job, spool: Path) -> Job:
    def near(path: Path | StoredPath, name: str) -> Path:
        if not isinstance(path, StoredPath):
            return path
        # Of what is missing the work has its own opinion.
        with suppress(FileNotFoundError):
            path.fetch(spool / name)
        return spool / name

    def near_all(paths: Sequence[Path | StoredPath]) -> tuple[Path, ...]:
        return tuple(near(path, path.name) for path in paths)

    if isinstance(job.folder, StoredPath):
        job = replace(job, folder=spool)
        if job.first != "detect":
            detections, result = near_all([job.detections, job.result])
            job = replace(job, detections=detections, result=result, parts=near_all(job.parts))
    if isinstance(job.video, StoredPath):
        if job.video.stat() != (job.identity["bytes"], job.mtime_ns):
            raise Pose3dError("it was changed since it was found (still being copied?): run again")
        (spool / "in").mkdir()
        path = near(job.video, f"in/video{job.video.suffix}")
        job = replace(
            job,
            video=path,
            identity={**job.identity, "sha256": sha256(path)},
            mtime_ns=path.stat().st_mtime_ns,
        )
    return job


def _sent(job: Job, made: Made, spool: Path) -> Callable[[str, Path, int, float], None]:
    """Sends to the job's own folder what was made in the spool."""
    if not isinstance(job.folder, StoredPath):
        return made

    def send(stage: str, path: Path, frames: int, seconds: float) -> None:
        target = job.folder / path.name
        target.put(path)
        made(stage, target, frames, seconds)

    return send
