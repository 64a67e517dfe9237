"""Procedural walls, floors and ceilings: sharp textures from nothing but random numbers.

All are (SIDE, SIDE, 3) uint8 RGB pictures of a square of some metres, upright: row 0 is at the
top. ``scale`` is always in pixels a metre.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import cv2
import numpy as np

from detectors2d.training.rendered_people.clutter import INDOORS, OUTDOORS, random_colour, shaded

SIDE = 512
_ROWS, _COLUMNS = np.mgrid[:SIDE, :SIDE].astype(np.float32)
Surface = Callable[[float, np.random.Generator], np.ndarray]


def wall(scale: float, rng: np.random.Generator, outdoors: bool) -> np.ndarray:
    """A wall that stands on the floor, mostly with things on it or before it."""
    kinds = _OUTDOOR_WALLS if outdoors else _INDOOR_WALLS
    image = _uint8(kinds[int(rng.integers(len(kinds)))](scale, rng))
    if not outdoors and rng.random() < 0.6:  # a baseboard
        height = int(scale * rng.uniform(0.05, 0.2))
        image[-height:] = shaded(random_colour(rng), 1.0)
        image[-height - 2 : -height] //= 2
    things, most = (OUTDOORS, 6) if outdoors else (INDOORS, 12)
    for _ in range(int(rng.integers(0, most + 1))):
        things[int(rng.integers(len(things)))](image, scale, rng)
    return image


def floor(scale: float, rng: np.random.Generator, outdoors: bool) -> np.ndarray:
    """A floor, or ground outdoors."""
    kinds = _GROUNDS if outdoors else _FLOORS
    return _uint8(kinds[int(rng.integers(len(kinds)))](scale, rng))


def ceiling(scale: float, rng: np.random.Generator) -> np.ndarray:
    """A light ceiling, with lamps or a grid of panels."""
    image = _plaster(scale, rng)
    image = 255 - (255 - image) * rng.uniform(0.1, 0.5)
    if rng.random() < 0.5:
        cell = scale * rng.uniform(0.5, 0.7)
        lines = (np.minimum(_COLUMNS % cell, _ROWS % cell) < 2)[..., None]
        image = np.where(lines, image * rng.uniform(0.5, 0.9), image)
    image = _uint8(image)
    for _ in range(int(rng.integers(0, 4))):
        x, y = (int(v) for v in rng.integers(SIDE, size=2))
        w, h = (int(scale * v) for v in rng.uniform(0.1, 0.7, 2))
        cv2.rectangle(image, (x, y), (x + w, y + h), (255, 255, 250), -1)
    return image


def _uint8(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.clip(image, 0, 255).astype(np.uint8))


def _noise(rng: np.random.Generator, rows: int, columns: int | None = None) -> np.ndarray:
    """Smooth noise (SIDE, SIDE, 1), about -1 to 1, of as many cells; opposite edges fit.

    The numbers of cells must be powers of 2, up to SIDE.
    """
    cells = rng.uniform(-1, 1, (rows, columns or rows)).astype(np.float32)
    if cells.shape == (SIDE, SIDE):
        return cells[..., None]
    padded = np.pad(cells, 2, mode="wrap")
    y, x = (2 * SIDE // count for count in cells.shape)
    noise = cv2.resize(padded, (SIDE + 2 * x, SIDE + 2 * y), interpolation=cv2.INTER_CUBIC)
    return noise[y:-y, x:-x, None]


def _fractal(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Noise (SIDE, SIDE, 1) of several scales from ``cells`` on, about -1 to 1."""
    octaves = [cells * 2**k for k in range(5) if cells * 2**k <= SIDE]
    return sum(_noise(rng, n) * 0.5 ** (k + 1) for k, n in enumerate(octaves))


