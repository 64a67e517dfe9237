"""``pose3d train-2d``: train HRNet, with channel attention or without, by mmpose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose3d import terminal
from weights.errors import Pose3dError


def train_2d(
    data: Annotated[
        Path,
        typer.Option(
            metavar="FILE.json",
            help="Annotations of COCO's form, as person_keypoints_train2017.json.",
            show_default=False,
        ),
    ],
    images: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            help="Where the pictures are that the annotations name.",
            show_default=False,
        ),
    ],
    config: Annotated[
        str,
        typer.Option(help="Network to train: hrnet-w32, hrnet-w48, and each with -cam."),
    ] = "hrnet-w32-cam",
    val_data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="Annotations to measure on after every tenth epoch.",
            show_default=False,
        ),
    ] = None,
    val_images: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Their pictures, if not in --images.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Of the run. Default: runs/CONFIG.", show_default=False
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(metavar="N", min=1, help="Passes over the people.")] = 210,
    batch: Annotated[int, typer.Option(metavar="N", min=1, help="People a step.")] = 128,
    learning_rate: Annotated[
        float,
        typer.Option(
            metavar="X", help="Of Adam; a tenth of it after 17/21 and 20/21 of the epochs."
        ),
    ] = 1e-3,
    init: Annotated[
        str | None,
        typer.Option(
            metavar="WEIGHTS",
            help="Weights to start from: a name of pose3d weights list, or a file. Those of a "
            "plain HRNet give the network with attention a neutral start.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --output.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[
        int, typer.Option(metavar="N", min=0, help="Processes that prepare the pictures.")
    ] = 4,
) -> None:
    """Train a network of 2D joints: a line an epoch, a checkpoint to go on from, a weights file.

    Needs OpenMMLab's packages: pip install "pose3d\\[mm]".

    Example: pose3d train-2d --data train.json --images train --init hrnet-w32-256x192
    """
    if val_images is not None and val_data is None:
        raise Pose3dError("--val-images needs --val-data")
    # The networks' libraries take seconds to import: not for --help or a wrong flag.
    from detectors2d.mm.coco import read_coco
    from detectors2d.mm.training import start_network, train
    from pipeline.compute import choose_device
    from weights import download

    chosen = choose_device(device)
    start = download.resolve(init)
    network = start_network(config, start)
    bar = terminal.epoch_bar()
    task = bar.add_task("epoch")
    with bar:
        path = train(
            network,
            config,
            read_coco(data, images),
            output or Path("runs") / config,
            validation=read_coco(val_data, val_images or images) if val_data else None,
            epochs=epochs,
            batch=batch,
            learning_rate=learning_rate,
            init=Path(init).name if init else "",
            resume=resume,
            device=chosen,
            workers=workers,
            tell=terminal.errors.print,
            advance=lambda done, steps: bar.update(task, completed=done, total=steps),
        )
    print(path)
