"""The first pass over a video: decode, find the people, their joints, and who is who."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from detectors2d.mediapipe import Keypoints, MediaPipePose
from pipeline.networks import check_pose2d, choose_detector, open_top_down
from pipeline.progress import Progress
from pipeline.segments import Rule, Span
from pipeline.settings import Settings
from pipeline.sightings import (
    NOBODY,
    Collector,
    Detections,
    Sight,
    Sightings,
    in_h36m,
    see_in_segments,
    who_is_who,
)
from pipeline.sightings import Person as Person  # of whom ``Detections`` are
from pipeline.tracker import Tracker
from pipeline.video import Frame, VideoInfo, VideoReader, prefetch
from weights.files import in_unicode

if TYPE_CHECKING:
    from detectors2d.mm.pose import MMPose
    from detectors2d.people import People
    from detectors2d.people.protocol import Found
    from detectors2d.topdown import TopDown

# Frames whose people go through the networks together.
FRAMES_AT_ONCE = 8
# MediaPipe looks for its person anew at every multiple of so many seconds, for so long before.
LOOK_AGAIN_S, LOOK_S = 60.0, 2.0
# Two that follow the same person differ by less than this share of the person's size.
AGREE = 0.02
# After so many looks, or so long, it makes no difference any more to a ``Tracker`` what was before.
FOLLOW_LOOKS, FOLLOW_S = 24, 36.0


def detect(
    reader: VideoReader,
    settings: Settings,
    progress: Progress,
    top_down: tuple[TopDown | MMPose, People] | None = None,
) -> Detections:
    """The people of a video with the 17 joints of Human3.6M; at least one, though never seen.

    ``top_down`` is what ``open_top_down`` gives, from callers who keep it for several videos.
    """
    return in_h36m(detect_coco(reader, settings, progress, top_down))


def detect_coco(
    reader: VideoReader,
    settings: Settings,
    progress: Progress,
    top_down: tuple[TopDown | MMPose, People] | None = None,
) -> Detections:
    """``detect`` with COCO's 17 joints, as the detectors give them."""
    return who_is_who(see(reader, settings, progress, top_down), settings)


def see(
    reader: VideoReader,
    settings: Settings,
    progress: Progress,
    top_down: tuple[TopDown | MMPose, People] | None = None,
    span: Span | None = None,
) -> Sightings:
    """All people in all frames, joints in COCO's order.

    ``span``: a segment of a video; the reader begins at its ``warm_s``, and goes on beyond its end
    for as long as it depends on the segment what is seen there.
    """
    pose2d = check_pose2d(settings)
    total = expected_frames(reader.info, settings) if span is None else span.frames
    progress.stage("2D keypoints", total)
    start_s = -math.inf if span is None or span.start_s is None else span.start_s
    until_s = math.inf if span is None or span.end_s is None else span.end_s
    collected, began_s = Collector(), [start_s]
    with closing(prefetch(reader)) as frames:
        if pose2d == "mediapipe":
            sights = _follow_one(frames, until_s, began_s)
            weights = {"pose2d": {"name": "mediapipe"}}
        else:
            network, detector = top_down or open_top_down(pose2d, settings)
            sights = _see_all(frames, network, detector, settings.det_every)
            weights = {
                "pose2d": _identity(network, pose2d),
                "people": _identity(detector, choose_detector(settings)),
            }
        for sight in sights:
            if sight.time_s >= start_s:
                collected.add(sight)
                progress.advance()
    if pose2d == "mediapipe":
        ended_s = began_s.pop() if began_s[-1] >= until_s else None
    else:
        ended_s = until_s if until_s < math.inf else None
    warnings = [in_unicode(reader.warning)] if reader.warning else []
    if reader.decode_errors and not warnings:
        warnings.append("there are faults in it")  # of a segment that was not read to its end
    info = reader.info
    return Sightings(
        **collected.arrays(),
        began_s=tuple(began_s),
        ended_s=ended_s,
        size=(info.width, info.height),
        frame_rate=info.frame_rate,
        weights=weights,
        warnings=warnings,
    )


def see_segment(
    path: Path,
    span: Span,
    settings: Settings,
    progress: Progress,
    top_down: tuple[TopDown | MMPose, People] | None = None,
) -> Sightings:
    """``see`` for a segment of a video, of those that ``cutting_rule`` allows."""
    goes_on = check_pose2d(settings) == "mediapipe"
    reader = VideoReader(path, span.warm_s, settings.end if goes_on else span.end_s)
    return see(reader, settings, progress, top_down, span)


