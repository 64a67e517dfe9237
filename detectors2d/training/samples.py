"""Training samples of a 2D network: people of COCO keypoint sets, cropped as at use, and varied."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from detectors2d.heatmaps import COCO_MIRROR, box_to_crop
from detectors2d.training.camera_faults import spoil
from weights.errors import Pose3dError

UPPER = list(range(11))  # COCO joints of head and arms; the others are hips and legs
LOWER = list(range(11, 17))


@dataclass(frozen=True)
class People:
    """People of annotated pictures, one row each.

    paths : of N people's pictures; boxes (N, 4) px, left, top, right, bottom; keypoints (N, 17, 2)
    px, COCO order; visibility (N, 17): 0 not labelled, 1 hidden, 2 visible; areas (N,) px^2
    """

    paths: list[Path]
    boxes: np.ndarray
    keypoints: np.ndarray
    visibility: np.ndarray
    areas: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)

    def part(self, rows: Sequence[int] | slice) -> People:
        """Some of them."""
        rows = np.arange(len(self))[rows]
        arrays = (self.boxes, self.keypoints, self.visibility, self.areas)
        return People([self.paths[i] for i in rows], *(array[rows] for array in arrays))


def read_people(files: Sequence[str | Path]) -> People:
    """People of COCO keypoint files whose pictures lie beside them (file_name is relative).

    Raises Pose3dError for a file that is none, or has nobody with a labelled joint.
    """
    paths, rows = [], []
    for file in map(Path, files):
        try:
            content = json.loads(file.read_text())
            names = {image["id"]: file.parent / image["file_name"] for image in content["images"]}
            for one in content["annotations"]:
                joints = np.array(one.get("keypoints", ()), np.float64)
                if joints.shape != (51,) or not joints[2::3].any() or one.get("iscrowd"):
                    continue
                left, top, width, height = map(float, one["bbox"])
                area = float(one.get("area") or width * height)
                if not np.isfinite([left, top, width, height, area, *joints]).all():
                    raise ValueError(f"numbers of annotation {one.get('id')} are not finite")
                if min(width, height, area) <= 0:  # COCO has some
                    continue
                box = (left, top, left + width, top + height)
                rows.append((box, joints.reshape(17, 3), area))
                paths.append(names[one["image_id"]])
        except OSError as error:
            raise Pose3dError(f"{file}: cannot be read ({error.strerror})") from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise Pose3dError(f"{file}: not a COCO keypoint file ({reason})") from None
    if not rows:
        raise Pose3dError(f"{', '.join(map(str, files)) or 'no file'}: nobody with labelled joints")
    boxes, joints, areas = (np.array(part) for part in zip(*rows, strict=True))
    return People(paths, boxes, joints[..., :2], joints[..., 2].astype(int), areas)


@dataclass(frozen=True)
class Variation:
    """How samples are varied; zeros are the crop as at use.

    scale, shift, rotation: standard deviations, of the crop's size (clipped at 2), of its place in
    crop sizes, and in degrees; half_body: how often a person is cut to its upper or lower body;
    flip: how often mirrored; faults: how often the picture gets faults of cameras and obstacles.
    """

    scale: float = 0.18
    shift: float = 0.05
    rotation: float = 20.0
    half_body: float = 0.15
    flip: float = 0.5
    faults: float = 0.8


class Crops(torch.utils.data.Dataset):
    """Crops of people for a network with crops of ``size`` = (width, height) px.

    Sample ``(epoch, person)`` depends on these and ``seed`` alone. It is a crop (h, w, 3) uint8
    RGB and joints (17, 3) float32: x, y in px of the crop where cell c of the heat maps stands for
    pixel 4c, and the weight of its loss, 0 for what is not labelled or outside the crop.
    """

    def __init__(
        self, people: People, size: tuple[int, int], variation: Variation | None, seed: int = 0
    ) -> None:
        self.people, self.size, self.variation, self.seed = people, size, variation, seed

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, key: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        epoch, person = key
        rng = np.random.default_rng([self.seed, epoch, person])
        people, (width, height) = self.people, self.size
        image = read_picture(people.paths[person])
        joints, labelled = people.keypoints[person], people.visibility[person] > 0
        (center,), (scale,) = box_to_crop(people.boxes[person : person + 1], width / height)
        angle, mirrored, change = 0.0, False, self.variation
        if change is not None:
            if rng.random() < change.half_body:
                center, scale = _half_body(joints, labelled, center, scale, width / height, rng)
            scale = scale * np.exp(change.scale * np.clip(rng.normal(), -2, 2))
            center = center + scale * change.shift * rng.normal(size=2).clip(-2, 2)
            if rng.random() < 0.6:
                angle = change.rotation * np.clip(rng.normal(), -2, 2)
            mirrored = rng.random() < change.flip
        to_crop = _transform(center, scale, angle, self.size)
        crop = _warp(image, to_crop, self.size, rng if change is not None else None)
        joints = joints @ to_crop[:, :2].T + to_crop[:, 2]
        if mirrored:
            # Pixel x goes to w - 1 - x, as the picture's middles of pixels do.
            crop, joints = crop[:, ::-1], joints[list(COCO_MIRROR)]
            joints[:, 0] = width - 1 - joints[:, 0]
            labelled = labelled[list(COCO_MIRROR)]
        if change is not None and rng.random() < change.faults:
            crop = spoil(crop, rng)
        inside = ((joints > -4) & (joints < np.array([width, height]) + 4)).all(1)
        sample = np.concatenate([joints, (labelled & inside)[:, None]], axis=1)
        return np.ascontiguousarray(crop), sample.astype(np.float32)


def read_picture(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    picture = cv2.imread(str(path))
    if picture is None:
        raise Pose3dError(f"{path}: no picture that can be read")
    return picture[..., ::-1]


def _half_body(
    joints: np.ndarray,
    labelled: np.ndarray,
    center: np.ndarray,
    scale: np.ndarray,
    aspect: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """The crop around the upper or the lower body, as the HRNet authors' training cuts people."""
    part = UPPER if rng.random() < 0.6 else LOWER
    known = joints[part][labelled[part]]
    if len(known) < 4:
        return center, scale
    low, high = known.min(0), known.max(0)
    (center,), (scale,) = box_to_crop(np.concatenate([low, high])[None], aspect, padding=1.5)
    return center, scale


