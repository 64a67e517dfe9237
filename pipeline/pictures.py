"""Decoded frames as pictures: (H, W, 3) uint8 RGB, upright, with square pixels."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import Colorspace

# AVColorSpace numbers whose matrix swscale knows: BT.709, FCC, BT.601 (two), SMPTE 240M, BT.2020.
KNOWN_MATRICES = {1, 4, 5, 6, 7, 9}


def shape_of(frame: av.VideoFrame, aspect: Fraction | None) -> tuple[int, int, int]:
    """Width and height with square pixels, and by how many quarters to turn (counter-clockwise).

    ``aspect``: of a stored pixel, if that is known.
    """
    width, height = frame.width, frame.height
    if aspect and 1 < aspect <= 4:
        width = round(width * aspect)
    elif aspect and Fraction(1, 4) <= aspect < 1:
        height = round(height / aspect)
    return width, height, round(frame.rotation / 90) % 4


def to_rgb(frame: av.VideoFrame, shape: tuple[int, int, int]) -> np.ndarray:
    """The picture of a frame, made of a ``shape_of``."""
    width, height, turns = shape
    matrix = None
    if not frame.format.is_rgb and frame.colorspace not in KNOWN_MATRICES:
        # Untagged: players take high definition for BT.709, the rest for BT.601.
        matrix = Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601
    image = frame.to_ndarray(format="rgb24", width=width, height=height, src_colorspace=matrix)
    return np.ascontiguousarray(np.rot90(image, turns))
