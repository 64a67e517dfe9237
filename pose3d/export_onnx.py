"""``pose3d export-onnx``: a network of 2D joints as an ONNX file, for other programs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pose3d import terminal
from weights.errors import Pose3dError

if TYPE_CHECKING:
    from torch import nn

# Of the peaks, between what torch and ONNX Runtime answer: rounding is a hundred times smaller.
TOLERANCE = 1e-3


def export_onnx(
    weights: Annotated[
        str,
        typer.Argument(
            metavar="WEIGHTS",
            help="Weights of an HRNet: a name of pose3d weights list, or a file.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE.onnx", help="The file to write.", show_default=False
        ),
    ],
    size: Annotated[
        str | None,
        typer.Option(
            metavar="WxH",
            help="Width and height of the crops, px. [dim]\\[default: what the weights say][/dim]",
        ),
    ] = None,
) -> None:
    """Write a network of 2D joints as an ONNX file.

    From images (N, 3, H, W) of one person each to heatmaps (N, 17, H/4, W/4).
    The file's metadata say what the network wants and which joints it gives.

    Example: pose3d export-onnx hrnet-w32-256x192 -o hrnet-w32.onnx
    """
    if output.suffix != ".onnx":
        raise Pose3dError(f"{output}: the name of the file must end in .onnx")
    input_size = None if size is None else _parsed(size)
    # The networks' libraries take seconds to import: not for --help or a wrong flag.
    from detectors2d.backends import onnx_model
    from detectors2d.registry import load_pose
    from weights import download
    from weights.files import write_file

    if not output.parent.is_dir():
        raise Pose3dError(f"{output.parent}: no such folder")
    source = download.resolve(weights)
    network = load_pose(source, input_size=input_size)
    model = onnx_model(network, _metadata(network))
    terminal.errors.print(_check(network, model))
    write_file(output, model)
    print(output)


def _parsed(size: str) -> tuple[int, int]:
    if not re.fullmatch(r"[0-9]{2,4}x[0-9]{2,4}", size):
        raise Pose3dError(f"size must be width x height in px, such as 192x256, not {size!r}")
    width, height = map(int, size.split("x"))
    return width, height


def _metadata(network: nn.Module) -> dict[str, str]:
    from detectors2d.hrnet import IMAGE_MEAN, IMAGE_STD, STRIDE
    from pipeline.joints import COCO_NAMES
    from pipeline.version import VERSION

    return {
        **network.weights_identity,
        "input_size": json.dumps(network.input_size),
        "colours": "RGB in [0, 1], less mean, over std",
        "mean": json.dumps(IMAGE_MEAN),
        "std": json.dumps(IMAGE_STD),
        "joints": json.dumps(COCO_NAMES),
        "cells": f"cell c of a heat map stands for pixel {STRIDE} c of the image",
        "written_by": f"pose3d {VERSION}",
    }


def _check(network: nn.Module, model: bytes) -> str:
    """What the file was found to be. Raises Pose3dError if it is not the network."""
    import onnx
    import torch

    from detectors2d.backends import onnx_runner

    onnx.checker.check_model(model)
    try:
        run = onnx_runner(model)
    except Pose3dError as error:
        return f"a sound ONNX file; not compared with torch ({error})"
    width, height = network.input_size
    images = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(images).numpy()
    off, peak = (float(abs(values).max()) for values in (run(images.numpy()) - expected, expected))
    told = f"largest difference from torch {off:.1g}, of heat maps up to {peak:.2g}"
    if not off <= TOLERANCE * peak:
        raise Pose3dError(f"ONNX Runtime does not answer as torch: {told}")
    return told
