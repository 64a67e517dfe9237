"""What the layouts show and where, against projections that are computed on their own."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.rendering import Clip, clip_of, make_layout
from pipeline.rendering.layout import shown_size
from pipeline.rendering.palette import LEFT_COLOUR, RIGHT_COLOUR
from pipeline.settings import LAYOUTS
from tests.pipeline.figures import (
    STANDING,
    changed,
    clip_of_joints,
    in_camera,
    like,
    pixel_at,
    result_of_joints,
    walk,
)
from weights.errors import Pose3dError


def grey(size=(640, 480)) -> np.ndarray:
    return np.full((size[1], size[0], 3), 90, np.uint8)


def place_of(joints: np.ndarray, clip: Clip, size: tuple[int, int]) -> np.ndarray:
    """Where OpenCV's pinhole puts joints (N, 3) metres, world, in a picture shown at `size`."""
    scale = size[1] / clip.picture_size[1]
    focal = clip.focal * scale
    intrinsics = np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1]])
    places, _ = cv2.projectPoints(in_camera(joints), np.zeros(3), np.zeros(3), intrinsics, None)
    return places[:, 0]


# Sizes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("picture", "side_by_side", "overlay", "panel", "grid"),
    [
        ((1280, 720), (2000, 720), (1280, 720), (1280, 720), (1920, 1080)),
        ((720, 1280), (1418, 1080), (720, 1280), (608, 1080), (608, 1080)),
        ((3840, 2160), (3000, 1080), (3840, 2160), (1920, 1080), (1920, 1080)),
        ((641, 481), (1124, 482), (642, 482), (960, 720), (1284, 964)),
        ((160, 120), (840, 360), (480, 360), (960, 720), (960, 720)),
        ((107, 61), (992, 360), (632, 360), (1264, 720), (1264, 720)),
    ],
)
def test_sizes_are_even_and_fit(picture, side_by_side, overlay, panel, grid):
    expected = dict(zip(LAYOUTS, (side_by_side, overlay, panel, grid), strict=True))
    clip = clip_of_joints(walk(3), picture)
    for name, size in expected.items():
        layout = make_layout(name, clip)
        out = layout.draw(2, grey(picture))
        assert layout.size == size
        assert (out.shape, out.dtype) == ((size[1], size[0], 3), np.uint8)


def test_shown_size_leaves_usual_pictures_alone():
    assert shown_size((1920, 1080)) == (1920, 1080)
    assert shown_size((640, 360)) == (640, 360)
    assert shown_size((1080, 1920)) == (608, 1080)


def test_very_wide_and_very_tall_pictures_stay_within_what_encoders_take():
    assert shown_size((3000, 40)) == (3840, 51)
    assert shown_size((7680, 1080)) == (3840, 540)
    for picture in ((3000, 40), (40, 3000)):
        for name in LAYOUTS:
            width, height = make_layout(name, clip_of_joints(walk(2), picture)).size
            assert max(width, height) <= 4920


# The picture -------------------------------------------------------------------------------------


def test_the_picture_is_on_the_left_and_the_caller_keeps_it():
    image = np.random.default_rng(2).integers(0, 256, (481, 641, 3), dtype=np.uint8)
    before = image.copy()
    layout = make_layout("side-by-side", clip_of_joints(walk(), (641, 481)))
    out = layout.draw(0, image)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(out[:481, :100], image[:, :100])
    np.testing.assert_array_equal(out[481, :100], image[-1, :100])
    np.testing.assert_array_equal(out[:481, 641], image[:, -1])
    np.testing.assert_array_equal(out[:, 642:], layout.scene.draw(0))


def test_keypoints_follow_the_picture_when_it_is_scaled():
    size, points = (1080, 1920), np.full((20, 1, 17, 2), np.nan)
    points[:, :, 6] = [400.0, 900.0]
    layout = make_layout("side-by-side", clip_of_joints(walk(), size, keypoints=points))
    out = layout.draw(0, grey(size))[:, :608].astype(float)
    weight = np.abs(out - 90).sum(-1)
    rows, columns = np.indices(weight.shape) + 0.5
    middle = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
    np.testing.assert_allclose(middle, [400 * 608 / 1080, 900 * 1080 / 1920], atol=0.12)


def test_several_people_have_their_own_colour_and_number():
    joints = np.concatenate([walk(stride=0), walk(stride=0) + np.array([1.5, 0, 0])], 1)
    clip = clip_of_joints(joints - [0.75, 0, 0])
    out = make_layout("side-by-side", clip).draw(0, grey())
    keys = clip.keypoints2d[0]
    first, second = (pixel_at(out, keys[p, [0, 7]].mean(0)).astype(int) for p in (0, 1))
    assert np.ptp(first) < 10 < 60 < np.ptp(second)
    for p in (0, 1):
        x, top = int(keys[p, 10, 0]), int(keys[p, 10, 1])
        assert (out[: top - 25, x - 10 : x + 10] != 90).any()


@pytest.mark.parametrize("name", LAYOUTS)
def test_nobody_in_the_video(name):
    for people in (0, 2):
        clip = clip_of_joints(np.full((5, people, 17, 3), np.nan))
        layout = make_layout(name, clip)
        out = layout.draw(4, grey())
        if layout.needs_picture:
            middle = (slice(60, 200), slice(100, 400))
            np.testing.assert_array_equal(out[middle], grey()[middle])


