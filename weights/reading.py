"""Reading and writing of weight files: safetensors with a JSON header of ours."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from weights.errors import Pose3dError

HEADER_KEY = "pose3d"


def read_weights(path: str | Path) -> tuple[dict[str, Tensor], dict]:
    """Tensors (floating ones as float32) and the JSON header of a safetensors file of ours."""
    path = Path(path)
    if not path.is_file():
        raise Pose3dError(f"{path}: no such weights file")
    try:
        with safe_open(path, framework="pt") as archive:
            metadata = archive.metadata() or {}
            tensors = {key: archive.get_tensor(key) for key in archive.keys()}  # noqa: SIM118
        header = json.loads(metadata[HEADER_KEY])
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise Pose3dError(f"{path}: not a readable safetensors file ({error})") from None
    except KeyError:
        raise Pose3dError(f"{path}: a safetensors file, but not written by pose3d") from None
    return {
        key: tensor.float() if tensor.is_floating_point() else tensor
        for key, tensor in tensors.items()
    }, header


def write_weights(
    path: str | Path, tensors: Mapping[str, Tensor], header: dict, half: bool = True
) -> None:
    """Write tensors (floating ones as fp16 if ``half``) and a JSON header; appears when whole."""
    path = Path(path)
    kept = {
        key: (tensor.half() if half and tensor.is_floating_point() else tensor)
        .detach()
        .cpu()
        .contiguous()
        for key, tensor in tensors.items()
    }
    unfinished = path.with_name(f".{path.name}.part")
    # Not save_file: its files are readable by their owner only.
    content = save(kept, metadata={HEADER_KEY: json.dumps(header, sort_keys=True)})
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    except OSError as error:
        raise Pose3dError(f"{path}: cannot be written ({error.strerror})") from None


def read_checkpoint(path: str | Path) -> dict:
    """A training checkpoint of ours; never runs code that a file may hold."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise Pose3dError(f"{path}: no such checkpoint") from None
    # A damaged file makes torch raise nearly anything.
    except (OSError, EOFError, RuntimeError, LookupError, ValueError, pickle.UnpicklingError):
        raise Pose3dError(f"{path}: not a training checkpoint of pose3d, or damaged") from None
