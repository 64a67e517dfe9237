"""Weights that anyone can make again from the names and shapes of a network's tensors.

The golden outputs in ``tests/data`` are what the authors' own networks answered for these weights.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable

import numpy as np

Shape = tuple[int, ...]


def filled(name: str, shape: Shape) -> np.ndarray:
    """The array (float32; int64 for counters) that belongs to the tensor ``name`` of ``shape``.

    Uniform numbers from a stream seeded with the CRC-32 of the name, times a size that depends on
    what the tensor is: gains about 1, biases about 0, weights of unit variance over their inputs.
    """
    shape = tuple(shape)
    kind = name.split(".")[-1]
    if kind == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    stream = np.random.RandomState(zlib.crc32(name.encode()))
    offset, size = _range(name, kind, shape)
    noise = 2.0 * stream.random_sample(math.prod(shape)) - 1.0
    return (offset + size * noise).astype(np.float32).reshape(shape)


def _range(name: str, kind: str, shape: Shape) -> tuple[float, float]:
    """Centre and half width of the uniform distribution."""
    if kind == "running_var":
        return 1.0, 0.25
    if kind == "running_mean":
        return 0.0, 0.1
    if "pos_embed" in name:
        return 0.0, 0.5
    if not shape or (len(shape) == 1 and kind in ("weight", "a_2")):
        return 1.0, 0.25
    if len(shape) == 1:
        return 0.0, 0.1
    gain = 0.7 if len(shape) == 4 else 1.0
    return 0.0, gain * math.sqrt(3.0 / math.prod(shape[1:]))


def weights_crc32(arrays: Iterable[np.ndarray]) -> int:
    """CRC-32 over the bytes of all arrays in their order: equal if two fillings agree."""
    crc = 0
    for array in arrays:
        crc = zlib.crc32(np.ascontiguousarray(array), crc)
    return crc
