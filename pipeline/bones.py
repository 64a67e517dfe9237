"""Bodies: bones of constant length, and how tall a person is."""

from __future__ import annotations

import numpy as np

from lifters3d.skeleton import HIP, LEFT, MIRROR, PARENTS, RIGHT, THORAX

BONES: tuple[tuple[int, int], ...] = tuple(
    (parent, joint) for joint, parent in enumerate(PARENTS) if parent >= 0
)
# A joint moves this many times as easily along the line of sight as across it, where it was seen.
DEPTH_MOBILITY = 4.0
ROUNDS = 20
# Legs and trunk, from ankle over knee and hip to thorax, over the height of the body: the mean of
# the four people of our rendered clips, who agree within 1 %. (Drillis and Contini, "Body segment
# parameters", 1966, have the shoulders at 0.818 of the height and the ankles at 0.039.)
LEGS_AND_TRUNK = 0.786


def bone_lengths(joints3d: np.ndarray) -> np.ndarray:
    """Length of each joint's bone, to its parent, in a person's clip, left as long as right.

    Parameters
    ----------
    joints3d : (F, 17, 3) metres; frames that are not finite are left out

    Returns
    -------
    (17,) metres: medians over the frames, means of both sides; 0 for the root, NaN without frames.
    """
    poses = joints3d[np.isfinite(joints3d).all(axis=(1, 2))].astype(np.float64)
    if not len(poses):
        return np.full(17, np.nan)
    lengths = np.zeros(17)
    for parent, joint in BONES:
        lengths[joint] = np.median(np.linalg.norm(poses[:, joint] - poses[:, parent], axis=-1))
    return (lengths + lengths[list(MIRROR)]) / 2


def constant_bones(
    joints3d: np.ndarray, keypoints2d: np.ndarray, focal: float, size: tuple[int, int]
) -> np.ndarray:
    """Give one person's bones the same length in every frame: ``bone_lengths`` of the clip.

    Each pose becomes one near to it, in which joints have moved along the line of sight rather than
    across it (position based dynamics, Mueller et al. 2007: bone by bone, both ends move until its
    length is right, round after round).

    Parameters
    ----------
    joints3d : (F, 17, 3) metres, root-relative, camera axes; NaN where absent
    keypoints2d : (F, 17, 2) px; of them only the hip, for the line of sight
    focal : px
    size : width and height of the picture, px

    Returns
    -------
    (F, 17, 3) of the same dtype, root-relative; NaN where absent.
    """
    present = np.isfinite(joints3d).all(axis=(1, 2)) & np.isfinite(keypoints2d[:, HIP]).all(axis=-1)
    poses = joints3d[present].astype(np.float64)
    lengths = bone_lengths(joints3d)
    sight = np.ones((len(poses), 3))
    sight[:, :2] = (keypoints2d[present, HIP] - np.array(size) / 2) / focal
    sight /= np.linalg.norm(sight, axis=-1, keepdims=True)
    for _ in range(ROUNDS):
        for parent, joint in BONES:
            direction, length = _directions(poses[:, joint] - poses[:, parent])
            along = (direction * sight).sum(axis=-1, keepdims=True)
            move = direction + (DEPTH_MOBILITY - 1) * along * sight
            gain = (move * direction).sum(axis=-1, keepdims=True)
            move *= (length - lengths[joint]) / (2 * gain)
            poses[:, joint] -= move
            poses[:, parent] += move
    constant = joints3d.copy()
    exact = np.zeros_like(poses)
    for parent, joint in BONES:  # what the rounds have left, a millimetre or so
        direction, _ = _directions(poses[:, joint] - poses[:, parent])
        exact[:, joint] = exact[:, parent] + direction * lengths[joint]
    constant[present] = exact
    return constant


def _directions(bones: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (n, 3) and lengths (n, 1) of bones (n, 3); a bone of no length points down."""
    length = np.linalg.norm(bones, axis=-1, keepdims=True)
    return np.where(length > 1e-9, bones / np.maximum(length, 1e-9), (0.0, 1.0, 0.0)), length


def body_height(joints3d: np.ndarray) -> float:
    """Standing height in metres, sole to crown, of a person's joints (F, 17, 3); NaN without any.

    From the usual lengths of legs and trunk, so that nobody has to stand upright.
    """
    lengths = bone_lengths(joints3d)
    legs = sum(lengths[list(side[1:3])].sum() for side in (RIGHT, LEFT)) / 2
    trunk = np.linalg.norm(joints3d[:, THORAX] - joints3d[:, HIP], axis=-1)
    trunk = trunk[np.isfinite(joints3d).all(axis=(1, 2))]
    return float(legs + np.median(trunk)) / LEGS_AND_TRUNK if len(trunk) else float("nan")


def height_scale(joints3d: np.ndarray, height: float) -> float:
    """Factor that makes a person of joints (F, 17, 3) ``height`` metres tall; 1 without frames."""
    now = body_height(joints3d)
    return height / now if now > 0.1 else 1.0
