"""Reader of VideoPose3D's files of one's own videos: ``data_2d_custom_NAME.npz``.

``positions_2d``: video -> "custom" -> one array (F, 17, 2) px; ``metadata``: ``num_joints``,
``keypoints_symmetry`` and ``video_metadata``: video -> {"w", "h"} px. There is no 3D.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lifters3d.data.clips import (
    H36M,
    Clip,
    ClipSet,
    Skeleton,
    entries,
    entry,
    joint_layout,
    points,
    told,
    views,
)
from lifters3d.data.object_arrays import read_object_arrays
from weights.errors import Pose3dError

# What VideoPose3D's own tool writes. The lifters do not know this order: pipeline.joints does.
COCO = Skeleton(
    names=(
        "nose",
        "left_eye",
        "right_eye",
        "left_ear",
        "right_ear",
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
        "left_wrist",
        "right_wrist",
        "left_hip",
        "right_hip",
        "left_knee",
        "right_knee",
        "left_ankle",
        "right_ankle",
    ),
    parents=(-1, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14),
    left=tuple(range(1, 17, 2)),
    right=tuple(range(2, 17, 2)),
    root=None,
)


def load_custom(path_2d: str | Path) -> ClipSet:
    """Keypoints of one's own videos: a test clip for every video, without 3D and frame rate.

    The skeleton is the file's: ``COCO``, or Human3.6M's (``clips.H36M``) if the file says so.

    Parameters
    ----------
    path_2d : ``data_2d_custom_NAME.npz``

    Raises
    ------
    Pose3dError
        If the file is missing or something else.
    """
    found = read_object_arrays(path_2d, ("positions_2d", "metadata"))
    metadata = entries(found["metadata"], f"{path_2d}: metadata")
    skeleton = _skeleton(metadata, f"{path_2d}: metadata")
    sizes = entry(metadata, "video_metadata", f"{path_2d}: metadata")

    clips = []
    for video, kinds in entries(found["positions_2d"], f"{path_2d}: positions_2d").items():
        where = f"{path_2d}: {video}"
        (seen,) = views(entry(kinds, "custom", where), 1, where)
        keypoints = points(seen, len(skeleton.names), 2, where)
        clips.append(
            Clip(
                name=video,
                subject=video,
                action="custom",
                camera="0",
                keypoints=keypoints,
                joints=None,
                size=_size(entry(sizes, video, f"{path_2d}: video_metadata"), where),
                frame_rate=None,
                valid=np.ones(len(keypoints), bool),
            )
        )
    if not clips:
        raise Pose3dError(f"{path_2d}: holds no videos")
    return ClipSet("custom", skeleton, train=[], test=clips)


def _skeleton(metadata: dict, where: str) -> Skeleton:
    joints, left, right = joint_layout(metadata, where)
    for skeleton in (COCO, H36M):
        if (joints, left, right) == (17, set(skeleton.left), set(skeleton.right)):
            return skeleton
    raise Pose3dError(
        f"{where}: an unknown order of {joints} joints, left {sorted(left)} and right "
        f"{sorted(right)}; expected the 17 of COCO or of Human3.6M"
    )


def _size(value: object, where: str) -> tuple[int, int]:
    size = entry(value, "w", f"{where} size"), entry(value, "h", f"{where} size")
    if not all(isinstance(side, int | float) and side >= 1 for side in size):
        raise Pose3dError(f"{where}: expected the video's w and h in px, found {told(value)}")
    return int(size[0]), int(size[1])
