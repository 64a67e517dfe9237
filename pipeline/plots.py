"""Pictures of a result over time: joint angles, speeds and heights, left and right in one panel."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lifters3d.skeleton import LEFT, RIGHT
from pipeline.angles import DEFINITIONS, joint_angles, joint_speeds
from pipeline.cleaning import segments
from pipeline.comparison import Comparison
from pipeline.result import PoseResult
from pipeline.world import usual_step
from weights.errors import Pose3dError
from weights.files import write_file

SUFFIXES: tuple[str, ...] = (".png", ".pdf", ".svg")
# Okabe & Ito's set: told apart with every kind of colour vision, and by lightness.
SIDES: dict[str, str] = {"right": "#D55E00", "left": "#56B4E9"}
MIDDLE = "#222222"
ERRORS: dict[str, str] = {"MPJPE": "#0072B2", "P-MPJPE": "#E69F00"}
BRIDGED = "#E4E4E4"
DPI = 110
LEAST_RANGE = 20  # degrees
# Inches.
WIDTH, PANEL, TITLE, AXIS, BETWEEN, BESIDE = 9.5, 1.5, 0.65, 0.55, 0.45, 0.75
NAMES = 0.3  # more for names of joints below a panel


@dataclass(frozen=True)
class Panel:
    """Lines of one quantity: side ("right", "left" or "" for neither) to values (F,)."""

    heading: str
    note: str
    unit: str
    lines: dict[str, np.ndarray]


def draw_result(
    result: PoseResult,
    title: str,
    *,
    angles: Sequence[str] = (),
    speeds: Sequence[str] = (),
    heights: Sequence[str] = (),
    person: int | None = None,
) -> Figure:
    """Draw one person over time, a panel a quantity; gaps are gaps, what was bridged is shaded.

    Parameters
    ----------
    angles : parts of names of `pipeline.angles.DEFINITIONS`: "knee" is both knees
    speeds, heights : parts of joint names; "ankle" is Human3.6M's Foot. Speeds are in camera
        axes, the camera taken as still; heights above the estimated floor.
    person : id; the one seen in most frames if None
    title : the person is added to it

    Raises
    ------
    Pose3dError
        if a name fits nothing, there is no such person, or no pose at all.
    """
    place = _place(result, person)
    panels = _panels(result, place, angles, speeds, heights)
    height = TITLE + len(panels) * (PANEL + BETWEEN) - BETWEEN + AXIS
    figure = new_figure(height, f"{title}, person {result.ids[place]}")
    step = usual_step(result.time_s, result.frame_rate)
    bridged = segments(result.status[:, place] == "interpolated")
    first = None
    for number, panel in enumerate(panels):
        down = TITLE + number * (PANEL + BETWEEN)
        axes = add_axes(figure, down, PANEL, first)
        first = first or axes
        for start, stop in bridged:
            span = result.time_s[start] - step / 2, result.time_s[stop - 1] + step / 2
            axes.axvspan(*span, color=BRIDGED, linewidth=0, zorder=0)
        for side, values in panel.lines.items():
            draw_line(axes, result.time_s, values, SIDES.get(side, MIDDLE), side)
        axes.set_title(panel.heading, fontsize=10, loc="left", pad=4)
        axes.set_title(panel.note, fontsize=7.5, loc="right", pad=4, color="0.4")
        axes.set_ylabel(panel.unit, fontsize=8)
        low, high = axes.get_ylim()
        if panel.unit == "degrees":
            # So that a quiet joint looks quiet.
            spare = max(0, LEAST_RANGE - (high - low)) / 2
            axes.set_ylim(low - spare, high + spare)
        else:
            axes.set_ylim(0)
        axes.tick_params("x", labelbottom=number == len(panels) - 1)
    axes.set_xlim(result.time_s[0] - step / 2, result.time_s[-1] + step / 2)
    axes.set_xlabel("time, s", fontsize=9)
    drawn = {side for panel in panels for side in panel.lines}
    keys = [Line2D([], [], color=SIDES[side], label=side) for side in SIDES if side in drawn]
    if bridged:
        keys.append(Patch(color=BRIDGED, label="interpolated"))
    if keys:
        add_legend(figure, keys)
    return figure


def draw_comparison(comparison: Comparison) -> Figure:
    """Draw MPJPE and P-MPJPE of every person over time, and of every joint over all frames."""
    joints = comparison.errors.pooled
    rows = len(comparison.pairs) + 1
    height = TITLE + rows * (PANEL + BETWEEN) + AXIS + NAMES
    figure = new_figure(height, f"{comparison.predicted} against {comparison.reference}")
    first = None
    for number, pair in enumerate(comparison.pairs):
        axes = add_axes(figure, TITLE + number * (PANEL + BETWEEN), PANEL, first)
        first = first or axes
        for (label, colour), values in zip(
            ERRORS.items(), (pair.mpjpe_mm, pair.p_mpjpe_mm), strict=True
        ):
            draw_line(axes, pair.time_s, values, colour, label)
        axes.margins(x=0.01)
        axes.set_title(pair.name, fontsize=10, loc="left", pad=4, parse_math=False)
        axes.set_ylabel("mm", fontsize=8)
        axes.set_ylim(0)
        axes.tick_params("x", labelbottom=number == len(comparison.pairs) - 1)
    axes.set_xlabel("time, s", fontsize=9)
    axes = add_axes(figure, TITLE + (rows - 1) * (PANEL + BETWEEN) + AXIS, PANEL)
    places = np.arange(len(comparison.errors.joint_names))
    for (label, colour), values, side in zip(
        ERRORS.items(), (joints.joint_mpjpe_mm, joints.joint_p_mpjpe_mm), (-1, 1), strict=True
    ):
        axes.bar(places + 0.2 * side, values, 0.38, color=colour, label=label)
    axes.set_xticks(places, comparison.errors.joint_names, rotation=40, ha="right")
    axes.set_xlim(-0.6, len(places) - 0.4)
    axes.set_title("by joint", fontsize=10, loc="left", pad=4)
    axes.set_ylabel("mm", fontsize=8)
    add_legend(figure, [Line2D([], [], color=ERRORS[label], label=label) for label in ERRORS])
    return figure


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as its suffix says (`SUFFIXES`); the file appears when it is whole.

    Raises
    ------
    Pose3dError
        if the suffix is another or the file cannot be written.
    """
    path = Path(path)
    check_suffix(path)
    picture = io.BytesIO()
    with warnings.catch_warnings():
        # Names of clips may have letters that the font lacks: they become boxes.
        warnings.filterwarnings("ignore", "Glyph")
        figure.savefig(picture, format=path.suffix.lower()[1:])
    write_file(path, picture.getvalue())