def _transform(
    center: np.ndarray, scale: np.ndarray, angle: float, size: tuple[int, int]
) -> np.ndarray:
    """(2, 3): px of the picture to px of a crop, turned about its middle by ``angle`` degrees."""
    turn = np.deg2rad(angle)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix *= size[1] / scale[1]
    return np.concatenate([matrix, (np.array(size) / 2 - matrix @ center)[:, None]], axis=1)


def _warp(
    image: np.ndarray,
    to_crop: np.ndarray,
    size: tuple[int, int],
    rng: np.random.Generator | None,
) -> np.ndarray:
    """The crop; beyond the picture it is black, as at use, or (``rng``) at times something else."""
    factor = np.sqrt(abs(np.linalg.det(to_crop[:, :2])))
    if factor < 0.6 and rng is not None:  # linear interpolation alone would leave out pixels
        image = cv2.GaussianBlur(image, (0, 0), 0.35 / factor)
    border, color = cv2.BORDER_CONSTANT, (0, 0, 0)
    if rng is not None and rng.random() < 0.6:
        border = cv2.BORDER_REPLICATE if rng.random() < 0.5 else border
        color = tuple(int(value) for value in rng.integers(0, 256, 3))
    return cv2.warpAffine(
        image, to_crop, size, flags=cv2.INTER_LINEAR, borderMode=border, borderValue=color
    )
