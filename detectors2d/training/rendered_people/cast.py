"""Random people: body, clothes, hair, colours, and poses to choose from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detectors2d.training.rendered_people.anatomy import anchors, joints
from detectors2d.training.rendered_people.assets import Assets
from detectors2d.training.rendered_people.body import Body, to_world
from detectors2d.training.rendered_people.motion import load_motion, take_length, varied
from detectors2d.training.rendered_people.renderer import Figure, Posed, Renderer
from detectors2d.training.rendered_people.retargeting import retarget
from weights.errors import Pose3dError

# MakeHuman's system clothes and hair.
SUITS = {
    "female": (
        *("female_casualsuit01", "female_casualsuit02"),
        *("female_elegantsuit01", "female_sportsuit01"),
    ),
    "male": (*(f"male_casualsuit0{i}" for i in range(1, 7)), "male_elegantsuit01"),
}
HAIR = {
    "female": ("long01", "bob01", "bob02", "braid01", "ponytail01", "short02"),
    "male": ("short01", "short02", "short03", "short04", "afro01"),
}
SHOES = tuple(f"shoes0{i}" for i in range(1, 7))
_HEIGHT = {"female": 1.64, "male": 1.77}  # m
_TAKES, _FRAMES = 3, 10  # of each actor's motions, and of each of these
_VARIED = 0.75  # share of the takes whose poses are varied


def random_body(assets: Assets, rng: np.random.Generator) -> Body:
    """A body of random shape, skin, clothes, shoes, hair and height."""
    sex = str(rng.choice(["female", "male"]))
    age = str(rng.choice(["young", "young", "old"]))
    ancestry = rng.dirichlet([0.6] * 3)
    quarters = [0.25, 0.5, 0.25]
    muscle = rng.choice(["minmuscle", "averagemuscle", "maxmuscle"], p=quarters)
    weight = rng.choice(["minweight", "averageweight", "maxweight"], p=quarters)
    strength = rng.uniform(0.3, 1)
    universal = f"universal-{sex}-{age}"
    shares = zip(("caucasian", "african", "asian"), ancestry, strict=True)
    targets = [
        *((f"{name}-{sex}-{age}", float(share)) for name, share in shares),
        (f"{universal}-{muscle}-{weight}", strength),
        (f"{universal}-averagemuscle-averageweight", 1 - strength),
    ]
    dark = ancestry[1] > 0.5
    skins = [name for name in assets.skins if f"_{sex}" in name and ("dark" in name) == dark]
    if not skins:
        kind = f"{'dark' if dark else 'light'} {sex}"
        raise Pose3dError(f"{assets.folder / 'skins'}: has no {kind} skin (.jpg)")
    return Body(
        assets,
        targets,
        str(rng.choice(skins)),
        [str(rng.choice(assets.there(SUITS[sex]))), str(rng.choice(assets.there(SHOES)))],
        str(rng.choice(assets.there(HAIR[sex]))),
        height=float(rng.normal(_HEIGHT[sex], 0.07)),
    )


@dataclass
class Pose(Posed):
    """An actor somewhere in the world (metres, z up) in one pose."""

    coco: np.ndarray  # (17, 3)
    h36m: np.ndarray  # (17, 3)
    actor: Actor


class Actor:
    """A random person on the GPU, with some poses."""

    def __init__(self, renderer: Renderer, assets: Assets, rng: np.random.Generator) -> None:
        self.body = random_body(assets, rng)
        self.figure = Figure(renderer, self.body)
        self._anchors = anchors(self.body)
        rotations, heads = [], []
        for take in rng.choice(assets.takes, min(_TAKES, len(assets.takes)), replace=False):
            length = take_length(assets, take)
            frames = np.sort(rng.choice(length, min(_FRAMES, length), replace=False))
            motion = load_motion(assets, take, frames)
            turns = varied(motion, rng) if rng.random() < _VARIED else None
            turned, starts = retarget(self.body, motion, turns)
            rotations.append(turned)
            heads.append(starts)
        self._rotations, self._heads = np.concatenate(rotations), np.concatenate(heads)

    def pose(
        self, rng: np.random.Generator, at: tuple[float, float] | np.ndarray = (0.0, 0.0)
    ) -> Pose:
        """A pose turned at random, on the floor at ``at`` (2,) m or in a jump above it."""
        frame = int(rng.integers(len(self._rotations)))
        yaw = rng.uniform(-np.pi, np.pi)
        cosine, sine = np.cos(yaw), np.sin(yaw)
        turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
        rotations, heads = self._rotations[frame], self._heads[frame]
        vertices, normals = self.body.skinned(rotations, heads)
        coco, h36m = joints(self.body, self._anchors, rotations[None], heads[None])
        vertices = to_world(vertices)
        origin = np.array([*to_world(heads[0])[:2], vertices[:, 2].min()])
        jump = rng.uniform(0.03, 0.45) if rng.random() < 0.08 else 0.0
        place = np.array([at[0], at[1], jump])

        def placed(points: np.ndarray) -> np.ndarray:
            return (points - origin) @ turn.T + place

        return Pose(
            figure=self.figure,
            vertices=placed(vertices),
            normals=to_world(normals) @ turn.T,
            coco=placed(to_world(coco[0])),
            h36m=placed(to_world(h36m[0])),
            actor=self,
        )

    def recolour(self, rng: np.random.Generator) -> None:
        """Other tints of clothes, hair and skin."""
        for drawable in self.figure.drawables:
            if drawable.part.kind == "cloth":
                drawable.tint = tuple(np.clip(rng.normal(0.9, 0.3, 3), 0.15, 1.6))
            elif drawable.part.kind == "hair":
                drawable.tint = (float(rng.uniform(0.3, 1.3)),) * 3
            elif drawable.part.kind == "skin":
                drawable.tint = (float(rng.uniform(0.85, 1.1)),) * 3
