"""Things on and before procedural walls, painted flat: shelves, pictures, windows, doors, signs.

Each function paints one on an upright wall (S, S, 3) uint8 RGB, in place; ``scale`` is in pixels a
metre and the floor is at the lower edge.
"""

from __future__ import annotations

import colorsys
import string
from collections.abc import Callable

import cv2
import numpy as np

_LETTERS = list(string.ascii_letters + string.digits + "   .,:-!?")
_FONTS = (
    *(cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX),
    *(cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_SCRIPT_SIMPLEX),
)
Thing = Callable[[np.ndarray, float, np.random.Generator], None]


def random_colour(rng: np.random.Generator) -> np.ndarray:
    """A colour (3,) RGB, 0 to 255, of a small thing: any."""
    saturation, value = rng.beta(1.1, 2.6), rng.beta(2.0, 1.6)
    return 255 * np.array(colorsys.hsv_to_rgb(rng.random(), saturation, 0.08 + 0.9 * value))


def shaded(colour: np.ndarray, brightness: float) -> tuple[int, int, int]:
    """A colour for OpenCV, brighter or darker."""
    return tuple(int(v) for v in np.clip(colour * brightness, 0, 255))


def _place(
    image: np.ndarray, scale: float, rng: np.random.Generator, sides: tuple[float, ...]
) -> tuple[int, int, int, int]:
    """x, y, w, h px of a thing somewhere, also beyond the picture.

    ``sides`` are the least and most width, the least and most height, m.
    """
    w = max(4, int(scale * rng.uniform(*sides[:2])))
    h = max(4, int(scale * rng.uniform(*sides[2:])))
    side = len(image)
    return int(rng.integers(-w // 2, side - w // 2)), int(rng.integers(-h // 2, side - h)), w, h


def _box(
    image: np.ndarray, x: int, y: int, w: int, h: int, colour: np.ndarray, gap: int = 0
) -> None:
    """A rectangle, with a shadow of ``gap`` px and edges that catch light."""
    if gap:
        top, left = max(0, y + gap), max(0, x + gap)
        shadow = image[top : max(0, y + h + gap), left : max(0, x + w + gap)]
        shadow[:] = shadow * 0.55
    cv2.rectangle(image, (x, y), (x + w, y + h), shaded(colour, 1.0), -1)
    cv2.line(image, (x, y), (x + w, y), shaded(colour, 1.25), 1)
    cv2.line(image, (x + w, y), (x + w, y + h), shaded(colour, 0.75), 1)


def _gap(scale: float, rng: np.random.Generator) -> int:
    return int(scale * rng.uniform(0.005, 0.06))


def _shelf(image: np.ndarray, scale: float, rng: np.random.Generator) -> None:
    """Boards with books and boxes of all colours."""
    x, y, w, h = _place(image, scale, rng, (0.5, 2.0, 0.5, 2.2))
    board = random_colour(rng)
    _box(image, x, y, w, h, board * rng.uniform(0.3, 0.8), _gap(scale, rng))
    thick = max(1, int(0.02 * scale))
    pitch = int(scale * rng.uniform(0.22, 0.42))
    for bottom in range(y + pitch, y + h + 1, pitch):
        at = x + thick
        while at < x + w - thick and rng.random() < 0.97:
            wide = max(2, int(scale * rng.uniform(0.015, 0.09)))
            wide = min(wide, x + w - thick - at)
            tall = int(pitch * rng.uniform(0.4, 0.9))
            if rng.random() < 0.88:
                _box(image, at, bottom - tall, wide, tall, random_colour(rng))
            at += wide + 1
        cv2.rectangle(image, (x, bottom), (x + w, bottom + thick), shaded(board, 1.0), -1)
    cv2.rectangle(image, (x, y), (x + w, y + h), shaded(board, 0.9), thick)


def _picture(image: np.ndarray, scale: float, rng: np.random.Generator) -> None:
    """A framed picture or poster of a few shapes."""
    x, y, w, h = _place(image, scale, rng, (0.2, 1.0, 0.2, 1.2))
    _box(image, x, y, w, h, random_colour(rng), _gap(scale, rng))
    inside = np.empty((h, w, 3), np.uint8)
    ends = [random_colour(rng) for _ in range(2)]
    inside[:] = np.linspace(0, 1, h)[:, None, None] * (ends[0] - ends[1]) + ends[1]
    for _ in range(int(rng.integers(1, 8))):
        _shape(inside, rng)
    if rng.random() < 0.4:
        _write(inside, scale, rng, random_colour(rng))
    border = int(min(w, h) * rng.uniform(0.02, 0.15))
    _paste(image, inside[border : h - border, border : w - border], x + border, y + border)


def _window(image: np.ndarray, scale: float, rng: np.random.Generator) -> None:
    """A bright window with bars, sometimes with a blind."""
    x, y, w, h = _place(image, scale, rng, (0.5, 1.8, 0.6, 1.8))
    sky, ground = 255 - 0.4 * random_colour(rng), random_colour(rng)
    pane = np.empty((h, w, 3), np.uint8)
    pane[:] = np.clip(np.linspace(0, 1, h)[:, None, None] ** 2 * (ground - sky) + sky, 0, 255)
    for _ in range(int(rng.integers(0, 6))):
        _shape(pane, rng)
    if rng.random() < 0.3:
        slats = np.arange(h) % max(3, int(0.04 * scale)) < max(1, int(0.02 * scale))
        pane[slats & (np.arange(h) < h * rng.uniform(0.2, 1))] //= 2
    _paste(image, pane, x, y)
    frame, thick = shaded(random_colour(rng), 1.0), max(1, int(scale * rng.uniform(0.02, 0.08)))
    cv2.rectangle(image, (x, y), (x + w, y + h), frame, thick)
    for k in range(1, int(rng.integers(1, 5))):
        cv2.line(image, (x + w * k // 4, y), (x + w * k // 4, y + h), frame, max(1, thick // 2))
    for k in range(1, int(rng.integers(1, 4))):
        cv2.line(image, (x, y + h * k // 3), (x + w, y + h * k // 3), frame, max(1, thick // 2))


def _door(image: np.ndarray, scale: float, rng: np.random.Generator) -> None:
    """A door with panels and a handle."""
    x, _, w, h = _place(image, scale, rng, (0.7, 1.1, 1.9, 2.2))
    y, colour = len(image) - h, random_colour(rng)
    _box(image, x, y, w, h, colour, _gap(scale, rng))
    rows = int(rng.integers(1, 4))
    for k in range(rows):
        top = y + int(h * (k + 0.15) / rows)
        panel = (x + w // 6, top, w * 2 // 3, int(h * 0.75 / rows))
        _box(image, *panel, colour * rng.uniform(0.7, 1.2))
    handle = (x + int(w * 0.9), y + h // 2)
    cv2.circle(image, handle, max(1, int(0.03 * scale)), shaded(random_colour(rng), 1.0), -1)


def _cupboard(image: np.ndarray, scale: float, rng: np.random.Generator) -> None:
    """Drawers or doors in a box that stands on the floor."""
    x, _, w, h = _place(image, scale, rng, (0.4, 1.8, 0.4, 1.3))
    y, colour = len(image) - h, random_colour(rng)
    _box(image, x, y, w, h, colour, _gap(scale, rng))
    rows, columns = (int(v) for v in rng.integers(1, 5, 2))
    for row in range(rows):
        for column in range(columns):
            left, top = x + w * column // columns + 2, y + h * row // rows + 2
            wide, tall = w // columns - 4, h // rows - 4
            if wide > 3 and tall > 3:
                _box(image, left, top, wide, tall, colour * rng.uniform(0.85, 1.1), 1)
                knob = (left + wide // 2, top + tall // 4)
                cv2.circle(image, knob, max(1, int(0.015 * scale)), shaded(colour, 0.4), -1)


def _sign(image: np.ndarray, scale: float, rng: np.random.Generator) -> None:
    """Lines of letters on a plate or on the wall itself."""
    x, y, w, h = _place(image, scale, rng, (0.3, 1.6, 0.15, 1.0))
    if rng.random() < 0.7:
        _box(image, x, y, w, h, random_colour(rng), _gap(scale, rng))
    plate = image[max(0, y) : max(0, y + h), max(0, x) : max(0, x + w)]
    if plate.size:
        _write(plate, scale, rng, random_colour(rng))


def _pipes(image: np.ndarray, scale: float, rng: np.random.Generator) -> None:
    """Pipes, rails, poles or cables, upright, level or aslant, round by their shading."""
    side = len(image)
    angle = rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)])
    along = np.array([np.cos(angle), np.sin(angle)]) * 2 * side
    thick = max(1, int(scale * np.exp(rng.uniform(np.log(0.006), np.log(0.12)))))
    step = np.array([-np.sin(angle), np.cos(angle)]) * thick * rng.uniform(1.5, 6)
    start, colour = rng.uniform(0, side, 2), random_colour(rng)
    for k in range(int(rng.integers(1, 6))):
        for part in (1.0, 0.66, 0.33):  # towards the light in the middle
            ends = ((start + k * step + s * along).astype(int) for s in (-1, 1))
            width = max(1, int(thick * part))
            cv2.line(image, *(tuple(map(int, e)) for e in ends), shaded(colour, 1.5 - part), width)


def _heap(image: np.ndarray, scale: float, rng: np.random.Generator) -> None:
    """Things without a name, as large as people and their limbs."""
    x, y, w, h = _place(image, scale, rng, (0.4, 1.2, 0.5, 1.8))
    piece = image[max(0, y) : max(0, y + h), max(0, x) : max(0, x + w)]
    if min(piece.shape[:2]) > 8:
        for _ in range(int(rng.integers(2, 9))):
            _shape(piece, rng)


def _shape(image: np.ndarray, rng: np.random.Generator) -> None:
    """One ellipse, triangle or rounded bar in a picture (h, w, 3), in place."""
    h, w = image.shape[:2]
    colour = shaded(random_colour(rng), 1.0)
    points = (rng.uniform(0, 1, (3, 2)) * [w, h]).astype(np.int32)
    kind = int(rng.integers(3))
    if kind == 0:
        axes = tuple(int(v) for v in rng.uniform(0.05, 0.4, 2) * min(w, h) + 1)
        cv2.ellipse(
            image, tuple(map(int, points[0])), axes, rng.uniform(0, 180), 0, 360, colour, -1
        )
    elif kind == 1:
        cv2.fillPoly(image, [points], colour, cv2.LINE_AA)
    else:
        thick = max(1, int(min(w, h) * rng.uniform(0.02, 0.2)))
        cv2.line(image, tuple(map(int, points[0])), tuple(map(int, points[1])), colour, thick)


def _write(image: np.ndarray, scale: float, rng: np.random.Generator, colour: np.ndarray) -> None:
    """Fill a picture (h, w, 3) with lines of letters, in place."""
    height = scale * np.exp(rng.uniform(np.log(0.025), np.log(0.3)))
    size, font = height / 30, int(rng.choice(_FONTS))
    thick, step = max(1, int(size * rng.uniform(1, 3))), int(height * rng.uniform(1.3, 2.2)) + 2
    for y in range(step, len(image), step):
        text = "".join(rng.choice(_LETTERS, int(rng.integers(3, 40))))
        left = (int(0.3 * height), y)
        cv2.putText(image, text, left, font, size, shaded(colour, 1.0), thick, cv2.LINE_AA)


def _paste(image: np.ndarray, piece: np.ndarray, x: int, y: int) -> None:
    """Copy a picture into a larger one, in place, as far as it lies in it."""
    h, w = image.shape[:2]
    piece = piece[max(0, -y) : max(0, h - y), max(0, -x) : max(0, w - x)]
    top, left = max(0, y), max(0, x)
    image[top : top + piece.shape[0], left : left + piece.shape[1]] = piece


INDOORS: tuple[Thing, ...] = (
    *(_shelf, _shelf, _picture, _picture, _window, _door, _cupboard),
    *(_sign, _pipes, _heap, _heap),
)
OUTDOORS: tuple[Thing, ...] = (_window, _door, _sign, _sign, _pipes, _heap)
