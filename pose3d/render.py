"""``pose3d render``: draw a result anew, in another layout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.settings import LAYOUTS, check_layout
from pose3d import options, terminal
from pose3d.options import WHAT
from weights.errors import Pose3dError

if TYPE_CHECKING:
    import numpy as np

    from pipeline.result import PoseResult


def render(
    result: Annotated[
        Path,
        typer.Argument(metavar="RESULT.npz", help="What pose3d video wrote.", show_default=False),
    ],
    video: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The result's video. [dim]\\[default: looked for beside it and here][/dim]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    layout: options.Layout = None,
    orbit: options.Orbit = None,
    person: options.Person = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.mp4",
            help="The video that is written. [dim]\\[default: RESULT_LAYOUT.mp4, here][/dim]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Draw over a video of another length or size too.",
            rich_help_panel=WHAT,
        ),
    ] = False,
    quiet: options.Quiet = False,
) -> None:
    """Draw a result anew, in another layout; no network runs.

    Without the video only the layout 3d-only can be drawn.

    Example: pose3d render dance_pose3d.npz --layout overlay
    """
    check_layout(layout or LAYOUTS[0], bool(orbit))
    if output is not None and output.suffix.lower() != ".mp4":
        raise Pose3dError(f"{output}: videos are written as MP4; choose a name that ends in .mp4")
    # The libraries take seconds to import: not for --help or a wrong flag.
    from pipeline.process import check_targets, make_folder
    from pipeline.rendering.source import check_video, find_video, identity_of_video
    from pipeline.rendering.video import render_video
    from pipeline.result import load_result

    poses = _chosen(load_result(result), person, result)
    source = video or find_video(poses, result)
    if source is None and layout is None:
        layout = "3d-only"
        check_layout(layout, bool(orbit))
        if not quiet:
            terminal.warn(f"{_missing(identity_of_video(poses))}: the layout is 3d-only")
    layout = layout or LAYOUTS[0]
    if source is None and layout != "3d-only":
        raise Pose3dError(
            f"{_missing(identity_of_video(poses))}: --video names it; --layout 3d-only needs none"
        )
    target = output or Path(f"{result.stem}_{layout}.mp4")
    for origin in (result, source or result):
        check_targets(origin, target.parent, [target])
    with terminal.StageBars(quiet) as progress:
        # One that was found is the one of the result.
        told = [] if video is None else check_video(poses, video, force, progress)
        for warning in told if not quiet else []:
            terminal.warn(warning)
        make_folder(target.parent)
        render_video(poses, source, target, progress, layout, bool(orbit), force)
    print(target)


def _chosen(result: PoseResult, person: int | None, path: Path) -> PoseResult:
    """The result, or the part of it that is of one person; refused if there is nobody in it."""
    if person is not None:
        ids = result.ids.tolist()
        if person not in ids:
            there = ", ".join(map(str, ids[:12])) + (", ..." if ids[12:] else "")
            raise Pose3dError(f"{path}: no person {person}; it has {there or 'nobody'}")
        own = [ids.index(person)]
        arrays = ("keypoints2d", "scores2d", "joints3d", "root", "uncertainty", "status")
        parts: dict[str, np.ndarray] = {name: getattr(result, name)[:, own] for name in arrays}
        world = result.world
        if world is not None:
            world = replace(world, scale=(world.scale[own[0]],))
        result = replace(result, ids=result.ids[own], world=world, **parts)
    if len(result) == 0:
        raise Pose3dError(f"{path}: the result has no frames: there is nothing to draw")
    if not (result.joints3d == result.joints3d).any():  # NaN everywhere
        raise Pose3dError(f"{path}: nobody was found in any frame: there is nothing to draw")
    return result


def _missing(identity: dict | None) -> str:
    if identity is None:
        return "the result does not tell which video it is of"
    return f"{identity['name']} is neither beside the result nor here, or it was changed"
