"""Small labels: OpenCV's stroke font, drawn large and reduced, so it is smooth at any height."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np

from . import strokes
from .palette import OUTLINE, TEXT, Colour

_OVER = 4
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CAPITAL = 21  # height of a capital at font scale 1, px


def time_code(seconds: float) -> str:
    """mm:ss.ff with ff in hundredths of a second (hours run on as minutes).

    >>> time_code(83.456)
    '01:23.45'
    """
    if not math.isfinite(seconds):
        return "--:--.--"
    # The tiny addend keeps 0.29 (28.999...) from losing a hundredth.
    hundredths = int(abs(seconds) * 100 + 1e-6)
    sign = "-" if seconds < 0 and hundredths else ""
    return f"{sign}{hundredths // 6000:02d}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}"


@lru_cache(maxsize=256)
def _mask(text: str, height: int) -> tuple[np.ndarray, int]:
    """Coverage 0-255 of a line of text, and the row of its base line."""
    scale = height * _OVER / _CAPITAL
    weight = max(2, round(height * _OVER * 0.11))
    (width, ascent), descent = cv2.getTextSize(text, _FONT, scale, weight)
    columns = -(-(width + 2 * weight) // _OVER)
    base = -(-(ascent + weight) // _OVER)
    rows = base + -(-(descent + weight) // _OVER)
    large = np.zeros((rows * _OVER, columns * _OVER), np.uint8)
    place = (weight, base * _OVER)
    cv2.putText(large, text, place, _FONT, scale, 255, weight, cv2.LINE_AA)
    return cv2.resize(large, (columns, rows), interpolation=cv2.INTER_AREA), base


def text_width(text: str, height: int) -> int:
    """Width in px of `text` with capitals of `height` px."""
    return _mask(text, height)[0].shape[1]


def blend(image: np.ndarray, mask: np.ndarray, x: int, y: int, colour: Colour, alpha: float = 1):
    """Lay `colour` on the picture where a mask (0-255), put at (x, y), says; in place."""
    height, width = image.shape[:2]
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = min(x + mask.shape[1], width), min(y + mask.shape[0], height)
    if x0 >= x1 or y0 >= y1:
        return
    part = image[y0:y1, x0:x1]
    share = mask[y0 - y : y1 - y, x0 - x : x1 - x, None] * np.float32(alpha / 255)
    part[:] = part + (np.asarray(colour, np.float32) - part) * share + np.float32(0.5)


def draw_text(
    image: np.ndarray, text: str, x: int, y: int, height: int, colour: Colour = TEXT
) -> int:
    """Write `text` from column x on base line y, capitals `height` px high; returns its width."""
    mask, base = _mask(text, height)
    blend(image, mask, x, y - base, colour)
    return mask.shape[1]


@lru_cache(maxsize=64)
def _pill(width: int, height: int) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    radius = np.array([height / 2])
    ends = np.array([[height / 2, height / 2]]), np.array([[width - height / 2, height / 2]])
    strokes.fill(mask, strokes.fixed(strokes.capsules(*ends, radius, radius))[0], 255)
    return mask


def draw_pill(image: np.ndarray, x: int, y: int, width: int, height: int) -> None:
    """A dark rounded ground on which text can be read, its upper left corner at (x, y)."""
    blend(image, _pill(width, height), x, y, OUTLINE, 0.72)


def draw_label(
    image: np.ndarray, text: str, x: int, y: int, height: int, colour: Colour = TEXT, anchor="left"
) -> int:
    """Write `text` on a dark rounded ground, its top at y; returns the label's width.

    Parameters
    ----------
    x : column of the label's left edge, or of its centre with anchor "centre"
    height : px of capitals; the label is 2.1 times as high
    """
    mask, base = _mask(text, height)
    tall = round(height * 2.1)
    wide = mask.shape[1] + round(height * 1.4)
    if anchor == "centre":
        x -= wide // 2
    draw_pill(image, x, y, wide, tall)
    middle = y + (tall + height + 1) // 2
    blend(image, mask, x + (wide - mask.shape[1]) // 2, middle - base, colour)
    return wide
