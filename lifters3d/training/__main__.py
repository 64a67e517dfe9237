"""``pose3d train`` where only torch, numpy, scipy, safetensors and matplotlib are installed.

python -m lifters3d.training --data mocap/train.npz --lifter mixste --output runs/a epochs=20
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from lifters3d.training.command import recipe_for, train_on
from weights.errors import Pose3dError


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lifters3d.training", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--lifter", default="mixste")
    parser.add_argument("--recipe", default="auto")
    parser.add_argument("--frames", type=int)
    parser.add_argument("--keypoints", default="gt")
    parser.add_argument("--validation", type=Path)
    parser.add_argument("--init", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("values", nargs="*", metavar="NAME=VALUE", help="of the recipe")
    given = parser.parse_args()
    try:
        recipe = recipe_for(given.lifter, given.recipe, given.data, given.frames, given.values)
        path = train_on(
            given.data,
            recipe,
            given.output,
            keypoints=given.keypoints,
            validation=given.validation,
            init=given.init,
            device=given.device,
            tell=lambda line: print(line, flush=True),
        )
    except Pose3dError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("error: interrupted; the same command goes on", file=sys.stderr)
        sys.exit(130)
    if os.environ.get("RANK", "0") == "0":
        print(path)


if __name__ == "__main__":
    main()
