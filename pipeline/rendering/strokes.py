"""Anti-aliased shapes at sub-pixel places: tapered strokes and discs.

Points are in px from the upper left corner of the picture, so the first pixel's centre is
(0.5, 0.5). OpenCV draws with pixel centres at whole numbers; `fill` does the shift.
"""

from __future__ import annotations

import cv2
import numpy as np

SHIFT = 4
_ARC = 12
# Fixed-point places must stay inside 32 bits; nothing this far out touches a picture.
_FAR = 1e5


def capsules(a: np.ndarray, b: np.ndarray, ra: np.ndarray, rb: np.ndarray) -> np.ndarray:
    """Outlines of tapered strokes: the hull of a disc at each end.

    Parameters
    ----------
    a, b : (N, 2) px, the ends
    ra, rb : (N,) px, the radii there; may differ

    Returns
    -------
    (N, 24, 2) px, convex polygons
    """
    along = b - a
    length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-6)
    heading = np.arctan2(along[:, 1], along[:, 0])
    # Where one disc holds the other there is no tangent: pull the ends apart until there is one.
    longer = np.maximum(length, np.abs(ra - rb) + 1e-6)
    b = a + np.stack([np.cos(heading), np.sin(heading)], -1) * longer[:, None]
    half = np.arccos(np.clip((ra - rb) / longer, -1, 1))[:, None]
    steps = np.linspace(-1, 1, _ARC)
    head = heading[:, None] + half * steps
    tail = heading[:, None] + np.pi + (np.pi - half) * steps
    arc_b = b[:, None] + rb[:, None, None] * np.stack([np.cos(head), np.sin(head)], -1)
    arc_a = a[:, None] + ra[:, None, None] * np.stack([np.cos(tail), np.sin(tail)], -1)
    return np.concatenate([arc_b, arc_a], 1)


def fixed(points: np.ndarray) -> np.ndarray:
    """px to OpenCV's fixed-point integers, for `fill`."""
    return np.rint((np.clip(points, -_FAR, _FAR) - 0.5) * (1 << SHIFT)).astype(np.int32)


def fill(image: np.ndarray, polygon: np.ndarray, colour: tuple) -> None:
    """Fill one convex polygon of `fixed` points, in place, with soft edges."""
    cv2.fillConvexPoly(image, polygon, colour, cv2.LINE_AA, SHIFT)


def lay(image: np.ndarray, layer: np.ndarray, mask: np.ndarray) -> None:
    """Blend `layer` (h, w, 3) over `image`, in place, as strong as `mask` (h, w) says, 0-255."""
    share = mask.astype(np.float32) / 255
    blended = cv2.blendLinear(layer, image, share, 1 - share)
    # Blending rounds; where nothing was drawn the picture must stay as it was.
    cv2.copyTo(blended, mask, image)


def bounds(points: np.ndarray, margin: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The pixels (x0, y0, x1, y1) that hold all points and a margin, cut to a (w, h) picture."""
    low = np.floor(np.clip(points.min(0) - margin, 0, size)).astype(int)
    high = np.ceil(np.clip(points.max(0) + margin, 0, size)).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
