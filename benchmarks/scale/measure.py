"""What frames, videos and workers cost on this machine, stage by stage.

In core seconds, the processor's time of all threads together, with networks on one thread, as in a
batch with a worker a core. Other programs make them longer by what they take of the caches, not by
what they take of the cores; seconds on the clock are noted where they are of use.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from importlib.metadata import version
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from benchmarks.scale.model import MOST_DRAWN
from benchmarks.stages import CLIP
from detectors2d.backends import accelerate
from detectors2d.hrnet import HRNet
from detectors2d.mediapipe import MediaPipePose
from detectors2d.topdown import TopDown
from pipeline.batch.find import Video, look
from pipeline.batch.kept import save_detections
from pipeline.batch.manifest import Manifest, Record
from pipeline.batch.resources import cores, memory
from pipeline.compute import choose_device, choose_precision
from pipeline.detection import Person
from pipeline.networks import choose_detector, open_people
from pipeline.process import first_pass, lift, lift_people, open_lifter
from pipeline.progress import Silence
from pipeline.rendering.clip import clip_of
from pipeline.rendering.layout import make_layout
from pipeline.rendering.video import render_video
from pipeline.result import PoseResult
from pipeline.settings import Settings
from pipeline.video import VideoReader, VideoWriter, probe
from weights.files import sha256

SETTINGS = Settings(pose2d="mediapipe")
SIZES = ((640, 360), (1280, 720), (1920, 1080), (3840, 2160))
# Encoders at their quick settings: the files are only there to be decoded.
ENCODERS = {
    "h264": ("libx264", {"preset": "veryfast"}),
    "hevc": ("libx265", {"preset": "veryfast", "x265-params": "log-level=none"}),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "7", "row-mt": "1"}),
    "av1": ("libsvtav1", {"preset": "10"}),
}
BITS = 0.06  # a pixel and frame, as real clips of H.264 have them
PICTURES_BYTES = 600e6  # that are held in memory at once
RATE = 30
SAVES = 7  # of a video's record in a batch
RECORDS = 400


def measure(clips: Sequence[Path], frames: int, runs: int, say: Callable[[str], None]) -> dict:
    """All figures, as JSON values. frames: of the generated clips; runs: of which medians count."""
    os.environ.setdefault("SVT_LOG", "0")
    torch.set_num_threads(1)
    clock = _Clock(runs, say)
    figures: dict = {"machine": _machine(), "frame": {}, "person": {}, "video": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _frames(figures["frame"], folder, frames, clock)
        figures["person"]["hrnet"], figures["detector"] = _top_down(clock)
        figures["person"]["lift"] = clock("lift, a person", 3000, lambda: walk_result(3000, 720))
        figures["worker"] = _worker(say)
        figures["clips"] = _in_process(_through, [str(clip) for clip in clips], name)
        _bytes(figures)
        for clip, path in zip(figures["clips"], clips, strict=True):
            say(f"clip {clip['width']}x{clip['height']}: {clip['core_s']}")
            point = clock("decode it", clip["frames"], lambda path=path: _decode(path))
            figures["frame"].setdefault(f"decode {clip['codec']}", []).append(
                [clip["megapixels"], point]
            )
        figures["worker"]["memory_mb"] = figures["clips"][-1]["memory_mb"]  # a peak: the largest
        figures["video"], records = _videos(folder, clock)
        figures["bytes"] |= records
        figures["hash_byte"] = _hash(folder / "large", clock)
    return figures


class _Clock:
    def __init__(self, runs: int, say: Callable[[str], None]) -> None:
        self.runs, self.say = runs, say

    def __call__(self, name: str, count: float, work: Callable[[], object]) -> float:
        """Core seconds of one of so many alike, the median of some runs."""
        spent = []
        for _ in range(self.runs):
            began = time.process_time()
            work()
            spent.append((time.process_time() - began) / count)
        found = statistics.median(spent)
        self.say(f"{name}: {1000 * found:.4g} ms")
        return found


def _machine() -> dict:
    model = "unknown"
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return {
        "cpu": model,
        "cores": cores(),
        "memory_gb": round((memory() or 0) / 2**30),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "av", "mediapipe")},
        "measured": time.strftime("%Y-%m-%d"),
        # Of others, before anything is measured: what they do makes all times longer.
        "load": round(os.getloadavg()[0], 1),
    }


def _frames(points: dict, folder: Path, frames: int, clock: _Clock) -> None:
    """Decoding, MediaPipe, drawing and encoding by the size of the picture."""
    for width, height in SIZES:
        megapixels = width * height / 1e6
        count = int(min(frames, PICTURES_BYTES / (3e6 * megapixels)))
        path = folder / f"{height}.mp4"
        make_clip(path, width, height, "h264", frames)

        def note(name: str, seconds: float, megapixels: float = megapixels) -> None:
            points.setdefault(name, []).append([megapixels, seconds])

        name = f"at {width}x{height}"
        note("decode h264", clock(f"decode {name}", frames, lambda path=path: _decode(path)))
        pictures = [frame.image for frame in VideoReader(path, end_s=(count - 0.5) / RATE)]
        note("mediapipe", _mediapipe(pictures, clock, name))
        drawing = make_layout("side-by-side", clip_of(walk_result(count, height)))
        drawn = [drawing.draw(t, image) for t, image in enumerate(pictures)]

        def draw(drawing=drawing, pictures=pictures) -> None:
            for t, image in enumerate(pictures):
                drawing.draw(t, image)

        note("draw", clock(f"draw {name}", count, draw))

        def encode(drawn: list = drawn, size: tuple[int, int] = drawing.size) -> None:
            with VideoWriter(folder / "drawn.mp4", *size, Fraction(RATE)) as writer:
                for t, picture in enumerate(drawn):
                    writer.write(picture, t / RATE)

        note("encode", clock(f"encode {name}", count, encode), min(megapixels, MOST_DRAWN))
    width, height = 1920, 1080
    for codec in list(ENCODERS)[1:]:
        path = folder / f"{codec}.mp4"
        make_clip(path, width, height, codec, frames)
        seconds = clock(f"decode {codec}", frames, lambda path=path: _decode(path))
        points[f"decode {codec}"] = [[width * height / 1e6, seconds]]


def make_clip(path: Path, width: int, height: int, codec: str, frames: int) -> None:
    """The bundled clip in another size and codec, with a camera's noise."""
    encoder, options = ENCODERS[codec]
    rng = np.random.default_rng(0)
    noise = [rng.normal(0, 4, (height, width, 1)).astype(np.int16) for _ in range(2)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.bit_rate = round(BITS * width * height * RATE)
        for frame in VideoReader(CLIP):
            if frame.index == frames:
                break
            image = cv2.resize(frame.image, (width, height)) + noise[frame.index % 2]
            picture = av.VideoFrame.from_ndarray(np.clip(image, 0, 255).astype(np.uint8))
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def _decode(path: Path) -> None:
    for _ in VideoReader(path):
        pass


def _mediapipe(pictures: Sequence[np.ndarray], clock: _Clock, name: str) -> float:
    with MediaPipePose() as detector:
        detector.detect(pictures[0])  # finds the person, who is followed from here

        def work() -> None:
            for image in pictures:
                detector.detect(image)

        return clock(f"MediaPipe {name}", len(pictures), work)


def _top_down(clock: _Clock) -> tuple[float, dict]:
    """HRNet-W32 for a person, and the detector of people that is at hand for a frame."""
    device = choose_device("cpu")
    precision = choose_precision("auto", device)
    network = accelerate(HRNet(32).eval(), "torch", precision, device)
    pose = TopDown(
        network, flip=True, decoding="dark", untangle=True, precision=precision, device=device
    )
    pictures = [frame.image for frame in VideoReader(CLIP, end_s=16 / RATE)]
    boxes = [np.array([[400.0, 80.0, 560.0, 500.0]])] * len(pictures)
    pose.estimate(pictures, boxes)
    person = clock("HRNet-W32, a person", len(pictures), lambda: pose.estimate(pictures, boxes))
    detector = open_people(SETTINGS)
    detector.detect(pictures)
    name = choose_detector(SETTINGS)
    found = clock(f"detector {name}", len(pictures), lambda: detector.detect(pictures))
    return person, {"name": name, "core_s": found}


def walk_result(frames: int, height: int) -> PoseResult:
    """The bundled clip's true 2D, played back and forth in a picture of some height, lifted."""
    truth = np.load(CLIP.with_suffix(".npz"))
    clip = truth["joints2d"][:, 0] * (height / truth["size"][1])
    cycle = np.concatenate([clip, clip[-2:0:-1]])
    keypoints = cycle[np.arange(frames) % len(cycle)].astype(np.float32)
    person = Person(1, keypoints, np.ones((frames, 17), np.float32))
    return lift_people(
        [person],
        np.arange(frames) / RATE,
        (height * 16 // 9, height),
        Fraction(RATE),
        _lifter(),
        SETTINGS,
        Silence(),
        source={},
        weights={},
        warnings=[],
    )


@cache
def _lifter() -> torch.nn.Module:
    return open_lifter(SETTINGS)


def _worker(say: Callable[[str], None]) -> dict:
    """Until a worker can begin."""
    code = (
        "from pipeline.batch.work import VideoWork; from pipeline.settings import Settings;"
        "VideoWork(Settings(pose2d='mediapipe')).load('detect'); import pipeline.detection"
    )
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-c", code])
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - began
    if status:
        raise SystemExit("error: a worker could not start")
    say(f"worker: {wall_s:.2f} s")
    return {"core_s": usage.ru_utime + usage.ru_stime, "wall_s": wall_s}


def _in_process(work: Callable, *arguments: object) -> object:
    """What a function gives in a process of its own, whose memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def _through(paths: Sequence[str], name: str) -> list[dict]:
    """Every clip from end to end, as a worker of a batch does it."""
    torch.set_num_threads(1)
    folder = Path(name)
    _whole(CLIP, folder)  # what is imported late is imported here
    return [_whole(Path(path), folder) for path in paths]


def _whole(path: Path, folder: Path) -> dict:
    """A video from end to end: what it is, core seconds by stage, seconds, bytes of all files."""
    info, core_s = probe(path), {}
    files = {"detect": "detections.npz", "lift": "result.npz", "render": "rendered.mp4"}
    detections, saved, rendered = (folder / file for file in files.values())
    began, wall = time.process_time(), time.monotonic()

    def done(stage: str) -> None:
        nonlocal began
        now = time.process_time()
        core_s[stage] = round(now - began, 3)
        began = now

    found = first_pass(path, SETTINGS, Silence())
    save_detections(detections, found, {})
    done("detect")
    result = lift(found, {"name": path.name}, _lifter(), SETTINGS, Silence())
    result.save(saved)
    done("lift")
    render_video(result, path, rendered, Silence(), SETTINGS.layout, SETTINGS.orbit)
    done("render")
    return {
        "width": info.width,
        "height": info.height,
        "megapixels": info.width * info.height / 1e6,
        "rate": float(info.frame_rate),
        "codec": info.codec,
        "bytes": path.stat().st_size,
        "frames": len(result),
        "seconds": round(len(result) / float(info.frame_rate), 3),
        "core_s": core_s,
        "wall_s": round(time.monotonic() - wall, 3),
        "detections_bytes": detections.stat().st_size,
        "result_bytes": saved.stat().st_size,
        "rendered_bytes": rendered.stat().st_size,
        "memory_mb": _peak_mb(),
    }


def _peak_mb() -> int | None:
    """Of this process alone (Linux): ru_maxrss has that of the process which started it as well."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.is_file() else None
    return round(int(found[1]) / 1024) if found else None


def _bytes(figures: dict) -> None:
    """Bytes of what is written and read: medians over the clips."""
    clips = figures["clips"]

    def median(name: str, unit: Callable[[dict], float]) -> float:
        return statistics.median(clip[name] / unit(clip) for clip in clips)

    def pixels(clip: dict, most: float = np.inf) -> float:
        return clip["frames"] * min(clip["megapixels"], most) * 1e6

    figures["bytes"] = {
        "result": median("result_bytes", lambda clip: clip["frames"]),
        "detections": median("detections_bytes", lambda clip: clip["frames"]),
        "rendered": median("rendered_bytes", lambda clip: pixels(clip, MOST_DRAWN)),
        "source": median("bytes", pixels),
    }


def _videos(folder: Path, clock: _Clock) -> tuple[dict, dict]:
    """What every video costs, however short, and the bytes of its record."""
    short = folder / "short.mp4"
    make_clip(short, 1280, 720, "h264", 2)
    _whole(short, folder)
    found = {"start": clock("a video of two frames", 1, lambda: _whole(short, folder))}
    found["find"] = clock("look into a file", 10, lambda: [look(short) for _ in range(10)])

    def records() -> Manifest:
        manifest = Manifest(Path(tempfile.mkdtemp(dir=folder)))
        videos = [Video(folder / f"{n}.mp4", f"{n}.mp4") for n in range(RECORDS)]
        for video, stem in zip(videos, manifest.names(videos), strict=True):
            made_of = {"made_of": SETTINGS.as_dict(), "bytes": 1}
            record = Record(stem, str(video.path), 1, 1, "0" * 64)
            record.stages = {"lift": made_of, "render": made_of}
            for _ in range(SAVES):
                manifest.save(record)
        manifest.read()
        return manifest

    found["records"] = clock("records of a video", RECORDS, records)
    home = records().folder
    tracemalloc.start()
    kept = Manifest(home)
    made = {"record in memory": tracemalloc.get_traced_memory()[0] / len(kept.records)}
    tracemalloc.stop()
    return found, made | {"record": next(home.rglob("*.json")).stat().st_size}


def _hash(path: Path, clock: _Clock) -> float:
    size = 1 << 28
    path.write_bytes(bytes(size))
    return clock("hash a GB", size / 1e9, lambda: sha256(path)) / 1e9
