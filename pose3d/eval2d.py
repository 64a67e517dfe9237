"""``pose3d eval-2d``: how exact the 2D joints of a network are."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from pose3d import terminal


def eval_2d(
    weights: Annotated[
        str,
        typer.Argument(
            help="Weights of an HRNet (a name of pose3d weights list, or a file), or "
            "mmpose:CONFIG:FILE.",
            show_default=False,
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(
            metavar="FILE.json",
            help="Annotations of COCO's form, as person_keypoints_val2017.json.",
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
    boxes: Annotated[
        str,
        typer.Option(
            metavar="ground-truth|FILE.json",
            help="Where people are: as annotated, or as a detector found them (COCO's results).",
        ),
    ] = "ground-truth",
    flip: Annotated[
        bool, typer.Option("--flip/--no-flip", help="Average with the mirrored picture.")
    ] = True,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    json: Annotated[
        Path | None, typer.Option(metavar="OUT.json", help="Write the results as JSON.")
    ] = None,
) -> None:
    """Measure a network of 2D joints as COCO does: average precision and recall by OKS.

    Needs OpenMMLab's packages: pip install "pose3d\\[mm]".

    Example: pose3d eval-2d hrnet-w32-256x192 --data val.json --images val
    """
    # The networks' libraries take seconds to import: not for --help or a wrong flag.
    from detectors2d.mm.coco import read_boxes, read_coco
    from detectors2d.mm.evaluation import evaluate
    from detectors2d.mm.pose import MMPose
    from pipeline.networks import open_pose2d
    from pipeline.process import check_targets, make_folder
    from pipeline.settings import make_settings
    from weights.files import write_file

    if json is not None:
        check_targets(data, json.parent, [json])
    pictures = read_coco(data, images)
    people = pictures.people if boxes == "ground-truth" else read_boxes(boxes, pictures)
    settings = make_settings(pose2d=weights, flip=flip, device=device, precision="fp32")
    pose = open_pose2d(weights, settings)
    if isinstance(pose, MMPose) and not flip:
        pose.network.test_cfg["flip_test"] = False
    with terminal.epoch_bar() as bar:
        task = bar.add_task("people")
        results = evaluate(
            pose,
            pictures,
            people,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    source = "ground-truth" if boxes == "ground-truth" else Path(boxes).name
    terminal.errors.print(
        f"{weights} on {data.name}: {len(people.xyxy)} people in {source} boxes, "
        f"{'with' if flip else 'without'} flip test"
    )
    for name, value in results.items():
        print(f"{name:5s} {'-' if value is None else f'{100 * value:.1f}'}")
    if json is not None:
        content = {
            "network": pose.weights_identity,
            "data": data.name,
            "boxes": source,
            "people": len(people.xyxy),
            "flip": flip,
            "results": results,
        }
        make_folder(json.parent)
        write_file(json, json_module.dumps(content, indent=2).encode() + b"\n")
        print(json)
