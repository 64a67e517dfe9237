"""Who works on an output folder: one batch, or the shards of one."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.batch.storage import StoredPath, make_folder, remove_folder
from weights.errors import Pose3dError


@contextmanager
def working_folder(home: Path, shard: tuple[int, int] = (1, 1)) -> Iterator[Path]:
    """An empty folder in ``home`` for the unfinished files of a batch, which nobody else touches.

    Batches of the same split into shards work side by side, each shard once; all others exclude
    each other. The operating system frees the locks of a batch that was killed; what it left
    behind is removed by the next one. In a store there are no locks: two that write the same
    objects do the work twice, and each object is one of either.

    Raises
    ------
    Pose3dError
        if another batch is at work, or the folder cannot be written in.
    """
    locks = home / "locks"
    make_folder(locks)
    index, count = shard
    name = f"{index}-of-{count}"
    if isinstance(home, StoredPath):
        with _own_folder(home / "work" / name) as work:
            yield work
        return
    with ExitStack() as stack:
        try:
            # Only while the others are looked at.
            with FileLock(locks / "all.lock", timeout=30):
                for path in sorted(locks.glob("*-of-*.lock")):
                    other = re.fullmatch(r"(\d+)-of-(\d+)", path.stem)
                    if path.stem != name and other and int(other[2]) != count:
                        with FileLock(path, timeout=0):
                            pass
                stack.enter_context(FileLock(locks / f"{name}.lock", timeout=0))
        except Timeout as busy:
            stem = Path(busy.lock_file).stem
            part = "" if stem in ("all", "1-of-1") else f" (--shard {stem.replace('-of-', '/')})"
            raise Pose3dError(
                f"another pose3d batch{part} is at work on {home.parent}: wait for it, or choose "
                "another --output"
            ) from None
        except (OSError, NotImplementedError) as error:
            reason = getattr(error, "strerror", None) or error
            raise Pose3dError(
                f"{home}: cannot be locked ({reason}); choose another --output"
            ) from None
        yield stack.enter_context(_own_folder(home / "work" / name))


@contextmanager
def _own_folder(own: Path | StoredPath) -> Iterator[Path | StoredPath]:
    remove_folder(own)
    # Of another name each time: processes that outlive their batch find no folder any more.
    work = own / uuid.uuid4().hex[:8]
    make_folder(work)
    if isinstance(work, StoredPath):
        (work / "began").write_bytes(b"\n")  # now, if it cannot be written in, not after the work
    try:
        yield work
    finally:
        remove_folder(own)
