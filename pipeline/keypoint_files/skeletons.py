"""Joints of other projects by their names, and what the 17 of Human3.6M are made of.

Whatever the format, names decide: a file's joints go to one of three layouts, of which
``pipeline.joints`` knows the rest of the way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lifters3d.skeleton import JOINT_NAMES
from pipeline.joints import COCO_NAMES, coco_to_h36m, halpe26_to_h36m
from pipeline.keypoint_files.names import HALPE_26, canonical
from pipeline.lifting import LAYOUTS
from weights.errors import Pose3dError

_SIDED = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
LIMBS: tuple[str, ...] = tuple(f"{side}_{joint}" for joint in _SIDED for side in ("left", "right"))
_RIGHT_LEG, _LEFT_LEG = (
    tuple(f"{side}_{joint}" for joint in _SIDED[3:]) for side in ("right", "left")
)
_LEFT_ARM, _RIGHT_ARM = (
    tuple(f"{side}_{joint}" for joint in _SIDED[:3]) for side in ("left", "right")
)
_H36M = (
    *("pelvis", *_RIGHT_LEG, *_LEFT_LEG),
    *("spine", "thorax", "neck_nose", "head", *_LEFT_ARM, *_RIGHT_ARM),
)
_HALPE = (*HALPE_26[:19], "pelvis", *HALPE_26[20:])
_HIPS, _SHOULDERS = ("left_hip", "right_hip"), ("left_shoulder", "right_shoulder")
_EYES, _EARS = ("left_eye", "right_eye"), ("left_ear", "right_ear")

# What `pipeline.joints` makes those joints of that the layout does not mark.
_GUESSED: dict[str, dict[str, tuple[str, ...]]] = {
    "coco": {
        "pelvis": _HIPS,
        "spine": (*_SHOULDERS, *_HIPS, "nose"),
        "thorax": (*_SHOULDERS, "nose", *_EYES),
        "neck_nose": ("nose", *_SHOULDERS),
        "head": ("nose", *_EYES, *_EARS),
    },
    "halpe26": {"spine": ("neck", "pelvis"), "thorax": ("neck",), "neck_nose": ("nose",)},
    "h36m": {},
}
_JOINTS: dict[str, tuple[str, ...]] = {"coco": COCO_NAMES, "halpe26": _HALPE, "h36m": _H36M}


@dataclass(frozen=True)
class Layout:
    """How a file's joints become those of a layout.

    kind : "coco" (17 joints), "halpe26" (26) or "h36m" (17)
    names : the J joints of the file
    picks : for every joint of the layout the file's joints whose mean it is; empty if the file
        does not mark it
    """

    kind: str
    names: tuple[str, ...]
    picks: tuple[tuple[int, ...], ...]

    def apply(self, points: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (..., J, 2) and scores (..., J) of the file as the layout's; NaN and 0: none."""
        shape = (*scores.shape[:-1], len(self.picks))
        keypoints = np.full((*shape, 2), np.nan, np.float32)
        marks = np.zeros(shape, np.float32)
        for joint, sources in enumerate(self.picks):
            if sources:
                keypoints[..., joint, :] = points[..., list(sources), :].mean(axis=-2)
                marks[..., joint] = scores[..., list(sources)].mean(axis=-1)
        lost = np.isnan(keypoints).any(axis=-1)
        keypoints[lost], marks[lost] = np.nan, 0
        return keypoints, marks


@dataclass(frozen=True)
class JointSource:
    """Where a Human3.6M joint comes from: joints of the file; ``guessed`` unless it is one."""

    joint: str
    sources: tuple[str, ...]
    guessed: bool

    def __str__(self) -> str:
        if not self.guessed:
            return f"{self.joint:<10} {self.sources[0]}"
        of = f"from {', '.join(self.sources)}" if self.sources else "as of a standing body"
        return f"{self.joint:<10} guessed {of}"


def layout_of(names: tuple[str, ...], where: str) -> Layout:
    """The layout that keeps most of what a file's joints tell.

    Raises Pose3dError, naming what is missing, unless the twelve limb joints are among them.
    """
    found: dict[str, int] = {}
    known = [(index, canonical(name)) for index, name in enumerate(names)]
    for exact in (True, False):
        for index, joint in known:
            if joint is not None and joint[1] == exact:
                found.setdefault(joint[0], index)
    if missing := [joint for joint in LIMBS if joint not in found]:
        raise Pose3dError(
            f"{where}: marks no {', '.join(missing[:4])}{', ...' if missing[4:] else ''}; lifting "
            "needs both shoulders, elbows, wrists, hips, knees and ankles"
        )
    picks = {joint: (index,) for joint, index in found.items()}
    if {"nose", "head", "neck", "pelvis"} <= found.keys() and "thorax" not in found:
        kind = "halpe26"
    elif "nose" in found and not {"thorax", "spine"} <= found.keys():
        kind = "coco"
    else:
        kind, picks = "h36m", _with_trunk(picks)
    return Layout(kind, names, tuple(picks.get(joint, ()) for joint in _JOINTS[kind]))


def _with_trunk(picks: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Human3.6M's trunk, where it is not marked from what lies around it."""
    pelvis = picks.get("pelvis") or picks["left_hip"] + picks["right_hip"]
    between = picks["left_shoulder"] + picks["right_shoulder"]
    thorax = picks.get("thorax") or picks.get("neck") or between
    middle = pelvis * len(thorax) + thorax * len(pelvis)
    spine = picks.get("spine") or middle
    face = picks.get("neck_nose") or picks.get("nose", ())
    return picks | {"pelvis": pelvis, "thorax": thorax, "spine": spine, "neck_nose": face}


def to_h36m(kind: str, keypoints: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (..., K, 2) px and scores (..., K) of a layout in Human3.6M order.

    NaN keypoints (not found) take what is made of them along; their scores are 0.
    """
    if kind == "coco":
        points, marks = LAYOUTS["coco"](keypoints), coco_to_h36m(keypoints, scores)[1]
    elif kind == "halpe26":
        points, marks = halpe26_to_h36m(keypoints, scores)
    else:
        points, marks = keypoints, scores
    lost = np.isnan(points).any(axis=-1)
    return points, np.where(lost, 0, marks).astype(np.float32)


def describe_layout(layout: Layout) -> list[JointSource]:
    """What each of the 17 Human3.6M joints is made of, in their order."""
    marked = dict(zip(_JOINTS[layout.kind], layout.picks, strict=True))
    rows = []
    for joint, name in zip(_H36M, JOINT_NAMES, strict=True):
        parts = [marked[part] for part in _GUESSED[layout.kind].get(joint, (joint,))]
        # One part that is missing takes the guess along (`pipeline.joints`).
        indices = [index for part in parts for index in part] if all(parts) else []
        sources = tuple(dict.fromkeys(layout.names[index] for index in indices))
        rows.append(JointSource(name, sources, guessed=len(sources) != 1))
    return rows
