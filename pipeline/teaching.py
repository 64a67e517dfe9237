"""Training pictures from real videos: people of whose joints a 2D detector is sure.

    python -m pipeline.teaching VIDEO... --out FOLDER [--teacher NETWORK] [--detector NAME]

Writes FOLDER/images/*.jpg, cut out around each person, and FOLDER/annotations.json in COCO's
format, as ``detectors2d.training`` reads it. A joint is a label only where the teacher's score is
high, where it finds the same in the mirrored video (a joint of which left and right are in doubt
is found elsewhere there), and where the joint moves as bodies do; all others have flag 0 and take
no part in training. Such pseudo-labels bring a network that learnt from rendered people closer to
real pictures: Radosavovic et al., "Data Distillation", CVPR 2018, sec. 3.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from detectors2d.heatmaps import COCO_MIRROR
from detectors2d.people.mediapipe import box_around
from pipeline.detection import detect_coco
from pipeline.networks import check_pose2d
from pipeline.progress import Silence
from pipeline.settings import Settings
from pipeline.sightings import Person
from pipeline.video import Frame, VideoReader
from weights.errors import Pose3dError
from weights.files import write_file

SURE = 0.6
# How far the mirrored video may differ, and a joint be from the middle of its neighbours in time,
# in parts of the person's height; faster limbs turn with about 15 heights/s^2.
AGREE, STEADY, TURN_S2 = 0.03, 0.02, 7.5
# Of 17; with fewer a frame teaches nothing.
FEWEST = 10
# A frame must differ by so much from the last one that teaches, the mean of all joints in parts of
# the height.
MOVED = 0.01
# The cut around a person, in sizes of the box, and at most so many pixels.
AROUND, LARGEST = 1.6, 384
# Joints in doubt are believed to be within so much of the sure ones, in sizes of these.
DOUBT = 0.5
QUALITY = 92  # of JPEG


@dataclass(frozen=True)
class Lesson:
    """A person in a frame: index of the frame, joints (17, 2) px, sure (17,) bool."""

    index: int
    joints: np.ndarray
    sure: np.ndarray


def trusted(
    time_s: np.ndarray, one: np.ndarray, other: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where two estimates of a person's joints are to be believed.

    Parameters
    ----------
    time_s : (F,) s
    one, other : (F, 17, 2) px, of the video and of its mirror image; NaN where not found
    scores : (F, 17) in [0, 1], the lower of both

    Returns
    -------
    joints (F, 17, 2) px, the mean of both, and sure (F, 17) bool.
    """
    joints = (one + other) / 2
    with np.errstate(invalid="ignore"):
        height = (joints.max(1) - joints.min(1)).max(-1)[:, None]
        sure = (scores >= SURE) & (np.linalg.norm(one - other, axis=-1) < AGREE * height)
        bent = np.full(sure.shape, np.inf)
        if len(joints) > 2:
            before, after = np.diff(time_s)[:-1], np.diff(time_s)[1:]
            way = (before / (before + after))[:, None, None]
            middle = (1 - way) * joints[:-2] + way * joints[2:]
            bent[1:-1] = np.linalg.norm(joints[1:-1] - middle, axis=-1)
        step = np.gradient(time_s)[:, None] if len(time_s) > 1 else np.ones((1, 1))
        sure &= bent < (STEADY + TURN_S2 * step**2) * height
    return joints, sure


def lessons(
    time_s: np.ndarray, seen: Sequence[Person], mirrored: Sequence[Person], size: tuple[int, int]
) -> list[Lesson]:
    """The frames that teach, of people seen in a video and in its mirror image.

    ``time_s`` (F,); ``mirrored`` are as they were found there, with x from the other side of the
    pictures, whose ``size`` is (width, height) px.
    """
    others = np.stack([person.keypoints for person in mirrored], axis=1)[:, :, list(COCO_MIRROR)]
    others = others * [-1, 1] + [size[0], 0]
    other_scores = np.stack([person.scores for person in mirrored], axis=1)[..., list(COCO_MIRROR)]
    kept = []
    for person in seen:
        away = np.linalg.norm(others - person.keypoints[:, None], axis=-1).mean(-1)
        nearest = np.where(np.isfinite(away), away, np.inf).argmin(1)
        rows = np.arange(len(time_s)), nearest
        scores = np.minimum(person.scores, other_scores[rows])
        joints, sure = trusted(time_s, person.keypoints, others[rows], scores)
        inside = ((joints >= 0) & (joints < size)).all(-1)
        sure &= inside
        last = None
        for index in np.flatnonzero(sure.sum(1) >= FEWEST):
            height = np.ptp(joints[index], axis=0).max()
            if (
                last is None
                or np.linalg.norm(joints[index] - last, axis=-1).mean() > MOVED * height
            ):
                last = joints[index]
                kept.append(Lesson(int(index), joints[index], sure[index]))
    return sorted(kept, key=lambda lesson: lesson.index)


