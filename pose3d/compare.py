"""``pose3d compare``: two results of one video, or a result and the ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pose3d.table import print_tables, style_of

if TYPE_CHECKING:
    from pipeline.comparison import Comparison


def compare(
    a: Annotated[
        Path,
        typer.Argument(
            metavar="A", help="The .npz of pose3d video or pose3d lift.", show_default=False
        ),
    ],
    b: Annotated[
        Path,
        typer.Argument(
            metavar="B",
            help="Another, or ground truth like demos/walk.npz: the reference.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Draw the errors over time and by joint: .png, .pdf or .svg.",
        ),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Write the errors as JSON.")
    ] = None,
) -> None:
    """Compare two results, or a result and ground truth: MPJPE, P-MPJPE, N-MPJPE, MPJVE, ...

    Frames are matched by their times, people by where they are in the picture.

    Example: pose3d compare results/walk_pose3d.npz demos/walk.npz -o compare.png
    """
    # The networks' libraries take seconds to import: not for --help.
    from pipeline.comparison import compare_poses, read_poses, save_json
    from pipeline.plots import check_suffix, draw_comparison, save_figure
    from pipeline.process import check_targets, make_folder
    from weights.files import in_unicode

    if output is not None:
        check_suffix(output)
    both = [read_poses(path) for path in (a, b)]
    if a.name == b.name:
        both = [
            replace(poses, name=in_unicode(str(path)))
            for poses, path in zip(both, (a, b), strict=True)
        ]
    targets = [path for path in (output, json) if path is not None]
    for target in targets:
        for source in (a, b):
            check_targets(source, target.parent, [target])
    comparison = compare_poses(*both)
    print_tables(lambda console: _show(comparison, console))
    for target in targets:
        make_folder(target.parent)
    if json is not None:
        save_json(comparison, json)
        print(json)
    if output is not None:
        save_figure(draw_comparison(comparison), output)
        print(output)


def _show(comparison: Comparison, console: Console) -> None:
    """Errors by person and by joint, and what was compared."""
    from lifters3d.evaluation.report import COLUMNS, JOINT_COLUMNS

    results = comparison.errors
    console.print(Text(f"{comparison.predicted} against {comparison.reference}", "bold"))
    rows = {pair.name: results.groups[pair.name] for pair in comparison.pairs}
    if len(rows) > 1:
        rows["all"] = results.pooled
    values = {
        name: [*(getattr(errors, field) for field, _ in COLUMNS.values()), errors.frames]
        for name, errors in rows.items()
    }
    digits = [digits for _, digits in COLUMNS.values()]
    _print_table(console, [*COLUMNS, "frames"], [*digits, 0], values)
    fields = [getattr(results.pooled, field).tolist() for field, _ in JOINT_COLUMNS.values()]
    values = dict(zip(results.joint_names, zip(*fields, strict=True), strict=True))
    _print_table(console, list(JOINT_COLUMNS), [d for _, d in JOINT_COLUMNS.values()], values)
    for note in comparison.notes:
        console.print(Text(note, "dim"))


def _print_table(
    console: Console,
    headings: list[str],
    digits: list[int],
    rows: Mapping[str, Sequence[float]],
) -> None:
    """Numbers by row."""
    table = Table(box=style_of(console), collapse_padding=True)
    table.add_column("", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for name, values in rows.items():
        cells = zip(values, digits, strict=True)
        table.add_row(Text(name), *("-" if isnan(v) else f"{v:.{n}f}" for v, n in cells))
    console.print(table)
    console.print()
