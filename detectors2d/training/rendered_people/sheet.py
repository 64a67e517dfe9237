"""A contact sheet: the first pictures of a set with their boxes and keypoints."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from detectors2d.training.rendered_people.assets import read_image
from detectors2d.training.rendered_people.coco_set import ANNOTATIONS
from weights.errors import Pose3dError
from weights.files import write_file

SHEET = "sheet.png"
_BOX, _MIDDLE, _LEFT, _RIGHT = (0, 220, 255), (60, 220, 0), (255, 60, 0), (0, 0, 255)  # BGR
_NARROW = 400  # px: pictures up to this width are shown twice as large, eight in a row


def write_sheet(folder: Path, count: int) -> Path:
    """Write FOLDER/sheet.png of the first ``count`` pictures; returns its path.

    Visible joints are filled, hidden ones hollow; right ones red, left ones blue.
    """
    path = folder / ANNOTATIONS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise Pose3dError(f"{path}: missing or damaged; 'crops' and 'scenes' write it") from None
    people = defaultdict(list)
    for person in content["annotations"]:
        people[person["image_id"]].append(person)
    tiles = []
    for image in content["images"][:count]:
        tile = read_image(folder / image["file_name"])
        zoom = 2 if image["width"] < _NARROW else 1
        tile = cv2.resize(tile, None, fx=zoom, fy=zoom)
        for person in people[image["id"]]:
            _draw(tile, person, zoom)
        tiles.append(tile)
    if not tiles:
        raise Pose3dError(f"{path}: has no pictures")
    height, width = (max(tile.shape[side] for tile in tiles) for side in (0, 1))
    tiles = [
        cv2.copyMakeBorder(
            tile, 0, height - tile.shape[0], 0, width - tile.shape[1], cv2.BORDER_CONSTANT
        )
        for tile in tiles
    ]
    columns = min(8 if content["images"][0]["width"] < _NARROW else 4, len(tiles))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    write_file(folder / SHEET, cv2.imencode(".png", np.vstack(rows))[1].tobytes())
    return folder / SHEET


def _draw(tile: np.ndarray, person: dict, zoom: int) -> None:
    """Box and joints of a person on a picture (H, W, 3) uint8 BGR, in place."""
    x, y, w, h = person["bbox"]
    corners = [(int(x * zoom), int(y * zoom)), (int((x + w) * zoom) - 1, int((y + h) * zoom) - 1)]
    cv2.rectangle(tile, *corners, _BOX, 1)
    for joint, (x, y, flag) in enumerate(np.reshape(person["keypoints"], (17, 3))):
        if flag:
            colour = _MIDDLE if joint == 0 else _LEFT if joint % 2 else _RIGHT
            at = (int(x * zoom), int(y * zoom))
            cv2.circle(tile, at, 1 + zoom, colour, -1 if flag == 2 else 1, cv2.LINE_AA)
