"""The command; ``python -m benchmarks.scale --help``."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.scale import tables
from benchmarks.scale.model import (
    CODECS,
    FIGURES,
    HOUR,
    Costs,
    Knobs,
    Mix,
    Plan,
    Videos,
    draw_videos,
    more_like,
    plan,
    read_figures,
    spread_of,
)
from benchmarks.scale.simulation import jobs_of, simulate
from weights.errors import Pose3dError

# Some minutes of simulation.
MOST_HOURS = 200_000


def _measure(arguments: argparse.Namespace) -> None:
    from benchmarks.scale.measure import measure
    from benchmarks.stages import CLIP

    clips = arguments.clips or [CLIP]
    figures = measure(
        clips, arguments.frames, arguments.runs, lambda text: print(text, file=sys.stderr)
    )
    _write(figures)
    print("\n\n".join([tables.stages(figures), tables.fixed(figures), tables.clips(figures)]))


def _plan(arguments: argparse.Namespace) -> None:
    drawn_hours = min(arguments.hours, tables.HOURS)
    videos = _videos(arguments, drawn_hours)
    made = plan(Costs.read_from(read_figures()), videos, _knobs(arguments))
    made = made.times(arguments.hours / drawn_hours)
    rows = [[stage, tables.number(hours)] for stage, hours in made.core_hours.items()]
    rows += [["all", tables.number(made.cores)], ["GPU hours", tables.number(made.gpu_hours)]]
    print(f"{made.videos:,} videos, {made.hours:,.0f} h\n")
    print(tables.rows_of(["stage", "core hours"], rows))
    print(f"\nread: {tables.size(made.read)}")
    for kind, size in made.stored_bytes.items():
        print(f"written: {kind}: {tables.size(size)}, {made.files[kind]:,} files")
    bounds = made.bounds_s(arguments.cores, arguments.bandwidth, arguments.gpus)
    for name, seconds in bounds.items():
        print(f"at least, by {name}: {tables.duration(seconds)}")
    _money(made, arguments)


def _money(made: Plan, arguments: argparse.Namespace) -> None:
    prices = arguments.core_hour, arguments.gpu_hour, arguments.gb_month
    if all(price is None for price in prices):
        print("no prices given (--core-hour, --gpu-hour, --gb-month): no sum of money")
        return
    paid = made.money(*(price or 0.0 for price in prices), arguments.months)
    print(f"money, by the prices given: {tables.number(paid)}")


def _simulate(arguments: argparse.Namespace) -> None:
    if arguments.hours > MOST_HOURS:
        raise Pose3dError(f"simulate {MOST_HOURS:,} h at most, with that share of the workers")
    costs, knobs = Costs.read_from(read_figures()), _knobs(arguments)
    videos = _videos(arguments, arguments.hours)
    if knobs.gpu_factor is not None:
        raise Pose3dError("simulate is of workers with a core each: leave out --gpu-factor")
    jobs = jobs_of(
        costs,
        videos,
        knobs,
        segment_s=arguments.segment,
        overlap_s=arguments.overlap,
        largest_first=not arguments.by_name,
    )
    run = simulate(
        jobs,
        arguments.workers,
        start_s=costs.worker_s,
        mtbf_s=arguments.mtbf * HOUR,
        bandwidth=arguments.bandwidth or float("inf"),
        rng=np.random.default_rng(arguments.seed),
    )
    bounds = plan(costs, videos, knobs).bounds_s(arguments.workers, arguments.bandwidth)
    print(f"{len(videos):,} videos, {videos.hours:,.0f} h, {arguments.workers:,} workers")
    for name, seconds in bounds.items():
        print(f"at least, by {name}: {tables.duration(seconds)}")
    print(f"simulated: {tables.duration(run.wall)}, of which the tail {tables.duration(run.tail)}")
    print(f"workers busy: {100 * run.busy / run.wall / arguments.workers:.0f} %")
    print(f"deaths: {run.deaths:,}, work lost: {100 * run.lost / run.busy:.2f} %")


def _check(arguments: argparse.Namespace) -> None:
    from benchmarks.scale.check import check

    figures = read_figures()
    spent = sum(sum(clip["core_s"].values()) for clip in figures["clips"])
    parallel = spent / sum(clip["wall_s"] for clip in figures["clips"])
    figures["check"] = check(arguments.folders, arguments.workers, figures, parallel)
    _write(figures)
    print(tables.check(figures))


def _table(arguments: argparse.Namespace) -> None:
    figures = read_figures()
    if arguments.page is not None:
        tables.fill(arguments.page, figures)
        return
    for name, table in tables.TABLES.items():
        print(f"{name}:\n\n{table(figures)}\n", flush=True)


def _write(figures: dict) -> None:
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n")


def _knobs(arguments: argparse.Namespace) -> Knobs:
    detector_s = read_figures()["detector"]["core_s"]
    return Knobs(
        pose2d=arguments.pose2d,
        people=arguments.people,
        stride=arguments.stride,
        render=arguments.render,
        gpu_factor=arguments.gpu_factor,
        detector_s=detector_s if arguments.detector_ms is None else arguments.detector_ms / 1000,
        detector_every=arguments.detector_every,
    )


def _videos(arguments: argparse.Namespace, hours: float) -> Videos:
    rng = np.random.default_rng(arguments.seed)
    if arguments.like:
        from benchmarks.scale.check import videos_of

        return more_like(videos_of([arguments.like]), hours, rng)
    mix = Mix(arguments.median, arguments.sigma, rate=arguments.rate, codec=arguments.codec)
    if arguments.sizes:
        mix = replace(mix, sizes=[_size(text) for text in arguments.sizes])
    figures = read_figures()
    spread = spread_of(Costs.read_from(figures), figures["clips"])
    return draw_videos(mix, hours, rng, spread)


def _size(text: str) -> tuple[int, int, float]:
    try:
        picture, share = text.split("=")
        width, height = picture.split("x")
        return int(width), int(height), float(share)
    except ValueError:
        raise Pose3dError(f"--sizes: WIDTHxHEIGHT=SHARE, such as 1280x720=0.4: {text!r}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    commands = parser.add_subparsers(required=True)

    def command(name: str, work, told: str) -> argparse.ArgumentParser:
        own = commands.add_parser(
            name, help=told, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        own.set_defaults(work=work)
        return own

    own = command("measure", _measure, "measure this machine, into benchmarks/scale.json")
    own.add_argument("clips", nargs="*", type=Path, help="none: the bundled one")
    own.add_argument("--frames", type=int, default=96, help="of generated clips, 225 at most")
    own.add_argument("--runs", type=int, default=3, help="of which the medians count")

    own = command("plan", _plan, "the closed form")
    _add_workload(own)
    own.add_argument("--cores", type=int, default=2, help="of the fleet")
    own.add_argument("--gpus", type=int, default=0, help="of the fleet")
    prices = "price, in any currency; there is no default"
    own.add_argument("--core-hour", type=float, help=prices)
    own.add_argument("--gpu-hour", type=float, help=prices)
    own.add_argument("--gb-month", type=float, help=prices)
    own.add_argument("--months", type=float, default=1.0, help="that what is made is kept")

    own = command("simulate", _simulate, "a fleet, event by event")
    _add_workload(own)
    own.add_argument("--workers", type=int, default=2, help="of a core each")
    own.add_argument("--segment", type=float, help="seconds of the parts of long videos")
    own.add_argument("--overlap", type=float, default=2.0, help="seconds of segments")
    own.add_argument("--by-name", action="store_true", help="not the largest first")
    own.add_argument(
        "--mtbf", type=float, default=float("inf"), help="hours between deaths of a worker"
    )

    own = command("check", _check, "a real batch against the simulation")
    own.add_argument("folders", nargs="+")
    own.add_argument("--workers", type=int, nargs="+", default=[1, 2])

    own = command("table", _table, "the tables of docs/scale.md")
    own.add_argument("page", nargs="?", type=Path, help="put them in there; else print them")
    return parser


def _add_workload(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    mix = Mix()
    add("--hours", type=float, default=1.0, help="of video")
    add("--like", metavar="FOLDER", help="lengths and sizes as of the videos there")
    add("--median", type=float, default=mix.median_s, help="seconds of a video (an assumption)")
    add("--sigma", type=float, default=mix.sigma, help="of the lengths' logarithm (an assumption)")
    add("--rate", type=float, default=mix.rate, help="frames/s")
    add("--sizes", nargs="+", metavar="WxH=SHARE", help="default: the assumptions of Mix")
    add("--codec", choices=CODECS, default=mix.codec, help="of all videos")
    add("--pose2d", default="mediapipe", help="or hrnet")
    add("--people", type=float, default=1.0, help="in a frame, for hrnet")
    add("--stride", type=int, default=1, help="pose3d has none yet: what one would save")
    add("--no-render", dest="render", action="store_false", help="numbers only")
    add("--gpu-factor", type=float, help="cores that one GPU stands for; NOT MEASURED HERE")
    add("--detector-ms", type=float, help="of a core for a frame, for hrnet; none: as measured")
    add("--detector-every", type=int, default=1, help="frames (--det-every)")
    add("--bandwidth", type=float, help="bytes a second of the storage, for all together")
    add("--seed", type=int, default=0, help="of the drawn videos and deaths")


def main() -> None:
    arguments = _parser().parse_args()
    try:
        arguments.work(arguments)
    except Pose3dError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
