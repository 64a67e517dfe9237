"""The first pass over a video: decode, find the people, their joints, and who is who."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from detectors2d.mediapipe import MediaPipePose
from pipeline.compute import choose_device, choose_precision
from pipeline.joints import coco_to_h36m
from pipeline.people import choose_people, gather_tracks, link_tracks
from pipeline.progress import Progress
from pipeline.settings import Settings
from pipeline.tracker import Tracker
from pipeline.video import Frame, VideoInfo, VideoReader, prefetch
from weights import download, store
from weights.errors import Pose3dError

if TYPE_CHECKING:
    from detectors2d.mm.pose import MMPose
    from detectors2d.people import People
    from detectors2d.people.protocol import Found
    from detectors2d.topdown import TopDown

ADVISED = "hrnet-w48-256x192 rtmdet-m-person"
# Frames whose people go through the networks together.
FRAMES_AT_ONCE = 8
# Public weights in the order in which "auto" takes them.
PEOPLE_BEST_FIRST = (
    "rtmdet-m-person",
    "rtmdet-m",
    "rtmdet-tiny",
    "faster-rcnn-r50",
    "rtmdet-nano-person",
)
BEST_FIRST = ("hrnet-w48-384x288", "hrnet-w48-256x192", "hrnet-w32-384x288", "hrnet-w32-256x192")


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


def detect(
    reader: VideoReader,
    settings: Settings,
    progress: Progress,
    top_down: tuple[TopDown | MMPose, People] | None = None,
) -> Detections:
    """The people of a video with the 17 joints of Human3.6M; at least one, though never seen.

    ``top_down`` is what ``open_top_down`` gives, from callers who keep it for several videos.
    """
    found = detect_coco(reader, settings, progress, top_down)
    people = []
    for person in found.people:
        keypoints, scores = coco_to_h36m(person.keypoints, person.scores)
        people.append(Person(person.id, keypoints, scores))
    return replace(found, people=people)


def detect_coco(
    reader: VideoReader,
    settings: Settings,
    progress: Progress,
    top_down: tuple[TopDown | MMPose, People] | None = None,
) -> Detections:
    """``detect`` with COCO's 17 joints, as the detectors give them."""
    pose2d = check_pose2d(settings)
    if pose2d == "mediapipe":
        time_s, people = _follow_one(reader, settings, progress)
        weights = {"pose2d": {"name": "mediapipe"}}
    else:
        network, detector = top_down or open_top_down(pose2d, settings)
        time_s, people = _follow_all(reader, network, detector, settings, progress)
        weights = {
            "pose2d": _identity(network, pose2d),
            "people": _identity(detector, choose_detector(settings)),
        }
    if not len(time_s):
        raise Pose3dError(f"{reader.info.path}: no frame could be decoded in the chosen range")
    if not people:
        absent = np.full((len(time_s), 17, 2), np.nan, np.float32)
        people = [Person(1, absent, np.zeros(absent.shape[:2], np.float32))]
    warnings = [in_unicode(reader.warning)] if reader.warning else []
    if settings.people == "all" and weights.get("people", {}).get("name") == "mediapipe":
        warnings.append(
            "MediaPipe found the people, of whom it finds one; for all: pose3d weights fetch "
            + ADVISED.split()[1]
        )
    info = reader.info
    return Detections(time_s, people, (info.width, info.height), info.frame_rate, weights, warnings)


def choose_pose2d(settings: Settings) -> tuple[str, str]:
    """What finds the joints ("auto" takes the best that is at hand), and how to get better."""
    advice = "for several people and better joints: pose3d weights fetch " + ADVISED
    if settings.pose2d != "auto":
        return settings.pose2d, advice
    for name in BEST_FIRST:
        if download.location(store.public()[name]).is_file():
            return name, ""
    return "mediapipe", advice


def check_pose2d(settings: Settings) -> str:
    """What finds the joints; Pose3dError if other settings do not go with it."""
    pose2d, advice = choose_pose2d(settings)
    if pose2d == "mediapipe":
        if settings.detector not in (None, "mediapipe"):
            raise Pose3dError(
                f"detector {settings.detector}: MediaPipe finds its one person by itself, detectors"
                f" of people go with the weights of an HRNet; {advice}"
            )
        if settings.backend != "torch":
            raise Pose3dError(
                f"backend {settings.backend}: MediaPipe has a runtime of its own, backends run the "
                f"weights of an HRNet; {advice}"
            )
        if settings.people not in ("largest", "all", "1", "id:1"):
            raise Pose3dError(f"people {settings.people}: MediaPipe follows one person; {advice}")
        return pose2d
    detector = choose_detector(settings)
    # (One after the other it may find several, of whom id:N is one.)
    if detector == "mediapipe" and settings.people.isdigit() and settings.people != "1":
        raise Pose3dError(
            f"people {settings.people}: MediaPipe finds one person; for several: pose3d weights "
            f"fetch {ADVISED.split()[1]}, or another --detector"
        )
    if detector.startswith("boxes:") and (settings.start or settings.det_every > 1):
        raise Pose3dError(
            f"detector {detector}: the file counts the video's frames from 0, one by one: leave "
            "out start and det-every"
        )
    return pose2d


def _follow_one(
    reader: VideoReader, settings: Settings, progress: Progress
) -> tuple[np.ndarray, list[Person]]:
    """MediaPipe follows one person, whomever it finds first."""
    progress.stage("2D keypoints", expected_frames(reader.info, settings))
    times, keypoints, scores = [], [], []
    absent = np.full((17, 2), np.nan, np.float32), np.zeros(17, np.float32)
    with MediaPipePose() as detector, closing(prefetch(reader)) as frames:
        for frame in frames:
            found = detector.detect(frame.image)
            points, score = (found.keypoints, found.scores) if found else absent
            times.append(frame.time_s)
            keypoints.append(points)
            scores.append(score)
            progress.advance()
    people = [Person(1, np.stack(keypoints), np.stack(scores))] if times else []
    return np.array(times), people


