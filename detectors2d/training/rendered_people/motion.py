"""Captured motions: a few frames of a take, and poses made more various than capture is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from detectors2d.training.rendered_people.assets import Assets
from detectors2d.training.rendered_people.rotations import axis_rotation, from_quaternions

SIDES = ("Left", "Right")
PARENTS: dict[str, str | None] = {
    "Hips": None,
    "LowerBack": "Hips",
    "Spine": "LowerBack",
    "Spine1": "Spine",
    "Neck": "Spine1",
    "Neck1": "Neck",
    "Head": "Neck1",
}
for _side in SIDES:
    PARENTS |= {
        _side + "Shoulder": "Spine1",
        _side + "Arm": _side + "Shoulder",
        _side + "ForeArm": _side + "Arm",
        _side + "FingerBase": _side + "ForeArm",
        _side + "UpLeg": "Hips",
        _side + "Leg": _side + "UpLeg",
        _side + "Foot": _side + "Leg",
        _side + "ToeBase": _side + "Foot",
    }


@dataclass
class Motion:
    """T poses of the 23 bones of the CMU rig; axes as of ``body``: y up, +z ahead, +x left."""

    index: dict[str, int]  # of each bone's name
    rotations: np.ndarray  # (T, 23, 3, 3) global, from the T-pose
    root: np.ndarray  # (T, 3) m, of the hips
    offsets: np.ndarray  # (23, 3) m, each bone from its parent, in the T-pose
    leg: float  # m, thigh and shin
    soles: dict[str, np.ndarray]  # of each side (3,): up for a foot that stands flat
    clavicles: dict[str, np.ndarray]  # of each side (3, 3): the shoulder's mean against the chest
    elbows: dict[str, np.ndarray]  # of each side (3,): axis of the elbow's hinge in the T-pose


def take_length(assets: Assets, take: str) -> int:
    """How many frames a take has."""
    return len(assets.arrays("motions.npz")[f"{take}/root"])


def load_motion(assets: Assets, take: str, frames: np.ndarray) -> Motion:
    """Some frames, by their indices (T,), of a take of ``assets.takes``."""
    arrays = assets.arrays("motions.npz")

    def of_sides(values: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(SIDES, values.astype(np.float64), strict=True))

    return Motion(
        index={str(bone): i for i, bone in enumerate(arrays["bones"])},
        rotations=from_quaternions(arrays[f"{take}/q"][frames]),
        root=arrays[f"{take}/root"][frames].astype(np.float64),
        offsets=arrays[f"{take}/off"].astype(np.float64),
        leg=float(arrays[f"{take}/leg"]),
        soles=of_sides(arrays[f"{take}/sole"]),
        clavicles=of_sides(arrays["calib_clavicle"]),
        elbows=of_sides(arrays["calib_elbow_axis"]),
    )


def varied(motion: Motion, rng: np.random.Generator) -> np.ndarray:
    """The rotations (T, 23, 3, 3) of a motion, each frame changed at random on its own.

    Squats and seats, kicks and raised knees, turned limbs, leaning, falling, lying: what training
    sees too little of in captured walks and dances. Limbs are not kept from passing through the
    body.
    """
    index = motion.index
    local = np.tile(np.eye(3), (len(motion.rotations), len(index), 1, 1))
    for bone, parent in PARENTS.items():
        turns = motion.rotations[:, index[bone]]
        if parent is not None:
            turns = np.swapaxes(motion.rotations[:, index[parent]], -1, -2) @ turns
        local[:, index[bone]] = turns
    added = np.tile(np.eye(3), (*local.shape[:2], 1, 1))
    for frame in range(len(local)):
        _vary_frame(motion, local[frame], added[frame], rng)

    rotations = motion.rotations.copy()
    for bone, parent in PARENTS.items():
        turns = local[:, index[bone]] @ added[:, index[bone]]
        if parent is not None:
            turns = rotations[:, index[parent]] @ turns
        rotations[:, index[bone]] = turns
    return rotations


def _vary_frame(
    motion: Motion, local: np.ndarray, added: np.ndarray, rng: np.random.Generator
) -> None:
    """Turn the bones of one pose: ``added`` (23, 3, 3) on top of ``local`` (23, 3, 3), in place."""
    index = motion.index

    def turn(bone: str, axis: ArrayLike, degrees: float) -> None:
        i = index[bone]
        added[i] = added[i] @ axis_rotation(axis, np.radians(degrees))

    def bend(side: str, hip: float, knee: float, foot: float) -> None:
        turn(side + "UpLeg", [1, 0, 0], -hip)
        turn(side + "Leg", [1, 0, 0], knee)
        turn(side + "Foot", [1, 0, 0], foot)

    if rng.random() < 0.35:  # squat or seat
        hip = rng.uniform(15, 105)
        knee = hip + rng.uniform(-10, 25)
        for side, outwards in zip(SIDES, (1, -1), strict=True):
            hip_here, knee_here = hip + rng.normal(0, 6), max(0, knee + rng.normal(0, 6))
            turn(side + "UpLeg", [0, 0, 1], outwards * rng.uniform(0, 18))
            bend(side, hip_here, knee_here, np.clip(hip_here - knee_here, -25, 25))
        turn("LowerBack", [1, 0, 0], rng.uniform(-5, 0.45 * hip))
    elif rng.random() < 0.3:  # kick, lunge, raised knee
        side = SIDES[int(rng.integers(2))]
        turn(side + "UpLeg", [0, 0, 1], (1 if side == "Left" else -1) * rng.uniform(-5, 35))
        bend(side, rng.uniform(-25, 90), rng.uniform(0, 100), rng.uniform(-20, 15))
    for side in SIDES:
        if rng.random() < 0.55:
            turn(side + "Arm", rng.normal(size=3), np.clip(rng.normal(0, 40), -90, 90))
            if rng.random() < 0.5:
                trace = np.trace(local[index[side + "ForeArm"]])
                now = np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
                more = rng.uniform(-0.7 * now, max(0, 125 - now))
                turn(side + "ForeArm", motion.elbows[side], more)
    if rng.random() < 0.4:
        turn("Spine", rng.normal(size=3), rng.normal(0, 12))
        turn("LowerBack", rng.normal(size=3), rng.normal(0, 10))
    if rng.random() < 0.6:
        turn("Neck", rng.normal(size=3), rng.normal(0, 14))
        turn("Head", [0, 1, 0], rng.normal(0, 22))
    if rng.random() < 0.10:  # leaning, falling, lying
        direction = rng.uniform(0, 2 * np.pi)
        axis = [np.cos(direction), 0, np.sin(direction)]
        tilt = axis_rotation(axis, np.radians(rng.uniform(20, 110)))
        local[index["Hips"]] = tilt @ local[index["Hips"]]
