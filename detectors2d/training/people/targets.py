"""What a ``CenterNet`` is to answer, and how far its answer is from it.

As in TTFNet (Liu, Zheng, Xu, Yang, Liu, Cai: "Training-Time-Friendly Network for Real-Time Object
Detection", AAAI 2020): Gaussians of the box's shape, and boxes are learnt all over their Gaussian,
not at their middle alone, which takes far fewer steps.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from detectors2d.people.centernet import STRIDE

SPREAD = 0.54  # of the part of a box that its Gaussian covers; three standard deviations
BOXES = 5.0  # weight of the boxes' loss


def targets(
    boxes: np.ndarray, doubtful: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Of a picture of ``size`` = (w, h) px whose people have boxes (n, 4) xyxy px.

    Returns
    -------
    heat (h / 8, w / 8) float32: 1 in the cell of a person's middle, falling around it, and -1 where
        nothing counts: in ``doubtful`` boxes (m, 4) where nobody else is
    sides (5, h / 8, w / 8) float32: the distances of the left, top, right and lower side from the
        cell's middle, px, and the weight of the cell's box, 0 where none is to be learnt. The
        weights of one box sum up to the logarithm of its area, cells that two claim are of the
        smaller one.
    """
    columns, rows = size[0] // STRIDE, size[1] // STRIDE
    x, y = (np.arange(n, dtype=np.float32) + 0.5 for n in (columns, rows))
    heat, sides = np.zeros((rows, columns), np.float32), np.zeros((5, rows, columns), np.float32)
    nobody = np.zeros((rows, columns), bool)
    for left, top, right, low in doubtful / STRIDE:
        nobody |= ((x > left) & (x < right)) & ((y > top) & (y < low))[:, None]
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    for n in np.argsort(-area, kind="stable"):
        left, top, right, low = boxes[n] / STRIDE
        # The middle of the cell that holds the middle of the box.
        middle = np.floor([(left + right) / 2, (top + low) / 2]).clip(0, [columns - 1, rows - 1])
        middle += 0.5
        spread = np.maximum(SPREAD / 6 * np.array([right - left, low - top]), 1 / 6)
        offset_x, offset_y = (x - middle[0]) / spread[0], (y - middle[1]) / spread[1]
        bell = np.exp(-0.5 * (offset_x**2 + offset_y[:, None] ** 2))
        bell *= (abs(offset_x) <= 3) & (abs(offset_y) <= 3)[:, None]
        heat = np.maximum(heat, bell)
        own = (bell > 0.01) & (x > left) & (x < right) & ((y > top) & (y < low))[:, None]
        own[int(middle[1]), int(middle[0])] = True
        distances = (x - left, (y - top)[:, None], right - x, (low - y)[:, None])
        for side, distance in zip(sides[:4], distances, strict=True):
            side[own] = np.broadcast_to(STRIDE * distance, own.shape)[own]
        sides[4, own] = bell[own] * np.log(max(area[n], np.e)) / bell[own].sum()
    heat[nobody & (heat == 0)] = -1
    return heat, sides


def detection_loss(maps: Tensor, heat: Tensor, sides: Tensor) -> Tensor:
    """Of maps (N, 5, h, w) of ``CenterNet`` against ``targets`` (N, h, w) and (N, 5, h, w).

    Middles: the focal loss of Law and Deng ("CornerNet", ECCV 2018) with their exponents 2 and 4,
    per person. Boxes: one less the generalised intersection over union (Rezatofighi et al., CVPR
    2019), mean by weight.
    """
    logits = maps[:, 0].float()
    here = heat == 1
    miss = torch.nn.functional.softplus(-logits)  # -log p
    false = torch.nn.functional.softplus(logits)  # -log (1 - p)
    p = logits.sigmoid()
    focal = torch.where(here, (1 - p) ** 2 * miss, (1 - heat).clamp(0, 1) ** 4 * p**2 * false)
    middles = (focal * (heat >= 0)).sum() / here.sum().clamp(min=1)
    weights = sides[:, 4]
    giou = generalised_overlap(maps[:, 1:].float(), sides[:, :4])
    return middles + BOXES * ((1 - giou) * weights).sum() / weights.sum().clamp(min=1)


def generalised_overlap(sides: Tensor, others: Tensor) -> Tensor:
    """Generalised intersection over union (N, ...) of boxes given as sides (N, 4, ...) of a cell.

    Sides are the distances of left, top, right and lower side from the cell's middle.
    """

    def area(part: Tensor) -> Tensor:
        return (part[:, 0] + part[:, 2]).clamp(min=0) * (part[:, 1] + part[:, 3]).clamp(min=0)

    common = area(torch.minimum(sides, others))
    union = area(sides) + area(others) - common
    around = area(torch.maximum(sides, others)).clamp(min=1e-6)
    return common / union.clamp(min=1e-6) - (around - union) / around
