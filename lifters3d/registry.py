"""Lifters by name: fresh ones (``build``) and trained ones (``load``)."""

from __future__ import annotations

import difflib
import hashlib
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

from torch import Tensor, nn

import weights
from lifters3d.liftformer import LiftFormer
from lifters3d.mixste import MixSTE
from lifters3d.poseformer import PoseFormer
from lifters3d.poseformer_sta import PoseFormerSTA
from lifters3d.strided import Strided
from weights.errors import Pose3dError
from weights.reading import read_weights, write_weights

BUILDERS: dict[str, type[nn.Module]] = {
    "liftformer": LiftFormer,
    "mixste": MixSTE,
    "poseformer": PoseFormer,
    "poseformer-sta": PoseFormerSTA,
    "strided": Strided,
}

# The file that a bare name means.
SHIPPED: dict[str, str] = {"mixste": "mixste_t81.safetensors"}


class Lifter(Protocol):
    """What every lifter offers; see ``lifters3d.normalisation`` for the input's scale."""

    frames: int  # receptive field T
    joints: int  # 17
    output: Literal["sequence", "center", "last"]
    config: dict  # keyword arguments that build the same network

    def __call__(self, keypoints: Tensor) -> Tensor: ...


Normalisation = Literal["screen", "person"]
Joints = Literal["derived", "h36m"]


@dataclass(frozen=True)
class Convention:
    """How a set of weights wants its input.

    normalisation : "screen" or "person" (lifters3d.normalisation)
    joints : "derived" (lifters3d.skeleton.derive_trunk) or "h36m" (all 17 as they are)
    frame_rate : frames per second of the training sequences, None if any will do
    """

    normalisation: Normalisation = "screen"
    joints: Joints = "h36m"
    frame_rate: float | None = None

    def __post_init__(self) -> None:
        for value, kind in ((self.normalisation, Normalisation), (self.joints, Joints)):
            if value not in get_args(kind):
                raise ValueError(f"{value!r} is none of {', '.join(get_args(kind))}")
        if self.frame_rate is not None and not self.frame_rate > 0:
            raise ValueError(f"a frame rate of {self.frame_rate}")


def names() -> list[str]:
    """The lifters that can be built."""
    return sorted(BUILDERS)


def build(name: str, **config: object) -> nn.Module:
    """A lifter with fresh weights; ``config`` are the keyword arguments of its class."""
    try:
        builder = BUILDERS[name]
    except KeyError:
        raise Pose3dError(_unknown(name)) from None
    try:
        lifter = builder(**config)
    except (TypeError, ValueError, RuntimeError) as error:
        raise Pose3dError(f"lifter {name}: {_one_line(error)}") from None
    lifter.convention = Convention()
    return lifter


def load(source: str | Path) -> nn.Module:
    """A trained lifter, in evaluation mode, from a registry name or the path of a weights file.

    The result carries ``convention`` and ``weights_identity`` (name, file's SHA-256).
    """
    path = weights_path(source)
    tensors, header = read_weights(path)
    try:
        lifter = build(header["lifter"], **header["config"])
        lifter.convention = Convention(**header["convention"])
    except Pose3dError as error:
        raise Pose3dError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise Pose3dError(f"{path}: header of the weights file is not usable ({error})") from None
    try:
        lifter.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        reason = _one_line(error)
        raise Pose3dError(f"{path}: weights do not fit {header['lifter']}: {reason}") from None
    lifter.weights_identity = {
        "name": str(source) if str(source) in BUILDERS else path.name,
        "lifter": header["lifter"],
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    return lifter.eval()


def save(lifter: nn.Module, name: str, path: str | Path, training: dict, half: bool = True) -> None:
    """Write a lifter as a weights file of ours; ``training`` says how it was trained."""
    header = {
        "lifter": name,
        "config": lifter.config,
        "convention": vars(lifter.convention),
        "training": training,
    }
    write_weights(path, lifter.state_dict(), header, half=half)


def weights_path(source: str | Path) -> Path:
    """The file behind a registry name or a path."""
    if str(source) in BUILDERS:
        return Path(weights.__file__).parent / SHIPPED[str(source)]
    path = Path(source)
    if path.suffix or path.exists():
        return path
    raise Pose3dError(_unknown(str(source)))


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, BUILDERS, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"unknown lifter '{name}': choose one of {', '.join(names())} or a weights file{hint}"


def _one_line(error: Exception) -> str:
    """torch lists every tensor that does not fit, a line each: the first few are enough."""
    return textwrap.shorten(str(error), 300, placeholder=" ...")