def _large_colour(rng: np.random.Generator) -> np.ndarray:
    """A colour (3,) RGB, 0 to 255, as large surfaces have: greyish, mostly warm, seldom dark."""
    hue = rng.normal(0.09, 0.04) % 1 if rng.random() < 0.6 else rng.random()
    saturation = rng.beta(1.2, 5.0) if rng.random() < 0.92 else rng.beta(2.0, 2.5)
    rgb = colorsys.hsv_to_rgb(hue, saturation, 0.2 + 0.75 * rng.beta(2.2, 1.5))
    return 255 * np.array(rgb, np.float32)


def _leaf_colour(rng: np.random.Generator) -> np.ndarray:
    rgb = np.array([70, 85, 45]) * rng.uniform(0.6, 1.6) * rng.uniform(0.85, 1.2, 3)
    return rgb.astype(np.float32)


def _plaster(scale: float, rng: np.random.Generator) -> np.ndarray:
    grain = _fractal(rng, 2) * rng.uniform(0, 0.3) + _noise(rng, SIDE) * rng.uniform(0, 0.12)
    return _large_colour(rng) * (1 + grain)


def _masonry(
    scale: float, rng: np.random.Generator, width: float, height: float, shift: float
) -> np.ndarray:
    """Stones of about ``width`` x ``height`` m, each row ``shift`` of a stone further on."""
    w, h = (SIDE / max(1, round(SIDE / (scale * side))) for side in (width, height))
    row = (_ROWS / h).astype(int)
    along = _COLUMNS / w + row * shift
    stone = along.astype(int)
    shades = rng.uniform(1 - rng.uniform(0.03, 0.4), 1.1, (row.max() + 1, stone.max() + 1))
    shades = shades.astype(np.float32)
    image = shades[row, stone][..., None] * (1 + 0.25 * _fractal(rng, 16)) * _large_colour(rng)
    joint = max(1.0, scale * rng.uniform(0.003, 0.015))
    mortar = (_ROWS % h < joint) | ((along % 1) * w < joint)
    return np.where(mortar[..., None], _large_colour(rng) * (1 + 0.1 * _noise(rng, 256)), image)


def _bricks(scale: float, rng: np.random.Generator) -> np.ndarray:
    k = rng.uniform(0.8, 2.5)
    return _masonry(scale, rng, 0.24 * k, 0.075 * k, 0.5)


def _tiles(scale: float, rng: np.random.Generator) -> np.ndarray:
    side = rng.uniform(0.08, 0.6)
    return _masonry(scale, rng, side, side * rng.choice([1, 1, 0.5]), 0)


def _planks(scale: float, rng: np.random.Generator) -> np.ndarray:
    """Boards with grain, lying or upright."""
    boards = _masonry(scale, rng, rng.uniform(0.8, 3), rng.uniform(0.06, 0.25), 0.37)
    grain = _noise(rng, 256, 8) * 0.12 + _noise(rng, 64, 4) * 0.1
    image = boards * (1 + grain)
    return image if rng.random() < 0.5 else image.swapaxes(0, 1)


def _stripes(scale: float, rng: np.random.Generator) -> np.ndarray:
    """Stripes or a soft grating at any angle, sometimes crossed: wallpaper, blinds, cloth."""
    angle = rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)])
    period = scale * np.exp(rng.uniform(np.log(0.03), np.log(0.6)))
    share, sharp = rng.uniform(0.15, 0.85), rng.random() < 0.7
    first, second = _large_colour(rng), _large_colour(rng)

    def bands(a: float) -> np.ndarray:
        phase = (_COLUMNS * np.cos(a) + _ROWS * np.sin(a)) / period % 1
        wave = phase < share if sharp else 0.5 + 0.5 * np.cos(2 * np.pi * phase)
        return wave.astype(np.float32)[..., None]

    mix = bands(angle)
    if rng.random() < 0.3:
        mix = 0.5 * (mix + bands(angle + np.pi / 2))
    return (first * mix + second * (1 - mix)) * (1 + 0.1 * _fractal(rng, 8))


