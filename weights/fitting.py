"""Whether a checkpoint fits a network, said in one line; and what identifies its tensors."""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor


def misfit(
    expected: Mapping[str, Tensor], given: Mapping[str, Tensor], strays: Sequence[str]
) -> str:
    """How a checkpoint's tensors differ from those of a network; "" if they fit.

    ``strays`` are names of the checkpoint's entries that are no tensors.
    """
    parts = []
    if missing := [name for name in expected if name not in given]:
        parts.append(f"Missing keys: {few(missing)}")
    if unexpected := [name for name in given if name not in expected] + list(strays):
        parts.append(f"Unexpected keys: {few(unexpected)}")
    shared = [(name, given[name], expected[name]) for name in expected if name in given]
    if sizes := [
        f"{name} {tuple(tensor.shape)} instead of {tuple(wanted.shape)}"
        for name, tensor, wanted in shared
        if tensor.shape != wanted.shape
    ]:
        parts.append(f"size mismatch for {few(sizes, quote='')}")
    if types := [
        f"{name} {tensor.dtype}"
        for name, tensor, wanted in shared
        if tensor.is_floating_point() != wanted.is_floating_point()
    ]:
        parts.append(f"of the wrong type: {few(types, quote='')}")
    return textwrap.shorten("; ".join(parts), 360, placeholder=" ...")


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes and values, whatever the order."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def few(names: Iterable[object], quote: str = '"') -> str:
    """The first three names, and how many more there are."""
    names = list(names)
    shown = ", ".join(f"{quote}{name}{quote}" for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def one_line(error: Exception) -> str:
    """torch lists every tensor that does not fit, a line each: the first few are enough."""
    return textwrap.shorten(str(error), 300, placeholder=" ...")
