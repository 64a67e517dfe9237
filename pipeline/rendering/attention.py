"""A still picture of a lifter's attention maps."""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from lifters3d.skeleton import JOINT_NAMES
from weights.files import write_file

COLUMNS = 5
DPI = 110
COLOURS = "viridis"
# The few largest weights of a section may be off the scale, so that the others can be told apart.
SCALE_QUANTILE = 0.995
# Inches.
TITLE, HEADING = 0.5, 0.65
PANEL, BELOW, BESIDE = 2.2, 0.5, 0.34
LEFT, RIGHT = 0.85, 0.85
NAMES = 0.45  # more below a panel for the names of joints
BAR, BAR_GAP, BAR_LABELS = 0.1, 0.2, 0.78


@dataclass(frozen=True)
class _Section:
    """Panels (title, (L, L) map) under a heading."""

    heading: str
    panels: list[tuple[str, np.ndarray]]
    joints: bool = False  # names of joints on the axes, not numbers
    common: bool = True  # one colour scale for all panels

    @property
    def rows(self) -> int:
        return math.ceil(len(self.panels) / COLUMNS)

    @property
    def columns(self) -> int:
        # Full rows look better than a last one of one panel.
        return math.ceil(len(self.panels) / self.rows)

    @property
    def step(self) -> float:
        """Inches from panel to panel."""
        return PANEL + (BESIDE if self.common else BAR_GAP + BAR + BAR_LABELS)

    @property
    def height(self) -> float:
        return HEADING + self.rows * (PANEL + BELOW) + (NAMES if self.joints else 0)


def draw_attention(maps: dict[str, Tensor], title: str, path: str | Path) -> None:
    """Write a PNG of what ``lifters3d.attention.attention_maps`` gave; it appears when whole.

    Joints x joints of the last spatial layer's heads and their mean; frames x frames of the last
    temporal layer's heads, and the mean over the heads of every layer.

    Raises
    ------
    Pose3dError
        if the file cannot be written.
    """
    sections = _sections({name: layers.numpy() for name, layers in maps.items()})
    width = LEFT + max(section.columns * section.step for section in sections) + RIGHT
    height = TITLE + sum(section.height for section in sections)
    figure = Figure((width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    top = 1 - 0.3 / height
    figure.text(0.15 / width, top, title, fontsize=13, va="center", parse_math=False)
    down = TITLE
    for section in sections:
        _draw(figure, section, down)
        down += section.height
    picture = io.BytesIO()
    with warnings.catch_warnings():
        # Names of clips may have letters that the font lacks: they become boxes.
        warnings.filterwarnings("ignore", "Glyph")
        figure.savefig(picture, format="png")
    write_file(Path(path), picture.getvalue())


def _sections(maps: dict[str, np.ndarray]) -> list[_Section]:
    sections = []
    if "spatial" in maps:
        layers = maps["spatial"]
        heading = (
            f"Spatial attention, last of {len(layers)} layers: what the joint of a row looks at"
        )
        panels = [*_heads(layers[-1]), ("mean of the heads", layers[-1].mean(axis=0))]
        sections.append(_Section(heading, panels, joints=True))
    if "temporal" in maps:
        layers = maps["temporal"]
        heading = (
            f"Temporal attention, last of {len(layers)} layers: what the frame of a row looks at"
        )
        sections.append(_Section(heading, _heads(layers[-1])))
        panels = [(f"layer {n}", layer.mean(axis=0)) for n, layer in enumerate(layers, start=1)]
        sections.append(_Section("Temporal attention of every layer, mean of the heads", panels))
    strided = [layers[0].mean(axis=0) for name, layers in maps.items() if "strided" in name]
    if strided:
        heading = "Strided layers, mean of the heads: fewer tokens from layer to layer"
        panels = [
            (f"layer {number}: {len(layer)} tokens", layer)
            for number, layer in enumerate(strided, start=1)
        ]
        sections.append(_Section(heading, panels, common=False))
    return sections


def _heads(layer: np.ndarray) -> list[tuple[str, np.ndarray]]:
    return [(f"head {number}", head) for number, head in enumerate(layer, start=1)]


def _draw(figure: Figure, section: _Section, down: float) -> None:
    """Draw a section whose upper edge is ``down`` inches below that of the figure."""
    width, height = figure.get_size_inches()

    def place(x: float, y: float, w: float, h: float) -> Axes:
        return figure.add_axes((x / width, 1 - (down + y + h) / height, w / width, h / height))

    figure.text(0.15 / width, 1 - (down + 0.1) / height, section.heading, fontsize=11, va="top")
    every = np.concatenate([values.ravel() for _, values in section.panels])
    count = len(section.panels)
    for number, (name, values) in enumerate(section.panels):
        row, column = divmod(number, section.columns)
        x, y = LEFT + column * section.step, HEADING + row * (PANEL + BELOW)
        axes = place(x, y, PANEL, PANEL)
        largest = np.quantile(every if section.common else values, SCALE_QUANTILE)
        image = axes.imshow(values, COLOURS, vmin=0, vmax=largest, interpolation="nearest")
        axes.set_title(name, fontsize=9)
        lowest = number + section.columns >= count
        beside = column == 0 or not section.common
        _label(axes, section.joints, len(values), beside, below=lowest)
        # The bar is as tall as what it belongs to.
        last = number == count - 1
        if last and section.common:
            x = LEFT + (section.columns - 1) * section.step
            y, tall = HEADING, section.rows * (PANEL + BELOW) - BELOW
        elif section.common:
            continue
        else:
            tall = PANEL
        bar = place(x + PANEL + BAR_GAP, y, BAR, tall)
        figure.colorbar(image, bar, extend="max").ax.tick_params(labelsize=7)
        if last:
            bar.set_ylabel("weight (a row sums to 1)", fontsize=8)


def _label(axes: Axes, joints: bool, length: int, beside: bool, below: bool) -> None:
    if joints:
        axes.set_xticks(range(length), JOINT_NAMES if below else [""] * length, rotation=90)
        axes.set_yticks(range(length), JOINT_NAMES if beside else [""] * length)
    else:
        places = sorted({0, length // 2, length - 1})
        axes.set_xticks(places, places)
        axes.set_yticks(places, places if beside else [""] * len(places))
    axes.tick_params(length=2, labelsize=7 if joints else 8)
