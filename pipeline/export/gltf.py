"""GLB: a skeleton that plays in browsers, Blender and game engines. Metres, y up, all people.

glTF 2.0 in one binary file: nodes in a T-pose, a mesh of bones skinned to them, and one animation
at the video's own times. A GLB is a JSON document and one block of numbers, so that it needs no
library to be written.
"""

from __future__ import annotations

import json
import struct

import numpy as np
from scipy.spatial.transform import Rotation

from lifters3d.skeleton import LEFT, RIGHT
from pipeline.export.axes import Y_UP
from pipeline.export.kinematics import NODES, Animation, animate
from pipeline.export.motion import File, Motion, held, held_note
from pipeline.rendering.palette import LEFT_COLOUR, RIGHT_COLOUR, tint
from pipeline.version import VERSION
from pipeline.world import ANKLE_HEIGHT

_FLOAT, _UINT8, _UINT16 = 5126, 5121, 5123  # glTF's numbers for types of components
_TYPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
_VERTICES, _INDICES = 34962, 34963  # and for what a block of the mesh is
_SIDES = ("left", "right", "middle")


class _Document:
    """The JSON part and the block of numbers, which grow together."""

    def __init__(self) -> None:
        self.parts: dict[str, list] = {
            name: []
            for name in ("nodes", "meshes", "skins", "materials", "accessors", "bufferViews")
        }
        self.block = bytearray()

    def add(self, part: str, item: dict) -> int:
        """Append to a list of the document; returns its place."""
        self.parts[part].append(item)
        return len(self.parts[part]) - 1

    def numbers(self, array: np.ndarray, *, target: int | None = None, limits: bool = False) -> int:
        """Store (n,) or (n, k) numbers; returns the place of their accessor."""
        array = np.ascontiguousarray(array)
        component = {"f": _FLOAT, "u": _UINT8 if array.itemsize == 1 else _UINT16}[array.dtype.kind]
        view = {"buffer": 0, "byteOffset": len(self.block), "byteLength": array.nbytes}
        if target is not None:
            view["target"] = target
        self.block += array.tobytes()
        self.block += bytes(-len(self.block) % 4)
        accessor = {
            "bufferView": self.add("bufferViews", view),
            "componentType": component,
            "count": len(array),
            "type": _TYPES[1 if array.ndim == 1 else array.shape[1]],
        }
        if limits:
            rows = array.reshape(len(array), -1)
            accessor["min"], accessor["max"] = rows.min(axis=0).tolist(), rows.max(axis=0).tolist()
        return self.add("accessors", accessor)

    def glb(self, rest: dict) -> bytes:
        """The whole file; ``rest`` is what is not kept in ``parts``."""
        document = {**rest, **self.parts, "buffers": [{"byteLength": len(self.block)}]}
        text = json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        length = 12 + 8 + len(text) + 8 + len(self.block)
        header = struct.pack("<4sII", b"glTF", 2, length)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text
        return header + chunks + struct.pack("<I4s", len(self.block), b"BIN\0") + bytes(self.block)


def write_glb(motion: Motion) -> list[File]:
    """One file with everybody seen, one skeleton and mesh a person, at the video's own times."""
    document = _Document()
    # Keys must increase; of frames with equal times the first counts.
    times, frames = np.unique(
        (motion.result.time_s - motion.result.time_s[0]).astype(np.float32), return_index=True
    )
    clock = document.numbers(times, limits=True)
    channels: list[dict] = []
    samplers: list[dict] = []
    scene, notes = [], []

    def play(node: int, path: str, values: np.ndarray) -> None:
        output = document.numbers(values.astype(np.float32))
        samplers.append({"input": clock, "output": output, "interpolation": "LINEAR"})
        channels.append({"sampler": len(samplers) - 1, "target": {"node": node, "path": path}})

    for place in motion.seen:
        person = f"person{motion.result.ids[place]}"
        joints = motion.joints[frames, place]
        whole, order = held(joints)
        animation = animate(Y_UP.turn(joints[whole]))
        first = _add_person(document, animation, person, len(motion.seen) > 1, place)
        scene += [first - 1, first + len(NODES)]
        play(first, "translation", animation.root[order])
        for number, node in enumerate(NODES):
            if node.aim >= 0:
                play(
                    first + number, "rotation", _quaternions(animation.rotations[:, number])[order]
                )
        notes.append(f"{animation.moved_note}{held_note(whole)}")
        if len(motion.seen) > 1:
            notes[-1] = f"{person}: {notes[-1]}"
    content = document.glb(
        {
            "asset": {"version": "2.0", "generator": f"pose3d {VERSION}", "extras": _told(motion)},
            "scene": 0,
            "scenes": [{"nodes": scene}],
            "animations": [{"name": motion.name, "channels": channels, "samplers": samplers}],
        }
    )
    return [File(".glb", content, f"m, y up, the video's own times; {'; '.join(notes)}")]


