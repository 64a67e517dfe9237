"""People with detectors of mmdet: RTMDet (Lyu et al., 2022), Faster R-CNN (Ren et al., 2015)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from detectors2d.mm.building import State, build, load_state, read_config, read_state
from detectors2d.mm.quiet import quietly
from detectors2d.people.protocol import Found, check_images
from weights.errors import Pose3dError

if TYPE_CHECKING:
    from mmengine.config import Config
    from mmengine.structures import InstanceData

FASTER_RCNN = "mmdet:faster-rcnn_r50_fpn_1x_coco"
# By the channels of the first convolution, which grow with the width of the network.
RTMDET = {
    8: "mmdet:rtmdet_nano_320-8xb32_coco-person",
    12: "mmdet:rtmdet_tiny_8xb32-300e_coco",
    16: "mmdet:rtmdet_s_8xb32-300e_coco",
    24: "mmdet:rtmdet_m_8xb32-300e_coco",
    32: "mmdet:rtmdet_l_8xb32-300e_coco",
    40: "mmdet:rtmdet_x_8xb32-300e_coco",
}
# Candidates a level before non-maximum suppression. RTMDet's own 30000 are for evaluation, where
# the last of 80 kinds of things count; on a CPU they cost seconds a picture.
MAX_CANDIDATES = 1000


class MMDetector:
    """A detector of mmdet that finds people, with the scores and limits of its configuration.

    Parameters
    ----------
    config : "mmdet:NAME" or the path of a configuration (``building.read_config``); "rtmdet" or
        "faster-rcnn" for the one that the weights were made with
    weights : the path of a weights file; random weights if None
    device : where the network runs

    Raises
    ------
    Pose3dError
        if mmdet is not installed, the weights do not fit, or the classes hold no person.
    """

    def __init__(
        self, config: str, weights: str | Path | None = None, device: torch.device | str = "cpu"
    ) -> None:
        state = None if weights is None else read_state(weights)
        if config in ("rtmdet", "faster-rcnn"):
            if state is None:
                raise Pose3dError(f"{config}: needs a weights file, as mmdet's model zoo has them")
            config = _config_of(config, state)
        settings = read_config(config, "mmdet")
        limits = settings.model.get("test_cfg") or {}
        if limits.get("nms_pre", 0) > MAX_CANDIDATES:
            limits.nms_pre = MAX_CANDIDATES
        alone = state is not None and _learnt_people_alone(settings.model, state.tensors)
        self.person = 0 if alone else _person_class(settings, config)
        self.network = build(settings, "mmdet", config)
        if state is not None:
            load_state(self.network, state, config)
        self.weights_identity = None if state is None else state.identity(config)
        self.network.to(device)
        self.prepare = _preparation(settings)

    @torch.no_grad()
    def detect(self, images: Sequence[np.ndarray]) -> list[Found]:
        """See ``People``. Boxes are within the picture, the best first."""
        check_images(images)
        if not images:
            return []
        # As cv2 reads them; what else the network wants is in its own preprocessor.
        pictures = [np.ascontiguousarray(image[..., ::-1]) for image in images]
        prepared = [self.prepare({"img": picture, "img_id": 0}) for picture in pictures]
        batch = {
            "inputs": [each["inputs"] for each in prepared],
            "data_samples": [each["data_samples"] for each in prepared],
        }
        with quietly():
            samples = self.network.test_step(batch)
        return [
            self._people(sample.pred_instances, image.shape)
            for sample, image in zip(samples, images, strict=True)
        ]

    def _people(self, found: InstanceData, shape: Sequence[int]) -> Found:
        found = found[found.labels == self.person]
        boxes, scores = found.bboxes.float().cpu().numpy(), found.scores.float().cpu().numpy()
        # RTMDet finds some in the border that its preparation puts around a picture.
        boxes = boxes.clip(0, [shape[1], shape[0]] * 2).astype(np.float32)
        kept = (boxes[:, :2] < boxes[:, 2:]).all(-1)
        return boxes[kept], scores[kept]


def _config_of(kind: str, state: State) -> str:
    if kind == "faster-rcnn":
        return FASTER_RCNN
    first = state.tensors.get("backbone.stem.0.conv.weight")
    if first is None or first.shape[0] not in RTMDET:
        raise Pose3dError(
            f"{state.where}: not weights of an RTMDet that pose3d knows; if mmdet has its "
            "configuration, name it: mmdet:NAME"
        )
    return RTMDET[first.shape[0]]


def _learnt_people_alone(model: Config, tensors: Mapping[str, Tensor]) -> bool:
    """Whether the weights know one class; the configuration's network is changed to it if so."""
    for name, background, head in (
        ("bbox_head.rtm_cls.0.weight", 0, lambda: model.bbox_head),
        ("roi_head.bbox_head.fc_cls.weight", 1, lambda: model.roi_head.bbox_head),
    ):
        if name in tensors and tensors[name].shape[0] - background == 1:
            head().num_classes = 1
            return True
    return False


def _person_class(settings: Config, name: str) -> int:
    """The number of the class "person" in the data of a configuration."""
    data = settings.test_dataloader.dataset
    classes = data.get("metainfo", {}).get("classes")
    if classes is None:
        from mmdet import datasets  # noqa: F401 (registers them)
        from mmdet.registry import DATASETS

        kind = DATASETS.get(data.type)
        classes = getattr(kind, "METAINFO", {}).get("classes", ())
    if "person" not in classes:
        raise Pose3dError(f"{name}: has no class 'person', only {', '.join(classes[:5])} ...")
    return classes.index("person")


def _preparation(settings: Config):
    """The configuration's preparation of a picture, from an array instead of a file."""
    from mmcv.transforms import Compose
    from mmengine.registry import DefaultScope

    steps = settings.test_dataloader.dataset.pipeline[1:]
    kept = [step for step in steps if step.type != "LoadAnnotations"]
    with DefaultScope.overwrite_default_scope("mmdet"):
        from mmdet.datasets import transforms  # noqa: F401 (registers them)

        return Compose([{"type": "LoadImageFromNDArray"}, *kept])
