"""What the command shows in a terminal: progress bars, warnings, errors."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

# No markup, no emoji: names of files may hold [brackets] and :colons:.
errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)


class _Speed(TextColumn):
    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.0f} frames/s" if speed else "", style="cyan")


class StageBars:
    """A bar a stage while it runs, and a line a stage when it is done; to standard error."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bars = Progress(
            TextColumn("{task.description:<13}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Speed(),
            TimeRemainingColumn(compact=True),
            console=errors,
            transient=True,
            disable=quiet or not errors.is_terminal,
        )
        self._task = None
        self._name = ""
        self._done = 0
        self._began = 0.0

    def __enter__(self) -> StageBars:
        self._bars.start()
        return self

    def __exit__(self, error_type: type | None, *_: object) -> None:
        if error_type is None:
            self._finish()
        self._bars.stop()

    def stage(self, name: str, total: int | None) -> None:
        self._finish()
        self._name, self._done, self._began = name, 0, time.monotonic()
        self._task = self._bars.add_task(name, total=total)

    def advance(self, frames: int = 1) -> None:
        self._done += frames
        self._bars.advance(self._task, frames)

    def _finish(self) -> None:
        if not self._name:
            return
        seconds = time.monotonic() - self._began
        self._bars.remove_task(self._task)
        if not self._quiet:
            speed = f"{self._done / seconds:.0f} frames/s" if seconds > 0 else ""
            errors.print(f"{self._name:<13} {self._done} frames in {seconds:.1f} s, {speed}")
        self._name = ""


def epoch_bar() -> Progress:
    """A bar of a training's steps in its epoch, only where there is a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    )


def warn(message: str) -> None:
    """One line that the user should read."""
    errors.print(Text.assemble(("warning: ", "yellow"), message))


def fail(message: str) -> None:
    """One line that says why the command stops."""
    errors.print(Text.assemble(("error: ", "red"), " ".join(str(message).split())))
