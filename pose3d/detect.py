"""``pose3d detect``: the 2D stage alone; a video in, a file of keypoints out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pose3d import options, terminal
from weights.errors import Pose3dError


def detect(
    source: Annotated[Path, typer.Argument(metavar="VIDEO", help="The video.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE.json", help="The file to write.")
    ] = Path("keypoints.json"),
    pose2d: options.Pose2d = None,
    detector: options.Detector = None,
    people: Annotated[str, typer.Option(help="Who: largest, all, a number, id:N.")] = "largest",
    det_every: options.DetEvery = None,
    flip: options.Flip = None,
    device: options.Device = None,
    precision: options.Precision = None,
    backend: options.Backend = None,
    quiet: options.Quiet = False,
) -> None:
    """Find 2D keypoints in a video and write them as JSON, which pose3d lift reads.

    COCO's 17 joints in px, with scores and the time of every frame;
    pipeline/keypoint_files/own.py describes the file.

    Example: pose3d detect dance.mp4 -o keypoints.json
    """
    if output.suffix.lower() != ".json":
        raise Pose3dError(f"{output}: keypoints are JSON; choose a name that ends in .json")
    # The networks' libraries take seconds to import: not for --help or a wrong flag.
    from pipeline.detection import detect_coco
    from pipeline.joints import COCO_NAMES
    from pipeline.keypoint_files import own
    from pipeline.process import check_targets, make_folder
    from pipeline.settings import make_settings
    from pipeline.video import VideoReader

    settings = make_settings(
        pose2d=pose2d,
        detector=detector,
        people=people,
        det_every=det_every,
        flip=flip,
        device=device,
        precision=precision,
        backend=backend,
    )
    check_targets(source, output.parent, [output])
    reader = VideoReader(source)
    with terminal.StageBars(quiet) as progress:
        found = detect_coco(reader, settings, progress)
    for warning in found.warnings if not quiet else []:
        terminal.warn(warning)
    if not any(np.isfinite(person.keypoints).any() for person in found.people):
        terminal.warn("no person was found in any frame")
    make_folder(output.parent)
    info = reader.info
    size = info.width, info.height
    people = {person.id: (person.keypoints, person.scores) for person in found.people}
    own.write(output, COCO_NAMES, people, found.time_s, size, info.frame_rate)
    print(output)
