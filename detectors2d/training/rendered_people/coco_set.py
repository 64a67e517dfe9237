"""Writes pictures of rendered people as a data set in COCO's format, in several processes.

FOLDER/images/SHARD/NUMBER.jpg, 1000 in a shard, and FOLDER/annotations.json: persons with 17
keypoints, flags v (2 visible, 1 hidden, 0 outside: then x = y = 0), bbox, area (visible pixels).
bbox is the whole body inside the picture in crops, the visible part, as COCO's, in scenes. More
than COCO has: h36m, 17 x (x, y, v) of Human3.6M's joints, true x and y outside too, and bbox_full,
which reaches beyond the picture. Pixel coordinates run from 0 to the width, as COCO's.

Each process adds what it has finished to a file of its own in FOLDER/parts; ``finish`` makes
annotations.json of them, also when the work was broken off.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from detectors2d.training.rendered_people.anatomy import COCO_LIMBS, COCO_NAMES, H36M_NAMES
from detectors2d.training.rendered_people.assets import Assets
from detectors2d.training.rendered_people.backdrops import Backdrops
from detectors2d.training.rendered_people.labels import Person, Picture
from detectors2d.training.rendered_people.studio import MOST_PEOPLE, crops, scenes
from weights.errors import Pose3dError
from weights.files import write_file

ANNOTATIONS, PARTS = "annotations.json", "parts"
_SHARD = 1000
_SMALLEST = 32  # px
_QUALITY = 92  # of JPEG
_TOLD_EVERY = 500  # pictures
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Order:
    """What is to be rendered; see ``studio.crops`` and ``studio.scenes``.

    Raises Pose3dError if that is impossible.
    """

    kind: Literal["crops", "scenes"]
    assets: Path
    size: tuple[int, int]
    seed: int
    people: tuple[int, int]
    supersample: int
    backdrops: Path | None
    procedural: float

    def __post_init__(self) -> None:
        if min(self.size) < _SMALLEST:
            raise Pose3dError(f"--size must be {_SMALLEST}x{_SMALLEST} or more, not {self.size}")
        if not 0 <= self.people[0] <= self.people[1] <= MOST_PEOPLE:
            raise Pose3dError(
                f"--people must be FEW-MANY from 0 to {MOST_PEOPLE}, not {self.people}"
            )
        Backdrops(self.backdrops, self.procedural, self.size)


def write_set(order: Order, count: int, folder: Path, workers: int, tell: Tell = print) -> Path:
    """Render ``count`` pictures into a new folder; returns the path of the annotations.

    The same order, count and number of workers give the same pictures. When this is broken off by
    an exception (Ctrl-C raises one too), what is finished is in the annotations.
    """
    if (folder / ANNOTATIONS).exists():
        raise Pose3dError(f"{folder}: has pictures already; give another --out")
    if (folder / PARTS).exists():
        raise Pose3dError(f"{folder}: was broken off; 'finish' keeps it, or give another --out")
    try:
        (folder / PARTS).mkdir(parents=True)
        for shard in range((count - 1) // _SHARD + 1):
            (folder / _name(shard * _SHARD)).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Pose3dError(f"{folder}: cannot be made ({error.strerror})") from None

    spawn = multiprocessing.get_context("spawn")
    stop = spawn.Event()
    bounds = np.linspace(0, count, workers + 1).astype(int)
    started = time.monotonic()
    pool = ProcessPoolExecutor(workers, spawn, initializer=_prepare, initargs=(stop,))
    try:
        jobs = [
            pool.submit(_work, order, folder, worker, int(first), int(end))
            for worker, (first, end) in enumerate(itertools.pairwise(bounds))
        ]
        for job in as_completed(jobs):
            job.result()
    except BrokenProcessPool:
        raise Pose3dError(f"{folder}: a process was killed (out of memory?)") from None
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
        pictures, people = finish(folder)
        seconds = time.monotonic() - started
        tell(f"{pictures} pictures, {people} people in {seconds:.1f} s, {pictures / seconds:.1f}/s")
    return folder / ANNOTATIONS


def finish(folder: Path) -> tuple[int, int]:
    """Make the annotations of all that is finished, if any is; how many pictures and people."""
    if not (folder / PARTS).is_dir():
        raise Pose3dError(f"{folder}: nothing there to finish")
    parts = sorted((folder / PARTS).glob("*.jsonl"))
    rows = []
    for part in parts:
        lines = part.read_text(encoding="utf-8").splitlines(keepends=True)
        # The last line may be cut off where a process was killed.
        rows += [json.loads(line) for line in lines if line.endswith("\n")]
    rows.sort(key=lambda row: row["image"]["id"])
    people = [dict(one, image_id=row["image"]["id"]) for row in rows for one in row["people"]]
    category = {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": COCO_NAMES,
        "skeleton": [[start + 1, end + 1] for start, end in COCO_LIMBS],
        "h36m_names": H36M_NAMES,
    }
    content = {
        "info": {"description": "rendered people"},
        "images": [row["image"] for row in rows],
        "annotations": [dict(one, id=number) for number, one in enumerate(people, 1)],
        "categories": [category],
    }
    if rows:
        write_file(folder / ANNOTATIONS, json.dumps(content).encode())
    for part in parts:
        part.unlink()
    (folder / PARTS).rmdir()
    return len(rows), len(people)


def annotation(person: Person, box: np.ndarray) -> dict[str, object]:
    """COCO's annotation of a person with ``box`` (4,) xyxy px; ids are given later."""
    keypoints = np.where(person.coco[:, 2:] > 0, person.coco, 0)
    return {
        "category_id": 1,
        "iscrowd": 0,
        "keypoints": _rounded(keypoints),
        "num_keypoints": int((keypoints[:, 2] > 0).sum()),
        "area": person.area,
        "bbox": _rounded(np.concatenate([box[:2], box[2:] - box[:2]])),
        "bbox_full": _rounded(person.full_box),
        "h36m": _rounded(person.h36m),
    }


