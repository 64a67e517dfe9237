"""Networks of heat maps by name: fresh ones (``build_pose``) and trained ones (``load_pose``)."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from detectors2d import checkpoints
from detectors2d.channel_attention import Gate
from detectors2d.hrnet import HRNet
from weights import download, store
from weights.errors import Pose3dError
from weights.fitting import misfit, one_line, tensors_sha256
from weights.reading import write_weights

if TYPE_CHECKING:
    from detectors2d.mm.pose import HeatmapNetwork

# Two blocks of four with attention: the choice of the paper's text.
CONFIGS: dict[str, dict[str, int]] = {
    "hrnet-w32": {"width": 32, "cam_blocks": 0},
    "hrnet-w32-cam": {"width": 32, "cam_blocks": 2},
    "hrnet-w48": {"width": 48, "cam_blocks": 0},
    "hrnet-w48-cam": {"width": 48, "cam_blocks": 2},
}


def pose_names() -> list[str]:
    """The networks that can be built."""
    return sorted(CONFIGS)


def build_pose(name: str, **config: object) -> HRNet | HeatmapNetwork:
    """A network with fresh weights.

    ``name`` is one of ``pose_names`` or "mmpose:CONFIG", a top-down network of MMPose with heat
    maps; ``config`` are arguments of ``HRNet`` other than its width.
    """
    if name.startswith("mmpose:"):
        from detectors2d.mm.pose import load_heatmap_network, split_name

        if config or name.count(":") > 1:
            raise Pose3dError(f"{name}: a fresh network of MMPose is mmpose:CONFIG, without more")
        return load_heatmap_network(split_name(name)[0])
    _refuse_mediapipe(name)
    if name not in CONFIGS:
        raise Pose3dError(_unknown(name, pose_names()))
    try:
        if "width" in config:
            raise ValueError("the width is in the name")
        return HRNet(**{**CONFIGS[name], **config})
    except (TypeError, ValueError) as error:
        raise Pose3dError(f"{name}: {one_line(error)}") from None


def load_pose(
    source: str | Path | Mapping[str, object],
    cam_blocks: int | None = None,
    gate: Gate | None = None,
    input_size: tuple[int, int] | None = None,
) -> HRNet | HeatmapNetwork:
    """A trained network, in evaluation mode, with float32 weights.

    Parameters
    ----------
    source : a name of public weights that were fetched; the path of a weights file, ours, the HRNet
        authors' or MMPose's; tensors by name (a state dict, or a wrapper of one); or
        "mmpose:CONFIG:FILE", any top-down network of MMPose with heat maps
    cam_blocks : blocks with channel attention. Weights without any get fresh, neutral attention:
        the heat maps are bit for bit those without it, until it is trained.
    gate : of the attention ("literal" or "full"); needed for weights with attention that are in
        no file of ours, because tensors do not tell it
    input_size : (width, height) px of the crops. Files of ours say it, and the names of published
        files ("..._384x288.pth", height first); else it is (192, 256).

    The result carries ``weights_identity`` (name, network, SHA-256 of the file or, if there is
    none, of the tensors). Raises Pose3dError unless every tensor fits.
    """
    asked = {"cam_blocks": cam_blocks, "gate": gate, "input_size": input_size}
    if not isinstance(source, Mapping) and str(source).startswith("mmpose:"):
        from detectors2d.mm.pose import load_heatmap_network, split_name

        config, weights = split_name(str(source))
        if weights is None or any(value is not None for value in asked.values()):
            raise Pose3dError(f"{source}: a network of MMPose is mmpose:CONFIG:FILE, without more")
        return load_heatmap_network(config, weights)
    if isinstance(source, Mapping):
        checkpoint = checkpoints.unwrap(source)
    else:
        checkpoint = checkpoints.read_checkpoint(_weights_path(source))
    network = _assemble(checkpoint, asked)
    if not isinstance(source, Mapping):
        name = str(source) if str(source) in CONFIGS else Path(source).name
        network.weights_identity["name"] = name
    return network


def _assemble(checkpoint: checkpoints.Checkpoint, asked: dict[str, object]) -> HRNet:
    where, told = checkpoint.where, checkpoints.tell(checkpoint)
    asked = {key: value for key, value in asked.items() if value is not None}
    grows = told["cam_blocks"] == 0 and asked.get("cam_blocks", 0) != 0
    if grows:
        told = told | {"gate": "literal", "neutral": True}
    elif told["cam_blocks"]:
        for key in ("cam_blocks", "gate"):
            if key in told and asked.get(key, told[key]) != told[key]:
                raise Pose3dError(f"{where}: {key} of these weights is {told[key]}")
        if "gate" not in told | asked:
            raise Pose3dError(
                f"{where}: has channel attention, but tensors do not tell its gate: say gate="
                "'literal' or 'full', or give the file that pose3d wrote, which says it"
            )
    config = told | asked
    try:
        # Without values: what does not fit must cost neither time nor memory.
        with torch.device("meta"):
            network = HRNet(**config)
    except (TypeError, ValueError, RuntimeError) as error:
        raise Pose3dError(f"{where}: {one_line(error)}") from None
    expected = network.state_dict()
    fresh = {name for name in expected if grows and ".cam." in name}
    wanted = {name: tensor for name, tensor in expected.items() if name not in fresh}
    if reason := misfit(wanted, checkpoint.tensors, checkpoint.strays):
        raise Pose3dError(f"{where}: weights do not fit {_name(network)}: {reason}")

    tensors = {
        name: _as_wanted(checkpoint.tensors[name], tensor) for name, tensor in wanted.items()
    }
    for key, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise Pose3dError(f"{where}: {key} holds numbers that are not finite: damaged weights")
    digest = checkpoint.sha256 or tensors_sha256(tensors)
    if fresh:
        network = HRNet(**config)
        tensors |= {name: t for name, t in network.state_dict().items() if name in fresh}
    network.load_state_dict(tensors, strict=True, assign=True)
    network.weights_identity = {"name": where, "network": _name(network), "sha256": digest}
    return network.eval()


def save_pose(network: HRNet, path: str | Path, training: dict, half: bool = True) -> None:
    """Write a network as a weights file of ours; ``training`` says how it was trained."""
    state = network.state_dict()
    if half:
        for name, tensor in state.items():
            if not torch.isfinite(tensor.half()).all():
                raise Pose3dError(f"{path}: {name} does not fit into fp16: save with half=False")
    header = {"network": _name(network), "config": network.config, "training": training}
    write_weights(path, state, header, half=half)


def _as_wanted(tensor: Tensor, wanted: Tensor) -> Tensor:
    return tensor.detach().to("cpu", wanted.dtype, copy=True, memory_format=torch.contiguous_format)


def _name(network: HRNet) -> str:
    config = network.config
    return f"hrnet-w{config['width']}" + ("-cam" if config["cam_blocks"] else "")


def _weights_path(source: str | Path) -> Path:
    """The file behind a registry name or a path."""
    name = str(source)
    _refuse_mediapipe(name)
    if name in CONFIGS:
        return store.path_of(name)
    if name in _trained():
        return download.fetch(name, offline=True)
    path = Path(source)
    if path.suffix or path.exists():
        return path
    raise Pose3dError(_unknown(name, _trained(), " or a weights file"))


def _refuse_mediapipe(name: str) -> None:
    if name == "mediapipe":
        raise Pose3dError(
            "mediapipe: has no heat maps, it finds the joints in whole pictures by itself; choose "
            f"one of {', '.join(pose_names())} or a weights file"
        )


def _trained() -> list[str]:
    """Names of weights of 2D networks, shipped ones and public ones, which can be fetched."""
    known = {**store.entries(), **store.public()}
    return [name for name, entry in known.items() if entry.kind == "pose2d"]


def _unknown(name: str, known: Sequence[str], also: str = "") -> str:
    close = difflib.get_close_matches(str(name).lower(), known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"unknown 2D network '{name}': choose one of {', '.join(known)}{also}{hint}"
