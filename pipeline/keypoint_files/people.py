"""From what a reader found, person by person and frame by frame, to people over time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np

from pipeline.keypoint_files.association import associate
from pipeline.keypoint_files.skeletons import Layout, layout_of
from pipeline.lifting import FARTHEST
from weights.errors import Pose3dError

# Of a person nothing can be made without two of the four corners of the trunk.
_TRUNK = {"coco": [5, 6, 11, 12], "halpe26": [5, 6, 11, 12], "h36m": [11, 14, 4, 1]}
# Associated tracks that are shorter, beside longer ones, are false detections.
MIN_FRAMES = 5
# Longer recordings (four days) are numbers that count something else than frames.
MAX_FRAMES = 10_000_000


@dataclass(frozen=True)
class Sighting:
    """One person in one frame, as a file has it.

    points : (J, 2) px, or parts of the picture's size; scores : (J,), 0 or NaN where not found
    """

    frame: int
    id: int | None
    points: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class Found:
    """What a reader gives.

    names : of the J joints
    size : width and height of the pictures, px, if the file says
    frame_rate : frames/s, if the file says
    time_s : (F,) seconds of all frames, if the file says
    frame_count : F, where a file lists every frame; None where it lists only those with people
    """

    names: tuple[str, ...]
    sightings: list[Sighting]
    size: tuple[int, int] | None = None
    frame_rate: Fraction | None = None
    time_s: np.ndarray | None = None
    frame_count: int | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Track:
    """One person in n frames.

    frames : (n,) int, increasing, from 0
    keypoints : (n, K, 2) float32 in the file's unit, NaN where not found
    scores : (n, K) float32 in [0, 1], 0 where not found
    """

    id: int
    frames: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class KeypointFile:
    """People of a keypoint file, in the joints of ``layout.kind``; see ``Found`` for the rest."""

    path: Path
    format: str
    layout: Layout
    tracks: list[Track]
    size: tuple[int, int] | None
    frame_rate: Fraction | None
    time_s: np.ndarray | None
    frame_count: int | None
    warnings: list[str]

    @property
    def frames(self) -> int:
        """Frames from the first of the recording to the last that the file tells of."""
        return self.frame_count or 1 + max(int(track.frames[-1]) for track in self.tracks)


def build(found: Found, path: Path, file_format: str) -> KeypointFile:
    """People over time out of sightings; by the file's own ids if all people have one.

    Raises Pose3dError if there is nobody, or the joints are not enough.
    """
    layout = layout_of(found.names, str(path))
    warnings = list(found.warnings)
    sightings = sorted(found.sightings, key=lambda sighting: sighting.frame)
    if sightings:
        points = np.stack([sighting.points for sighting in sightings])
        scores = np.stack([sighting.scores for sighting in sightings]).clip(0, 1)
        there = np.isfinite(points).all(axis=-1) & (scores > 0)
        # Many programs write zeros for what they did not find.
        there &= (np.abs(points) < FARTHEST).all(axis=-1) & (points != 0).any(axis=-1)
        points[~there], scores[~there] = np.nan, 0
        # Not before: a file's float64 may be more than float32 holds.
        keypoints, scores = layout.apply(points.astype(np.float32), scores.astype(np.float32))
        trunk = (scores[:, _TRUNK[layout.kind]] > 0).sum(axis=-1)
    kept = np.flatnonzero(trunk >= 2) if sightings else []
    if not len(kept):
        raise Pose3dError(f"{path}: nobody in it whose shoulders or hips were found")
    if max(sightings[-1].frame, found.frame_count or 0) > MAX_FRAMES:
        raise Pose3dError(f"{path}: frame {sightings[-1].frame}: does that number count frames?")
    frames = np.array([sightings[index].frame for index in kept])
    ids = [sightings[index].id for index in kept]
    keypoints, scores = keypoints[kept], scores[kept]
    if any(number is None for number in ids):
        ids = _associated_ids(frames, keypoints)
        if ids.count(-1):
            warnings.append(f"left out {ids.count(-1)} poses of people who were found twice")
        lengths = Counter(own for own in ids if own > 0)
        shown = {own for own, length in lengths.items() if length >= MIN_FRAMES} or set(lengths)
        if len(shown) < len(lengths):
            short = len(lengths) - len(shown)
            warnings.append(f"left out {short} tracks of less than {MIN_FRAMES} frames")
    else:
        shown = set(ids)
    tracks = []
    for own in sorted(shown):
        rows = _once_a_frame(np.flatnonzero(np.array(ids) == own), frames, scores)
        tracks.append(Track(own, frames[rows], keypoints[rows], scores[rows]))
    return KeypointFile(
        path=path,
        format=file_format,
        layout=layout,
        tracks=tracks,
        size=found.size,
        frame_rate=found.frame_rate,
        time_s=found.time_s,
        frame_count=found.frame_count,
        warnings=warnings,
    )


def _associated_ids(frames: np.ndarray, keypoints: np.ndarray) -> list[int]:
    numbers, starts, counts = np.unique(frames, return_index=True, return_counts=True)
    if counts.max() == 1:
        return [1] * len(frames)
    people = [keypoints[start : start + n] for start, n in zip(starts, counts, strict=True)]
    ids = associate(list(zip(numbers.tolist(), people, strict=True)))
    return list(chain.from_iterable(ids))


def _once_a_frame(rows: np.ndarray, frames: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Of rows that give one person twice in a frame the better ones, in order."""
    best = rows[np.argsort(-scores[rows].mean(axis=-1), kind="stable")]
    _, first = np.unique(frames[best], return_index=True)
    return best[first]
