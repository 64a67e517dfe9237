"""Calibrates the uncertainty of each lifter's joints, and measures how well it ranks true errors.

    python -m benchmarks.uncertainty --fit mocap/val.npz --test mocap/test.npz [--write]

Motion capture is seen by virtual cameras with a detector's errors and lifted as videos are, with
the guessed focal length. "Rank" is Spearman's correlation of uncertainty and error over all joints
and frames, "within" its mean over the joints one by one; "AUSE" the area between the curves of the
mean error when the most uncertain, or the most wrong, joints are left out (0 is perfect), in shares
of the mean error, and beside it that of a random order.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
import torch
from scipy.stats import spearmanr

import lifters3d
from lifters3d.data.bodies import WindowSampler, augment_bodies
from lifters3d.data.detector_noise import corrupt, misplace
from lifters3d.data.mocap17 import load_mocap
from lifters3d.data.virtual_cameras import film
from lifters3d.skeleton import HIP
from pipeline.lifting import focal_length, lift_sequences
from pipeline.uncertainty import CALIBRATION, fit_weights, predict, signs_of_doubt
from pipeline.world import root_path

SIZE = (1280, 720)
LIMBS = [joint for joint in range(17) if joint != HIP]


def collect(
    lifter: torch.nn.Module, path: str, clips: int, frames: int, seed: int, bodies: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Signs (N, 17, 4) and errors (N, 17) metres of clips, half of them with severe noise."""
    generator = torch.Generator().manual_seed(seed)
    sampler = WindowSampler(load_mocap(path), frames)
    poses = sampler.draw(clips, generator)
    if bodies:
        poses = augment_bodies(poses, generator)
    joints, screen = film(poses, generator)
    screen[::2], screen[1::2] = corrupt(screen[::2], generator), misplace(screen[1::2], generator)
    pixels = (screen.numpy() * SIZE[0] + np.array(SIZE)) / 2
    true = (joints - joints[:, :, HIP : HIP + 1]).numpy()
    time_s = np.arange(frames) / 30
    lifted = lift_sequences(lifter, [(clip, time_s) for clip in pixels], SIZE, precision="auto")
    focal, signs, errors = focal_length(SIZE), [], []
    for clip, truth, found in zip(pixels, true, lifted, strict=True):
        scores = np.ones((frames, 17))
        root = root_path(found.joints, clip, scores, focal, SIZE, 1 / 30)
        signs.append(signs_of_doubt(found.joints, clip, root, found.doubt, focal, SIZE))
        errors.append(np.linalg.norm(found.joints - truth, axis=-1))
    return np.concatenate(signs), np.concatenate(errors)


def ranking(guess: np.ndarray, errors: np.ndarray) -> dict[str, float]:
    """ "rank", "within", "ause", "ause_random" of uncertainty and errors (N, 17)."""
    one, two = guess[:, LIMBS], errors[:, LIMBS]
    within = [spearmanr(one[:, j], two[:, j]).statistic for j in range(one.shape[1])]
    order, best = np.argsort(-one.ravel()), np.argsort(-two.ravel())
    flat = two.ravel()
    shares = (np.arange(100) * len(flat)) // 100

    def left(rows: np.ndarray) -> np.ndarray:
        sums = np.cumsum(flat[rows][::-1])[::-1]
        return (sums / np.arange(len(flat), 0, -1))[shares] / flat.mean()

    return {
        "rank": spearmanr(one.ravel(), flat).statistic,
        "within": float(np.mean(within)),
        "ause": float((left(order) - left(best)).mean()),
        "ause_random": float((1 - left(best)).mean()),
        "mean_uncertainty_mm": 1000 * float(one.mean()),
        "mean_error_mm": 1000 * float(two.mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fit", required=True, help="a mocap17 file to fit on")
    parser.add_argument(
        "--test", required=True, help="a mocap17 file of other people to measure on"
    )
    parser.add_argument("--lifters", nargs="+", default=lifters3d.names())
    parser.add_argument("--clips", type=int, default=120)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--write", action="store_true", help=f"write {CALIBRATION.name}")
    given = parser.parse_args()
    fits = json.loads(CALIBRATION.read_text()) if CALIBRATION.exists() else {}
    for name in given.lifters:
        lifter = lifters3d.load(name)
        weights, means, scale = fit_weights(
            *collect(lifter, given.fit, given.clips, given.frames, 1, bodies=True)
        )
        fits[name] = {
            "weights": np.round(weights, 4).tolist(),
            "means": np.round(means, 4).tolist(),
            "scale": round(scale, 4),
        }
        signs, errors = collect(lifter, given.test, given.clips // 2, given.frames, 2, bodies=False)
        measured = ranking(scale * predict(signs, weights, means), errors)
        alone = [
            spearmanr(signs[:, LIMBS, k].ravel(), errors[:, LIMBS].ravel(), nan_policy="omit")
            for k in range(signs.shape[-1])
        ]
        signs_alone = " ".join(f"{one.statistic:.2f}" for one in alone)
        told = ", ".join(f"{key} {value:.3g}" for key, value in measured.items())
        print(f"{name}: {told}; signs alone {signs_alone}", flush=True)
    fits["others"] = {
        key: np.mean([fits[name][key] for name in fits if name != "others"], axis=0)
        .round(4)
        .tolist()
        for key in ("weights", "means", "scale")
    }
    if given.write:
        CALIBRATION.write_text(json.dumps(fits) + "\n")


if __name__ == "__main__":
    main()
