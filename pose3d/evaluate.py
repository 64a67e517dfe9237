"""``pose3d eval``: a lifter's errors on a test set of the field."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose3d import terminal
from weights.errors import Pose3dError

ROOTS = ("auto", "subtract", "zero", "keep")


def evaluate(
    data: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER|FILE",
            help="Folder with data_3d_h36m.npz and data_2d_h36m_*.npz, or with data_test_3dhp.npz; "
            "or a motion-capture file (mocap17), seen by virtual cameras.",
            show_default=False,
        ),
    ],
    lifter: Annotated[str, typer.Option(help="Lifter: its name or a weights file.")] = "mixste",
    keypoints: Annotated[
        str, typer.Option(help="2D of Human3.6M: gt, cpn, detectron, sh, hr, ...")
    ] = "gt",
    root: Annotated[
        str,
        typer.Option(
            help="The predicted root: subtract it, set it to zero, keep it with its error; auto is "
            "what the lifter's paper does, where its weights are of the papers' kind."
        ),
    ] = "auto",
    native: Annotated[
        bool, typer.Option("--native", help="Of motion capture, only original skeletons.")
    ] = False,
    windows: Annotated[
        int, typer.Option(metavar="N", min=1, help="Of motion capture, windows to draw.")
    ] = 768,
    flip: Annotated[
        bool, typer.Option("--flip/--no-flip", help="Average with the mirrored pose.")
    ] = True,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "fp32",
    json: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Write the results as JSON.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the results.")] = None,
) -> None:
    """Measure a lifter as the papers do: MPJPE, P-MPJPE, N-MPJPE, MPJVE, PCK and AUC.

    Example: pose3d eval --data h36m --keypoints cpn --lifter detected81f.bin
    """
    if root not in ROOTS:
        raise Pose3dError(f"unknown --root '{root}': choose one of {', '.join(ROOTS)}")
    # The networks' libraries take seconds to import: not for --help or a wrong flag.
    import lifters3d
    from pipeline.compute import choose_device

    network = lifters3d.load(lifter).to(choose_device(device))
    if data.is_file():
        if json or plot:
            raise Pose3dError("--json and --plot are for Human3.6M and MPI-INF-3DHP")
        _motion_capture(network, data, native, windows)
        return
    from rich.console import Console

    from lifters3d.evaluation.protocols import PAPERS_ROOT
    from lifters3d.evaluation.report import save_json, save_plot, show
    from pipeline.evaluation import evaluate_lifter, open_test_set

    clips, protocol = open_test_set(data, keypoints)
    if root == "auto":
        papers = protocol == "h36m" and network.convention.normalisation == "screen"
        root = PAPERS_ROOT[network.weights_identity["lifter"]] if papers else "subtract"
    results = evaluate_lifter(
        network, clips, protocol, root=root, flip_average=flip, precision=precision
    )
    title = f"{network.weights_identity['name']} on {clips.name}"
    show(results, Console(highlight=False, markup=False, emoji=False), title)
    if json is not None:
        about = {"lifter": network.weights_identity, "keypoints": keypoints, "flip": flip}
        save_json(results, json, about)
        print(json)
    if plot is not None:
        save_plot(results, plot, title)
        print(plot)


def _motion_capture(network: object, data: Path, native: bool, windows: int) -> None:
    from lifters3d.data.mocap17 import load_mocap
    from lifters3d.training.evaluate import evaluate as measure

    mocap = load_mocap(data)
    if native:
        mocap = mocap.select([row["fidelity"] == "native" for row in mocap.table])
    terminal.errors.print(f"{windows} windows seen by virtual cameras, exact and noisy 2D")
    for name, value in measure(network, mocap, windows).items():
        print(f"{name:22s} {value:7.2f} mm")
