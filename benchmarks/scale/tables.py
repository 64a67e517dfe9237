"""The tables of docs/scale.md, in Markdown, from measured figures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.scale.model import (
    HOUR,
    Costs,
    Knobs,
    Mix,
    Plan,
    Videos,
    as_video,
    draw_videos,
    plan,
    spread_of,
    stage_seconds,
)
from benchmarks.scale.simulation import jobs_of, simulate
from weights.errors import Pose3dError

HOURS = 10_000
# For the rows with a GPU. An assumption.
GPU_FACTOR = 100.0
LARGE = 6400
SEGMENT_S = 300.0
MTBF_S = 24 * HOUR
BANDWIDTH = 1e9


def rows_of(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def number(value: float) -> str:
    """With two or three digits that count, and thousands apart."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        digits = 2 - int(np.floor(np.log10(abs(value))))
        return f"{round(value, digits):,.0f}"
    return f"{value:.3g}" if abs(value) >= 10 else f"{value:.2g}"


def size(value: float) -> str:
    """Bytes in their unit."""
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if value < 1000 or unit == "PB":
            return f"{number(value)} {unit}"
        value /= 1000
    raise AssertionError


def duration(seconds: float) -> str:
    """Seconds, minutes, hours or days."""
    for unit, length in (("days", 48 * HOUR), ("h", 2 * HOUR), ("min", 120.0)):
        if seconds >= length:
            return f"{number(seconds / {'days': 24 * HOUR, 'h': HOUR, 'min': 60}[unit])} {unit}"
    return f"{number(seconds)} s"


def stages(figures: dict) -> str:
    """What was measured for a frame, and the lines through it."""
    costs, sizes = Costs.read_from(figures), ["640x360", "1280x720", "1920x1080", "3840x2160"]

    def row(title: str, name: str, cells: Sequence[str]) -> list[str]:
        base, slope = costs.frame[name]
        return [title, *cells, f"{number(1000 * base)} + {number(1000 * slope)} x"]

    rows = []
    for name, title in (
        ("decode h264", "decode H.264, each pass"),
        ("mediapipe", "MediaPipe, its one person"),
        ("draw", "draw"),
        ("encode", "encode; x up to 2.07"),
    ):
        # Those of generated clips come first.
        points = figures["frame"][name][: len(sizes)]
        rows.append(row(title, name, [number(1000 * seconds) for _, seconds in points]))
    for codec in ("hevc", "vp9", "av1"):
        name = f"decode {codec}"
        seconds = figures["frame"][name][0][1]
        rows.append(
            row(f"decode {codec.upper()}, each pass", name, ["", "", number(1000 * seconds), ""])
        )
    for title, seconds in (
        ("HRNet-W32 with mirroring, a person", costs.person["hrnet"]),
        (f"people for it: {figures['detector']['name']}", figures["detector"]["core_s"]),
        ("lift, a person", costs.person["lift"]),
    ):
        told = number(1000 * seconds)
        rows.append([title, *[""] * len(sizes), told])
    return rows_of(["ms of a core a frame", *sizes, "taken, x megapixels"], rows)


def fixed(figures: dict) -> str:
    """What does not depend on a video's length, and bytes."""
    worker, video, made = figures["worker"], figures["video"], figures["bytes"]
    return rows_of(
        ["what", "measured"],
        [
            ["start of a worker", f"{number(worker['core_s'])} core s"],
            ["memory of a worker, at its peak", f"{worker['memory_mb']} MB"],
            ["a video, however short", f"{number(video['start'])} core s"],
            ["look into a file", f"{number(1000 * video['find'])} ms"],
            ["records of a video (7 saves)", f"{number(1000 * video['records'])} ms"],
            ["SHA-256", f"{number(1e-9 / figures['hash_byte'])} GB a core second"],
            ["result, a person and frame", f"{number(made['result'])} B"],
            ["kept 2D, a person and frame", f"{number(made['detections'])} B"],
            ["record of a video", f"{number(made['record'])} B"],
            ["the same in memory", f"{number(made['record in memory'])} B"],
            ["rendered video", f"{number(8 * made['rendered'])} bits a source pixel and frame"],
            ["source videos", f"{number(8 * made['source'])} bits a pixel and frame"],
        ],
    )


