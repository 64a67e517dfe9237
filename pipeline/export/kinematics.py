"""Positions to a skeleton that can be animated: constant bones, a rest pose, joint rotations.

A node is named after the joint where it sits and turns the bone that begins there. Where several
bones begin in one joint, each has a node of its own, so that every joint is reproduced exactly.

The rest pose is a T-pose: upright, facing z, arms along x (left is +x), y up. All rotations are 0
in it. The trunk's nodes take their twist from the hips and from the shoulders; limbs turn from
the bone before them by the smallest rotation, because positions do not tell how a bone is twisted
about its own length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lifters3d.skeleton import LHIP, LSHOULDER, PARENTS, RHIP, RSHOULDER

FIT_ROUNDS = 60


@dataclass(frozen=True)
class Node:
    """parent : place in `NODES`, -1 for none; joint : where it sits; aim : the joint at the other
    end of the bone that it turns, -1 for none; across : for the trunk, the joints from right to
    left that give the twist."""

    name: str
    parent: int
    joint: int
    aim: int
    across: tuple[int, int] | None = None


# Parents come before their children, depth first.
NODES: tuple[Node, ...] = (
    Node("Hip", -1, 0, 7, (RHIP, LHIP)),
    Node("RPelvis", 0, 0, 1),
    Node("RHip", 1, 1, 2),
    Node("RKnee", 2, 2, 3),
    Node("RFoot", 3, 3, -1),
    Node("LPelvis", 0, 0, 4),
    Node("LHip", 5, 4, 5),
    Node("LKnee", 6, 5, 6),
    Node("LFoot", 7, 6, -1),
    Node("Spine", 0, 7, 8, (RSHOULDER, LSHOULDER)),
    Node("Thorax", 9, 8, 9),
    Node("Neck_Nose", 10, 9, 10),
    Node("Head", 11, 10, -1),
    Node("LCollar", 9, 8, 11),
    Node("LShoulder", 13, 11, 12),
    Node("LElbow", 14, 12, 13),
    Node("LWrist", 15, 13, -1),
    Node("RCollar", 9, 8, 14),
    Node("RShoulder", 17, 14, 15),
    Node("RElbow", 18, 15, 16),
    Node("RWrist", 19, 16, -1),
)

# (17, 3): directions of the bones that end in each joint, in the rest pose.
_REST = np.array(
    [
        *((0, 0, 0), (-1, 0, 0), (0, -1, 0), (0, -1, 0), (1, 0, 0), (0, -1, 0), (0, -1, 0)),
        *((0, 1, 0), (0, 1, 0), (0, 0.9, 0.45), (0, 1, -0.2)),
        *((1, -0.25, 0), (1, 0, 0), (1, 0, 0), (-1, -0.25, 0), (-1, 0, 0), (-1, 0, 0)),
    ]
)
REST_DIRECTIONS = _REST / np.maximum(np.linalg.norm(_REST, axis=-1, keepdims=True), 1e-9)
# Metres, in the rest pose: what marks the end of feet, hands and head; nothing there is measured.
TIPS: dict[str, tuple[float, float, float]] = {
    "RFoot": (0, 0, 0.12),
    "LFoot": (0, 0, 0.12),
    "Head": (0, 0.04, 0),
    "LWrist": (0.08, 0, 0),
    "RWrist": (-0.08, 0, 0),
}


@dataclass(frozen=True)
class Animation:
    """A skeleton of N nodes in F frames.

    Attributes
    ----------
    offsets : (N, 3) metres, of each node from its parent in the rest pose; (0, 0, 0) for the root
    root : (F, 3) metres, position of the root
    rotations : (F, N, 3, 3), of each node against its parent
    moved : (F, 17) metres, by how much constant bones have moved each joint
    """

    offsets: np.ndarray
    root: np.ndarray
    rotations: np.ndarray
    moved: np.ndarray

    @property
    def moved_note(self) -> str:
        mean, most = 100 * self.moved.mean(), 100 * self.moved.max()
        return f"constant bones move joints by {mean:.1f} cm on average, {most:.1f} at most"

    def rest_positions(self) -> np.ndarray:
        """(N, 3) metres: nodes in the rest pose, the root at the origin."""
        positions = np.zeros_like(self.offsets)
        for place, node in enumerate(NODES):
            if node.parent >= 0:
                positions[place] = positions[node.parent] + self.offsets[place]
        return positions


def animate(joints: np.ndarray) -> Animation:
    """Joints of one person to constant bones and rotations.

    Parameters
    ----------
    joints : (F, 17, 3) metres, y up, finite
    """
    lengths = np.median(bone_lengths(joints), axis=0)
    fitted = constant_bones(joints, lengths)
    offsets = np.zeros((len(NODES), 3))
    world = np.zeros((len(NODES), len(joints), 3, 3))
    rotations = np.zeros((len(joints), len(NODES), 3, 3))
    for place, node in enumerate(NODES):
        before = world[node.parent] if node.parent >= 0 else np.eye(3)
        if node.parent >= 0 and NODES[node.parent].joint != node.joint:
            offsets[place] = lengths[node.joint] * REST_DIRECTIONS[node.joint]
        if node.aim < 0:
            world[place] = before
        else:
            bone = _unit(fitted[:, node.aim] - fitted[:, node.joint])
            if node.across:
                right, left = node.across
                world[place] = _frame(bone, fitted[:, left] - fitted[:, right])
            else:
                world[place] = _swing(before @ REST_DIRECTIONS[node.aim], bone) @ before
        rotations[:, place] = np.swapaxes(before, -1, -2) @ world[place]
    moved = np.linalg.norm(fitted - joints, axis=-1)
    return Animation(offsets, fitted[:, 0], rotations, moved)


def bone_lengths(joints: np.ndarray) -> np.ndarray:
    """(F, 17) metres: of the bone that ends in each joint, 0 for the root."""
    lengths = np.zeros(joints.shape[:2])
    for joint in range(1, 17):
        lengths[:, joint] = np.linalg.norm(joints[:, joint] - joints[:, PARENTS[joint]], axis=-1)
    return lengths


def constant_bones(joints: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Joints (F, 17, 3) near the given ones whose bones have exactly the lengths (17,).

    Both ends of a bone of another length are moved half the way each, bone after bone, some
    rounds long (position-based dynamics; Mueller et al. 2007): errors are shared by neighbours
    instead of adding up towards hands and feet. The bones are then laid end to end from the hip.
    """
    near = np.array(joints, np.float64)
    for _ in range(FIT_ROUNDS):
        for joint in range(1, 17):
            bone = near[:, joint] - near[:, PARENTS[joint]]
            length = np.linalg.norm(bone, axis=-1, keepdims=True)
            change = bone * (0.5 * (lengths[joint] / np.maximum(length, 1e-9) - 1))
            near[:, joint] += change
            near[:, PARENTS[joint]] -= change
    fitted = near.copy()
    for joint in range(1, 17):
        direction = _unit(near[:, joint] - near[:, PARENTS[joint]])
        fitted[:, joint] = fitted[:, PARENTS[joint]] + lengths[joint] * direction
    return fitted


