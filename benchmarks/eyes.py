"""How 2D networks see videos: against the truth where it is known, else against MediaPipe.

    python -m benchmarks.eyes VIDEO... --pose2d NETWORK... [--detector NAME] [--sheets FOLDER]

A truth (``coco2d``, ``coco_visible`` in VIDEO's .npz beside it) is compared with every person's
nearest finding in a frame; without one, with MediaPipe's person where both found somebody (of
several the one that fits best): that is agreement, not error, and where two disagree the sheet of
frames, which draws MediaPipe's joints thin and the network's thick, shows who is right. Distances
are in parts of the person's height, which is the longer side of the box around the joints.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from detectors2d.training.rendered_people.anatomy import COCO_NAMES
from pipeline.detection import Detections, detect_coco
from pipeline.progress import Silence
from pipeline.settings import Settings
from pipeline.video import VideoReader
from weights.errors import Pose3dError

# Joints of the reference below this score are no reference.
SURE = 0.5
LIMBS = (
    (5, 7), (7, 9), (6, 8), (8, 10), (5, 6), (5, 11), (6, 12), (11, 12),
    (11, 13), (13, 15), (12, 14), (14, 16), (0, 5), (0, 6),
)  # fmt: skip


def look(video: Path, pose2d: str, detector: str | None, end: float | None) -> Detections:
    """All people that a network sees in a video."""
    alone = pose2d == "mediapipe" or detector == "mediapipe"
    settings = Settings(
        pose2d=pose2d,
        detector=None if pose2d == "mediapipe" else detector,
        people="largest" if alone else "all",
        end=end,
    )
    return detect_coco(VideoReader(video, end_s=end), settings, Silence())


def reference(video: Path, end: float | None) -> tuple[np.ndarray, np.ndarray, str]:
    """Keypoints (F, P, 17, 2), which of them count (F, P, 17), and whose word it is."""
    truth = video.with_suffix(".npz")
    if truth.is_file():
        with np.load(truth) as file:
            frames = slice(None if end is None else round(end * float(file["fps"])))
            return file["coco2d"][frames], file["coco_visible"][frames], "truth"
    found = look(video, "mediapipe", None, end)
    keypoints = found.people[0].keypoints[:, None]
    sure = (found.people[0].scores[:, None] > SURE) & np.isfinite(keypoints).all(-1)
    inside = ((keypoints >= 0) & (keypoints < np.array(found.size))).all(-1)
    return keypoints, sure & inside, "MediaPipe"


def distances(
    found: Detections, points: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(F, P, 17) in parts of the height, NaN where nothing is compared; whether found (F, P)."""
    theirs = np.stack([person.keypoints for person in found.people], axis=1)
    frames = min(len(points), len(theirs))
    points, counts, theirs = points[:frames], counts[:frames], theirs[:frames]
    known = np.where(counts[..., None], points, np.nan)
    present = counts.sum(-1) >= 4
    with np.errstate(all="ignore"):
        spread = np.nanmax(np.where(present[..., None, None], known, 0), axis=2) - np.nanmin(
            np.where(present[..., None, None], known, 0), axis=2
        )
        height = spread.max(-1)
        # (F, P, theirs, 17)
        away = (
            np.linalg.norm(known[:, :, None] - theirs[:, None], axis=-1) / height[..., None, None]
        )
        each = np.where(np.isfinite(away).any(-1), np.nanmedian(away, axis=-1), np.inf)
    best = each.argmin(-1)
    rows = np.take_along_axis(away, best[..., None, None], axis=2)[:, :, 0]
    seen = present & (each.min(-1) < 0.3)
    return np.where(present[..., None], rows, np.nan), np.where(present, seen, False)


def report(name: str, away: np.ndarray, seen: np.ndarray, there: np.ndarray) -> None:
    """A row: the share of people found, and of those how far the joints are."""
    known = away[seen]
    valid = known[np.isfinite(known)]
    if not len(valid):
        print(f"  {name[-36:]:36s} found nobody", flush=True)
        return
    joints = np.nanmedian(known, axis=0)
    print(
        f"  {name[-36:]:36s} found {100 * seen.sum() / max(there.sum(), 1):5.1f} %  "
        f"median {100 * np.median(valid):5.2f} %  "
        f"within 5 % {100 * (valid < 0.05).mean():5.1f}  "
        f"10 % {100 * (valid < 0.10).mean():5.1f}",
        flush=True,
    )
    pairs = ", ".join(
        f"{COCO_NAMES[left].removeprefix('left_')} {100 * np.nanmean(joints[[left, left + 1]]):.1f}"
        for left in range(1, 17, 2)
    )
    print(f"    nose {100 * joints[0]:.1f}, {pairs}", flush=True)