def clips(figures: dict) -> str:
    """Real clips, from end to end, against the model."""
    costs = Costs.read_from(figures)
    rows = []
    for clip in figures["clips"]:
        model = stage_seconds(costs, as_video(clip), Knobs())
        told = sum(float(s[0]) for stage, s in model.items() if stage not in ("find", "hash"))
        spent = sum(clip["core_s"].values())
        rows.append(
            [
                f"{clip['width']}x{clip['height']} {clip['codec']}, {clip['frames']} frames",
                *(number(1000 * clip["core_s"][s] / clip["frames"]) for s in clip["core_s"]),
                number(spent),
                number(told),
                f"{100 * (told / spent - 1):+.0f} %",
            ]
        )
    heads = ["clip", "first pass, ms", "lift, ms", "render, ms", "core s", "model", "off by"]
    return rows_of(heads, rows)


SETTINGS: dict[str, Callable[[dict], Knobs]] = {
    "as it is: MediaPipe, rendered": lambda figures: Knobs(),
    "`--no-render`": lambda figures: Knobs(render=False),
    "`--no-render`, every third frame (not there yet)": lambda figures: Knobs(
        render=False, stride=3
    ),
    "HRNet-W32, 2 people, on cores": lambda figures: _hrnet(figures),
    "the same, with GPUs (assumed)": lambda figures: _hrnet(figures, gpu_factor=GPU_FACTOR),
    "the same, GPUs, `--no-render`": lambda figures: _hrnet(
        figures, gpu_factor=GPU_FACTOR, render=False
    ),
}


def _hrnet(figures: dict, **more: object) -> Knobs:
    return Knobs(pose2d="hrnet", people=2, detector_s=figures["detector"]["core_s"], **more)


def settings(figures: dict) -> str:
    """An hour of video by what is turned, and where the core hours go."""
    costs, videos = Costs.read_from(figures), _videos(figures)
    groups = {"2D": ["2d"], "decode": ["decode"], "draw, encode": ["draw", "encode"]}
    groups |= {"lift": ["lift"], "a video's start": ["start"], "find, hash": ["find", "hash"]}
    rows = []
    for name, knobs in SETTINGS.items():
        made = plan(costs, videos, knobs(figures))
        shares = [
            f"{100 * sum(made.core_hours[s] for s in stages) / made.cores:.0f} %"
            for stages in groups.values()
        ]
        gpu = number(made.gpu_hours / made.hours) if made.gpu_hours else ""
        feed = number(made.cores / made.gpu_hours) if made.gpu_hours else ""
        rows.append([name, number(made.cores / made.hours), gpu, feed, *shares])
    heads = ["an hour of video", "core h", "GPU h", "cores a GPU", *groups]
    return rows_of(heads, rows)


def scales(figures: dict) -> str:
    """1 h, 10,000 h and 10 M h."""
    costs = Costs.read_from(figures)
    made = plan(costs, _videos(figures), Knobs())
    plans = {"1 h": made.times(1e-4), "10,000 h": made, "10 M h": made.times(1000)}
    fleets = {"1 h": [1, 2, 16], "10,000 h": [64, 640, LARGE], "10 M h": [LARGE, 64_000, 640_000]}

    def row(name: str, tell: Callable[[Plan], str]) -> list[str]:
        return [name, *map(tell, plans.values())]

    rows = [
        row("videos", lambda p: f"{p.videos:,}"),
        row("core hours, rendered", lambda p: number(p.cores)),
    ]
    plain = plan(costs, _videos(figures), Knobs(render=False))
    rows.append(["core hours, `--no-render`", *(number(plain.cores * f) for f in (1e-4, 1, 1000))])
    gpus = plan(costs, _videos(figures), _hrnet(figures, gpu_factor=GPU_FACTOR))
    rows.append(
        ["GPU hours, HRNet, assumed", *(number(gpus.gpu_hours * f) for f in (1e-4, 1, 1000))]
    )
    rows.append(row("read: hash, two passes", lambda p: size(p.read)))
    rows += [
        row(f"written: {kind}", lambda p, kind=kind: size(p.stored_bytes[kind]))
        for kind in made.stored_bytes
    ]
    rows.append(row("files", lambda p: f"{sum(p.files.values()):,}"))
    for place, fleet in enumerate(["a small fleet", "a larger one", "a large one"]):

        def at_least(name: str, place: int = place) -> str:
            cores, one = fleets[name][place], plans[name]
            seconds = one.bounds_s(cores)["cores"]
            rate = size(one.read / seconds)
            return f"on {cores:,}: {duration(seconds)}, reading {rate}/s"

        rows.append([f"cores: {fleet}", *map(at_least, plans)])
    rows.append(
        row("finding and hashing in one process", lambda p: duration(HOUR * p.driver_hours))
    )
    return rows_of(["", *plans], rows)


