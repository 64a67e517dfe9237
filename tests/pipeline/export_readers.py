"""Readers of BVH and GLB, written from the descriptions of the formats: no code of the product."""

import json
import struct
from dataclasses import dataclass, field

import numpy as np


@dataclass
class BvhJoint:
    """end: offset of the End Site, if there is one; channels: their names, in the file's order."""

    name: str
    parent: int
    offset: np.ndarray
    channels: list = field(default_factory=list)
    end: np.ndarray | None = None


@dataclass
class Bvh:
    joints: list
    frame_time: float
    values: np.ndarray  # (F, all channels)

    def place(self, name):
        return [joint.name for joint in self.joints].index(name)

    def positions(self, values=None):
        """(F, joints, 3) of the frames, or of channel values (F, channels)."""
        values = self.values if values is None else values
        matrices = np.zeros((len(values), len(self.joints), 4, 4))
        column = 0
        for number, joint in enumerate(self.joints):
            local = np.tile(np.eye(4), (len(values), 1, 1))
            local[:, :3, 3] = joint.offset
            for channel in joint.channels:
                axis, value = "XYZ".index(channel[0]), values[:, column]
                column += 1
                if channel.endswith("position"):
                    local[:, axis, 3] += value
                else:
                    local = local @ rotation(axis, np.radians(value))
            before = matrices[:, joint.parent] if joint.parent >= 0 else np.eye(4)
            matrices[:, number] = before @ local
        return matrices[..., :3, 3]

    def named(self, names):
        """(F, names, 3) in the order of the names."""
        return self.positions()[:, [self.place(name) for name in names]]


def rotation(axis, angle):
    """(F, 4, 4) about x, y or z (0, 1, 2) by radians (F,), right-handed."""
    matrix = np.tile(np.eye(4), (len(angle), 1, 1))
    a, b = (axis + 1) % 3, (axis + 2) % 3
    matrix[:, a, a] = matrix[:, b, b] = np.cos(angle)
    matrix[:, b, a], matrix[:, a, b] = np.sin(angle), -np.sin(angle)
    return matrix


def read_bvh(path):
    """The file, of which every word is looked at."""
    words = iter(path.read_text().split())

    def expect(*expected):
        for word in expected:
            assert next(words) == word

    def offset():
        expect("OFFSET")
        return np.array([float(next(words)) for _ in range(3)])

    joints, open_, motion = [], [], False
    expect("HIERARCHY")
    while not motion:
        word = next(words)
        if word in ("ROOT", "JOINT"):
            assert (word == "ROOT") == (not joints)
            joint = BvhJoint(next(words), open_[-1] if open_ else -1, np.zeros(3))
            expect("{")
            joint.offset = offset()
            expect("CHANNELS")
            joint.channels = [next(words) for _ in range(int(next(words)))]
            open_.append(len(joints))
            joints.append(joint)
        elif word == "End":
            expect("Site", "{")
            joints[open_[-1]].end = offset()
            expect("}")
        elif word == "}":
            open_.pop()
        else:
            assert word == "MOTION"
            assert not open_
            motion = True
    expect("Frames:")
    frames = int(next(words))
    expect("Frame", "Time:")
    frame_time = float(next(words))
    values = np.array([float(word) for word in words]).reshape(frames, -1)
    assert values.shape[1] == sum(len(joint.channels) for joint in joints)
    return Bvh(joints, frame_time, values)


class Glb:
    """A binary glTF file: its JSON, its numbers, and where nodes and vertices are at a key."""

    def __init__(self, content):
        magic, version, length = struct.unpack_from("<4sII", content)
        assert (magic, version, length) == (b"glTF", 2, len(content))
        size, kind = struct.unpack_from("<I4s", content, 12)
        assert kind == b"JSON"
        assert size % 4 == 0
        self.json = json.loads(content[20 : 20 + size])
        size_binary, kind = struct.unpack_from("<I4s", content, 20 + size)
        assert kind == b"BIN\0"
        assert 28 + size + size_binary == length
        self.binary = content[28 + size :]
        self.nodes = self.json["nodes"]
        self.parents = {c: n for n, node in enumerate(self.nodes) for c in node.get("children", ())}

    def numbers(self, accessor):
        """(n,) or (n, k) array of an accessor."""
        entry = self.json["accessors"][accessor]
        view = self.json["bufferViews"][entry["bufferView"]]
        kind = {5121: "<u1", 5123: "<u2", 5126: "<f4"}[entry["componentType"]]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[entry["type"]]
        start = view["byteOffset"] + entry.get("byteOffset", 0)
        flat = np.frombuffer(self.binary, kind, entry["count"] * width, start)
        return flat if width == 1 else flat.reshape(-1, width)

    def node(self, name):
        return [node.get("name") for node in self.nodes].index(name)

    def keys(self):
        """Times of the animation, s; all channels share them."""
        (animation,) = self.json["animations"]
        (clock,) = {sampler["input"] for sampler in animation["samplers"]}
        return self.numbers(clock)

    def pose(self, key):
        """World matrices (nodes, 4, 4) at a key; None is the rest pose."""
        parts = [
            {"translation": node.get("translation", (0, 0, 0)), "rotation": (0, 0, 0, 1)}
            for node in self.nodes
        ]
        if key is not None:
            animation = self.json["animations"][0]
            for channel in animation["channels"]:
                output = animation["samplers"][channel["sampler"]]["output"]
                target = channel["target"]
                parts[target["node"]][target["path"]] = self.numbers(output)[key]
        return np.array([self._world(node, parts) for node in range(len(self.nodes))])

    def _world(self, node, parts):
        x, y, z, w = np.asarray(parts[node]["rotation"], float)
        local = np.eye(4)
        # From the quaternion's rotation of the three axes.
        local[:3, :3] = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        local[:3, 3] = parts[node]["translation"]
        return self._world(self.parents[node], parts) @ local if node in self.parents else local

    def vertices(self, mesh_node, key):
        """(V, 3): the skinned vertices of a node's mesh at a key."""
        entry = self.nodes[mesh_node]
        skin = self.json["skins"][entry["skin"]]
        world = self.pose(key)[skin["joints"]]
        inverse = self.numbers(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        attributes = self.json["meshes"][entry["mesh"]]["primitives"][0]["attributes"]
        points = self.numbers(attributes["POSITION"])
        joints, weights = (self.numbers(attributes[f"{n}_0"]) for n in ("JOINTS", "WEIGHTS"))
        points = np.concatenate([points, np.ones((len(points), 1))], axis=1)
        matrices = np.einsum("vk,vkij->vij", weights, (world @ inverse)[joints])
        return np.einsum("vij,vj->vi", matrices, points)[:, :3]
