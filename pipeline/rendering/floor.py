"""What stands still in the 3D panel: background and floor with its grid, made once a clip."""

from __future__ import annotations

import numpy as np

from .camera import Camera
from .palette import BACKGROUND_BOTTOM, BACKGROUND_TOP, FLOOR, GRID

CELL = 0.5  # metres
_LINE = 0.011  # metres


def _smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    x = np.clip((x - low) / (high - low), 0, 1)
    return x * x * (3 - 2 * x)


def floor_points(camera: Camera) -> np.ndarray:
    """(h, w, 2) metres: the point of the floor z = 0 that each pixel shows; NaN above it."""
    width, height = camera.size
    u = (np.arange(width) + 0.5 - width / 2) / camera.focal
    v = (np.arange(height) + 0.5 - height / 2) / camera.focal
    rays = np.stack(np.broadcast_arrays(u[None], v[:, None], 1.0), -1) @ camera.rotation
    down = np.where(rays[..., 2] < -1e-4, rays[..., 2], np.nan)
    return camera.position[:2] - rays[..., :2] * (camera.position[2] / down)[..., None]


def _grid(points: np.ndarray, cell: float) -> np.ndarray:
    """(h, w) 0-1: how much of each pixel the lines of a grid cover.

    A line thinner than its pixel is drawn one pixel wide and fainter by as much, so far lines
    fade out and do not flicker into moire.
    """
    covered = np.zeros(points.shape[:2])
    for axis in range(2):
        place = points[..., axis]
        footprint = np.abs(np.gradient(place, axis=0)) + np.abs(np.gradient(place, axis=1))
        footprint = np.maximum(footprint, 1e-6)
        away = np.abs(place - np.round(place / cell) * cell)
        wide = np.clip(_LINE, footprint, cell)
        soft = 1 - np.clip((away - wide / 2) / footprint + 0.5, 0, 1)
        # Where a pixel spans a whole cell the lines are no longer lines.
        soft *= np.minimum(_LINE / wide, 1) ** 0.5 * np.clip(2 - 4 * footprint / cell, 0, 1)
        covered = np.maximum(covered, np.nan_to_num(soft))
    return covered


def draw_floor(camera: Camera, box: np.ndarray) -> np.ndarray:
    """The empty panel.

    Parameters
    ----------
    camera : the panel's camera
    box : (2, 2) metres, lowest and highest x and y of where people go; the floor is full there
        and fades out around it

    Returns
    -------
    (h, w, 3) uint8 RGB
    """
    width, height = camera.size
    rise = np.linspace(0, 1, height)[:, None, None]
    panel = np.asarray(BACKGROUND_TOP) * (1 - rise) + np.asarray(BACKGROUND_BOTTOM) * rise
    panel = np.broadcast_to(panel, (height, width, 3)).copy()

    points = floor_points(camera)
    centre, half = (box[0] + box[1]) / 2, (box[1] - box[0]) / 2
    outside = np.hypot(*np.moveaxis(np.maximum(np.abs(points - centre) - half, 0), -1, 0))
    fade_out = 1.6 + 0.35 * half.max()
    near = np.nan_to_num(1 - _smoothstep(0, fade_out, outside))[..., None]

    panel += (np.asarray(FLOOR) - panel) * near**1.2
    lines = 0.36 * _grid(points, CELL) + 0.22 * _grid(points, 2 * CELL)
    panel += (np.asarray(GRID) - panel) * np.minimum(lines, 1)[..., None] * near
    # Half a step of noise keeps the dark gradients from showing as bands.
    noise = np.random.default_rng(0).uniform(0, 1, (height, width, 1))
    return np.floor(np.clip(panel + noise, 0, 255)).astype(np.uint8)
