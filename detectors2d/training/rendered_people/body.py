"""Clothed bodies: shape, garments bound to it, the rig, and linear blend skinning.

Metres; y up, the figure faces +z, its left is +x; ``to_world`` turns this into z up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from detectors2d.training.rendered_people.assets import Assets
from detectors2d.training.rendered_people.rotations import unit

METRES = 0.1  # one unit of MakeHuman's
# Suits are moved out from the body, lest the skin breaks through them in bent poses.
_SUIT_GAP = 0.004
_WHITE_OF_EYE, _IRIS = (0.80, 0.78, 0.76), (0.10, 0.06, 0.04)
Kind = Literal["skin", "eyes", "cloth", "hair"]


def to_world(points: np.ndarray) -> np.ndarray:
    """Points or vectors (..., 3) of a figure with z up, x forwards and y to its left."""
    return points[..., [2, 0, 1]]


@dataclass
class Part:
    """A part of the mesh with textures of its own: n vertices, m triangles, B bones."""

    name: str
    kind: Kind
    vertices: np.ndarray  # (n, 3) float64 m, at rest
    normals: np.ndarray  # (n, 3) float64
    weights: np.ndarray  # (n, B) float64, each row of sum 1
    uv: np.ndarray  # (n, 2)
    triangles: np.ndarray  # (m, 3) int64, vertices of this part
    textures: dict[str, Path | None] = field(default_factory=dict)  # diffuse, normal, ao
    colours: np.ndarray | None = None  # (n, 3) float32 linear RGB where there is no texture
    start: int = 0  # of its vertices among the body's


class Body:
    """A body shape with skin, clothes and hair: mesh at rest, rig, skin weights.

    Parameters
    ----------
    assets : what it is made from
    targets : macro targets and how strong each is, 0 to 1
    skin : one of ``assets.skins``
    clothes, hair : garments of ``assets``; hair turns with the head as one rigid piece
    height : m, of the naked body; as the targets make it if None

    Attributes
    ----------
    parts : of the mesh
    vertices, normals (N, 3), weights (N, B) : of all parts, float32, at rest
    bones : (B,) names; ``index`` of a name, ``parent`` of a name (None: the root)
    head, tail : (3,) m where the bone of a name starts and ends, at rest
    height : m
    """

    def __init__(
        self,
        assets: Assets,
        targets: Sequence[tuple[str, float]],
        skin: str,
        clothes: Sequence[str] = (),
        hair: str | None = None,
        height: float | None = None,
    ) -> None:
        base = assets.arrays("body.npz")
        body = base["g_body"]
        rest = base["V"].astype(np.float64)
        for name, strength in targets:
            moved, moves = assets.target(name)
            rest[moved] += strength * moves
        rest *= METRES if height is None else height / np.ptp(rest[body][:, 1])
        rest[:, 1] -= rest[body][:, 1].min()
        self.rest = rest  # (V, 3), helper vertices too
        self.groups = {key[2:]: base[key] for key in base if key.startswith("g_")}
        self.height = float(np.ptp(rest[body][:, 1]))

        self.bones = [str(name) for name in base["bones"]]
        self.index = {name: i for i, name in enumerate(self.bones)}
        self.parent = {
            name: self.bones[parent] if parent >= 0 else None
            for name, parent in zip(self.bones, base["parent"], strict=True)
        }
        self.head = self._bone_ends(base["head_ids"], base["head_len"])
        self.tail = self._bone_ends(base["tail_ids"], base["tail_len"])
        weights = np.zeros((len(rest), len(self.bones)))
        np.add.at(weights, (base["w_vertex"], base["w_bone"]), base["w_value"])
        weights /= np.maximum(weights.sum(1, keepdims=True), 1e-9)

        worn = [(name, assets.arrays(f"wear/{name}.npz")) for name in clothes]
        covered = np.zeros(len(rest), bool)
        for _, garment in worn:
            covered[garment["hide"]] = True
        bare = base["skin_quads"][~covered[base["skin_vi"]][base["skin_quads"]].all(1)]
        eyes = (base[f"eyes_{key}"] for key in ("vi", "uv", "quads"))
        self.parts = [
            _part("skin", "skin", rest, weights, base["skin_vi"], base["skin_uv"], bare),
            _part("eyes", "eyes", rest, weights, *eyes),
        ]
        self.parts[0].textures["diffuse"] = assets.texture(f"skins/{skin}")
        self.parts[1].colours = self._eye_colours(self.parts[1].vertices)
        for name, garment in worn:
            self.parts.append(self._worn(assets, name, "cloth", garment, weights))
        if hair is not None:
            garment = assets.arrays(f"wear/{hair}.npz")
            self.parts.append(self._worn(assets, hair, "hair", garment, weights))

        sizes = [len(part.vertices) for part in self.parts]
        for part, start in zip(self.parts, np.cumsum([0, *sizes[:-1]]), strict=True):
            part.start = int(start)
        self.vertices = np.concatenate([p.vertices for p in self.parts]).astype(np.float32)
        self.normals = np.concatenate([p.normals for p in self.parts]).astype(np.float32)
        self.weights = np.concatenate([p.weights for p in self.parts]).astype(np.float32)

    def skinned(self, rotations: np.ndarray, heads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The mesh in a pose, by linear blend skinning.

        Parameters
        ----------
        rotations : (B, 3, 3), of each bone from where it is at rest
        heads : (B, 3) m, where each bone starts

        Returns
        -------
        vertices (N, 3) float32 m and unit normals (N, 3) float32 of all parts
        """
        rest = np.stack([self.head[name] for name in self.bones])
        moves = heads - np.einsum("bij,bj->bi", rotations, rest)
        bones = np.concatenate([rotations.reshape(-1, 9), moves], 1).astype(np.float32)
        blended = self.weights @ bones
        turns = blended[:, :9].reshape(-1, 3, 3)
        vertices = np.einsum("nij,nj->ni", turns, self.vertices) + blended[:, 9:]
        return vertices, unit(np.einsum("nij,nj->ni", turns, self.normals))

    def _bone_ends(self, vertices: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
        groups = np.split(vertices, np.cumsum(counts)[:-1])
        ends = zip(self.bones, groups, strict=True)
        return {name: self.rest[group].mean(0) for name, group in ends}

    def _eye_colours(self, vertices: np.ndarray) -> np.ndarray:
        """Colours (n, 3) float32 of the eyes' vertices (n, 3): each ball has an iris in front."""
        colours = np.tile([_WHITE_OF_EYE], (len(vertices), 1)).astype(np.float32)
        for eye in ("helper-l-eye", "helper-r-eye"):
            ball = self.rest[self.groups[eye]]
            middle = ball.mean(0)
            radius = np.abs(ball - middle).max()
            of_ball = np.linalg.norm(vertices - middle, axis=1) < 1.3 * radius
            colours[of_ball & (unit(vertices - middle)[:, 2] > 0.80)] = _IRIS
        return colours

    def _worn(
        self,
        assets: Assets,
        name: str,
        kind: Kind,
        garment: dict[str, np.ndarray],
        body_weights: np.ndarray,
    ) -> Part:
        """A garment on this body: each vertex hangs on three of the body and moves with them."""
        ends = zip(garment["scale_ids"], garment["scale"], strict=True)
        scales = np.array(
            [
                abs(self.rest[i, axis] - self.rest[j, axis]) / scale
                for axis, ((i, j), scale) in enumerate(ends)
            ]
        )
        on_body = np.einsum("nk,nkc->nc", garment["w"], self.rest[garment["idx"]])
        vertices = on_body + garment["off"] * scales
        if kind == "hair":
            weights = np.zeros((len(vertices), len(self.bones)))
            weights[:, self.index["Head"]] = 1
        else:
            shares = np.clip(garment["w"], 0, None)
            weights = np.einsum("nk,nkb->nb", shares, body_weights[garment["idx"]])
            weights[weights < 1e-4] = 0
            weights /= np.maximum(weights.sum(1, keepdims=True), 1e-9)
        drawn = (garment[key] for key in ("vi", "uv", "quads"))
        part = _part(name, kind, vertices, weights, *drawn)
        if "suit" in name:
            part.vertices = part.vertices + _SUIT_GAP * part.normals
        part.textures = {
            use: assets.texture(f"wear/{name}_{use}") for use in ("diffuse", "normal", "ao")
        }
        return part


def _part(
    name: str,
    kind: Kind,
    vertices: np.ndarray,
    weights: np.ndarray,
    drawn: np.ndarray,
    uv: np.ndarray,
    quads: np.ndarray,
) -> Part:
    """A part of some vertices (V, 3) with weights (V, B): see "skin_*" in ``assets``."""
    quads = quads.astype(np.int64)
    second_half = quads[quads[:, 2] != quads[:, 3]][:, [0, 2, 3]]
    triangles = np.concatenate([quads[:, :3], second_half])
    used = np.unique(triangles)
    renumbered = np.zeros(len(drawn), np.int64)
    renumbered[used] = np.arange(len(used))
    triangles, drawn, uv = renumbered[triangles], drawn[used].astype(np.int64), uv[used]

    corners = vertices[drawn][triangles]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    # Summed over the mesh's own vertices, so that seams of the texture do not show.
    normals = np.zeros((len(vertices), 3))
    for corner in range(3):
        for axis in range(3):
            owners = drawn[triangles[:, corner]]
            normals[:, axis] += np.bincount(owners, faces[:, axis], len(vertices))
    return Part(
        name=name,
        kind=kind,
        vertices=vertices[drawn],
        normals=unit(normals)[drawn],
        weights=weights[drawn],
        uv=uv,
        triangles=triangles,
    )
