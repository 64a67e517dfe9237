"""Finished tracks: made of numbered detections, joined over short absences, and chosen from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from pipeline.tracker import body_score
from weights.errors import Pose3dError

# Two tracks agree if, in heights of the person's box, they miss each other half-way by at most
# the first plus the second times the gap in seconds, and likewise their poses' joints.
_MISS = 0.25, 0.75
_POSE = 0.12, 0.25
_SIZE = 1.35  # and if the one's height is at most so many times the other's
_END_S = 0.3  # the length of a track's end from which its speed and size are taken
# What keeps the speed of a very short end from being noise: noise of a box over usual speeds, s^2.
_STEADY = 0.04**2
_SOMEBODY = 0.45  # ``body_score`` of a person, on average


@dataclass(frozen=True)
class Track:
    """One person in the n frames in which it was found.

    id : from 1
    frames : (n,) int, ascending indices of the video's frames
    boxes : (n, 4) px, left, top, right, bottom
    keypoints : (n, 17, 2) px
    scores : (n, 17) in [0, 1]
    """

    id: int
    frames: np.ndarray
    boxes: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.frames)
        shapes = self.frames.shape, self.boxes.shape, self.keypoints.shape, self.scores.shape
        if count == 0 or shapes != ((count,), (count, 4), (count, 17, 2), (count, 17)):
            raise ValueError(
                f"a track has frames (n,), boxes (n, 4), keypoints (n, 17, 2), scores (n, 17), n > "
                f"0, not {', '.join(map(str, shapes))}"
            )
        if (np.diff(self.frames) <= 0).any():
            raise ValueError("a track's frames must ascend, each once")


def without_nobodies(tracks: Sequence[Track]) -> list[Track]:
    """The tracks in which the network of joints saw a body, or a good part of one."""
    return [track for track in tracks if body_score(track.scores).mean() >= _SOMEBODY]


def gather_tracks(
    frames: np.ndarray,
    ids: np.ndarray,
    boxes: np.ndarray,
    keypoints: np.ndarray,
    scores: np.ndarray,
) -> list[Track]:
    """Sort the detections of a whole video by person.

    Parameters
    ----------
    frames : (M,) int, the frame of each detection
    ids : (M,) int from ``Tracker.update``; those below 0 are left out
    boxes : (M, 4) px
    keypoints : (M, 17, 2) px
    scores : (M, 17)

    Returns
    -------
    A track for every id, in their order.
    """
    tracks = []
    for number in np.unique(ids[ids >= 0]):
        own = np.flatnonzero(ids == number)
        own = own[np.argsort(frames[own], kind="stable")]
        tracks.append(Track(int(number), frames[own], boxes[own], keypoints[own], scores[own]))
    return tracks


def link_tracks(tracks: list[Track], time_s: np.ndarray, max_gap_s: float = 1.0) -> list[Track]:
    """Join tracks that are one person's: one begins soon after the other ends, and they agree.

    They agree if their ends, carried on at their speeds, meet half-way, and if they are of one
    size and, the more the shorter the gap, of one pose. Where several fit, the joins that agree
    best are made.

    Parameters
    ----------
    tracks : any order
    time_s : (F,) seconds, of the video's frames
    max_gap_s : longest time from the end of one to the beginning of the other, seconds

    Returns
    -------
    The tracks, ordered by id; a joined one has the id of its first part. The gaps stay empty.
    """
    if not tracks:
        return []
    cost = np.full((len(tracks), len(tracks)), np.inf)
    for row, first in enumerate(tracks):
        for column, second in enumerate(tracks):
            gap = time_s[second.frames[0]] - time_s[first.frames[-1]]
            if second.frames[0] > first.frames[-1] and gap <= max_gap_s:
                cost[row, column] = _disagreement(first, second, time_s)
    # A join that must not be made costs more than all others together.
    forbidden = 3.0 * len(tracks) + 1
    pairs = zip(*linear_sum_assignment(np.where(cost < np.inf, cost, forbidden)), strict=True)
    follower = {int(row): int(column) for row, column in pairs if cost[row, column] < np.inf}
    joined = []
    for first in sorted(set(range(len(tracks))) - set(follower.values())):
        parts = [first]
        while parts[-1] in follower:
            parts.append(follower[parts[-1]])
        pieces = [tracks[part] for part in parts]
        fields = ("frames", "boxes", "keypoints", "scores")
        whole = (np.concatenate([getattr(piece, field) for piece in pieces]) for field in fields)
        joined.append(Track(tracks[first].id, *whole))
    return sorted(joined, key=lambda track: track.id)


def _disagreement(first: Track, second: Track, time_s: np.ndarray) -> float:
    """0 to 3 for two tracks that may be one person's, inf for others."""
    half = (time_s[second.frames[0]] - time_s[first.frames[-1]]) / 2
    middle, speed, height = _end(first, time_s, -1)
    other_middle, other_speed, other_height = _end(second, time_s, 0)
    usual = np.sqrt(height * other_height)
    miss = np.linalg.norm(middle + speed * half - (other_middle - other_speed * half)) / usual
    pose = (first.keypoints[-1] - middle) / height
    other_pose = (second.keypoints[0] - other_middle) / other_height
    apart = ((pose - other_pose) ** 2).sum(-1)
    known = np.isfinite(apart)
    bend = np.sqrt(apart[known].mean()) if known.any() else 0.0
    ratios = (
        miss / (_MISS[0] + _MISS[1] * 2 * half),
        abs(np.log(height / other_height)) / np.log(_SIZE),
        bend / (_POSE[0] + _POSE[1] * 2 * half),
    )
    return float(sum(ratios)) if max(ratios) <= 1 else np.inf


