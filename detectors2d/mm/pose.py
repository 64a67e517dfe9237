"""Top-down networks of mmpose by the name of their configuration.

``load_heatmap_network`` gives one with HRNet's kind of heat maps, for ``topdown.TopDown``;
``MMPose`` estimates with any, as mmpose itself does: RTMPose's SimCC and UDP's crops too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from detectors2d.heatmaps import COCO_MIRROR
from detectors2d.hrnet import IMAGE_MEAN, IMAGE_STD
from detectors2d.mm.building import build, load_state, read_config, read_state
from detectors2d.mm.quiet import quietly
from detectors2d.people.protocol import check_images
from weights.errors import Pose3dError

if TYPE_CHECKING:
    from mmengine.config import Config


class HeatmapNetwork(nn.Module):
    """A network of mmpose as ``topdown.TopDown`` wants it.

    Crops (N, 3, h, w), RGB in [0, 1] less ``IMAGE_MEAN`` over ``IMAGE_STD``, -> heat maps
    (N, 17, h / 4, w / 4), COCO order.

    Attributes
    ----------
    input_size : (width, height) px of the crops
    estimator : mmpose's own
    weights_identity : name, network and SHA-256 of the weights file; None if weights are random
    """

    def __init__(
        self, estimator: nn.Module, input_size: tuple[int, int], joints: Sequence[int]
    ) -> None:
        super().__init__()
        self.estimator = estimator
        self.input_size = input_size
        self.joints = list(joints)
        self.weights_identity: dict[str, str] | None = None

    def forward(self, images: Tensor) -> Tensor:
        heatmaps = self.estimator.head(self.estimator.extract_feat(images))
        return heatmaps[:, self.joints]


def load_heatmap_network(config: str, weights: str | Path | None = None) -> HeatmapNetwork:
    """A network with heat maps of mmpose, in evaluation mode.

    Parameters
    ----------
    config : "mmpose:NAME" or the path of a configuration (``building.read_config``)
    weights : the path of a weights file; random weights if None

    Raises
    ------
    Pose3dError
        if mmpose is not installed, the weights do not fit, or the network has other joints than
        COCO's, other preparation or another kind of output.
    """
    settings, estimator, identity = _estimator(config, weights)
    head, decoder = settings.model.head.type, settings.model.head.get("decoder") or {}
    if not _like_hrnet(settings):
        raise Pose3dError(
            f"{config}: {head} with {decoder.get('type')} does not give heat maps like HRNet's; "
            "detectors2d.mm.pose.MMPose can use it"
        )
    joints = (settings.model.get("test_cfg") or {}).get("output_keypoint_indices") or range(17)
    network = HeatmapNetwork(estimator, tuple(decoder.input_size), joints)
    network.weights_identity = identity
    return network.eval()


def split_name(name: str) -> tuple[str, str | None]:
    """ "mmpose:CONFIG[:FILE]" as the two arguments of ``load_heatmap_network``."""
    config, _, weights = name.removeprefix("mmpose:").partition(":")
    return config if config.endswith(".py") else f"mmpose:{config}", weights or None


def gives_heatmaps(config: str) -> bool:
    """Whether ``load_heatmap_network`` takes a configuration: its maps are like HRNet's."""
    return _like_hrnet(read_config(config, "mmpose"))


def _like_hrnet(settings: Config) -> bool:
    from mmpose.models import heads

    head = settings.model.get("head") or {}
    kind, decoder = getattr(heads, str(head.get("type")), None), head.get("decoder") or {}
    known = isinstance(kind, type) and issubclass(kind, heads.HeatmapHead)
    return known and decoder.get("type") == "MSRAHeatmap"


