"""Motion capture whose every number is known: a figure that walks in a straight line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from lifters3d.data.mocap17 import Mocap
from lifters3d.skeleton import PARENTS

ANKLE = 0.08  # metres above the floor
HEIGHT = 1.75  # metres, floor to the Head joint

# Bones of the standing figure, metres from the parent: x forward, y to the left, z up.
BONES = np.array(
    [
        (0, 0, 0),
        *((0, -0.09, 0), (0, 0, -0.40), (0, 0, -0.44)),
        *((0, 0.09, 0), (0, 0, -0.40), (0, 0, -0.44)),
        *((0, 0, 0.24), (0, 0, 0.30), (0.08, 0, 0.12), (-0.05, 0, 0.17)),
        *((0, 0.19, -0.03), (0, 0.04, -0.29), (0, 0, -0.25)),
        *((0, -0.19, -0.03), (0, -0.04, -0.29), (0, 0, -0.25)),
    ]
)
BONE_LENGTHS = np.linalg.norm(BONES, axis=1)


def walker(
    frames: int, speed: float = 1.2, heading: float = 0.0, phase: float = 0.0, stride: float = 0.5
) -> np.ndarray:
    """A walk from the origin: (frames, 17, 3) metres, z up, 30 frames/s, lower foot at ``ANKLE``.

    speed : metres a second; heading : radians from x towards y; stride : swing of the legs, radians
    """
    time = np.arange(frames) / 30
    swing = stride * np.sin(2 * np.pi * 0.9 * time + phase)
    bend = stride * (1 + np.cos(2 * np.pi * 0.9 * time + phase)) / 2
    pitch = np.zeros((frames, 17))
    pitch[:, 2], pitch[:, 3] = swing, swing - bend
    pitch[:, 5], pitch[:, 6] = -swing, -swing - (stride - bend)
    pitch[:, [12, 13]] = swing[:, None] * [0.6, 0.8]
    pitch[:, [15, 16]] = -swing[:, None] * [0.6, 0.8]
    x, y, z = BONES.T
    cos, sin = np.cos(pitch), np.sin(pitch)
    bones = np.stack([cos * x - sin * z, np.broadcast_to(y, pitch.shape), sin * x + cos * z], -1)
    poses = np.zeros((frames, 17, 3))
    for joint in range(1, 17):
        poses[:, joint] = poses[:, PARENTS[joint]] + bones[:, joint]
    poses[..., 2] += ANKLE - poses[:, [3, 6], 2].min(axis=1)[:, None]
    poses[..., 0] += speed * time[:, None]
    turn = np.array(
        [[np.cos(heading), -np.sin(heading), 0], [np.sin(heading), np.cos(heading), 0], [0, 0, 1]]
    )
    return poses @ turn.T


def walks(count: int = 4, frames: int = 60) -> list[np.ndarray]:
    """Clips of different headings, speeds and strides."""
    return [walker(frames, 0.5 + 0.3 * i, 1.1 * i, 0.7 * i, 0.3 + 0.05 * i) for i in range(count)]


def rows(count: int, source: str = "cmu", fidelity: str = "native") -> list[dict]:
    """A table for ``count`` clips."""
    return [
        {"source": source, "fidelity": fidelity, "subject": "s1", "text": f"walk {i}"}
        for i in range(count)
    ]


def as_mocap(clips: list[np.ndarray], table: list[dict] | None = None) -> Mocap:
    """What ``load_mocap`` makes of the clips, but for rounding."""
    stop = np.cumsum([len(clip) for clip in clips])
    spans = np.stack([np.concatenate([[0], stop[:-1]]), stop], axis=1)
    positions = np.concatenate(clips).astype(np.float32)
    return Mocap(positions, spans, table or rows(len(clips)))


def mocap17_arrays(clips: list[np.ndarray], table: list[dict] | None = None) -> dict:
    """The arrays of a ``mocap17`` file: int16 differences along time, each clip from zero."""
    root, relative = [], []
    for clip in clips:
        hip = np.rint(1000 * clip[:, 0]).astype(np.int64)
        others = np.rint(2000 * clip[:, 1:] - 2 * hip[:, None]).astype(np.int64)
        root.append(np.diff(hip, axis=0, prepend=0))
        relative.append(np.diff(others.reshape(len(clip), 48), axis=0, prepend=0))
    return {
        "length": np.array([len(clip) for clip in clips], np.int32),
        "root_mm": np.concatenate(root).T.astype(np.int16),
        "rel_half_mm": np.concatenate(relative).T.astype(np.int16),
        "table": np.array(json.dumps(table or rows(len(clips)))),
    }


def write_mocap17(path: Path, clips: list[np.ndarray], table: list[dict] | None = None) -> Path:
    """Write clips as a ``mocap17`` file."""
    np.savez_compressed(path, **mocap17_arrays(clips, table))
    return path