def _end(track: Track, time_s: np.ndarray, end: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Middle (2,) px, speed (2,) px/s and height px at the first (0) or last (-1) frame."""
    since = time_s[track.frames] - time_s[track.frames[end]]
    near = np.abs(since) <= _END_S
    since, boxes = since[near], track.boxes[near].astype(np.float64)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    centred = since - since.mean()
    speed = centred @ middles / ((centred**2).sum() + _STEADY)
    height = np.exp(np.log(np.maximum(boxes[:, 3] - boxes[:, 1], 1.0)).mean())
    return middles.mean(0) - speed * since.mean(), speed, float(height)


def choose_people(
    tracks: list[Track],
    time_s: np.ndarray,
    people: str | int = "largest",
    min_track_s: float = 0.5,
) -> list[Track]:
    """The tracks that are wanted, ordered by id.

    Parameters
    ----------
    tracks : of the whole video
    time_s : (F,) seconds, of the video's frames
    people : "all"; a number, for so many of the largest; "largest" for one of them; or "id:N" for
        the person of that id. Large is whose boxes' heights add up to most over all frames: near
        the camera, and for long.
    min_track_s : tracks seen for less than this (or half of the video, if that is shorter) are
        left out, unless chosen by id, seconds

    Returns
    -------
    At most as many as wanted; none if nobody was seen for long enough.

    Raises
    ------
    Pose3dError
        if people is none of these, or nobody has that id.
    """
    asked = re.fullmatch(r"largest|all|0*[1-9]\d*|id:\d+", str(people).strip().lower())
    if asked is None or isinstance(people, (bool, float)):
        raise Pose3dError(f"people must be largest, all, a number from 1 or id:N, not {people!r}")
    wanted = asked[0]
    if wanted.startswith("id:"):
        chosen = [track for track in tracks if track.id == int(wanted[3:])]
        if not chosen:
            known = ", ".join(str(number) for number in sorted(track.id for track in tracks))
            raise Pose3dError(f"there is no person {wanted[3:]}: known are {known or 'none'}")
        return chosen
    step = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 0.0
    least = min(min_track_s, len(time_s) * step / 2)
    # Times come from fractions, so equal lengths may differ in the last digits.
    long = [track for track in tracks if len(track.frames) * step >= least - 1e-6]
    long.sort(key=lambda track: -float((track.boxes[:, 3] - track.boxes[:, 1]).sum()))
    count = len(long) if wanted == "all" else 1 if wanted == "largest" else int(wanted)
    return sorted(long[:count], key=lambda track: track.id)
