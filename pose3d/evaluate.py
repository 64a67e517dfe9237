"""``pose3d eval``: a lifter's errors on a test set of the field."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pose3d import terminal
from weights.errors import Pose3dError

if TYPE_CHECKING:
    from torch import nn

ROOTS = ("auto", "subtract", "zero", "keep")


def evaluate(
    data: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER|FILE",
            help="Folder with data_3d_h36m.npz and data_2d_h36m_*.npz, with data_3d_humaneva15.npz "
            "and data_2d_humaneva15_*.npz, or with data_test_3dhp.npz; that file itself where a "
            "folder holds several; or a motion-capture file (mocap17), seen by virtual cameras.",
            show_default=False,
        ),
    ],
    lifter: Annotated[
        str | None,
        typer.Option(help="Lifter: its name or a weights file. [dim]\\[default: mixste][/dim]"),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Weights file to measure instead of the shipped weights of --lifter.",
        ),
    ] = None,
    keypoints: Annotated[
        str,
        typer.Option(help="2D of Human3.6M (gt, cpn, detectron, sh, hr, ...) or HumanEva-I (gt)."),
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

    Example: pose3d eval --data h36m --keypoints cpn --checkpoint detected81f.bin
    """
    if root not in ROOTS:
        raise Pose3dError(f"unknown --root '{root}': choose one of {', '.join(ROOTS)}")
    # The networks' libraries take seconds to import: not for --help or a wrong flag.
    from lifters3d.data.sets import is_set, open_set
    from pipeline.compute import choose_device
    from pipeline.evaluation import evaluate_lifter

    network = _load(lifter, checkpoint).to(choose_device(device))
    if not is_set(data):
        if json or plot or root != "auto" or not flip or precision != "fp32":
            raise Pose3dError(
                "--json, --plot, --root, --no-flip and --precision are for Human3.6M, HumanEva-I "
                "and MPI-INF-3DHP, not for motion capture"
            )
        _motion_capture(network, data, native, windows)
        return
    from rich.console import Console

    from lifters3d.evaluation.protocols import PAPERS_ROOT
    from lifters3d.evaluation.report import save_json, save_plot, show

    clips, protocol = open_set(data, keypoints)
    if root == "auto":
        papers = protocol in ("h36m", "humaneva") and network.convention.normalisation == "screen"
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


def _load(lifter: str | None, checkpoint: Path | None) -> nn.Module:
    """The lifter of a checkpoint, or else the one of a name or a weights file."""
    import lifters3d
    from lifters3d.checkpoints import read_checkpoint
    from lifters3d.registry import assemble

    if checkpoint is None:
        return lifters3d.load(lifter or "mixste")
    # A file, even if it is called as a lifter is.
    network = assemble(read_checkpoint(checkpoint))
    network.weights_identity["name"] = checkpoint.name
    held = network.weights_identity["lifter"]
    if lifter not in (None, held):
        raise Pose3dError(f"{checkpoint}: holds the lifter {held}, not '{lifter}' (--lifter)")
    return network


def _motion_capture(network: nn.Module, data: Path, native: bool, windows: int) -> None:
    from lifters3d.data.mocap17 import load_mocap
    from lifters3d.training.evaluate import evaluate as measure
    from pipeline.lifting import check_joints

    check_joints(network)
    mocap = load_mocap(data)
    if native:
        mocap = mocap.select([row["fidelity"] == "native" for row in mocap.table])
    terminal.errors.print(f"{windows} windows seen by virtual cameras, exact and noisy 2D")
    for name, value in measure(network, mocap, windows).items():
        print(f"{name:22s} {value:7.2f} mm")
