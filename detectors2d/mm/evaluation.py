"""Accuracy of 2D joints on people in COCO's format: average precision by OKS, as of COCO's contest.

The score of a pose, the suppression of double ones and the precision itself are those of mmpose's
``CocoMetric``, which calls COCO's own program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from detectors2d.heatmaps import box_to_crop
from detectors2d.hrnet import JOINTS
from detectors2d.mm import compat
from detectors2d.mm.coco import Boxes, CocoSet, read_picture
from detectors2d.mm.quiet import quietly

# As the field writes them -> as ``CocoMetric`` does.
METRICS = {
    "AP": "AP",
    "AP50": "AP .5",
    "AP75": "AP .75",
    "APM": "AP (M)",
    "APL": "AP (L)",
    "AR": "AR",
    "AR50": "AR .5",
    "AR75": "AR .75",
    "ARM": "AR (M)",
    "ARL": "AR (L)",
}
CROPS_AT_ONCE = 32


class Pose(Protocol):
    """``topdown.TopDown``, ``mm.pose.MMPose`` or alike."""

    def estimate(
        self, images: list[np.ndarray], boxes: list[np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]: ...


def evaluate(
    pose: Pose,
    data: CocoSet,
    boxes: Boxes,
    advance: Callable[[int, int], None] = lambda done, people: None,
) -> dict[str, float | None]:
    """Accuracy of a network on the people in ``boxes``: those of ``data``, or a detector's.

    ``advance`` is told how many people of how many are done. The result has the keys of
    ``METRICS``, 0 to 1; None where the set has no people of that size. Raises Pose3dError if mmpose
    is not installed or a picture cannot be read.
    """
    compat.prepare()
    keypoints = np.empty((len(boxes.xyxy), JOINTS, 2), np.float32)
    scores = np.empty((len(boxes.xyxy), JOINTS), np.float32)
    done = 0
    for people in _together(boxes):
        images = [read_picture(data.pictures[boxes.image_ids[rows[0]]]) for rows in people]
        found = pose.estimate(images, [boxes.xyxy[rows] for rows in people])
        for rows, (points, point_scores) in zip(people, found, strict=True):
            keypoints[rows], scores[rows] = points, point_scores
            done += len(rows)
        advance(done, len(boxes.xyxy))
    return average_precision(data, boxes, keypoints, scores)


def _together(boxes: Boxes) -> Iterator[list[np.ndarray]]:
    """Rows of ``boxes``, by picture; of as many pictures as make a batch of crops."""
    order = np.argsort(boxes.image_ids, kind="stable")
    changes = np.flatnonzero(np.diff(boxes.image_ids[order])) + 1
    group: list[np.ndarray] = []
    for rows in np.split(order, changes):
        group.append(rows)
        if sum(map(len, group)) >= CROPS_AT_ONCE:
            yield group
            group = []
    if group:
        yield group


def average_precision(
    data: CocoSet, boxes: Boxes, keypoints: np.ndarray, scores: np.ndarray
) -> dict[str, float | None]:
    """What ``evaluate`` gives, of joints that were found: (n, 17, 2) px and scores (n, 17)."""
    compat.prepare()
    compat.import_torchvision()
    with quietly():
        from mmpose.datasets.datasets.utils import parse_pose_metainfo
        from mmpose.evaluation.metrics import CocoMetric

        metric = CocoMetric(str(data.file))
        metric.dataset_meta = parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco.py"})
        _, sizes = box_to_crop(boxes.xyxy, aspect=3 / 4)
        for row, image_id in enumerate(boxes.image_ids):
            one = slice(row, row + 1)
            sample = {
                "id": row,
                "img_id": int(image_id),
                "category_id": data.category,
                "pred_instances": {"keypoints": keypoints[one], "keypoint_scores": scores[one]},
                "gt_instances": {"bbox_scores": boxes.scores[one], "bbox_scales": sizes[one]},
            }
            metric.process([], [sample])
        found = metric.evaluate(len(boxes.xyxy))
    values = {name: float(found[f"coco/{key}"]) for name, key in METRICS.items()}
    # COCO's program says -1 where there is nobody to find.
    return {name: None if value < 0 else value for name, value in values.items()}
