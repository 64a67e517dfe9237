"""2D joints of people in pictures, in COCO-17 order: networks of heat maps, and MediaPipe."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detectors2d.registry import build_pose, load_pose, pose_names, save_pose
    from detectors2d.topdown import TopDown

__all__ = ["TopDown", "build_pose", "load_pose", "pose_names", "save_pose"]

_LAZY = {
    "TopDown": "detectors2d.topdown",
    "build_pose": "detectors2d.registry",
    "load_pose": "detectors2d.registry",
    "pose_names": "detectors2d.registry",
    "save_pose": "detectors2d.registry",
}


def __getattr__(name: str) -> object:
    # MediaPipe, in this package too, needs no PyTorch, which takes seconds to import.
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
