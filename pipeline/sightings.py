"""What the first pass sees, in segments that can be joined, and who is who in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from pipeline.joints import coco_to_h36m
from pipeline.people import choose_people, gather_tracks, link_tracks, without_nobodies
from pipeline.segments import Span
from pipeline.settings import Settings
from pipeline.tracker import Tracker
from weights.errors import Pose3dError

# Rows that are held one by one, each with the overhead of its arrays.
LOOSE = 4096


@dataclass(frozen=True)
class Person:
    """One person over all F frames. keypoints (F, 17, 2) px, NaN where not found; scores (F, 17).

    The joints' order is that of the function that made it: COCO's or Human3.6M's.
    """

    id: int
    keypoints: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class Detections:
    """What the first pass found: all that lifting needs to know of a video.

    time_s (F,); size of the upright picture, px; weights are those of the networks, by their task.
    """

    time_s: np.ndarray
    people: list[Person]
    size: tuple[int, int]
    frame_rate: Fraction
    weights: dict[str, dict[str, str]]
    warnings: list[str]


class Sight(NamedTuple):
    """One frame: time_s, and for its N sightings what ``Sightings`` has of them."""

    time_s: float
    ids: np.ndarray
    boxes: np.ndarray
    sure: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray


NOBODY = (
    np.zeros(0, int),
    np.zeros((0, 4), np.float32),
    np.zeros(0, np.float32),
    np.zeros((0, 17, 2), np.float32),
    np.zeros((0, 17), np.float32),
)


@dataclass(frozen=True)
class Sightings:
    """People seen in the F frames of a segment of a video (or of all of it): M of them.

    time_s : (F,) seconds
    frames : (M,) int, the frame of each sighting, from 0 in the segment, ascending
    ids : (M,) int, who it is by what was known in the segment; -1 for nobody
    boxes, sure : (M, 4) px and (M,), of the detector of people; NaN of who was followed without
    keypoints, scores : (M, 17, 2) px and (M, 17), order of COCO
    began_s : seconds at which what is seen stopped to depend on what was before; the first is the
        beginning of the segment (-inf: of the video)
    ended_s : where the segment ended: the next of these moments; None at the end of the video
    weights, warnings : as in ``Detections``
    """

    time_s: np.ndarray
    frames: np.ndarray
    ids: np.ndarray
    boxes: np.ndarray
    sure: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    began_s: tuple[float, ...]
    ended_s: float | None
    size: tuple[int, int]
    frame_rate: Fraction
    weights: dict[str, dict[str, str]]
    warnings: list[str]

    def since(self, time_s: float) -> Sightings:
        """Those from a moment on."""
        skipped = int(np.searchsorted(self.time_s, time_s))
        row = int(np.searchsorted(self.frames, skipped))
        later = {name: getattr(self, name)[row:] for name in COLUMNS}
        later["frames"] = later["frames"] - skipped
        return replace(self, time_s=self.time_s[skipped:], **later)


COLUMNS = ("frames", "ids", "boxes", "sure", "keypoints", "scores")
ARRAYS = ("time_s", *COLUMNS)


class Collector:
    """Frames' sightings, one after the other, kept in few arrays: lists of small ones are large."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._loose: list[tuple[np.ndarray, ...]] = [(NOBODY[0], *NOBODY)]
        self._pieces: list[tuple[np.ndarray, ...]] = []

    def add(self, sight: Sight) -> None:
        """One more frame."""
        frames = np.full(len(sight.ids), len(self.times))
        self.times.append(sight.time_s)
        self._loose.append((frames, *map(np.asarray, sight[1:])))
        if len(self._loose) > LOOSE:
            self._pieces.append(_stacked(self._loose))
            self._loose = []

    def arrays(self) -> dict[str, np.ndarray]:
        """The ``ARRAYS`` of ``Sightings``."""
        columns = _stacked(self._pieces + self._loose)
        return {"time_s": np.array(self.times), **dict(zip(COLUMNS, columns, strict=True))}


