"""``python -m detectors2d.training.people``: train the small detector of people.

Its pictures are made from folders of ``python -m detectors2d.training.people.stock``. Needs torch,
numpy, OpenCV and safetensors alone.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields

from detectors2d.training.command import add_run_options, positive, recipe_parts, run_options
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
    parser.add_argument("--validation-pictures", type=positive, default=200, metavar="N")
    parser.add_argument("--measure-every", type=positive, default=500, metavar="STEPS")
    defaults = {field.name: field.default for field in fields(Recipe)}
    add_run_options(parser, defaults, "compose pictures")
    given = parser.parse_args(arguments)
    try:
        print(
            train(
                Recipe(**recipe_parts(given.set, defaults)),
                Stock(given.data),
                given.output,
                validation=Stock(given.validation) if given.validation else None,
                validation_pictures=given.validation_pictures,
                **run_options(given),
            )
        )
    except Pose3dError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
