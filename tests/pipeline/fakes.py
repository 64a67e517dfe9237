"""Quick stand-ins for the slow networks: a 2D detector that knows the answer, a tiny lifter."""

import weakref
from pathlib import Path

import numpy as np
import torch

import lifters3d
from detectors2d.mediapipe import Keypoints
from lifters3d.registry import Convention, save

WALK = Path(__file__).parents[2] / "demos" / "walk.npz"


def walking(index, size):
    """(17, 2) px, COCO order: the man of the demo clip in frame `index`, fitted to the height."""
    if not hasattr(walking, "truth"):
        with np.load(WALK) as truth:
            walking.truth, walking.height = truth["coco2d"][:, 0], truth["size"][1]
    scale = size[1] / walking.height
    return (walking.truth[index % len(walking.truth)] * scale).astype(np.float32)


class FakePose:
    """In place of MediaPipePose: a man who walks, whatever the pictures show.

    absent: frames in which nobody is found, or a function of the frame's number. scores: of all
    joints. place: frame number and picture size to keypoints (17, 2) px.
    """

    def __init__(self, absent=(), scores=0.9, place=walking, on_frame=None):
        self.absent = absent if callable(absent) else set(absent).__contains__
        self.scores = scores
        self.place = place
        self.on_frame = on_frame
        self.shapes = []
        self.closed = False
        self._pictures = []
        self.most_alive = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.closed = True

    def detect(self, image):
        index = len(self.shapes)
        self.shapes.append(image.shape)
        self._pictures = [ref for ref in self._pictures if ref() is not None]
        self._pictures.append(weakref.ref(image))
        self.most_alive = max(self.most_alive, len(self._pictures))
        if self.on_frame is not None:
            self.on_frame(index)
        if self.absent(index):
            return None
        keypoints = self.place(index, (image.shape[1], image.shape[0]))
        scores = np.full(17, self.scores, np.float32)
        return Keypoints(keypoints, scores, np.zeros((33, 3), np.float32))


def save_tiny_lifter(path):
    """A weights file of a lifter that is quick and means nothing. Returns the path."""
    torch.manual_seed(0)
    lifter = lifters3d.build("mixste", frames=9, width=16, depth=1, heads=2)
    lifter.convention = Convention("person", "derived", 30.0)
    save(lifter, "mixste", path, training={})
    return path
