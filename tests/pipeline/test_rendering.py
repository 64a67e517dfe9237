"""The 2D skeleton and the lettering, checked by geometry and by pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lifters3d.skeleton import LEFT, RIGHT
from pipeline.rendering import draw_skeleton2d
from pipeline.rendering.palette import LEFT_COLOUR, RIGHT_COLOUR, opacity_of_scores
from pipeline.rendering.strokes import capsules
from pipeline.rendering.text import draw_text, time_code
from tests.pipeline.figures import STANDING, changed, pixel_at

FRONT = STANDING[:, [0, 2]]


def keypoints(size=(640, 480), height=300.0) -> np.ndarray:
    """(17, 2) px: the standing person seen from the front, feet low in the picture."""
    return FRONT * [height / 1.7, -height / 1.7] + [size[0] / 2, size[1] * 0.9]


def grey(size=(640, 480)) -> np.ndarray:
    return np.full((size[1], size[0], 3), 90, np.uint8)


def centroid(image: np.ndarray, before: np.ndarray) -> np.ndarray:
    """(2,) px: middle of the change, weighted by its size; the first pixel's centre is 0.5."""
    weight = np.abs(image.astype(float) - before).sum(-1)
    rows, columns = np.indices(weight.shape) + 0.5
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


# 2D skeleton -----------------------------------------------------------------------------------


def test_bones_of_the_2d_skeleton_have_the_colour_of_their_side():
    image, points = grey(), keypoints()
    draw_skeleton2d(image, points, None, alpha=1)
    for joints, own in ((LEFT, LEFT_COLOUR), (RIGHT, RIGHT_COLOUR)):
        a, b = points[joints[4]], points[joints[5]]  # forearm
        np.testing.assert_allclose(pixel_at(image, (a + b) / 2), own, atol=2)


def test_the_picture_is_untouched_away_from_the_skeleton():
    image = np.random.default_rng(1).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    before, points = image.copy(), keypoints()
    draw_skeleton2d(image, points, np.full(17, 0.4))
    mask = np.full(image.shape[:2], 255, np.uint8)
    parents = [0, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15]
    for j, p in enumerate(parents):
        a, b = (tuple(np.rint(points[k]).astype(int).tolist()) for k in (p, j))
        cv2.line(mask, a, b, 0, 3)
    away = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    head = np.hypot(*(np.indices(mask.shape)[::-1] - points[[9, 10]].mean(0)[:, None, None]))
    assert not changed(image, before)[(away > 12) & (head > 40)].any()
    assert changed(image, before)[away == 0].mean() > 0.95


def test_opacity_falls_with_the_score():
    seen = []
    for score in (0.9, 0.5, 0.25, 0.0):
        image, points = grey(), keypoints()
        draw_skeleton2d(image, points, np.full(17, score))
        seen.append(np.abs(pixel_at(image, (points[12] + points[13]) / 2).astype(int) - 90).sum())
    assert seen[0] > seen[1] > seen[2] > seen[3] > 0
    np.testing.assert_allclose(opacity_of_scores([0.0, 0.65, 1.0, np.nan]), [0.12, 1, 1, 1])


def test_one_weak_joint_weakens_only_its_bones():
    strong, weak, points = grey(), grey(), keypoints()
    scores = np.full(17, 0.9)
    draw_skeleton2d(strong, points, scores)
    scores[13] = 0.1
    draw_skeleton2d(weak, points, scores)
    forearm, shin = (points[12] + points[13]) / 2, (points[2] + points[3]) / 2
    assert changed(strong, weak)[int(forearm[1]), int(forearm[0])]
    np.testing.assert_array_equal(pixel_at(strong, shin), pixel_at(weak, shin))


def test_absent_keypoints_draw_nothing():
    image = grey()
    draw_skeleton2d(image, np.full((17, 2), np.nan), np.full(17, np.nan))
    far = np.full((17, 2), 1e9)
    draw_skeleton2d(image, far)
    np.testing.assert_array_equal(image, grey())
    points = keypoints()
    points[13] = np.nan
    draw_skeleton2d(image, points)
    forearm = keypoints()[12] * 0.3 + keypoints()[13] * 0.7
    np.testing.assert_array_equal(pixel_at(image, forearm), [90, 90, 90])
    assert np.abs(pixel_at(image, (points[11] + points[12]) / 2).astype(int) - 90).max() > 50


@pytest.mark.parametrize("place", [(100.5, 80.5), (100.3, 80.75), (99.9, 81.1)])
def test_joints_are_drawn_at_their_sub_pixel_places(place):
    points = np.full((17, 2), np.nan)
    points[6] = place
    image = grey((200, 160))
    draw_skeleton2d(image, points)
    np.testing.assert_allclose(centroid(image, grey((200, 160))), place, atol=0.12)


def test_a_small_movement_moves_the_drawing_by_as_much():
    points = np.full((17, 2), np.nan)
    points[[5, 6]] = [[60.2, 30.1], [90.7, 120.4]]
    middles = []
    for step in np.arange(0, 1, 0.25):
        image = grey((200, 160))
        draw_skeleton2d(image, points + np.array([step, 0]))
        middles.append(centroid(image, grey((200, 160))))
    np.testing.assert_allclose(np.diff(middles, axis=0), [[0.25, 0]] * 3, atol=0.08)


# shapes and text -------------------------------------------------------------------------------


def test_capsules_hold_both_discs_and_no_more():
    a, b = np.array([[10.0, 10], [5, 5], [0, 0]]), np.array([[40.0, 25], [6, 5], [0, 0]])
    ra, rb = np.array([6.0, 4, 3]), np.array([3.0, 1, 3])
    for polygon, p, q, r, s in zip(capsules(a, b, ra, rb), a, b, ra, rb, strict=True):
        outline = polygon.astype(np.float32)
        hull = cv2.contourArea(cv2.convexHull(outline))
        assert cv2.contourArea(outline) == pytest.approx(hull, rel=1e-4)
        # The area of the hull of two discs, from textbook geometry.
        length = np.hypot(*(q - p))
        if length <= abs(r - s):
            area = np.pi * max(r, s) ** 2
        else:
            half = np.arccos((r - s) / length)
            area = np.sqrt(length**2 - (r - s) ** 2) * (r + s)
            area += (np.pi - half) * r**2 + half * s**2
        assert cv2.contourArea(outline) == pytest.approx(area, rel=0.06)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "00:00.00"),
        (0.29, "00:00.29"),
        (59.999, "00:59.99"),
        (83.456, "01:23.45"),
        (6000, "100:00.00"),
        (-1.5, "-00:01.50"),
        (float("nan"), "--:--.--"),
    ],
)
def test_time_code(seconds, words):
    assert time_code(seconds) == words


def test_digits_are_equally_wide_so_that_a_running_clock_does_not_shake():
    image = grey()
    widths = {draw_text(image, digit * 8, 5, 40, 14) for digit in "0123456789"}
    assert len(widths) == 1


def test_text_outside_the_picture_is_cut():
    image = grey((60, 40))
    draw_text(image, "interpolated", -30, 5, 12)
    draw_text(image, "interpolated", 50, 45, 12)
    draw_text(image, "interpolated", 500, 45, 12)
    assert image.shape == (40, 60, 3)