def detect_in_segments(
    path: Path,
    spans: Sequence[Span],
    parts: Iterable[Sightings],
    settings: Settings,
    progress: Progress,
) -> Detections:
    """``detect``, of what was seen in the segments of a video."""

    def again(span: Span) -> Sightings:
        warm_s = max(settings.start or 0.0, span.start_s - LOOK_S)
        return see_segment(path, replace(span, warm_s=warm_s), settings, progress)

    return in_h36m(who_is_who(see_in_segments(spans, parts, again), settings))


def cutting_rule(settings: Settings) -> Rule | None:
    """Where ``see`` can begin in the middle of a video, and see what it would have seen.

    None: nowhere, because what it sees depends on all that was before.
    """
    if check_pose2d(settings) == "mediapipe":
        return Rule(seconds=LOOK_AGAIN_S, warm_s=LOOK_S)
    kind = choose_detector(settings).partition(":")[0]
    if kind in ("mediapipe", "boxes"):  # follows one person; counts the frames
        return None
    # The same frames go through the networks together.
    every = settings.det_every
    if every == 1:
        return Rule(FRAMES_AT_ONCE)
    return Rule(every, warm_s=FOLLOW_S, warm_frames=FOLLOW_LOOKS * every)


def _follow_one(frames: Iterator[Frame], until_s: float, began_s: list[float]) -> Iterator[Sight]:
    """MediaPipe follows one person, whomever it finds first.

    What it sees depends on all that it has seen: two that begin at different frames never agree to
    the last millimetre. So that the present does not hang on the whole past, a second one begins
    to look shortly before every full minute, and takes over if both see the same person, or none.
    Such moments, at which a video can be cut, are added to ``began_s``. The first one from
    ``until_s`` on is the end.
    """
    first = next(frames, None)
    if first is None:
        return
    due_s = 0.0
    while due_s <= max(first.time_s, began_s[-1]):
        due_s += LOOK_AGAIN_S
    with ExitStack() as stack:
        old = stack.enter_context(MediaPipePose())
        new = None
        for frame in chain([first], frames):
            found = old.detect(frame.image)
            if frame.time_s >= due_s - LOOK_S:
                new = new or stack.enter_context(MediaPipePose())
                other = new.detect(frame.image)
                if frame.time_s >= due_s:
                    if _same(found, other):
                        began_s.append(due_s)
                        if due_s >= until_s:
                            return
                        found, old, new = other, new, old
                    new.close()
                    new = None
                    while due_s <= frame.time_s:
                        due_s += LOOK_AGAIN_S
            if found is None:
                yield Sight(frame.time_s, *NOBODY)
            else:
                yield Sight(
                    frame.time_s,
                    np.ones(1, int),
                    np.full((1, 4), np.nan, np.float32),
                    np.full(1, np.nan, np.float32),
                    found.keypoints[None],
                    found.scores[None],
                )


def _same(one: Keypoints | None, other: Keypoints | None) -> bool:
    """Whether two see the same person in a picture, or both nobody."""
    if one is None or other is None:
        return one is other
    apart = np.linalg.norm(one.keypoints - other.keypoints, axis=-1)
    weight = one.scores + 1e-6
    return bool((apart * weight).sum() < AGREE * weight.sum() * np.ptp(one.keypoints, axis=0).max())


def _identity(network: object, name: str) -> dict[str, str]:
    """Whose weights these are: a name at least."""
    return getattr(network, "weights_identity", None) or {"name": name}


def _see_all(
    frames: Iterator[Frame], network: TopDown | MMPose, detector: People, every: int
) -> Iterator[Sight]:
    """Everybody whom the detector finds."""
    tracker = Tracker()
    for chunk, boxes, known in _with_boxes(frames, detector, tracker, every):
        joints = network.estimate([frame.image for frame in chunk], [b for b, _ in boxes])
        for frame, (found, sure), (points, scores) in zip(chunk, boxes, joints, strict=True):
            ids = known
            if every == 1:  # who they are is asked later, and only then
                ids = np.full(len(found), -1)
            elif ids is None:
                ids = tracker.update(frame.time_s, found, sure, points, scores)
            yield Sight(frame.time_s, ids, found, sure, points, scores)


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
