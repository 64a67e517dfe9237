"""People to draw, whose every coordinate is known, as a clip or as a result."""

from fractions import Fraction

import numpy as np

from pipeline.rendering import Clip
from pipeline.result import PoseResult

# A standing person who faces -y, towards the camera, so the left side is at +x; arms held out.
# H36M-17 order, metres, z up.
STANDING = np.array(
    [
        [0, 0, 0.95],
        [-0.13, 0, 0.95],
        [-0.16, -0.02, 0.50],
        [-0.18, 0, 0.09],
        [0.13, 0, 0.95],
        [0.16, -0.02, 0.50],
        [0.18, 0, 0.09],
        [0, 0, 1.20],
        [0, 0, 1.45],
        [0, -0.05, 1.56],
        [0, -0.02, 1.68],
        [0.18, 0, 1.42],
        [0.42, 0, 1.30],
        [0.66, 0, 1.20],
        [-0.18, 0, 1.42],
        [-0.42, 0, 1.30],
        [-0.66, 0, 1.20],
    ]
)
DISTANCE, EYE = 5.0, 1.0  # metres from the camera to the person, and of the camera above the floor


def walk(frames: int = 20, stride: float = 2.0) -> np.ndarray:
    """(F, 1, 17, 3) metres, world: the standing person slides along x."""
    return STANDING + np.linspace(0, stride, frames)[:, None, None, None] * [1, 0, 0]


def in_camera(world: np.ndarray) -> np.ndarray:
    """World (x right, y away, z up) to the axes of a level camera (x right, y down, z away)."""
    x, y, z = np.moveaxis(world, -1, 0)
    return np.stack([x, EYE - z, y + DISTANCE], -1)


def pictured(camera: np.ndarray, size: tuple[int, int], focal: float) -> np.ndarray:
    """Joints in camera axes to px."""
    return camera[..., :2] / camera[..., 2:] * focal + np.divide(size, 2)


def clip_of_joints(
    world: np.ndarray,
    size: tuple[int, int] = (640, 480),
    *,
    keypoints: np.ndarray | None = None,
    score: float = 0.9,
    opacity: float = 1.0,
    status: str | np.ndarray = "ok",
    times: np.ndarray | None = None,
) -> Clip:
    """Joints (F, P, 17, 3) metres, world, as a clip filmed by a camera in front of them."""
    frames, people = world.shape[:2]
    camera, focal = in_camera(world), 0.9 * max(size)
    return Clip(
        keypoints2d=pictured(camera, size, focal) if keypoints is None else keypoints,
        scores2d=np.full((frames, people, 17), score),
        joints_camera=camera,
        joints_world=world,
        opacity3d=np.full((frames, people, 17), opacity),
        status=np.broadcast_to(status, (frames, people)),
        ids=np.arange(1, people + 1),
        times=np.arange(frames) / 25 if times is None else times,
        picture_size=size,
        focal=focal,
    )


def result_of_joints(
    world: np.ndarray,
    size: tuple[int, int] = (640, 480),
    *,
    times: np.ndarray | None = None,
    rate: Fraction = Fraction(30),
    source: dict | None = None,
    start: float | None = None,
    end: float | None = None,
) -> PoseResult:
    """Joints (F, P, 17, 3) metres, world, as the result of a video."""
    frames, people = world.shape[:2]
    camera, focal = in_camera(world), 0.9 * max(size)
    root = camera[:, :, 0]
    return PoseResult(
        time_s=np.arange(frames) / float(rate) if times is None else times,
        ids=np.arange(1, people + 1),
        keypoints2d=pictured(camera, size, focal),
        scores2d=np.full((frames, people, 17), 0.9),
        joints3d=camera - root[:, :, None],
        root=root,
        uncertainty=np.full((frames, people, 17), np.nan),
        status=np.full((frames, people), "ok"),
        picture_size=size,
        frame_rate=rate,
        provenance={
            "settings": {"start": start, "end": end},
            "focal_px": focal,
            **({} if source is None else {"input": source}),
        },
    )


def pixel_at(image: np.ndarray, place: np.ndarray) -> np.ndarray:
    return image[int(np.floor(place[1])), int(np.floor(place[0]))]


def changed(image: np.ndarray, before: np.ndarray) -> np.ndarray:
    return (image != before).any(-1)


def like(pixel: np.ndarray, colour: tuple) -> float:
    """Cosine of the angle between a pixel and a colour, brightness left out."""
    pixel = np.asarray(pixel, float)
    return float(pixel @ colour / np.linalg.norm(pixel) / np.linalg.norm(colour))
