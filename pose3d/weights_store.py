"""``pose3d weights``: the shipped weights and the public ones, which can be fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich import box
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from pose3d import terminal
from pose3d.table import make_table, print_tables, style_of
from weights import download, store
from weights.errors import Pose3dError

USES = {"lifter": "lifting", "people": "people", "pose2d": "2D pose"}

Name = Annotated[str, typer.Argument(metavar="NAME", help="As 'pose3d weights list' shows it.")]
Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME...", help="As 'pose3d weights list' shows them.", show_default=False
    ),
]


def list_() -> None:
    """Show all weights: the shipped ones, and public ones that can be fetched."""
    print_tables(lambda console: console.print(_table(style_of(console))))


def fetch(
    names: Names = None,
    everything: Annotated[bool, typer.Option("--all", help="All public weights.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Never open a connection: only tell if it is here.")
    ] = False,
) -> None:
    """Download public weights and check them; prints where they are.

    What a broken download has brought is kept: the same command goes on from there.

    Example: pose3d weights fetch rtmdet-m hrnet-w48-384x288
    """
    failed = False
    for entry in _chosen(names, [*store.public().values()] if everything else []):
        try:
            with _bar(entry.name) as progress:
                path = download.fetch(entry, offline=offline, progress=progress, note=terminal.warn)
            print(path)
        except Pose3dError as error:  # The others may still come.
            terminal.fail(str(error))
            failed = True
    if failed:
        raise typer.Exit(2)


def verify(names: Names = None) -> None:
    """Compare weights with their SHA-256; without a name, all that are here.

    Example: pose3d weights verify rtmdet-m
    """
    failed = False
    for entry in _chosen(names, [] if names else [e for e in _all() if _is_here(e)]):
        try:
            download.verify(entry)
            print(f"{entry.name}: good")
        except Pose3dError as error:
            terminal.fail(str(error))
            failed = True
    if failed:
        raise typer.Exit(2)


def path(name: Name) -> None:
    """Print where the file of weights is, if it is here.

    Example: pose3d weights inspect "$(pose3d weights path hrnet-w32-256x192)"
    """
    print(download.fetch(name, offline=True))


def remove(
    names: Names = None,
    everything: Annotated[bool, typer.Option("--all", help="All that were fetched.")] = False,
) -> None:
    """Delete fetched weights, and what a broken download has left of them.

    Example: pose3d weights remove hrnet-w48-384x288
    """
    wanted = _chosen(names, [*store.public().values()] if everything else [])
    for entry in wanted:
        if isinstance(entry, store.Entry):
            raise Pose3dError(f"{entry.name}: belongs to pose3d itself; only fetched ones can go")
    for entry in wanted:
        if download.remove(entry):
            print(download.location(entry))
        elif not everything:
            raise Pose3dError(f"{entry.name}: not in {download.cache_folder()}, nothing to remove")


def _chosen(
    names: list[str] | None, more: list[store.Entry | store.Public]
) -> list[store.Entry | store.Public]:
    """What the names stand for, and more; all are looked up before anything is done."""
    chosen = dict.fromkeys([*(store.find(name) for name in names or ()), *more])
    if not chosen:
        raise Pose3dError("give the names of weights, or --all; pose3d weights list shows them")
    return list(chosen)


def _all() -> list[store.Entry | store.Public]:
    return [*store.entries().values(), *store.public().values()]


def _is_here(entry: store.Entry | store.Public) -> bool:
    return isinstance(entry, store.Entry) or download.location(entry).is_file()


@contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """Shows a download, only where there is a terminal."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
        console=terminal.errors,
        transient=True,
        disable=not terminal.errors.is_terminal,
    ) as bars:
        task = bars.add_task(name, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _table(style: box.Box | None) -> Table:
    caption = (
        "For: finding people in pictures, finding a person's keypoints (2D pose), lifting them "
        f"to 3D. Fetched ones are in {download.cache_folder()}; POSE3D_HOME changes that. "
        "The licence is the publisher's word on the weights; what they learnt from has terms "
        "of its own. Accuracy: of lifters on noisy 2D, in mm; of public weights on COCO, as "
        "published. Sizes with a ? are not known before the download."
    )
    table = make_table("Weights", caption, style)
    table.add_column("name", no_wrap=True)
    table.add_column("for")
    table.add_column("accuracy")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("licence")
    table.add_column("here", no_wrap=True)
    for entry in _all():
        table.add_row(entry.name, *_row(entry))
    return table


def _row(entry: store.Entry | store.Public) -> tuple[str, ...]:
    if isinstance(entry, store.Entry):
        errors = {row.input: f"MPJPE {row.mpjpe_mm:.1f}" for row in entry.accuracy}
        measured = errors.get("noisy 2D", entry.figures)
        return USES[entry.kind], measured, _megabytes(entry.bytes), entry.licence, "shipped"
    here = _is_here(entry)
    size = download.location(entry).stat().st_size if here else entry.bytes
    return (
        USES[entry.kind],
        entry.accuracy,
        _megabytes(size) if size is not None else "?",
        entry.licence,
        "yes" if here else "no",
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
