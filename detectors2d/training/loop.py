"""The loop of every training here: a folder a run, that goes on where it was broken off.

Under torchrun the batch is shared out among processes.
"""

from __future__ import annotations

import csv
import io
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from weights.errors import Pose3dError
from weights.files import write_file
from weights.reading import read_checkpoint

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
CHECKPOINT, LOG = "checkpoint.pt", "log.csv"
CHECKPOINT_S = 120.0


class Schedule(Protocol):
    """The part of a recipe that the loop reads; see ``recipes.Recipe``."""

    steps: int
    rate: float
    warmup: int
    weight_decay: float
    averaging: float
    precision: str
    seed: int


def check(schedule: Schedule) -> None:
    """Raises Pose3dError for what no run can be."""
    for name in ("steps", "batch", "warmup"):
        if getattr(schedule, name) < 1:
            raise Pose3dError(f"{name} must be 1 or more, not {getattr(schedule, name)}")
    if schedule.seed < 0:
        raise Pose3dError(f"seed must be 0 or more, not {schedule.seed}")
    if not 0 <= schedule.weight_decay < math.inf:
        raise Pose3dError(f"weight_decay must be 0 or more, not {schedule.weight_decay}")
    if not 0 < schedule.rate < math.inf:
        raise Pose3dError(f"rate must be above 0, not {schedule.rate}")
    if not 0 <= schedule.averaging < 1:
        raise Pose3dError(f"averaging must be from 0 to below 1, not {schedule.averaging}")
    if schedule.precision not in PRECISIONS:
        choice = ", ".join(PRECISIONS)
        raise Pose3dError(f"precision must be one of {choice}, not {schedule.precision!r}")


def run(
    schedule: Schedule,
    network: nn.Module,
    folder: Path,
    told: dict[str, Any],
    *,
    batches: Callable[[int, int, int], Iterator[Any]],
    loss: Callable[[nn.Module, Any], Tensor],
    measure: Callable[[nn.Module], dict[str, float]],
    save: Callable[[nn.Module, dict[str, Any]], None],
    measure_every: int,
    device: torch.device,
    tell: Callable[[str], None],
) -> bool:
    """Train a network, or go on with it.

    Parameters
    ----------
    folder : gets ``checkpoint.pt`` and ``log.csv``
    told : what the run is; a folder with a run of which something else was told is refused
    batches : from how many steps are done, this process's number and how many processes there are,
        its parts of the batches from there on
    loss : of the network (or what shares it among processes) and a part
    measure, save : of the averaged network, every ``measure_every`` steps and at the end, in the
        first process; what ``measure`` gives is told and logged, ``save`` is given ``told`` and
        "steps_made"

    Returns whether this is the first process.

    Raises Pose3dError for a folder of another run, and where the loss is not finite any more.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Pose3dError(f"{folder}: cannot be made ({error.strerror})") from None
    rank, processes = _join(device)
    network = network.to(device, memory_format=torch.channels_last)
    averaged = AveragedModel(
        network, multi_avg_fn=get_ema_multi_avg_fn(schedule.averaging), use_buffers=True
    )
    optimiser = torch.optim.AdamW(
        _groups(network, schedule.weight_decay), lr=schedule.rate, fused=device.type == "cuda"
    )
    scaler = torch.amp.GradScaler(device.type, enabled=schedule.precision == "fp16")
    done, seconds, rows = _resume(folder, told, network, averaged, optimiser, scaler)

    learner = DistributedDataParallel(network) if processes > 1 else network
    network.train()
    began, saved, losses = time.monotonic() - seconds, time.monotonic(), []

    def keep() -> None:
        if rank == 0:
            state = {
                "told": told,
                "network": network.state_dict(),
                "averaged": averaged.state_dict(),
                "optimiser": optimiser.state_dict(),
                "scaler": scaler.state_dict(),
                "done": done,
                "seconds": time.monotonic() - began,
                "rows": rows,
            }
            buffer = io.BytesIO()
            torch.save(state, buffer)
            write_file(folder / CHECKPOINT, buffer.getbuffer())

    for batch in batches(done, rank, processes):
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate * _share(done, schedule)
        value = loss(learner, batch)
        scaler.scale(value).backward()
        scaler.step(optimiser)
        scaler.update()
        optimiser.zero_grad()
        averaged.update_parameters(network)
        losses.append(value.detach())
        done += 1
        if done % measure_every == 0 or done == schedule.steps:
            row = {"step": done, "loss": float(torch.stack(losses).mean())}
            row["minutes"] = round((time.monotonic() - began) / 60, 1)
            losses = []
            if not math.isfinite(row["loss"]):
                raise Pose3dError(f"{folder}: the loss is not finite any more; lower the rate")
            if rank == 0:
                row |= measure(averaged.module)
                network.train()
                rows.append(row)
                tell(", ".join(f"{name} {value:.5g}" for name, value in row.items()))
                _write_log(folder, rows)
                save(averaged.module, told | {"steps_made": done})
                keep()
            saved = time.monotonic()
        elif time.monotonic() - saved > CHECKPOINT_S:
            keep()
            saved = time.monotonic()
    if processes > 1:
        distributed.destroy_process_group()
    return rank == 0


def usable(device: str) -> torch.device:
    """A device by its name; under torchrun, of several GPUs each process has its own.

    Raises Pose3dError if there is none of it here.
    """
    if device == "cuda" and (rank := os.environ.get("LOCAL_RANK")):
        device = f"cuda:{rank}"
    try:
        torch.zeros(1, device=device)
    except (AssertionError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise Pose3dError(f"device '{device}' cannot be used: {reason}") from None
    return torch.device(device)


def samples(dataset: torch.utils.data.Dataset, keys: Iterable, workers: int) -> Iterator[Any]:
    """Batches of samples by lists of keys, prepared in so many processes beside this one."""
    loader = torch.utils.data.DataLoader(
        dataset, batch_sampler=keys, num_workers=workers, worker_init_fn=quiet_worker
    )
    try:
        yield from loader
    except Pose3dError as error:  # torch tells it with the traceback of the process
        raise Pose3dError(str(error).rsplit("Pose3dError: ", 1)[-1].strip()) from None


def quiet_worker(_: int) -> None:
    """For processes that prepare samples: one thread each."""
    import cv2

    cv2.setNumThreads(1)


def _join(device: torch.device) -> tuple[int, int]:
    """This process's number and how many there are."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return 0, 1
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return distributed.get_rank(), distributed.get_world_size()


