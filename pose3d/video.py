"""``pose3d video``: one video in, a 3D-pose video and a result file out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.settings import make_settings
from pose3d import options, terminal
from pose3d.source import local_video


def video(
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="The video: a file, an http(s) URL, or - for standard input.",
            show_default=False,
        ),
    ],
    output: options.Output = Path("."),
    lifter: options.Lifter = None,
    people: options.People = None,
    person: options.Person = None,
    min_track: options.MinTrack = None,
    start: options.Start = None,
    end: options.End = None,
    render: options.Render = None,
    layout: options.Layout = None,
    orbit: options.Orbit = None,
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
    repair: options.Repair = None,
    pose2d: options.Pose2d = None,
    detector: options.Detector = None,
    det_every: options.DetEvery = None,
    device: options.Device = None,
    precision: options.Precision = None,
    backend: options.Backend = None,
    config: options.Config = None,
    quiet: options.Quiet = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Print what is used and why.", rich_help_panel=options.RUN
        ),
    ] = False,
) -> None:
    """Turn a video into 3D skeletons.

    Writes NAME_pose3d.mp4 (the picture beside the 3D skeleton, or another --layout) and
    NAME_pose3d.npz (all numbers; pose3d.load_result reads it) into the output folder and prints
    their paths.

    Example: pose3d video dance.mp4 --lifter mixste -o results
    """
    settings = make_settings(
        config,
        lifter=lifter,
        people=options.who(people, person),
        min_track=min_track,
        repair=repair,
        pose2d=pose2d,
        detector=detector,
        det_every=det_every,
        start=start,
        end=end,
        render=render,
        layout=layout,
        orbit=orbit,
        fov=fov,
        flip=flip,
        causal=causal,
        precision=precision,
        backend=backend,
        max_gap=max_gap,
        smooth=smooth,
        remove_outliers=remove_outliers,
        upright=upright,
        height=height,
        constant_bones=constant_bones,
        lock_feet=lock_feet,
        device=device,
    )
    # The networks' libraries take seconds to import: not for --help or a wrong flag.
    from pipeline.networks import choose_pose2d
    from pipeline.process import process_video
    from pose3d.describe import describe_outcome, describe_start

    with local_video(source, output, quiet) as path:
        if verbose and not quiet:
            describe_start(path, settings)
        with terminal.StageBars(quiet) as progress:
            outcome = process_video(path, output, settings, progress)
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
