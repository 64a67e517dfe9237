"""The 3D panel, checked by geometry and by pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.rendering import Scene, frame_clip
from pipeline.rendering.camera import FRONT, SIDE, TOP, floor_box, orbit_degrees
from pipeline.rendering.captions import notice
from pipeline.rendering.floor import CELL, draw_floor, floor_points
from pipeline.rendering.palette import LEFT_COLOUR, RIGHT_COLOUR
from tests.pipeline.figures import STANDING, changed, clip_of_joints, like, pixel_at, walk


def scene_of(joints: np.ndarray, size: tuple[int, int], orbit: bool = False, **clip) -> Scene:
    return Scene(clip_of_joints(joints, **clip), size, orbit=orbit)


# camera ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(720, 720), (810, 1080), (360, 300)])
def test_projection_agrees_with_opencv(size):
    camera = frame_clip(walk(), size)
    points = np.random.default_rng(0).uniform([-2, -2, 0], [3, 2, 2], (200, 3))
    turn, _ = cv2.Rodrigues(camera.rotation)
    shift = -camera.rotation @ camera.position
    expected, _ = cv2.projectPoints(points, turn, shift, camera.intrinsics, None)
    places, depth = camera.project(points)
    np.testing.assert_allclose(places, expected[:, 0], atol=1e-6)
    np.testing.assert_allclose(depth, (points @ camera.rotation.T + shift)[:, 2])
    assert np.linalg.det(camera.rotation) == pytest.approx(1)


def test_points_behind_the_camera_have_no_place():
    camera = frame_clip(walk(), (400, 400))
    behind = camera.position - 2 * camera.rotation[2]
    assert np.isnan(camera.project(behind)[0]).all()


@pytest.mark.parametrize("stride", [0.0, 3.0, 25.0])
@pytest.mark.parametrize("size", [(720, 720), (810, 1080)])
def test_whole_clip_is_in_view_and_fills_it(size, stride):
    joints = walk(stride=stride)
    places, depth = frame_clip(joints, size).project(joints)
    assert (depth > 0).all()
    assert (places > 0).all()
    assert (places < size).all()
    extent = (places.reshape(-1, 2).max(0) - places.reshape(-1, 2).min(0)) / size
    assert extent.max() > 0.6


def test_camera_is_upright_and_does_not_mirror():
    camera = frame_clip(walk(stride=0), (500, 500))
    places, depth = camera.project(STANDING)
    assert places[10, 1] < places[0, 1] < places[3, 1]
    # Seen from the front a person's left hand is on the right, and the face is towards us.
    assert places[13, 0] > places[16, 0]
    assert depth[9] < depth[8]


def test_camera_stands_beside_the_one_that_filmed():
    camera = frame_clip(walk(), (500, 500))
    toward = -camera.rotation[2, :2] / np.linalg.norm(camera.rotation[2, :2])
    assert np.degrees(np.arccos(toward @ [0, -1])) == pytest.approx(35, abs=1e-6)
    assert toward[0] > 0


@pytest.mark.parametrize(("view", "right", "up"), [(FRONT, 0, 2), (SIDE, 1, 2), (TOP, 0, 1)])
def test_views(view, right, up):
    """World axes that point right and up in the picture, at the middle of the view."""
    camera = frame_clip(walk(stride=0), (500, 500), view)
    middle = camera.position + 5 * camera.rotation[2]
    for axis, expected in ((right, [1, 0]), (up, [0, -1])):
        step = 0.01 * np.eye(3)[axis]
        moved = np.subtract(*camera.project(np.stack([middle + step, middle]))[0])
        assert moved @ expected / np.linalg.norm(moved) == pytest.approx(1, abs=0.01)


def test_single_wild_frames_hardly_move_the_camera():
    joints = walk(400)
    wild = joints.copy()
    wild[7] = 1e4
    wild[8, 0, 3] = [40, -900, -70]
    near, far = frame_clip(joints, (500, 500)), frame_clip(wild, (500, 500))
    assert np.linalg.norm(near.position - far.position) < 0.05


def test_floor_points_project_back_to_their_pixels():
    camera = frame_clip(walk(), (321, 240))
    points = floor_points(camera)
    rows, columns = np.nonzero(np.isfinite(points[..., 0]))
    assert len(rows) > 10000
    ground = np.column_stack([points[rows, columns], np.zeros(len(rows))])
    places, depth = camera.project(ground)
    assert (depth > 0).all()
    np.testing.assert_allclose(places, np.column_stack([columns, rows]) + 0.5, atol=1e-6)


def test_an_orbit_goes_round_evenly_and_never_jumps():
    times = np.concatenate([np.arange(50) / 25, [7.0, 7.0, 7.04]])
    degrees = orbit_degrees(times)
    assert degrees[0] == 0
    np.testing.assert_allclose(np.diff(degrees)[:49], 24 / 25)
    assert np.diff(degrees).max() <= 2.4
    assert (np.diff(degrees) >= 0).all()


def test_an_orbit_keeps_people_in_view_and_its_distance():
    joints = walk(400, stride=4.0)
    scene = scene_of(joints, (600, 400), orbit=True, times=np.arange(400) / 25)
    middle = np.array([2.0, 0, 0])
    cameras = [scene.camera_at(t) for t in range(0, 400, 10)]
    distances = [np.linalg.norm(camera.position - middle) for camera in cameras]
    np.testing.assert_allclose(distances, distances[0], rtol=0.01)
    assert {camera.position[2] for camera in cameras} == {cameras[0].position[2]}
    places = np.concatenate([camera.project(joints)[0].reshape(-1, 2) for camera in cameras])
    assert (places > 0).all()
    assert (places < (600, 400)).all()
    # Less than a degree from frame to frame: the direction of sight is steady.
    sight = np.array([scene.camera_at(t).rotation[2] for t in range(400)])
    turns = np.degrees(np.arccos(np.clip((sight[1:] * sight[:-1]).sum(1), -1, 1)))
    assert turns.max() < 1


def test_the_floor_of_an_orbit_is_the_still_one():
    moving = scene_of(walk(), (400, 300), orbit=True)
    camera = moving.camera_at(0)
    expected = draw_floor(camera, floor_box(walk().reshape(-1, 3))).astype(int)
    panel = np.empty((300, 400, 3), np.uint8)
    moving._floor.draw(camera, panel)
    apart = np.abs(panel.astype(int) - expected)
    assert apart.mean() < 1.5
    assert apart.max() < 30


def test_the_grid_of_an_orbit_turns_with_the_people():
    scene = scene_of(walk(60), (720, 720), orbit=True)
    steps = np.arange(0, 2, CELL)
    lines, middles = (
        np.array([[x + CELL / 2, y, 0] for x in steps for y in (-CELL, CELL)]) + shift
        for shift in (np.zeros(3), np.array([0, CELL / 2, 0]))
    )
    for t in (0, 25, 59):
        panel = scene.draw(t)
        brightness = [
            np.median([pixel_at(panel, p).mean() for p in scene.camera_at(t).project(q)[0]])
            for q in (lines, middles)
        ]
        assert brightness[0] > brightness[1] + 6


# 3D panel --------------------------------------------------------------------------------------


def test_grid_lines_lie_every_half_metre():
    scene = scene_of(walk(), (720, 720))
    steps = np.arange(0, 2, CELL)
    lines, middles = (
        np.array([[x + CELL / 2, y, 0] for x in steps for y in (-CELL, 0, CELL)]) + shift
        for shift in (np.zeros(3), np.array([0, CELL / 2, 0]))
    )
    brightness = [
        np.median([pixel_at(scene.background, p).mean() for p in scene.camera.project(q)[0]])
        for q in (lines, middles)
    ]
    assert CELL == 0.5
    assert brightness[0] > brightness[1] + 8


def test_limbs_lie_between_projected_joints_in_the_colour_of_their_side():
    joints = walk(stride=0)
    scene = scene_of(joints, (720, 720))
    panel = scene.draw(3)
    for chains, own, other in (
        (((5, 6), (11, 12), (12, 13)), LEFT_COLOUR, RIGHT_COLOUR),
        (((2, 3), (14, 15), (15, 16)), RIGHT_COLOUR, LEFT_COLOUR),
    ):
        for a, b in chains:
            middle = (joints[3, 0, a] + joints[3, 0, b]) / 2
            pixel = pixel_at(panel, scene.camera.project(middle)[0])
            assert like(pixel, own) > max(0.9, like(pixel, other) + 0.1)
            assert pixel.max() > 1.8 * pixel_at(scene.background, (360, 500)).max()


def test_absent_people_leave_the_panel_empty():
    joints = walk()
    joints[4:] = np.nan
    scene = scene_of(joints, (300, 300))
    panel = scene.draw(6)
    written = changed(panel, scene.background)
    assert written[:30].any()
    assert not written[30:270].any()
    assert changed(scene.draw(2), scene.background)[100:].any()


def test_joints_that_are_absent_take_only_their_bones_away():
    joints = walk(stride=0)
    whole = scene_of(joints, (600, 600))
    holed = joints.copy()
    holed[5, 0, 13] = np.nan
    scene = scene_of(holed, (600, 600))
    scene.camera, scene.background = whole.camera, whole.background
    panel = scene.draw(5)
    forearm = whole.camera.project(joints[5, 0, 12] * 0.3 + joints[5, 0, 13] * 0.7)[0]
    upper_arm = whole.camera.project((joints[5, 0, 11] + joints[5, 0, 12]) / 2)[0]
    assert like(pixel_at(panel, upper_arm), LEFT_COLOUR) > 0.98
    np.testing.assert_array_equal(pixel_at(panel, forearm), pixel_at(whole.background, forearm))


def test_everything_but_people_and_time_stands_still():
    joints = walk(stride=0.5)
    scene = scene_of(joints, (400, 400))
    before = scene.camera
    pictures = [scene.draw(t) for t in (0, 9, 19)]
    assert scene.camera is before
    places = scene.camera.project(joints)[0].reshape(-1, 2)
    still = np.ones((400, 400), bool)
    # Around people: the head above, the shadow to the right and below.
    low = (places.min(0) - np.array([30, 45])).astype(int)
    high = (places.max(0) + np.array([110, 60])).astype(int)
    still[max(low[1], 0) : high[1], max(low[0], 0) : high[0]] = False
    still[370:, :120] = False
    assert still.mean() > 0.1
    for picture in pictures:
        np.testing.assert_array_equal(picture[still], scene.background[still])
    assert changed(pictures[0], pictures[2]).any()


def test_same_frame_gives_the_same_picture_into_any_array():
    scene = scene_of(walk(), (300, 260))
    wide = np.zeros((260, 500, 3), np.uint8)
    scene.draw(4, out=wide[:, 150:450])
    np.testing.assert_array_equal(wide[:, 150:450], scene.draw(4))
    assert not wide[:, :150].any()
    assert not wide[:, 450:].any()


def test_the_nearer_person_hides_the_farther():
    toward = frame_clip(walk(stride=0), (500, 500))
    step = -toward.rotation[2] * [1, 1, 0]
    step /= np.linalg.norm(step)
    for order in (1, -1):
        pair = np.stack([STANDING, STANDING + 0.8 * order * step])[None]
        scene = scene_of(pair, (500, 500))
        panel = scene.draw(0)
        # The nearer head is seen whole, in its person's colour: the first white, the second green.
        nearer = 1 if order == 1 else 0
        head = pair[0, nearer, [9, 10]].mean(0)
        red, green, _ = pixel_at(panel, scene.camera.project(head)[0]).astype(int)
        assert (green - red > 60) == (nearer == 1)


def test_a_shadow_darkens_the_floor_and_only_there():
    scene = scene_of(walk(stride=0), (500, 500))
    panel = scene.draw(0).astype(int)
    under = scene.camera.project(np.array([0.2, 0.03, 0.0]))[0]
    assert pixel_at(panel, under).sum() < 0.8 * pixel_at(scene.background, under).sum()


def test_unsure_people_are_fainter():
    thigh, colours = (STANDING[4] + STANDING[5]) / 2, []
    for opacity in (1.0, 0.35):
        scene = scene_of(walk(stride=0), (500, 500), opacity=opacity)
        place = scene.camera.project(thigh)[0]
        pixel = pixel_at(scene.draw(0), place).astype(float)
        colours.append(pixel - pixel_at(scene.background, place))
    # What is seen through is the floor, or the shadow on it.
    np.testing.assert_allclose(colours[1], 0.35 * colours[0], atol=20)
    assert np.linalg.norm(colours[1]) < 0.5 * np.linalg.norm(colours[0])


def test_wild_joints_and_nobody_at_all_can_be_drawn():
    joints = walk(400)
    joints[3] = 1e7
    joints[4, 0, 5] = scene_of(joints, (200, 200)).camera.position
    scene = scene_of(joints, (200, 200))
    np.testing.assert_array_equal(
        scene.draw(3)[:150], scene_of(joints, (200, 200)).background[:150]
    )
    assert changed(scene.draw(4), scene.background).mean() < 0.3
    assert scene_of(np.full((3, 2, 17, 3), np.nan), (200, 200)).draw(1).shape == (200, 200, 3)
    assert scene_of(np.zeros((3, 0, 17, 3)), (200, 200)).draw(1).shape == (200, 200, 3)


@pytest.mark.parametrize(
    ("status", "drawn", "words"),
    [
        (["ok"], [True], ""),
        (["interpolated"], [True], "interpolated"),
        (["low_confidence"], [True], "low confidence"),
        (["not_visible"], [False], "no person"),
        (["decode_error"], [False], "damaged frame"),
        ([], [], "no person"),
        (["ok", "not_visible"], [True, False], ""),
        (["interpolated", "ok"], [True, True], "7 interpolated"),
        (["not_visible", "not_visible"], [False, False], "no person"),
    ],
)
def test_notice(status, drawn, words):
    assert (
        notice(np.array(status, str), np.array(drawn, bool), np.array([7, 9])[: len(drawn)])
        == words
    )


def test_the_time_code_is_written_and_changes():
    scene = scene_of(np.full((30, 1, 17, 3), np.nan), (400, 400))
    corner = [scene.draw(t)[370:, :130] for t in (0, 1)]
    assert changed(corner[0], scene.background[370:, :130]).any()
    assert changed(*corner).any()
