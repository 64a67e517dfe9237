"""``pose3d attention``: a picture of what a lifter's heads look at in a clip."""

from __future__ import annotations

import os
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.settings import Settings, make_settings
from pose3d import terminal
from weights.errors import Pose3dError
from weights.files import in_unicode

if TYPE_CHECKING:
    from pipeline.result import PoseResult


def attention(
    clip: Annotated[
        Path,
        typer.Argument(
            metavar="CLIP",
            help="A video, or the .npz of pose3d video, whose 2D keypoints are taken then.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE.png", help="The picture.")
    ] = Path("heads.png"),
    lifter: Annotated[
        str | None,
        typer.Option(help="Lifter: its name or a weights file. [dim]\\[default: mixste][/dim]"),
    ] = None,
    start: Annotated[float | None, typer.Option(metavar="SECONDS", help="Begin here.")] = None,
    end: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Stop before this time.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda or cuda:N. [dim]\\[default: auto][/dim]")
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing but errors and the path.")
    ] = False,
) -> None:
    """Draw what a lifter's attention heads look at.

    Joints x joints and frames x frames, averaged over windows spread over the clip. A row is the
    joint or frame that looks, a column the one it looks at.

    Example: pose3d attention dance.mp4 --lifter mixste -o heads.png
    """
    settings = make_settings(
        lifter=lifter, start=start, end=end, device=device, flip=False, render=False
    )
    _check_output(output, clip)
    # The networks' libraries take seconds to import: not for --help or a wrong flag.
    import lifters3d
    from lifters3d.attention import attention_maps
    from pipeline.attention import attention_windows
    from pipeline.compute import choose_device
    from pipeline.rendering.attention import draw_attention

    where = choose_device(settings.device)
    network = lifters3d.load(settings.lifter).to(where)
    result = _keypoints(clip, settings, quiet)
    for warning in result.warnings if not quiet else []:
        terminal.warn(warning)
    try:
        windows, repeated = attention_windows(result, network)
    except Pose3dError as error:
        raise Pose3dError(f"{clip}: {error}") from None
    if repeated and not quiet:
        terminal.warn(
            f"the clip is shorter than the lifter's {network.frames} frames: its first and last "
            f"frame are repeated, {repeated} times in all"
        )
    maps = attention_maps(network, windows.to(where))
    count = f"the mean of {len(windows)} windows" if len(windows) > 1 else "one window"
    names = f"{network.weights_identity['name']} on {in_unicode(clip.name)}"
    title = f"Attention of {textwrap.shorten(names, 70, placeholder=' ...')}: {count}"
    draw_attention(maps, f"{title} of {network.frames} frames", output)
    print(output)


def _keypoints(clip: Path, settings: Settings, quiet: bool) -> PoseResult:
    """The 2D keypoints of a video, or those of a result between start and end."""
    if clip.suffix.lower() != ".npz":
        from pipeline.process import estimate

        # Only the 2D is wanted, for which the quickest lifter will do.
        settings = replace(settings, lifter=Settings().lifter)
        with terminal.StageBars(quiet) as progress:
            return estimate(clip, settings, progress)
    from pipeline.result import load_result

    result = load_result(clip)
    chosen = result.time_s >= (settings.start or 0)
    if settings.end is not None:
        chosen &= result.time_s < settings.end
    if not chosen.any():
        raise Pose3dError(f"{clip}: no frame in the chosen range")
    arrays = ("time_s", "keypoints2d", "scores2d", "joints3d", "root", "uncertainty", "status")
    return replace(result, **{name: getattr(result, name)[chosen] for name in arrays})


def _check_output(output: Path, clip: Path) -> None:
    """Say what is wrong with the output before the long work."""
    if output.suffix.lower() != ".png":
        raise Pose3dError(f"{output}: the picture is a PNG; choose a name that ends in .png")
    folder = output.parent
    if not folder.is_dir():
        raise Pose3dError(f"{folder}: no such folder; make it or choose another --output")
    if output.is_dir():
        raise Pose3dError(f"{output} is a folder; choose another --output")
    if not os.access(folder, os.W_OK):
        raise Pose3dError(f"cannot write in {folder}; choose another --output")
    if output.exists() and clip.exists() and output.samefile(clip):
        raise Pose3dError(f"{output} is the input itself; choose another --output")
