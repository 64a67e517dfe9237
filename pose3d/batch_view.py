"""What ``pose3d batch`` shows: a bar a worker, a line a video, a summary."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from pipeline.batch.find import Found
from pipeline.batch.recipe import STAGES
from pipeline.batch.tasks import Outcome, Summary, Task
from pose3d import terminal
from pose3d.table import make_table, print_tables, style_of
from weights.files import in_unicode


class BatchView:
    """Bars in a terminal, plain lines elsewhere; to standard error."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=terminal.errors,
            transient=True,
            disable=quiet or not terminal.errors.is_terminal,
        )
        self._all: TaskID | None = None
        self._rows: dict[int, tuple[TaskID, str]] = {}
        self._counts = {"done": 0, "skipped": 0, "failed": 0}
        self._total = 0

    def __enter__(self) -> BatchView:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def begin(self, total: int) -> None:
        self._total = total
        self._all = self._bars.add_task("videos", total=total, note="")

    def work(self, slot: int, task: Task, stage: str, done: int, total: int | None) -> None:
        row, _ = self._rows.get(slot) or (self._bars.add_task("", note=""), "")
        self._rows[slot] = row, task.name
        name = task.video.shown
        name = name if len(name) <= 32 else f"...{name[-29:]}"
        self._bars.update(row, description=f"  {name}", completed=done, total=total, note=stage)

    def end(self, slot: int | None, outcome: Outcome) -> None:
        self._counts[outcome.state] += 1
        ended = sum(self._counts.values())
        told = ", ".join(f"{count} {state}" for state, count in self._counts.items() if count)
        self._bars.update(self._all, completed=ended, note=told)
        # Several workers may have been at it.
        for other, (row, name) in list(self._rows.items()):
            if name == outcome.task.name:
                self._bars.remove_task(row)
                del self._rows[other]
        if self._quiet or outcome.state == "skipped":
            return
        line = f"[{ended}/{self._total}] {outcome.task.video.shown}: "
        if outcome.state == "failed":
            terminal.errors.print(f"{line}failed: {outcome.reason}")
            return
        again = "" if outcome.first == STAGES[0] else f", from {outcome.first} on"
        terminal.errors.print(
            f"{line}{outcome.frames} frames in {outcome.took_s:.1f} s"
            f" ({outcome.frames / max(outcome.took_s, 1e-9):.0f} frames/s{again})"
        )
        for warning in outcome.warnings:
            terminal.warn(f"{outcome.task.video.shown}: {warning}")


def print_summary(summary: Summary, found: Found, quiet: bool) -> None:
    """What became of the videos: to standard output, failures of a quiet run to standard error."""
    failed = summary.of("failed")
    if quiet:
        for outcome in failed:
            terminal.errors.print(f"failed: {outcome.task.video.shown}: {outcome.reason}")
        return

    def show(console: Console) -> None:
        if failed:
            table = make_table("failed", None, style_of(console))
            table.add_column("video", overflow="fold")
            table.add_column("reason", overflow="fold")
            for outcome in failed:
                table.add_row(outcome.task.video.shown, outcome.reason)
            console.print(table)
        for line in _lines(summary, found):
            console.print(line)

    print_tables(show)


def _lines(summary: Summary, found: Found) -> list[str]:
    done = summary.of("done")
    seconds, frames = sum(o.seconds for o in done), sum(o.frames for o in done)
    took = max(summary.took_s, 1e-9)
    counts = [
        f"{len(done)} done",
        f"{len(summary.of('skipped'))} skipped (done before)",
        f"{len(summary.of('failed'))} failed",
    ]
    if warned := sum(bool(outcome.warnings) for outcome in done):
        counts[0] += f" ({warned} with warnings)"
    if summary.left:
        counts.append(f"{summary.left} left")
    lines = [f"videos: {', '.join(counts)}"]
    if done:
        lines.append(
            f"{_hours(seconds)} of video in {_hours(took)}: {seconds / took:.2f} times real time, "
            f"{frames / took:.0f} frames/s, {3600 * len(done) / took:.0f} videos an hour"
        )
    return lines + _passed_over(found)


def _passed_over(found: Found) -> list[str]:
    return [f"passed over: {found.passed_over()}"] if found.others or found.own else []


def print_plan(found: Found, plans: Iterable[tuple[Task, tuple[str, ...], str]]) -> None:
    """What a run would do, to standard output."""
    rows = list(plans)

    def show(console: Console) -> None:
        table = make_table("", None, style_of(console))
        for name in ("video", "to do", "why", "output"):
            table.add_column(name, overflow="fold")
        for task, stages, why in rows:
            to_do = ", ".join(stages) or "nothing"
            table.add_row(task.video.shown, to_do, why, f"{in_unicode(task.name)}_pose3d")
        console.print(table)
        due = sum(bool(stages) and stages[0] in STAGES for _, stages, _ in rows)
        console.print(f"videos: {len(rows)}, to work on: {due}")
        for line in _passed_over(found):
            console.print(line)

    print_tables(show)


def _hours(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
