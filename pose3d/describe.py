"""What ``--verbose`` says about a run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import torch

from pipeline.compute import choose_device, choose_precision
from pipeline.result import PoseResult
from pipeline.settings import Settings
from pipeline.version import VERSION
from pipeline.video import probe
from pose3d.terminal import errors


def describe_start(source: Path, settings: Settings) -> None:
    """The input and the settings."""
    info = probe(source)
    length = "unknown length" if info.duration_s is None else f"{info.duration_s:.2f} s"
    errors.print(
        f"input: {source}: {info.width}x{info.height}, {info.frame_rate} frames/s, {length}, "
        f"{info.codec} {info.pixel_format}, rotated by {info.rotation} degrees, "
        f"{'with' if info.has_audio else 'without'} sound"
    )
    chosen = ", ".join(f"{name} {value}" for name, value in settings.as_dict().items())
    errors.print(f"settings: {chosen}")
    device = choose_device(settings.device)
    precision = str(choose_precision(settings.precision, device)).removeprefix("torch.")
    errors.print(
        f"pose3d {VERSION}, torch {torch.__version__}, device {device}, {precision}, "
        f"{torch.get_num_threads()} threads"
    )
    if settings.causal:
        errors.print("lifting is causal: no frame depends on a later one")


def describe_outcome(result: PoseResult) -> None:
    """The weights used, and how many frames got which status."""
    identity = result.provenance["weights"]["lifter"]
    errors.print(f"lifter: {identity['name']}, sha256 {identity['sha256'][:12]}")
    counts = Counter(result.status.ravel().tolist())
    errors.print("frames: " + ", ".join(f"{n} {status}" for status, n in counts.most_common()))
