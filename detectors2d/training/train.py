"""The training loop of 2D networks: crops in, heat maps out, mean squared error.

A run is a folder; broken off, the same call goes on where the last checkpoint was written. Under
torchrun the batch is shared out among processes.
"""

from __future__ import annotations

import csv
import io
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from detectors2d.hrnet import IMAGE_MEAN, IMAGE_STD, HRNet
from detectors2d.registry import load_pose, save_pose
from detectors2d.topdown import TopDown
from detectors2d.training.recipes import PRECISIONS, Recipe
from detectors2d.training.samples import Crops, People, read_picture
from detectors2d.training.targets import heatmap_loss, similarity
from weights.errors import Pose3dError
from weights.files import write_file
from weights.reading import read_checkpoint

CHECKPOINT, LOG, WEIGHTS = "checkpoint.pt", "log.csv", "pose2d.safetensors"
CHECKPOINT_S = 120.0


def train(
    recipe: Recipe,
    people: People,
    output: str | Path,
    *,
    validation: People | None = None,
    measure_every: int = 1000,
    init: str | Path | None = None,
    device: str = "cpu",
    workers: int = 0,
    data_name: str = "",
    tell: Callable[[str], None] = print,
) -> Path:
    """Train a network, or go on with it.

    Parameters
    ----------
    people : to learn from; validation : others, which are measured on every ``measure_every`` steps
    output : folder of the run: ``checkpoint.pt``, ``log.csv`` and ``pose2d.safetensors``
    init : weights file to start from, of any size of crops; attention that it lacks begins neutral
    device : "cpu", "cuda" or "cuda:N"
    workers : processes that prepare crops beside this one; 0 prepares them in this one
    data_name : how the weights file names the data
    tell : is given a line for every measurement

    Returns
    -------
    the path of the weights file, which is written at every measurement and at the end

    Raises
    ------
    Pose3dError
        if the folder holds a run of another recipe, or ``init`` does not fit the recipe.
    """
    folder, device = Path(output), torch.device(device)
    folder.mkdir(parents=True, exist_ok=True)
    rank, processes = _join(device)
    torch.manual_seed(recipe.seed)
    network = (_started(init, recipe) if init else recipe.network()).to(
        device, memory_format=torch.channels_last
    )
    averaged = AveragedModel(
        network, multi_avg_fn=get_ema_multi_avg_fn(recipe.averaging), use_buffers=True
    )
    optimiser = torch.optim.AdamW(
        _groups(network, recipe.weight_decay), lr=recipe.rate, fused=device.type == "cuda"
    )
    scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "fp16")
    told = {**asdict(recipe), "data": data_name, "people": len(people), "init": str(init or "")}
    done, seconds, rows = _resume(folder, told, network, averaged, optimiser, scaler)

    learner = DistributedDataParallel(network) if processes > 1 else network
    network.train()
    batches = _batches(recipe, people, done, rank, processes, workers)
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

    for crops, joints in batches:
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * _share(done, recipe)
        loss = _loss(learner, crops.to(device), joints.to(device), recipe)
        scaler.scale(loss).backward()
        scaler.step(optimiser)
        scaler.update()
        optimiser.zero_grad()
        averaged.update_parameters(network)
        losses.append(loss.detach())
        done += 1
        if done % measure_every == 0 or done == recipe.steps:
            row = {"step": done, "loss": float(torch.stack(losses).mean())}
            row["minutes"] = round((time.monotonic() - began) / 60, 1)
            losses = []
            if not math.isfinite(row["loss"]):
                raise Pose3dError(f"{folder}: the loss is not finite any more; lower the rate")
            if rank == 0:
                if validation is not None:
                    row |= measure(averaged.module, validation, recipe.precision, device)
                    network.train()
                rows.append(row)
                tell(", ".join(f"{name} {value:.5g}" for name, value in row.items()))
                _write_log(folder, rows)
                training = told | {"steps_made": done}
                save_pose(averaged.module, folder / WEIGHTS, training)
                keep()
            saved = time.monotonic()
        elif time.monotonic() - saved > CHECKPOINT_S:
            keep()
            saved = time.monotonic()
    if processes > 1:
        distributed.destroy_process_group()
    return folder / WEIGHTS


