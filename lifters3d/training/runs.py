"""The folder of a training run: checkpoint, log, curves, weights."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

import lifters3d
from lifters3d.training.recipes import Recipe
from weights.errors import Pose3dError
from weights.files import write_file
from weights.reading import read_checkpoint, read_weights

CHECKPOINT, LOG, CURVES = "checkpoint.pt", "log.csv", "curves.png"


def open_folder(path: str | Path) -> Path:
    """The run's folder, made if it is not there."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Pose3dError(f"{folder}: cannot be made ({error.strerror})") from None
    return folder


def save_checkpoint(
    folder: Path, recipe: Recipe, learns_from: dict, state: Mapping[str, object]
) -> None:
    """Write all that going on takes; the old checkpoint stays until the new one is whole."""
    buffer = io.BytesIO()
    torch.save({"recipe": asdict(recipe), "learns_from": learns_from, **state}, buffer)
    write_file(folder / CHECKPOINT, buffer.getbuffer())


def saved_state(folder: Path, recipe: Recipe, learns_from: dict) -> dict | None:
    """What ``save_checkpoint`` wrote, None if there is nothing yet.

    Raises Pose3dError if it is of another recipe, or learnt from something else: then going on
    would mix the two.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    saved = read_checkpoint(path)
    if not isinstance(saved, dict) or not isinstance(saved.get("recipe"), dict):
        raise Pose3dError(f"{path}: not a training checkpoint of pose3d, or damaged")
    before = {**saved["recipe"], **saved.get("learns_from", {})}
    now = {**asdict(recipe), **learns_from}
    # More epochs may be asked for, and compiling changes nothing.
    other = [key for key in now if before.get(key) != now[key] and key not in ("epochs", "compile")]
    if other:
        told = ", ".join(f"{key} {before.get(key)!r} there, {now[key]!r} now" for key in other[:3])
        raise Pose3dError(f"{path}: of another recipe ({told}); give another --output")
    return saved


def stretched_weights(path: str | Path, lifter: nn.Module) -> dict[str, Tensor]:
    """Weights of a file for ``lifter``, all that has a length in frames interpolated to its own.

    So a network can learn what poses look like on short, cheap windows before long ones.
    """
    tensors, _ = read_weights(path)
    wanted = lifter.state_dict()
    for key, tensor in tensors.items():
        temporal = key == "weighted_mean.weight" or (
            "pos_embed" in key and not key.startswith("Spatial")
        )
        if temporal and key in wanted and tensor.shape[1] != wanted[key].shape[1]:
            length = wanted[key].shape[1]
            stretched = functional.interpolate(tensor.transpose(1, 2), size=length, mode="linear")
            tensors[key] = stretched.transpose(1, 2)
            if key == "weighted_mean.weight":  # a sum over the frames
                tensors[key] *= tensor.shape[1] / length
    return tensors


def write_log(folder: Path, rows: list[dict[str, float]]) -> None:
    """``log.csv``, a row an epoch, and ``curves.png``."""
    text = io.StringIO()
    # A run may have gone on with another validation, or without one.
    names = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: f"{value:.6g}" for key, value in row.items()} for row in rows)
    write_file(folder / LOG, text.getvalue().encode())
    write_file(folder / CURVES, _curves(rows))


def _curves(rows: list[dict[str, float]]) -> bytes:
    """A picture (PNG) of the errors and the learning rate over the epochs."""
    # Not at the top: matplotlib takes a second to import.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    epochs = [row["epoch"] for row in rows]
    marker = "o" if len(rows) < 40 else None
    for key in dict.fromkeys(key for row in rows for key in row if key.endswith("mpjpe")):
        label = key.replace("_p_mpjpe", " P-MPJPE").replace("_mpjpe", " MPJPE")
        errors = [row.get(key, float("nan")) for row in rows]
        upper.plot(epochs, errors, label=label, marker=marker, markersize=3)
    upper.set_ylabel("error, mm")
    upper.set_ylim(bottom=0)
    upper.legend(frameon=False)
    lower.plot(epochs, [row["rate"] for row in rows], color="0.4", marker=marker, markersize=3)
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    lower.set_ylabel("learning rate")
    lower.set_xlabel("epoch")
    lower.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
    for axes in (upper, lower):
        axes.grid(color="0.9")
        axes.spines[["top", "right"]].set_visible(False)
    picture = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):
        figure.savefig(picture, format="png", dpi=120)
    return picture.getvalue()


def weights_path(folder: Path, recipe: Recipe) -> Path:
    """Where a run's weights are written."""
    return folder / f"{recipe.lifter.replace('-', '_')}_t{recipe.frames}.safetensors"


def export(folder: Path, lifter: nn.Module, recipe: Recipe, epochs: int, data: str) -> None:
    """Write a lifter as a file that ``lifters3d.load`` reads."""
    training = asdict(recipe) | {"epochs_made": epochs, "data": data}
    lifters3d.save(lifter, recipe.lifter, weights_path(folder, recipe), training)
