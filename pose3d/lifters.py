"""``pose3d lifters``: the lifters, what they cost, and the weights at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from pose3d.table import make_table, print_tables, style_of
from weights import store

if TYPE_CHECKING:
    from torch import nn

PAPERS: dict[str, str] = {
    "liftformer": "Llopart, arXiv 2020",
    "mixste": "Zhang et al., CVPR 2022",
    "poseformer": "Zheng et al., ICCV 2021",
    "poseformer-sta": "PoseFormer with attention modules (SAM, TAM)",
    "strided": "Li et al., IEEE TMM 2022",
}
POSES = {"sequence": "sequence", "center": "centre frame", "last": "last frame"}
SIZES_CAPTION = (
    "T: frames that the lifter sees at once. FLOPs: 2 x the multiply-adds of matrix products and "
    "convolutions, for a frame of one person, as whole videos are lifted, mirrored average "
    "included. Sizes are those of the shipped weights; with a *, of the network in its paper."
)


def lifters() -> None:
    """Show the lifters, what they cost, and the weights at hand."""
    print_tables(show)


def show(console: Console) -> None:
    """Print the two tables; their lines are left out where the console is no terminal."""
    # The networks' libraries take seconds to import: not for --help.
    import lifters3d

    names = lifters3d.names()
    style = style_of(console)
    console.print(_sizes({name: _network(name) for name in names}, style))
    console.print()
    console.print(_weights(names, style))


def _network(name: str) -> nn.Module:
    """The network of the shipped weights, or one of the paper's size without numbers."""
    import torch

    import lifters3d

    if name in store.shipped("lifter"):
        return lifters3d.load(name)
    with torch.device("meta"):
        return lifters3d.build(name)


def _table(title: str, caption: str | None, style: box.Box | None) -> Table:
    table = make_table(title, caption, style)
    table.add_column("lifter", no_wrap=True)
    return table


def _sizes(networks: dict[str, nn.Module], style: box.Box | None) -> Table:
    from lifters3d.flops import flops_per_frame

    shipped = store.shipped("lifter")
    table = _table("Lifters", SIZES_CAPTION, style)
    table.add_column("paper")
    for heading in ("T", "parameters", "FLOPs"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("pose of")
    for name, network in networks.items():
        count = sum(parameter.numel() for parameter in network.parameters())
        table.add_row(
            name if name in shipped else f"{name} *",
            PAPERS[name],
            str(network.frames),
            _short(count),
            _short(flops_per_frame(network)),
            POSES[network.output],
        )
    return table


def _weights(names: list[str], style: box.Box | None) -> Table:
    known = store.shipped("lifter")
    shipped = {name: known[name] for name in names if name in known}
    conditions = dict.fromkeys(entry.tested_on for entry in shipped.values())
    inputs = dict.fromkeys(row.input for entry in shipped.values() for row in entry.accuracy)
    measured = f"Errors: MPJPE / P-MPJPE in mm. Measured on {'; '.join(conditions)}."
    caption = measured if conditions else None
    table = _table("Weights", caption, style)
    table.add_column("file", overflow="fold")
    for kind in inputs:
        table.add_column(kind, justify="right", no_wrap=True)
    for name in names:
        if name not in shipped:
            table.add_row(name, "none: give a file with --lifter FILE")
            continue
        entry = shipped[name]
        errors = {row.input: f"{row.mpjpe_mm:.1f} / {row.p_mpjpe_mm:.1f}" for row in entry.accuracy}
        file = f"{entry.file}, {entry.bytes / 1e6:.1f} MB"
        table.add_row(name, file, *(errors.get(kind, "") for kind in inputs))
    return table


def _short(count: float) -> str:
    """A count in three digits.

    >>> _short(2_358_723)
    '2.36 M'
    """
    unit, name = (1e9, "G") if count >= 1e9 else (1e6, "M")
    return f"{count / unit:#.3g}".rstrip(".") + f" {name}"
