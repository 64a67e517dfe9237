"""One person's box from MediaPipe Pose's joints: quick on a CPU, and needs no weights file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detectors2d.mediapipe import MediaPipePose
from detectors2d.people.protocol import NOBODY, Found

# A body reaches beyond its joints: the top of the head is 0.1 of the height above the eyes, hands
# and feet about as much beyond wrists and ankles.
MARGIN = 0.1


class MediaPipePeople:
    """The one person whom ``MediaPipePose`` follows through the pictures of a video."""

    def __init__(self) -> None:
        self.pose = MediaPipePose()

    def detect(self, images: Sequence[np.ndarray]) -> list[Found]:
        """See ``People``; the score is the mean of the joints'."""
        results = []
        for image in images:
            found = self.pose.detect(image)
            results.append(_box(found.keypoints, found.scores, image.shape) if found else NOBODY)
        return results


def box_around(keypoints: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """The box (4,) xyxy px of the body with joints (n, 2) px in a picture of ``size`` = (w, h) px.

    Within the picture: without extent where all joints are outside.
    """
    low, high = keypoints.min(0), keypoints.max(0)
    margin = MARGIN * (high - low).max()
    return np.stack([low - margin, high + margin]).clip(0, size).ravel()


def _box(keypoints: np.ndarray, scores: np.ndarray, shape: Sequence[int]) -> Found:
    """The box around joints (17, 2) px in a picture of ``shape`` = (H, W, ...), within it."""
    box = box_around(keypoints, (shape[1], shape[0]))
    if not (box[:2] < box[2:]).all():  # all joints are outside
        return NOBODY
    return box[None].astype(np.float32), np.array([scores.mean()], np.float32)
