"""Things in front of people: rectangles and ellipses of plain colour or of a piece of a place."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike

from detectors2d.training.rendered_people.assets import Assets


def cover(
    image: np.ndarray,
    centre: ArrayLike,
    size: float,
    assets: Assets,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Paint a thing of about ``size`` px around ``centre`` (2,) px over a picture (H, W, 3) uint8.

    Returns the new picture and the pixels (H, W) bool of the thing.
    """
    h, w = image.shape[:2]
    mask = np.zeros((h, w), np.uint8)
    sides = size * rng.uniform(0.35, 1.3, 2) + 4
    box = (
        tuple(float(v) for v in centre),
        tuple(float(v) for v in sides),
        float(rng.uniform(0, 180)),
    )
    if rng.random() < 0.5:
        cv2.fillPoly(mask, [np.round(cv2.boxPoints(box)).astype(np.int32)], 1)
    else:
        cv2.ellipse(mask, box, 1, -1)
    fill = _place(w, h, assets, rng) if rng.random() < 0.5 else _plain(w, h, rng)
    soft = cv2.GaussianBlur(mask.astype(np.float32), (3, 3), 0)[:, :, None]
    image = (image * (1 - soft) + np.clip(fill, 0, 255) * soft).astype(np.uint8)
    return image, mask > 0


def _place(w: int, h: int, assets: Assets, rng: np.random.Generator) -> np.ndarray:
    """A piece (h, w, 3) of some panorama; red and blue stay exchanged: one colour more."""
    panorama = assets.panorama(str(rng.choice(list(assets.light))))
    y = int(rng.integers(panorama.shape[0] // 2))
    x = int(rng.integers(panorama.shape[1] // 2))
    side = int(rng.integers(60, 250))
    piece = cv2.resize(panorama[y : y + side, x : x + side], (w, h))
    return piece.astype(float) * rng.uniform(1, 2.5)


def _plain(w: int, h: int, rng: np.random.Generator) -> np.ndarray:
    """A colour (h, w, 3) with a gradient and speckles."""
    gradient = np.linspace(-1, 1, w)[None, :, None] * rng.normal(0, 25)
    gradient = gradient + np.linspace(-1, 1, h)[:, None, None] * rng.normal(0, 25)
    speckles = rng.normal(0, rng.uniform(0, 20), (h // 4, w // 4))
    speckles = cv2.resize(speckles, (w, h))[:, :, None]
    return rng.uniform(10, 245, 3) + gradient + speckles
