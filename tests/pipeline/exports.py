"""Results of which every number is known, for exports: people before a level camera."""

from fractions import Fraction

import numpy as np

from lifters3d.skeleton import PARENTS
from pipeline.result import PoseResult
from pipeline.world import World
from tests.lifters3d.walkers import ANKLE, BONES

CAMERA_HEIGHT, DISTANCE = 1.4, 5.0  # metres; the camera looks along y
ELBOW = 0.8  # radians: flexion of the prowler's elbows


def prowler(time_s, heading=0.0, speed=1.2):
    """A walk with bent knees from the origin: (F, 17, 3) metres, z up, lower foot on the floor.

    Looks and goes along x, turned by `heading` radians towards y; left is then at +y.
    """
    time_s = np.asarray(time_s, float)
    pitch = np.zeros((len(time_s), 17))
    pitch[:, 2], pitch[:, 5] = 0.5 + 0.3 * np.sin(5 * time_s), 0.5 - 0.3 * np.sin(5 * time_s)
    pitch[:, [3, 6]] = pitch[:, [2, 5]] - knees(time_s).T
    pitch[:, 12], pitch[:, 15] = -0.4 * np.sin(5 * time_s), 0.4 * np.sin(5 * time_s)
    pitch[:, [13, 16]] = pitch[:, [12, 15]] + ELBOW
    x, y, z = BONES.T
    cos, sin = np.cos(pitch), np.sin(pitch)
    bones = np.stack([cos * x - sin * z, np.broadcast_to(y, pitch.shape), sin * x + cos * z], -1)
    poses = np.zeros((len(time_s), 17, 3))
    for joint in range(1, 17):
        poses[:, joint] = poses[:, PARENTS[joint]] + bones[:, joint]
    poses[..., 2] += ANKLE - poses[:, [3, 6], 2].min(axis=1)[:, None]
    poses[..., 0] += speed * time_s[:, None]
    cos, sin = np.cos(heading), np.sin(heading)
    return poses @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]).T


def knees(time_s):
    """Flexion of the prowler's right and left knee, radians: (2, F)."""
    return 0.9 + 0.3 * np.stack([np.cos(5 * time_s), -np.cos(5 * time_s)])


def filmed(people, *, time_s=None, rate=30, absent=(), ids=None, **changes):
    """A PoseResult of people (P, F, 17, 3) metres: x to the camera's right, y away, z up.

    absent: pairs (place of the person, frames) where nothing is known.
    """
    world = np.stack(people, axis=1).astype(float)
    frames, count = world.shape[:2]
    camera = np.stack(
        [world[..., 0], CAMERA_HEIGHT - world[..., 2], world[..., 1] + DISTANCE], axis=-1
    )
    status = np.full((frames, count), "ok", "<U14")
    for place, gone in absent:
        camera[list(gone), place] = np.nan
        status[list(gone), place] = "not_visible"
    root = camera[:, :, 0]
    seen = np.isfinite(camera[..., 0])
    values = {
        "time_s": np.arange(frames) / float(Fraction(rate)) if time_s is None else time_s,
        "ids": np.arange(count) + 1 if ids is None else ids,
        "keypoints2d": 1000 * camera[..., :2] / camera[..., 2:] + 500,
        "scores2d": np.where(seen, 0.75, np.nan),
        "joints3d": camera - root[:, :, None],
        "root": root,
        "uncertainty": np.where(seen, 0.0625, np.nan),
        "status": status,
        "picture_size": (1000, 1000),
        "frame_rate": Fraction(rate),
        "world": World((0, -1, 0), CAMERA_HEIGHT, "level", (1,) * count),  # as it is
    }
    return PoseResult(**{**values, **changes})


def room(person):
    """Where `filmed` people are in the room, whose origin is under the camera: (..., 3)."""
    return person + np.array([0, DISTANCE, 0])
