"""The room that every export shares, and the axes in which each format expects it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.result import PoseResult
from pipeline.world import place_on_floor, usual_step


@dataclass(frozen=True)
class Axes:
    """A right-handed set of axes: what they are in words, and the rotation from the room's."""

    words: str
    rotation: np.ndarray  # (3, 3)

    def turn(self, positions: np.ndarray) -> np.ndarray:
        """Positions or directions (..., 3) in the room's axes to these."""
        return positions @ self.rotation.T


ROOM = Axes("x to the camera's right, y away from the camera, z up from the floor", np.eye(3))
# Who faces the camera faces +z, which is the front of glTF and of most figures made for BVH.
Y_UP = Axes(
    "x to the camera's right, y up from the floor, z towards the camera",
    np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
)
# OpenSim's models look along x and have z at their right.
OPENSIM = Axes(
    "x away from the camera, y up from the floor, z to the camera's right",
    np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]),
)


def room_joints(result: PoseResult, in_place: bool = False) -> np.ndarray:
    """Where the joints are in a room: an estimate, because one camera cannot measure it.

    Parameters
    ----------
    in_place : hold the hip over the origin, so that people move but do not travel; heights stay.
        A person of whom no path is known is held there in any case.

    Returns
    -------
    (F, P, 17, 3) float64 metres in the axes of `ROOM`; NaN where absent.
    """
    room = result.world_joints().astype(np.float64)
    pathless = np.isnan(result.root).all(axis=(0, 2))
    if pathless.any():
        room[:, pathless] = place_on_floor(
            result.joints3d[:, pathless],
            np.zeros_like(result.root[:, pathless]),
            np.array(result.room().up),
            usual_step(result.time_s, result.frame_rate),
        )
    if in_place:
        room[..., :2] -= room[:, :, :1, :2]
    return room
