"""``pose3d report`` and ``pose3d view``: a result as a web page; written, and opened as well."""

from __future__ import annotations

import os
import tempfile
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from pose3d import terminal
from weights.errors import Pose3dError

Result = Annotated[
    Path,
    typer.Argument(
        metavar="RESULT", help="The .npz of pose3d video or pose3d lift.", show_default=False
    ),
]
Video = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The video that is shown. [dim]\\[default: the result's, if it is beside it or here; "
        "else the rendered one beside it][/dim]",
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print nothing but errors and the path.")
]


def report(
    result: Result,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.html",
            help="The page. [dim]\\[default: NAME_report.html, here][/dim]",
        ),
    ] = None,
    video: Video = None,
    quiet: Quiet = False,
) -> None:
    """Write a result as one web page: video, skeletons in 3D, curves, notices, settings.

    The page needs no server and no network: it opens by a double click and can be mailed.

    Example: pose3d report dance_pose3d.npz -o dance.html
    """
    output = Path(_page_name(result)) if output is None else output
    if output.suffix.lower() not in (".html", ".htm"):
        raise Pose3dError(f"{output}: the report is a web page; choose a name that ends in .html")
    _write(result, output, video, quiet)
    print(output)


def view(
    result: Annotated[
        Path,
        typer.Argument(
            metavar="RESULT",
            help="The .npz of pose3d video or pose3d lift, or a page of pose3d report.",
            show_default=False,
        ),
    ],
    video: Video = None,
    open_it: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page, or print its path only.")
    ] = True,
    quiet: Quiet = False,
) -> None:
    """Write the report of a result beside it, NAME_report.html, and open it in the browser.

    Example: pose3d view dance_pose3d.npz
    """
    if result.suffix.lower() in (".html", ".htm"):
        if not result.is_file():
            raise Pose3dError(f"{result}: no such page")
        page = result
    else:
        # Not in a hidden folder: browsers in a sandbox see none.
        folder = result.parent
        if not os.access(folder, os.W_OK) and result.is_file():
            folder = Path(tempfile.mkdtemp(prefix="pose3d-"))
        page = folder / _page_name(result)
        _write(result, page, video, quiet)
    if open_it and not webbrowser.open(page.resolve().as_uri()):
        terminal.warn("no browser was found: open the page yourself")
    print(page)


def _page_name(result: Path) -> str:
    return f"{result.stem.removesuffix('_pose3d')}_report.html"


def _write(path: Path, page: Path, video: Path | None, quiet: bool) -> None:
    # The networks' libraries take seconds to import: not for --help.
    from pipeline.process import check_targets
    from pipeline.report import choose_video, write_report
    from pipeline.result import load_result
    from weights.files import in_unicode

    result = load_result(path)
    check_targets(path, page.parent, [page])
    notes = []
    if video is None:
        video = choose_video(result, path)
        if video is None:
            notes.append("no video of the result was found: --video adds one to the page")
    name = in_unicode(path.stem.removesuffix("_pose3d"))
    notes += write_report(result, page, video, title=name)
    for note in notes if not quiet else []:
        terminal.errors.print(note)
