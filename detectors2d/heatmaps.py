"""Top-down pose estimation around the network: a crop of every box in, joints of its heatmaps out.

A crop is a centre (x, y) px and a scale (w, h), its width and height, both px of the picture.
Conventions are those of the HRNet code that the weights were trained with (Sun et al., "Deep
High-Resolution Representation Learning for Human Pose Estimation", CVPR 2019): boxes grow by a
quarter, heatmap cells are mapped by their corners, peaks move a quarter of a cell towards the
higher neighbour. ``decode_dark`` reads the same heatmaps to a finer fraction of a cell.
"""

from __future__ import annotations

import math

import numpy as np

# COCO joints with left and right exchanged.
COCO_MIRROR: tuple[int, ...] = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)


# Left and right joints of the legs and what they hang on: knees on hips, ankles on knees.
LEGS = (((13, 14), (11, 12)), ((15, 16), (13, 14)))
# A peak reaches so far, in parts of the heat map's rows; a second one counts from this part of the
# first one's height; the weight of where the legs hang. Chosen on rendered people.
SPOT, NEARLY, HANGS = 0.1, 0.4, 0.5


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
    x, y, scores = _peaks(heatmaps)
    rows, columns = heatmaps.shape[2:]
    cells = np.stack([x, y], axis=-1).astype(np.float64)

    # As in HRNet's code, peaks on the border and in the second row and column are not moved.
    inside = (x > 1) & (x < columns - 1) & (y > 1) & (y < rows - 1)
    crop, joint = np.nonzero(inside)
    x, y = x[inside], y[inside]
    slope_x = heatmaps[crop, joint, y, x + 1] - heatmaps[crop, joint, y, x - 1]
    slope_y = heatmaps[crop, joint, y + 1, x] - heatmaps[crop, joint, y - 1, x]
    cells[inside] += 0.25 * np.sign(np.stack([slope_x, slope_y], axis=-1))
    return _in_picture(cells, centers, scales, (columns, rows)), scores


def decode_dark(
    heatmaps: np.ndarray, centers: np.ndarray, scales: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """As ``decode``, with the middle of the Gaussian around each peak instead of quarters.

    Zhang, Zhu, Dai, Ye, Zhu: "Distribution-Aware Coordinate Representation for Human Pose
    Estimation" (DARK), CVPR 2020. The map is smoothed with the Gaussian of its training targets (2
    cells for 64 rows, 3 for 96); the logarithm of a Gaussian is a parabola, so slope and curvature
    at the peak lead to its middle. Peaks less than two cells from the border are not moved.
    """
    x, y, scores = _peaks(heatmaps)
    rows, columns = heatmaps.shape[2:]
    cells = np.stack([x, y], axis=-1).astype(np.float64)
    inside = (x > 1) & (x < columns - 2) & (y > 1) & (y < rows - 2)
    cells[inside] += _from_peak_to_middle(heatmaps[inside], x[inside], y[inside], rows / 32)
    return _in_picture(cells, centers, scales, (columns, rows)), scores


def untangle_legs(heatmaps: np.ndarray) -> np.ndarray:
    """Heat maps (N, 17, H, W), COCO order, in which left and right legs have peaks of their own.

    A network that knows where the legs are, but not which is the left one, gives the maps of both
    sides two peaks of about one height, and the same leg has the higher one in both as often as
    not. Here two knees (ankles) that both maps show are shared out between them. The likelier
    way, by the product of the peaks, wins; where that says nothing, knees lie as hips do, and
    ankles as knees. Maps that agree with this stay as they are; in others the peak that is not
    theirs is gone.
    """
    heatmaps = heatmaps.copy()
    rows, columns = heatmaps.shape[2:]
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)
    each = np.arange(len(heatmaps))

    def around(cells: np.ndarray) -> np.ndarray:
        return np.linalg.norm(grid - cells[:, None, None], axis=-1) <= SPOT * rows

    def log_height(joint: int, cells: np.ndarray) -> np.ndarray:
        return np.log(heatmaps[each, joint, cells[:, 1], cells[:, 0]].clip(1e-3))

    for (left, right), parents in LEGS:
        both = heatmaps[:, [left, right]].clip(0).sum(1, keepdims=True)
        first, high = _highest(both)
        second, lower = _highest(np.where(around(first), 0, both[:, 0])[:, None])
        hang = np.subtract(*(_highest(heatmaps[:, [parent]])[0] for parent in parents))
        lean = HANGS * ((first - second) * hang).sum(1) / (SPOT * rows) ** 2
        straight = log_height(left, first) + log_height(right, second)
        crossed = log_height(left, second) + log_height(right, first)
        left_is_first = (straight - crossed + lean > 0)[:, None]
        two = lower >= NEARLY * high
        for joint, others in (
            (left, np.where(left_is_first, second, first)),
            (right, np.where(left_is_first, first, second)),
        ):
            not_mine = around(others)
            x, y = _highest(heatmaps[:, [joint]])[0].T
            moves = two & not_mine[each, y, x]
            heatmaps[moves, joint] = np.where(not_mine[moves], 0, heatmaps[moves, joint])
    return heatmaps


