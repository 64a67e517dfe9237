"""``pose3d batch``: many videos, on all cores or GPUs, taken up again where it ended."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.settings import Settings, make_settings
from pose3d import options
from pose3d.options import RUN
from weights.errors import Pose3dError

if TYPE_CHECKING:
    from pipeline.batch.recipe import Recipe
    from pipeline.batch.workers import Crew


def batch(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="FOLDER|FILE|'*.mp4'|LIST.txt...",
            help="Folders, videos, patterns, or texts with a name a line.",
            show_default=False,
        ),
    ],
    output: Annotated[
        str,
        typer.Option("--output", "-o", help="Folder for the files that are written, or s3://..."),
    ] = ".",
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Look into the folders in folders as well.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and why; do nothing.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Work on N videos at most; those done do not count."),
    ] = None,
    from_stage: Annotated[
        str | None,
        typer.Option(
            metavar="STAGE", help="Do this stage and those after it anew: detect, lift or render."
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Only part I (from 1) of N, beside the others: for the tasks of a cluster's job.",
        ),
    ] = None,
    segment: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Cut longer videos into segments of about so many seconds, for several workers.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1024,
            metavar="N",
            help="Videos at once. [dim]\\[default: one a GPU, else one a core and 2 GB][/dim]",
        ),
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option(metavar="0,1,...", help="GPUs to use. [dim]\\[default: all][/dim]"),
    ] = None,
    engine: Annotated[
        str, typer.Option(metavar="local|ray", help="Who works: this machine, or a Ray cluster.")
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Of the Ray cluster. [dim]\\[default: $RAY_ADDRESS, else one started here][/dim]",
            show_default=False,
        ),
    ] = None,
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
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Print nothing but failures.", rich_help_panel=RUN),
    ] = False,
) -> None:
    """Turn many videos into 3D skeletons.

    Writes NAME_pose3d.npz and NAME_pose3d.mp4, as pose3d video does, for every video that is found,
    in folders as in the input. Run again, it does what is missing or would come out differently:
    after an interruption, with new videos, or with other settings (another layout draws anew,
    another lifter lifts what was found before). Exit code 1: some videos failed.

    Example: pose3d batch recordings -r -o results
    """
    given = dict(locals())
    given["people"] = options.who(people, person)
    settings = make_settings(config, **{name: given[name] for name in Settings.names()})
    part = _shard(shard)
    cards = _gpus(gpus, settings)
    _check_engine(engine, address, gpus)
    if from_stage not in (None, "detect", "lift", "render"):
        raise Pose3dError(f"--from-stage must be detect, lift or render, not {from_stage!r}")
    if from_stage == "render" and not settings.render:
        raise Pose3dError("--from-stage render and --no-render exclude each other")

    # The networks' libraries take seconds to import.
    from pipeline.batch.find import find_videos
    from pipeline.batch.manifest import Manifest
    from pipeline.batch.recipe import recipe_of
    from pipeline.batch.run import run_batch
    from pipeline.batch.tasks import Summary, tasks_of
    from pipeline.batch.tasks import dry_run as plans_of
    from pipeline.detection import cutting_rule
    from pipeline.segments import Cutter, check_seconds
    from pose3d.batch_view import BatchView, print_plan, print_summary

    check_seconds(segment)
    manifest = Manifest(output)
    found = find_videos(sources, recursive, manifest.knows, manifest.outputs())
    recipe = recipe_of(settings)
    if dry_run:
        tasks = tasks_of(found.videos, manifest, part)
        print_plan(found, plans_of(tasks, manifest, settings, recipe, from_stage, limit))
        return
    cut = None
    if segment is not None:
        cut = Cutter(segment, cutting_rule(settings), settings.start, settings.end)
    most = len(found.videos) if cut is None else sys.maxsize
    summary = Summary()
    try:
        with (
            _crew(engine, address, settings, recipe, cards, workers, most) as crew,
            BatchView(quiet) as view,
        ):
            run_batch(
                found.videos,
                manifest,
                crew,
                recipe,
                view,
                summary,
                render=settings.render,
                shard=part,
                limit=limit,
                from_stage=from_stage,
                cut=cut,
            )
    finally:
        # Ctrl-C included.
        if summary.took_s:
            print_summary(summary, found, quiet)
    if summary.of("failed"):
        raise typer.Exit(1)


def _shard(text: str | None) -> tuple[int, int]:
    if text is None:
        return 1, 1
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise Pose3dError(f"--shard must be I/N with I from 1 to N, such as 2/8, not {text!r}")
    return int(match[1]), int(match[2])


def _gpus(text: str | None, settings: Settings) -> list[int]:
    if text is None:
        return []
    if not re.fullmatch(r"\d{1,3}(,\d{1,3})*", text):
        raise Pose3dError(f"--gpus must be numbers such as 0,1, not {text!r}")
    if settings.device not in ("auto", "cuda"):
        raise Pose3dError(f"--gpus and --device {settings.device} exclude each other: give one")
    return [int(number) for number in text.split(",")]


def _check_engine(engine: str, address: str | None, gpus: str | None) -> None:
    if engine not in ("local", "ray"):
        raise Pose3dError(f"--engine must be local or ray, not {engine!r}")
    if engine == "local" and address is not None:
        raise Pose3dError("--address is that of a Ray cluster: give --engine ray as well")
    if engine == "ray" and gpus is not None:
        raise Pose3dError("--gpus is for this machine; Ray gives GPUs out itself: leave it out")


@contextmanager
def _crew(
    engine: str,
    address: str | None,
    settings: Settings,
    recipe: Recipe,
    gpus: list[int],
    workers: int | None,
    most: int,
) -> Iterator[Crew]:
    """Who does the work, so many at most."""
    mediapipe = recipe.detect["pose2d"][0] == "mediapipe"
    if engine == "ray":
        from pipeline.batch.ray_crew import RayCrew, connected, has_gpus

        # "auto" is what is at hand here, whatever else the nodes have.
        eyes = {"pose2d": recipe.detect["pose2d"][0]}
        if not mediapipe:
            eyes["detector"] = recipe.detect["people detector"][0]
        settings = replace(settings, **eyes)
        with connected(address):
            auto = settings.device == "auto" and not mediapipe and has_gpus()
            gpu = auto or settings.device.startswith("cuda")
            yield RayCrew(settings, gpu, workers, most)
        return
    from pipeline.batch.resources import cores
    from pipeline.batch.workers import LocalCrew

    devices = _devices(settings, gpus, mediapipe, workers)[:most]
    yield LocalCrew(devices, threads=max(1, cores() // len(devices)))


def _devices(
    settings: Settings, gpus: list[int], mediapipe: bool, workers: int | None
) -> list[Settings]:
    """The settings of every worker."""
    import torch

    from pipeline.batch.resources import default_workers
    from pipeline.compute import choose_device

    if not gpus and settings.device == "auto":
        gpus = list(range(torch.cuda.device_count()))
    names = [f"cuda:{number}" for number in gpus] or [settings.device]
    on_gpus = [name for name in names if choose_device(name).type == "cuda"]
    # MediaPipe's share of the work is on the CPU, and the largest.
    count = workers or default_workers(0 if mediapipe else len(on_gpus))
    return [replace(settings, device=names[slot % len(names)]) for slot in range(count)]
