"""What every detector of people takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

Found = tuple[np.ndarray, np.ndarray]
NOBODY: Found = (np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


class People(Protocol):
    def detect(self, images: Sequence[np.ndarray]) -> list[Found]:
        """The people in the next pictures of one video.

        Parameters
        ----------
        images : (H, W, 3) uint8 RGB each, upright, of any sizes; they are worked on together as
            far as the detector can

        Returns
        -------
        For every picture boxes (n, 4) float32 px, left, top, right, bottom, and scores (n,) float32
        in [0, 1]. Detectors give weak boxes too; whoever follows people over time decides.
        """
        ...


def check_images(images: Sequence[np.ndarray]) -> None:
    """Raises ValueError unless every picture is (H, W, 3) uint8."""
    for image in images:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"images must be (H, W, 3) uint8, not {image.shape} {image.dtype}")