def _told(motion: Motion) -> dict:
    result = motion.result
    return {
        "units": "m",
        "axes": Y_UP.words,
        "in_place": motion.in_place,
        "frame_rate": f"{result.frame_rate.numerator}/{result.frame_rate.denominator}",
        "start_time_s": float(result.time_s[0]),
        "joint_names": motion.joint_names,
    }


def _quaternions(rotations: np.ndarray) -> np.ndarray:
    """(F, 4) x, y, z, w from (F, 3, 3), without changes of sign from frame to frame."""
    turns = Rotation.from_matrix(rotations).as_quat()
    signs = np.where((turns[1:] * turns[:-1]).sum(axis=1) < 0, -1.0, 1.0)
    return turns * np.concatenate([[1.0], np.cumprod(signs)])[:, None]


def _add_person(
    document: _Document, animation: Animation, person: str, several: bool, place: int
) -> int:
    """Nodes, skin and mesh of one person; returns the place of the first node of the skeleton.

    The nodes lie between one that holds the skeleton together and one that shows the mesh.
    """
    rest = animation.rest_positions()
    # On the floor, where the motion begins: viewers point their camera at the rest pose.
    rest += [animation.root[0, 0], ANKLE_HEIGHT - rest[:, 1].min(), animation.root[0, 2]]
    group = document.add("nodes", {"name": person, "children": [len(document.parts["nodes"]) + 1]})
    first = group + 1
    for number, node in enumerate(NODES):
        offset = animation.offsets[number] if number else rest[0]
        children = [first + n for n, other in enumerate(NODES) if other.parent == number]
        entry = {
            "name": f"{person}_{node.name}" if several else node.name,
            "translation": offset.tolist(),
        }
        document.add("nodes", {**entry, "children": children} if children else entry)
    inverse = np.tile(np.eye(4, dtype=np.float32), (len(NODES), 1, 1))
    inverse[:, 3, :3] = -rest  # column by column, as glTF has it
    skin = document.add(
        "skins",
        {
            "joints": list(range(first, first + len(NODES))),
            "skeleton": first,
            "inverseBindMatrices": document.numbers(inverse.reshape(-1, 16)),
        },
    )
    mesh = _add_mesh(document, rest, person, place)
    document.add("nodes", {"name": f"{person}_mesh", "mesh": mesh, "skin": skin})
    return first


def _add_mesh(document: _Document, rest: np.ndarray, person: str, place: int) -> int:
    """A long octahedron a bone, fixed to the node that turns it; left, right and middle apart."""
    corners, owners, sides = [], [], []
    for number, node in enumerate(NODES):
        if node.aim < 0:
            continue
        end = next(n for n, other in enumerate(NODES) if other.joint == node.aim)
        corners.append(_octahedron(rest[number], rest[end]))
        owners += [number] * len(corners[-1])
        side = 0 if node.aim in LEFT else 1 if node.aim in RIGHT else 2
        sides += [side] * len(corners[-1])
    positions = np.concatenate(corners).astype(np.float32)
    triangles = positions.reshape(-1, 3, 3)
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    joints = np.zeros((len(owners), 4), np.uint8)
    joints[:, 0] = owners
    attributes = {
        "POSITION": document.numbers(positions, target=_VERTICES, limits=True),
        "NORMAL": document.numbers(
            np.repeat(normals, 3, axis=0).astype(np.float32), target=_VERTICES
        ),
        "JOINTS_0": document.numbers(joints, target=_VERTICES),
        "WEIGHTS_0": document.numbers(
            np.tile(np.float32([1, 0, 0, 0]), (len(owners), 1)), target=_VERTICES
        ),
    }
    colours = (LEFT_COLOUR, RIGHT_COLOUR, tint(place))
    primitives = []
    for side, (name, colour) in enumerate(zip(_SIDES, colours, strict=True)):
        indices = np.flatnonzero(np.array(sides) == side).astype(np.uint16)
        linear = [(level / 255) ** 2.2 for level in colour]
        look = {"baseColorFactor": [*linear, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.8}
        material = document.add(
            "materials", {"name": f"{person}_{name}", "pbrMetallicRoughness": look}
        )
        primitives.append(
            {
                "attributes": attributes,
                "indices": document.numbers(indices, target=_INDICES),
                "material": material,
            }
        )
    return document.add("meshes", {"name": person, "primitives": primitives})


def _octahedron(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(24, 3): corners of the eight triangles, seen from outside counter-clockwise."""
    along = end - start
    length = np.linalg.norm(along)
    direction = along / length if length > 1e-9 else np.array([0.0, 0.0, 1.0])
    side = np.cross(direction, np.eye(3)[np.abs(direction).argmin()])
    side /= np.linalg.norm(side)
    width = np.clip(0.15 * length, 0.01, 0.04)
    other = np.cross(direction, side)
    waist = start + 0.2 * along
    ring = [waist + width * turn for turn in (side, other, -side, -other)]
    triangles = []
    for here, there in zip(ring, ring[1:] + ring[:1], strict=True):
        triangles += [start, there, here, end, here, there]
    return np.array(triangles)
