"""Videos to work on, how they end, and who is told."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.batch.find import Video
from pipeline.batch.manifest import Manifest
from pipeline.batch.plan import plan
from pipeline.batch.recipe import STAGES, Recipe
from pipeline.settings import Settings
from weights.errors import Pose3dError


@dataclass(frozen=True)
class Task:
    """A video and the name of its outputs."""

    video: Video
    name: str


@dataclass(frozen=True)
class Outcome:
    """How a video ended: state "done", "skipped" or "failed"; first: the stage it began with."""

    task: Task
    state: str
    reason: str = ""
    first: str | None = None
    frames: int = 0
    seconds: float = 0.0
    took_s: float = 0.0
    warnings: tuple[str, ...] = ()


@dataclass
class Summary:
    """What a batch has done so far. ``took_s`` of the whole; ``left``: not come to."""

    outcomes: list[Outcome] = field(default_factory=list)
    took_s: float = 0.0
    left: int = 0

    def of(self, state: str) -> list[Outcome]:
        """The outcomes of a state."""
        return [outcome for outcome in self.outcomes if outcome.state == state]


class Listener(Protocol):
    """Who is told how a batch goes on."""

    def begin(self, total: int) -> None:
        """So many videos are to be looked at."""

    def work(self, slot: int, task: Task, stage: str, done: int, total: int | None) -> None:
        """A worker has done so many frames of a stage."""

    def end(self, slot: int | None, outcome: Outcome) -> None:
        """A video has come to its end."""


def tasks_of(
    videos: Sequence[Video], manifest: Manifest, shard: tuple[int, int] = (1, 1)
) -> list[Task]:
    """The tasks of shard i of n.

    Where a video belongs depends on its place alone, so that shards agree which look at a folder at
    different times.
    """
    index, count = shard

    def own(video: Video) -> bool:
        digest = hashlib.sha256(os.fsencode(video.place)).digest()
        return int.from_bytes(digest[:8], "big") % count == index - 1

    # Names depend on all videos.
    named = zip(videos, manifest.names(videos), strict=True)
    return [Task(video, name) for video, name in named if own(video)]


def largest_first(tasks: Sequence[Task], manifest: Manifest) -> list[Task]:
    """So that no worker is left with a long video when the others have done theirs."""

    def size(task: Task) -> int:
        known = manifest.of(task.video.path)
        if known is not None:
            return known.bytes
        try:
            # Asking a store for every object takes longer than it is worth.
            return task.video.path.stat().st_size if isinstance(task.video.path, Path) else 0
        except OSError:
            return 0

    return sorted(tasks, key=size, reverse=True)


def dry_run(
    tasks: Sequence[Task],
    manifest: Manifest,
    settings: Settings,
    recipe: Recipe,
    from_stage: str | None = None,
    limit: int | None = None,
) -> Iterator[tuple[Task, tuple[str, ...], str]]:
    """What ``run_batch`` would do: for every task the stages that would run, and why.

    A task that is bound to fail has the stage "fail"; those after the limit do not come.
    """
    stages = STAGES if settings.render else STAGES[:-1]
    left = math.inf if limit is None else limit
    for task in tasks:
        if not left:
            return
        try:
            if task.video.fault:
                raise Pose3dError(task.video.fault)
            record = manifest.identify(task.video, task.name, guess=True)
        except (OSError, Pose3dError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            yield task, ("fail",), reason
            continue
        first, why = plan(record, recipe, manifest, settings.render, from_stage)
        left -= first is not None
        yield task, stages[stages.index(first) :] if first else (), why
