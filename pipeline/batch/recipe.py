"""What each stage's output depends on, so that only what would come out differently is redone."""

from __future__ import annotations

import importlib.metadata
import re
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from pipeline.settings import Settings
from weights import download, store
from weights.errors import Pose3dError
from weights.files import sha256

STAGES = ("detect", "lift", "render")
LIFTING = (
    "repair",
    "fov",
    "flip",
    "causal",
    "precision",
    "smooth",
    "remove_outliers",
    "max_gap",
    "upright",
    "height",
    "constant_bones",
    "lock_feet",
)
RENDERING = ("layout", "orbit")
# Networks are told by their files. A device changes a result by less than anyone can see.
NO_INGREDIENTS = ("device", "render", "lifter", "pose2d", "detector")
# Every other setting changes the first pass: one that this file forgets costs time, not truth.
# Those of the following that are not of the lifting are of networks of joints, not of MediaPipe.
OF_MEDIAPIPE = ("start", "end")


@dataclass(frozen=True)
class Recipe:
    """The ingredients of each stage: settings, and networks by name and SHA-256. JSON values."""

    detect: dict
    lift: dict
    render: dict

    def of(self, digest: str) -> dict[str, dict]:
        """By stage, all that its output for the video of this SHA-256 was made of."""
        detect = {"video": digest, **self.detect}
        lift = {**detect, **self.lift}
        return {"detect": detect, "lift": lift, "render": {**lift, **self.render}}


def recipe_of(settings: Settings) -> Recipe:
    """The recipe of settings.

    Raises Pose3dError if the networks that they name are not there, or do not go together.
    """
    # The networks' libraries take seconds to import.
    from lifters3d.registry import BUILDERS, weights_path
    from pipeline.networks import check_pose2d, choose_detector

    values = settings.as_dict()
    rest = [n for n in values if n not in (*RENDERING, *NO_INGREDIENTS)]
    first = [n for n in rest if n not in LIFTING]
    pose2d = check_pose2d(settings)
    detect: dict[str, object] = {"pose2d": _named(pose2d)}
    if pose2d == "mediapipe":
        detect |= {name: values[name] for name in first if name in OF_MEDIAPIPE}
    else:
        detect["people detector"] = _named(choose_detector(settings))
        # Both networks, of joints and lifter, take these.
        detect |= {name: values[name] for name in (*first, "flip", "precision")}
    path = weights_path(settings.lifter)
    name = settings.lifter if settings.lifter in BUILDERS else path.name
    lift = {"lifter": [name, _digest(path)], **{name: values[name] for name in LIFTING}}
    return Recipe(detect, lift, {name: values[name] for name in RENDERING})


def changes(old: dict, new: dict) -> list[str]:
    """Names of the ingredients that differ."""
    return [name for name in {**old, **new} if old.get(name) != new.get(name)]


def _named(text: str) -> list[str]:
    """A network's name and the SHA-256 of all files in it: weights, configurations, boxes."""
    kind = re.split("[:=]", text)[0]
    if kind == "mediapipe":
        try:
            return [text, importlib.metadata.version("mediapipe")]
        except importlib.metadata.PackageNotFoundError:
            return [text]
    known = {*store.entries(), *store.public()}
    if text in known:
        return [text, _digest(download.fetch(text, offline=True))]
    # Files stand between separators, which their own names may hold as well.
    cuts = [-1, *(match.start() for match in re.finditer("[:=]", text)), len(text)]
    parts = dict.fromkeys(text[a + 1 : b] for a, b in combinations(cuts, 2))
    files = [
        download.fetch(part, offline=True) if part in known else Path(part)
        for part in parts
        if part in known or (part and Path(part).is_file())
    ]
    return [text, *map(_digest, files)]


def _digest(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise Pose3dError(f"{path}: cannot be read ({error.strerror})") from None