def sheet(
    video: Path, end: float | None, points: np.ndarray, counts: np.ndarray, found: Detections
) -> np.ndarray:
    """Twelve frames of a video, (H, W, 3) uint8 BGR: the reference thin, the network thick."""
    total = len(found.time_s)
    wanted = set(np.linspace(0, total - 1, 12).astype(int).tolist())
    tiles = []
    for index, frame in enumerate(VideoReader(video, end_s=end)):
        if index not in wanted:
            continue
        tile, shown = np.ascontiguousarray(frame.image[..., ::-1]), []
        for person in found.people:
            sure = person.scores[index] > 0.2
            _draw(tile, person.keypoints[index], sure, 3)
            shown.append(person.keypoints[index][sure])
        for one, sure in zip(points[index], counts[index], strict=True):
            _draw(tile, one, sure, 1)
            shown.append(one[sure])
        tiles.append(_around(tile, np.concatenate(shown)))
    blank = np.zeros_like(tiles[0])
    tiles += [blank] * (-len(tiles) % 4)
    return np.vstack([np.hstack(tiles[row : row + 4]) for row in range(0, len(tiles), 4)])


def _around(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The part of a picture (360, 480, 3) around points (n, 2) px, all of it if there are none."""
    height, width = picture.shape[:2]
    points = points[np.isfinite(points).all(1)] if len(points) else points
    low, high = (points.min(0), points.max(0)) if len(points) else (0, np.array([width, height]))
    center, size = (low + high) / 2, 1.25 * np.max((high - low) / (480, 360)) + 1e-6
    to_tile = np.array([[1, 0, 0], [0, 1, 0]], np.float64) / size
    to_tile[:, 2] = np.array([240, 180]) - center / size
    return cv2.warpAffine(picture, to_tile, (480, 360), flags=cv2.INTER_AREA)


def _draw(tile: np.ndarray, points: np.ndarray, sure: np.ndarray, thickness: int) -> None:
    reference = thickness == 1
    known = points[sure & np.isfinite(points).all(-1)]
    thickness = max(1, round(thickness * np.ptp(known, axis=0).max() / 360)) if len(known) else 1
    for a, b in LIMBS:
        if sure[a] and sure[b] and np.isfinite(points[[a, b]]).all():
            # Left is orange, right is blue; the reference is white and gray.
            left = a % 2 == 1
            color = (0, 140, 255) if left else (255, 120, 0)
            if reference:
                color = (255, 255, 255) if left else (160, 160, 160)
            start, stop = (tuple(np.round(points[i]).astype(int).tolist()) for i in (a, b))
            cv2.line(tile, start, stop, color, thickness, cv2.LINE_AA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--pose2d", nargs="+", default=["mediapipe"], metavar="NETWORK")
    parser.add_argument("--detector", help="of people, for the networks")
    parser.add_argument("--end", type=float, help="seconds of each video; all if not given")
    parser.add_argument("--sheets", type=Path, metavar="FOLDER", help="write frames to look at")
    given = parser.parse_args()
    for video in given.videos:
        points, counts, whose = reference(video, given.end)
        there = counts.sum(-1) >= 4
        print(f"{video.name}: {there.any(1).mean():.0%} of frames have somebody by {whose}")
        for pose2d in given.pose2d:
            if pose2d == whose.lower():
                continue
            found = look(video, pose2d, given.detector, given.end)
            away, seen = distances(found, points, counts)
            report(pose2d, away, seen, there[: len(away)])
            if given.sheets is not None:
                given.sheets.mkdir(parents=True, exist_ok=True)
                path = given.sheets / f"{video.stem}-{Path(pose2d).stem}.png"
                cv2.imwrite(str(path), sheet(video, given.end, points, counts, found))


if __name__ == "__main__":
    try:
        main()
    except Pose3dError as error:
        sys.exit(f"error: {error}")
