"""A window that shows pictures as they come (OpenCV's)."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np

from weights.errors import Pose3dError

TITLE = "pose3d live"
KEYS = (ord("q"), ord("Q"), 27)  # 27 is Esc
# Of a new window, px; it may be drawn larger.
LARGEST = 1600
TRIAL = "import cv2; cv2.namedWindow('pose3d'); cv2.waitKey(1); cv2.destroyAllWindows()"


def check_display() -> None:
    """Raise Pose3dError if there is no display, or an OpenCV without windows."""
    # Without a display, Qt ends the whole process: another one has to try.
    trial = subprocess.run([sys.executable, "-c", TRIAL], capture_output=True, check=False)
    if trial.returncode:
        raise Pose3dError(
            "no window can be opened: there is no display, or OpenCV is opencv-python-headless; "
            "use --serve, and open the page that it names"
        )


class Window:
    """Shows the newest picture until the block ends; for the main thread alone.

    Parameters
    ----------
    size : width and height of the pictures, px
    """

    def __init__(self, size: tuple[int, int]) -> None:
        part = min(1.0, LARGEST / size[0])
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.resizeWindow(TITLE, round(size[0] * part), round(size[1] * part))

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *_: object) -> None:
        cv2.destroyAllWindows()
        cv2.waitKey(1)  # it goes when its events are seen to

    def show(self, image: np.ndarray) -> None:
        """The newest picture, (H, W, 3) uint8 RGB; it is there when ``closed`` was asked."""
        cv2.imshow(TITLE, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def closed(self) -> bool:
        """See to the window's events; whether it was closed, or q or Esc pressed."""
        pressed = cv2.waitKey(1) & 0xFF
        return pressed in KEYS or cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1
