"""``pose3d video``: one video in, a 3D-pose video and a result file out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.settings import make_settings
from pose3d import terminal

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
    settings = make_settings(
        config,
        lifter=lifter,
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
    from pipeline.process import process_video
    from pose3d.describe import describe_outcome, describe_start

    if verbose and not quiet:
        describe_start(source, settings)
    with terminal.StageBars(quiet) as progress:
        outcome = process_video(source, output, settings, progress)
    for warning in outcome.result.warnings if not quiet else []:
        terminal.warn(warning)
    if verbose and not quiet:
        describe_outcome(outcome.result)
    for path in (outcome.video_path, outcome.result_path):
        if path is not None:
            print(path)
