"""People with torchvision's Faster R-CNN and Keypoint R-CNN (Ren et al., 2015; He et al., 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from detectors2d.mm.building import State, load_strictly, read_state
from detectors2d.mm.compat import import_torchvision
from detectors2d.people.protocol import Found, check_images
from weights.errors import Pose3dError

PERSON = 1  # of COCO; 0 is the background


class TorchvisionPeople:
    """A detector of torchvision with ResNet-50 and FPN; which one, its weights tell.

    Parameters
    ----------
    weights : the path of a file of ``fasterrcnn_resnet50_fpn``, its ``_v2`` or
        ``keypointrcnn_resnet50_fpn``
    device : where the network runs

    Raises
    ------
    Pose3dError
        if torchvision is not installed, or for weights of another network.
    """

    def __init__(self, weights: str | Path, device: torch.device | str = "cpu") -> None:
        state = read_state(weights)
        name, config = _recognise(state)
        detection = import_torchvision().models.detection
        self.network = getattr(detection, name)(weights=None, weights_backbone=None, **config)
        tensors = dict(state.tensors)
        if not any(key.endswith("num_batches_tracked") for key in tensors):
            _freeze_norms(self.network, tensors)
        load_strictly(self.network, State(state.where, tensors, state.sha256), name)
        self.weights_identity = state.identity(name)
        self.device = torch.device(device)
        self.network.to(self.device).eval()

    @torch.no_grad()
    def detect(self, images: Sequence[np.ndarray]) -> list[Found]:
        """See ``People``. Boxes are within the picture, the best first."""
        check_images(images)
        if not images:
            return []
        pixels = [
            torch.tensor(image).to(self.device).permute(2, 0, 1).float() / 255 for image in images
        ]
        results = []
        for found in self.network(pixels):
            people = found["labels"] == PERSON
            boxes, scores = found["boxes"][people], found["scores"][people]
            results.append((boxes.cpu().numpy(), scores.cpu().numpy()))
        return results


def _recognise(state: State) -> tuple[str, dict[str, int]]:
    """Name and arguments of torchvision's function that makes the network of these weights."""
    tensors = state.tensors
    kinds = {
        "roi_heads.keypoint_predictor.kps_score_lowres.weight": "keypointrcnn_resnet50_fpn",
        "roi_heads.box_head.0.0.weight": "fasterrcnn_resnet50_fpn_v2",
        "roi_heads.box_head.fc6.weight": "fasterrcnn_resnet50_fpn",
    }
    scores = tensors.get("roi_heads.box_predictor.cls_score.weight")
    name = next((name for key, name in kinds.items() if key in tensors), None)
    if name is None or scores is None or "backbone.body.layer3.5.conv3.weight" not in tensors:
        raise Pose3dError(
            f"{state.where}: not weights of torchvision's {', '.join(sorted(kinds.values()))}"
        )
    config = {"num_classes": len(scores)}
    if name.startswith("keypoint"):
        config["num_keypoints"] = tensors[next(iter(kinds))].shape[1]
    return name, config


def _freeze_norms(network: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Batch norms as they are in files without counters, with which they do not fit otherwise.

    torchvision trained these with norms that never change, and no epsilon.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.0
            tensors[f"{name}.num_batches_tracked"] = torch.tensor(0)
