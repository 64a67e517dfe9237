"""Two of mmcv's compiled operations on plain PyTorch, for mmcv-lite, which has none."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Non-maximum suppression: which boxes remain, best first, as indices (K,) int64.

    Parameters
    ----------
    boxes : (N, 4), left, top, right, bottom
    scores : (N,); of equal ones the first counts as better
    iou_threshold : a box goes if its intersection with a better one that remains is more than this
        part of their union
    offset : 1 where coordinates are numbers of pixels, so that a box is right - left + 1 wide
    """
    order = torch.argsort(scores, descending=True, stable=True).cpu().numpy()
    # One by one, which is slow on a GPU. In float32, as compiled, so that ties come out the same.
    left, top, right, bottom = boxes.detach().float().cpu().numpy()[order].T
    areas = (right - left + offset) * (bottom - top + offset)
    kept, rest = [], np.arange(len(order))
    while len(rest):
        best, rest = rest[0], rest[1:]
        kept.append(best)
        width = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest])
        height = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest])
        overlap = (width + offset).clip(0) * (height + offset).clip(0)
        with np.errstate(invalid="ignore", divide="ignore"):  # boxes without extent
            gone = overlap / (areas[best] + areas[rest] - overlap) > iou_threshold
        rest = rest[~gone]
    return torch.from_numpy(order[kept]).to(boxes.device)


def roi_align(
    features: Tensor,
    rois: Tensor,
    size: tuple[int, int],
    scale: float = 1.0,
    samples: int = 0,
    aligned: bool = True,
) -> Tensor:
    """Cut boxes out of features and bring each to one size; (K, C, rows, columns).

    He et al., "Mask R-CNN", ICCV 2017: every cell is the mean of features at points spread evenly
    over its part of the box, interpolated bilinearly; 0 beyond one cell outside of the features.

    Parameters
    ----------
    features : (B, C, H, W)
    rois : (K, 5), index of the picture, left, top, right, bottom in px of the picture
    size : rows and columns of the result
    scale : cells of the features a px
    samples : points a cell and direction; 0: as many as the cell has features, rounded up
    aligned : take the middle of the first pixel as 0.5, not 0
    """
    result = features.new_zeros(len(rois), features.shape[1], *size)
    if not len(rois):
        return result
    # The points form a grid, so rows and columns are weighted one after the other.
    corners = rois[:, 1:] * scale - (0.5 if aligned else 0.0)
    weights, ranges = [], []
    for axis, bins in ((1, size[0]), (0, size[1])):
        start, extent = corners[:, axis], corners[:, axis + 2] - corners[:, axis]
        if not aligned:
            extent = extent.clamp(min=1)
        length = features.shape[2 if axis else 3]
        weights.append(_bilinear(start, extent, bins, length, samples))
        ends = torch.stack([start, start + extent])
        first = ends.amin(0).floor().clamp(0, length - 1)
        last = ends.amax(0).ceil().clamp(0, length - 1)
        ranges.append(torch.stack([first, last + 1], dim=1).long().tolist())
    pictures = rois[:, 0].long().tolist()
    for k, (picture, rows, columns) in enumerate(zip(pictures, *ranges, strict=True)):
        rows, columns = slice(*rows), slice(*columns)
        part = features[picture, :, rows, columns]
        result[k] = weights[0][k, :, rows] @ part @ weights[1][k, :, columns].T
    return result


def _bilinear(start: Tensor, extent: Tensor, bins: int, length: int, samples: int) -> Tensor:
    """How much every feature of an axis counts in every cell, (K, bins, length).

    start, extent : (K,), of the boxes, in features
    """
    counts = (extent / bins).ceil().clamp(min=0) if not samples else torch.full_like(start, samples)
    numbers = torch.arange(max(int(counts.max()), 1), device=start.device)
    counts, step = counts[:, None, None], (extent / bins)[:, None, None]
    cells = torch.arange(bins, device=start.device)[None, :, None]
    points = start[:, None, None] + cells * step + (numbers + 0.5) * step / counts.clamp(min=1)
    counted = (numbers < counts) & (points >= -1) & (points <= length)
    share = counted / counts.clamp(min=1)
    points = points.clamp(0, length - 1)
    low = points.floor()
    high = (low + 1).clamp(max=length - 1)
    weights = start.new_zeros(len(start), bins, length)
    weights.scatter_add_(2, low.long(), share * (1 - (points - low)))
    weights.scatter_add_(2, high.long(), share * (points - low))
    return weights