def _unit(vectors: np.ndarray) -> np.ndarray:
    """(F, 3) of length 1; y where there is no direction."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.where(length > 1e-9, vectors / np.maximum(length, 1e-9), [0.0, 1.0, 0.0])


def _frame(up: np.ndarray, across: np.ndarray) -> np.ndarray:
    """(F, 3, 3): rotations that take y to ``up`` (F, 3) exactly and x near ``across`` (F, 3)."""
    # The last term decides only where the two are in line.
    front = np.cross(across, up) + 1e-9 * np.cross([1.0, 0.1, 0.0], up)
    front /= np.linalg.norm(front, axis=-1, keepdims=True)
    return np.stack([np.cross(up, front), up, front], axis=-1)


def _swing(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(F, 3, 3): the smallest rotations from unit vectors ``start`` to ``end``, both (F, 3)."""
    axis, cosine = np.cross(start, end), (start * end).sum(axis=-1)
    opposite = cosine < -1 + 1e-9
    cross = np.zeros((len(end), 3, 3))
    cross[:, [2, 0, 1], [1, 2, 0]] = axis
    cross[:, [1, 2, 0], [2, 0, 1]] = -axis
    scale = 1 / np.where(opposite, 1.0, 1 + cosine)
    swing = np.eye(3) + cross + cross @ cross * scale[:, None, None]
    if opposite.any():  # half a turn about anything across
        spare = np.eye(3)[np.abs(np.broadcast_to(start, end.shape)[opposite]).argmin(axis=-1)]
        across = np.cross(np.broadcast_to(start, end.shape)[opposite], spare)
        across /= np.linalg.norm(across, axis=-1, keepdims=True)
        swing[opposite] = 2 * across[:, :, None] * across[:, None] - np.eye(3)
    return swing