def _groups(network: nn.Module, decay: float) -> list[dict]:
    """Weights that decay: those of convolutions, not norms, biases and scales."""
    parts: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for parameter in network.parameters():
        parts[parameter.ndim > 1].append(parameter)
    return [
        {"params": parts[True], "weight_decay": decay},
        {"params": parts[False], "weight_decay": 0.0},
    ]


def _share(done: int, schedule: Schedule) -> float:
    """Of the largest learning rate."""
    if done < schedule.warmup:
        return (done + 1) / schedule.warmup
    way = (done - schedule.warmup) / max(1, schedule.steps - schedule.warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, way)))


def _resume(
    folder: Path,
    told: dict,
    network: nn.Module,
    averaged: nn.Module,
    optimiser: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
) -> tuple[int, float, list[dict]]:
    """Steps, seconds and measurements so far; the rest is put where it belongs."""
    path = folder / CHECKPOINT
    if not path.exists():
        return 0, 0.0, []
    state = read_checkpoint(path)
    try:
        before = state["told"]
        other = [key for key in told if before.get(key) != told[key]]
        if other:
            key = other[0]
            raise Pose3dError(
                f"{path}: of another run ({key} {before.get(key)!r} there, {told[key]!r} now); "
                "give another folder"
            )
        network.load_state_dict(state["network"])
        averaged.load_state_dict(state["averaged"])
        optimiser.load_state_dict(state["optimiser"])
        scaler.load_state_dict(state["scaler"])
        return state["done"], state["seconds"], state["rows"]
    except (KeyError, TypeError, RuntimeError) as error:
        raise Pose3dError(f"{path}: not a checkpoint of this run ({error})") from None


def _write_log(folder: Path, rows: list[dict]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[-1]), lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    write_file(folder / LOG, text.getvalue().encode())
