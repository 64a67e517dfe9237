"""Crops and heatmaps, held against numbers of the HRNet authors' code."""

import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from detectors2d.heatmaps import (
    COCO_MIRROR,
    box_to_crop,
    crop_transforms,
    decode,
    flip_heatmaps,
    untangle_legs,
)
from pipeline.joints import COCO_NAMES

DATA = Path(__file__).parents[1] / "data" / "heatmap_decode.npz"
UNIT = 200  # HRNet's code gives scales in units of 200 px
ASPECT = 288 / 384


@pytest.fixture(scope="module")
def golden():
    """Heatmaps of one person: noise, blobs also near borders, and one map with nothing in it."""
    with np.load(DATA) as file:
        return dict(file)


@pytest.fixture
def boxes():
    generator = np.random.default_rng(0)
    corner = generator.uniform(-100, 900, (50, 2))
    return np.concatenate([corner, corner + np.exp(generator.uniform(1, 7, (50, 2)))], axis=-1)


def test_crops_equal_the_authors(golden):
    centers, scales = box_to_crop(golden["boxes"], ASPECT)
    np.testing.assert_array_equal(centers, golden["center_288x384"])
    np.testing.assert_allclose(scales / UNIT, golden["scale_288x384"], rtol=0, atol=1e-6)


def test_crops_are_not_the_research_demos(golden):
    """They take the picture's height / width for the network's width / height."""
    _, scales = box_to_crop(golden["boxes"], ASPECT)
    off = np.abs(scales / UNIT - golden["scale_demo_bug_1920x1080"]).max(-1)
    assert (off > 0.5).all()
    # Their crop of the first, upright box is lower than the box. (Only the width counts in it.)
    height = golden["boxes"][0, 3] - golden["boxes"][0, 1]
    assert golden["scale_demo_bug_1920x1080"][0, 0] * UNIT / ASPECT < height
    assert scales[0, 0] / ASPECT == 1.25 * height


@pytest.mark.parametrize(("aspect", "padding"), [(192 / 256, 1.25), (1.0, 1.0), (4 / 3, 1.5)])
def test_crop_holds_the_box_and_is_no_larger_than_it_must(boxes, aspect, padding):
    centers, scales = box_to_crop(boxes, aspect, padding)
    extent = boxes[:, 2:] - boxes[:, :2]
    np.testing.assert_allclose(centers, boxes[:, :2] + extent / 2)
    np.testing.assert_allclose(scales[:, 0] / scales[:, 1], aspect)
    room = scales / extent
    np.testing.assert_allclose(room.min(-1), padding)


def test_a_box_without_extent_gives_a_crop():
    centers, scales = box_to_crop(np.array([[30, 40, 30, 40], [9, 9, 5, 5]]), ASPECT)
    assert (scales > 0).all()
    assert np.isfinite(crop_transforms(centers, scales, (288, 384))).all()


def test_transforms_equal_the_authors(golden):
    centers, scales = golden["center"], golden["scale"] * UNIT
    maps = crop_transforms(centers, scales, (192, 256))
    np.testing.assert_allclose(maps, golden["affine"], rtol=0, atol=5e-5)
    back = [cv2.invertAffineTransform(m) for m in crop_transforms(centers, scales, (48, 64))]
    np.testing.assert_allclose(back, golden["affine_inv"], rtol=0, atol=5e-5)


def test_transform_puts_the_crop_on_the_whole_input(boxes):
    centers, scales = box_to_crop(boxes, ASPECT)
    maps = crop_transforms(centers, scales, (288, 384))
    for offset, expected in (
        ((-0.5, -0.5), (0, 0)),
        ((0.5, 0.5), (288, 384)),
        ((0, 0), (144, 192)),
    ):
        points = centers + scales * offset
        moved = np.einsum("nij,nj->ni", maps[..., :2], points) + maps[..., 2]
        np.testing.assert_allclose(moved, np.broadcast_to(expected, moved.shape), atol=1e-9)


def test_decoding_equals_the_authors(golden):
    center, scale = golden["center"][:1], golden["scale"][:1] * UNIT
    keypoints, scores = decode(golden["heatmaps"], center, scale)
    np.testing.assert_allclose(keypoints, golden["preds"], rtol=0, atol=5e-5)
    np.testing.assert_array_equal(scores, golden["maxvals"][..., 0])
    assert keypoints.dtype == scores.dtype == np.float32
    assert (scores <= 0).sum() == 1


def test_every_crop_has_its_own_place(golden):
    keypoints, scores = decode(
        golden["heatmaps"].repeat(2, 0), golden["center"], golden["scale"] * UNIT
    )
    step, corner = golden["affine_inv"][:, [0, 1], [0, 1]], golden["affine_inv"][:, :, 2]
    cells = (golden["preds"][0] - corner[0]) / step[0]
    np.testing.assert_allclose(keypoints[1], cells * step[1] + corner[1], rtol=0, atol=2e-4)
    np.testing.assert_array_equal(scores[0], scores[1])


def decode_one(heatmap):
    """Cell coordinates of one map, literally as HRNet's test code describes it."""
    rows, columns = heatmap.shape
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    if heatmap[y, x] <= 0:
        return 0, 0
    if not (1 < x < columns - 1 and 1 < y < rows - 1):
        return x, y
    slope_x = heatmap[y, x + 1] - heatmap[y, x - 1]
    slope_y = heatmap[y + 1, x] - heatmap[y - 1, x]
    return x + 0.25 * np.sign(slope_x), y + 0.25 * np.sign(slope_y)


