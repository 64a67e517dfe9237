"""Captured poses on bodies of other proportions: rotations carried over, bones kept as they are.

A rotation of the capture is against its T-pose, a body at rest stands in another pose. Each bone is
first turned to the direction that its like has in the T-pose (its "transfer"), then by the capture.
"""

from __future__ import annotations

import numpy as np

from detectors2d.training.rendered_people.body import Body
from detectors2d.training.rendered_people.motion import SIDES, Motion
from detectors2d.training.rendered_people.rotations import (
    aligning_rotation,
    axis_rotation,
    nearest_rotation,
    unit,
)

# The CMU rig has fewer marks of these than a body has bones; values by eye on rendered takes.
CLAVICLE = 0.8  # how much of the captured motion of the shoulder girdle is taken over
HEAD_PITCH = -0.2  # radians: the captured head bone looks down when the face looks ahead
FINGER_CURL = 0.45  # radians: hands at ease
_X, _Y, _Z = np.eye(3)


def retarget(
    body: Body, motion: Motion, rotations: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """T poses of ``motion`` on a body.

    Parameters
    ----------
    body : with the bones of the CMU rig
    motion : the capture
    rotations : (T, 23, 3, 3) in place of the motion's own, as of ``motion.varied``

    Returns
    -------
    rotations (T, B, 3, 3) of the body's bones from where they are at rest, and heads (T, B, 3) m,
    where they start. Paths are scaled by the length of the legs; feet may float or sink.
    """
    turns = motion.rotations if rotations is None else rotations
    captured = {name: turns[:, i] for name, i in motion.index.items()}
    turned = _bone_rotations(body, motion, captured, _transfers(body, motion))

    thigh = np.linalg.norm(body.head["LeftLeg"] - body.head["LeftUpLeg"])
    shin = np.linalg.norm(body.head["LeftFoot"] - body.head["LeftLeg"])
    scale = (thigh + shin) / motion.leg
    stacked = np.stack([turned[name] for name in body.bones], 1)
    heads = np.zeros((len(turns), len(body.bones), 3))
    for name in body.bones:
        parent = body.parent[name]
        if parent is None:
            heads[:, body.index[name]] = motion.root * scale
        else:
            i = body.index[parent]
            bone = (body.head[name] - body.head[parent])[:, None]
            heads[:, body.index[name]] = heads[:, i] + (stacked[:, i] @ bone)[..., 0]
    return stacked, heads


def _transfers(body: Body, motion: Motion) -> dict[str, np.ndarray]:
    """The transfer (3, 3) of every bone that is not simply taken over from the rest pose."""
    head = body.head

    def offset(bone: str) -> np.ndarray:
        return motion.offsets[motion.index[bone]]

    found = {}
    for side, sign in zip(SIDES, (1, -1), strict=True):
        thigh = aligning_rotation(head[side + "Leg"] - head[side + "UpLeg"], offset(side + "Leg"))
        shin = thigh @ (head[side + "Foot"] - head[side + "Leg"])
        found[side + "UpLeg"] = thigh
        found[side + "Leg"] = aligning_rotation(shin, offset(side + "Foot")) @ thigh
        found |= _arm_transfers(body, side, sign * _X, motion.elbows[side])
        # Toes point as far outwards as the capture's do.
        toe, own = offset(side + "ToeBase"), _middle(body, f"joint-{_letter(side)}-toe-3-1")
        own = own - head[side + "Foot"]
        outwards = np.arctan2(toe[0], toe[2]) - np.arctan2(own[0], own[2])
        found[side + "Foot"] = aligning_rotation(_Y, motion.soles[side]) @ axis_rotation(
            _Y, outwards
        )
    found["Neck"] = aligning_rotation(head["Neck1"] - head["Neck"], offset("Neck1"))
    found["Neck1"] = aligning_rotation(head["Head"] - head["Neck1"], offset("Head"))
    return found


def _arm_transfers(
    body: Body, side: str, outwards: np.ndarray, elbow: np.ndarray
) -> dict[str, np.ndarray]:
    """Upper arm, forearm and hand in line along ``outwards`` (3,), hinged about ``elbow`` (3,)."""
    shoulder, wrist = body.head[side + "Arm"], body.head[side + "Hand"]
    upper_arm = body.head[side + "ForeArm"] - shoulder
    forearm = wrist - body.head[side + "ForeArm"]
    palm = _middle(body, f"joint-{_letter(side)}-finger-3-1") - wrist
    upper = aligning_rotation(upper_arm, outwards)
    hinge = unit(np.cross(upper @ upper_arm, upper @ forearm))
    upper = axis_rotation(_X, np.arctan2(np.cross(hinge, elbow) @ _X, hinge @ elbow)) @ upper
    lower = aligning_rotation(upper @ forearm, outwards) @ upper
    hand = aligning_rotation(lower @ palm, outwards) @ lower
    thumb = hand @ (body.tail[side[0] + "Thumb"] - wrist)
    thumb[0] = 0
    to_front = np.arctan2(np.cross(thumb, _Z) @ _X, thumb[2])
    hand = axis_rotation(_X, to_front) @ hand
    return {side + "Arm": upper, side + "ForeArm": lower, side + "Hand": hand}


def _bone_rotations(
    body: Body,
    motion: Motion,
    captured: dict[str, np.ndarray],
    transfers: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Rotations (T, 3, 3) from the rest pose of every bone of the body."""
    turned = {}
    for side, sign in zip(SIDES, (1, -1), strict=True):
        hand = captured[side + "FingerBase"] @ transfers[side + "Hand"]
        curl = axis_rotation(_Z, -FINGER_CURL * sign)
        fingers = captured[side + "FingerBase"] @ curl @ transfers[side + "Hand"]
        forearm = captured[side + "ForeArm"] @ transfers[side + "ForeArm"]
        shoulder = _damped(captured["Spine1"], captured[side + "Shoulder"], motion.clavicles[side])
        turned |= {
            side[0] + "HipJoint": captured["Hips"],
            side + "Shoulder": shoulder,
            side + "ForeArm": _half_twisted(body, side, forearm, hand),
            side + "Hand": hand,
            side + "FingerBase": hand,
            side + "HandFinger1": fingers,
            side[0] + "Thumb": hand,
            side + "ToeBase": captured[side + "ToeBase"] @ transfers[side + "Foot"],
        }
        for bone in ("Arm", "UpLeg", "Leg", "Foot"):
            turned[side + bone] = captured[side + bone] @ transfers[side + bone]
    for bone in ("Hips", "LowerBack", "Spine", "Spine1"):
        turned[bone] = captured[bone]
    for bone in ("Neck", "Neck1"):
        turned[bone] = captured[bone] @ transfers[bone]
    turned["Head"] = captured["Head"] @ axis_rotation(_X, HEAD_PITCH)
    return turned


def _damped(chest: np.ndarray, shoulder: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """A shoulder girdle's rotations (T, 3, 3), nearer to its mean (3, 3) against the chest."""
    against_chest = np.swapaxes(chest, -1, -2) @ shoulder @ mean.T
    return chest @ nearest_rotation(np.eye(3) * (1 - CLAVICLE) + CLAVICLE * against_chest)


def _half_twisted(body: Body, side: str, forearm: np.ndarray, hand: np.ndarray) -> np.ndarray:
    """A forearm's rotations (T, 3, 3) with half of the twist that leads to the hand's (T, 3, 3)."""
    bone = body.head[side + "Hand"] - body.head[side + "ForeArm"]
    axis = unit((forearm @ bone[:, None])[..., 0])
    across = unit(np.cross(bone, _Z))
    start, end = (forearm @ across[:, None])[..., 0], (hand @ across[:, None])[..., 0]
    end = end - (end * axis).sum(-1, keepdims=True) * axis
    twist = np.arctan2((np.cross(start, end) * axis).sum(-1), (start * end).sum(-1))
    rows = zip(axis, twist, forearm, strict=True)
    return np.stack([axis_rotation(a, 0.5 * angle) @ turn for a, angle, turn in rows])


def _middle(body: Body, group: str) -> np.ndarray:
    return body.rest[body.groups[group]].mean(0)


def _letter(side: str) -> str:
    return side[0].lower()
