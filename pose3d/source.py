"""Where a command's video comes from: a file, a URL, or standard input."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from pose3d import terminal
from weights.errors import Pose3dError


@contextmanager
def local_video(source: str, output: Path, quiet: bool) -> Iterator[Path]:
    """The file itself, or a temporary one in ``output`` with what comes from elsewhere."""
    from pipeline.fetch import is_remote, spooled

    if not is_remote(source):
        if re.match(r"[a-z][a-z0-9+.-]+://", source, re.IGNORECASE):
            raise Pose3dError(
                f"{source}: files, http and https are read here; streams by pose3d live --url, "
                "videos in object stores by pose3d batch"
            )
        yield Path(source)
        return
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=terminal.errors,
        transient=True,
        disable=quiet or not terminal.errors.is_terminal,
    )
    task = bars.add_task("reading", total=None)
    size = 0

    def advance(done: int, total: int | None) -> None:
        nonlocal size
        size = done
        bars.update(task, completed=done, total=total)

    bars.start()
    try:
        with spooled(source, output, advance) as path:
            bars.stop()
            if not quiet:
                terminal.errors.print(f"{'reading':<13} {size / 1e6:.1f} MB")
            yield path
    finally:
        bars.stop()
