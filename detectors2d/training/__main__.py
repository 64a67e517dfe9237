"""``python -m detectors2d.training``: train an HRNet on COCO keypoint sets.

Needs torch, numpy, OpenCV and safetensors alone, so that it runs where little else is installed.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields

import torch

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
    parser.add_argument("--validation-people", type=int, default=1000, metavar="N")
    parser.add_argument("--measure-every", type=int, default=1000, metavar="STEPS")
    parser.add_argument("--init", metavar="WEIGHTS")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare crops")
    parser.add_argument("--name", default="", help="what the weights file calls the data")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=VALUE", help="of the recipe: " + _recipe()
    )
    given = parser.parse_args(arguments)
    try:
        recipe = Recipe(**dict(map(_value, given.set)))
        validation = None
        if given.validation:
            validation = read_people(given.validation).part(slice(given.validation_people))
        print(
            train(
                recipe,
                read_people(given.data),
                given.output,
                validation=validation,
                measure_every=given.measure_every,
                init=given.init,
                device=given.device,
                workers=given.workers,
                data_name=given.name,
                tell=lambda line: print(line, flush=True),
            )
        )
    except Pose3dError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _recipe() -> str:
    simple = [field for field in fields(Recipe) if field.name != "variation"]
    return ", ".join(f"{field.name}={_text(field.default)}" for field in simple)


def _text(value: object) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _value(text: str) -> tuple[str, object]:
    """NAME=VALUE as the recipe wants it; numbers that belong together have an x between them."""
    name, _, value = text.partition("=")
    defaults = {field.name: field.default for field in fields(Recipe) if field.name != "variation"}
    if name not in defaults:
        raise Pose3dError(f"unknown part of the recipe '{name}': known are {', '.join(defaults)}")
    default = defaults[name]
    try:
        if isinstance(default, tuple):
            numbers = tuple(int(part) for part in value.split("x"))
            if len(numbers) != len(default):
                raise ValueError
            return name, numbers
        return name, type(default)(value)
    except ValueError:
        raise Pose3dError(f"{name} must be like {_text(default)}, not {value!r}") from None


if __name__ == "__main__":
    torch.set_float32_matmul_precision("high")
    sys.exit(main())
