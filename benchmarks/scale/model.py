"""The cost of a collection of videos from measured costs of frames, in closed form.

The unit of work is the core second: processor time of all threads together, which is what a machine
with as many workers as cores has to give. What is linear in a frame's size is fitted as such.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from weights.errors import Pose3dError

FIGURES = Path(__file__).parent.parent / "scale.json"
HOUR = 3600.0
# In the order of the work. "hash" and "find" are of the process that gives the work to others.
STAGES = ("find", "hash", "start", "decode", "2d", "lift", "draw", "encode")
ON_GPU = ("2d", "lift")
DRIVER = ("find", "hash")
# Megapixels of a source beside which pictures are drawn smaller (layout.MAX_ROWS, at 16:9).
MOST_DRAWN = 1920 * 1080 / 1e6
CODECS = ("h264", "hevc", "vp9", "av1")


def line(points: Sequence[Sequence[float]]) -> tuple[float, float]:
    """The line y = a + b x, neither negative, nearest to points (x, y) in relative error.

    One point, or points of one x, give a line through the origin.
    """
    x, y = np.array(points, float).T
    if np.ptp(x) > 0:
        # In relative error: a small picture's milliseconds count as a large one's.
        slope, base = np.polyfit(x, y, 1, w=1 / y)
        if base >= 0 and slope >= 0:
            return float(base), float(slope)
        if slope < 0:
            return float(1 / np.mean(1 / y)), 0.0
    return 0.0, float(np.sum(x / y) / np.sum((x / y) ** 2))


@dataclass(frozen=True)
class Costs:
    """Core seconds and bytes, measured on one machine.

    frame : by stage, (seconds, seconds a megapixel) of a frame
    person : by stage, seconds of a person in a frame
    video : by stage, seconds of a video whatever its length
    hash_byte : seconds to hash a byte
    worker_s : seconds until a worker can begin
    bytes : "result", "detections" a person and frame, "record" a video, "source" a pixel and frame,
        "rendered" the same, of sources of ``MOST_DRAWN`` at most
    """

    frame: Mapping[str, tuple[float, float]]
    person: Mapping[str, float]
    video: Mapping[str, float]
    hash_byte: float
    worker_s: float
    bytes: Mapping[str, float]

    @staticmethod
    def read_from(figures: Mapping) -> Costs:
        """Those that ``measure`` found."""
        return Costs(
            frame={name: line(points) for name, points in figures["frame"].items()},
            person=figures["person"],
            video=figures["video"],
            hash_byte=figures["hash_byte"],
            worker_s=figures["worker"]["core_s"],
            bytes=figures["bytes"],
        )

    def of_frame(self, name: str, megapixels: np.ndarray | float) -> np.ndarray | float:
        """Seconds of a frame of some sizes."""
        base, slope = self.frame[name]
        return base + slope * megapixels


def read_figures() -> dict:
    """What ``measure`` wrote; Pose3dError if it is not there."""
    try:
        return json.loads(FIGURES.read_text())
    except (OSError, ValueError):
        raise Pose3dError(f"{FIGURES}: no figures: python -m benchmarks.scale measure") from None


@dataclass(frozen=True)
class Videos:
    """N videos.

    seconds, megapixels, rate, bytes : (N,) each; rate in frames/s
    codec : of all
    spread : (N, 3) or (3,), how many times the usual 2D, lifting and drawing with encoding take
    """

    seconds: np.ndarray
    megapixels: np.ndarray
    rate: np.ndarray
    bytes: np.ndarray
    codec: str = "h264"
    spread: np.ndarray = field(default_factory=lambda: np.ones(3))

    def __len__(self) -> int:
        return len(self.seconds)

    @property
    def hours(self) -> float:
        """Of all together."""
        return float(self.seconds.sum() / HOUR)


@dataclass(frozen=True)
class Knobs:
    """What can be turned.

    pose2d : "mediapipe" (one person, on the CPU) or "hrnet" (all people, with a detector of them)
    people : in a frame, on average
    stride : only every so many frames go through the 2D networks and are lifted. pose3d has no such
        setting yet: it says what one would save
    render : whether videos are drawn
    gpu_factor : so many cores do "hrnet" and the lifting as fast as one GPU; None: there is no GPU.
        Not measured here
    detector_s : core seconds of the detector of people for a frame, for "hrnet"
    detector_every : the detector looks at every so many of these frames (``--det-every``)
    """

    pose2d: str = "mediapipe"
    people: float = 1.0
    stride: int = 1
    render: bool = True
    gpu_factor: float | None = None
    detector_s: float = 0.0
    detector_every: int = 1

    def __post_init__(self) -> None:
        if self.pose2d not in ("mediapipe", "hrnet"):
            raise Pose3dError(f"--pose2d must be mediapipe or hrnet, not {self.pose2d!r}")
        if self.stride < 1 or self.detector_every < 1 or self.people < 0:
            raise Pose3dError("--stride and --detector-every must be 1 or more, --people 0 or more")
        if self.gpu_factor is not None and self.gpu_factor <= 0:
            raise Pose3dError("--gpu-factor must be above 0")
        if self.gpu_factor is not None and self.pose2d == "mediapipe":
            raise Pose3dError("--gpu-factor goes with --pose2d hrnet: MediaPipe runs on the CPU")


def stage_seconds(costs: Costs, videos: Videos, knobs: Knobs) -> dict[str, np.ndarray]:
    """Core seconds (N,) of every video by stage, all on CPU cores."""
    frames = videos.seconds * videos.rate
    looked_at = frames / knobs.stride
    size = videos.megapixels
    if knobs.pose2d == "mediapipe":
        joints = costs.of_frame("mediapipe", size)
    else:
        joints = knobs.people * costs.person["hrnet"] + knobs.detector_s / knobs.detector_every
    people = 1.0 if knobs.pose2d == "mediapipe" else knobs.people
    passes = 2 if knobs.render else 1
    of_2d, of_lift, of_drawing = videos.spread.T
    draws = frames * float(knobs.render) * of_drawing
    return {
        "find": np.full(len(videos), costs.video["find"] + costs.video["records"]),
        "hash": videos.bytes * costs.hash_byte,
        "start": np.full(len(videos), costs.video["start"]),
        "decode": passes * frames * costs.of_frame(f"decode {videos.codec}", size),
        "2d": looked_at * joints * of_2d,
        "lift": looked_at * people * costs.person["lift"] * of_lift,
        "draw": draws * costs.of_frame("draw", size),
        "encode": draws * costs.of_frame("encode", np.minimum(size, MOST_DRAWN)),
    }


@dataclass(frozen=True)
class Plan:
    """What videos cost.

    core_hours : by stage, of CPU cores
    gpu_hours : of GPUs
    read_bytes : from where the videos are, by what for
    stored_bytes, files : by kind, what is written and kept
    videos, hours : what for
    longest_s : core seconds of the longest video, which one worker does
    """

    core_hours: dict[str, float]
    gpu_hours: float
    read_bytes: dict[str, float]
    stored_bytes: dict[str, float]
    files: dict[str, int]
    videos: int
    hours: float
    longest_s: float

    @property
    def cores(self) -> float:
        """Core hours of all stages."""
        return sum(self.core_hours.values())

    @property
    def read(self) -> float:
        """Bytes that are read in all."""
        return sum(self.read_bytes.values())

    @property
    def driver_hours(self) -> float:
        """Core hours of the one process that finds and hashes."""
        return sum(self.core_hours[stage] for stage in DRIVER)

    def times(self, factor: float) -> Plan:
        """The plan of so many times as many videos of the same kinds."""
        return replace(
            self,
            core_hours={stage: factor * hours for stage, hours in self.core_hours.items()},
            gpu_hours=factor * self.gpu_hours,
            read_bytes={what: factor * size for what, size in self.read_bytes.items()},
            stored_bytes={kind: factor * size for kind, size in self.stored_bytes.items()},
            files={kind: round(factor * count) for kind, count in self.files.items()},
            videos=round(factor * self.videos),
            hours=factor * self.hours,
        )

    def bounds_s(self, cores: float, bandwidth: float | None = None, gpus: int = 0) -> dict:
        """Seconds below which it cannot be done, by what stands in the way.

        cores : of the fleet; bandwidth : bytes a second that the storage gives all of them together
        """
        work = self.cores - self.driver_hours
        found = {"cores": HOUR * work / cores, "longest video": self.longest_s}
        found["one driver"] = HOUR * self.driver_hours
        if bandwidth:
            found["storage"] = self.read / bandwidth
        if self.gpu_hours and gpus:
            found["GPUs"] = HOUR * self.gpu_hours / gpus
        return found

    def money(self, core_hour: float, gpu_hour: float, gb_month: float, months: float) -> float:
        """In the currency of the prices, storage of what is made included, without the videos."""
        stored = sum(self.stored_bytes.values()) / 1e9
        return self.cores * core_hour + self.gpu_hours * gpu_hour + stored * gb_month * months


def plan(costs: Costs, videos: Videos, knobs: Knobs) -> Plan:
    """The plan for videos, in closed form."""
    seconds = stage_seconds(costs, videos, knobs)
    hours = {stage: float(each.sum()) / HOUR for stage, each in seconds.items()}
    worker_s = sum(seconds[stage] for stage in STAGES if stage not in DRIVER)
    gpu_hours = 0.0
    if knobs.gpu_factor is not None:
        gpu_hours = sum(hours[stage] for stage in ON_GPU) / knobs.gpu_factor
        worker_s = worker_s - sum(seconds[s] for s in ON_GPU) * (1 - 1 / knobs.gpu_factor)
        hours |= dict.fromkeys(ON_GPU, 0.0)
    frames = videos.seconds * videos.rate
    people = 1.0 if knobs.pose2d == "mediapipe" else knobs.people
    drawn = float((frames * np.minimum(videos.megapixels, MOST_DRAWN)).sum()) * 1e6
    count = len(videos)
    rendered = float(knobs.render)
    numbers = float(frames.sum()) * people
    source = float(videos.bytes.sum())
    return Plan(
        core_hours=hours,
        gpu_hours=gpu_hours,
        read_bytes={"hash": source, "first pass": source, "rendering": source * rendered},
        stored_bytes={
            "results": numbers * costs.bytes["result"],
            "kept 2D": numbers * costs.bytes["detections"],
            "rendered": rendered * drawn * costs.bytes["rendered"],
            "records": count * costs.bytes["record"],
        },
        files={
            "results": count,
            "kept 2D": count,
            "rendered": count * knobs.render,
            "records": count,
        },
        videos=count,
        hours=videos.hours,
        longest_s=float(worker_s.max()),
    )


@dataclass(frozen=True)
class Mix:
    """How videos are distributed. These are assumptions, none is measured: name your own.

    median_s, sigma, longest_s : lengths are log-normal, which is heavy-tailed: by default half are
        below 4 minutes, a hundredth is above 80, the mean is 9; longer than longest_s is cut
    sizes : (width, height, share)
    rate : frames/s
    bits : of the files, a pixel and frame
    """

    median_s: float = 240.0
    sigma: float = 1.3
    longest_s: float = 10 * HOUR
    sizes: Sequence[tuple[int, int, float]] = field(
        default=((640, 360, 0.1), (1280, 720, 0.4), (1920, 1080, 0.45), (3840, 2160, 0.05))
    )
    rate: float = 30.0
    bits: float = 0.06
    codec: str = "h264"


def spread_of(costs: Costs, clips: Sequence[Mapping]) -> np.ndarray:
    """(C, 3): how many times what the model says 2D, lifting and drawing took in measured clips."""
    ratios = []
    for clip in clips:
        model = {
            stage: float(s[0]) for stage, s in stage_seconds(costs, as_video(clip), Knobs()).items()
        }
        spent, decode = clip["core_s"], model["decode"] / 2
        ratios.append(
            [
                (spent["detect"] - decode - model["start"]) / model["2d"],
                spent["lift"] / model["lift"],
                (spent["render"] - decode) / (model["draw"] + model["encode"]),
            ]
        )
    return np.maximum(ratios, 0.0)  # a clip of a few frames is all start


def as_video(clip: Mapping) -> Videos:
    """A measured clip."""
    columns = (np.array([float(clip[n])]) for n in ("seconds", "megapixels", "rate", "bytes"))
    return Videos(*columns, clip["codec"])


def draw_videos(
    mix: Mix, hours: float, rng: np.random.Generator, spread: np.ndarray | None = None
) -> Videos:
    """Videos of a mix that last so long together (one of them is cut to fit).

    spread : (C, 3), of ``spread_of``: every video costs as one of these did; None: as usual
    """
    if not 0 < hours < math.inf or min(mix.median_s, mix.rate) <= 0:
        raise Pose3dError("--hours, --median and --rate must be above 0")
    seconds = np.empty(0)
    while seconds.sum() < hours * HOUR:
        more = mix.median_s * np.exp(mix.sigma * rng.standard_normal(10_000))
        seconds = np.concatenate([seconds, np.minimum(more, mix.longest_s)])
    ends = np.cumsum(seconds)
    count = int(np.searchsorted(ends, hours * HOUR)) + 1
    seconds = seconds[:count]
    seconds[-1] -= ends[count - 1] - hours * HOUR
    shares = np.array([share for *_, share in mix.sizes], float)
    areas = np.array([width * height / 1e6 for width, height, _ in mix.sizes])
    megapixels = rng.choice(areas, size=count, p=shares / shares.sum())
    size = seconds * mix.rate * megapixels * 1e6 * mix.bits / 8
    made = Videos(seconds, megapixels, np.full(count, mix.rate), size, mix.codec)
    return made if spread is None else replace(made, spread=rng.choice(spread, size=count))


def more_like(videos: Videos, hours: float, rng: np.random.Generator) -> Videos:
    """Videos drawn from some, which make about so many hours."""
    count = max(1, round(hours * HOUR / videos.seconds.mean()))
    pick = rng.integers(len(videos), size=count)
    return replace(
        videos,
        seconds=videos.seconds[pick],
        megapixels=videos.megapixels[pick],
        rate=videos.rate[pick],
        bytes=videos.bytes[pick],
    )
