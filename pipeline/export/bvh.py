"""BVH: hierarchy of joints, then a line of angles a frame. Centimetres, y up, one person a file.

The format has no place for units and axes; the note that goes with each file tells them. Rotations
of trunk and legs are written as Yrotation Zrotation Xrotation, that is R = Ry Rz Rx, those of arms
as Zrotation Xrotation Yrotation: where the middle angle is 90 degrees the others are not unique,
and so neither bowing, lying, sitting nor hanging arms come near. What Blender's importer
(io_anim_bvh) asks for: names without spaces, the root's OFFSET 0 because its position channels
replace it, one line a frame.
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy.spatial.transform import Rotation

from pipeline.export.axes import Y_UP
from pipeline.export.kinematics import NODES, TIPS, Animation, Node, animate
from pipeline.export.motion import File, Motion, held, held_note

CM = 100
_FIRST_OF_ARMS = 11  # of the joints


def write_bvh(motion: Motion) -> list[File]:
    """One file for everybody seen, at the nominal frame rate."""
    files = []
    for place, suffix in motion.each("bvh"):
        joints = motion.even_joints[:, place]
        whole, order = held(joints)
        animation = animate(Y_UP.turn(joints[whole]))
        lines = ["HIERARCHY", *_hierarchy(0, animation.offsets, ""), "MOTION"]
        lines += [f"Frames: {len(order)}", f"Frame Time: {1 / motion.rate:.9f}"]
        frames = [" ".join(f"{value:.5f}" for value in row) for row in _channels(animation)]
        lines += [frames[frame] for frame in order]
        note = (
            f"cm, y up, {motion.rate_note}; Blender: Scale 0.01, axes as preset; "
            f"{animation.moved_note}{held_note(whole)}"
        )
        files.append(File(suffix, ("\n".join(lines) + "\n").encode(), note))
    return files


def _hierarchy(place: int, offsets: np.ndarray, indent: str) -> list[str]:
    node, inner = NODES[place], indent + "  "
    rotations = " ".join(f"{axis}rotation" for axis in _order(node))
    channels = f"3 {rotations}" if place else f"6 Xposition Yposition Zposition {rotations}"
    lines = [
        f"{indent}{'JOINT' if place else 'ROOT'} {node.name}",
        f"{indent}{{",
        f"{inner}OFFSET {_point(offsets[place])}",
        f"{inner}CHANNELS {channels}",
    ]
    for child, other in enumerate(NODES):
        if other.parent == place:
            lines += _hierarchy(child, offsets, inner)
    if node.name in TIPS:
        tip = _point(np.array(TIPS[node.name]))
        lines += [f"{inner}End Site", f"{inner}{{", f"{inner}  OFFSET {tip}", f"{inner}}}"]
    return [*lines, f"{indent}}}"]


def _order(node: Node) -> str:
    return "ZXY" if max(node.joint, node.aim) >= _FIRST_OF_ARMS else "YZX"


def _point(metres: np.ndarray) -> str:
    return " ".join(f"{CM * value:.5f}" for value in metres)


def _channels(animation: Animation) -> np.ndarray:
    """(F, 3 + 3 N): centimetres, then degrees."""
    frames = len(animation.root)
    with warnings.catch_warnings():
        # Scipy sets one of the angles that are not unique to 0, which is as right as any.
        warnings.filterwarnings("ignore", "Gimbal lock", UserWarning)
        turns = [
            Rotation.from_matrix(animation.rotations[:, place]).as_euler(_order(node), True)
            for place, node in enumerate(NODES)
        ]
    degrees = _continuous(np.stack(turns, axis=1))
    return np.concatenate([CM * animation.root, degrees.reshape(frames, -1)], axis=1)


def _continuous(degrees: np.ndarray) -> np.ndarray:
    """The same rotations in angles (F, N, 3) that change as little as can be from frame to frame.

    Each rotation has two sets of angles, and whole turns may be added. Programs that show a file
    at another frame rate blend angles: where they jump, limbs would spin.
    """
    other = degrees + 180
    other[..., 1] = 180 - degrees[..., 1]
    sets = np.stack([degrees, other])
    chosen = degrees.copy()
    for frame in range(1, len(degrees)):
        before = chosen[frame - 1]
        near = sets[:, frame] + 360 * np.round((before - sets[:, frame]) / 360)
        best = np.abs(near - before).sum(axis=-1).argmin(axis=0)
        chosen[frame] = np.where((best == 0)[:, None], near[0], near[1])
    return chosen
