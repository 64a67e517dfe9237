"""Long videos in the memory of short ones: peaks of processes of their own (Linux)."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipeline.joining import VideoJoiner
from pipeline.video import VideoWriter, probe

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]
# One heap, and pictures outside of it: else how threads meet decides about 60 MB (glibc).
HEAP = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
# Pictures of 1080p have 6 MB, so that a few of them that stay behind tell.
PEAK = """
import re
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]))
"""
VIDEO = """
import sys
from pipeline import detection
from pipeline.process import process_video
from pipeline.settings import Settings
from tests.pipeline.fakes import FakePose

detection.MediaPipePose = FakePose
process_video(sys.argv[1], sys.argv[2], Settings(lifter=sys.argv[3], pose2d="mediapipe"))
"""
LIFT = """
import sys
from fractions import Fraction

import numpy as np

from pipeline.detection import Detections, Person
from pipeline.joints import coco_to_h36m
from pipeline.process import lift, open_lifter
from pipeline.progress import Silence
from pipeline.settings import Settings
from tests.pipeline.fakes import walking

count, settings = int(sys.argv[1]), Settings(lifter=sys.argv[2])
chance = np.random.default_rng(0)
swing = np.abs(np.arange(count) % 400 - 200)
walk = np.stack([walking(index, (1920, 1080)) for index in range(201)])
points = walk[swing] + chance.normal(0, 1, (count, 17, 2)).astype(np.float32)
person = Person(1, *coco_to_h36m(points, np.full((count, 17), 0.9, np.float32)))
found = Detections(np.arange(count) / 30, [person], (1920, 1080), Fraction(30), {}, [])
lifter = open_lifter(settings)
open("/proc/self/clear_refs", "w").write("5")  # the peak from here on
lift(found, {"name": "a"}, lifter, settings, Silence()).save(sys.argv[3])
"""


def peak_mb(program, *arguments):
    """The most memory that a program took."""
    command = [sys.executable, "-c", program + PEAK, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | HEAP, capture_output=True, text=True, check=True
    )
    return int(done.stdout.splitlines()[-1]) / 1024


def test_five_times_as_long_a_video_takes_no_more_memory(tmp_path, tiny):
    """2 and 10 minutes in 1080p, read, drawn and written."""
    rate = Fraction(1, 3)
    ground = np.random.default_rng(0).integers(0, 255, (27, 48, 3), np.uint8)
    pictures = [ground.repeat(40, 0).repeat(40, 1), np.full((1080, 1920, 3), 90, np.uint8)]
    with VideoWriter(tmp_path / "short.mp4", 1920, 1080, rate) as writer:
        for index in range(40):
            writer.write(pictures[index // 7 % 2], 3.0 * index)
    with VideoJoiner(tmp_path / "long.mp4", [tmp_path / "short.mp4"] * 5, rate) as joiner:
        joiner.join(3.0 * np.arange(200))
    assert probe(tmp_path / "long.mp4").duration_s == 600
    short, long = (
        peak_mb(VIDEO, tmp_path / f"{name}.mp4", tmp_path, tiny) for name in ("short", "long")
    )
    assert long < short + 50


def test_a_frame_more_is_a_few_numbers_more(tmp_path, tiny):
    """Lifting keeps a person's frames as numbers, 0.5 KB each; on the way, of some copies."""
    short, long = (peak_mb(LIFT, count, tiny, tmp_path / "a.npz") for count in (5_000, 30_000))
    kb_a_frame = (long - short) * 1024 / 25_000
    assert kb_a_frame < 3
