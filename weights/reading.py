"""Reading and writing of weight files: safetensors with a JSON header of ours, and foreign ones."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from weights.errors import Pose3dError
from weights.files import write_file
from weights.pickled import ZIP_MAGIC, read_legacy, read_zip

HEADER_KEY = "pose3d"


@dataclass(frozen=True)
class RawWeights:
    """What a weights file holds, whoever wrote it.

    content : mappings, lists, numbers, texts and tensors as they are nested in the file; other
        objects of a training state are None
    kind : "pose3d safetensors", "safetensors", "torch" or "torch before 1.6"
    header : the JSON header of a file of ours, else None
    """

    content: object
    kind: str
    header: object = None


def read_any(path: str | Path) -> RawWeights:
    """Read a weights file of any kind; never runs code that a file may hold."""
    path = Path(path)
    start = _first_bytes(path)
    # A file that calls itself safetensors is never taken for a pickle.
    if path.suffix == ".safetensors" or start[8:9] == b"{":
        tensors, metadata = _read_safetensors(path)
        if HEADER_KEY in metadata:
            return RawWeights(tensors, "pose3d safetensors", _header(path, metadata))
        return RawWeights(tensors, "safetensors")
    if start.startswith(ZIP_MAGIC):
        return RawWeights(read_zip(path), "torch")
    if start.startswith(b"\x80"):
        return RawWeights(read_legacy(path), "torch before 1.6")
    what = "not a weights file: neither safetensors nor written by torch.save"
    if not start:
        what = "an empty file"
    elif start.lstrip().startswith(b"<"):
        what = "a web page, not weights: the download needs a click in a browser"
    elif start.startswith(b"version https://git-lfs"):
        what = "the pointer of a Git LFS file, not the file: fetch it with git lfs pull"
    raise Pose3dError(f"{path}: {what}")


def read_weights(path: str | Path) -> tuple[dict[str, Tensor], dict]:
    """Tensors (floating ones as float32) and the JSON header of a safetensors file of ours."""
    path = Path(path)
    _first_bytes(path)
    tensors, metadata = _read_safetensors(path)
    if HEADER_KEY not in metadata:
        raise Pose3dError(f"{path}: a safetensors file, but not written by pose3d")
    return {
        key: tensor.float() if tensor.is_floating_point() else tensor
        for key, tensor in tensors.items()
    }, _header(path, metadata)


def _first_bytes(path: Path) -> bytes:
    if not path.is_file():
        what = "a folder, not a weights file" if path.is_dir() else "no such weights file"
        raise Pose3dError(f"{path}: {what}")
    try:
        with open(path, "rb") as file:
            return file.read(64)
    except OSError as error:
        raise Pose3dError(f"{path}: cannot be read ({error.strerror})") from None


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as archive:
            tensors = {key: archive.get_tensor(key) for key in archive.keys()}  # noqa: SIM118
            return tensors, archive.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise Pose3dError(f"{path}: not a readable safetensors file ({error})") from None


def _header(path: Path, metadata: Mapping[str, str]) -> dict:
    try:
        return json.loads(metadata[HEADER_KEY])
    except json.JSONDecodeError as error:
        raise Pose3dError(f"{path}: not a readable safetensors file ({error})") from None


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
    # Not save_file: its files are readable by their owner only.
    write_file(path, save(kept, metadata={HEADER_KEY: json.dumps(header, sort_keys=True)}))


def read_checkpoint(path: str | Path) -> dict:
    """A training checkpoint of ours; never runs code that a file may hold."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise Pose3dError(f"{path}: no such checkpoint") from None
    # A damaged file makes torch raise nearly anything.
    except (OSError, EOFError, RuntimeError, LookupError, ValueError, pickle.UnpicklingError):
        raise Pose3dError(f"{path}: not a training checkpoint of pose3d, or damaged") from None
