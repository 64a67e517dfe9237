"""``pose3d lift``: 2D keypoints of any detector in, 3D joints out.

(Not ``pose3d/lift.py``: ``pose3d.lift`` is the function of the Python interface.)
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from pipeline.settings import make_settings
from pose3d import options, terminal
from pose3d.options import RUN, WHAT
from weights.errors import Pose3dError


def lift(
    keypoints: Annotated[
        Path,
        typer.Argument(
            metavar="KEYPOINTS",
            help="File of 2D keypoints, or OpenPose's folder; see --format.",
            show_default=False,
        ),
    ],
    output: options.Output = Path("."),
    video: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The keypoints' video: tells size, frame rate and times, and is drawn.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="Size of the pictures, px.", rich_help_panel=WHAT),
    ] = None,
    fps: Annotated[
        str | None,
        typer.Option(
            metavar="RATE", help="Frames a second: 25, 29.97, 30000/1001.", rich_help_panel=WHAT
        ),
    ] = None,
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="pose3d, openpose, alphapose, coco, mmpose, mediapipe, videopose3d or deeplabcut. "
            "[dim]\\[default: by content][/dim]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    person: Annotated[
        int | None,
        typer.Option(
            metavar="ID", help="Only this one. [dim]\\[default: all][/dim]", rich_help_panel=WHAT
        ),
    ] = None,
    layout: options.Layout = None,
    orbit: options.Orbit = None,
    lifter: options.Lifter = None,
    fov: options.Fov = None,
    flip: options.Flip = None,
    causal: options.Causal = None,
    max_gap: options.MaxGap = None,
    smooth: options.Smooth = None,
    remove_outliers: options.RemoveOutliers = None,
    upright: options.Upright = None,
    height: options.Height = None,
    constant_bones: options.ConstantBones = None,
    lock_feet: options.LockFeet = None,
    device: options.Device = None,
    precision: options.Precision = None,
    quiet: options.Quiet = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Print where each joint comes from.", rich_help_panel=RUN
        ),
    ] = False,
) -> None:
    """Lift 2D keypoints that you have already, of any detector, to 3D.

    Writes NAME_pose3d.npz (pose3d.load_result reads it) with all people of the file and, with
    --video or --layout 3d-only, NAME_pose3d.mp4 into the output folder and prints their paths.

    Example: pose3d lift keypoints.json --video dance.mp4 -o results
    """
    settings = make_settings(
        lifter=lifter,
        layout=layout,
        orbit=orbit,
        fov=fov,
        flip=flip,
        causal=causal,
        precision=precision,
        max_gap=max_gap,
        smooth=smooth,
        remove_outliers=remove_outliers,
        upright=upright,
        height=height,
        constant_bones=constant_bones,
        lock_feet=lock_feet,
        device=device,
    )
    if video is None and layout not in (None, "3d-only"):
        raise Pose3dError(f"the layout {layout} shows the video's picture: give it with --video")
    picture, rate = _size(size), _rate(fps)
    # The networks' libraries take seconds to import: not for --help or a wrong flag.
    from pipeline.keypoint_files import describe, read
    from pipeline.keypoint_files.lift import lift_file

    file = read(keypoints, file_format)
    sources = describe(file)
    if not quiet:
        guessed = ", ".join(source.joint for source in sources if source.guessed) or "none"
        people = f"{len(file.tracks)} {'people' if file.tracks[1:] else 'person'}"
        terminal.errors.print(
            f"{file.format}: {file.frames} frames, {people}, {len(file.layout.names)} joints; "
            f"guessed of Human3.6M's 17: {guessed}"
        )
    for source in sources if verbose and not quiet else []:
        terminal.errors.print(f"  {source}")
    with terminal.StageBars(quiet) as progress:
        outcome = lift_file(
            file,
            output,
            settings,
            progress,
            size=picture,
            frame_rate=rate,
            person=person,
            video=video,
        )
    for warning in outcome.result.warnings if not quiet else []:
        terminal.warn(warning)
    for path in (outcome.video_path, outcome.result_path):
        if path is not None:
            print(path)


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d{0,5})[xX]([1-9]\d{0,5})", text.strip())
    if match is None:
        raise Pose3dError(f"--size must be WIDTHxHEIGHT in px, such as 1920x1080, not {text!r}")
    return int(match[1]), int(match[2])


def _rate(text: str | None) -> Fraction | None:
    if text is None:
        return None
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 10_000:
        raise Pose3dError(f"--fps must be frames a second, such as 25 or 30000/1001, not {text!r}")
    return rate
