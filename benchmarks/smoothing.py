"""What smoothing does to error and jitter: which method is the default.

    python -m benchmarks.smoothing --data mocap/val.npz [--lifters mixste poseformer]

Motion capture is seen by virtual cameras with a detector's severe errors, lifted as videos are, and
smoothed. In millimetres over all joints, root-relative: MPJPE, MPJVE (error of the step from frame
to frame), and jitter, the error of the acceleration (mm per frame^2 at 30 frames/s).
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

import lifters3d
from lifters3d.data.bodies import WindowSampler
from lifters3d.data.detector_noise import corrupt
from lifters3d.data.mocap17 import load_mocap
from lifters3d.data.virtual_cameras import film
from lifters3d.skeleton import HIP
from pipeline.lifting import lift_sequences
from pipeline.smoothing import remove_outliers, smooth

SIZE = (1280, 720)
METHODS = (
    "none",
    *(f"butterworth:{cutoff}" for cutoff in (3, 4, 5, 6, 8, 10)),
    "savgol",
    "one-euro",
)


def errors(found: np.ndarray, true: np.ndarray) -> tuple[float, float, float]:
    """MPJPE, MPJVE and jitter in mm of (clips, F, 17, 3) metres."""
    parts = (np.diff(found - true, n, axis=1) for n in range(3))
    return tuple(1000 * float(np.linalg.norm(part, axis=-1).mean()) for part in parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="a mocap17 file")
    parser.add_argument("--lifters", nargs="+", default=lifters3d.names())
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--frames", type=int, default=120)
    given = parser.parse_args()
    generator = torch.Generator().manual_seed(5)
    poses = WindowSampler(load_mocap(given.data), given.frames).draw(given.clips, generator)
    joints, screen = film(poses, generator)
    pixels = (corrupt(screen, generator).numpy() * SIZE[0] + np.array(SIZE)) / 2
    true = (joints - joints[:, :, HIP : HIP + 1]).numpy()
    time_s = np.arange(given.frames) / 30
    cleaned = [remove_outliers(clip) for clip in pixels]
    for name in given.lifters:
        lifter = lifters3d.load(name)
        for label, clips in (("", pixels), (" 2D outliers removed", cleaned)):
            lifted = lift_sequences(
                lifter, [(clip, time_s) for clip in clips], SIZE, precision="auto"
            )
            raw = np.stack([one.joints for one in lifted])
            for method in METHODS:
                found = np.stack([smooth(clip, time_s, method) for clip in raw])
                mpjpe, mpjve, jitter = errors(found, true)
                print(
                    f"{name:15s} {method + label:36s} {mpjpe:7.2f} {mpjve:6.2f} {jitter:6.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
