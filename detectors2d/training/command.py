"""What the commands of all trainings here have in common."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from weights.errors import Pose3dError


def add_run_options(
    parser: argparse.ArgumentParser, defaults: Mapping[str, object], workers_do: str
) -> None:
    """Options of a run; ``defaults`` of its recipe's parts, which --set changes."""
    parser.add_argument("--init", metavar="WEIGHTS")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=whole, default=0, help=f"processes that {workers_do}")
    parser.add_argument("--name", default="", help="what the weights file calls the data")
    recipe = ", ".join(f"{name}={_text(value)}" for name, value in defaults.items())
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=VALUE", help=f"of the recipe: {recipe}"
    )


def whole(text: str) -> int:
    """A whole number, 0 or more, as argparse wants it."""
    if (number := int(text)) < 0:
        raise argparse.ArgumentTypeError(f"must be 0 or more, not {number}")
    return number


def positive(text: str) -> int:
    """A whole number above 0, as argparse wants it."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {number}")
    return number


def run_options(given: argparse.Namespace) -> dict[str, object]:
    """What ``train`` is told of them, but for the recipe."""
    return {
        "measure_every": given.measure_every,
        "init": given.init,
        "device": given.device,
        "workers": given.workers,
        "data_name": given.name,
        "tell": lambda line: print(line, flush=True),
    }


def recipe_parts(texts: list[str], defaults: Mapping[str, object]) -> dict[str, object]:
    """NAME=VALUE as a recipe wants them; numbers that belong together have an x between them.

    Raises Pose3dError for an unknown name, or a value unlike the default.
    """
    return dict(_part(text, defaults) for text in texts)


def _part(text: str, defaults: Mapping[str, object]) -> tuple[str, object]:
    name, _, value = text.partition("=")
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


def _text(value: object) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
