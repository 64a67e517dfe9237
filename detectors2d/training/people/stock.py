"""``python -m detectors2d.training.people.stock``: render what training pictures are made of.

FOLDER/people/NUMBER.webp are single people without surroundings, RGBA. FOLDER/places/NUMBER.jpg are
pictures without people or, with NUMBER.png beside them, of some: its pixels hold 0 or the number of
the person who is seen there. Called again, it goes on; several processes may fill a folder each.

Needs what ``detectors2d.training.rendered_people`` needs, and no torch.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from detectors2d.training.rendered_people import Assets, cut_outs, scenes
from detectors2d.training.rendered_people.assets import WITH_PEOPLE, open_assets
from weights.errors import Pose3dError

SIZE = (480, 360)  # px of the places
_PEOPLE = (1, 6)  # in a place that has some
# How often a place is a scene with people or one without; the rest are pieces of panoramas.
_PEOPLED, _EMPTY = 0.45, 0.3
_SHARP = 0.6  # share of the scenes in sharp procedural rooms

Place = tuple[np.ndarray, np.ndarray | None]


def write_stock(folder: Path, assets: Assets, people: int, places: int, seed: int) -> None:
    """Render until the folder has so many people and places."""
    for kind in ("people", "places"):
        try:
            (folder / kind).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Pose3dError(f"{folder}: cannot be made ({error.strerror})") from None
    there = len(list((folder / "people").iterdir()))
    for number, cut in _numbered(cut_outs(assets, [seed, 0, there]), there, people):
        _write(folder / f"people/{number:06d}.webp", cut[..., [2, 1, 0, 3]], quality=90)
    there = len(list((folder / "places").glob("*.jpg")))
    for number, (image, owners) in _numbered(_places(assets, [seed, 1, there]), there, places):
        if owners is not None:
            _write(folder / f"places/{number:06d}.png", owners)
        _write(folder / f"places/{number:06d}.jpg", image[..., ::-1], quality=90)


def _places(assets: Assets, seed: list[int]) -> Iterator[Place]:
    rng = np.random.default_rng(seed)
    peopled = scenes(assets, [*seed, 1], SIZE, _PEOPLE, procedural=_SHARP)
    empty = scenes(assets, [*seed, 2], SIZE, (0, 0), procedural=_SHARP)
    names = [name for name in assets.light if name not in WITH_PEOPLE]
    while True:
        kind = rng.random()
        if kind < _PEOPLED:
            picture = next(peopled)
            owners = np.zeros(SIZE[::-1], np.uint8)
            for number, person in enumerate(picture.people, 1):
                owners[person.mask] = number
            yield picture.image, owners
        elif kind < _PEOPLED + _EMPTY:
            yield next(empty).image, None
        else:
            yield _piece(assets.panorama(str(rng.choice(names))), rng), None


def _piece(panorama: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A piece of a panorama (H, W, 3) BGR as it lies: bent, but as sharp as it can be."""
    height, width = panorama.shape[:2]
    share = rng.uniform(0.45, 0.95)  # of its height
    h, w = int(share * height), int(share * height * SIZE[0] / SIZE[1])
    top, left = int(rng.integers(height - h + 1)), int(rng.integers(width))
    # Tone-coded panoramas are dark.
    piece = np.roll(panorama, -left, axis=1)[top : top + h, :w, ::-1] * rng.uniform(1.2, 4.0)
    return cv2.resize(piece.clip(0, 255).astype(np.uint8), SIZE, interpolation=cv2.INTER_AREA)


def _numbered(things: Iterator, first: int, end: int) -> Iterator[tuple[int, object]]:
    for number, thing in zip(range(first, end), things, strict=False):
        yield number, thing
        if number % 200 == 0:
            print(number, flush=True)


def _write(path: Path, image: np.ndarray, quality: int | None = None) -> None:
    kind = cv2.IMWRITE_WEBP_QUALITY if path.suffix == ".webp" else cv2.IMWRITE_JPEG_QUALITY
    if not cv2.imwrite(str(path), image, [] if quality is None else [kind, quality]):
        raise Pose3dError(f"{path}: cannot be written")


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 for bad input, with one line."""
    parser = argparse.ArgumentParser(
        prog="python -m detectors2d.training.people.stock",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--assets", type=Path, help="folder; else POSE3D_PEOPLE_ASSETS names it")
    parser.add_argument("--people", type=int, default=2000, metavar="N")
    parser.add_argument("--places", type=int, default=1000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, help="another one: other pictures")
    given = parser.parse_args(arguments)
    try:
        assets = open_assets(given.assets)
        write_stock(given.folder, assets, given.people, given.places, given.seed)
    except Pose3dError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    cv2.setNumThreads(1)
    sys.exit(main())
