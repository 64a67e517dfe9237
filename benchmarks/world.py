"""The room, the path, the feet and the bones against clips with exact ground truth.

    python -m benchmarks.world CLIP.mp4 [MORE.mp4 ...] [--lifter mixste]

Beside each clip lies NAME.npz with the truth in a world with z up and the floor at z = 0 (``K``,
``R``, ``t``, ``joints3d_world``, ``joints2d``, ``coco2d``, ``coco_visible``, ``heights``, ``fps``,
``size``). Every clip is measured with the 2D that the program finds and with the true 2D, and with
the guessed and the true focal length. One row a person; of a person found only the frames count
whose 2D is of the same true person.

up: degrees between the true and the estimated way up. camera: error of its height above the floor,
cm. z: distance over the true one. path: root mean square error of the root's path after the best
similarity, mm a metre walked. slide: how far a foot moves while it is truly planted, mean of the
contacts, mm: in the truth / found / with locked feet. wobble: standard deviation of the lengths of
legs and of arms, % of them. MPJPE, P-MPJPE and MPJVE (mm, mm a frame) as found and with constant
bones. scale: error of the best scale, %, as found and with the true height given.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

import lifters3d
from lifters3d.evaluation.metrics import align_similarity, mpjpe, mpjve, p_mpjpe
from lifters3d.skeleton import PARENTS
from pipeline.bones import constant_bones, height_scale
from pipeline.cleaning import segments
from pipeline.contacts import ANKLES, lock_feet
from pipeline.detection import Person, detect
from pipeline.joints import coco_to_h36m
from pipeline.process import lift_people
from pipeline.progress import Silence
from pipeline.settings import Settings
from pipeline.video import VideoReader
from pipeline.world import estimate_world, usual_step

# Ankles that are truly planted: slower than this, m/s, and lower than this above their lowest, m.
PLANTED_SPEED, PLANTED_HEIGHT = 0.4, 0.06
SHORTEST = 4  # frames
SAME_PERSON = 0.06  # of the picture's height
BONES = {"legs": (2, 3, 5, 6), "arms": (12, 13, 15, 16)}


@dataclass(frozen=True)
class Truth:
    """Of one person: camera (F, 17, 3) m, keypoints (F, 17, 2) px, planted (F, 2), height m."""

    camera: np.ndarray
    keypoints: np.ndarray
    planted: np.ndarray
    height: float


def truths(archive: dict[str, np.ndarray]) -> list[Truth]:
    people = []
    for person, height in enumerate(archive["heights"]):
        world = archive["joints3d_world"][:, person].astype(np.float64)
        ankles = world[:, ANKLES]
        speed = np.linalg.norm(np.gradient(ankles, axis=0), axis=-1) * float(archive["fps"])
        low = ankles[..., 2] < np.percentile(ankles[..., 2], 10) + PLANTED_HEIGHT
        camera = np.einsum("tij,tkj->tki", archive["R"], world) + archive["t"][:, None]
        planted = (speed < PLANTED_SPEED) & low
        people.append(Truth(camera, archive["joints2d"][:, person], planted, float(height)))
    return people


def slide(ankles: np.ndarray, planted: np.ndarray, up: np.ndarray, usable: np.ndarray) -> float:
    """Mean over contacts of the largest distance along the floor between two places, mm."""
    along = ankles - (ankles @ up)[..., None] * up
    extents = []
    for foot in range(2):
        for start, stop in segments(planted[:, foot] & usable):
            if stop - start >= SHORTEST:
                own = along[start:stop, foot]
                extents.append(np.linalg.norm(own[:, None] - own[None], axis=-1).max())
    return 1000 * float(np.mean(extents))


def wobble(joints: np.ndarray, bones: tuple[int, ...]) -> float:
    """Percent."""
    lengths = np.linalg.norm(joints - joints[:, list(PARENTS)], axis=-1)[:, list(bones)]
    return 100 * float((lengths.std(axis=0) / lengths.mean(axis=0)).mean())


def errors(joints: np.ndarray, target: np.ndarray) -> str:
    p, t = 1000 * joints.astype(np.float64), 1000 * target
    return f"{mpjpe(p, t):.1f}/{p_mpjpe(p, t):.1f}/{mpjve(p, t):.1f}"


def measure(result, person: int, truth: Truth, up: np.ndarray, camera_height: float) -> str:
    """One row."""
    joints, root = result.joints3d[:, person], result.root[:, person].astype(np.float64)
    away = np.median(np.linalg.norm(result.keypoints2d[:, person] - truth.keypoints, axis=-1), 1)
    usable = np.isfinite(joints).all(axis=(1, 2)) & (away < SAME_PERSON * result.picture_size[1])
    step_s = usual_step(result.time_s, result.frame_rate)
    world, contacts = estimate_world(result.joints3d, result.root, step_s)
    found_up = np.array(world.up)
    locked = lock_feet(
        result.joints3d, result.root, contacts, found_up, -world.camera_height, step_s
    )[:, person]

    target = (truth.camera - truth.camera[:, :1])[usable]
    path = truth.camera[usable, 0]
    aligned = align_similarity(root[usable], path)
    drift = math.sqrt(((aligned - path) ** 2).sum(axis=-1).mean())
    walked = np.linalg.norm(np.diff(path, axis=0), axis=-1).sum()
    feet = joints[:, ANKLES].astype(np.float64)
    slides = [
        slide(truth.camera[:, ANKLES], truth.planted, up, usable),
        slide(feet + root[:, None], truth.planted, up, usable),
        slide(feet + locked[:, None], truth.planted, up, usable),
    ]
    steady = constant_bones(
        joints, result.keypoints2d[:, person], result.provenance["focal_px"], result.picture_size
    )
    own = joints[usable].astype(np.float64)
    best = (own * target).sum() / (own**2).sum()
    given = height_scale(joints, truth.height)
    angle = math.degrees(math.acos(min(1.0, float(found_up @ up))))
    cells = [
        f"{angle:.1f}",
        world.method,
        f"{100 * (world.camera_height - camera_height):+.0f}",
        f"{np.median(root[usable, 2] / path[:, 2]):.2f}",
        f"{1000 * drift / walked:.0f}",
        "/".join(f"{value:.0f}" for value in slides),
        "/".join(f"{wobble(joints[usable], bones):.1f}" for bones in BONES.values()),
        errors(joints[usable], target),
        errors(steady[usable], target),
        f"{100 * (1 - best):+.1f}",
        f"{100 * (given / best - 1):+.1f}",
    ]
    return " | ".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--lifter", default="mixste")
    given = parser.parse_args()
    lifter = lifters3d.load(given.lifter)
    names = "up | by | camera | z | path | slide | wobble | as found | constant | scale | height"
    print(f"clip | {names}", flush=True)
    for clip in given.clips:
        with np.load(clip.with_suffix(".npz")) as file:
            archive = dict(file)
        people = truths(archive)
        up = archive["R"][:, :, 2].mean(axis=0)
        up /= np.linalg.norm(up)
        camera_height = -float((archive["R"][0].T @ archive["t"][0])[2])
        width, height = map(int, archive["size"])
        fov = math.degrees(2 * math.atan(width / 2 / archive["K"][0, 0]))
        detections = detect(VideoReader(clip), Settings(), Silence())
        exact = []
        for person in range(len(people)):
            scores = np.where(archive["coco_visible"][:, person], 1.0, 0.5)
            exact.append(Person(person + 1, *coco_to_h36m(archive["coco2d"][:, person], scores)))
        for source, found in (("found", detections.people), ("true", exact)):
            for focal, degrees in (("guess", None), ("true", fov)):
                result = lift_people(
                    found,
                    detections.time_s,
                    (width, height),
                    Fraction(str(archive["fps"])).limit_denominator(1001),
                    lifter,
                    Settings(fov=degrees),
                    Silence(),
                    source={},
                    weights={},
                    warnings=[],
                )
                for person in range(result.people):
                    away = [
                        np.nanmedian(np.abs(result.keypoints2d[:, person] - truth.keypoints))
                        for truth in people
                    ]
                    truth = people[int(np.argmin(away))]
                    row = measure(result, person, truth, up, camera_height)
                    label = f"{clip.stem} {truth.height:.2f} m, {source} 2D, {focal} focal"
                    print(f"{label} | {row}", flush=True)


if __name__ == "__main__":
    main()
