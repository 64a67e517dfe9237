"""mmcv's operations on PyTorch, against their definitions in loops."""

import numpy as np
import pytest
import torch

from detectors2d.mm.ops import nms, roi_align


def overlap(a, b, offset) -> float:
    """Intersection over union of two boxes of whole numbers, in Python's exact integers."""
    width = min(a[2], b[2]) - max(a[0], b[0]) + offset
    height = min(a[3], b[3]) - max(a[1], b[1]) + offset
    both = max(width, 0) * max(height, 0)
    sizes = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)]
    return both / (sum(sizes) - both)


def kept_by_definition(boxes, scores, threshold, offset):
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(overlap(boxes[i], boxes[j], offset) <= threshold for j in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("threshold", [0.1507, 0.4507, 0.7507])
def test_nms_by_its_definition(threshold, offset):
    generator = np.random.default_rng(0)
    corners = generator.integers(0, 60, (200, 2))
    boxes = np.concatenate([corners, corners + generator.integers(1, 50, (200, 2))], axis=1)
    scores = generator.permutation(200) / 200
    expected = kept_by_definition(boxes.tolist(), scores.tolist(), threshold, offset)
    found = nms(torch.tensor(boxes).float(), torch.tensor(scores), threshold, offset)
    assert found.tolist() == expected
    assert 5 < len(expected) < 200


def test_nms_at_its_edges():
    boxes = torch.tensor([[0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 10.0]])
    scores = torch.tensor([0.5, 0.4, 0.5])
    # Half of the union is not more than half; of equal scores the first remains.
    assert nms(boxes, scores, 0.5).tolist() == [0, 1]
    assert nms(boxes, scores, 0.49).tolist() == [0]
    assert nms(boxes[:0], scores[:0], 0.5).shape == (0,)
    points = torch.tensor([[3, 3, 3, 3], [3, 3, 3, 3.0]])  # no union at all
    assert nms(points, scores[:2], 0.5).tolist() == [0, 1]


def point(feature, y, x) -> float:
    """One channel at a place between its numbers."""
    rows, columns = feature.shape
    if not (-1 <= y <= rows and -1 <= x <= columns):
        return 0.0
    y, x = min(max(y, 0), rows - 1), min(max(x, 0), columns - 1)
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, rows - 1), min(x0 + 1, columns - 1)
    upper = feature[y0, x0] * (1 - x + x0) + feature[y0, x1] * (x - x0)
    lower = feature[y1, x0] * (1 - x + x0) + feature[y1, x1] * (x - x0)
    return upper * (1 - y + y0) + lower * (y - y0)


def aligned_by_definition(features, roi, size, scale, samples, aligned):
    left, top, right, bottom = (c * scale - (0.5 if aligned else 0) for c in roi[1:])
    width, height = right - left, bottom - top
    if not aligned:
        width, height = max(width, 1), max(height, 1)
    count_y = samples or int(np.ceil(height / size[0]))
    count_x = samples or int(np.ceil(width / size[1]))
    result = np.zeros((features.shape[1], *size))
    for channel, row, column in np.ndindex(result.shape):
        total = 0.0
        for i, j in np.ndindex(count_y, count_x):
            y = top + (row + (i + 0.5) / count_y) * height / size[0]
            x = left + (column + (j + 0.5) / count_x) * width / size[1]
            total += point(features[int(roi[0]), channel], y, x)
        result[channel, row, column] = total / max(count_y * count_x, 1)
    return result


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("samples", [0, 2])
def test_roi_align_by_its_definition(samples, aligned):
    generator = np.random.default_rng(1)
    features = generator.normal(size=(2, 2, 12, 17))
    rois = [
        [0, 3, 5, 40, 30],
        [1, 10.2, 4.4, 15.1, 44.9],  # narrow: few points in one direction, many in the other
        [1, 0, 0, 68, 48],
        [0, -30, -22, 20, 90],  # beyond all sides
        [1, 200, 200, 300, 300],  # outside
        [0, 8, 8, 8, 8],  # empty
        [0, 20, 20, 10, 10],  # turned inside out
    ]
    boxes = torch.tensor(rois, dtype=torch.float64)
    found = roi_align(torch.tensor(features), boxes, (3, 4), 0.25, samples, aligned)
    expected = [
        aligned_by_definition(features, roi, (3, 4), 0.25, samples, aligned) for roi in rois
    ]
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-12)
    assert np.abs(expected[:4]).max() > 0.5


def test_roi_align_of_no_boxes():
    assert roi_align(torch.zeros(1, 5, 4, 4), torch.zeros(0, 5), (7, 7)).shape == (0, 5, 7, 7)
