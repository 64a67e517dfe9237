"""Decoding by the distribution around a peak, held against Gaussians of known middles."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from detectors2d.heatmaps import decode, decode_dark

DATA = Path(__file__).parents[1] / "data" / "heatmap_decode.npz"


def cells_of(decoder, heatmaps):
    """Decoded, with crops in which a cell is a px."""
    size = np.array(heatmaps.shape[:1:-1], float)
    crops = np.tile(size / 2, (len(heatmaps), 1)), np.tile(size, (len(heatmaps), 1))
    return decoder(heatmaps, *crops)


def gaussians(middles, rows, columns, sigma):
    y, x = np.mgrid[:rows, :columns]
    square = (x - middles[..., :1, None]) ** 2 + (y - middles[..., 1:, None]) ** 2
    return np.exp(-square / (2 * sigma**2)).astype(np.float32)


@pytest.mark.parametrize(("rows", "columns", "sigma"), [(64, 48, 2), (96, 72, 3), (64, 64, 2)])
def test_middles_of_gaussians(rows, columns, sigma):
    generator = np.random.default_rng(0)
    middles = generator.uniform(8, (columns - 9, rows - 9), (20, 17, 2))
    heatmaps = 0.8 * gaussians(middles, rows, columns, sigma)
    keypoints, scores = cells_of(decode_dark, heatmaps)
    assert np.abs(keypoints - middles).max() < 0.01
    quarter, quarter_scores = cells_of(decode, heatmaps)
    assert np.abs(quarter - middles).max() > 0.2
    np.testing.assert_array_equal(scores, quarter_scores)


def test_noise():
    """The smoothing uses cells that the peak and its neighbours alone do not."""
    generator = np.random.default_rng(1)
    middles = generator.uniform(10, (37, 53), (40, 17, 2))
    heatmaps = gaussians(middles, 64, 48, 2)
    heatmaps = heatmaps + generator.normal(0, 0.03, heatmaps.shape).astype(np.float32)
    dark = np.linalg.norm(cells_of(decode_dark, heatmaps)[0] - middles, axis=-1).mean()
    quarter = np.linalg.norm(cells_of(decode, heatmaps)[0] - middles, axis=-1).mean()
    assert dark < 0.5 * quarter


def dark_one(heatmap):
    """One map as the paper writes it: the map smoothed, scaled back, its logarithm, eq. 4-8."""
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    smoothed = cv2.GaussianBlur(heatmap, (11, 11), 0, borderType=cv2.BORDER_CONSTANT)
    h = np.log(np.maximum(smoothed * (heatmap.max() / smoothed.max()), 1e-10)).astype(float)
    slope = np.array([h[y, x + 1] - h[y, x - 1], h[y + 1, x] - h[y - 1, x]]) / 2
    cross = h[y + 1, x + 1] - h[y - 1, x + 1] - h[y + 1, x - 1] + h[y - 1, x - 1]
    hessian = np.array(
        [
            [h[y, x + 2] - 2 * h[y, x] + h[y, x - 2], cross],
            [cross, h[y + 2, x] - 2 * h[y, x] + h[y - 2, x]],
        ]
    )
    return np.array([x, y]) - np.linalg.solve(hessian / 4, slope)


def test_the_papers_formula_on_uneven_blobs():
    generator = np.random.default_rng(2)
    middles = generator.uniform(6, (41, 57), (5, 17, 2))
    heatmaps = gaussians(middles, 64, 48, 1.5)
    heatmaps += 0.5 * gaussians(middles + generator.uniform(-2, 2, middles.shape), 64, 48, 2.5)
    found, _ = cells_of(decode_dark, heatmaps)
    expected = np.array([[dark_one(heatmap) for heatmap in person] for person in heatmaps])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


def test_borders_and_wild_maps():
    with np.load(DATA) as file:
        heatmaps = file["heatmaps"]
    noise = np.random.default_rng(3).normal(0, 1, (20, 17, 64, 48)).astype(np.float32)
    for maps in (heatmaps, noise, np.zeros_like(noise), np.ones_like(noise), -(noise**2)):
        keypoints, scores = cells_of(decode_dark, maps)
        quarter, quarter_scores = cells_of(decode, maps)
        assert np.isfinite(keypoints).all()
        assert np.abs(keypoints - quarter).max() <= 1.25  # a cell beyond the peak at most
        np.testing.assert_array_equal(scores, quarter_scores)
    corner = np.zeros((1, 17, 64, 48), np.float32)
    corner[..., 1, 46] = 1
    assert (cells_of(decode_dark, corner)[0] == (46, 1)).all()
    assert cells_of(decode_dark, noise[:0])[0].shape == (0, 17, 2)
