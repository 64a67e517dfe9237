"""Procedural rooms and courts: boxes of sharp surfaces around people and camera.

Panoramas are soft behind people who are sharp: a network can learn that sharp means person. These
surroundings are as sharp as people, obey the same camera, light and shadows, and are cluttered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from detectors2d.training.rendered_people.surfaces import SIDE, ceiling, floor, wall

if TYPE_CHECKING:
    import moderngl

_FLOOR, _WALLS, _CEILING = 0, (1, 2, 3, 4), 5


class Room:
    """Random surfaces, which ``place`` puts around what a picture shows.

    Attributes
    ----------
    surfaces : (6, SIDE, SIDE, 3) uint8 RGB: floor, the walls at -x, +x, -y and +y, ceiling; row 0
        is at the bottom
    metres : (6,) m, the side of each surface's square
    ceiling : False for a court, which has sky above its walls
    texture : the surfaces on the GPU, once drawn
    turn : (2, 2), from the world's x, y to the room's
    walls : (4,) m where the walls are on the room's axes: -x, +x, -y, +y
    height : m, of the walls
    """

    def __init__(self, rng: np.random.Generator) -> None:
        outdoors = rng.random() < 0.35
        self.ceiling = not outdoors
        self.metres = rng.uniform(2.0, 5.0, 6)
        if outdoors:
            self.metres[list(_WALLS)] = rng.uniform(2.5, 9.0, 4)
        scales = SIDE / self.metres
        surfaces = [floor(scales[_FLOOR], rng, outdoors)]
        surfaces += [wall(scales[i], rng, outdoors) for i in _WALLS]
        surfaces += [surfaces[0] if outdoors else ceiling(scales[_CEILING], rng)]
        self.surfaces = np.ascontiguousarray(np.stack(surfaces)[:, ::-1])
        self.texture: moderngl.TextureArray | None = None
        self._least_height = rng.uniform(2.5, 9.0) if outdoors else rng.uniform(2.3, 3.6)

    def place(self, points: np.ndarray, camera: np.ndarray, rng: np.random.Generator) -> None:
        """Turn the room at random and put the walls around points (n, 3) m and the camera (3,)."""
        yaw = rng.uniform(0, 2 * np.pi)
        cosine, sine = np.cos(yaw), np.sin(yaw)
        self.turn = np.array([[cosine, sine], [-sine, cosine]])
        inside = np.concatenate([points, camera[None]])[:, :2] @ self.turn.T
        gaps = np.exp(rng.uniform(np.log(0.3), np.log(6.0), (2, 2)))
        low, high = inside.min(0) - gaps[0], inside.max(0) + gaps[1]
        self.walls = np.array([low[0], high[0], low[1], high[1]])
        self.height = max(self._least_height, max(points[:, 2].max(), camera[2]) + 0.3)

    def release(self) -> None:
        """Free the GPU's copy of the surfaces."""
        if self.texture is not None:
            self.texture.release()
            self.texture = None
