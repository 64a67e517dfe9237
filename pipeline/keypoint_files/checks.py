"""What may be wrong with keypoints of which only the file is known: scale, sides, gaps."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np

from pipeline.keypoint_files.people import KeypointFile
from weights.errors import Pose3dError

# Pairs of joints, left first, of which most are side by side in most poses.
_PAIRS: dict[str, dict[str, tuple[int, int]]] = {
    "coco": {
        "eyes": (1, 2),
        "ears": (3, 4),
        "elbows": (7, 8),
        "hips": (11, 12),
        "knees": (13, 14),
    },
    "h36m": {"elbows": (12, 15), "hips": (4, 1), "knees": (5, 2)},
}
_PAIRS["halpe26"] = _PAIRS["coco"]
_SHOULDERS = {"coco": (5, 6), "halpe26": (5, 6), "h36m": (11, 14)}
_HIPS = {"coco": (11, 12), "halpe26": (11, 12), "h36m": (4, 1)}
_FACE = [0, 1, 2]  # nose and eyes of COCO and Halpe
_HEAD = {"coco": 0, "halpe26": 0, "h36m": 9}

# Shoulders and other pairs count where they are wider than this, in lengths of the trunk.
_WIDE, _APART = 0.3, 0.05
_MOST = 0.7
_ENOUGH = 5


def in_pixels(file: KeypointFile, size: tuple[int, int] | None) -> KeypointFile:
    """The file with coordinates in px and the pictures' size, which may be given.

    Raises Pose3dError if the size is not known, or is not the file's, or the unit is neither px
    nor parts of the picture.
    """
    if size is not None and file.size is not None and tuple(size) != tuple(file.size):
        raise Pose3dError(
            f"{file.path}: made from pictures of {file.size[0]}x{file.size[1]}, not "
            f"{size[0]}x{size[1]}"
        )
    size = size or file.size
    values = np.concatenate([track.keypoints.ravel() for track in file.tracks])
    values = values[np.isfinite(values)]
    parts = np.median(np.abs(values)) <= 1.5
    if parts and (values < 0).mean() > 0.25:
        raise Pose3dError(
            f"{file.path}: coordinates from {values.min():.2g} to {values.max():.2g}, which is "
            "neither px nor parts of the picture (0 to 1); write px (--keypoint_scale 0 of "
            "OpenPose)"
        )
    if size is None:
        what = "its coordinates are parts of the picture (0 to 1)" if parts else "no picture size"
        raise Pose3dError(f"{file.path}: {what}; give --size WIDTHxHEIGHT, or the --video")
    if not parts:
        return replace(file, size=size)
    scale = np.array(size, np.float32)
    tracks = [replace(track, keypoints=track.keypoints * scale) for track in file.tracks]
    warnings = list(file.warnings)
    if file.format != "mediapipe":
        warnings.append(f"coordinates from 0 to 1 are taken as parts of {size[0]}x{size[1]}")
    return replace(file, size=size, tracks=tracks, warnings=warnings)


def warnings_of(file: KeypointFile) -> list[str]:
    """What looks wrong, a sentence each; of a file ``in_pixels``."""
    return [*_outside(file), *_upside_down(file), *_sides(file), *_gaps(file)]


def _outside(file: KeypointFile) -> list[str]:
    points = np.concatenate([track.keypoints.reshape(-1, 2) for track in file.tracks])
    points = points[np.isfinite(points).all(axis=-1)]
    share = ((points < 0) | (points > file.size)).any(axis=-1).mean()
    if share <= 0.2:
        return []
    right, low = points.max(axis=0)
    return [
        f"{share:.0%} of the joints lie outside of pictures of {file.size[0]}x{file.size[1]} (up "
        f"to {right:.0f}, {low:.0f}): is the size right?"
    ]


def _upside_down(file: KeypointFile) -> list[str]:
    points = np.concatenate([track.keypoints for track in file.tracks])
    hips = points[:, _HIPS[file.layout.kind], 1].mean(axis=1)
    below = points[:, _HEAD[file.layout.kind], 1] - hips
    below = below[np.isfinite(below)]
    if len(below) < _ENOUGH or (below > 0).mean() < _MOST:
        return []
    return [
        f"the head is below the hips in {(below > 0).mean():.0%} of the frames: does y point up, "
        "or are the joints in another order?"
    ]


def _sides(file: KeypointFile) -> list[str]:
    """Left and right: of the pairs among each other, and of who is seen from the front."""
    kind = file.layout.kind
    points = np.concatenate([track.keypoints for track in file.tracks])
    scores = np.concatenate([track.scores for track in file.tracks])
    middles = [points[:, pair].mean(axis=1) for pair in (_SHOULDERS[kind], _HIPS[kind])]
    trunk = np.linalg.norm(middles[0] - middles[1], axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        across = {
            name: (points[:, left, 0] - points[:, right, 0]) / trunk
            for name, (left, right) in {"shoulders": _SHOULDERS[kind], **_PAIRS[kind]}.items()
        }
    shoulders = across.pop("shoulders")
    wide = np.abs(shoulders) > _WIDE  # False where NaN
    found = []
    for name, pair in across.items():
        both = wide & (np.abs(pair) > _APART)
        against = shoulders[both] * pair[both] < 0
        if len(against) >= _ENOUGH and against.mean() > _MOST:
            found.append(
                f"left and right of the {name} contradict those of the shoulders in "
                f"{against.mean():.0%} of the frames: are sides exchanged?"
            )
    # Without scores nobody knows whether a face was seen.
    if kind != "h36m" and np.ptp(scores[scores > 0]) > 0:
        front = wide & (scores[:, _FACE] >= 0.5).all(axis=-1)
        mirrored = shoulders[front] < 0
        if len(mirrored) >= _ENOUGH and mirrored.mean() > _MOST:
            found.append(
                f"the left shoulder is on the picture's left in {mirrored.mean():.0%} of the "
                "frames that show a face: mirrored, sides exchanged, or filmed from behind?"
            )
    return found


def _gaps(file: KeypointFile) -> list[str]:
    frames = np.unique(list(chain.from_iterable(track.frames for track in file.tracks)))
    longest = int(np.diff(frames, prepend=-1, append=file.frames).max()) - 1
    if not longest:
        return []
    return [
        f"{file.frames - len(frames)} of {file.frames} frames tell of nobody, {longest} of them in "
        "a row at most"
    ]
