"""``pose3d train``: train a lifter by a paper's recipe or ours."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from pose3d import terminal


def train(
    data: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER|FILE",
            help="Folder with the prepared files of Human3.6M, HumanEva-I or MPI-INF-3DHP; or a "
            "motion-capture file (mocap17), which virtual cameras film.",
            show_default=False,
        ),
    ],
    lifter: Annotated[str, typer.Option(help="Lifter to train.")] = "mixste",
    recipe: Annotated[
        str,
        typer.Option(
            help="code (as the authors' program), paper, or pose3d (as the shipped weights); auto "
            "is pose3d for motion capture, else code where there is one."
        ),
    ] = "auto",
    frames: Annotated[
        int | None,
        typer.Option(
            metavar="T", min=1, help="Receptive field instead of the recipe's.", show_default=False
        ),
    ] = None,
    keypoints: Annotated[
        str, typer.Option(help="2D of Human3.6M and HumanEva: gt, cpn, detectron, sh, hr, ...")
    ] = "gt",
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Of the run; the same command goes on with it. Default: runs/LIFTER.",
            show_default=False,
        ),
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Motion capture to measure on after every epoch.",
            show_default=False,
        ),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Weights to start from, of any receptive field.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Another value in the recipe, as epochs=20 or batch=64; again for more.",
            show_default=False,
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Show the recipe and stop.")] = False,
) -> None:
    """Train a lifter: a line an epoch, curves, a checkpoint to go on from, a weights file.

    Example: pose3d train --data h36m --keypoints cpn --lifter strided --frames 27

    Several GPUs: torchrun --nproc-per-node 4 -m pose3d train ...
    """
    # The networks' libraries take seconds to import: not for --help or a wrong flag.
    from lifters3d.training.command import recipe_for, train_on
    from lifters3d.training.recipes import described
    from pipeline.compute import choose_device

    chosen = recipe_for(lifter, recipe, data, frames, values or [])
    if show:
        print("\n".join(described(chosen)))
        return
    bar = terminal.epoch_bar()
    task = bar.add_task("epoch")
    with bar:
        path = train_on(
            data,
            chosen,
            output or Path("runs") / lifter,
            keypoints=keypoints,
            validation=validation,
            init=init,
            device=str(choose_device(device)),
            tell=terminal.errors.print,
            advance=lambda done, steps: bar.update(task, completed=done, total=steps),
        )
    if os.environ.get("RANK", "0") == "0":  # of torchrun's processes the first
        print(path)
