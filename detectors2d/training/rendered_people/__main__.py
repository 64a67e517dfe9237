"""Render people for training.

python -m detectors2d.training.rendered_people crops  --assets DIR --out DIR --n 5000 --workers 2
python -m detectors2d.training.rendered_people scenes --assets DIR --out DIR --n 1000 --people 0-6
python -m detectors2d.training.rendered_people finish --out DIR   annotations of a killed run
python -m detectors2d.training.rendered_people sheet  --out DIR   contact sheet, DIR/sheet.png
python -m detectors2d.training.rendered_people assets [--assets DIR]   what they are; check them
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from detectors2d.training.command import positive
from weights.errors import Pose3dError

_SIZES = {"crops": "192x256", "scenes": "640x480"}


def main(arguments: list[str] | None = None) -> None:
    given = _parser().parse_args(arguments)
    # Before numpy is imported, by the processes too: there is one process a core.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        _run(given)
    except Pose3dError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("error: interrupted; the pictures that were finished remain", file=sys.stderr)
        sys.exit(130)


def _run(given: argparse.Namespace) -> None:
    from detectors2d.training.rendered_people import assets

    if given.what == "assets":
        print(assets.__doc__)
        if given.assets or assets.VARIABLE in os.environ:
            print(assets.open_assets(given.assets).check())
        return
    if given.out is None:
        raise Pose3dError("--out is missing: the folder of the pictures")
    if given.what == "sheet":
        from detectors2d.training.rendered_people.sheet import write_sheet

        print(write_sheet(given.out, given.n))
        return

    from detectors2d.training.rendered_people.coco_set import Order, finish, write_set
    from detectors2d.training.rendered_people.studio import PROCEDURAL

    if given.what == "finish":
        pictures, people = finish(given.out)
        print(f"{given.out}: {pictures} pictures, {people} people")
        return
    order = Order(
        kind=given.what,
        assets=assets.open_assets(given.assets).folder,
        size=_two(given.size or _SIZES[given.what], "x", "--size"),
        seed=given.seed,
        people=_two(given.people, "-", "--people"),
        supersample=given.supersample,
        backdrops=given.backdrops,
        procedural=PROCEDURAL if given.procedural is None else given.procedural,
    )
    print(write_set(order, given.n, given.out, given.workers, lambda line: print(line, flush=True)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m detectors2d.training.rendered_people",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=["crops", "scenes", "finish", "sheet", "assets"])
    parser.add_argument("--assets", type=Path, help="folder; else POSE3D_PEOPLE_ASSETS names it")
    parser.add_argument("--out", type=Path, metavar="DIR", help="of pictures and annotations")
    parser.add_argument("--n", type=positive, default=64, help="how many pictures")
    parser.add_argument("--workers", type=positive, default=1, help="processes, one a core")
    parser.add_argument("--seed", type=int, default=0, help="another one: other pictures")
    parser.add_argument("--size", help="WIDTHxHEIGHT px; 192x256 for crops, 640x480 for scenes")
    parser.add_argument("--people", default="0-6", help="in scenes: least and most people")
    parser.add_argument("--supersample", type=positive, default=1, help="2: smoother edges, slower")
    parser.add_argument(
        "--backdrops", type=Path, metavar="DIR", help="photographs without people; 65 %% use one"
    )
    parser.add_argument(
        "--procedural",
        type=_share,
        help="share of the other pictures with sharp procedural surroundings, 0 to 1 (0.3)",
    )
    return parser


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1, not {number}")
    return number


def _two(text: str, between: str, option: str) -> tuple[int, int]:
    try:
        first, second = (int(part) for part in text.split(between))
    except ValueError:
        raise Pose3dError(f"{option} must be two numbers as in 1{between}2, not {text!r}") from None
    return first, second


if __name__ == "__main__":
    main()
