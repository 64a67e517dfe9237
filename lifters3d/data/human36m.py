"""Reader of the field's prepared Human3.6M: ``data_3d_h36m.npz`` and ``data_2d_h36m_*.npz``.

``positions_3d``: subject -> action -> (F, 32, 3) metres, world axes. ``positions_2d``: subject ->
action -> four arrays (F or more, J, 2) px, one a camera; ``metadata``, which not all files have:
``num_joints`` and ``keypoints_symmetry``, from which the order of the joints can be told.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from lifters3d.data.clips import (
    H36M,
    Clip,
    ClipSet,
    Skeleton,
    check_metres,
    entries,
    entry,
    joint_count,
    joint_layout,
    paired,
    points,
    views,
)
from lifters3d.data.h36m_cameras import cameras, world_to_camera
from lifters3d.data.object_arrays import listed, read_object_arrays
from lifters3d.skeleton import LEFT, NOSE, RIGHT
from weights.errors import Pose3dError

FRAME_RATE = 50.0
TRAIN_SUBJECTS = ("S1", "S5", "S6", "S7", "S8")
TEST_SUBJECTS = ("S9", "S11")
# The 17 of the 32 recorded joints that are no doubles and no fingers or toes.
JOINTS_IN_32 = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
# One of its videos is corrupt; all papers leave it out.
LEFT_OUT = ("S11", "Directions")


class _Layout(NamedTuple):
    """How a 2D file orders its joints: ``order`` picks those of ``skeleton`` from it."""

    order: tuple[int, ...]
    skeleton: Skeleton
    in_17: tuple[int, ...]  # the same joints among the 17


_WITHOUT_NOSE = tuple(joint for joint in range(17) if joint != NOSE)
_SKELETON_16 = H36M.without(NOSE)
_LAYOUT_17 = _Layout(tuple(range(17)), H36M, tuple(range(17)))
# HRNet's and others' of EvoSkeleton and PoseAug.
_LAYOUT_16 = _Layout(tuple(range(16)), _SKELETON_16, _WITHOUT_NOSE)
# Stacked Hourglass: the order of MPII, read as Martinez et al. ("A simple yet effective baseline
# for 3d human pose estimation", ICCV 2017) do, who made these detections.
_LAYOUT_MPII = _Layout(
    (6, 2, 1, 0, 3, 4, 5, 7, 8, 9, 13, 14, 15, 12, 11, 10), _SKELETON_16, _WITHOUT_NOSE
)
_COCO_SIDES = (frozenset(range(1, 17, 2)), frozenset(range(2, 17, 2)))
_SIDES = {
    (17, frozenset(LEFT), frozenset(RIGHT)): _LAYOUT_17,
    (16, frozenset(_SKELETON_16.left), frozenset(_SKELETON_16.right)): _LAYOUT_16,
    (16, frozenset({3, 4, 5, 13, 14, 15}), frozenset({0, 1, 2, 10, 11, 12})): _LAYOUT_MPII,
}


def load_human36m(path_3d: str | Path, path_2d: str | Path) -> ClipSet:
    """Human3.6M as all papers use it: a clip for every subject, action and camera.

    Subjects S1, S5, S6, S7 and S8 train, S9 and S11 test; of these, those in the files are taken.
    The 2D are cut to the frames of the 3D, which are turned into each camera's axes. Files without
    Neck/Nose ("hr", "sh") give 16 joints of the Human3.6M skeleton, others 17.

    Parameters
    ----------
    path_3d : ``data_3d_h36m.npz``
    path_2d : any ``data_2d_h36m_*.npz`` but those in COCO's order

    Raises
    ------
    Pose3dError
        If a file is missing or something else, or the two do not belong together.
    """
    found = read_object_arrays(path_2d, ("positions_2d",), ("metadata",))
    positions_2d = entries(found["positions_2d"], f"{path_2d}: positions_2d")
    layout = _layout(positions_2d, found.get("metadata"), str(path_2d))
    found = read_object_arrays(path_3d, ("positions_3d",))
    positions_3d = entries(found["positions_3d"], f"{path_3d}: positions_3d")

    clips: dict[str, list[Clip]] = {}
    for subject in (*TRAIN_SUBJECTS, *TEST_SUBJECTS):
        if subject in positions_3d:
            actions_3d = entries(positions_3d[subject], f"{path_3d}: {subject}")
            actions_2d = entries(
                entry(positions_2d, subject, f"{path_2d}: positions_2d"), f"{path_2d}: {subject}"
            )
            clips[subject] = []
            for action in [name for name in actions_3d if (subject, name) != LEFT_OUT]:
                where = f"{subject} {action}"
                world = points(actions_3d[action], 32, 3, f"{path_3d}: {where}")
                check_metres(world, f"{path_3d}: {where}")
                seen = views(
                    entry(actions_2d, action, f"{path_2d}: {subject}"), 4, f"{path_2d}: {where}"
                )
                clips[subject] += _clips(subject, action, world, seen, layout, str(path_2d))
                # The files are large: what is copied need not stay in memory.
                actions_3d[action] = actions_2d[action] = None
    if not clips:
        raise Pose3dError(
            f"{path_3d}: has no subject of {', '.join((*TRAIN_SUBJECTS, *TEST_SUBJECTS))}; found "
            f"{listed(list(positions_3d))}"
        )
    return ClipSet(
        name="human36m",
        skeleton=layout.skeleton,
        train=[clip for subject in TRAIN_SUBJECTS for clip in clips.get(subject, [])],
        test=[clip for subject in TEST_SUBJECTS for clip in clips.get(subject, [])],
    )


def _clips(
    subject: str, action: str, world: np.ndarray, seen: list, layout: _Layout, path_2d: str
) -> list[Clip]:
    """The four clips of world positions (F, 32, 3) and their 2D, one a camera."""
    world = world[:, np.array(JOINTS_IN_32)[list(layout.in_17)]]
    clips = []
    for camera, keypoints in zip(cameras(subject), seen, strict=True):
        name = f"{subject} {action}.{camera.name}"
        keypoints = paired(keypoints, len(world), len(layout.order), f"{path_2d}: {name}")
        clips.append(
            Clip(
                name=name,
                subject=subject,
                action=action.split(" ")[0],
                camera=camera.name,
                keypoints=keypoints[:, list(layout.order)],
                joints=world_to_camera(world, camera),
                size=camera.size,
                frame_rate=FRAME_RATE,
                valid=np.ones(len(world), bool),
            )
        )
    return clips


def _layout(positions_2d: dict, metadata: object, path: str) -> _Layout:
    """The order of the joints, from their number and from what the file says of it."""
    joints = _first_joint_count(positions_2d, path)
    if metadata is None:
        by_number = {17: _LAYOUT_17, 16: _LAYOUT_16}
        if joints not in by_number:
            raise Pose3dError(
                f"{path}: {joints} joints; expected Human3.6M's 17, or 16 without nose"
            )
        return by_number[joints]
    where = f"{path}: metadata"
    number, left, right = joint_layout(metadata, where)
    if number != joints:
        raise Pose3dError(f"{where} tells of {number} joints, but there are {joints}")
    if joints == 17 and (left, right) == _COCO_SIDES:
        raise Pose3dError(
            f"{path}: joints in COCO's order, in which Human3.6M's hip, spine, thorax and head are "
            "not marked; use detections fine-tuned on Human3.6M, such as "
            "data_2d_h36m_cpn_ft_h36m_dbb.npz"
        )
    if (joints, left, right) not in _SIDES:
        raise Pose3dError(
            f"{where}: an unknown order of {joints} joints, left {sorted(left)} and right "
            f"{sorted(right)}; expected Human3.6M's, left {list(LEFT)} and right {list(RIGHT)}"
        )
    return _SIDES[joints, left, right]


def _first_joint_count(positions_2d: dict, path: str) -> int:
    for subject, actions in positions_2d.items():
        for action, seen in entries(actions, f"{path}: {subject}").items():
            where = f"{path}: {subject} {action}"
            return joint_count(views(seen, 4, where)[0], where)
    raise Pose3dError(f"{path}: positions_2d is empty")
