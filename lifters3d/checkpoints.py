"""Trained weights of any known wrapping: which lifter they are, told from names and shapes.

The authors' files hold the network under ``model_pos`` (PoseFormer, MixSTE; beside the state of the
training) or plainly (Strided Transformer, the PoseFormer demo), with or without the ``module.``
that torch's DataParallel puts before every name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from lifters3d.strided import default_strides
from weights.errors import Pose3dError
from weights.files import sha256
from weights.fitting import few
from weights.reading import read_any

# Under which the network's tensors may be, in this order, at most two deep.
WRAPPERS = ("model_pos", "state_dict", "model_state_dict", "model", "net")

# Cannot be told from shapes; all papers have 8.
HEADS = 8

# All authors' weights were trained on Human3.6M at 50 frames per second.
AUTHORS_CONVENTION = {"normalisation": "screen", "joints": "h36m", "frame_rate": 50.0}

IN_MEMORY = "(tensors in memory)"


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a network, and what was around them.

    where : the file, for messages
    tensors : by name, without ``module.``
    strays : names of the network's entries that are no tensors
    wrapper : names under which the network was, () if it was plain
    prefixed : whether any name began with ``module.``
    beside : what else the wrapper holds
    kind : of the file, as ``weights.reading.RawWeights``
    header : of a file of ours, else None
    sha256 : of the file; "" if there is none
    """

    where: str
    tensors: dict[str, Tensor]
    strays: list[str] = field(default_factory=list)
    wrapper: tuple[str, ...] = ()
    prefixed: bool = False
    beside: dict[str, object] = field(default_factory=dict)
    kind: str = ""
    header: object = None
    sha256: str = ""


@dataclass(frozen=True)
class Identity:
    """Which network it is: a registry name, its class's arguments, ``Convention``'s arguments."""

    lifter: str
    config: dict
    convention: dict


def read_checkpoint(path: Path) -> Checkpoint:
    """What a weights file holds. Raises Pose3dError unless it holds tensors by name."""
    raw = read_any(path)
    if raw.kind == "pose3d safetensors":
        return Checkpoint(
            str(path), raw.content, kind=raw.kind, header=raw.header, sha256=sha256(path)
        )
    return unwrap(raw.content, str(path), kind=raw.kind, sha256=sha256(path))


def unwrap(content: object, where: str = IN_MEMORY, **about: str) -> Checkpoint:
    """Find the network in a state dict or any known wrapper of one."""
    state, wrapper, beside = content, (), {}
    while isinstance(state, Mapping) and len(wrapper) < 2:
        key = next((key for key in WRAPPERS if isinstance(state.get(key), Mapping)), None)
        if key is None:
            break
        beside |= {name: value for name, value in state.items() if name != key}
        state, wrapper = state[key], (*wrapper, key)

    entries = dict(state) if isinstance(state, Mapping) else {}
    found = {name: value for name, value in entries.items() if isinstance(value, Tensor)}
    if not found:
        names = f", only {few([str(name) for name in entries])}" if entries else ""
        raise Pose3dError(f"{where}: holds no network{names}; known are {', '.join(WRAPPERS)}")
    if any(tensor.is_meta for tensor in found.values()):
        raise Pose3dError(f"{where}: tensors of the meta device have no values")
    tensors = {}
    for name, tensor in found.items():
        bare = re.sub(r"^(module\.)+", "", str(name))
        if bare in tensors:
            raise Pose3dError(f"{where}: holds {bare} twice, with and without 'module.'")
        tensors[bare] = tensor
    return Checkpoint(
        where,
        tensors,
        strays=[str(name) for name in entries if name not in found],
        wrapper=wrapper,
        prefixed=tensors.keys() != found.keys(),
        beside=beside,
        **about,
    )


def identify(checkpoint: Checkpoint) -> Identity:
    """Which lifter it is, by the header of a file of ours, else by names and shapes.

    Raises
    ------
    Pose3dError
        saying what it is instead, if that is known, or which tensor is not as it should be.
    """
    if checkpoint.kind == "pose3d safetensors":
        try:
            header = checkpoint.header
            if "network" in header:
                raise Pose3dError(
                    f"{checkpoint.where}: weights of {header['network']}, which finds 2D joints, "
                    "not of a lifter: it goes with --pose2d"
                )
            return Identity(header["lifter"], header["config"], header["convention"])
        except (KeyError, TypeError) as error:
            raise Pose3dError(
                f"{checkpoint.where}: header of the weights file is not usable ({error})"
            ) from None
    shapes = {name: tuple(tensor.shape) for name, tensor in checkpoint.tensors.items()}
    if other := other_network(shapes):
        raise Pose3dError(f"{checkpoint.where}: {other}, not a lifter that pose3d has")
    try:
        lifter, config = recognise(shapes)
    except Pose3dError as error:
        raise Pose3dError(f"{checkpoint.where}: {error}") from None
    return Identity(lifter, config, AUTHORS_CONVENTION)


def other_network(shapes: Mapping[str, Sequence[int]]) -> str:
    """What weights of some well-known other network are; "" if they are none of these."""
    for marks, what in (
        ((r"stage4\..*fuse_layers",), f"{_hrnet(shapes)}, which finds keypoints in pictures"),
        ((r"^post_refine\.",), "the Strided Transformer's refine module, which needs the camera"),
        ((r"^Freq_embedding\.", r"^Temporal_pos_embed_$"), "PoseFormerV2"),
        ((r"^blocks_st\.", r"^temp_embed$"), "MotionBERT (DSTformer)"),
        ((r"\.att_spatial\.", r"\.graph_spatial\."), "MotionAGFormer"),
        ((r"^Transformer_hypothesis\.", r"^Transformer_encoder_1\."), "MHFormer"),
        ((r"^expand_conv\.", r"^layers_conv\."), "a temporal convolution network (VideoPose3D)"),
    ):
        if all(any(re.search(mark, name) for name in shapes) for mark in marks):
            return what
    return ""