_stop: Event | None = None


def _prepare(stop: Event) -> None:
    """Of each process: one core, and Ctrl-C is the parent's to heed."""
    global _stop
    import signal

    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)


def _work(order: Order, folder: Path, worker: int, first: int, end: int) -> None:
    """Render the pictures from number ``first`` to before ``end``, or until told to stop."""
    started = time.monotonic()
    pictures = itertools.islice(_pictures(order, worker), end - first)
    with open(folder / PARTS / f"{worker:03d}.jsonl", "w", encoding="utf-8") as part:
        for number, picture in enumerate(pictures, first):
            name, rgb = _name(number), picture.image
            h, w = rgb.shape[:2]
            path = str(folder / name)
            if not cv2.imwrite(path, rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]):
                raise Pose3dError(f"{path}: cannot be written")
            people = [
                annotation(person, person.box if order.kind == "crops" else person.visible_box)
                for person in picture.people
            ]
            image = {"id": number, "file_name": name, "width": w, "height": h}
            part.write(json.dumps({"image": image, "people": people}) + "\n")
            part.flush()
            if _stop is not None and _stop.is_set():
                return
            done = number - first + 1
            if done % _TOLD_EVERY == 0:
                rate = done / (time.monotonic() - started)
                print(f"process {worker}: {done} of {end - first}, {rate:.1f}/s", flush=True)


def _pictures(order: Order, worker: int) -> Iterator[Picture]:
    assets, seed = Assets(order.assets), [order.seed, worker]
    options = {"backdrops": order.backdrops, "procedural": order.procedural}
    if order.kind == "crops":
        return crops(assets, seed, order.size, order.supersample, **options)
    return scenes(assets, seed, order.size, order.people, order.supersample, **options)


def _name(number: int) -> str:
    return f"images/{number // _SHARD:03d}/{number:06d}.jpg"


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 2) for value in values.ravel()]
