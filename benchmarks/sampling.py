"""Does it help to draw repetitive sources less? A small lifter, trained both ways.

    python -m benchmarks.sampling --train mocap/train.npz --test mocap/test.npz [--seeds 2]

Half of the training frames are UI-PRMD's few exercises. "frames" draws every frame alike,
"balanced" draws UI-PRMD at 0.15 and native skeletons at 2 (``lifters3d/data/bodies.py``). All else
is the same: a LiftFormer of width 128 and depth 3, T = 27, seen 3.5 million frames.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import lifters3d
from lifters3d.data.mocap17 import load_mocap
from lifters3d.training.evaluate import evaluate
from lifters3d.training.recipes import changed, recipe_of
from lifters3d.training.train import train

WINDOWS = 768
NETWORK = {"width": 128, "depth": 3, "hidden": 512, "dropout": 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--output", type=Path, help="folder of the runs, to go on with")
    arguments = parser.parse_args()
    learnt_from, test = load_mocap(arguments.train), load_mocap(arguments.test)
    native = test.select([row["fidelity"] == "native" for row in test.table])
    folder = arguments.output or Path(tempfile.mkdtemp())
    print("sampling   seed  rows     MPJPE  P-MPJPE (exact 2D)    MPJPE  P-MPJPE (severe noise)")
    for seed in range(1, arguments.seeds + 1):
        for sampling in ("frames", "balanced"):
            recipe = changed(
                recipe_of("liftformer", "pose3d", 27),
                {"network": NETWORK, "sampling": sampling, "seed": seed, "batch": 64}
                | {"epochs": 4, "steps_per_epoch": 500},
            )
            path = train(recipe, learnt_from, folder / f"{sampling}{seed}", tell=lambda line: None)
            lifter = lifters3d.load(path)
            for rows, mocap in (("native", native), ("all", test)):
                errors = evaluate(lifter, mocap, WINDOWS)
                print(
                    f"{sampling:10s} {seed:4d}  {rows:6s} {errors['clean_mpjpe']:7.1f} "
                    f"{errors['clean_p_mpjpe']:8.1f} {errors['noisy_mpjpe']:18.1f} "
                    f"{errors['noisy_p_mpjpe']:8.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