def test_tiny_maps_with_ties_and_borders():
    """Whole numbers, so that peaks and slopes tie; small maps, so that peaks touch borders."""
    heatmaps = np.random.default_rng(0).integers(-40, 3, (60, 17, 8, 6)).astype(np.float32)
    crops = np.full((60, 2), [3.0, 4.0]), np.full((60, 2), [6.0, 8.0])  # a cell is a px
    keypoints, _ = decode(heatmaps, *crops)
    expected = np.array([[decode_one(heatmap) for heatmap in person] for person in heatmaps])
    np.testing.assert_array_equal(keypoints, expected)
    assert set(np.unique(keypoints % 1)) == {0, 0.25, 0.75}
    assert {(2 - 0.25), (4 + 0.25)} <= set(np.unique(keypoints[..., 0]))  # the last that may move


def test_drawn_joints_are_found_within_a_quarter_of_a_cell(boxes):
    boxes = boxes[:10]
    generator = np.random.default_rng(1)
    centers, scales = box_to_crop(boxes, 0.75)
    truth = centers[:, None] + generator.uniform(-0.4, 0.4, (10, 17, 2)) * scales[:, None]
    maps = crop_transforms(centers, scales, (48, 64))
    cells = np.einsum("nij,nkj->nki", maps[..., :2], truth) + maps[:, None, :, 2]
    y, x = np.mgrid[:64, :48]
    square = (x - cells[..., :1, None]) ** 2 + (y - cells[..., 1:, None]) ** 2
    keypoints, scores = decode(np.exp(-square / 8), centers, scales)
    error = np.abs(keypoints - truth) / (scales / (48, 64))[:, None]
    assert error.max() < 0.2501
    assert (scores > 0.9).all()


def test_flipped_heatmaps_equal_the_authors(golden):
    back = np.ascontiguousarray(flip_heatmaps(golden["heatmaps"]))
    assert zlib.crc32(back) == golden["flipped_back_crc32"]


def test_flipping_back_exchanges_sides(golden):
    heatmaps = np.zeros((1, 17, 64, 48), np.float32)
    heatmaps[0, COCO_NAMES.index("left_wrist"), 20, 5] = 1
    back = flip_heatmaps(heatmaps)
    assert back[0, COCO_NAMES.index("right_wrist"), 20, 42] == back.sum() == 1
    np.testing.assert_array_equal(
        flip_heatmaps(flip_heatmaps(golden["heatmaps"])), golden["heatmaps"]
    )
    for joint, mirrored in enumerate(COCO_MIRROR):
        swapped = (
            COCO_NAMES[joint].replace("left", "?").replace("right", "left").replace("?", "right")
        )
        assert COCO_NAMES[mirrored] == swapped


def test_nobody():
    centers, scales = box_to_crop(np.empty((0, 4)), ASPECT)
    assert crop_transforms(centers, scales, (288, 384)).shape == (0, 2, 3)
    keypoints, scores = decode(np.empty((0, 17, 96, 72), np.float32), centers, scales)
    assert keypoints.shape == (0, 17, 2)
    assert scores.shape == (0, 17)


def legs(**spots):
    """Heat maps (1, 17, 64, 48) with Gaussians of given heights: hip_l=[(x, y, height), ...]."""
    names = {"hip_l": 11, "hip_r": 12, "knee_l": 13, "knee_r": 14, "ankle_l": 15, "ankle_r": 16}
    rows, columns = np.mgrid[:64, :48]
    maps = np.zeros((1, 17, 64, 48), np.float32)
    for name, peaks in spots.items():
        for x, y, height in peaks:
            blob = height * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8)
            maps[0, names[name]] = np.maximum(maps[0, names[name]], blob)
    return maps


def places(maps):
    flat = maps[0, 11:17].reshape(6, -1).argmax(1)
    return [(int(i % 48), int(i // 48)) for i in flat]


# A man seen from the front: his left is on the right.
HIPS = {"hip_l": [(28, 20, 0.9)], "hip_r": [(20, 20, 0.9)]}
APART = [(28, 20), (20, 20), (29, 36), (19, 36), (30, 52), (18, 52)]


def test_legs_in_doubt_hang_on_hips():
    """Both sides have both peaks, and the same one is the higher in both."""
    maps = legs(
        **HIPS,
        knee_l=[(29, 36, 0.45), (19, 36, 0.48)],
        knee_r=[(29, 36, 0.45), (19, 36, 0.5)],
        ankle_l=[(30, 52, 0.5), (18, 52, 0.4)],
        ankle_r=[(30, 52, 0.5), (18, 52, 0.45)],
    )
    before = maps.copy()
    assert places(maps)[2] == places(maps)[3] == (19, 36)
    assert places(untangle_legs(maps)) == APART
    np.testing.assert_array_equal(maps, before)


def test_legs_that_the_network_tells_apart_stay():
    """They may be crossed; and two legs on one spot have one peak."""
    crossed = legs(
        **HIPS,
        knee_l=[(19, 36, 0.8), (29, 36, 0.1)],
        knee_r=[(29, 36, 0.8), (19, 36, 0.1)],
        ankle_l=[(24, 52, 0.8)],
        ankle_r=[(25, 52, 0.7), (40, 40, 0.2)],
    )
    np.testing.assert_array_equal(untangle_legs(crossed), crossed)


def test_in_profile_the_likelier_way_wins():
    maps = legs(
        hip_l=[(24, 20, 0.9)],
        hip_r=[(24, 20, 0.9)],
        knee_l=[(30, 36, 0.5), (18, 36, 0.45)],
        knee_r=[(30, 36, 0.45), (18, 36, 0.43)],
    )
    left, right = places(untangle_legs(maps))[2:4]
    assert (left, right) == ((30, 36), (18, 36))


def test_empty_maps_stay_empty():
    assert not untangle_legs(np.zeros((2, 17, 64, 48), np.float32)).any()
    assert untangle_legs(np.zeros((0, 17, 64, 48), np.float32)).shape == (0, 17, 64, 48)
