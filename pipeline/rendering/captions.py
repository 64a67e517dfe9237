"""What is written into panels and pictures: time code, notices, legend, the people's numbers."""

from __future__ import annotations

import numpy as np

from .floor import CELL
from .palette import LEFT_COLOUR, NOTICE, RIGHT_COLOUR, TEXT, TEXT_QUIET
from .text import blend, draw_label, draw_pill, draw_text, text_width, time_code

NOTICES = {
    "interpolated": "interpolated",
    "low_confidence": "low confidence",
    "sides_repaired": "sides exchanged",
    "not_visible": "no person",
    "decode_error": "damaged frame",
}
_DOUBTFUL = ("interpolated", "low_confidence")


def unit_of(size: tuple[int, int]) -> int:
    """Height in px of capitals in a picture of (w, h) px."""
    return max(7, round(0.0165 * min(size[1], 1.5 * size[0])))


def notice(status: np.ndarray, drawn: np.ndarray, ids: np.ndarray) -> str:
    """What the viewer should know about a frame, in few words; "" if all is well.

    Parameters
    ----------
    status : (P,) strings of the frame
    drawn : (P,) bool, who has a skeleton in the frame
    ids : (P,) the people's numbers, named when there are several people
    """
    if "decode_error" in status:
        return NOTICES["decode_error"]
    if not drawn.any():
        return NOTICES["not_visible"]
    told = [
        (i, NOTICES[s]) for i, s, d in zip(ids, status, drawn, strict=True) if d and s in _DOUBTFUL
    ]
    if len(status) == 1:
        return told[0][1] if told else ""
    return ", ".join(f"{i} {words}" for i, words in told)


def draw_notice(image: np.ndarray, unit: int, words: str) -> None:
    """In the upper left corner, if there is anything to say."""
    if words:
        draw_label(image, words, 2 * unit, 2 * unit, unit, NOTICE)


def draw_title(image: np.ndarray, unit: int, words: str) -> None:
    """What a panel shows, in its upper right corner."""
    x = image.shape[1] - 2 * unit - text_width(words, unit)
    draw_text(image, words, x, 3 * unit, unit, TEXT_QUIET)


def draw_time(image: np.ndarray, unit: int, seconds: float, ground: bool = False) -> None:
    """The time code in the lower left corner; `ground` puts something dark under it."""
    tall, base = round(1.3 * unit), image.shape[0] - 2 * unit
    words = time_code(seconds)
    if ground:
        draw_label(image, words, 2 * unit, base - round(1.6 * tall), tall, TEXT)
    else:
        draw_text(image, words, 2 * unit, base, tall, TEXT)


def draw_legend(image: np.ndarray, unit: int, grid: bool, ground: bool = False) -> None:
    """What the colours mean, and with `grid` the floor's, in the lower right corner."""
    parts = [("right", RIGHT_COLOUR), ("left", LEFT_COLOUR)]
    if grid:
        parts.insert(0, (f"grid {CELL} m", None))
    gap = round(1.5 * unit)
    wide = sum(text_width(words, unit) + gap * (1 + (c is not None)) for words, c in parts) - gap
    x, base = image.shape[1] - 2 * unit, image.shape[0] - 2 * unit
    if ground:
        x -= round(0.7 * unit)
        tall = round(2.1 * unit)
        left = x - wide - round(0.7 * unit)
        draw_pill(image, left, base - round(1.55 * unit), wide + round(1.4 * unit), tall)
    for words, colour in parts:
        x -= text_width(words, unit)
        draw_text(image, words, x, base, unit, TEXT if ground else TEXT_QUIET)
        if colour is not None:
            x -= gap
            swatch = np.full((unit, unit), 255, np.uint8)
            blend(image, swatch, x, base - unit, colour)
        x -= gap
