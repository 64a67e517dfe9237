"""``pose3d export``: a result as files for other programs; ``pose3d schema``: what the JSON holds.

(Not ``pose3d/export.py``: ``export`` is the function of the Python interface.)
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose3d import options, terminal


def export(
    result: Annotated[
        Path,
        typer.Argument(
            metavar="RESULT",
            help="The .npz of pose3d video or pose3d lift.",
            show_default=False,
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            metavar="FORMATS",
            help="bvh, glb, c3d, trc, mot, csv, json, npz: one, or several with commas.",
        ),
    ],
    output: options.Output = Path("."),
    in_place: Annotated[
        bool,
        typer.Option("--in-place", help="People move but do not travel."),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing but errors and paths.")
    ] = False,
) -> None:
    """Write a result for Blender, game engines, OpenSim, spreadsheets, ...

    Positions are in a room with a floor, both estimated from the one camera. bvh, trc and mot hold
    one person a file, the others everybody. For fbx, take glb or bvh through Blender.

    Example: pose3d export dance_pose3d.npz --to bvh,glb -o results
    """
    from pipeline.export import check_formats
    from pipeline.export import export as write
    from pipeline.result import load_result

    formats = check_formats([name for name in to.split(",") if name.strip()])
    # Not without its "_pose3d": dance.json may be what the result was made of.
    name = result.stem
    for exported in write(load_result(result), output, formats, name=name, in_place=in_place):
        if not quiet:
            terminal.errors.print(f"{exported.path.name}: {exported.note}")
        print(exported.path)


def schema() -> None:
    """Print the JSON Schema (draft 2020-12) of the files of pose3d export --to json.

    Example: pose3d schema > pose3d.schema.json
    """
    from pipeline.export.json_file import schema as text

    print(text(), end="")
