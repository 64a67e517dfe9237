"""A video from end to end: two streaming passes, decode -> 2D, then (lifted) decode -> draw."""

from __future__ import annotations

import math
import os
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

import lifters3d
from lifters3d.skeleton import HIP, LIMB_JOINTS
from pipeline.bones import constant_bones, height_scale
from pipeline.cleaning import fill_gaps, fill_joints, segments
from pipeline.compute import choose_device, choose_precision
from pipeline.contacts import lock_feet
from pipeline.detection import Detections, Person, detect
from pipeline.lifting import check_joints, focal_length, lift_sequences
from pipeline.missing import complete_poses
from pipeline.progress import Progress, Silence
from pipeline.rendering.video import render_video
from pipeline.result import PoseResult, as_path
from pipeline.settings import Settings
from pipeline.sides import repair_sides
from pipeline.smoothing import remove_outliers, smooth
from pipeline.tracking import split_at_jumps
from pipeline.uncertainty import expected_errors
from pipeline.video import VideoReader
from pipeline.world import World, estimate_world, root_path, usual_step
from weights.errors import Pose3dError
from weights.files import in_unicode, sha256

# Below this mean score of the limb joints a frame is marked low_confidence.
LOW_CONFIDENCE = 0.35
# Fewer frames show too little movement to tell left from right.
FEWEST_TO_REPAIR = 5


def estimate(
    path: str | Path, settings: Settings | None = None, progress: Progress | None = None
) -> PoseResult:
    """Everything but the rendering: 2D, tracks, 3D joints and the root's path of a video.

    Raises Pose3dError for whatever the user can mend, before the long work where possible.
    """
    settings = settings or Settings()
    progress = progress or Silence()
    lifter = open_lifter(settings)  # what is wrong with it is told before the long work
    found = first_pass(path, settings, progress)
    return lift(found, identify(path), lifter, settings, progress)


def open_lifter(settings: Settings) -> torch.nn.Module:
    """The lifter of the settings, on their device; Pose3dError if it, or that, is not usable."""
    device = choose_device(settings.device)
    choose_precision(settings.precision, device)
    lifter = lifters3d.load(settings.lifter).to(device)
    check_joints(lifter)
    return lifter


def first_pass(
    path: str | Path,
    settings: Settings,
    progress: Progress,
    top_down: tuple | None = None,
) -> Detections:
    """Decode a video and find the people in it; ``top_down`` as in ``detect``."""
    path = as_path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise Pose3dError(f"{path} is a pipe or a device; a video is read twice: give a file")
    return detect(VideoReader(path, settings.start, settings.end), settings, progress, top_down)


@dataclass(frozen=True)
class Outcome:
    """What ``process_video`` made, and where it is (``video`` is None without rendering)."""

    result: PoseResult
    result_path: Path
    video_path: Path | None


