"""Trained HRNets of any known wrapping: which network they are, told from names and shapes.

The authors' files hold the tensors plainly, or under ``state_dict`` beside the state of the
training; MMPose's hold them under ``state_dict``, the network as ``backbone.`` and its last layer
as ``head.`` (1.x) or ``keypoint_head.`` (0.x). All name the tensors alike otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from detectors2d.hrnet import IMAGE_MEAN, IMAGE_STD
from weights.errors import Pose3dError
from weights.files import sha256
from weights.fitting import few
from weights.reading import read_any

WRAPPERS = ("state_dict", "model_state_dict", "model")

IN_MEMORY = "(tensors in memory)"


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a network, and what was around them.

    where : the file, for messages
    tensors : by name, without ``module.``, ``backbone.`` and ``head.``
    strays : names of the network's entries that are no tensors
    header : of a file of ours, else None
    sha256 : of the file; "" if there is none
    """

    where: str
    tensors: dict[str, Tensor]
    strays: list[str] = field(default_factory=list)
    header: object = None
    sha256: str = ""


def read_checkpoint(path: Path) -> Checkpoint:
    """What a weights file holds. Raises Pose3dError unless it holds tensors by name."""
    raw = read_any(path)
    if raw.kind == "pose3d safetensors":
        return Checkpoint(str(path), raw.content, header=raw.header, sha256=sha256(path))
    return unwrap(raw.content, str(path), sha256(path))


def unwrap(content: object, where: str = IN_MEMORY, digest: str = "") -> Checkpoint:
    """Find the network in a state dict or any known wrapper of one.

    Raises Pose3dError if there is none, or if it was trained on pictures of another preparation
    than ``TopDown`` gives.
    """
    state = content
    if isinstance(content, Mapping):
        key = next((key for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if key is not None:
            state = content[key]
            _refuse_udp(content.get("meta"), where)
    entries = dict(state) if isinstance(state, Mapping) else {}
    found = {name: value for name, value in entries.items() if isinstance(value, Tensor)}
    if not found:
        names = f", only {few(entries)}" if entries else ""
        raise Pose3dError(f"{where}: holds no network{names}; known are {', '.join(WRAPPERS)}")
    if any(tensor.is_meta for tensor in found.values()):
        raise Pose3dError(f"{where}: tensors of the meta device have no values")

    tensors: dict[str, Tensor] = {}
    for name, tensor in found.items():
        bare = re.sub(r"^(module\.)*((backbone|head|keypoint_head)\.)?", "", str(name))
        if bare.startswith("data_preprocessor."):
            _require_imagenet(bare, tensor, where)
        elif bare in tensors:
            raise Pose3dError(f"{where}: holds {bare} twice, under names of different beginnings")
        else:
            tensors[bare] = tensor
    strays = [str(name) for name in entries if name not in found]
    return Checkpoint(where, tensors, strays, sha256=digest)


def _refuse_udp(meta: object, where: str) -> None:
    """MMPose keeps the text of its configuration. UDP's cells lie elsewhere (Huang et al. 2020)."""
    texts = meta.values() if isinstance(meta, Mapping) else []
    texts = [text for text in texts if isinstance(text, str)]
    if any(re.search(r"use_udp\s*=\s*True|UDPHeatmap", text) for text in texts):
        raise Pose3dError(
            f"{where}: trained with UDP, whose heat maps mean other places in the picture; take "
            "the weights of the same network without UDP"
        )


def _require_imagenet(name: str, tensor: Tensor, where: str) -> None:
    values = {"mean": IMAGE_MEAN, "std": IMAGE_STD}.get(name.removeprefix("data_preprocessor."))
    flat = tensor.detach().flatten().tolist()
    if values is None or len(flat) != 3:
        raise Pose3dError(f"{where}: {name} is not known")
    if any(abs(value - 255 * wanted) > 0.1 for value, wanted in zip(flat, values, strict=True)):
        raise Pose3dError(f"{where}: trained on pictures with a {name} of {flat}, not ImageNet's")


def tell(checkpoint: Checkpoint) -> dict:
    """The arguments of ``HRNet`` that a checkpoint tells: all of them by the header of our files.

    Raises
    ------
    Pose3dError
        if it holds another network, or a tensor that tells a size is missing.
    """
    where, header = checkpoint.where, checkpoint.header
    if header is None:
        shapes = {name: tuple(tensor.shape) for name, tensor in checkpoint.tensors.items()}
        try:
            return recognise(shapes) | _size_in_name(where)
        except Pose3dError as error:
            raise Pose3dError(f"{where}: {error}") from None
    try:
        network = header.get("network", header.get("lifter"))
        if not str(network).startswith("hrnet-"):
            raise Pose3dError(f"{where}: weights of {network}, not of a 2D network")
        return {"cam_blocks": 0, **header["config"]}
    except (AttributeError, KeyError, TypeError) as error:
        raise Pose3dError(f"{where}: header of the weights file is not usable ({error})") from None


def recognise(shapes: Mapping[str, Sequence[int]]) -> dict:
    """Width, attention and modules of the HRNet with entries of these names and shapes.

    Raises Pose3dError if it is none, or has no layer that gives heat maps.
    """
    if not any(name.startswith("stage4.") for name in shapes):
        raise Pose3dError(
            f"weights of no 2D network that pose3d knows ({len(shapes)} tensors: {few(shapes)})"
        )
    if "final_layer.weight" not in shapes:
        raise Pose3dError("an HRNet without final_layer, which finds no joints: a backbone alone")
    first = "stage2.0.branches.0.0.conv1.weight"
    if len(shape := shapes.get(first, ())) != 4 or 0 in shape:
        raise Pose3dError(f"looks like HRNet, but {first} has the shape {tuple(shape)}")
    matches = [re.match(r"stage2\.0\.branches\.0\.(\d+)\.cam\.", name) for name in shapes]
    told = {
        "width": int(shape[0]),
        "cam_blocks": len({match[1] for match in matches if match}),
        "modules": tuple(_modules(shapes, stage) for stage in (2, 3, 4)),
    }
    if told["cam_blocks"]:
        told["neutral"] = any(name.endswith(".cam.scale") for name in shapes)
    return told


def _modules(shapes: Mapping[str, Sequence[int]], stage: int) -> int:
    found = (re.match(rf"stage{stage}\.(\d+)\.", name) for name in shapes)
    return len({match[1] for match in found if match})


def _size_in_name(where: str) -> dict:
    """Tensors do not tell it, but published files are named by height x width: 384x288."""
    for height, width in re.findall(r"(?<!\d)(\d{2,4})x(\d{2,4})(?!\d)", Path(where).name):
        if int(height) % 32 == int(width) % 32 == 0:
            return {"input_size": (int(width), int(height))}
    return {}