class MMPose:
    """Joints of people in boxes with any top-down network of mmpose, by mmpose's own means.

    Crops, flipped pictures and decoding are as its configuration says for testing.

    Parameters
    ----------
    config, weights : as of ``load_heatmap_network``; any kind of output
    device : where the network runs
    batch : how many crops go through the network at once, which bounds the memory
    """

    def __init__(
        self,
        config: str,
        weights: str | Path | None = None,
        device: torch.device | str = "cpu",
        batch: int = 32,
    ) -> None:
        settings, self.network, self.weights_identity = _estimator(config, weights)
        self.network.to(device)
        self.batch = batch
        self.meta = _coco_meta(settings, config)
        self.prepare = _preparation(settings)

    @torch.no_grad()
    def estimate(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """The joints of the people in every picture; see ``topdown.TopDown.estimate``.

        What a score is depends on the network; it is not above about 1.
        """
        check_images(images)
        if len(images) != len(boxes):
            raise ValueError(f"{len(images)} images, but boxes of {len(boxes)}")
        people = [
            (image, box)
            for image, rows in zip(images, boxes, strict=True)
            for box in np.asarray(rows, np.float32)
        ]
        keypoints = np.zeros((len(people), 17, 2), np.float32)
        scores = np.zeros((len(people), 17), np.float32)
        for start in range(0, len(people), self.batch):
            for number, found in enumerate(self._run(people[start : start + self.batch]), start):
                keypoints[number] = found.keypoints[0]
                scores[number] = found.keypoint_scores[0]
        if not boxes:
            return []
        ends = np.cumsum([len(rows) for rows in boxes])[:-1]
        return list(zip(np.split(keypoints, ends), np.split(scores, ends), strict=True))

    def _run(self, people: Sequence[tuple[np.ndarray, np.ndarray]]) -> list:
        prepared = [
            self.prepare(
                {
                    "img": np.ascontiguousarray(image[..., ::-1]),  # as cv2 reads it
                    "bbox": box[None],
                    "bbox_score": np.ones(1, np.float32),
                    **self.meta,
                }
            )
            for image, box in people
        ]
        batch = {
            "inputs": [each["inputs"] for each in prepared],
            "data_samples": [each["data_samples"] for each in prepared],
        }
        with quietly():
            return [sample.pred_instances for sample in self.network.test_step(batch)]


def _estimator(config: str, weights: str | Path | None) -> tuple[Config, nn.Module, dict | None]:
    """Configuration, network and identity of a top-down network of COCO's joints."""
    settings = read_config(config, "mmpose")
    kind, given = settings.model.type, settings.model.get("data_preprocessor") or {}
    if kind != "TopdownPoseEstimator":
        raise Pose3dError(f"{config}: a {kind}, not a top-down network of 2D joints")
    wanted = {"mean": IMAGE_MEAN, "std": IMAGE_STD}
    if not given.get("bgr_to_rgb") or any(
        not np.allclose(given.get(part, 0), 255 * np.array(values), atol=0.1)
        for part, values in wanted.items()
    ):
        raise Pose3dError(f"{config}: wants other pictures than RGB with ImageNet's mean and std")
    _coco_meta(settings, config)
    estimator = build(settings, "mmpose", config)
    if weights is None:
        return settings, estimator, None
    state = read_state(weights)
    load_state(estimator, state, config)
    return settings, estimator, state.identity(config)


def _coco_meta(settings: Config, config: str) -> dict:
    """What mmpose knows of the joints of a configuration; Pose3dError if they are not COCO's 17."""
    with quietly():
        from mmpose.datasets import datasets  # noqa: F401 (registers them)
        from mmpose.datasets.datasets.utils import parse_pose_metainfo
        from mmpose.registry import DATASETS

        data = settings.test_dataloader.dataset
        meta = parse_pose_metainfo(data.get("metainfo") or DATASETS.get(data.type).METAINFO)
    if tuple(meta["flip_indices"]) != COCO_MIRROR or meta["keypoint_id2name"][0] != "nose":
        count, name = len(meta["flip_indices"]), meta["dataset_name"]
        raise Pose3dError(f"{config}: finds {count} joints of {name}, not COCO's 17")
    return meta


def _preparation(settings: Config):
    """The configuration's preparation of a crop for testing."""
    from mmcv.transforms import Compose
    from mmengine.registry import DefaultScope

    with DefaultScope.overwrite_default_scope("mmpose"):
        from mmpose.datasets import transforms  # noqa: F401 (registers them)

        return Compose(settings.test_dataloader.dataset.pipeline)
