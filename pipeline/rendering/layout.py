"""How pictures and panels are put together.

A layout has `size`, (W, H) px, both even because codecs want that; `needs_picture`; and
`draw(t, image)`, which gives frame t as a new (H, W, 3) uint8 RGB array from the video's picture
(None where it needs none). An odd picture gets its last row or column twice.
"""

from __future__ import annotations

import numpy as np

from .camera import FRONT, SIDE, TOP
from .clip import Clip
from .palette import OUTLINE
from .picture import Picture
from .scene import Scene

MIN_ROWS, MAX_ROWS = 360, 1080
MAX_COLUMNS = 3840  # H.264 players and encoders give up some way above
MAX_OVERLAY_ROWS = 2160
MIN_PANEL_ROWS = 720  # of a panel alone, which is sharp at any size
MAX_CELL_ROWS = 540
WIDEST, NARROWEST = 16 / 9, 9 / 16  # of a panel alone


def shown_size(
    picture_size: tuple[int, int],
    low: int = MIN_ROWS,
    high: int = MAX_ROWS,
    columns: int = MAX_COLUMNS,
) -> tuple[int, int]:
    """(w, h) px at which a picture is shown.

    Its own, unless it has less than `low` rows or more than `high`, or more than `columns`.
    """
    width, height = picture_size
    scale = min(max(height, low), high) / height
    scale = min(scale, columns / width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _even(size: tuple[int, int]) -> tuple[int, int]:
    return size[0] + size[0] % 2, size[1] + size[1] % 2


class SideBySide:
    """The picture with its 2D skeletons on the left, the 3D panel on the right.

    The panel is as high as the picture and as wide as the picture, but not narrower than three
    quarters of its height nor wider than its height.
    """

    needs_picture = True

    def __init__(self, clip: Clip, orbit: bool = False) -> None:
        shown = shown_size(clip.picture_size)
        self._split, height = _even(shown)
        panel, _ = _even((round(np.clip(self._split, 0.75 * height, height)), height))
        self.size = (self._split + panel, height)
        self._picture = Picture(clip, shown)
        self.scene = Scene(clip, (panel, height), orbit=orbit)

    def draw(self, t: int, image: np.ndarray) -> np.ndarray:
        canvas = np.empty((self.size[1], self.size[0], 3), np.uint8)
        self._picture.draw(t, image, canvas[:, : self._split])
        self.scene.draw(t, out=canvas[:, self._split :])
        return canvas


class Overlay:
    """The picture with the 3D skeletons over the people, in their places."""

    needs_picture = True

    def __init__(self, clip: Clip) -> None:
        shown = shown_size(clip.picture_size, high=MAX_OVERLAY_ROWS)
        self.size = _even(shown)
        self._picture = Picture(clip, shown, solid=True, captions=True)

    def draw(self, t: int, image: np.ndarray) -> np.ndarray:
        canvas = np.empty((self.size[1], self.size[0], 3), np.uint8)
        self._picture.draw(t, image, canvas)
        return canvas


class Panel:
    """The 3D panel alone, in the shape of the picture."""

    needs_picture = False

    def __init__(self, clip: Clip, orbit: bool = False) -> None:
        width, height = shown_size(clip.picture_size, low=MIN_PANEL_ROWS)
        width = round(np.clip(width, NARROWEST * height, WIDEST * height))
        self.size = _even((width, height))
        self.scene = Scene(clip, self.size, orbit=orbit)

    def draw(self, t: int, image: np.ndarray | None = None) -> np.ndarray:
        return self.scene.draw(t)


class Grid:
    """Four cells of one size: the picture with its 2D skeletons, and views in 3D.

    Upper row: picture, front (as the camera that filmed sees it); lower row: side, top.
    """

    needs_picture = True

    def __init__(self, clip: Clip) -> None:
        shown = shown_size(clip.picture_size, high=MAX_CELL_ROWS, columns=MAX_COLUMNS // 2)
        width, height = self._cell = _even(shown)
        self.size = (2 * width, 2 * height)
        self._picture = Picture(clip, shown, captions=True)
        self.scenes = [
            Scene(clip, self._cell, view, title=title, legend=view == TOP)
            for view, title in ((FRONT, "front"), (SIDE, "side"), (TOP, "top"))
        ]
        # A line between the cells, whatever they show.
        self._line = max(1, round(0.002 * height))

    def draw(self, t: int, image: np.ndarray) -> np.ndarray:
        width, height = self._cell
        canvas = np.empty((self.size[1], self.size[0], 3), np.uint8)
        self._picture.draw(t, image, canvas[:height, :width])
        self.scenes[0].draw(t, out=canvas[:height, width:])
        self.scenes[1].draw(t, out=canvas[height:, :width])
        self.scenes[2].draw(t, out=canvas[height:, width:])
        canvas[height - self._line : height + self._line] = OUTLINE
        canvas[:, width - self._line : width + self._line] = OUTLINE
        return canvas


Layout = SideBySide | Overlay | Panel | Grid


def make_layout(name: str, clip: Clip, orbit: bool = False) -> Layout:
    """The layout of a name of `pipeline.settings.LAYOUTS`; only those of `ORBITS` can orbit."""
    if name == "overlay":
        return Overlay(clip)
    if name == "grid":
        return Grid(clip)
    return {"side-by-side": SideBySide, "3d-only": Panel}[name](clip, orbit)
