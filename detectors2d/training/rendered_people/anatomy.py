"""The joints of posed bodies in the orders of COCO and Human3.6M, from the rig and the mesh.

Where a data set marks no bone's end, a point of the mesh at rest is fixed to a bone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from detectors2d.training.rendered_people.body import Body
from detectors2d.training.rendered_people.rotations import unit

COCO_NAMES: tuple[str, ...] = (
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
)
# As in COCO's own files, counted from 0.
COCO_LIMBS: tuple[tuple[int, int], ...] = (
    *((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8)),
    *((7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
)
H36M_NAMES: tuple[str, ...] = (
    "Hip",
    "RHip",
    "RKnee",
    "RFoot",
    "LHip",
    "LKnee",
    "LFoot",
    "Spine",
    "Thorax",
    "Nose",
    "Head",
    "LShoulder",
    "LElbow",
    "LWrist",
    "RShoulder",
    "RElbow",
    "RWrist",
)
# Human3.6M's joints that are bones' heads.
_H36M_BONES = {
    1: "RightUpLeg",
    2: "RightLeg",
    3: "RightFoot",
    4: "LeftUpLeg",
    5: "LeftLeg",
    6: "LeftFoot",
    11: "LeftArm",
    12: "LeftForeArm",
    13: "LeftHand",
    14: "RightArm",
    15: "RightForeArm",
    16: "RightHand",
}
_H36M_POINTS = {7: "spine", 8: "thorax", 9: "neck_nose", 10: "head"}
_COCO_POINTS = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
# COCO's shoulders to ankles among Human3.6M's joints.
_COCO_LIMBS_IN_H36M = [11, 14, 12, 15, 13, 16, 4, 1, 5, 2, 6, 3]


class Anchor(NamedTuple):
    """A point that turns with a bone."""

    bone: str
    rest: np.ndarray  # (3,) m


def anchors(body: Body) -> dict[str, Anchor]:
    """Points of the body at rest that are no bones' heads, by name."""
    skin, head = body.rest[body.groups["body"]], body.head["Head"]
    skull = skin[skin[:, 1] > head[1] - 0.02]
    profile = skull[np.abs(skull[:, 0]) < 0.012]
    face = profile[(profile[:, 1] > head[1]) & (profile[:, 1] < head[1] + 0.11)]
    nose = face[face[:, 2].argmax()] * [0, 1, 1]
    # Human3.6M's Neck/Nose lies inside the head, and its Head above that, tilted backwards.
    neck_nose = nose - [0, 0, 0.025]
    top = neck_nose + 0.115 * unit(np.array([0, 0.94, -0.34]))
    shoulders = (body.head["LeftArm"] + body.head["RightArm"]) / 2
    neck, chest = body.head["Neck"], body.head["Spine1"]
    up = (shoulders[1] + 0.055 - chest[1]) / (neck[1] - chest[1])

    def ear(side: int) -> np.ndarray:
        return skull[(skull[:, 0] * side).argmax()] - [side * 0.01, 0, 0]

    def middle(group: str) -> np.ndarray:
        return body.rest[body.groups[group]].mean(0)

    return {
        "neck_nose": Anchor("Head", neck_nose),
        "head": Anchor("Head", top),
        "thorax": Anchor("Spine1", chest + up * (neck - chest)),
        "spine": Anchor("LowerBack", body.head["Spine"] + [0, 0, -0.025]),
        "nose": Anchor("Head", nose),
        "left_eye": Anchor("Head", middle("helper-l-eye")),
        "right_eye": Anchor("Head", middle("helper-r-eye")),
        "left_ear": Anchor("Head", ear(1)),
        "right_ear": Anchor("Head", ear(-1)),
    }


def joints(
    body: Body, points: Mapping[str, Anchor], rotations: np.ndarray, heads: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The joints of a body in T poses.

    Parameters
    ----------
    points : ``anchors`` of the body
    rotations : (T, B, 3, 3), of each bone from where it is at rest
    heads : (T, B, 3) m, where each bone starts

    Returns
    -------
    coco (T, 17, 3) and h36m (T, 17, 3), m
    """

    def point(name: str) -> np.ndarray:
        bone, rest = points[name]
        i = body.index[bone]
        return heads[:, i] + (rotations[:, i] @ (rest - body.head[bone])[:, None])[..., 0]

    h36m = np.empty((len(heads), 17, 3))
    for joint, bone in _H36M_BONES.items():
        h36m[:, joint] = heads[:, body.index[bone]]
    for joint, name in _H36M_POINTS.items():
        h36m[:, joint] = point(name)
    h36m[:, 0] = (h36m[:, 1] + h36m[:, 4]) / 2
    face = np.stack([point(name) for name in _COCO_POINTS], 1)
    return np.concatenate([face, h36m[:, _COCO_LIMBS_IN_H36M]], 1), h36m