# Overlay -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(640, 480), (1080, 1920), (200, 150)])
def test_the_overlay_lies_where_a_pinhole_camera_sees_the_joints(size):
    clip = clip_of_joints(walk(stride=0.6), size)
    layout = make_layout("overlay", clip)
    for t in (0, 19):
        out = layout.draw(t, grey(size))
        joints = clip.joints_world[t, 0]
        for limbs, own, other in (
            (((4, 5), (5, 6), (12, 13)), LEFT_COLOUR, RIGHT_COLOUR),
            (((1, 2), (2, 3), (15, 16)), RIGHT_COLOUR, LEFT_COLOUR),
        ):
            middles = np.array([(joints[a] + joints[b]) / 2 for a, b in limbs])
            for place in place_of(middles, clip, layout.size):
                pixel = pixel_at(out, place)
                assert like(pixel, own) > max(0.9, like(pixel, other) + 0.05)


def test_the_overlay_leaves_the_rest_of_the_picture_alone():
    clip = clip_of_joints(walk(stride=0))
    image = np.random.default_rng(1).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    out = make_layout("overlay", clip).draw(0, image)
    places = place_of(clip.joints_world[0, 0], clip, (640, 480))
    low, high = places.min(0).astype(int) - 25, places.max(0).astype(int) + 25
    touched = changed(out, image)
    assert touched[low[1] : high[1], low[0] : high[0]].mean() > 0.05
    touched[low[1] : high[1], low[0] : high[0]] = False
    assert not touched[:430].any()  # time code and legend are lower


def test_limbs_of_the_overlay_are_shaded_by_their_depth():
    # Both forearms in view, one half a metre nearer than the other.
    joints = STANDING.copy()
    joints[[12, 13], 1] -= 0.5
    joints[[15, 16], 1] += 0.5
    clip = clip_of_joints(joints[None, None])
    out = make_layout("overlay", clip).draw(0, grey())
    shares = []
    for (a, b), colour in (((12, 13), LEFT_COLOUR), ((15, 16), RIGHT_COLOUR)):
        place = place_of(((joints[a] + joints[b]) / 2)[None], clip, (640, 480))[0]
        shares.append(pixel_at(out, place).sum() / np.sum(colour))
    assert shares[0] > shares[1] + 0.1


def test_strokes_of_the_overlay_grow_with_the_picture():
    widths = []
    for size in ((640, 480), (2560, 1920)):
        clip = clip_of_joints(walk(1), size)
        layout = make_layout("overlay", clip)
        out = layout.draw(0, grey(size))
        thigh = place_of((STANDING[4] + STANDING[5])[None] / 2, clip, layout.size)[0]
        widths.append(changed(out, grey(size))[int(thigh[1]), int(thigh[0]) :].argmin())
    assert widths[1] == pytest.approx(4 * widths[0], rel=0.15)


# Grid --------------------------------------------------------------------------------------------


def test_cells_of_the_grid():
    clip = clip_of_joints(walk(stride=0))
    layout = make_layout("grid", clip)
    out = layout.draw(3, grey())
    assert layout.size == (1280, 960)
    cells = {"front": (0, 640), "side": (480, 0), "top": (480, 640)}
    for scene, (row, column) in zip(layout.scenes, cells.values(), strict=True):
        inner = out[row + 5 : row + 475, column + 5 : column + 635]
        np.testing.assert_array_equal(inner, scene.draw(3)[5:475, 5:635])
        assert changed(scene.draw(3), scene.background).any()
    joints = clip.joints_world[3, 0]
    front, side, top = (scene.camera.project(joints)[0] for scene in layout.scenes)
    # The person faces the camera that filmed: the left hand is on the right, and from the side,
    # seen from where the left hand points, the face looks to the left.
    assert front[13, 0] > front[16, 0] + 50
    assert front[10, 1] < front[6, 1] - 100
    assert abs(side[13, 0] - side[16, 0]) < 25
    assert side[9, 0] < side[8, 0]
    assert top[13, 0] > top[16, 0] + 50
    assert top[9, 1] > top[8, 1]


# Opacity -----------------------------------------------------------------------------------------


def test_opacity_is_by_uncertainty_or_else_by_scores():
    result = result_of_joints(walk(4))
    result.uncertainty[1] = 0.03
    result.uncertainty[2] = 0.14
    result.uncertainty[3] = 0.5
    result.scores2d[0] = 0.325
    clip = clip_of(result)
    np.testing.assert_allclose(clip.opacity3d[0], 0.675)
    np.testing.assert_allclose(clip.opacity3d[1], 1)
    np.testing.assert_allclose(clip.opacity3d[2], 0.675)
    np.testing.assert_allclose(clip.opacity3d[3], 0.35)


def test_opacity_of_what_was_not_seen_and_of_doubtful_frames():
    result = result_of_joints(walk(3))
    result.keypoints2d[0, 0, 13] = np.nan
    result.status[1], result.status[2] = "interpolated", "low_confidence"
    opacity = clip_of(result).opacity3d
    assert opacity[0, 0, 13] == pytest.approx(0.35)
    np.testing.assert_allclose(opacity[0, 0, :13], 1)
    assert opacity[1].max() < opacity[2].max() < 1


def test_unsure_limbs_of_the_overlay_are_seen_through():
    shares = []
    for opacity in (1.0, 0.35):
        clip = clip_of_joints(walk(1), opacity=opacity)
        out = make_layout("overlay", clip).draw(0, grey())
        place = place_of((STANDING[5] + STANDING[6])[None] / 2, clip, (640, 480))[0]
        shares.append(np.abs(pixel_at(out, place).astype(int) - 90).sum())
    assert shares[1] == pytest.approx(0.35 * shares[0], rel=0.1)


def test_results_that_cannot_be_drawn():
    with pytest.raises(Pose3dError, match="no frames"):
        clip_of(result_of_joints(walk(0)))
    result = result_of_joints(walk(2))
    result.joint_names = tuple("abcdefghijklmnopq")
    with pytest.raises(Pose3dError, match=r"another skeleton; only the 17 of Human3\.6M"):
        clip_of(result)
