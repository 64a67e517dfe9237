"""Joints as other projects order and name them."""

from __future__ import annotations

import re
from itertools import product

from pipeline.joints import COCO_NAMES
from weights.errors import Pose3dError

# OpenPose's models, in the order of its poseParameters.
BODY_25: tuple[str, ...] = (
    *("Nose", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist", "MidHip"),
    *("RHip", "RKnee", "RAnkle", "LHip", "LKnee", "LAnkle", "REye", "LEye", "REar", "LEar"),
    *("LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel"),
)
COCO_18: tuple[str, ...] = (
    *("Nose", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist"),
    *("RHip", "RKnee", "RAnkle", "LHip", "LKnee", "LAnkle", "REye", "LEye", "REar", "LEar"),
)
MPI_15: tuple[str, ...] = (
    *("Head", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist"),
    *("RHip", "RKnee", "RAnkle", "LHip", "LKnee", "LAnkle", "Chest"),
)
HALPE_26: tuple[str, ...] = (
    *COCO_NAMES,
    *("head", "neck", "hip", "left_big_toe", "right_big_toe", "left_small_toe"),
    *("right_small_toe", "left_heel", "right_heel"),
)
# COCO-WholeBody and the whole of Halpe go on with feet or face and hands, which nobody needs here.
_BY_COUNT: dict[int, tuple[str, ...]] = {
    17: COCO_NAMES,
    26: HALPE_26,
    133: COCO_NAMES + ("",) * 116,
    136: HALPE_26 + ("",) * 110,
}

# What users and projects call a joint: each side's, and the one in the middle.
_PAIRED = {
    name: name
    for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "eye", "ear", "heel")
} | {"bigtoe": "big_toe", "smalltoe": "small_toe", "hand": "wrist", "foot": "ankle"}
_SINGLE = {name: name for name in ("nose", "neck", "head", "pelvis", "thorax", "spine")} | {
    **dict.fromkeys(("headtop", "topofhead", "tophead", "forehead", "vertex"), "head"),
    **dict.fromkeys(("hip", "hips", "midhip", "hipcenter", "hipcentre", "root"), "pelvis"),
    **dict.fromkeys(("chest", "belly"), "spine"),
    **dict.fromkeys(("neckbase", "necknose", "chin"), "neck_nose"),
}
# DeepLabCut's human models number the sides as the LSP data set lists them.
_SIDES = {"l": "left", "left": "left", "2": "left", "r": "right", "right": "right", "1": "right"}


def canonical(name: str) -> tuple[str, bool] | None:
    """``"RShoulder"``, ``"shoulder.right"``, ``"shoulder1"``: ("right_shoulder", True).

    The second is False for a synonym ("foot" of the ankle). None if no lifter needs the joint.
    """
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
    sides = [_SIDES[word] for word in words if word in _SIDES]
    part = "".join(word for word in words if word not in _SIDES)
    if not sides:
        if part in _SINGLE:
            return _SINGLE[part], part == _SINGLE[part]
        for side, joint in product(("left", "right", "l", "r"), _PAIRED):
            if part in (side + joint, joint + side):
                sides, part = [_SIDES[side]], joint
                break
    if len(sides) != 1 or part not in _PAIRED:
        return None
    return f"{sides[0]}_{_PAIRED[part]}", part == _PAIRED[part].replace("_", "")


def names_by_count(count: int, where: str) -> tuple[str, ...]:
    """The joints of a file that does not name them, from how many there are."""
    if count not in _BY_COUNT:
        raise Pose3dError(
            f"{where}: {count} joints a person; known without names are 17 (COCO), 26 (Halpe), "
            "133 (COCO-WholeBody) and 136 (Halpe)"
        )
    return _BY_COUNT[count]
