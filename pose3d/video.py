"""``pose3d video``: one video in, a 3D-pose video and a result file out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.settings import make_settings
from pose3d import terminal
from weights.errors import Pose3dError

WHAT, RUN = "What to do", "How to run"


def video(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="The video.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the files that are written.")
    ] = Path("."),
    lifter: Annotated[
        str | None,
        typer.Option(
            help="Lifter: its name or a weights file. [dim]\\[default: mixste][/dim]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    people: Annotated[
        str | None,
        typer.Option(
            help="Who: largest, all, or a number of the largest. [dim]\\[default: largest][/dim]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    person: Annotated[
        int | None,
        typer.Option(metavar="ID", min=1, help="The person of this id.", rich_help_panel=WHAT),
    ] = None,
    min_track: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Leave out who is seen for less. [dim]\\[default: 0.5][/dim]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    start: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Begin here.", rich_help_panel=WHAT),
    ] = None,
    end: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Stop before this time.", rich_help_panel=WHAT),
    ] = None,
    render: Annotated[
        bool | None,
        typer.Option(
            "--render/--no-render",
            help="Write the video, or the result file only. [dim]\\[default: render][/dim]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    fov: Annotated[
        float | None,
        typer.Option(
            metavar="DEGREES",
            help="Horizontal field of view of the camera. [dim]\\[default: a guess][/dim]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    flip: Annotated[
        bool | None,
        typer.Option(
            "--flip/--no-flip",
            help="Average with the mirrored pose: half as fast, more exact. "
            "[dim]\\[default: flip][/dim]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    causal: Annotated[
        bool | None,
        typer.Option(
            "--causal/--no-causal",
            help="Lift every frame from it and earlier ones alone, as live use would: slower, less "
            "exact; gaps are not bridged. [dim]\\[default: no-causal][/dim]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    max_gap: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Bridge stretches without a person up to this long. [dim]\\[default: 0.5][/dim]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    repair: Annotated[
        bool | None,
        typer.Option(
            "--repair/--no-repair",
            help="Undo exchanges of left and right in the 2D. [dim]\\[default: repair][/dim]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    pose2d: Annotated[
        str | None,
        typer.Option(
            "--pose2d",
            help="2D joints: mediapipe, or weights of an HRNet (a name of pose3d weights list, or "
            "a file). [dim]\\[default: auto, the best at hand][/dim]",
            rich_help_panel=RUN,
        ),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            help="Finds people for an HRNet: a name of pose3d weights list, mediapipe, "
            "whole-frame, boxes:FILE, torchvision=FILE, ... "
            "[dim]\\[default: the best at hand][/dim]",
            rich_help_panel=RUN,
        ),
    ] = None,
    det_every: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Let it look at every Nth frame. [dim]\\[default: 1][/dim]",
            rich_help_panel=RUN,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="auto, cpu, cuda or cuda:N. [dim]\\[default: auto][/dim]", rich_help_panel=RUN
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="Of the lifter: auto (bf16 where the hardware has it), fp32, bf16 or fp16. "
            "[dim]\\[default: auto][/dim]",
            rich_help_panel=RUN,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help='Settings (lifter = "mixste", max-gap = 0.2, ...); flags given here win.',
            rich_help_panel=RUN,
        ),
    ] = None,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet", "-q", help="Print nothing but errors and paths.", rich_help_panel=RUN
        ),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Print what is used and why.", rich_help_panel=RUN),
    ] = False,
) -> None:
    """Turn a video into 3D skeletons.

    Writes NAME_pose3d.mp4 (the picture beside the 3D skeleton) and NAME_pose3d.npz (all numbers;
    pose3d.load_result reads it) into the output folder and prints their paths.

    Example: pose3d video dance.mp4 --lifter mixste -o results
    """
    if person is not None and people is not None:
        raise Pose3dError("--people and --person exclude each other: give one")
    settings = make_settings(
        config,
        lifter=lifter,
        people=people if person is None else f"id:{person}",
        min_track=min_track,
        repair=repair,
        pose2d=pose2d,
        detector=detector,
        det_every=det_every,
        start=start,
        end=end,
        render=render,
        fov=fov,
        flip=flip,
        causal=causal,
        precision=precision,
        max_gap=max_gap,
        device=device,
    )
    # The networks' libraries take seconds to import: not for --help or a wrong flag.
    from pipeline.detection import choose_pose2d
    from pipeline.process import process_video
    from pose3d.describe import describe_outcome, describe_start

    if verbose and not quiet:
        describe_start(source, settings)
    with terminal.StageBars(quiet) as progress:
        outcome = process_video(source, output, settings, progress)
    if not quiet and settings.pose2d == "auto":
        chosen, advice = choose_pose2d(settings)
        terminal.errors.print(f"2D joints by {chosen}" + (f"; {advice}" if advice else ""))
    for warning in outcome.result.warnings if not quiet else []:
        terminal.warn(warning)
    if verbose and not quiet:
        describe_outcome(outcome.result)
    for path in (outcome.video_path, outcome.result_path):
        if path is not None:
            print(path)