def _highest(heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Column and row (N, 2) and height (N,) of the highest cells of maps (N, 1, H, W)."""
    x, y, height = _peaks(heatmaps)
    return np.concatenate([x, y], axis=1), height[:, 0]


def _peaks(heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Column, row and height (N, J) of the highest cell; column and row 0 if none is above 0."""
    count, joints, rows, columns = heatmaps.shape
    flat = heatmaps.reshape(count, joints, rows * columns)
    best = flat.argmax(-1)
    scores = np.take_along_axis(flat, best[..., None], -1)[..., 0]
    best[scores <= 0] = 0
    y, x = np.divmod(best, columns)
    return x, y, scores.astype(np.float32)


def _in_picture(
    cells: np.ndarray, centers: np.ndarray, scales: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Cells (N, J, 2) of heatmaps of ``size`` = (columns, rows) as float32 px of the picture."""
    steps = (np.asarray(scales) / size)[:, None]
    corners = (np.asarray(centers) - np.asarray(scales) / 2)[:, None]
    return (corners + cells * steps).astype(np.float32)


def _from_peak_to_middle(
    heatmaps: np.ndarray, x: np.ndarray, y: np.ndarray, sigma: float
) -> np.ndarray:
    """Steps (P, 2) in cells from the peaks (x, y) of heatmaps (P, H, W) to the Gaussians' middles.

    One Newton step on the logarithm of the smoothed map. The paper also scales the smoothed map
    back to its former height, which changes no derivative of the logarithm.
    """
    # Only the 5 x 5 cells around a peak are needed, so only these are smoothed.
    reach = math.ceil(2.5 * sigma)
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    smooth = np.stack([np.pad(taps / taps.sum(), (shift, 4 - shift)) for shift in range(5)])
    padded = np.pad(heatmaps, ((0, 0), (reach, reach), (reach, reach)))
    span = np.arange(-2, 2 * reach + 3)
    around = padded[
        np.arange(len(padded))[:, None, None],
        (y[:, None] + span)[:, :, None],
        (x[:, None] + span)[:, None],
    ]
    height = np.log(np.maximum(smooth @ around @ smooth.T, 1e-10)).transpose(1, 2, 0)

    slope_x = (height[2, 3] - height[2, 1]) / 2
    slope_y = (height[3, 2] - height[1, 2]) / 2
    bend_xx = (height[2, 4] - 2 * height[2, 2] + height[2, 0]) / 4
    bend_yy = (height[4, 2] - 2 * height[2, 2] + height[0, 2]) / 4
    bend_xy = (height[3, 3] - height[3, 1] - height[1, 3] + height[1, 1]) / 4
    determinant = bend_xx * bend_yy - bend_xy**2
    # Where the smoothed map does not bend down both ways, the parabola has no top.
    top = (bend_xx < 0) & (determinant > 0)
    steps = (
        np.stack(
            [bend_xy * slope_y - bend_yy * slope_x, bend_xy * slope_x - bend_xx * slope_y], axis=-1
        )
        / np.where(top, determinant, np.inf)[:, None]
    )
    # The middle of a Gaussian is within half a cell of its peak; noise may say anything.
    return steps.clip(-1, 1)
