"""``python -m detectors2d.training``: train an HRNet on COCO keypoint sets.

Needs torch, numpy, OpenCV and safetensors alone, so that it runs where little else is installed.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields

import torch

from detectors2d.training.command import add_run_options, positive, recipe_parts, run_options
from detectors2d.training.recipes import Recipe
from detectors2d.training.samples import read_people
from detectors2d.training.train import train
from weights.errors import Pose3dError


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 for bad input, with one line."""
    parser = argparse.ArgumentParser(prog="python -m detectors2d.training", description=__doc__)
    parser.add_argument("output", help="folder of the run; call again to go on")
    parser.add_argument("--data", nargs="+", required=True, metavar="FILE.json")
    parser.add_argument("--validation", nargs="+", default=[], metavar="FILE.json")
    parser.add_argument("--validation-people", type=positive, default=1000, metavar="N")
    parser.add_argument("--measure-every", type=positive, default=1000, metavar="STEPS")
    # Its variations are the same in all runs.
    defaults = {field.name: field.default for field in fields(Recipe) if field.name != "variation"}
    add_run_options(parser, defaults, "prepare crops")
    given = parser.parse_args(arguments)
    try:
        recipe = Recipe(**recipe_parts(given.set, defaults))
        validation = None
        if given.validation:
            validation = read_people(given.validation).part(slice(given.validation_people))
        print(
            train(
                recipe,
                read_people(given.data),
                given.output,
                validation=validation,
                **run_options(given),
            )
        )
    except Pose3dError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    torch.set_float32_matmul_precision("high")
    sys.exit(main())
