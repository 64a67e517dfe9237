"""The live view: the picture with its 2D skeleton beside the 3D one."""

from __future__ import annotations

import numpy as np

from pipeline.live import Moment

from .captions import unit_of
from .clip import Clip
from .layout import SideBySide
from .palette import LEAST_3D, opacity_of_scores
from .text import draw_label


class LiveView:
    """Draws moments, one after the other, on one canvas.

    In 3D the person stands in the middle of the floor, on the lowest joint, seen by a level camera:
    where the floor is will be known at the end.

    Parameters
    ----------
    size : width and height of the pictures, px
    focal : of the camera, px
    """

    def __init__(self, size: tuple[int, int], focal: float) -> None:
        # One frame, which becomes every moment in its turn.
        self._clip = Clip(
            keypoints2d=np.full((1, 1, 17, 2), np.nan, np.float32),
            scores2d=np.zeros((1, 1, 17), np.float32),
            joints_camera=np.full((1, 1, 17, 3), np.nan, np.float32),
            joints_world=np.full((1, 1, 17, 3), np.nan, np.float32),
            opacity3d=np.ones((1, 1, 17)),
            status=np.full((1, 1), "not_visible", "<U14"),
            ids=np.array([1]),
            times=np.zeros(1),
            picture_size=size,
            focal=focal,
        )
        self._layout = SideBySide(self._clip)
        self.size = self._layout.size

    def draw(self, moment: Moment, words: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB; ``words`` go into the upper left corner."""
        clip = self._clip
        clip.keypoints2d[0, 0] = moment.keypoints
        clip.scores2d[0, 0] = np.nan_to_num(moment.scores)
        world = moment.joints[:, [0, 2, 1]] * np.array([1, 1, -1], np.float32)
        world[:, 2] -= world[:, 2].min()
        clip.joints_world[0, 0] = world
        clip.opacity3d[0, 0] = opacity_of_scores(clip.scores2d[0, 0], LEAST_3D)
        clip.status[0, 0] = moment.status
        clip.times[0] = moment.captured.time_s
        canvas = self._layout.draw(0, moment.captured.image)
        unit = unit_of(self.size)
        draw_label(canvas, words, 2 * unit, 2 * unit, unit)
        return canvas
