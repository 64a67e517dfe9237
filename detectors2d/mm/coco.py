"""Pictures with people whose joints are known, in COCO's format: read and checked before use."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from detectors2d.hrnet import JOINTS
from weights.errors import Pose3dError

FIELDS = ("id", "image_id", "category_id", "bbox", "area", "iscrowd", "num_keypoints", "keypoints")


@dataclass(frozen=True)
class Boxes:
    """People in pictures: image_ids (n,), xyxy (n, 4) float32 px, scores (n,) float32."""

    image_ids: np.ndarray
    xyxy: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class Picture:
    """A file, and its width and height in px."""

    path: Path
    size: tuple[int, int]


@dataclass(frozen=True)
class CocoSet:
    """An annotation file whose form was checked, and its pictures.

    people : those with a joint that is annotated and a box inside the picture, without crowds; what
        mmpose and the HRNet authors' code train on and evaluate
    category : the id that the file has for people
    """

    file: Path
    folder: Path
    pictures: dict[int, Picture]
    people: Boxes
    category: int


def read_coco(file: str | Path, folder: str | Path) -> CocoSet:
    """Read an annotation file and look at the pictures of its people.

    Parameters
    ----------
    file : JSON as COCO's person_keypoints_*.json: "images", and "annotations" with 17 joints
    folder : where the pictures are; the file names them from there

    Raises
    ------
    Pose3dError
        if the file is not of this form or has no people, or pictures are missing or are none.
    """
    file, folder = Path(file), Path(folder)
    content = _read_json(file)
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key), list) for key in ("images", "annotations", "categories")
    ):
        raise Pose3dError(
            f"{file}: not annotations of COCO's form: lists of images, annotations and categories"
        )
    pictures = _pictures(content["images"], file, folder)
    annotations = content["annotations"]
    for number, row in enumerate(annotations):
        _check_annotation(row, f"{file}: annotation {number}", pictures)
    if len({row["id"] for row in annotations}) != len(annotations):
        raise Pose3dError(f"{file}: two annotations have the same id")
    categories = {row["category_id"] for row in annotations}
    if len(categories) > 1:
        raise Pose3dError(
            f"{file}: annotations of {len(categories)} categories; keep those of people alone"
        )
    people = _people(annotations, pictures)
    if not len(people.xyxy):
        raise Pose3dError(f"{file}: holds no person with annotated joints ({len(pictures)} images)")
    _check_pictures([pictures[i].path for i in dict.fromkeys(people.image_ids)], folder)
    return CocoSet(file, folder, pictures, people, categories.pop())


def read_boxes(file: str | Path, data: CocoSet) -> Boxes:
    """People that a detector found, from a file of COCO's form for results.

    A list with a row {"image_id", "category_id", "bbox": [left, top, width, height], "score"} for
    every box. Things of other categories and other pictures' boxes are left out. Raises Pose3dError
    if the file is not of this form or nothing is left.
    """
    file = Path(file)
    content = _read_json(file)
    if not isinstance(content, list):
        raise Pose3dError(f"{file}: not boxes of COCO's form: a list of objects")
    for number, row in enumerate(content):
        where = f"{file}: box {number}"
        _require(row, ("image_id", "category_id", "bbox", "score"), where)
        if not all(type(row[key]) is int for key in ("image_id", "category_id")):
            raise Pose3dError(f"{where}: image_id and category_id must be whole numbers")
        _numbers(row["bbox"], 4, f"{where}: bbox")
        _numbers([row["score"]], 1, f"{where}: score")
    kept = [
        row
        for row in content
        if row["category_id"] == data.category and row["image_id"] in data.pictures
    ]
    if not kept:
        raise Pose3dError(f"{file}: no box of a person in the pictures of {data.file}")
    found = {row["image_id"] for row in kept}
    _check_pictures([data.pictures[i].path for i in sorted(found)], data.folder)
    boxes = np.array([row["bbox"] for row in kept], np.float32)
    boxes[:, 2:] += boxes[:, :2]
    scores = np.array([row["score"] for row in kept], np.float32)
    return Boxes(np.array([row["image_id"] for row in kept]), boxes, scores)


def read_picture(picture: Picture) -> np.ndarray:
    """A picture as (H, W, 3) uint8 RGB, turned upright as its file says."""
    image = cv2.imread(str(picture.path), cv2.IMREAD_COLOR)
    if image is None:
        raise Pose3dError(f"{picture.path}: not a picture that can be read")
    height, width = image.shape[:2]
    if (width, height) != picture.size:
        told = "x".join(map(str, picture.size))
        raise Pose3dError(f"{picture.path}: {width}x{height} px, but its annotations say {told}")
    return image[..., ::-1]


def _read_json(file: Path) -> object:
    try:
        return json.loads(file.read_bytes())
    except OSError as error:
        raise Pose3dError(f"{file}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise Pose3dError(f"{file}: not JSON ({error})") from None


def _require(row: object, keys: Sequence[str], where: str) -> None:
    missing = [key for key in keys if not isinstance(row, Mapping) or key not in row]
    if missing:
        raise Pose3dError(f"{where} lacks {', '.join(missing)}")


def _numbers(values: object, count: int, where: str) -> None:
    if (
        not isinstance(values, list)
        or len(values) != count
        or not all(type(value) in (int, float) for value in values)
        or not np.isfinite(np.array(values, np.float64)).all()
    ):
        raise Pose3dError(f"{where} must be {count} finite numbers")


def _pictures(rows: Sequence[object], file: Path, folder: Path) -> dict[int, Picture]:
    pictures = {}
    for number, row in enumerate(rows):
        where = f"{file}: image {number}"
        _require(row, ("id", "file_name", "width", "height"), where)
        size = row["width"], row["height"]
        named = isinstance(row["file_name"], str) and type(row["id"]) is int
        if not named or not all(type(n) is int and n > 0 for n in size):
            raise Pose3dError(f"{where}: id, width and height are whole numbers, file_name a text")
        if row["id"] in pictures:
            raise Pose3dError(f"{where} has the id of another, {row['id']}")
        pictures[row["id"]] = Picture(folder / row["file_name"], size)
    return pictures


def _check_annotation(row: object, where: str, pictures: Mapping[int, Picture]) -> None:
    _require(row, FIELDS, where)
    if not all(type(row[key]) is int for key in ("id", "image_id", "category_id")):
        raise Pose3dError(f"{where}: id, image_id and category_id must be whole numbers")
    if row["image_id"] not in pictures:
        raise Pose3dError(f"{where} is of image {row['image_id']}, which the file does not hold")
    _numbers(row["bbox"], 4, f"{where}: bbox")
    _numbers([row[key] for key in ("area", "iscrowd", "num_keypoints")], 3, f"{where}: counts")
    _numbers(row["keypoints"], 3 * JOINTS, f"{where}: keypoints (x, y and visibility of 17 joints)")


def _people(rows: Sequence[Mapping], pictures: Mapping[int, Picture]) -> Boxes:
    if not rows:
        return Boxes(np.empty(0, int), np.empty((0, 4), np.float32), np.empty(0, np.float32))
    ids = np.array([row["image_id"] for row in rows])
    boxes = np.array([row["bbox"] for row in rows], np.float64)
    boxes[:, 2:] += boxes[:, :2]
    sizes = np.array([pictures[row["image_id"]].size for row in rows])
    boxes = boxes.clip(0, np.tile(sizes - 1, 2))
    annotated = np.array(
        [
            not row["iscrowd"] and row["num_keypoints"] > 0 and max(row["keypoints"]) > 0
            for row in rows
        ]
    )
    kept = annotated & (boxes[:, 2:] > boxes[:, :2]).all(1)
    return Boxes(ids[kept], boxes[kept].astype(np.float32), np.ones(kept.sum(), np.float32))


def _check_pictures(paths: Sequence[Path], folder: Path) -> None:
    if not folder.is_dir():
        raise Pose3dError(f"{folder}: no such folder of pictures")
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise Pose3dError(
            f"{folder}: lacks {len(missing)} of {len(paths)} pictures, the first is "
            f"{missing[0]}; --images is the folder from which the annotations "
            "name them"
        )
    for path in paths:
        if not cv2.haveImageReader(str(path)):
            raise Pose3dError(f"{path}: not a picture that can be read")