def measure(
    network: nn.Module, people: People, precision: str, device: torch.device, flip: bool = False
) -> dict[str, float]:
    """How well a network finds people in their true boxes, as it will be used.

    Returns "oks", the mean object keypoint similarity; "ap", the share of people above similarity
    0.5, 0.55 .. 0.95, the mean of ten (COCO's average precision if nobody is a false alarm); and
    "pck5", "pck10", shares of labelled joints within 5 and 10 % of the box's longer side.
    """
    found, step = [], 64
    top_down = TopDown(
        network, flip=flip, decoding="dark", precision=PRECISIONS[precision], device=device
    )
    for start in range(0, len(people), step):
        images = [read_picture(path) for path in people.paths[start : start + step]]
        boxes = people.boxes[start : start + step, None]
        found += [np.asarray(points) for points, _ in top_down.estimate(images, boxes)]
    found, labelled = np.concatenate(found), people.visibility > 0
    oks = similarity(
        *(torch.from_numpy(a) for a in (found, people.keypoints, labelled, people.areas))
    ).numpy()
    sides = (people.boxes[:, 2:] - people.boxes[:, :2]).max(1)
    misses = (np.linalg.norm(found - people.keypoints, axis=-1) / sides[:, None])[labelled]
    thresholds = np.arange(0.5, 0.96, 0.05)
    return {
        "oks": float(oks.mean()),
        "ap": float((oks > thresholds[:, None]).mean()),
        "pck5": float((misses < 0.05).mean()),
        "pck10": float((misses < 0.10).mean()),
    }


def _join(device: torch.device) -> tuple[int, int]:
    """This process's number and how many there are."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return 0, 1
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return distributed.get_rank(), distributed.get_world_size()


def _started(init: str | Path, recipe: Recipe) -> HRNet:
    network = load_pose(init, cam_blocks=recipe.cam_blocks, input_size=recipe.size)
    wanted = recipe.network().config
    for part in ("width", "cam_blocks", "modules"):
        if network.config[part] != wanted[part]:
            raise Pose3dError(
                f"{init}: {part} {network.config[part]}, but the recipe says {wanted[part]}"
            )
    return network


def _groups(network: nn.Module, decay: float) -> list[dict]:
    """Weights that decay: those of convolutions, not norms, biases and scales."""
    parts: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for parameter in network.parameters():
        parts[parameter.ndim > 1].append(parameter)
    return [
        {"params": parts[True], "weight_decay": decay},
        {"params": parts[False], "weight_decay": 0.0},
    ]


def _share(done: int, recipe: Recipe) -> float:
    """Of the largest learning rate."""
    if done < recipe.warmup:
        return (done + 1) / recipe.warmup
    way = (done - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, way)))


def _loss(
    learner: nn.Module, crops: torch.Tensor, joints: torch.Tensor, recipe: Recipe
) -> torch.Tensor:
    mean, std = (
        255 * torch.tensor(values, device=crops.device) for values in (IMAGE_MEAN, IMAGE_STD)
    )
    images = ((crops.float() - mean) / std).permute(0, 3, 1, 2)  # channels last in memory
    lowered = recipe.precision != "fp32"
    with torch.autocast(crops.device.type, PRECISIONS[recipe.precision], enabled=lowered):
        heatmaps = learner(images)
    return heatmap_loss(heatmaps, joints, recipe.size, recipe.sigma)


def _batches(
    recipe: Recipe, people: People, done: int, rank: int, processes: int, workers: int
) -> Iterator[list[torch.Tensor]]:
    """This process's parts of the batches from step ``done`` on."""
    crops = Crops(people, recipe.size, recipe.variation, recipe.seed)

    def keys() -> Iterator[list[tuple[int, int]]]:
        count, epoch, order = len(people), -1, np.zeros(0, int)
        for step in range(done, recipe.steps):
            batch = []
            for place in range(step * recipe.batch + rank, (step + 1) * recipe.batch, processes):
                if place // count != epoch:
                    epoch = place // count
                    order = np.random.default_rng([recipe.seed, epoch]).permutation(count)
                batch.append((epoch, int(order[place % count])))
            yield batch

    return iter(
        torch.utils.data.DataLoader(
            crops, batch_sampler=keys(), num_workers=workers, worker_init_fn=_quiet_worker
        )
    )


def _quiet_worker(_: int) -> None:
    import cv2

    cv2.setNumThreads(1)


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
        other = [key for key in told if before[key] != told[key]]
        if other:
            key = other[0]
            raise Pose3dError(
                f"{path}: of another run ({key} {before[key]!r} there, {told[key]!r} now); give "
                "another folder"
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
