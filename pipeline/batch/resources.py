"""What this process may use of the machine, which containers and cluster jobs limit."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

# A worker with PyTorch, MediaPipe and the pictures of one video between its stages.
WORKER_BYTES = 2 << 30


def cores() -> int:
    """CPU cores that this process may use, at least 1."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        count = os.cpu_count() or 1
    for folder in _groups():
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if quota.isdigit() and period.isdigit():
            count = min(count, math.ceil(int(quota) / int(period)))
    return max(1, count)


def memory() -> int | None:
    """Bytes of memory that this process and its children may use; None if unknown."""
    try:
        limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return None
    for folder in _groups():
        text = _text(folder / "memory.max")
        if text.isdigit():
            limit = min(limit, int(text))
    return limit


def default_workers(gpus: int) -> int:
    """How many videos at once: one a GPU; without one, as many as cores and memory allow."""
    if gpus:
        return gpus
    room = memory()
    return max(1, min(cores(), cores() if room is None else room // WORKER_BYTES))


def _groups() -> Iterator[Path]:
    """The control groups (version 2) around this process."""
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        if line.startswith("0::"):
            folder = Path("/sys/fs/cgroup", line[3:].lstrip("/"))
            yield from (each for each in (folder, *folder.parents) if "cgroup" in each.parts)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
