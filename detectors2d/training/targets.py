"""What the network is to answer, and how far its answer is from it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from detectors2d.heatmaps import COCO_MIRROR
from detectors2d.hrnet import STRIDE

# Per-joint standard deviations of human labels, in square roots of a person's area: COCO's.
SIGMAS = torch.tensor(
    [26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89], dtype=torch.float64
) / 1000  # fmt: skip


# How much a map that leads by the whole height of a peak is preferred: e to this.
STEEP = 8.0


def gaussian_maps(joints: Tensor, size: tuple[int, int], sigma: float = 2.0) -> Tensor:
    """Heat maps with a Gaussian around every joint: Sun et al. 2019, sec. 3.

    ``joints`` (N, J, 2) px of crops of ``size`` = (width, height) px; ``sigma`` in cells. The
    Gaussian stands where the joint is, not at the nearest cell (DARK: Zhang et al. 2020, sec. 3.2).
    -> (N, J, height / 4, width / 4), up to 1.
    """
    cells = joints / STRIDE
    columns, rows = (torch.arange(n // STRIDE, device=joints.device) for n in size)
    x, y = (cells[..., 0, None] - columns) / sigma, (cells[..., 1, None] - rows) / sigma
    return torch.exp(-0.5 * y**2)[..., :, None] * torch.exp(-0.5 * x**2)[..., None, :]


def heatmap_loss(
    heatmaps: Tensor, joints: Tensor, size: tuple[int, int], sigma: float, sides: float = 0.0
) -> Tensor:
    """Mean squared error of heat maps (N, J, h, w), over labelled joints alone.

    ``joints`` (N, J, 3): x, y in px of the crop, and weights. Times 1000, so that its size is that
    of a number one can read. With ``sides`` above 0, as much of ``side_loss`` is added.
    """
    targets, weights = gaussian_maps(joints[..., :2], size, sigma), joints[..., 2]
    errors = (heatmaps.float() - targets).square().mean((2, 3))
    loss = 1000 * (errors * weights).sum() / weights.sum().clamp(min=1)
    return loss + sides * side_loss(heatmaps.float(), targets, weights) if sides else loss


def side_loss(heatmaps: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of left and right, over joints of which both sides are labelled.

    Where the left knee is, its map has to be higher than the right knee's. A network that sees both
    knees, but not which is which, answers with both in both maps; the squared error of this differs
    little from that of better answers, and so teaches little. ``heatmaps`` and ``targets``
    (N, 17, h, w), COCO order, ``weights`` (N, 17).
    """
    mirror = list(COCO_MIRROR)
    size = targets.square().sum((2, 3)).clamp(min=1e-6)

    def height(maps: Tensor) -> Tensor:
        """Of maps where the targets are: 1 for the targets themselves."""
        return (maps * targets).sum((2, 3)) / size

    lead = height(heatmaps) - height(heatmaps[:, mirror])
    # Where both sides lie in one place, no map can lead there; nor can a nose.
    apart = (1 - height(targets[:, mirror])).clamp(0, 1) * weights * weights[:, mirror]
    return (functional.softplus(-STEEP * lead) * apart).sum() / apart.sum().clamp(min=1)


def similarity(found: Tensor, true: Tensor, labelled: Tensor, areas: Tensor) -> Tensor:
    """Object keypoint similarity (OKS) of COCO's evaluation, of N people: 0 to 1.

    ``found``, ``true`` (N, 17, 2) px, ``labelled`` (N, 17) bool, ``areas`` (N,) px^2.
    """
    squares = (found - true).double().square().sum(-1)
    scaled = squares / (2 * areas.double()[:, None] * (2 * SIGMAS.to(squares.device)) ** 2)
    return (torch.exp(-scaled) * labelled).sum(1) / labelled.sum(1).clamp(min=1)