def open_top_down(pose2d: str, settings: Settings) -> tuple[TopDown | MMPose, People]:
    """The network of joints and the detector of people that the settings name."""
    return open_pose2d(pose2d, settings), open_people(settings)


def open_pose2d(pose2d: str, settings: Settings) -> TopDown | MMPose:
    """A network of joints by a name of public weights, a file, or mmpose:CONFIG:FILE."""
    # Networks' libraries take seconds to import.
    from detectors2d.backends import accelerate
    from detectors2d.registry import load_pose
    from detectors2d.topdown import TopDown

    device = choose_device(settings.device)
    if pose2d.startswith("mmpose:"):
        from detectors2d.mm.pose import MMPose, gives_heatmaps, split_name

        config, weights = split_name(pose2d)
        if weights is None:
            raise Pose3dError(f"{pose2d}: which weights? mmpose:CONFIG:FILE names them")
        if not gives_heatmaps(config):
            if settings.backend != "torch":
                raise Pose3dError(
                    f"backend {settings.backend}: {config} gives no heat maps like HRNet's"
                )
            return MMPose(config, download.resolve(weights), device)
        pose2d = pose2d.removesuffix(weights) + download.resolve(weights)
    precision = choose_precision(settings.precision, device)
    network = accelerate(load_pose(download.resolve(pose2d)), settings.backend, precision, device)
    # Finer than the quarters of a cell of HRNet's own code.
    return TopDown(network, flip=settings.flip, decoding="dark", precision=precision, device=device)


def open_people(settings: Settings) -> People:
    """The detector of people that the settings name, else the best that is at hand."""
    from detectors2d.people import build_people

    device = choose_device(settings.device)
    name, _, weights = choose_detector(settings).partition("=")
    if name in store.public():
        kind = "rtmdet" if name.startswith("rtmdet") else "faster-rcnn"
        return build_people(kind, download.resolve(name), device)
    return build_people(name, weights or None, device)


def _identity(network: object, name: str) -> dict[str, str]:
    """Whose weights these are: a name at least."""
    return getattr(network, "weights_identity", None) or {"name": name}


def choose_detector(settings: Settings) -> str:
    """Who finds the people for a network of joints.

    Without the setting it is public weights that were fetched, else MediaPipe, which finds one.
    """
    if settings.detector is not None:
        return settings.detector
    known = store.public()
    here = (name for name in PEOPLE_BEST_FIRST if download.location(known[name]).is_file())
    return next(here, "mediapipe")


def _follow_all(
    reader: VideoReader,
    network: TopDown | MMPose,
    detector: People,
    settings: Settings,
    progress: Progress,
) -> tuple[np.ndarray, list[Person]]:
    """Everybody whom the detector finds, by number over time; of them those that are wanted."""
    progress.stage("2D keypoints", expected_frames(reader.info, settings))
    tracker, times = Tracker(), []
    # Of every detection: its frame, person, box, joints, their scores.
    rows: list[tuple[int, int, np.ndarray, np.ndarray, np.ndarray]] = []
    with closing(prefetch(reader)) as frames:
        for chunk, boxes, known in _with_boxes(frames, detector, tracker, settings.det_every):
            joints = network.estimate([frame.image for frame in chunk], [b for b, _ in boxes])
            for frame, (found, sure), (points, scores) in zip(chunk, boxes, joints, strict=True):
                ids = known
                if ids is None:
                    ids = tracker.update(frame.time_s, found, sure, points, scores)
                times.append(frame.time_s)
                rows += zip([frame.index] * len(ids), ids, found, points, scores, strict=True)
                progress.advance()
    time_s = np.array(times)
    if not rows:
        return time_s, []
    tracks = link_tracks(gather_tracks(*map(np.array, zip(*rows, strict=True))), time_s)
    people = []
    for track in choose_people(tracks, time_s, settings.people, settings.min_track):
        keypoints = np.full((len(time_s), 17, 2), np.nan, np.float32)
        scores = np.zeros((len(time_s), 17), np.float32)
        keypoints[track.frames], scores[track.frames] = track.keypoints, track.scores
        people.append(Person(track.id, keypoints, scores))
    return time_s, people


def _with_boxes(
    frames: Iterator[Frame], detector: People, tracker: Tracker, every: int
) -> Iterator[tuple[list[Frame], list[Found], np.ndarray | None]]:
    """Frames with their boxes, some frames at once, and whose they are if that is known.

    Between the frames in which the detector looks, the tracker says where people are by now. (Its
    own word is no sighting: were it told so, it would believe itself and not follow any more.)
    """
    while chunk := list(islice(frames, FRAMES_AT_ONCE if every == 1 else 1)):
        if chunk[0].index % every == 0:
            yield chunk, detector.detect([frame.image for frame in chunk]), None
        else:
            ids, boxes = tracker.predict(chunk[0].time_s)
            yield chunk, [(boxes, np.ones(len(boxes), np.float32))], ids


def expected_frames(info: VideoInfo, settings: Settings) -> int | None:
    """About how many frames the reader will give: for progress only."""
    if info.duration_s is None:
        return None
    end = info.duration_s if settings.end is None else min(settings.end, info.duration_s)
    return max(1, round((end - (settings.start or 0)) * info.frame_rate))


def in_unicode(text: str) -> str:
    """Names of files may hold bytes that are no UTF-8 (old archives), which JSON cannot."""

    return os.fsencode(text).decode("utf-8", "replace")
