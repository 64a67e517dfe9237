"""Where and how precisely networks run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

from pipeline.settings import PRECISIONS
from weights.errors import Pose3dError

Answer = TypeVar("Answer")


def choose_device(wanted: str) -> torch.device:
    """The device behind "auto", "cpu", "cuda" or "cuda:N"; Pose3dError if it is not there."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", wanted):
        raise Pose3dError(f"unknown device {wanted!r}: choose auto, cpu, cuda or cuda:N")
    kind, _, number = wanted.partition(":")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise Pose3dError(
            f"device '{wanted}' is not there: {torch.cuda.device_count()} CUDA devices are "
            "visible to PyTorch; use --device cpu"
        )
    return torch.device(wanted)


def choose_precision(wanted: str, device: torch.device) -> torch.dtype:
    """The type of the products behind "auto", "fp32", "bf16" or "fp16".

    "auto" is fp16 on CUDA devices (joints move by 0.02 mm, 0.1 mm at most), bf16 on CPUs that
    multiply it in hardware (0.2 mm, 0.9 mm at most; ``benchmarks/lifters.py``), else float32. Sums,
    norms, a CPU's attention and a lifter's first and last layer are float32 in any case.
    """
    if wanted == "fp32":
        return torch.float32
    if wanted == "bf16":
        return torch.bfloat16
    if wanted == "fp16":
        if device.type == "cpu":
            raise Pose3dError("precision fp16 needs a CUDA device: choose auto, fp32 or bf16")
        return torch.float16
    if wanted != "auto":
        raise Pose3dError(f"unknown precision '{wanted}': choose one of {', '.join(PRECISIONS)}")
    if device.type == "cuda":
        # Before Volta half precision is no faster.
        fast = torch.cuda.get_device_capability(device)[0] >= 7
        return torch.float16 if fast else torch.float32
    # AVX-512 without these instructions converts first, and is slower than float32.
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    fast = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return torch.bfloat16 if fast else torch.float32


@contextmanager
def products_in(precision: str, device: torch.device) -> Iterator[None]:
    """Networks on ``device`` multiply in this precision (``choose_precision``), and no other."""
    dtype = choose_precision(precision, device)
    # torch lets convolutions round to TF32, with 10 bits, where nobody asked.
    exact = torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False)
    with exact, torch.autocast(device.type, dtype, enabled=dtype is not torch.float32):
        yield


def map_batches(
    function: Callable[[Tensor], Answer], batches: Sequence[Tensor], device: torch.device
) -> Iterator[Answer]:
    """``function`` of every batch, in order; it works on ``device``.

    On a CPU several batches run at once, each on one thread: the layers of lifters are so small
    that sharing out a single one costs 10-90 % more time than it should.
    """
    threads = torch.get_num_threads()
    if threads == 1 or len(batches) < 2 or device.type != "cpu":
        yield from map(function, batches)
        return
    # Threads have modes of their own.
    inference = torch.is_inference_mode_enabled()
    lowered, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

    def work(batch: Tensor) -> Answer:
        with torch.inference_mode(inference), torch.autocast("cpu", dtype, enabled=lowered):
            return function(batch)

    pool = ThreadPoolExecutor(threads)
    torch.set_num_threads(1)
    try:
        yield from pool.map(work, batches)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
