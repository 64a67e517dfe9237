"""Costs in round numbers, and videos, for the tests of the planning."""

import numpy as np

from benchmarks.scale.model import Costs, Videos

# ms a frame, and ms a frame and megapixel.
COSTS = Costs(
    frame={
        "decode h264": (0.0, 2e-3),
        "mediapipe": (20e-3, 0.0),
        "draw": (1e-3, 1e-3),
        "encode": (0.0, 10e-3),
    },
    person={"hrnet": 200e-3, "lift": 1e-4},
    video={"start": 2.0, "find": 0.02, "records": 0.01},
    hash_byte=1e-9,
    worker_s=4.0,
    bytes={"result": 500.0, "detections": 100.0, "record": 4000.0, "rendered": 0.02},
)


def videos(seconds, megapixels=1.0, rate=10.0, size=1e6):
    """Videos of some lengths in seconds, all else alike."""
    count = len(seconds)
    return Videos(
        np.array(seconds), np.full(count, megapixels), np.full(count, rate), np.full(count, size)
    )
