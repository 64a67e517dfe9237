"""Tiny files in the formats of the field's prepared data, with bodies that walk about a room."""

from pathlib import Path

import numpy as np
import pytest

from weights.errors import Pose3dError

H36M_SIDES = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]
H36M_METADATA = {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": H36M_SIDES}
COCO_METADATA = {
    "layout_name": "coco",
    "num_joints": 17,
    "keypoints_symmetry": [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]],
}
MPII_METADATA = {
    "num_joints": 16,
    "keypoints_symmetry": [[3, 4, 5, 13, 14, 15], [0, 1, 2, 10, 11, 12]],
}
HUMANEVA_METADATA = {
    "layout_name": "humaneva15",
    "num_joints": 15,
    "keypoints_symmetry": [[2, 3, 4, 8, 9, 10], [5, 6, 7, 11, 12, 13]],
}


def world(frames: int, joints: int, seed: int = 0) -> np.ndarray:
    """Points (frames, joints, 3) float32 metres, about a metre around the middle of a room."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(frames, joints, 3)) * 0.4 + [0, 0, 1]).astype(np.float32)


def pixels(frames: int, joints: int, seed: int = 0) -> np.ndarray:
    """Keypoints (frames, joints, 2) float32 px, all different."""
    return np.random.default_rng(seed).uniform(0, 1000, (frames, joints, 2)).astype(np.float32)


def write_3d(path: Path, positions_3d: dict) -> Path:
    np.savez_compressed(path, positions_3d=positions_3d)
    return path


def write_2d(path: Path, positions_2d: dict, metadata: dict | None = None) -> Path:
    kept = {} if metadata is None else {"metadata": metadata}
    np.savez_compressed(path, positions_2d=positions_2d, **kept)
    return path


def message_of(function, *arguments) -> str:
    """The one line with which a reader fails."""
    with pytest.raises(Pose3dError) as caught:
        function(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message
