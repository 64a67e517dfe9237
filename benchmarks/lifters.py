"""Speed of lifting a whole clip against the plain loop of the papers' demos, in one run.

    python -m benchmarks.lifters [poseformer:81 mixste ...] [--threads 2] [--batch 2 4 8]

A case is NAME:T, the paper's network with random weights, or NAME, the shipped one. The plain loop
gives the network one window a forward pass, a window for every frame, and the mirrored keypoints in
a second pass, in float32; it is timed for two seconds. "ours" is what ``pose3d video`` runs. For
shipped weights the joints' distance from those of float32 is given as well: random weights magnify
rounding at random.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

import lifters3d
from lifters3d.normalisation import screen
from lifters3d.skeleton import flip
from pipeline.lifting import lift_sequences
from pipeline.windows import default_batch
from weights import store

SIZE = (960, 540)
CLIP = Path(__file__).parent.parent / "demos" / "walk.npz"
CASES = [
    *("poseformer:81", "poseformer-sta:81", "strided:27", "strided:243", "strided:351"),
    *("liftformer:243", "mixste:81", "mixste:243"),
]


def make_keypoints(frames: int) -> np.ndarray:
    """(frames, 17, 2) px: the bundled clip's, played back and forth."""
    clip = np.load(CLIP)["joints2d"][:, 0].astype(np.float64)
    cycle = np.concatenate([clip, clip[-2:0:-1]])
    return cycle[np.arange(frames) % len(cycle)]


@torch.inference_mode()
def plain_loop(lifter: nn.Module, keypoints: np.ndarray, seconds: float) -> float:
    """Frames per second of one window a forward pass, flip as a second one."""
    points = torch.as_tensor(keypoints, dtype=torch.float32, device=_device(lifter))
    half = lifter.frames // 2
    began, count = time.perf_counter(), 0
    while count < len(points) and (count < 3 or time.perf_counter() - began < seconds):
        index = torch.arange(count - half, count - half + lifter.frames).clamp(0, len(points) - 1)
        window = screen(points[index], SIZE)[None]
        both = lifter(window), flip(lifter(flip(window)))
        ((both[0] + both[1]) / 2).cpu()
        count += 1
    return count / (time.perf_counter() - began)


def ours(lifter: nn.Module, keypoints: np.ndarray, precision: str, batch: int | None) -> tuple:
    """Frames per second of ``lift_sequences``, and its output in mm."""
    time_s = np.arange(len(keypoints)) / 30
    began = time.perf_counter()
    (lifted,) = lift_sequences(
        lifter, [(keypoints, time_s)], SIZE, precision=precision, batch=batch
    )
    return len(keypoints) / (time.perf_counter() - began), 1000 * lifted.joints


def _device(lifter: nn.Module) -> torch.device:
    return next(lifter.parameters()).device


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="NAME[:T]")
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--frames", type=int, default=486, help="of the clip; default: %(default)s")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch", type=int, nargs="+", default=[None], help="windows a pass")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3, help="the fastest counts")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keypoints = make_keypoints(arguments.frames)
    print(f"{arguments.frames} frames, {arguments.threads} threads, {arguments.device}")
    print("lifter          T  precision  batch  plain f/s   ours f/s    ratio  mm mean/max")
    for case in arguments.cases or [*CASES, *store.shipped("lifter")]:
        name, _, frames = case.partition(":")
        torch.manual_seed(0)
        lifter = lifters3d.build(name, frames=int(frames)) if frames else lifters3d.load(name)
        lifter = lifter.to(arguments.device).eval()
        plain = max(plain_loop(lifter, keypoints, 2.0) for _ in range(arguments.repeats))
        _, exact = ours(lifter, keypoints, "fp32", None)
        for batch in arguments.batch:
            for precision in arguments.precision:
                runs = [ours(lifter, keypoints, precision, batch) for _ in range(arguments.repeats)]
                fastest = max(speed for speed, _ in runs)
                error = np.linalg.norm(runs[0][1] - exact, axis=-1)
                print(
                    f"{name:14s} {lifter.frames:3d} {precision:>6s} "
                    f"{batch or default_batch(lifter, _device(lifter)):9d} {plain:10.2f} "
                    f"{fastest:10.1f} {fastest / plain:8.1f}"
                    + ("" if frames else f"  {error.mean():.3f} / {error.max():.3f}"),
                    flush=True,
                )


if __name__ == "__main__":
    main()
