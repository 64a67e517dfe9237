"""What is behind people instead of a panorama: a photograph, or a procedural room."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from detectors2d.training.rendered_people.room import Room
from weights.errors import Pose3dError

_PHOTO_ENDINGS = (".jpg", ".jpeg", ".png")
_NO_PHOTO = 0.35  # share of the pictures without one, where there are photographs
_ROOMS, _NEW_ROOM = 6, 0.2  # how many are kept, and how often one is exchanged for a new one


class Backdrops:
    """Chooses for every picture.

    photos : folder of photographs that show no people, for 65 % of the pictures; None: none
    procedural : share of the other pictures that are set in procedural rooms, 0 to 1
    size : (w, h) px of the pictures
    """

    def __init__(self, photos: Path | None, procedural: float, size: tuple[int, int]) -> None:
        self.procedural = procedural
        self.size = size
        self._photos: list[Path] = []
        self._rooms: list[Room] = []
        if photos is not None:
            files = Path(photos).rglob("*")
            self._photos = sorted(path for path in files if path.suffix.lower() in _PHOTO_ENDINGS)
            if not self._photos:
                raise Pose3dError(f"{photos}: no photographs (.jpg, .png) for backdrops")

    def choose(
        self, points: np.ndarray, camera: np.ndarray, rng: np.random.Generator
    ) -> Room | np.ndarray | None:
        """A room around points (n, 3) m and the camera (3,), a photograph (H, W, 3), or None."""
        if self._photos and rng.random() >= _NO_PHOTO:
            return self._photo(rng)
        if self.procedural and rng.random() < self.procedural:
            return self._room(points, camera, rng)
        return None

    def _photo(self, rng: np.random.Generator) -> np.ndarray | None:
        """A random window of a random photograph; None if it cannot be read."""
        w, h = self.size
        image = cv2.imread(str(self._photos[int(rng.integers(len(self._photos)))]))
        if image is None:
            return None
        rows, columns = image.shape[:2]
        scale = min(columns / w, rows / h) * rng.uniform(0.4, 1.0)
        wide, tall = int(scale * w), int(scale * h)
        x, y = int(rng.integers(columns - wide + 1)), int(rng.integers(rows - tall + 1))
        window = image[y : y + tall, x : x + wide]
        return cv2.resize(window, (w, h), interpolation=cv2.INTER_AREA)[:, :, ::-1]

    def _room(self, points: np.ndarray, camera: np.ndarray, rng: np.random.Generator) -> Room:
        if len(self._rooms) < _ROOMS:
            self._rooms.append(Room(rng))
            room = self._rooms[-1]
        else:
            k = int(rng.integers(_ROOMS))
            if rng.random() < _NEW_ROOM:
                self._rooms[k].release()
                self._rooms[k] = Room(rng)
            room = self._rooms[k]
        room.place(points, camera, rng)
        return room
