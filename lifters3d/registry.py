"""Lifters by name: fresh ones (``build``) and trained ones (``load``)."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor, nn

from lifters3d import checkpoints
from lifters3d.liftformer import LiftFormer
from lifters3d.mixste import MixSTE
from lifters3d.poseformer import PoseFormer
from lifters3d.poseformer_sta import PoseFormerSTA
from lifters3d.strided import Strided
from weights import store
from weights.errors import Pose3dError
from weights.fitting import misfit, one_line, tensors_sha256
from weights.reading import write_weights

BUILDERS: dict[str, type[nn.Module]] = {
    "liftformer": LiftFormer,
    "mixste": MixSTE,
    "poseformer": PoseFormer,
    "poseformer-sta": PoseFormerSTA,
    "strided": Strided,
}


class Lifter(Protocol):
    """What every lifter offers; see ``lifters3d.normalisation`` for the input's scale."""

    frames: int  # receptive field T
    joints: int  # 17
    output: Literal["sequence", "center", "last"]
    config: dict  # keyword arguments that build the same network

    def __call__(self, keypoints: Tensor) -> Tensor: ...


Normalisation = Literal["screen", "person", "frame"]
Joints = Literal["derived", "h36m"]


@dataclass(frozen=True)
class Convention:
    """How a set of weights wants its input.

    normalisation : "screen", "person" or "frame" (lifters3d.normalisation)
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
        raise Pose3dError(f"lifter {name}: {one_line(error)}") from None
    lifter.convention = Convention()
    return lifter


def load(source: str | Path | Mapping[str, object]) -> nn.Module:
    """A trained lifter, in evaluation mode, with float32 weights.

    Parameters
    ----------
    source : a registry name; the path of a weights file, ours or one of the authors'; or tensors
        by name (a state dict, or a wrapper of one as the authors save it)

    The result carries ``convention`` and ``weights_identity`` (name, lifter, SHA-256 of the file
    or, if there is none, of the tensors). Raises Pose3dError unless every tensor fits.
    """
    if isinstance(source, Mapping):
        return assemble(checkpoints.unwrap(source))
    path = weights_path(source)
    lifter = assemble(checkpoints.read_checkpoint(path))
    lifter.weights_identity["name"] = str(source) if str(source) in BUILDERS else path.name
    return lifter


def assemble(checkpoint: checkpoints.Checkpoint) -> nn.Module:
    """The lifter that a checkpoint holds; see ``load``."""
    where, identity = checkpoint.where, checkpoints.identify(checkpoint)
    try:
        # Without values: what does not fit must cost neither time nor memory.
        with torch.device("meta"):
            lifter = build(identity.lifter, **identity.config)
        lifter.convention = Convention(**identity.convention)
    except Pose3dError as error:
        raise Pose3dError(f"{where}: {error}") from None
    except (TypeError, ValueError) as error:
        raise Pose3dError(f"{where}: header of the weights file is not usable ({error})") from None
    if reason := misfit(lifter.state_dict(), checkpoint.tensors, checkpoint.strays):
        raise Pose3dError(f"{where}: weights do not fit {identity.lifter}: {reason}")
    tensors = {
        name: checkpoint.tensors[name]
        .detach()
        .to("cpu", wanted.dtype, copy=True, memory_format=torch.contiguous_format)
        for name, wanted in lifter.state_dict().items()
    }
    for key, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise Pose3dError(f"{where}: {key} holds numbers that are not finite: damaged weights")
    lifter.load_state_dict(tensors, strict=True, assign=True)
    lifter.weights_identity = {
        "name": where,
        "lifter": identity.lifter,
        "sha256": checkpoint.sha256 or tensors_sha256(tensors),
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
        return store.path_of(str(source))
    path = Path(source)
    if path.suffix or path.exists():
        return path
    raise Pose3dError(_unknown(str(source)))


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(str(name).lower(), BUILDERS, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"unknown lifter '{name}': choose one of {', '.join(names())} or a weights file{hint}"