def check_suffix(path: Path) -> None:
    """Raise Pose3dError if figures cannot be written under this name."""
    if path.suffix.lower() not in SUFFIXES:
        raise Pose3dError(f"{path}: choose a name that ends in {', '.join(SUFFIXES)}")


def new_figure(height: float, title: str) -> Figure:
    """An empty figure of the usual width and a height in inches, with a title."""
    figure = Figure((WIDTH, height), dpi=DPI)
    FigureCanvasAgg(figure)
    title = title if len(title) <= 75 else f"{title[:36]}...{title[-36:]}"
    top = 1 - 0.22 / height
    figure.text(0.12 / WIDTH, top, title, fontsize=12, va="center", parse_math=False)
    return figure


def add_axes(
    figure: Figure, down: float, tall: float, beside: Axes | None = None, left: float = BESIDE
) -> Axes:
    """Axes as wide as the figure, their upper edge ``down`` inches below that of the figure."""
    height = figure.get_size_inches()[1]
    place = (left / WIDTH, 1 - (down + tall) / height, (WIDTH - left - 0.15) / WIDTH, tall / height)
    axes = figure.add_axes(place, sharex=beside)
    axes.grid(color="0.9", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return axes


def draw_line(axes: Axes, time_s: np.ndarray, values: np.ndarray, colour: str, label: str) -> None:
    """A line with gaps where values are NaN; what stands alone between gaps is a dot."""
    known = np.pad(np.isfinite(values), 1)
    alone = np.flatnonzero(known[1:-1] & ~known[:-2] & ~known[2:]).tolist()
    axes.plot(time_s, values, color=colour, label=label, linewidth=1.5, marker=".", markevery=alone)


def add_legend(figure: Figure, keys: Sequence[Line2D | Patch]) -> None:
    """A legend beside the title."""
    place = 1 - 0.1 / WIDTH, 1 - 0.22 / figure.get_size_inches()[1]
    figure.legend(
        handles=keys,
        loc="center right",
        bbox_to_anchor=place,
        ncols=len(keys),
        fontsize=9,
        frameon=False,
        borderaxespad=0,
    )


def _place(result: PoseResult, person: int | None) -> int:
    poses = np.isfinite(result.joints3d).all(axis=(2, 3)).sum(axis=0)
    if not poses.any():
        raise Pose3dError("nobody was found in any frame: there is nothing to draw")
    if person is None:
        return int(poses.argmax())
    ids = result.ids.tolist()
    if person not in ids:
        raise Pose3dError(f"no person {person} in it: it has {', '.join(map(str, ids))}")
    if not poses[ids.index(person)]:
        raise Pose3dError(f"person {person} has no 3D pose in any frame: there is nothing to draw")
    return ids.index(person)


def _panels(
    result: PoseResult,
    place: int,
    angles: Sequence[str],
    speeds: Sequence[str],
    heights: Sequence[str],
) -> list[Panel]:
    panels = []
    up = np.array(result.room().up)
    if angles:
        found = joint_angles(result.joints3d[:, place], up=up)
        for name, sides in _choose("angle", angles, _grouped_angles()).items():
            lines = {side: found[key] for side, key in sides.items()}
            # Zero and direction, without what is measured and where that comes from.
            note = DEFINITIONS[next(iter(sides.values()))].split(": ", 1)[1]
            note = re.sub(r" \([^)]*\)|; needs up", "", note)
            panels.append(Panel(name.replace("_", " "), note, "degrees", lines))
    joints = _grouped_joints(result.joint_names)
    if speeds:
        found = joint_speeds(result.joints_camera[:, place], result.time_s)
        for name, sides in _choose("joint", speeds, joints).items():
            lines = {side: found[:, key] for side, key in sides.items()}
            panels.append(Panel(f"{name} speed", "seen from the camera, approximate", "m/s", lines))
    if heights:
        room = result.world_joints()[:, place]
        for name, sides in _choose("joint", heights, joints).items():
            lines = {side: room[:, key, 2] for side, key in sides.items()}
            panels.append(Panel(f"{name} height", "above the estimated floor", "m", lines))
    if not panels:
        raise Pose3dError("nothing to draw: choose angles, speeds or heights")
    return panels


def _grouped_angles() -> dict[str, dict[str, str]]:
    """Angle without side: {side: its name in `DEFINITIONS`}."""
    groups: dict[str, dict[str, str]] = {}
    for name in DEFINITIONS:
        side = {"_r": "right", "_l": "left"}.get(name[-2:], "")
        groups.setdefault(name[:-2] if side else name, {})[side] = name
    return groups


def _grouped_joints(names: Iterable[str]) -> dict[str, dict[str, int]]:
    """Joint without side: {side: its number}; Human3.6M's Foot is the ankle that it marks."""
    groups: dict[str, dict[str, int]] = {}
    for number, name in enumerate(names):
        side = "right" if number in RIGHT else "left" if number in LEFT else ""
        joint = name[1:].lower() if side else name.lower()
        # The hip joints, beside the Hip that is the pelvis.
        joint = {"foot": "ankle", "hip": "hip" if side else "pelvis"}.get(joint, joint)
        groups.setdefault(joint, {})[side] = number
    return groups


def _choose(kind: str, wanted: Sequence[str], known: Mapping[str, dict]) -> dict[str, dict]:
    """The groups whose name has one of the wanted parts in it, in their own order."""
    for part in wanted:
        if not any(part.lower() in name for name in known):
            raise Pose3dError(f"unknown {kind} '{part}': choose of {', '.join(known)}")
    return {
        name: sides for name, sides in known.items() if any(part.lower() in name for part in wanted)
    }
