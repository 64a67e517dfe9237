"""The video's picture with people drawn over it."""

from __future__ import annotations

import cv2
import numpy as np

from lifters3d.skeleton import HEAD

from .camera import Camera
from .captions import draw_legend, draw_notice, draw_time, notice, unit_of
from .clip import Clip
from .figure3d import OVER_PICTURE, draw_figures
from .palette import tint
from .skeleton2d import draw_skeleton2d
from .text import draw_label


class Picture:
    """A video's picture at the size in which it is shown, with the people's skeletons over it.

    Parameters
    ----------
    clip : what is drawn
    size : (w, h) px in which the picture is shown
    solid : draw the 3D skeletons in their places, as the camera that filmed sees them, not the 2D
    captions : write time code and notices; with `solid` the legend too
    """

    def __init__(
        self, clip: Clip, size: tuple[int, int], solid: bool = False, captions: bool = False
    ) -> None:
        self._clip = clip
        self._size = size
        self._solid = solid
        self._captions = captions
        self._unit = unit_of(size)
        self._scale = np.divide(size, clip.picture_size)
        # The camera that filmed; camera axes are the world here.
        focal = clip.focal * float(self._scale[1])
        self._camera = Camera(np.eye(3), np.zeros(3), focal, size)

    def draw(self, t: int, image: np.ndarray, out: np.ndarray) -> None:
        """Frame t: fill `out`, at least of the shown size; more of it repeats the edges.

        `image` (h, w, 3) uint8 RGB of any size is not changed.
        """
        width, height = self._size
        if image.shape[1::-1] != self._size:
            # Averaging is slow and only needed where rows would be skipped.
            how = cv2.INTER_AREA if height <= 0.6 * image.shape[0] else cv2.INTER_LINEAR
            image = cv2.resize(image, self._size, interpolation=how)
        out[:height, :width] = image
        out[height:, :width] = image[-1:]
        out[:, width:] = out[:, width - 1 : width]
        picture = out[:height, :width]
        keypoints = self._clip.keypoints2d[t] * self._scale
        if self._solid:
            self._draw_solid(t, picture)
        else:
            for p, points in enumerate(keypoints):
                draw_skeleton2d(picture, points, self._clip.scores2d[t, p], trunk=tint(p))
        if len(self._clip.ids) > 1:
            self._draw_ids(picture, keypoints)
        if self._captions:
            drawn = np.isfinite(self._clip.joints_camera[t]).all(-1).any(-1)
            draw_time(picture, self._unit, float(self._clip.times[t]), ground=True)
            draw_notice(picture, self._unit, notice(self._clip.status[t], drawn, self._clip.ids))
            if self._solid:
                draw_legend(picture, self._unit, grid=False, ground=True)

    def _draw_solid(self, t: int, picture: np.ndarray) -> None:
        joints = self._clip.joints_camera[t]
        people = np.flatnonzero(np.isfinite(joints).all(-1).any(-1))
        if len(people):
            draw_figures(
                picture,
                self._camera,
                [joints[p] for p in people],
                [tint(p) for p in people],
                [self._clip.opacity3d[t, p] for p in people],
                OVER_PICTURE,
            )

    def _draw_ids(self, picture: np.ndarray, keypoints: np.ndarray) -> None:
        unit = self._unit
        size = (picture.shape[1], picture.shape[0])
        for p, joints in enumerate(keypoints):
            seen = joints[np.isfinite(joints).all(-1)]
            if len(seen) == 0 or (seen.max(0) < 0).any() or (seen.min(0) > size).any():
                continue
            top = seen[:, 1].min()
            x = joints[HEAD, 0] if np.isfinite(joints[HEAD, 0]) else seen[:, 0].mean()
            tall = round(2.1 * unit)
            y = int(np.clip(top - 2.5 * tall, 2, size[1] - tall - 2))
            draw_label(picture, str(self._clip.ids[p]), round(float(x)), y, unit, tint(p), "centre")
