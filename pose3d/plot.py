"""``pose3d plot``: joint angles, speeds and heights of a result over time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weights.errors import Pose3dError

DEFAULT_ANGLES = "hip_flexion,knee,elbow"


def plot(
    result: Annotated[
        Path,
        typer.Argument(
            metavar="RESULT", help="The .npz of pose3d video or pose3d lift.", show_default=False
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="The picture: .png, .pdf or .svg."),
    ] = Path("angles.png"),
    angles: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Angles, parts of their names with commas between: knee is both knees, trunk all "
            f"angles of the trunk. [dim]\\[default: {DEFAULT_ANGLES}][/dim]",
        ),
    ] = None,
    speed: Annotated[
        str | None, typer.Option(metavar="JOINTS", help="Speeds of joints: wrist,ankle.")
    ] = None,
    height: Annotated[
        str | None,
        typer.Option(metavar="JOINTS", help="Heights of joints above the estimated floor."),
    ] = None,
    person: Annotated[
        int | None,
        typer.Option(
            metavar="ID",
            help="The person of this id. [dim]\\[default: the one seen longest][/dim]",
        ),
    ] = None,
) -> None:
    """Draw joint angles, speeds and heights over time, left and right in one panel.

    Example: pose3d plot dance_pose3d.npz --angles knee,hip --speed wrist -o dance.png
    """
    if angles is None and speed is None and height is None:
        angles = DEFAULT_ANGLES
    # The networks' libraries take seconds to import: not for --help.
    from pipeline.plots import check_suffix, draw_result, save_figure
    from pipeline.process import check_targets, make_folder
    from pipeline.result import load_result
    from weights.files import in_unicode

    check_suffix(output)
    loaded = load_result(result)
    check_targets(result, output.parent, [output])
    try:
        figure = draw_result(
            loaded,
            in_unicode(result.name),
            angles=_names(angles),
            speeds=_names(speed),
            heights=_names(height),
            person=person,
        )
    except Pose3dError as error:
        raise Pose3dError(f"{result}: {error}") from None
    make_folder(output.parent)
    save_figure(figure, output)
    print(output)


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]
