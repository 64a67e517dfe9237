"""Top-down pose estimation around the network: a crop of every box in, joints of its heatmaps out.

A crop is a centre (x, y) px and a scale (w, h), its width and height, both px of the picture.
Conventions are those of the HRNet code that the weights were trained with (Sun et al., "Deep
High-Resolution Representation Learning for Human Pose Estimation", CVPR 2019): boxes grow by a
quarter, heatmap cells are mapped by their corners, peaks move a quarter of a cell towards the
higher neighbour.
"""

from __future__ import annotations

import numpy as np

# COCO joints with left and right exchanged.
COCO_MIRROR: tuple[int, ...] = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)


def box_to_crop(
    boxes: np.ndarray, aspect: float, padding: float = 1.25
) -> tuple[np.ndarray, np.ndarray]:
    """Crops of a network's shape around boxes.

    Parameters
    ----------
    boxes : (N, 4) px, left, top, right, bottom
    aspect : width / height of the network's input. (The research demos take the picture's height /
        width, and so cut off heads and feet.)
    padding : how much larger than the box the crop is

    Returns
    -------
    centers (N, 2) px and scales (N, 2) px, width and height: of the given aspect, and ``padding``
    times the box in the one direction that needs more. A box without extent counts as 1 px.
    """
    boxes = np.asarray(boxes, np.float64)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    width, height = (boxes[:, 2:] - boxes[:, :2]).clip(1).T
    height = padding * np.maximum(height, width / aspect)
    return centers, np.stack([height * aspect, height], axis=-1)


def crop_transforms(centers: np.ndarray, scales: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Affine maps (N, 2, 3) from picture px to px of crops of ``size`` = (w, h).

    For `cv2.warpAffine`; ``crop_transforms`` of a heatmap's size leads to heatmap cells.
    """
    factors = np.asarray(size) / scales
    shifts = np.asarray(size) / 2 - centers * factors
    maps = np.zeros((len(factors), 2, 3))
    maps[:, [0, 1], [0, 1]] = factors
    maps[:, :, 2] = shifts
    return maps


def flip_heatmaps(heatmaps: np.ndarray) -> np.ndarray:
    """Heatmaps (N, 17, H, W) of mirrored crops as those of the crops themselves, COCO order."""
    return heatmaps[:, list(COCO_MIRROR), :, ::-1]


def decode(
    heatmaps: np.ndarray, centers: np.ndarray, scales: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Joints in the picture from the heatmaps of crops.

    Parameters
    ----------
    heatmaps : (N, J, H, W)
    centers, scales : (N, 2) px, of the crops

    Returns
    -------
    keypoints (N, J, 2) float32 px and scores (N, J) float32. A score is the height of the highest
    peak: about 0 to 1, a little outside at times. A heatmap with nothing above 0 gives the crop's
    upper left corner.
    """
    count, joints, rows, columns = heatmaps.shape
    flat = heatmaps.reshape(count, joints, rows * columns)
    best = flat.argmax(-1)
    scores = np.take_along_axis(flat, best[..., None], -1)[..., 0]
    best[scores <= 0] = 0
    y, x = np.divmod(best, columns)
    cells = np.stack([x, y], axis=-1).astype(np.float64)

    # As in HRNet's code, peaks on the border and in the second row and column are not moved.
    inside = (x > 1) & (x < columns - 1) & (y > 1) & (y < rows - 1)
    crop, joint = np.nonzero(inside)
    x, y = x[inside], y[inside]
    slope_x = heatmaps[crop, joint, y, x + 1] - heatmaps[crop, joint, y, x - 1]
    slope_y = heatmaps[crop, joint, y + 1, x] - heatmaps[crop, joint, y - 1, x]
    cells[inside] += 0.25 * np.sign(np.stack([slope_x, slope_y], axis=-1))

    steps = (np.asarray(scales) / (columns, rows))[:, None]
    corners = (np.asarray(centers) - np.asarray(scales) / 2)[:, None]
    return (corners + cells * steps).astype(np.float32), scores.astype(np.float32)
