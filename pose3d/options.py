"""Options that several commands share, each for the setting of its name (``pipeline.settings``)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weights.errors import Pose3dError

WHAT, RUN = "What to do", "How to run"


def _option(*names: str, panel: str | None, default: str = "", help: str = "", **more: object):
    if default:
        help = f"{help} [dim]\\[default: {default}][/dim]"
    return typer.Option(*names, help=help, rich_help_panel=panel, **more)


Output = Annotated[
    Path, typer.Option("--output", "-o", help="Folder for the files that are written.")
]
Lifter = Annotated[
    str | None,
    _option(panel=WHAT, help="Lifter: its name or a weights file.", default="mixste"),
]
People = Annotated[
    str | None,
    _option(panel=WHAT, help="Who: largest, all, or a number of the largest.", default="largest"),
]
Person = Annotated[
    int | None, _option(panel=WHAT, metavar="ID", min=1, help="The person of this id.")
]
MinTrack = Annotated[
    float | None,
    _option(
        panel=WHAT,
        metavar="SECONDS",
        help="Leave out who is seen for less (or for half of a shorter video).",
        default="0.5",
    ),
]
Start = Annotated[float | None, _option(panel=WHAT, metavar="SECONDS", help="Begin here.")]
End = Annotated[float | None, _option(panel=WHAT, metavar="SECONDS", help="Stop before this time.")]
Render = Annotated[
    bool | None,
    _option(
        "--render/--no-render",
        panel=WHAT,
        help="Write the video, or the result file only.",
        default="render",
    ),
]
Layout = Annotated[
    str | None,
    _option(
        panel=WHAT,
        help="Of the video: side-by-side, overlay, 3d-only or grid (picture, front, side, top).",
        default="side-by-side",
    ),
]
Orbit = Annotated[
    bool | None,
    _option(
        "--orbit/--no-orbit",
        panel=WHAT,
        help="Let the 3D view go around the people.",
        default="no-orbit",
    ),
]
Fov = Annotated[
    float | None,
    _option(
        panel=WHAT,
        metavar="DEGREES",
        help="Horizontal field of view of the camera.",
        default="a guess",
    ),
]
Flip = Annotated[
    bool | None,
    _option(
        "--flip/--no-flip",
        panel=WHAT,
        help="Average with the mirrored pose: half as fast, more exact.",
        default="flip",
    ),
]
Causal = Annotated[
    bool | None,
    _option(
        "--causal/--no-causal",
        panel=WHAT,
        help="Lift every frame from it and earlier ones alone, as live use would: slower, less "
        "exact; gaps are not bridged.",
        default="no-causal",
    ),
]
MaxGap = Annotated[
    float | None,
    _option(
        panel=WHAT,
        metavar="SECONDS",
        help="Bridge stretches without a person up to this long.",
        default="0.5",
    ),
]
Smooth = Annotated[
    str | None,
    _option(
        panel=WHAT,
        metavar="METHOD",
        help="Of the joints over time: none, butterworth, butterworth:HZ, savgol, one-euro.",
        default="butterworth:6, one-euro if causal",
    ),
]
RemoveOutliers = Annotated[
    bool | None,
    _option(
        "--remove-outliers/--no-remove-outliers",
        panel=WHAT,
        help="Replace 2D joints that jump away for a moment.",
        default="no-remove-outliers",
    ),
]
Upright = Annotated[
    bool | None,
    _option(
        "--upright/--no-upright",
        panel=WHAT,
        help="Estimate which way is up, or take the camera as level.",
        default="upright",
    ),
]
Height = Annotated[
    float | None,
    _option(
        panel=WHAT,
        metavar="METRES",
        help="How tall the people are; sets the scale.",
        default="the lifter's scale",
    ),
]
ConstantBones = Annotated[
    bool | None,
    _option(
        "--constant-bones/--no-constant-bones",
        panel=WHAT,
        help="Give bones the same length in all frames.",
        default="no-constant-bones",
    ),
]
LockFeet = Annotated[
    bool | None,
    _option(
        "--lock-feet/--no-lock-feet",
        panel=WHAT,
        help="Move people so that their feet do not slide on the floor.",
        default="no-lock-feet",
    ),
]
Repair = Annotated[
    bool | None,
    _option(
        "--repair/--no-repair",
        panel=WHAT,
        help="Undo exchanges of left and right in the 2D.",
        default="repair",
    ),
]
Pose2d = Annotated[
    str | None,
    _option(
        "--pose2d",
        panel=RUN,
        help="2D joints: mediapipe, weights of an HRNet (a name of pose3d weights list, or a "
        "file), or mmpose:CONFIG:FILE.",
        default="auto: a fetched HRNet, else mediapipe for one person, hrnet-w20-cam for several",
    ),
]
Detector = Annotated[
    str | None,
    _option(
        panel=RUN,
        help="Finds people for a network of 2D joints: a name of pose3d weights list, mediapipe, "
        "whole-frame, boxes:FILE, torchvision=FILE, mmdet:CONFIG=FILE, ...",
        default="the best at hand",
    ),
]
DetEvery = Annotated[
    int | None,
    _option(panel=RUN, metavar="N", help="Let it look at every Nth frame.", default="1"),
]
Device = Annotated[
    str | None, _option(panel=RUN, help="auto, cpu, cuda or cuda:N.", default="auto")
]
Precision = Annotated[
    str | None,
    _option(
        panel=RUN,
        help="Of the networks: auto (bf16 where the hardware has it), fp32, bf16 or fp16.",
        default="auto",
    ),
]
Backend = Annotated[
    str | None,
    _option(
        panel=RUN,
        help="Runs a network of 2D heat maps: torch, or on a CPU onnx or openvino.",
        default="torch",
    ),
]
Config = Annotated[
    Path | None,
    _option(
        panel=RUN,
        metavar="FILE.toml",
        help='Settings (lifter = "mixste", max-gap = 0.2, ...); flags given here win.',
    ),
]
Quiet = Annotated[
    bool,
    _option("--quiet", "-q", panel=RUN, help="Print nothing but errors and paths."),
]


def who(people: str | None, person: int | None) -> str | None:
    """The ``people`` setting behind ``--people`` and ``--person``."""
    if person is None:
        return people
    if people is not None:
        raise Pose3dError("--people and --person exclude each other: give one")
    return f"id:{person}"
