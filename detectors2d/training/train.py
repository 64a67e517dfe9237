"""The training of 2D networks: crops in, heat maps out, the loss of ``targets``.

A run is a folder; broken off, the same call goes on where the last checkpoint was written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import nn

from detectors2d.hrnet import IMAGE_MEAN, IMAGE_STD, HRNet
from detectors2d.registry import load_pose, save_pose
from detectors2d.topdown import TopDown
from detectors2d.training import loop
from detectors2d.training.loop import PRECISIONS
from detectors2d.training.recipes import Recipe
from detectors2d.training.samples import Crops, People, read_picture
from detectors2d.training.targets import heatmap_loss, similarity
from weights.errors import Pose3dError
from weights.fitting import tensors_sha256

WEIGHTS = "pose2d.safetensors"


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
    folder, device = Path(output), loop.usable(device)
    torch.manual_seed(recipe.seed)
    network = _started(init, recipe) if init else recipe.network()
    told = {
        **asdict(recipe),
        "data": data_name,
        "people": len(people),
        "labels_sha256": _labels_sha256(people),
        # A weights file tells nobody's folders.
        "init": Path(init).name if init else "",
        "init_sha256": network.weights_identity["sha256"] if init else "",
    }

    def measured(network: nn.Module) -> dict[str, float]:
        return {} if validation is None else measure(network, validation, recipe.precision, device)

    loop.run(
        recipe,
        network,
        folder,
        told,
        batches=lambda *where: _batches(recipe, people, *where, workers),
        loss=lambda learner, batch: _loss(learner, *(part.to(device) for part in batch), recipe),
        measure=measured,
        save=lambda network, training: save_pose(network, folder / WEIGHTS, training),
        measure_every=measure_every,
        device=device,
        tell=tell,
    )
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
        network,
        flip=flip,
        decoding="dark",
        untangle=True,
        precision=PRECISIONS[precision],
        device=device,
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


def _started(init: str | Path, recipe: Recipe) -> HRNet:
    network = load_pose(init, cam_blocks=recipe.cam_blocks, input_size=recipe.size)
    wanted = recipe.network().config
    for part in ("width", "cam_blocks", "modules"):
        if network.config[part] != wanted[part]:
            raise Pose3dError(
                f"{init}: {part} {network.config[part]}, but the recipe says {wanted[part]}"
            )
    return network


def _labels_sha256(people: People) -> str:
    """How a run knows whether it goes on with the same people, labelled alike."""
    names = ("boxes", "keypoints", "visibility")
    return tensors_sha256({name: torch.from_numpy(getattr(people, name)) for name in names})


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
    return heatmap_loss(heatmaps, joints, recipe.size, recipe.sigma, recipe.sides)


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

    return loop.samples(crops, keys(), workers)
