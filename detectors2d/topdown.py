"""Joints of people in boxes: the crops of all pictures go through a network in common batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from detectors2d.heatmaps import (
    box_to_crop,
    crop_transforms,
    decode,
    decode_dark,
    flip_heatmaps,
    untangle_legs,
)
from detectors2d.hrnet import IMAGE_MEAN, IMAGE_STD, JOINTS, STRIDE

DECODERS = {"quarter": decode, "dark": decode_dark}


class TopDown:
    """Top-down pose estimation with a network of heat maps such as HRNet.

    Parameters
    ----------
    network : crops (N, 3, h, w), RGB in [0, 1] less ``IMAGE_MEAN`` over ``IMAGE_STD``, -> heat maps
        (N, 17, h / 4, w / 4), COCO order. It is moved to ``device`` and set to evaluation.
    size : (w, h) px of the crops; the network's own ``input_size`` if None
    flip : average the heat maps with those of the mirrored crop, which takes twice the time.
        Cell c stands for pixel 4c of the crop. Mirrored as the crop is, pixel x goes to w - 1 - x
        and its peak, mirrored back, is 3/4 of a cell to the left of where it was. HRNet's code
        therefore moves the mirrored maps by one column, which leaves 1/4 to the right. Here no
        column is moved: the mirrored crop is taken 3 px further left, so that x goes to w - 4 - x
        and cells meet cells exactly.
    decoding : "quarter" (``heatmaps.decode``) or "dark" (``heatmaps.decode_dark``)
    untangle : share legs out between left and right first (``heatmaps.untangle_legs``)
    batch : how many crops go through the network at once, which bounds the memory
    precision : type of the network's products, by autocast: bfloat16 is faster on CPUs that have
        it in hardware, float16 on GPUs
    device : of the network
    """

    def __init__(
        self,
        network: nn.Module,
        size: tuple[int, int] | None = None,
        flip: bool = True,
        decoding: Literal["quarter", "dark"] = "quarter",
        untangle: bool = False,
        batch: int = 32,
        precision: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        if decoding not in DECODERS:
            raise ValueError(f"decoding must be one of {', '.join(DECODERS)}, not {decoding!r}")
        if batch < 1:
            raise ValueError(f"batch must be 1 or more, not {batch}")
        self.device = torch.device(device)
        self.network = network.to(self.device, memory_format=torch.channels_last).eval()
        self.size = tuple(size or network.input_size)
        self.flip = flip
        self.decode = DECODERS[decoding]
        self.untangle = untangle
        self.batch = batch
        self.precision = precision
        self.weights_identity: dict[str, str] | None = getattr(network, "weights_identity", None)

    def estimate(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """The joints of the people in every picture.

        Parameters
        ----------
        images : (H, W, 3) uint8 RGB each, of any sizes
        boxes : (n, 4) px each, left, top, right, bottom; they may reach beyond the picture, which
            is black there

        Returns
        -------
        For every picture keypoints (n, 17, 2) float32 px and scores (n, 17) float32, COCO order.
        A score is the height of the peak, about 0 to 1.
        """
        for image in images:
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
                raise ValueError(f"images must be (H, W, 3) uint8, not {image.shape} {image.dtype}")
        boxes = [_checked(rows) for rows in boxes]
        if len(images) != len(boxes):
            raise ValueError(f"{len(images)} images, but boxes of {len(boxes)}")
        if not boxes:
            return []
        counts = [len(rows) for rows in boxes]
        owners = np.repeat(np.arange(len(boxes)), counts)
        centers, scales = box_to_crop(np.concatenate(boxes), self.size[0] / self.size[1])

        keypoints = np.empty((len(owners), JOINTS, 2), np.float32)
        scores = np.empty((len(owners), JOINTS), np.float32)
        for start in range(0, len(owners), self.batch):
            part = slice(start, start + self.batch)
            heatmaps = self._heatmaps(
                _crops([images[i] for i in owners[part]], centers[part], scales[part], self.size)
            )
            if self.untangle:
                heatmaps = untangle_legs(heatmaps)
            keypoints[part], scores[part] = self.decode(heatmaps, centers[part], scales[part])
        ends = np.cumsum(counts)[:-1]
        return list(zip(np.split(keypoints, ends), np.split(scores, ends), strict=True))

    @torch.inference_mode()
    def _heatmaps(self, crops: np.ndarray) -> np.ndarray:
        """Heat maps (N, 17, h / 4, w / 4) float32 of crops as of ``_crops``."""
        pixels = torch.from_numpy(crops).to(self.device).permute(0, 3, 1, 2).float()
        mean, std = (
            255 * torch.tensor(values, device=self.device)[:, None, None]
            for values in (IMAGE_MEAN, IMAGE_STD)
        )
        pixels = (pixels - mean) / std
        heatmaps = self._run(pixels[..., STRIDE - 1 :])
        if self.flip:
            mirrored = self._run(pixels[..., : self.size[0]].flip(-1))
            heatmaps = (heatmaps + flip_heatmaps(mirrored)) / 2
        return heatmaps

    def _run(self, crops: Tensor) -> np.ndarray:
        lowered = self.precision is not torch.float32
        # torch lets convolutions round to TF32, with 10 bits, where nobody asked.
        exact = torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False)
        with exact, torch.autocast(self.device.type, self.precision, enabled=lowered):
            heatmaps = self.network(crops.contiguous(memory_format=torch.channels_last))
        width, height = self.size
        expected = (len(crops), JOINTS, height // STRIDE, width // STRIDE)
        if heatmaps.shape != expected:
            raise ValueError(f"heat maps must be {expected}, not {tuple(heatmaps.shape)}")
        return heatmaps.float().cpu().numpy()


def _checked(boxes: np.ndarray) -> np.ndarray:
    boxes = np.asarray(boxes, np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise ValueError(f"boxes must be (n, 4) finite numbers, not {boxes.shape}")
    return boxes


def _crops(
    images: Sequence[np.ndarray], centers: np.ndarray, scales: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Crops (N, h, w + 3, 3) uint8, black beyond the picture, with 3 more columns on the left."""
    width, height = size[0] + STRIDE - 1, size[1]
    maps = crop_transforms(centers, scales, size)
    maps[:, 0, 2] += STRIDE - 1
    crops = np.empty((len(images), height, width, 3), np.uint8)
    for crop, image, to_crop in zip(crops, images, maps, strict=True):
        cv2.warpAffine(image, to_crop, (width, height), dst=crop, flags=cv2.INTER_LINEAR)
    return crops
