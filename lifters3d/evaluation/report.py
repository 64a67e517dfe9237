"""What an evaluation found: a table for the terminal, a JSON file, a picture."""

from __future__ import annotations

import io
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lifters3d.evaluation.protocols import H36M_ACTIONS, Errors, Results
from weights.files import write_file

FILE_FORMAT, FILE_VERSION = "pose3d-evaluation", 1
PROTOCOL_NAMES = {"h36m": "Human3.6M", "humaneva": "HumanEva-I", "3dhp": "MPI-INF-3DHP"}
ROOTS = {
    "subtract": "the predicted root is subtracted from all joints",
    "zero": "the predicted root is set to 0, other joints stay",
    "keep": "the predicted root stays and counts with its error",
}
# Column heading -> field of Errors, digits.
COLUMNS: dict[str, tuple[str, int]] = {
    "MPJPE\nmm": ("mpjpe_mm", 1),
    "P-MPJPE\nmm": ("p_mpjpe_mm", 1),
    "N-MPJPE\nmm": ("n_mpjpe_mm", 1),
    "MPJVE\nmm/frame": ("mpjve_mm_per_frame", 2),
    "MPJVE\nmm/s": ("mpjve_mm_per_s", 0),
    "PCK\n%": ("pck_150mm_percent", 1),
    "AUC\n%": ("auc_percent", 1),
}
JOINT_COLUMNS: dict[str, tuple[str, int]] = {
    "MPJPE\nmm": ("joint_mpjpe_mm", 1),
    "P-MPJPE\nmm": ("joint_p_mpjpe_mm", 1),
    "MPJVE\nmm/frame": ("joint_mpjve_mm_per_frame", 2),
}
ALL = {"mean": "mean", "pooled": "all frames"}


def show(results: Results, console: Console, title: str = "") -> None:
    """Print the errors by group and by joint; without lines where the console is no terminal."""
    style = box.SIMPLE_HEAD if console.is_terminal else None
    total = results.headline
    columns = {name: col for name, col in COLUMNS.items() if getattr(total, col[0]) is not None}
    table = _table(results.group_kind, [*columns, "frames"], style)
    for name, errors in results.groups.items():
        table.add_row(Text(name), *_cells(errors, columns))
    table.add_section()
    for name, label in ALL.items():
        errors, is_headline = getattr(results, name), name == results.headline_is
        table.add_row(label, *_cells(errors, columns), style="bold" if is_headline else None)
    console.print(Text(_heading(results, title), "bold"))
    console.print(table)
    for line in _notes(results):
        console.print(Text(line, "dim"))
    console.print()
    table = _table("joint", list(JOINT_COLUMNS), style)
    values = [getattr(total, name) for name, _ in JOINT_COLUMNS.values()]
    digits = [digits for _, digits in JOINT_COLUMNS.values()]
    for name, *row in zip(results.joint_names, *values, strict=True):
        table.add_row(Text(name), *map(_number, row, digits))
    console.print(Text(f"By joint ({ALL[results.headline_is]})", "bold"))
    console.print(table)


def _heading(results: Results, title: str) -> str:
    return f"{PROTOCOL_NAMES[results.protocol]} protocol" + (f": {title}" if title else "")


def _table(first: str, others: list[str], style: box.Box | None) -> Table:
    table = Table(box=style, collapse_padding=True)
    table.add_column(first, overflow="fold", min_width=len(ALL["pooled"]))
    for heading in others:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _cells(errors: Errors, columns: Mapping[str, tuple[str, int]]) -> list[str]:
    numbers = [_number(getattr(errors, name), digits) for name, digits in columns.values()]
    return [*numbers, str(errors.frames)]


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _notes(results: Results) -> list[str]:
    """What the numbers mean, and what keeps them from being compared with the papers'."""
    count = len(results.groups)
    groups = results.group_kind + ("" if count == 1 else "s")
    reported = {name: "" for name in ALL} | {results.headline_is: ", as papers report"}
    notes = [
        f"mean: plain mean of {count} {groups}{reported['mean']}. "
        f"all frames: each alike{reported['pooled']}.",
        f"Root: {ROOTS[results.root]}.",
    ]
    present = sum(action in results.groups for action in H36M_ACTIONS)
    if results.protocol == "h36m" and present < len(H36M_ACTIONS):
        notes.append(f"Not the papers' test set: it has {present} of their 15 actions.")
    if results.headline.pck_150mm_percent is not None:
        notes.append("PCK (below 150 mm) and AUC: 14 joints; other errors: all joints.")
    return notes


def save_json(
    results: Results, path: str | Path, about: Mapping[str, object] | None = None
) -> None:
    """Write the results as JSON; the file appears when whole.

    {
      "format": "pose3d-evaluation", "version": 1,
      "about": what the caller gives (lifter, weights, data, ...),
      "protocol": "h36m", "humaneva" or "3dhp",
      "root": "subtract", "zero" or "keep",
      "group_kind": "action" or "sequence",
      "headline": "mean" or "pooled", the one of the two that papers report,
      "mean": errors, plain mean of the groups,
      "pooled": errors, every frame counts alike,
      "groups": {name: errors}
    }

    where errors are those of ``lifters3d.evaluation.protocols.Errors``, the unit at the end of
    each key ("mpjpe_mm", "mpjve_mm_per_s", ...); those that begin with "joint_" are
    {joint name: number}. null: not measured.

    Raises
    ------
    Pose3dError
        if the file cannot be written.
    """

    def plain(errors: Errors) -> dict[str, object]:
        return {f.name: value(getattr(errors, f.name)) for f in fields(errors)}

    def value(number: float | np.ndarray | None) -> object:
        if isinstance(number, np.ndarray):
            return dict(zip(results.joint_names, map(value, number.tolist()), strict=True))
        return None if number is None or math.isnan(number) else number

    content = {
        "format": FILE_FORMAT,
        "version": FILE_VERSION,
        "about": dict(about or {}),
        "protocol": results.protocol,
        "root": results.root,
        "group_kind": results.group_kind,
        "headline": results.headline_is,
        "mean": plain(results.mean),
        "pooled": plain(results.pooled),
        "groups": {name: plain(errors) for name, errors in results.groups.items()},
    }
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_file(Path(path), f"{text}\n".encode())


