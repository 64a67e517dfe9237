"""Reader of the field's prepared HumanEva-I: ``data_3d_humaneva15.npz`` and its 2D files.

``positions_3d``: "Train/S1" -> "Walking 1 chunk0" -> (F, 15, 3) metres, world axes; takes are cut
into chunks where the motion capture failed. ``positions_2d``: the same keys -> three arrays
(F, 15, 2) px, one a camera; ``metadata``: ``num_joints`` and ``keypoints_symmetry``.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from lifters3d.data.clips import (
    Clip,
    ClipSet,
    Skeleton,
    check_metres,
    entries,
    entry,
    joint_layout,
    paired,
    points,
    views,
)
from lifters3d.data.h36m_cameras import Camera, world_to_camera
from lifters3d.data.object_arrays import listed, read_object_arrays
from weights.errors import Pose3dError

TABLE = Path(__file__).with_name("humaneva_cameras.json")
FRAME_RATE = 60.0
SUBJECTS = ("S1", "S2", "S3")
# What the papers train and test on, and call it in their tables, subject by subject. The motion
# capture of S3's walk is corrupt, so that its errors are large in all papers.
ACTIONS = {"Walking": "Walk", "Jog": "Jog", "Box": "Box"}

HUMANEVA15 = Skeleton(
    names=(
        "Pelvis",
        "Thorax",
        "LShoulder",
        "LElbow",
        "LWrist",
        "RShoulder",
        "RElbow",
        "RWrist",
        "LHip",
        "LKnee",
        "LAnkle",
        "RHip",
        "RKnee",
        "RAnkle",
        "Head",
    ),
    parents=(-1, 0, 1, 2, 3, 1, 5, 6, 0, 8, 9, 0, 11, 12, 1),
    left=(2, 3, 4, 8, 9, 10),
    right=(5, 6, 7, 11, 12, 13),
    root=0,
)


def humaneva_cameras(subject: str) -> list[Camera]:
    """The three cameras around a subject ("S1"), in the order of the 2D files.

    Their intrinsics are not among the prepared data: NaN, so that nothing can be projected.
    """
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    width, height = table["size_px"]
    return [
        Camera(
            name=name,
            size=(width, height),
            orientation=np.array(outside["orientation_wxyz"]),
            position=np.array(outside["position_mm"]) / 1000,
            intrinsics=np.full(9, np.nan),
        )
        for name, outside in zip(table["names"], table["extrinsics"][subject], strict=True)
    ]


def load_humaneva(path_3d: str | Path, path_2d: str | Path) -> ClipSet:
    """HumanEva-I of 15 joints as the papers use it: Walk, Jog and Box of S1, S2 and S3.

    A clip for every subject, chunk and camera; "Train/..." are for training, "Validate/..." for
    testing. A test clip's ``subject`` and ``action`` together name its column of the tables.

    Parameters
    ----------
    path_3d : ``data_3d_humaneva15.npz``
    path_2d : ``data_2d_humaneva15_gt.npz``, or another file of the same joints

    Raises
    ------
    Pose3dError
        If a file is missing or something else, or the two do not belong together.
    """
    found = read_object_arrays(path_2d, ("positions_2d",), ("metadata",))
    _check_metadata(found.get("metadata"), str(path_2d))
    positions_2d = entries(found["positions_2d"], f"{path_2d}: positions_2d")
    found = read_object_arrays(path_3d, ("positions_3d",))
    positions_3d = entries(found["positions_3d"], f"{path_3d}: positions_3d")

    sets: dict[str, list[Clip]] = {"Train": [], "Validate": []}
    for part, clips in sets.items():
        for subject in SUBJECTS:
            key = f"{part}/{subject}"
            chunks = entries(positions_3d.get(key, {}), f"{path_3d}: {key}")
            for chunk in [name for name in chunks if name.split(" ")[0] in ACTIONS]:
                world = points(chunks[chunk], 15, 3, f"{path_3d}: {key} {chunk}")
                check_metres(world, f"{path_3d}: {key} {chunk}")
                seen = entry(entry(positions_2d, key, f"{path_2d}"), chunk, f"{path_2d}: {key}")
                clips += _clips(key, chunk, world, seen, str(path_2d))
    if not any(sets.values()):
        raise Pose3dError(
            f"{path_3d}: has no Walking, Jog or Box of Train/S1 ... Validate/S3; found "
            f"{listed(list(positions_3d))}"
        )
    return ClipSet("humaneva", HUMANEVA15, train=sets["Train"], test=sets["Validate"])


def _clips(key: str, chunk: str, world: np.ndarray, seen: object, path_2d: str) -> list[Clip]:
    """The three clips of world positions (F, 15, 3) and their 2D, one a camera."""
    subject = key.split("/")[1]
    where = f"{path_2d}: {key} {chunk}"
    clips = []
    for camera, keypoints in zip(humaneva_cameras(subject), views(seen, 3, where), strict=True):
        clips.append(
            Clip(
                name=f"{key} {chunk}.{camera.name}",
                subject=subject,
                action=ACTIONS[chunk.split(" ")[0]],
                camera=camera.name,
                keypoints=paired(keypoints, len(world), 15, f"{where}.{camera.name}"),
                joints=world_to_camera(world, camera),
                size=camera.size,
                frame_rate=FRAME_RATE,
                valid=np.ones(len(world), bool),
            )
        )
    return clips


def _check_metadata(metadata: object, path: str) -> None:
    """Pose3dError if the file tells of other joints than the 15."""
    if metadata is None:
        return
    joints, left, right = joint_layout(metadata, f"{path}: metadata")
    if (joints, left, right) == (15, set(HUMANEVA15.left), set(HUMANEVA15.right)):
        return
    advice = "; these are COCO's: use data_2d_humaneva15_gt.npz" if joints == 17 else ""
    raise Pose3dError(
        f"{path}: metadata: an unknown order of {joints} joints, left {sorted(left)} and right "
        f"{sorted(right)}; expected HumanEva's 15, left {list(HUMANEVA15.left)} and right "
        f"{list(HUMANEVA15.right)}{advice}"
    )