class _Mirrored:
    """A ``VideoReader`` whose pictures are mirrored."""

    def __init__(self, reader: VideoReader) -> None:
        self._reader = reader

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._reader:
            yield replace(frame, image=np.ascontiguousarray(frame.image[:, ::-1]))

    def __getattr__(self, name: str) -> object:
        return getattr(self._reader, name)


def study(video: Path, settings: Settings) -> list[Lesson]:
    """What a video teaches; the network and the detector of the settings are the teacher."""
    seen = detect_coco(VideoReader(video), settings, Silence())
    mirrored = detect_coco(_Mirrored(VideoReader(video)), settings, Silence())
    frames = min(len(seen.time_s), len(mirrored.time_s))
    return lessons(
        seen.time_s[:frames],
        *(
            [Person(one.id, one.keypoints[:frames], one.scores[:frames]) for one in found.people]
            for found in (seen, mirrored)
        ),
        seen.size,
    )


def cut(picture: np.ndarray, lesson: Lesson) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The picture (h, w, 3) around a person, and there the box (4,) xyxy px and joints (17, 2)."""
    height, width = picture.shape[:2]
    sure = lesson.joints[lesson.sure]
    low, high = sure.min(0), sure.max(0)
    around = DOUBT * (high - low)
    joints = lesson.joints.clip(low - around, high + around)
    low, high = box_around(joints, (width, height)).reshape(2, 2)
    middle, half = (low + high) / 2, AROUND * (high - low).max() / 2
    start = np.floor((middle - half).clip(0)).astype(int)
    stop = np.ceil((middle + half).clip(None, (width, height))).astype(int)
    part = picture[start[1] : stop[1], start[0] : stop[0]]
    factor = min(1.0, LARGEST / max(part.shape[:2]))
    if factor < 1:
        size = np.round(factor * (stop - start)).astype(int).tolist()
        part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    box = np.concatenate([low - start, high - start]) * factor
    return part, box, (lesson.joints - start) * factor


def write(
    videos: Sequence[Path], folder: Path, settings: Settings, tell: Callable[[str], None]
) -> None:
    """Write a folder of pictures and labels of videos; tells how many of each.

    Raises Pose3dError for a folder that has some, for videos that cannot be read, and if they teach
    nothing.
    """
    if (folder / "annotations.json").exists():
        raise Pose3dError(f"{folder}: has pictures already; give another --out")
    for video in videos:
        VideoReader(video)  # before the first one has taken its time
    try:
        (folder / "images").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Pose3dError(
            f"{folder}: cannot be made ({error.strerror}); give another --out"
        ) from None
    images, annotations = [], []
    for video in videos:
        wanted: dict[int, list[Lesson]] = {}
        for lesson in study(video, settings):
            wanted.setdefault(lesson.index, []).append(lesson)
        for frame in VideoReader(video):
            for lesson in wanted.get(frame.index, ()):
                part, box, joints = cut(frame.image, lesson)
                number = len(images) + 1
                name = f"images/{number:06d}.jpg"
                code = cv2.imencode(".jpg", part[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
                write_file(folder / name, code.tobytes())
                height, width = part.shape[:2]
                images.append({"id": number, "file_name": name, "width": width, "height": height})
                annotations.append(_annotation(number, box, joints, lesson.sure))
        tell(f"{video}: {sum(map(len, wanted.values()))} pictures")
    if not images:
        raise Pose3dError(f"{', '.join(map(str, videos))}: no frame of whose joints one is sure")
    content = {
        "info": {"description": f"real people, labels of {settings.pose2d}"},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }
    write_file(folder / "annotations.json", json.dumps(content).encode())


def _annotation(number: int, box: np.ndarray, joints: np.ndarray, sure: np.ndarray) -> dict:
    known = np.where(sure[:, None], joints, 0).round(2).tolist()
    keypoints = [[x, y, 2 * int(flag)] for (x, y), flag in zip(known, sure, strict=True)]
    size = box[2:] - box[:2]
    return {
        "id": number,
        "image_id": number,
        "category_id": 1,
        "iscrowd": 0,
        "keypoints": [value for joint in keypoints for value in joint],
        "num_keypoints": int(sure.sum()),
        "bbox": [*box[:2].round(2).tolist(), *size.round(2).tolist()],
        "area": float(size.prod() / 2),  # a body fills about half of its box
    }


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 for bad input, with one line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.teaching", description=__doc__.splitlines()[0]
    )
    parser.add_argument("videos", nargs="+", type=Path, metavar="VIDEO")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER")
    parser.add_argument("--teacher", default="mediapipe", help="as pose3d's --pose2d")
    parser.add_argument("--detector", help="as pose3d's, where the teacher is a network")
    given = parser.parse_args(arguments)
    people = "largest" if given.teacher == "mediapipe" else "all"
    try:
        settings = Settings(pose2d=given.teacher, detector=given.detector, people=people)
        settings = replace(settings, pose2d=check_pose2d(settings))
        write(given.videos, given.out, settings, lambda line: print(line, flush=True))
    except Pose3dError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
