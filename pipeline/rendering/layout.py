"""How pictures and panels are put together."""

from __future__ import annotations

import cv2
import numpy as np

from lifters3d.skeleton import HEAD

from .palette import tint
from .scene import Scene
from .skeleton2d import draw_skeleton2d
from .text import draw_label

MAX_ROWS = 1080
MIN_ROWS = 360
MAX_COLUMNS = 3840  # H.264 players and encoders give up some way above


def shown_size(picture_size: tuple[int, int]) -> tuple[int, int]:
    """(w, h) px at which a picture is shown.

    Its own, unless it has less than 360 rows or more than 1080, or more than 3840 columns.
    """
    width, height = picture_size
    scale = min(max(height, MIN_ROWS), MAX_ROWS) / height
    scale = min(scale, MAX_COLUMNS / width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _even(n: int) -> int:
    return n + n % 2


class SideBySide:
    """The picture with its 2D skeletons on the left, the 3D panel on the right.

    The panel is as high as the picture and as wide as the picture, but not narrower than three
    quarters of its height nor wider than its height. Codecs want even sizes: an odd picture gets
    its last row or column twice.

    Parameters
    ----------
    keypoints2d : (F, P, 17, 2) px of the original picture, H36M order, NaN where absent
    scores2d : (F, P, 17) 0-1
    joints_world : (F, P, 17, 3) metres, z up, floor z = 0
    status : (F, P) strings of `PoseResult`
    ids : (P,)
    times : (F,) seconds
    picture_size : (w, h) px of the original picture
    viewer : (2,) world x and y of the direction to the camera that filmed, if known

    Attributes
    ----------
    size : (W, H) px of what `draw` returns, both even
    scene : the 3D panel
    """

    def __init__(
        self,
        keypoints2d: np.ndarray,
        scores2d: np.ndarray,
        joints_world: np.ndarray,
        status: np.ndarray,
        ids: np.ndarray,
        times: np.ndarray,
        picture_size: tuple[int, int],
        *,
        viewer: np.ndarray | None = None,
    ) -> None:
        self.picture_size = (int(picture_size[0]), int(picture_size[1]))
        self._shown = shown_size(self.picture_size)
        width, height = _even(self._shown[0]), _even(self._shown[1])
        panel = _even(round(np.clip(width, 0.75 * height, height)))
        self.size = (width + panel, height)
        self._split = width
        self._scale = np.divide(self._shown, self.picture_size)
        self.keypoints = np.asarray(keypoints2d)
        self.scores = np.asarray(scores2d)
        self.ids = np.asarray(ids)
        self.scene = Scene(
            joints_world, (panel, height), times=times, status=status, ids=ids, viewer=viewer
        )

    def draw(self, t: int, image: np.ndarray) -> np.ndarray:
        """Frame t, put together.

        Parameters
        ----------
        t : frame, 0 to F - 1
        image : (h, w, 3) uint8 RGB of `picture_size`; not changed

        Returns
        -------
        (H, W, 3) uint8 RGB, a new array
        """
        if image.shape != (self.picture_size[1], self.picture_size[0], 3):
            raise ValueError(f"image has shape {image.shape}, picture size is {self.picture_size}")
        canvas = np.empty((self.size[1], self.size[0], 3), np.uint8)
        self._draw_picture(t, image, canvas[:, : self._split])
        self.scene.draw(t, out=canvas[:, self._split :])
        return canvas

    def _draw_picture(self, t: int, image: np.ndarray, out: np.ndarray) -> None:
        width, height = self._shown
        if self._shown != self.picture_size:
            # Averaging is slow and only needed where rows would be skipped.
            how = cv2.INTER_AREA if self._scale[1] <= 0.6 else cv2.INTER_LINEAR
            image = cv2.resize(image, self._shown, interpolation=how)
        out[:height, :width] = image
        out[height:, :width] = image[-1:]
        out[:, width:] = out[:, width - 1 : width]
        picture = out[:height, :width]
        for p, keypoints in enumerate(self.keypoints[t] * self._scale):
            draw_skeleton2d(picture, keypoints, self.scores[t, p], trunk=tint(p))
        if len(self.ids) > 1:
            self._draw_ids(picture, self.keypoints[t] * self._scale)

    def _draw_ids(self, picture: np.ndarray, keypoints: np.ndarray) -> None:
        unit = max(7, round(0.0165 * picture.shape[0]))
        size = (picture.shape[1], picture.shape[0])
        for p, joints in enumerate(keypoints):
            seen = joints[np.isfinite(joints).all(-1)]
            if len(seen) == 0 or (seen.max(0) < 0).any() or (seen.min(0) > size).any():
                continue
            top = seen[:, 1].min()
            x = joints[HEAD, 0] if np.isfinite(joints[HEAD, 0]) else seen[:, 0].mean()
            tall = round(2.1 * unit)
            y = int(np.clip(top - 2.5 * tall, 2, size[1] - tall - 2))
            draw_label(picture, str(self.ids[p]), round(float(x)), y, unit, tint(p), "centre")