def _foliage(scale: float, rng: np.random.Generator) -> np.ndarray:
    """Leaves over leaves, dark ones below."""
    image = _uint8(_leaf_colour(rng) * (0.25 + 0.1 * _fractal(rng, 8)))
    length = max(10.0, scale * rng.uniform(0.03, 0.15))
    count = int(1.5 * (SIDE / length) ** 2)
    middles = rng.integers(0, SIDE, (count, 2))
    lengths, turns = rng.uniform(0.5, 1.2, count) * length, rng.uniform(0, 360, count)
    colours = [_leaf_colour(rng) for _ in range(6)]
    for i, (middle, half, turn) in enumerate(zip(middles, lengths, turns, strict=True)):
        axes = (int(half), max(1, int(half * 0.4)))
        colour = shaded(colours[i % 6], 0.35 + 1.1 * i / count)
        cv2.ellipse(image, tuple(map(int, middle)), axes, turn, 0, 360, colour, -1)
    return image


def _stones(scale: float, rng: np.random.Generator) -> np.ndarray:
    """Irregular stones, pebbles or gravel: the cells of random points."""
    side = scale * np.exp(rng.uniform(np.log(0.02), np.log(0.4)))
    points = np.full((SIDE, SIDE), 255, np.uint8)
    count = int(np.clip((SIDE / side) ** 2, 20, 20000))
    points[tuple(rng.integers(0, SIDE, (2, count)))] = 0
    distance, cells = cv2.distanceTransformWithLabels(
        points, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    shades = rng.uniform(0.5, 1.3, cells.max() + 1).astype(np.float32)[cells]
    shades = shades * (1.1 - 0.5 * np.clip(distance / side, 0, 1) ** 2)
    return _large_colour(rng) * (shades[..., None] * (1 + 0.2 * _noise(rng, 256)))


def _grass(scale: float, rng: np.random.Generator) -> np.ndarray:
    """Grass, soil or sand: noise of all scales, the finest the strongest."""
    grain = _noise(rng, SIDE) * rng.uniform(0.1, 0.4) + _noise(rng, 256) * 0.2 + _fractal(rng, 4)
    return (_leaf_colour if rng.random() < 0.5 else _large_colour)(rng) * (1 + 0.6 * grain)


def _facade(scale: float, rng: np.random.Generator) -> np.ndarray:
    """A house's front: rows of windows with frames, dark or with a reflection of the sky."""
    image = _uint8((_plaster if rng.random() < 0.5 else _bricks)(scale, rng))
    columns, rows = (int(v) for v in rng.integers(2, 5, 2))
    cell_w, cell_h = SIDE / columns, SIDE / rows
    w, h = int(cell_w * rng.uniform(0.3, 0.75)), int(cell_h * rng.uniform(0.4, 0.8))
    frame, glass, edge = _large_colour(rng), _large_colour(rng), int(max(1, 0.05 * scale))
    for row in range(rows):
        for column in range(columns):
            x, y = int((column + 0.5) * cell_w - w / 2), int((row + 0.5) * cell_h - h / 2)
            pane = np.linspace(rng.uniform(0.2, 1.2), rng.uniform(0.1, 0.6), h)[:, None, None]
            image[y : y + h, x : x + w] = np.clip(pane * glass, 0, 255)
            colour = shaded(frame, 1.0)
            cv2.rectangle(image, (x, y), (x + w, y + h), colour, edge)
            cv2.line(image, (x + w // 2, y), (x + w // 2, y + h), colour, edge)
    return image


_INDOOR_WALLS: tuple[Surface, ...] = (
    *(_plaster, _plaster, _plaster),
    *(_bricks, _tiles, _planks, _stripes, _stripes, _stones),
)
_OUTDOOR_WALLS: tuple[Surface, ...] = (
    *(_facade, _facade, _foliage, _foliage),
    *(_bricks, _stones, _planks, _plaster),
)
_FLOORS: tuple[Surface, ...] = (_planks, _planks, _tiles, _tiles, _plaster, _stripes, _grass)
_GROUNDS: tuple[Surface, ...] = (_grass, _grass, _stones, _tiles, _bricks, _plaster)
