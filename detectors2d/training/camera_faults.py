"""What real pictures have and rendered ones lack: colours, light, blur, noise, obstacles."""

from __future__ import annotations

import cv2
import numpy as np


def spoil(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A crop (h, w, 3) uint8 RGB with a few random faults; nothing moves."""
    crop = np.ascontiguousarray(crop)
    return with_faults(_obstacles(crop, rng) if rng.random() < 0.5 else crop, rng)


def with_faults(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``spoil`` without obstacles, which may hide what a picture is to show."""
    values = crop.astype(np.float32)
    if rng.random() < 0.8:
        values = _colours(values, rng)
    if rng.random() < 0.15:
        values = _uneven_light(values, rng)
    blur = rng.random()
    if blur < 0.12:
        values = cv2.GaussianBlur(values, (0, 0), rng.uniform(0.4, 1.6))
    elif blur < 0.24:
        values = _motion(values, rng)
    elif blur < 0.36:  # sharpened, as cameras and phones do
        soft = cv2.GaussianBlur(values, (0, 0), rng.uniform(0.8, 2.0))
        values += rng.uniform(0.3, 1.5) * (values - soft)
    if rng.random() < 0.3:
        values += rng.normal(0, rng.uniform(2, 14), values.shape).astype(np.float32)
    crop = values.clip(0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        quality = int(rng.integers(15, 70))
        _, code = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, quality])
        crop = cv2.imdecode(code, cv2.IMREAD_COLOR)
    return crop


def _colours(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    gamma = np.exp(rng.normal(0, 0.25))
    values = 255 * (values / 255) ** gamma
    values *= np.exp(rng.normal(0, 0.2)) * np.exp(rng.normal(0, 0.08, 3))
    gray = values.mean(axis=2, keepdims=True)
    saturation = 0.0 if rng.random() < 0.1 else rng.uniform(0.4, 1.7)
    values = gray + saturation * (values - gray)
    if rng.random() < 0.05:  # hues exchanged: clothes of any colour, light of any colour
        values = values[..., rng.permutation(3)]
    middle = values.mean()
    return (middle + rng.uniform(0.6, 1.4) * (values - middle)).astype(np.float32)


def _uneven_light(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A shadow or a beam across the picture, soft or hard."""
    height, width = values.shape[:2]
    angle, offset = rng.uniform(0, 2 * np.pi), rng.uniform(-0.4, 0.4)
    y, x = np.mgrid[:height, :width] / height - 0.5
    way = np.cos(angle) * x + np.sin(angle) * y - offset
    lit = 1 / (1 + np.exp(-way / rng.uniform(0.005, 0.2)))
    return (values * (1 + rng.uniform(-0.6, 0.6) * lit[..., None])).astype(np.float32)


def _motion(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    length = int(rng.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    reach = (length - 1) / 2 * np.array([np.cos(angle), np.sin(angle)])
    middle = (length - 1) / 2
    start, end = (tuple(np.round(middle + s * reach).astype(int).tolist()) for s in (-1, 1))
    cv2.line(kernel, start, end, 1)
    return cv2.filter2D(values, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)


def _obstacles(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One to three patches: of one colour, of noise, or of another part of the picture."""
    height, width = crop.shape[:2]
    crop = crop.copy()
    for _ in range(int(rng.integers(1, 4))):
        w, h = (int(n * rng.uniform(0.06, 0.3)) + 2 for n in (width, height))
        x, y = (
            int(rng.integers(-w // 2, width - w // 2)),
            int(rng.integers(-h // 2, height - h // 2)),
        )
        left, top = max(x, 0), max(y, 0)
        spot = crop[top : y + h, left : x + w]
        kind = rng.random()
        if kind < 0.4:
            spot[:] = rng.integers(0, 256, 3)
        elif kind < 0.6:
            coarse = rng.integers(0, 256, (int(rng.integers(2, 9)), int(rng.integers(2, 9)), 3))
            fill = cv2.resize(coarse.astype(np.float32), spot.shape[1::-1])
            spot[:] = fill.astype(np.uint8)
        else:
            sx = int(rng.integers(0, width - spot.shape[1] + 1))
            sy = int(rng.integers(0, height - spot.shape[0] + 1))
            spot[:] = crop[sy : sy + spot.shape[0], sx : sx + spot.shape[1]].copy()
    return crop
