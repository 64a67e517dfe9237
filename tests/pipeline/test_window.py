"""The window of the live view, over a stand-in for OpenCV's; and none without a display."""

import cv2
import numpy as np
import pytest

from pipeline.window import Window, check_display
from tests.pipeline.clips import quadrants
from weights.errors import Pose3dError


class Screen:
    """OpenCV's windows: what is shown in them, and what somebody does to them."""

    def __init__(self, monkeypatch):
        self.shown, self.sizes, self.key = {}, {}, -1
        for name in ("namedWindow", "resizeWindow", "imshow", "waitKey"):
            monkeypatch.setattr(cv2, name, getattr(self, name))
        monkeypatch.setattr(cv2, "getWindowProperty", self.property)
        monkeypatch.setattr(cv2, "destroyAllWindows", self.shown.clear)

    def namedWindow(self, name, flags):  # noqa: N802 - OpenCV's
        self.shown[name] = None

    def resizeWindow(self, name, width, height):  # noqa: N802
        self.sizes[name] = width, height

    def imshow(self, name, image):
        self.shown[name] = image

    def waitKey(self, delay):  # noqa: N802
        assert delay == 1
        return self.key

    def property(self, name, which):
        assert which == cv2.WND_PROP_VISIBLE
        return 1.0 if name in self.shown else 0.0


@pytest.fixture
def screen(monkeypatch):
    return Screen(monkeypatch)


def test_window_shows_pictures(screen):
    image = quadrants(640, 480)
    with Window((3200, 1200)) as window:
        assert screen.sizes == {"pose3d live": (1600, 600)}
        window.show(image)
        assert not window.closed()
        # OpenCV takes blue first.
        assert (screen.shown["pose3d live"] == image[..., ::-1]).all()
    assert screen.shown == {}


@pytest.mark.parametrize("key", [ord("q"), ord("Q"), 27])
def test_keys_that_end_it(screen, key):
    with Window((64, 48)) as window:
        window.show(np.zeros((48, 64, 3), np.uint8))
        screen.key = ord("x")
        assert not window.closed()
        screen.key = key
        assert window.closed()


def test_closed_by_its_corner(screen):
    with Window((64, 48)) as window:
        window.show(np.zeros((48, 64, 3), np.uint8))
        screen.shown.clear()
        assert window.closed()


def test_no_display(monkeypatch, capfd):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    with pytest.raises(Pose3dError, match=r"no window can be opened: .* use --serve"):
        check_display()
    assert capfd.readouterr().err == ""
