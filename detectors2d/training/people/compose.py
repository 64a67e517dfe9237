"""Training pictures of a detector of people, put together from a stock (``stock.py``).

Cut-out people and things of all sizes are laid over places, in front of each other and beyond the
borders (Dwibedi, Misra, Hebert: "Cut, Paste and Learn", ICCV 2017, who found that varied seams keep
a network from learning the pasting itself), then the camera's faults come on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from detectors2d.training.camera_faults import with_faults
from weights.errors import Pose3dError

LEAST_HEIGHT = 12  # px: smaller people are neither to be found nor to be missed
LEAST_SEEN = 0.25  # the same of people of whom less is not hidden,
LEAST_INSIDE = 0.12  # or less is in the picture


@dataclass(frozen=True)
class Sample:
    """A picture (h, w, 3) uint8 RGB and boxes (n, 4) xyxy px around what is seen of its people.

    ``doubtful`` (m, 4) are those of people who may be found or not: too small, too much hidden.
    """

    image: np.ndarray
    boxes: np.ndarray
    doubtful: np.ndarray


class Stock:
    """What some folders of ``stock.py`` hold, read when first asked for and then kept.

    Raises Pose3dError for a folder that holds no people or places.
    """

    def __init__(self, folders: Sequence[str | Path]) -> None:
        self.people: list[Path] = []
        self.places: list[Path] = []
        for folder in map(Path, folders):
            people = sorted((folder / "people").glob("*.webp"))
            places = sorted((folder / "places").glob("*.jpg"))
            if not people or not places:
                raise Pose3dError(f"{folder}: holds no people/*.webp and places/*.jpg")
            self.people += people
            self.places += places
        self._kept: dict[Path, np.ndarray] = {}

    def person(self, number: int) -> np.ndarray:
        """(h, w, 4) uint8 RGBA; do not change it."""
        return self._read(self.people[number], [2, 1, 0, 3])

    def place(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """A picture (h, w, 3) uint8 RGB and who is seen where, (h, w) uint8; do not change them."""
        path = self.places[number]
        image, owners = self._read(path, [2, 1, 0]), path.with_suffix(".png")
        if owners in self._kept or owners.exists():
            return image, self._read(owners)
        return image, np.zeros(image.shape[:2], np.uint8)

    def _read(self, path: Path, channels: Sequence[int] | None = None) -> np.ndarray:
        if path not in self._kept:
            image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if image is None:
                raise Pose3dError(f"{path}: no picture that can be read")
            self._kept[path] = image if channels is None else image[..., channels]
        return self._kept[path]


def still(stock: Stock, number: int, size: tuple[int, int]) -> Sample:
    """A place as it is, at ``size`` = (w, h) px."""
    image, owners = stock.place(number)
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    owners = cv2.resize(owners, size, interpolation=cv2.INTER_NEAREST).astype(np.int32)
    areas = {int(n): int((owners == n).sum()) for n in np.unique(owners) if n}
    return _sample(image, owners, areas, areas)


def compose(stock: Stock, size: tuple[int, int], rng: np.random.Generator) -> Sample:
    """A random picture of ``size`` = (w, h) px with 0 to 8 people, or a few more of a place."""
    canvas = _Canvas(stock, size, rng)
    people = int(rng.choice(9, p=[0.1, 0.36, 0.2, 0.12, 0.08, 0.05, 0.04, 0.03, 0.02]))
    if canvas.whole and rng.random() < 0.6:
        people = 0
    if rng.random() < 0.6:
        for _ in range(int(rng.integers(1, 7))):
            canvas.add_thing(0.6)
    heights = np.sort(_heights(people, size, rng))
    for height in heights:
        canvas.add_person(height)
        if rng.random() < 0.15:
            canvas.add_thing(0.35)
    if rng.random() < 0.2:
        canvas.add_thing(0.4)
    image = canvas.image
    if rng.random() < 0.06:  # bars beside pictures of another shape
        side = int(rng.integers(1, max(2, size[0] // 6)))
        image[:, :side] = image[:, -side:] = 0
        canvas.owners[:, :side] = canvas.owners[:, -side:] = 0
    if rng.random() < 0.15:  # from a smaller picture
        factor = rng.uniform(0.35, 0.8)
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return _sample(with_faults(image, rng), canvas.owners, canvas.inside, canvas.whole)


def mirrored(sample: Sample) -> Sample:
    """Left is right."""
    width = sample.image.shape[1]
    boxes, doubtful = (
        np.stack([width - b[:, 2], b[:, 1], width - b[:, 0], b[:, 3]], 1)
        for b in (sample.boxes, sample.doubtful)
    )
    return Sample(np.ascontiguousarray(sample.image[:, ::-1]), boxes, doubtful)


def recoloured(image: np.ndarray, rng: np.random.Generator, most: float = 1.0) -> np.ndarray:
    """Another brightness, contrast and tint (uint8), by a table a channel; ``most``: how much."""
    levels = np.arange(256, dtype=np.float32)[:, None] / 255
    gains = np.exp(most * (rng.normal(0, 0.2) + rng.normal(0, 0.1, 3)))
    table = 255 * gains * levels ** np.exp(most * rng.normal(0, 0.25))
    table = np.ascontiguousarray(table.clip(0, 255).astype(np.uint8)[None])
    return cv2.LUT(np.ascontiguousarray(image), table)


def _heights(count: int, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """px, of people in one picture: alike, as in a group, or not."""
    largest = size[1] * (rng.uniform(1, 2.2) if rng.random() < 0.2 else 1.0)
    smallest = size[1] * (0.1 if rng.random() < 0.5 else 0.3)
    low, high = np.log(smallest), np.log(largest)
    common, mixed = rng.uniform(low, high), rng.uniform(low, high, count)
    alike = np.exp(np.clip(common + rng.normal(0, 0.2, count), low, high))
    return alike if rng.random() < 0.4 else np.exp(mixed)


def _sample(
    image: np.ndarray, owners: np.ndarray, inside: dict[int, int], whole: dict[int, int]
) -> Sample:
    sure, doubtful = [], []
    for number in whole:
        mask = (owners == number).astype(np.uint8)
        seen = int(mask.sum())
        if not seen:
            continue
        x, y, w, h = cv2.boundingRect(mask)
        fits = (
            h >= LEAST_HEIGHT
            and seen >= LEAST_SEEN * inside[number]
            and inside[number] >= LEAST_INSIDE * whole[number]
        )
        (sure if fits else doubtful).append([x, y, x + w, y + h])
    return Sample(image, *(np.array(b, np.float32).reshape(-1, 4) for b in (sure, doubtful)))


class _Canvas:
    """A picture that is being put together.

    owners (h, w): 0, or the number of the person who is seen there; of every number how many px are
    ``inside`` the picture and how many there are as a ``whole``, were nothing in front.
    """

    def __init__(self, stock: Stock, size: tuple[int, int], rng: np.random.Generator) -> None:
        self.stock, self.rng, self.size = stock, rng, size
        image, owners = stock.place(int(rng.integers(len(stock.places))))
        part = _part(owners.shape, size, rng)
        way = cv2.INTER_AREA if part[1].stop - part[1].start > size[0] else cv2.INTER_LINEAR
        image = cv2.resize(image[part], size, interpolation=way)
        kept = cv2.resize(owners[part], size, interpolation=cv2.INTER_NEAREST)
        if rng.random() < 0.5:
            image, kept = image[:, ::-1], kept[:, ::-1]
        self.image = recoloured(image, rng) if rng.random() < 0.5 else image.copy()
        self.owners = kept.astype(np.int32)
        counts = (np.bincount(o.ravel(), minlength=256) for o in (kept, owners[part], owners))
        self.inside, self.whole = {}, {}
        for number, (here, of_part, of_all) in enumerate(zip(*counts, strict=True)):
            if number and here and of_part:
                self.inside[number] = int(here)
                self.whole[number] = int(here * of_all / of_part)

    def add_person(self, height: float) -> None:
        """Somebody ``height`` px high, if he stands, in front of all that is there."""
        rng, (w, h) = self.rng, self.size
        cut = self.stock.person(int(rng.integers(len(self.stock.people))))
        cut = cut[:, ::-1] if rng.random() < 0.5 else cut
        if rng.random() < 0.1:
            cut = _turned(cut, rng.uniform(-100, 100) if rng.random() < 0.3 else rng.normal(0, 12))
        rows, columns = cut.shape[:2]
        # Who lies or squats is as long, not as high, as others.
        factor = height / max(rows, 0.7 * columns)
        wide, tall = max(2, round(factor * columns)), max(2, round(factor * rows))
        if tall > h:
            top = (
                rng.uniform(h - tall, 0.15 * h) if rng.random() < 0.5 else rng.uniform(0, 0.25) * h
            )
        else:
            top = rng.uniform(-0.15 * tall, h - 0.8 * tall)
            top = min(max(top, 0), h - tall) if rng.random() < 0.8 else top
        left = rng.uniform(-0.5 * wide, w - 0.5 * wide)
        left = min(max(left, 0), w - wide) if wide < w and rng.random() < 0.7 else left
        left, top = round(left), round(top)
        patch = cv2.resize(
            cut, (wide, tall), interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        )
        number = 100 + len(self.whole)
        self.whole[number] = int((patch[..., 3] > 127).sum())
        if rng.random() < 0.5:
            self._shade(left, top, wide, tall)
        rgb, alpha = _dressed(patch[..., :3], rng), patch[..., 3] / np.float32(255)
        # The edge of the renderer is harder than a lens's.
        if rng.random() < 0.7:
            alpha = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.3, 1.0))
        else:
            alpha = cv2.erode(alpha, np.ones((2, 2)))
        self.inside[number] = self._paste(rgb, alpha, left, top, number, rng.uniform(0, 0.5))

    def add_thing(self, largest: float) -> None:
        """Something that is nobody, up to a share of the picture's size."""
        rng, (w, h) = self.rng, self.size
        longer = np.exp(rng.uniform(np.log(0.04), np.log(largest))) * max(w, h)
        shape = np.exp(rng.normal(0, 0.7))
        wide, tall = (int(longer * min(1, s)) + 3 for s in (shape, 1 / shape))
        mask = np.zeros((tall, wide), np.uint8)
        kind = rng.random()
        if kind < 0.4:
            mask[:] = 255
        elif kind < 0.6:
            middle = (wide // 2, tall // 2)
            cv2.ellipse(mask, middle, middle, 0, 0, 360, 255, -1)
        elif kind < 0.8:
            corners = rng.uniform(0, 1, (int(rng.integers(3, 8)), 2)) * [wide, tall]
            cv2.fillPoly(mask, [corners.astype(np.int32)], 255)
        else:  # limbs of something else: branches, racks, poles
            for _ in range(int(rng.integers(1, 6))):
                ends = (rng.uniform(0, 1, (3, 2)) * [wide, tall]).astype(np.int32)
                thick = int(rng.integers(1, max(2, min(wide, tall) // 4) + 1))
                cv2.polylines(mask, [ends], False, 255, thick)
        alpha = mask / np.float32(255)
        if rng.random() < 0.5:
            alpha = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.3, 1.5))
        left, top = (
            round(rng.uniform(-0.4 * wide, w - 0.6 * wide)),
            round(rng.uniform(-0.3, 0.9) * h),
        )
        self._paste(self._stuff(wide, tall), alpha, left, top, 0, 0)

    def _stuff(self, wide: int, tall: int) -> np.ndarray:
        """(tall, wide, 3) uint8: a colour, a gradient, blots, a piece of a place or of cloth."""
        rng, kind = self.rng, self.rng.random()
        if kind < 0.2:
            return np.full((tall, wide, 3), rng.integers(0, 256, 3), np.uint8)
        if kind < 0.45:
            cells = (2, 2) if kind < 0.33 else tuple(rng.integers(2, 9, 2))
            coarse = rng.integers(0, 256, (*cells, 3)).astype(np.uint8)
            return cv2.resize(coarse, (wide, tall))
        if kind < 0.8:
            source = self.stock.place(int(rng.integers(len(self.stock.places))))[0]
            share = rng.uniform(0.05, 0.5)
        else:
            source = self.stock.person(int(rng.integers(len(self.stock.people))))[..., :3]
            share = rng.uniform(0.05, 0.2)
        h, w = (max(2, int(share * side)) for side in source.shape[:2])
        spread = 1 if kind < 0.8 else 0.5  # from the middle, where a cut-out is clothes
        y, x = (
            int((side - n) * (0.5 + spread * rng.uniform(-0.5, 0.5)))
            for side, n in zip(source.shape[:2], (h, w), strict=True)
        )
        return cv2.resize(recoloured(source[y : y + h, x : x + w], rng), (wide, tall))

    def _shade(self, left: int, top: int, wide: int, tall: int) -> None:
        """Where feet keep the light from the floor."""
        rng, (w, h) = self.rng, self.size
        middle = np.array([left + wide / 2 + rng.normal(0, 0.1) * wide, top + 0.98 * tall])
        reach = np.array([rng.uniform(0.3, 0.7) * wide, rng.uniform(0.02, 0.06) * tall])
        low = (middle - 2.5 * reach).astype(int).clip(0, [w, h])
        high = (middle + 2.5 * reach).astype(int).clip(0, [w, h]) + 1
        y, x = np.ogrid[low[1] : min(high[1], h), low[0] : min(high[0], w)]
        far = ((x - middle[0]) / reach[0]) ** 2 + ((y - middle[1]) / reach[1]) ** 2
        spot = self.image[low[1] : high[1], low[0] : high[0]]
        light = 1 - rng.uniform(0.1, 0.7) * np.exp(-far)
        spot[:] = (spot * light[..., None]).astype(np.uint8)

    def _paste(
        self, rgb: np.ndarray, alpha: np.ndarray, left: int, top: int, number: int, matched: float
    ) -> int:
        """Lay a patch over the picture; returns how many of its px are inside.

        ``matched``: how far its mean colour is moved to that of what is behind, 0 to 1.
        """
        (w, h), (tall, wide) = self.size, alpha.shape
        x, y = slice(max(left, 0), min(left + wide, w)), slice(max(top, 0), min(top + tall, h))
        if x.start >= x.stop or y.start >= y.stop:
            return 0
        part = (slice(y.start - top, y.stop - top), slice(x.start - left, x.stop - left))
        share, front, behind = alpha[part][..., None], rgb[part], self.image[y, x]
        if matched:
            offset = matched * (behind.mean((0, 1)) - front[alpha[part] > 0.5].mean(0))
            front = (front + np.nan_to_num(offset).astype(np.float32)).clip(0, 255)
        behind[:] = (behind + share * (front.astype(np.float32) - behind)).astype(np.uint8)
        mask = alpha[part] > 0.5
        self.owners[y, x][mask] = number
        return int(mask.sum())


def _part(
    shape: tuple[int, int], size: tuple[int, int], rng: np.random.Generator
) -> tuple[slice, slice]:
    """Rows and columns of a random part of a picture, of about the shape of ``size`` = (w, h)."""
    rows, columns = shape
    aspect = size[0] / size[1] * np.exp(rng.normal(0, 0.08))
    h = min(rows, columns / aspect) * (rng.uniform(0.4, 1) if rng.random() < 0.7 else 1)
    w, h = min(columns, round(h * aspect)), round(h)
    x, y = int(rng.integers(columns - w + 1)), int(rng.integers(rows - h + 1))
    return slice(y, y + h), slice(x, x + w)


def _dressed(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another light on a person and, at times, upper and lower clothes of other colours."""
    rgb = recoloured(rgb, rng, 0.7)
    if rng.random() < 0.35:
        waist = int(len(rgb) * rng.uniform(0.4, 0.55))
        neck = int(len(rgb) * 0.16)
        for part in (slice(neck, waist), slice(waist, int(len(rgb) * rng.uniform(0.7, 1)))):
            if rng.random() < 0.7:
                piece = rgb[part].mean(2, keepdims=True) if rng.random() < 0.7 else rgb[part]
                tint = np.exp(rng.normal(0, 0.5)) * np.exp(rng.normal(0, 0.4, 3))
                rgb[part] = (piece * tint).clip(0, 255).astype(np.uint8)
    return rgb


def _turned(cut: np.ndarray, angle: float) -> np.ndarray:
    """A cut-out turned by degrees, in a picture that holds all of it."""
    h, w = cut.shape[:2]
    turn = cv2.getRotationMatrix2D((w / 2, h / 2), angle, 1)
    cosine, sine = abs(turn[0, 0]), abs(turn[0, 1])
    wide, tall = int(h * sine + w * cosine) + 1, int(h * cosine + w * sine) + 1
    turn[:, 2] += [(wide - w) / 2, (tall - h) / 2]
    turned = cv2.warpAffine(cut, turn, (wide, tall), flags=cv2.INTER_LINEAR)
    x, y, w, h = cv2.boundingRect((turned[..., 3] > 127).astype(np.uint8))
    return turned[y : y + max(h, 2), x : x + max(w, 2)]