def fleets(figures: dict) -> str:
    """Simulations of fleets against the closed form."""
    costs, videos, knobs = Costs.read_from(figures), _videos(figures), Knobs()
    made = plan(costs, videos, knobs)
    start = {"start_s": costs.worker_s}
    whole = jobs_of(costs, videos, knobs)
    mixed = jobs_of(costs, videos, knobs, largest_first=False)
    split = jobs_of(costs, videos, knobs, segment_s=SEGMENT_S)
    parts = f"segments of {SEGMENT_S:.0f} s"
    runs = [
        ("whole videos", whole, 64, {}),
        ("whole videos", whole, 640, {}),
        ("whole videos", whole, LARGE, {}),
        ("whole videos, by name", mixed, 640, {}),
        (parts, split, LARGE, {}),
        ("whole, a worker dies once a day", whole, 640, {"mtbf_s": MTBF_S}),
        (f"{parts}, a worker dies once a day", split, 640, {"mtbf_s": MTBF_S}),
        (f"{parts}, storage of 1 GB/s", split, LARGE, {"bandwidth": BANDWIDTH}),
    ]
    rows = []
    for name, jobs, workers, more in runs:
        run = simulate(jobs, workers, **start, **more)
        bounds = made.bounds_s(workers)
        del bounds["one driver"]
        if jobs is split:
            del bounds["longest video"]
        if "bandwidth" in more:  # hashing reads as well, but that is not the workers'
            bounds["storage"] = (made.read - made.read_bytes["hash"]) / more["bandwidth"]
        bound, form = max(bounds.items(), key=lambda item: item[1])
        rows.append(
            [
                name,
                f"{workers:,}",
                f"{duration(form)} ({bound})",
                duration(run.wall),
                f"{100 * (run.wall / form - 1):+.0f} %",
                duration(run.tail),
                f"{run.deaths:,}, {100 * run.lost / run.busy:.1f} %" if run.deaths else "",
            ]
        )
    heads = [f"{HOURS:,} h", "workers", "closed form", "simulated", "off", "tail", "deaths, lost"]
    return rows_of(heads, rows)


def check(figures: dict) -> str:
    """A real batch against the simulation."""

    def beside(row: dict, told: str, true: str) -> str:
        return f"{number(row[told])} ({100 * (row[told] / row[true] - 1):+.0f} %)"

    rows = [
        [
            row["workers"],
            row["videos"],
            row["load"],
            number(row["core_s"]),
            beside(row, "model_core_s", "core_s"),
            number(row["wall_s"]),
            beside(row, "simulated_wall_s", "wall_s"),
            beside(row, "replayed_wall_s", "wall_s"),
        ]
        for row in figures.get("check", [])
    ]
    heads = ["workers", "videos", "load before", "core s", "model"]
    heads += ["s", "simulated", "from each video's seconds"]
    return rows_of(heads, rows)


def machine(figures: dict) -> str:
    """Where it was measured, in a line."""
    told = figures["machine"]
    return (
        f"{told['cores']} cores ({told['cpu']}), {told['memory_gb']} GB, Python {told['python']}, "
        f"torch {told['torch']}, PyAV {told['av']}, MediaPipe {told['mediapipe']}; "
        f"{told['measured']}; load of other programs before: {told['load']:g}."
    )


TABLES = {
    each.__name__: each for each in (machine, stages, fixed, clips, settings, scales, fleets, check)
}


def _videos(figures: dict) -> Videos:
    spread = spread_of(Costs.read_from(figures), figures["clips"])
    return draw_videos(Mix(), HOURS, np.random.default_rng(0), spread)


def fill(page: Path, figures: dict) -> None:
    """Put the tables into a page: between <!-- NAME --> and <!-- /NAME -->."""
    text = page.read_text()
    for name, table in TABLES.items():
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not place.search(text):
            raise Pose3dError(f"{page}: has no place for the table: <!-- {name} -->")
        made = table(figures)
        text = place.sub(lambda found, made=made: f"{found[1]}{made}\n{found[2]}", text)
    page.write_text(text)