def process_video(
    path: str | Path,
    folder: str | Path,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Estimate, save ``<name>_pose3d.npz`` in ``folder`` and render ``<name>_pose3d.mp4`` there.

    Each file appears when it is whole; the result is saved before rendering begins.
    """
    settings = settings or Settings()
    progress = progress or Silence()
    path, folder = Path(path), Path(folder)
    result_path = folder / f"{path.stem}_pose3d.npz"
    video_path = folder / f"{path.stem}_pose3d.mp4"
    check_targets(path, folder, [result_path, video_path] if settings.render else [result_path])
    result = estimate(path, settings, progress)
    make_folder(folder)
    result.save(result_path)
    if not settings.render:
        return Outcome(result, result_path, None)
    render_video(result, path, video_path, progress, settings.layout, settings.orbit)
    return Outcome(result, result_path, video_path)


def lift(
    found: Detections,
    source: dict,
    lifter: torch.nn.Module,
    settings: Settings,
    progress: Progress,
) -> PoseResult:
    """Detections in a video, which ``source`` identifies, to the result."""
    return lift_people(
        found.people,
        found.time_s,
        found.size,
        found.frame_rate,
        lifter,
        settings,
        progress,
        source=source,
        weights=found.weights,
        warnings=found.warnings,
    )


def lift_people(
    people: list[Person],
    time_s: np.ndarray,
    size: tuple[int, int],
    frame_rate: Fraction,
    lifter: torch.nn.Module,
    settings: Settings,
    progress: Progress,
    *,
    source: dict,
    weights: dict[str, dict[str, str]],
    warnings: list[str],
) -> PoseResult:
    """Keypoints of one or more people to the result: gaps bridged, unbroken stretches lifted.

    ``time_s`` (F,) seconds; ``size`` width and height of the pictures, px; ``source`` the input's
    identity; ``weights`` by which networks the keypoints were found, by their task.
    """
    count = len(time_s)
    progress.stage("3D lifting", count * len(people))
    tracks = [_bridge(person, time_s, settings) for person in people]
    lifted = lift_sequences(
        lifter,
        [(track.keypoints[part], time_s[part]) for track in tracks for part in track.places],
        size,
        fov_degrees=settings.fov,
        flip_average=settings.flip,
        causal=settings.causal,
        precision=settings.precision,
        done=progress.advance,
    )
    joints3d = np.full((count, len(people), 17, 3), np.nan, np.float32)
    places = [(part, place) for place, track in enumerate(tracks) for part in track.places]
    doubt = np.full((count, len(people), 17, 2), np.nan, np.float32)
    for place, found in zip(places, lifted, strict=True):
        joints3d[place] = smooth(found.joints, time_s[place[0]], settings.smoothing)
        doubt[place] = found.doubt
    progress.advance(int(np.isnan(joints3d[:, :, 0, 0]).sum()))

    step_s = usual_step(time_s, frame_rate)
    focal = focal_length(size, settings.fov)
    roots = [
        root_path(
            joints3d[:, place],
            _with_hip(track.keypoints),
            track.scores,
            focal,
            size,
            # What is usual is known at the end only.
            float(1 / frame_rate) if settings.causal else step_s,
            cuts=[part.start for part in track.places],
            causal=settings.causal,
        )
        for place, track in enumerate(tracks)
    ]
    unsure = [
        expected_errors(
            joints3d[:, place],
            track.keypoints,
            roots[place],
            doubt[:, place],
            focal,
            size,
            settings.causal,
            lifter.weights_identity["name"],
        )
        for place, track in enumerate(tracks)
    ]
    joints3d, root, unsure, world = _placed(
        joints3d,
        np.stack(roots, axis=1),
        np.stack(unsure, axis=1),
        [_with_hip(track.keypoints) for track in tracks],
        focal,
        size,
        step_s,
        settings,
    )
    warnings = list(warnings)
    if not any(track.places for track in tracks):
        warnings.append("no person was found in any frame")
    for person, track in zip(people, tracks, strict=True):
        if track.cuts:
            listed = ", ".join(f"{time:.2f}" for time in track.cuts[:8])
            warnings.append(
                ("" if len(people) == 1 else f"person {person.id}: ")
                + "the person followed may be another one, or the recording jumps, at "
                + f"{listed}{', ...' if track.cuts[8:] else ''} s"
            )
    return PoseResult(
        time_s=time_s,
        ids=np.array([person.id for person in people]),
        keypoints2d=np.stack([track.keypoints for track in tracks], axis=1),
        scores2d=np.stack([track.scores for track in tracks], axis=1),
        joints3d=joints3d,
        root=root,
        uncertainty=unsure,
        status=np.stack([track.status for track in tracks], axis=1),
        picture_size=size,
        frame_rate=Fraction(frame_rate),
        provenance={
            "input": source,
            "settings": settings.as_dict(),
            "weights": {"lifter": lifter.weights_identity, **weights},
            "focal_px": focal,
            "focal_guessed": settings.fov is None,
        },
        warnings=warnings,
        world=world,
    )


def _placed(
    joints3d: np.ndarray,
    root: np.ndarray,
    unsure: np.ndarray,
    keypoints: list[np.ndarray],
    focal: float,
    size: tuple[int, int],
    step_s: float,
    settings: Settings,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, World]:
    """Bodies as the settings want them, in their room: joints3d, root, uncertainty, the world."""
    if settings.constant_bones:
        bodies = [
            constant_bones(joints3d[:, place], points, focal, size)
            for place, points in enumerate(keypoints)
        ]
        joints3d = np.stack(bodies, axis=1)
    scale = np.ones(len(keypoints), np.float32)
    if settings.height is not None:
        for place in range(len(keypoints)):
            scale[place] = height_scale(joints3d[:, place], settings.height)
    joints3d, root = joints3d * scale[:, None, None], root * scale[:, None]
    world, contacts = estimate_world(
        joints3d, root, step_s, upright=settings.upright, scale=tuple(scale.tolist())
    )
    if settings.lock_feet:
        up, floor = np.array(world.up), -world.camera_height
        root = lock_feet(joints3d, root, contacts, up, floor, step_s)
    return joints3d, root, unsure * scale[:, None], world


@dataclass(frozen=True)
class _Bridged:
    """One person's keypoints and scores as they are lifted: stretch by stretch, gaps filled.

    places: the unbroken stretches. cuts: seconds at which another one may begin. status: (F,).
    """

    keypoints: np.ndarray
    scores: np.ndarray
    places: list[slice]
    cuts: list[float]
    status: np.ndarray


def _bridge(person: Person, time_s: np.ndarray, settings: Settings) -> _Bridged:
    count = len(time_s)
    there = np.isfinite(person.keypoints).all(axis=-1)
    found = there.any(axis=-1)
    keypoints = np.full((count, 17, 2), np.nan, np.float32)
    scores = np.full((count, 17), np.nan, np.float32)
    interpolated = np.zeros(count, bool)
    # Which side is right is told by movement, before and after.
    swapped = np.zeros(count, bool)
    if settings.repair and not settings.causal and found.sum() >= FEWEST_TO_REPAIR:
        points, marks, exchanged = repair_sides(person.keypoints, person.scores, time_s, found)
        person, swapped = Person(person.id, points, marks), exchanged.any(axis=1)
        there = np.isfinite(person.keypoints).all(axis=-1)
    stretch = split_at_jumps(complete_poses(person.keypoints), found, time_s)
    # What bridges a gap is known only after it. (Not 0: jittering stamps leave gaps of no length.)
    max_gap = -math.inf if settings.causal else settings.max_gap
    places: list[slice] = []
    for number in range(stretch.max() + 1):
        own = stretch == number
        points = np.where(own[:, None, None], person.keypoints, np.nan)
        if settings.remove_outliers and not settings.causal:
            points[own] = remove_outliers(points[own])
        if not settings.causal and not there[own].all():
            points, _ = fill_joints(points, there.astype(np.float32), time_s, 0.5, max_gap)
        seen = np.concatenate([points, person.scores[..., None]], axis=-1)
        filled, bridged = fill_gaps(seen, own, time_s, max_gap)
        # What another person's frames interrupt is not bridged.
        bridged &= stretch < 0
        own |= bridged
        keypoints[own], scores[own] = filled[own, :, :2], filled[own, :, 2]
        interpolated |= bridged
        places += [slice(*segment) for segment in segments(own)]
    present = found | interpolated
    status = np.full(count, "not_visible", "<U14")
    weak = np.nan_to_num(scores[:, list(LIMB_JOINTS)]).mean(axis=1) < LOW_CONFIDENCE
    status[present] = np.where(weak[present], "low_confidence", "ok")
    status[swapped & ~weak] = "sides_repaired"
    status[interpolated] = "interpolated"
    cuts = [float(time_s[stretch == number][0]) for number in range(1, stretch.max() + 1)]
    return _Bridged(keypoints, scores, places, cuts, status)


def _with_hip(keypoints: np.ndarray) -> np.ndarray:
    """Keypoints (F, 17, 2) whose hip, on whose ray the root lies, is guessed if it is missing."""
    present = np.isfinite(keypoints).all(axis=-1).any(axis=-1)
    anchored = keypoints.copy()
    anchored[present, HIP] = complete_poses(keypoints)[present, HIP]
    return anchored


def check_targets(source: Path, folder: Path, targets: list[Path]) -> None:
    """Make sure, before the long work, that files can be written; leaves nothing behind.

    Raises Pose3dError if the folder cannot be made or written in, if a name is too long or taken
    by a folder, or if it leads to the source, which would be lost.
    """
    try:
        existing = folder
        while not os.path.lexists(existing) and existing != existing.parent:
            existing = existing.parent
        if not existing.is_dir():
            raise Pose3dError(f"{existing} is not a folder; choose another --output")
        for target in targets:
            # As long as the longest name that the target has while it is written.
            prefix, suffix = f".{target.name}.", ".part"
            with tempfile.NamedTemporaryFile(dir=existing, prefix=prefix, suffix=suffix):
                pass
            if target.is_dir():
                raise Pose3dError(f"{target} is a folder; move it or choose another --output")
            if target.exists() and source.exists() and target.samefile(source):
                raise Pose3dError(
                    f"{target} is the input itself, which would be overwritten; "
                    "choose another --output"
                )
    except OSError as error:
        raise _unwritable(folder, error) from None


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; Pose3dError if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from None


def _unwritable(folder: Path, error: OSError) -> Pose3dError:
    return Pose3dError(
        f"cannot write in {folder}: {os.strerror(error.errno or 0)}; choose another --output"
    )


def identify(path: str | Path) -> dict:
    """Name, size and SHA-256 of a file, read in pieces."""
    path = Path(path)
    name = in_unicode(path.name)
    return {"name": name, "bytes": path.stat().st_size, "sha256": sha256(path)}
