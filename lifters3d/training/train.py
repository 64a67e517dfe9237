"""Train a lifter on motion capture seen by virtual cameras.

    python -m lifters3d.training.train --data mocap/train.npz --validation mocap/val.npz \
        --frames 81 --steps 4000 --output runs/mixste

Stops and goes on: the run is a folder with a checkpoint, and the same command resumes it.
``--init`` starts from the weights of another run; its temporal embedding is stretched, so that a
network can learn what poses look like on short, cheap windows before long ones.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

import lifters3d
from lifters3d.data.batches import PairStream
from lifters3d.data.mocap17 import Mocap, load_mocap
from lifters3d.training.evaluate import evaluate
from lifters3d.training.losses import mpjpe_loss, velocity_loss
from weights.errors import Pose3dError
from weights.reading import read_checkpoint, read_weights

VALIDATION_WINDOWS = 170


@dataclass
class Recipe:
    """What a training run does; also its command line."""

    data: str = ""
    validation: str = ""
    output: str = "runs/mixste"
    lifter: str = "mixste"
    frames: int = 81
    network: str = "{}"  # JSON: the lifter's other arguments, {"width": 192, "depth": 4}
    normalisation: str = "person"
    batch: int = 48  # windows a step
    steps: int = 4000
    learning_rate: float = 1e-3
    warmup: int = 200  # steps
    final_rate: float = 0.02  # of the learning rate, reached by half a cosine
    weight_decay: float = 0.05
    drop_path: float = 0.05
    velocity_weight: float = 1.0
    full_weight: float = 1.0  # of the loss on every frame, for lifters of one frame
    ema: float = 0.999
    seed: int = 1
    init: str = ""
    every: int = 200  # steps between lines, checkpoints and validations
    device: str = "cpu"


def train(recipe: Recipe) -> Path:
    """Run (or resume) a training; returns the path of the written weights file."""
    folder = Path(recipe.output)
    folder.mkdir(parents=True, exist_ok=True)
    device = torch.device(recipe.device)
    torch.manual_seed(recipe.seed)
    generator = torch.Generator(device).manual_seed(recipe.seed)

    lifter = fresh(recipe)
    if recipe.init:
        try:
            lifter.load_state_dict(stretch_to(recipe.init, lifter))
        except RuntimeError:
            raise Pose3dError(f"{recipe.init}: of another width, depth or lifter") from None
    else:
        spread_embeddings(lifter)
    averaged = {key: value.detach().clone() for key, value in lifter.state_dict().items()}
    optimiser = torch.optim.AdamW(
        lifter.parameters(),
        recipe.learning_rate,
        betas=(0.9, 0.98),
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    step = 0
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        saved = read_checkpoint(checkpoint)
        try:
            lifter.load_state_dict(saved["lifter"])
        except RuntimeError:
            raise Pose3dError(
                f"{checkpoint}: of another network; give its settings or another --output"
            ) from None
        optimiser.load_state_dict(saved["optimiser"])
        averaged = {key: value.to(device) for key, value in saved["averaged"].items()}
        generator.set_state(saved["data_state"])
        torch.set_rng_state(saved["torch_state"])
        step = saved["step"]

    stream = PairStream(
        load_mocap(recipe.data), recipe.frames, recipe.batch, recipe.normalisation, generator
    )
    validation = load_mocap(recipe.validation) if recipe.validation else None
    began, losses = time.monotonic(), []
    lifter.train()
    while step < recipe.steps:
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * rate_at(step, recipe)
        keypoints, target = next(stream)
        with torch.autocast(device.type, torch.bfloat16):
            loss, position = losses_of(lifter, keypoints, target, recipe)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(lifter.parameters(), 1.0)
        optimiser.step()
        step += 1
        # The average follows quickly at first: a fresh network's weights are worth forgetting.
        keep = min(recipe.ema, step / (step + 10))
        for key, value in lifter.state_dict().items():
            if value.is_floating_point():
                averaged[key].lerp_(value, 1 - keep)
        losses.append(position.item())
        if step % recipe.every == 0 or step == recipe.steps:
            save_checkpoint(checkpoint, lifter, optimiser, averaged, generator, step)
            seconds = time.monotonic() - began
            report(recipe, folder, validation, averaged, step, losses, seconds)
            losses = []
    return export(recipe, folder, averaged, step)


def losses_of(
    lifter: nn.Module, keypoints: Tensor, target: Tensor, recipe: Recipe
) -> tuple[Tensor, Tensor]:
    """The loss of a batch, and the error of what the lifter is for, in metres.

    Lifters of one frame learn from every frame of the window as well: full-to-single (Strided
    Transformer, section III-D), and poseformer-sta from its spatial poses (eq. 13).
    """
    if lifter.output == "sequence":
        full = lifter(keypoints)
        position = mpjpe_loss(full, target)
        return position + recipe.velocity_weight * velocity_loss(full, target), position
    single, full, *spatial = lifter.forward_training(keypoints)
    wanted = -1 if lifter.output == "last" else lifter.frames // 2
    position = mpjpe_loss(single[:, 0], target[:, wanted])
    every = mpjpe_loss(full, target) + recipe.velocity_weight * velocity_loss(full, target)
    loss = position + recipe.full_weight * every
    return loss + sum(mpjpe_loss(poses, target) for poses in spatial), position


def fresh(recipe: Recipe) -> nn.Module:
    """The recipe's lifter with random weights."""
    try:
        network = json.loads(recipe.network)
    except json.JSONDecodeError as error:
        raise Pose3dError(f"--network is no JSON object ({error})") from None
    if recipe.lifter in ("mixste", "poseformer", "poseformer-sta"):
        network.setdefault("drop_path", recipe.drop_path)
    lifter = lifters3d.build(recipe.lifter, frames=recipe.frames, **network)
    lifter.convention = lifters3d.Convention(recipe.normalisation, "derived", 30.0)
    return lifter.to(recipe.device)


