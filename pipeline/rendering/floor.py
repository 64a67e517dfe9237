"""What lies under people in the 3D panel: background and floor with its grid."""

from __future__ import annotations

import cv2
import numpy as np

from .camera import Camera
from .palette import BACKGROUND_BOTTOM, BACKGROUND_TOP, FLOOR, GRID

CELL = 0.5  # metres
_LINE = 0.011  # metres
_ROWS = 2  # rows a pixel from which the floor of a moving camera is made: far lines stay whole
_TEXTURE = 1400  # px at most, of the floor seen from above
_STEPS = 2  # finer than those of 8 bits


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


def _lay_floor(picture: np.ndarray, points: np.ndarray, box: np.ndarray) -> None:
    """Paint the floor, in place, over a (h, w, 3) float picture whose pixels show `points`.

    It is full inside `box` (2, 2), lowest and highest x and y in metres of where people go, and
    fades out around it.
    """
    centre, half = (box[0] + box[1]) / 2, (box[1] - box[0]) / 2
    outside = np.hypot(*np.moveaxis(np.maximum(np.abs(points - centre) - half, 0), -1, 0))
    near = np.nan_to_num(1 - _smoothstep(0, _fade_out(box), outside))[..., None]
    picture += (np.asarray(FLOOR) - picture) * near**1.2
    lines = 0.36 * _grid(points, CELL) + 0.22 * _grid(points, 2 * CELL)
    picture += (np.asarray(GRID) - picture) * np.minimum(lines, 1)[..., None] * near


def _fade_out(box: np.ndarray) -> float:
    """Metres around `box` in which the floor ends."""
    return float(1.6 + 0.35 * (box[1] - box[0]).max() / 2)


def _in_8_bits(picture: np.ndarray) -> np.ndarray:
    # Half a step of noise keeps the dark gradients from showing as bands.
    noise = np.random.default_rng(0).uniform(0, 1, (*picture.shape[:2], 1))
    return np.floor(np.clip(picture + noise, 0, 255)).astype(np.uint8)


def _backdrop(size: tuple[int, int]) -> np.ndarray:
    width, height = size
    rise = np.linspace(0, 1, height)[:, None, None]
    panel = np.asarray(BACKGROUND_TOP) * (1 - rise) + np.asarray(BACKGROUND_BOTTOM) * rise
    return np.broadcast_to(panel, (height, width, 3)).copy()


def draw_floor(camera: Camera, box: np.ndarray) -> np.ndarray:
    """The empty panel (h, w, 3) uint8 RGB of a camera that stands still; `box` as below."""
    panel = _backdrop(camera.size)
    _lay_floor(panel, floor_points(camera), box)
    return _in_8_bits(panel)


class TurningFloor:
    """The empty panel of a camera that moves: quick to draw for every frame.

    Parameters
    ----------
    size : (w, h) px of the panel
    box : (2, 2) metres, lowest and highest x and y of where people go; the floor is full there
        and fades out around it
    scale : px a metre, about, at which people are seen
    """

    def __init__(self, size: tuple[int, int], box: np.ndarray, scale: float) -> None:
        self._backdrop = _in_8_bits(_backdrop(size))
        low, high = box[0] - _fade_out(box), box[1] + _fade_out(box)
        step = max(1 / scale, (high - low).max() / _TEXTURE)  # metres a texel
        columns, rows = np.ceil((high - low) / step).astype(int)
        x, y = (low[0] + (np.arange(columns) + 0.5) * step, low[1] + (np.arange(rows) + 0.5) * step)
        points = np.stack(np.meshgrid(x, y), -1)
        ground = np.full((rows, columns, 3), BACKGROUND_BOTTOM, float)
        _lay_floor(ground, points, box)
        # What the floor adds to the backdrop: its blue tells red and green, which saves time.
        light = _STEPS * (ground[..., 2] - BACKGROUND_BOTTOM[2])
        self._light = np.clip(light, 0, 255).round().astype(np.uint8)
        plain, line = np.subtract(FLOOR, BACKGROUND_BOTTOM), np.subtract(GRID, BACKGROUND_BOTTOM)
        at = [0, _STEPS * plain[2], _STEPS * line[2]]
        ramps = [np.interp(np.arange(256), at, [0, plain[c], line[c]]) for c in range(3)]
        self._colours = np.stack(ramps, -1).round().astype(np.uint8)[:, None]
        # Texel to world; whole numbers are the texels' centres, as OpenCV has it.
        self._to_world = np.array([[step, 0, x[0]], [0, step, y[0]], [0, 0, 1]])
        self._corners = np.array([[0, columns, 0, columns], [0, 0, rows, rows], [1, 1, 1, 1]])

    def draw(self, camera: Camera, panel: np.ndarray) -> None:
        """Fill the panel (h, w, 3) uint8 RGB."""
        panel[:] = self._backdrop
        width, height = camera.size
        to_camera = np.column_stack([camera.rotation[:, :2], -camera.rotation @ camera.position])
        seen = camera.intrinsics @ to_camera @ self._to_world
        # Above the horizon a homography shows what lies behind the camera.
        pitch = np.arcsin(np.clip(-camera.rotation[2, 2], -1, 1))
        horizon = height / 2 - camera.focal * np.tan(min(pitch, 1.5))
        corners = seen @ self._corners
        far = (corners[1] / corners[2])[corners[2] > 0].min(initial=height)
        first = int(np.clip(np.ceil(max(horizon + 1, far)), 0, height))
        if first == height:
            return
        pixels = np.array([[1, 0, -0.5], [0, _ROWS, -first * _ROWS - 0.5], [0, 0, 1]])
        size = (width, (height - first) * _ROWS)
        light = cv2.warpPerspective(self._light, pixels @ seen, size, flags=cv2.INTER_LINEAR)
        # Halving in between is the mean of the two rows.
        light = cv2.resize(light, (width, height - first), interpolation=cv2.INTER_LINEAR)
        cv2.add(panel[first:], cv2.applyColorMap(light, self._colours), dst=panel[first:])
