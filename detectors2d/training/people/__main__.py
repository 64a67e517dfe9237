"""``python -m detectors2d.training.people``: train the small detector of people.

Its pictures are made from folders of ``python -m detectors2d.training.people.stock``. Needs torch,
numpy, OpenCV and safetensors alone.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields

from detectors2d.training.people.compose import Stock
from detectors2d.training.people.train import Recipe, train
from weights.errors import Pose3dError


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 for bad input, with one line."""
    parser = argparse.ArgumentParser(
        prog="python -m detectors2d.training.people", description=__doc__
    )
    parser.add_argument("output", help="folder of the run; call again to go on")
    parser.add_argument("--data", nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--validation", nargs="+", default=[], metavar="FOLDER")
    parser.add_argument("--validation-pictures", type=int, default=200, metavar="N")
    parser.add_argument("--measure-every", type=int, default=500, metavar="STEPS")
    parser.add_argument("--init", metavar="WEIGHTS")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=0, help="processes that compose pictures")
    parser.add_argument("--name", default="", help="what the weights file calls the data")
    recipe = ", ".join(f"{field.name}={field.default}" for field in fields(Recipe))
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=VALUE", help=f"of the recipe: {recipe}"
    )
    given = parser.parse_args(arguments)
    try:
        print(
            train(
                Recipe(**dict(map(_value, given.set))),
                Stock(given.data),
                given.output,
                validation=Stock(given.validation) if given.validation else None,
                validation_pictures=given.validation_pictures,
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


def _value(text: str) -> tuple[str, int | float | str]:
    """NAME=VALUE as the recipe wants it."""
    name, _, value = text.partition("=")
    defaults = {field.name: field.default for field in fields(Recipe)}
    if name not in defaults:
        raise Pose3dError(f"unknown part of the recipe '{name}': known are {', '.join(defaults)}")
    try:
        return name, type(defaults[name])(value)
    except ValueError:
        raise Pose3dError(f"{name} must be like {defaults[name]}, not {value!r}") from None


if __name__ == "__main__":
    sys.exit(main())