def spread_embeddings(lifter: nn.Module) -> None:
    """Tell the joints apart from the first step on.

    The papers start position embeddings from zero, where all joints are treated alike and the
    error stays on a plateau for hundreds of steps; short trainings cannot afford that.
    """
    for name, parameter in lifter.named_parameters():
        if name.endswith("pos_embed"):
            nn.init.normal_(parameter, std=1.0 if name.startswith("Spatial") else 0.2)
        elif name == "weighted_mean.weight":
            # PoseFormer begins by taking the centre frame.
            with torch.no_grad():
                parameter.zero_()[0, parameter.shape[1] // 2] = 1.0


def rate_at(step: int, recipe: Recipe) -> float:
    """Learning rate at a step over its peak: linear warm-up, then half a cosine."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    progress = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.final_rate + (1 - recipe.final_rate) * 0.5 * (1 + math.cos(math.pi * progress))


def stretch_to(path: str, lifter: nn.Module) -> dict[str, Tensor]:
    """Weights of a file for ``lifter``, all that has a length in frames interpolated to its own."""
    tensors, _ = read_weights(path)
    wanted = lifter.state_dict()
    for key, tensor in tensors.items():
        if key in wanted and tensor.ndim == 3 and tensor.shape[1] != wanted[key].shape[1]:
            length = wanted[key].shape[1]
            stretched = functional.interpolate(tensor.transpose(1, 2), size=length, mode="linear")
            tensors[key] = stretched.transpose(1, 2)
            if key == "weighted_mean.weight":  # a sum over the frames
                tensors[key] *= tensor.shape[1] / length
    return tensors


def save_checkpoint(
    path: Path,
    lifter: nn.Module,
    optimiser: torch.optim.Optimizer,
    averaged: dict[str, Tensor],
    generator: torch.Generator,
    step: int,
) -> None:
    """Write all that an exact resume needs; the old checkpoint stays until the new is whole."""
    unfinished = path.with_suffix(".part")
    torch.save(
        {
            "lifter": lifter.state_dict(),
            "optimiser": optimiser.state_dict(),
            "averaged": averaged,
            "data_state": generator.get_state(),
            "torch_state": torch.get_rng_state(),
            "step": step,
        },
        unfinished,
    )
    os.replace(unfinished, path)


def with_weights(recipe: Recipe, tensors: dict[str, Tensor]) -> nn.Module:
    """The recipe's lifter with given weights, in evaluation mode."""
    # Fresh weights are drawn at random: the training's own draws must not feel it, or a resumed
    # run would differ from an unbroken one.
    with torch.random.fork_rng(devices=[]):
        lifter = fresh(recipe)
    lifter.load_state_dict(tensors)
    return lifter.eval()


def report(
    recipe: Recipe,
    folder: Path,
    validation: Mocap | None,
    averaged: dict[str, Tensor],
    step: int,
    losses: list[float],
    seconds: float,
) -> None:
    """One line to the terminal and to log.csv: training loss and validation errors in mm."""
    row = {"step": step, "train_mm": 1000 * sum(losses) / len(losses), "seconds": seconds}
    if validation is not None:
        row |= evaluate(with_weights(recipe, averaged), validation, windows=VALIDATION_WINDOWS)
    log = folder / "log.csv"
    new = not log.exists()
    with log.open("a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)
    print(" ".join(f"{key} {value:.1f}" for key, value in row.items()), flush=True)


def export(recipe: Recipe, folder: Path, averaged: dict[str, Tensor], step: int) -> Path:
    """Write the averaged weights as a file that ``lifters3d.load`` reads."""
    name = recipe.lifter.replace("-", "_")
    path = folder / f"{name}_t{recipe.frames}.safetensors"
    training = asdict(recipe) | {"steps_made": step}
    for key in ("data", "validation", "init", "output"):
        training[key] = Path(training[key]).name
    lifters3d.save(with_weights(recipe, averaged), recipe.lifter, path, training)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in asdict(Recipe()).items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=type(value),
            default=value,
            help="default: %(default)s",
        )
    recipe = Recipe(**vars(parser.parse_args()))
    try:
        print(train(recipe))
    except Pose3dError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
