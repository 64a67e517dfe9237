"""What cameras and files do to pictures: colours, blur, low resolution, noise, JPEG."""

from __future__ import annotations

import cv2
import numpy as np


def with_faults(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A picture (H, W, 3) uint8 RGB with some faults, each with a probability of its own."""
    faulty = image.astype(np.float32)
    if rng.random() < 0.7:
        faulty = _other_colours(faulty, rng)
    chance = rng.random()
    if chance < 0.15:
        faulty = _motion_blur(faulty, rng)
    elif chance < 0.35:
        sigma = rng.uniform(0.4, 1.6)
        faulty = cv2.GaussianBlur(faulty, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    elif chance < 0.45:
        faulty = _low_resolution(faulty, rng.uniform(0.35, 0.8))
    if rng.random() < 0.5:
        faulty = faulty + rng.normal(0, rng.uniform(1, 9), faulty.shape).astype(np.float32)
    faulty = np.clip(faulty, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        # Encoded as if it were BGR, which only exchanges how coarse red and blue become.
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 92))]
        faulty = cv2.imdecode(cv2.imencode(".jpg", faulty, quality)[1], cv2.IMREAD_COLOR)
    return faulty


def _other_colours(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gamma, white balance, contrast, brightness, saturation; a few become grey."""
    balance = np.exp(rng.normal(0, 0.2)), rng.normal(1, 0.06, 3).clip(0.8, 1.2)
    image = 255 * (image / 255) ** balance[0] * balance[1]
    image = (image - 110) * rng.uniform(0.75, 1.2) + 110 + rng.normal(0, 10)
    grey = image.mean(2, keepdims=True)
    return grey + (image - grey) * (0 if rng.random() < 0.04 else rng.uniform(0.5, 1.3))


def _motion_blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture drawn out along a line of a random direction."""
    length = int(rng.integers(3, max(4, image.shape[0] // 28)))
    angle = rng.uniform(0, np.pi)
    half = length / 2 * np.array([np.cos(angle), np.sin(angle)])
    start, end = (tuple(int(v) for v in np.round(length + s * half)) for s in (-1, 1))
    kernel = np.zeros((2 * length + 1, 2 * length + 1), np.float32)
    cv2.line(kernel, start, end, 1, 1)
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)


def _low_resolution(image: np.ndarray, scale: float) -> np.ndarray:
    h, w = image.shape[:2]
    small = cv2.resize(image, (int(w * scale), int(h * scale)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (w, h))
