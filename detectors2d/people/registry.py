"""Detectors of people by name."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from detectors2d.people.protocol import People
from weights.errors import Pose3dError

if TYPE_CHECKING:
    import torch

# Ours, whose weights are shipped; others with a network, which need a weights file; and those that
# take none.
OURS = "centernet"
LEARNT = ("rtmdet", "faster-rcnn", "torchvision")
WITHOUT_WEIGHTS = ("mediapipe", "whole-frame", "boxes")
NAMES = (OURS, *LEARNT, "mmdet:CONFIG", "mediapipe", "whole-frame", "boxes:FILE")


def build_people(
    name: str, weights: str | Path | None = None, device: torch.device | str = "cpu"
) -> People:
    """A detector of people for the pictures of one video.

    Parameters
    ----------
    name : "centernet" (ours); "rtmdet" or "faster-rcnn" (of OpenMMLab's mmdet; their size is told
        from the weights); "mmdet:CONFIG" with the name or path of any other configuration of mmdet;
        "torchvision" (its Faster R-CNN or Keypoint R-CNN); "mediapipe" (one person); "whole-frame";
        "boxes:FILE" (see ``boxes.read_boxes``)
    weights : the path of a weights file, which all detectors with a network of mmdet or torchvision
        need, no other takes, and ours may have: else it is the shipped one
    device : where such a network runs

    Raises
    ------
    Pose3dError
        for an unknown name, packages that are not installed, or a file that is not usable.
    """
    kind, _, rest = name.partition(":")
    if kind not in (OURS, *LEARNT, *WITHOUT_WEIGHTS, "mmdet") or (
        bool(rest) != (kind in ("mmdet", "boxes"))
    ):
        same = [known for known in NAMES if known.partition(":")[0] == kind]
        close = same or difflib.get_close_matches(name.lower(), NAMES, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        choice = ", ".join(NAMES)
        raise Pose3dError(f"unknown detector of people '{name}': choose one of {choice}{hint}")
    if kind in WITHOUT_WEIGHTS:
        if weights is not None:
            raise Pose3dError(f"{name}: takes no weights file, but {weights} was given")
        return _without_weights(kind, rest)
    # PyTorch and the packages of networks take seconds to import.
    if kind == OURS:
        from detectors2d.people.centernet import CenterNetPeople

        return CenterNetPeople(weights, device)
    if weights is None:
        raise Pose3dError(f"{name}: needs a weights file")
    if kind == "torchvision":
        from detectors2d.people.torchvision import TorchvisionPeople

        return TorchvisionPeople(weights, device)
    from detectors2d.mm.detect import MMDetector

    # A path stands for itself; names keep their package.
    return MMDetector(rest if rest.endswith(".py") else name, weights, device)


def _without_weights(kind: str, rest: str) -> People:
    from detectors2d.people import boxes

    if kind == "mediapipe":
        from detectors2d.people.mediapipe import MediaPipePeople

        return MediaPipePeople()
    return boxes.WholeFrame() if kind == "whole-frame" else boxes.GivenBoxes(rest)