def _hrnet(shapes: Mapping[str, Sequence[int]]) -> str:
    first = "stage4.0.branches.0.0.conv1.weight"
    widths = [shape[0] for name, shape in shapes.items() if name.endswith(first) and shape]
    return f"HRNet-W{widths[0]}" if widths else "HRNet"


def recognise(shapes: Mapping[str, Sequence[int]]) -> tuple[str, dict]:
    """Registry name and class arguments of the lifter with entries of these names and shapes.

    Raises Pose3dError if it is none, or if a tensor that tells the network's size is missing.
    """
    for mark, recognised in (
        (r"^(STE|TTE)blocks\.", _mixste),
        (r"^Spatial_blocks\.", _poseformer),
        (r"^Transformer(_reduce)?\.model\.layers\.", _strided),
    ):
        if any(re.match(mark, name) for name in shapes):
            return recognised(shapes)
    if any(name.startswith("attentions.0.linears.") for name in shapes):
        raise Pose3dError(
            "LiftFormer, whose receptive field cannot be told from tensors alone: "
            "give the file that pose3d wrote, which says it"
        )
    raise Pose3dError(
        f"weights of no network that pose3d knows ({len(shapes)} tensors: {few(list(shapes))})"
    )


def _mixste(shapes: Mapping[str, Sequence[int]]) -> tuple[str, dict]:
    _, joints, width = _shape("MixSTE", shapes, "Spatial_pos_embed", 3)
    return "mixste", {
        "frames": _shape("MixSTE", shapes, "Temporal_pos_embed", 3)[1],
        "joints": joints,
        "width": width,
        "depth": _count(shapes, r"(?:STE|TTE)blocks"),
        "heads": HEADS,
        "mlp_ratio": _ratio(_shape("MixSTE", shapes, "STEblocks.0.mlp.fc1.weight", 2)),
    }


def _poseformer(shapes: Mapping[str, Sequence[int]]) -> tuple[str, dict]:
    _, joints, width = _shape("PoseFormer", shapes, "Spatial_pos_embed", 3)
    config = {
        "frames": _shape("PoseFormer", shapes, "Temporal_pos_embed", 3)[1],
        "joints": joints,
        "width": width,
        "depth": _count(shapes, r"(?:Spatial_)?blocks"),
        "heads": HEADS,
        "mlp_ratio": _ratio(_shape("PoseFormer", shapes, "blocks.0.mlp.fc1.weight", 2)),
    }
    if any(".module.conv_" in name for name in shapes):
        module = "Spatial_blocks.0.module.conv_a.weight"
        inputs = _shape("PoseFormer with attention modules", shapes, module, 3)[1]
        return "poseformer-sta", config | {"reading": "depthwise" if inputs == 1 else "grouped"}
    averages = any(name.startswith("weighted_mean.") for name in shapes)
    return "poseformer", config | {"variant": "paper" if averages else "demo"}


def _strided(shapes: Mapping[str, Sequence[int]]) -> tuple[str, dict]:
    title = "Strided Transformer"
    width, inputs, _ = _shape(title, shapes, "encoder.0.weight", 3)
    vanilla = _count(shapes, r"Transformer\.model\.layers")
    strided = _count(shapes, r"Transformer_reduce\.model\.layers")
    name = "Transformer.pos_embedding" if vanilla else "Transformer_reduce.model.pos_embedding_1"
    frames = _shape(title, shapes, name, 3)[1]
    config = {"frames": frames, "joints": inputs // 2, "width": width, "depth": vanilla}
    layers = "Transformer_reduce" if strided else "Transformer"
    dimensions = 3 if strided else 2  # convolutions, or linear layers
    hidden = _shape(title, shapes, f"{layers}.model.layers.0.feed_forward.w_1.weight", dimensions)[
        0
    ]
    config |= {"heads": HEADS, "hidden": hidden, "strides": []}
    if not strided:
        return "strided", config
    if strided != 3:
        raise Pose3dError(
            f"a Strided Transformer with {strided} strided layers: the strides can be told for the "
            "papers' 3 alone; give the file that pose3d wrote, which says them"
        )
    try:
        config["strides"] = list(default_strides(frames))
    except ValueError as error:
        raise Pose3dError(f"{title}: {error}") from None
    w_2 = "Transformer_reduce.model.layers.0.feed_forward.w_2.weight"
    return "strided", config | {"kernel": _shape(title, shapes, w_2, 3)[2]}


def _shape(
    title: str, shapes: Mapping[str, Sequence[int]], name: str, dimensions: int
) -> Sequence[int]:
    """The shape of a tensor that tells the size of the network."""
    if name not in shapes:
        raise Pose3dError(f"looks like {title}, but {name} is missing")
    if len(shapes[name]) != dimensions or 0 in shapes[name]:
        raise Pose3dError(f"looks like {title}, but {name} has the shape {tuple(shapes[name])}")
    return shapes[name]


def _count(shapes: Mapping[str, Sequence[int]], stack: str) -> int:
    """How many layers a stack has."""
    # The highest number would do, but may be any in a damaged file.
    numbers = [re.match(rf"{stack}\.(\d+)\.", name) for name in shapes]
    return len({number[1] for number in numbers if number})


def _ratio(fc1: Sequence[int]) -> float:
    """The ``mlp_ratio`` of which a layer (hidden, width) is made by ``int(width * mlp_ratio)``."""
    hidden, width = fc1
    ratio = hidden / width
    return ratio if int(width * ratio) == hidden else (hidden + 0.5) / width