def _stacked(rows: Sequence[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
    filled = [row for row in rows if len(row[0])] or rows[:1]
    return tuple(map(np.concatenate, zip(*filled, strict=True)))


def join(parts: Sequence[Sightings]) -> Sightings:
    """One of several that follow each other: each begins where the one before ended."""
    starts = np.cumsum([0] + [len(part.time_s) for part in parts])
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS}
    arrays["frames"] = np.concatenate(
        [part.frames + start for part, start in zip(parts, starts[:-1], strict=True)]
    )
    return replace(
        parts[0],
        **arrays,
        began_s=tuple(moment for part in parts for moment in part.began_s),
        ended_s=parts[-1].ended_s,
        warnings=[warning for part in parts for warning in part.warnings],
    )


def numbered(seen: Sightings, every: int) -> np.ndarray:
    """(M,) int: who each sighting is, over the whole video, as ``Tracker`` says; -1 for nobody.

    ``every``: the detector of people looked at every so many frames; those in between are of the
    people whom the segment's own tracker followed from there.
    """
    tracker, ids, of = Tracker(), np.full(len(seen.frames), -1), {}
    edges = np.searchsorted(seen.frames, np.arange(len(seen.time_s) + 1))
    for frame, time_s in enumerate(seen.time_s.tolist()):
        rows = slice(edges[frame], edges[frame + 1])
        if frame % every == 0:
            ids[rows] = tracker.update(
                time_s, seen.boxes[rows], seen.sure[rows], seen.keypoints[rows], seen.scores[rows]
            )
            of = dict(zip(seen.ids[rows].tolist(), ids[rows].tolist(), strict=True))
        else:
            ids[rows] = [of.get(number, -1) for number in seen.ids[rows].tolist()]
    return ids


def see_in_segments(
    spans: Sequence[Span], parts: Iterable[Sightings], again: Callable[[Span], Sightings]
) -> Sightings:
    """What ``detection.see`` would have seen in one piece, from its parts.

    A part that goes on into the next one's segment takes its place up to where it ended. ``again``
    is ``detection.see``, for the rest of a segment in which nobody looked again at that moment.
    """
    joined: list[Sightings] = []
    for span, part in zip(spans, parts, strict=True):
        if joined:
            moment = joined[-1].ended_s
            if moment is None or (span.end_s is not None and moment >= span.end_s):
                continue
            if moment not in part.began_s:
                part = again(replace(span, start_s=moment))
            part = part.since(moment)
        joined.append(part)
    return join(joined)


def who_is_who(seen: Sightings, settings: Settings) -> Detections:
    """The people of a whole video, of all who were seen those that are wanted."""
    time_s = seen.time_s
    if not len(time_s):
        raise Pose3dError("no frame could be decoded in the chosen range")
    if "people" not in seen.weights:
        people = [_person(1, seen.frames, seen.keypoints, seen.scores, len(time_s))]
    else:
        ids = numbered(seen, settings.det_every)
        tracks = gather_tracks(seen.frames, ids, seen.boxes, seen.keypoints, seen.scores)
        tracks = link_tracks(without_nobodies(tracks), time_s)
        people = [
            _person(track.id, track.frames, track.keypoints, track.scores, len(time_s))
            for track in choose_people(tracks, time_s, settings.people, settings.min_track)
        ] or [_person(1, seen.frames[:0], seen.keypoints[:0], seen.scores[:0], len(time_s))]
    warnings = list(seen.warnings)
    used = {weights["name"]: stage for stage, weights in seen.weights.items()}
    if settings.people == "all" and "mediapipe" in used:
        option = {"pose2d": "--pose2d", "people": "--detector"}[used["mediapipe"]]
        warnings.append(f"MediaPipe finds one person; for all, leave out {option} mediapipe")
    return Detections(time_s, people, seen.size, seen.frame_rate, seen.weights, warnings)


def _person(
    number: int, frames: np.ndarray, keypoints: np.ndarray, scores: np.ndarray, count: int
) -> Person:
    """Who was seen in some of ``count`` frames."""
    all_keypoints = np.full((count, 17, 2), np.nan, np.float32)
    all_scores = np.zeros((count, 17), np.float32)
    all_keypoints[frames], all_scores[frames] = keypoints, scores
    return Person(number, all_keypoints, all_scores)


def in_h36m(found: Detections) -> Detections:
    """Detections of COCO's joints with those of Human3.6M."""
    people = []
    for person in found.people:
        keypoints, scores = coco_to_h36m(person.keypoints, person.scores)
        people.append(Person(person.id, keypoints, scores))
    return replace(found, people=people)
