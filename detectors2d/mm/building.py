"""OpenMMLab's configurations by name, the networks they describe, and strict reading of weights.

A configuration is a Python program, which is run when it is read: take only those of OpenMMLab's
own packages or ones that you trust. Weights are never run (``weights.reading``).
"""

from __future__ import annotations

import difflib
import glob
import re
import textwrap
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from detectors2d.mm import compat
from detectors2d.mm.quiet import quietly
from weights.errors import Pose3dError
from weights.files import sha256
from weights.reading import read_any

if TYPE_CHECKING:
    from mmengine.config import Config

# Where each package keeps its configurations; mmpose brings some of mmdet's, for people alone.
FOLDERS = {
    "mmdet": [("mmdet", ".mim/configs"), ("mmpose", ".mim/demo/mmdetection_cfg")],
    "mmpose": [("mmpose", ".mim/configs")],
}
WRAPPERS = ("state_dict", "model")


@dataclass(frozen=True)
class State:
    """Tensors of a weights file by name, and the file's path and SHA-256."""

    where: str
    tensors: dict[str, Tensor]
    sha256: str

    def identity(self, network: str) -> dict[str, str]:
        """What a result says of them."""
        return {"name": Path(self.where).name, "network": network, "sha256": self.sha256}


def read_config(name: str, package: str) -> Config:
    """The configuration ``<package>:<NAME>`` that is installed with a package, or a file's.

    NAME is that of the file, without its folder and ``.py``. Raises Pose3dError if there is none.
    """
    compat.prepare()
    path = _config_path(name, package)
    from mmengine.config import Config

    try:
        with quietly():
            config = Config.fromfile(path)
    # It is a program, so anything can go wrong in it.
    except Exception as error:
        raise Pose3dError(
            f"{name}: the configuration cannot be read ({_one_line(error)})"
        ) from None
    if missing := [key for key in ("model", "test_dataloader") if key not in config]:
        raise Pose3dError(f"{name}: the configuration says nothing of {', '.join(missing)}")
    return config


def _config_path(name: str, package: str) -> Path:
    prefix, _, stem = name.partition(":")
    if prefix != package:
        path = Path(name)
        if path.suffix != ".py":
            raise Pose3dError(
                f"{name}: not a configuration: give {package}:NAME, or the path of a .py file"
            )
        if not path.is_file():
            raise Pose3dError(f"{name}: no such configuration file")
        return path
    known: dict[str, Path] = {}
    for owner, folder in FOLDERS[package]:
        root = Path(find_spec(owner).submodule_search_locations[0]) / folder
        if found := sorted(root.rglob(f"{glob.escape(stem)}.py")):
            return found[0]
        known |= {path.stem: path for path in root.rglob("*.py") if "_base_" not in path.parts}
    longer = sorted(name for name in known if name.startswith(stem))
    close = longer or difflib.get_close_matches(stem, known, n=1)
    hint = f"; did you mean {package}:{close[0]}?" if close else ""
    raise Pose3dError(f"{name}: {package} has no configuration of this name{hint}")


def build(config: Config, package: str, name: str) -> nn.Module:
    """The network of a configuration, in evaluation mode, with random weights: fetches nothing."""
    from mmengine.config import ConfigDict
    from mmengine.registry import DefaultScope

    try:
        with quietly(), DefaultScope.overwrite_default_scope(package):
            models = import_module(f"{package}.registry").MODELS
            return models.build(ConfigDict(_without_downloads(config.model))).eval()
    except Pose3dError:
        raise
    # A configuration of other packages or versions fails in nearly any way.
    except Exception as error:
        raise Pose3dError(f"{name}: the network cannot be built ({_one_line(error)})") from None


def _without_downloads(part: object) -> object:
    """Without the addresses of backbones trained on ImageNet: all weights come from the file."""
    if isinstance(part, dict):
        items = ((key, value) for key, value in part.items() if key != "pretrained")
        return {key: _without_downloads(value) for key, value in items if key != "init_cfg"}
    if isinstance(part, list | tuple):
        return type(part)(_without_downloads(value) for value in part)
    return part


def read_state(path: str | Path) -> State:
    """The tensors of a weights file: plainly by name, or in mmengine's or torchvision's wrapper."""
    content = read_any(path).content
    if isinstance(content, dict):
        key = next((key for key in WRAPPERS if isinstance(content.get(key), dict)), None)
        content = content if key is None else content[key]
    tensors = {
        re.sub(r"^(module\.)+", "", str(name)): value
        for name, value in (content.items() if isinstance(content, dict) else ())
        if isinstance(value, Tensor)
    }
    if not tensors:
        raise Pose3dError(f"{path}: holds no network; known are {', '.join(WRAPPERS)}")
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise Pose3dError(f"{path}: {name} holds numbers that are not finite: damaged weights")
    return State(str(path), tensors, sha256(path))


def load_state(network: nn.Module, state: State, name: str) -> None:
    """Put the tensors into a network of mmdet or mmpose; Pose3dError unless every one fits.

    Older files are understood as far as the network's own classes understand them.
    """
    tensors = dict(state.tensors)
    # Not part of the network in today's versions, but it must have been trained like that.
    for part in ("mean", "std"):
        given = tensors.pop(f"data_preprocessor.{part}", None)
        wanted = getattr(network.data_preprocessor, part, None)
        if given is not None and (
            wanted is None
            or given.numel() != wanted.numel()
            or (given.flatten() - wanted.flatten().cpu()).abs().max() > 0.1
        ):
            raise Pose3dError(
                f"{state.where}: trained on pictures with a {part} of {given.flatten().tolist()}, "
                f"which {name} does not give"
            )
    load_strictly(network, State(state.where, tensors, state.sha256), name)


def load_strictly(network: nn.Module, state: State, name: str) -> None:
    """Put the tensors into a network; Pose3dError with the first few that do not fit."""
    try:
        network.load_state_dict(state.tensors, strict=True)
    except RuntimeError as error:
        # torch lists every tensor that does not fit, below a line with the name of the class.
        reason = textwrap.shorten(str(error).partition("\n")[2], 360, placeholder=" ...")
        raise Pose3dError(f"{state.where}: weights do not fit {name}: {reason}") from None


def _one_line(error: Exception) -> str:
    return textwrap.shorten(f"{type(error).__name__}: {error}", 300, placeholder=" ...")