# Okabe & Ito's set: told apart with every kind of colour vision.
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
DPI = 100
# Inches.
TITLE, HEADING, ROW, AXIS = 0.5, 0.35, 0.4, 0.45
NAMES, BARS, RIGHT = 1.75, 4.75, 0.1
APART = 0.4  # rows between the groups and what they sum up to
LONGEST_NAME, LONGEST_TITLE = 20, 120
MOST_GROUPS = 40  # pictures have an end


@dataclass(frozen=True)
class _Panel:
    """Bars: a row a name, a colour a series; the last row stands for all others if ``total``."""

    heading: str
    names: list[str]
    series: dict[str, tuple[Sequence[float], str]]  # label: values, colour
    largest: float  # on the axis
    total: bool = False

    @property
    def height(self) -> float:
        return ROW * (len(self.names) + (APART if self.total else 0))


def save_plot(results: Results, path: str | Path, title: str = "") -> None:
    """Write a PNG of bars: errors by group and by joint, and PCK and AUC if there are any.

    Raises
    ------
    Pose3dError
        if the file cannot be written.
    """
    left, right = _panels(results)
    wide = NAMES + BARS + RIGHT
    below = HEADING + AXIS
    width = 2 * wide
    height = TITLE + max(sum(below + panel.height for panel in column) for column in (left, right))
    figure = Figure((width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    name = _short(_heading(results, title), LONGEST_TITLE)
    top = 1 - 0.28 / height
    figure.text(0.15 / width, top, name, fontsize=13, va="center", parse_math=False)
    for column, panels in enumerate((left, right)):
        down = TITLE + HEADING
        for panel in panels:
            place = (
                (column * wide + NAMES) / width,
                1 - (down + panel.height) / height,
                BARS / width,
                panel.height / height,
            )
            _draw(figure.add_axes(place), panel)
            down += panel.height + below
    picture = io.BytesIO()
    with warnings.catch_warnings():
        # Names of clips may have letters that the font lacks: they become boxes.
        warnings.filterwarnings("ignore", "Glyph")
        figure.savefig(picture, format="png")
    write_file(Path(path), picture.getvalue())


def _panels(results: Results) -> tuple[list[_Panel], list[_Panel]]:
    """What stands left and right."""
    groups, total = results.groups, results.headline
    which = f"by {results.group_kind}"
    if len(groups) > MOST_GROUPS:
        worst = sorted(groups, key=lambda name: -groups[name].mpjpe_mm)[:MOST_GROUPS]
        which = f"(worst {MOST_GROUPS} of {len(groups)})"
        groups = {name: groups[name] for name in worst}
    rows = {**groups, ALL[results.headline_is]: total}
    names, errors = list(rows), list(rows.values())
    # One scale for groups and joints.
    largest = max(one.mpjpe_mm for one in errors)
    largest = 1.12 * max(largest, total.joint_mpjpe_mm.max(), total.joint_p_mpjpe_mm.max(), 1e-3)
    positions = {
        "MPJPE": ([one.mpjpe_mm for one in errors], BLUE),
        "P-MPJPE": ([one.p_mpjpe_mm for one in errors], ORANGE),
    }
    left = [_Panel(f"Error {which}, mm", names, positions, largest, total=True)]
    if total.pck_150mm_percent is not None:
        shares = {
            "PCK at 150 mm": ([one.pck_150mm_percent for one in errors], GREEN),
            "AUC": ([one.auc_percent for one in errors], PINK),
        }
        left.append(_Panel(f"14 joints {which}, %", names, shares, 109, total=True))
    joints = {
        "MPJPE": (total.joint_mpjpe_mm, BLUE),
        "P-MPJPE": (total.joint_p_mpjpe_mm, ORANGE),
    }
    heading = f"Error by joint ({ALL[results.headline_is]}), mm"
    return left, [_Panel(heading, list(results.joint_names), joints, largest)]


def _draw(axes: Axes, panel: _Panel) -> None:
    rows = np.arange(len(panel.names), dtype=float)
    if panel.total:
        rows[-1] += APART
        axes.axhline(rows[-1] - 0.5 - APART / 2, color="0.6", linewidth=0.8)
    thick = 0.8 / len(panel.series)
    for number, (label, (values, colour)) in enumerate(panel.series.items()):
        places = rows + (number - (len(panel.series) - 1) / 2) * thick
        bars = axes.barh(places, values, thick * 0.92, color=colour, label=label)
        axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
    axes.set_yticks(rows, [_short(name, LONGEST_NAME) for name in panel.names])
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.set_ylim(rows[-1] + 0.5, -0.5)
    axes.set_xlim(0, panel.largest)
    axes.set_title(panel.heading, fontsize=11, loc="left")
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1, 1),
        borderaxespad=0.3,
        ncols=len(panel.series),
        fontsize=9,
        frameon=False,
    )
    axes.tick_params("y", labelsize=9, length=0)
    axes.tick_params("x", labelsize=8)
    axes.grid(axis="x", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
