"""Cameras, visibility, boxes, COCO's annotations, light, surfaces: all without OpenGL."""

import json

import cv2
import numpy as np
import pytest

from detectors2d.training.rendered_people import coco_set, surfaces
from detectors2d.training.rendered_people.camera import FAR, NEAR, Camera, look_at, metres
from detectors2d.training.rendered_people.camera_faults import with_faults
from detectors2d.training.rendered_people.labels import Person, behind, labelled
from detectors2d.training.rendered_people.lighting import Place, irradiance, light_of
from detectors2d.training.rendered_people.room import Room
from detectors2d.training.rendered_people.sheet import write_sheet
from weights.errors import Pose3dError

W, H = 60, 40
# 5 m in front of the origin, at its height, looking along -x: y of the world is to the right.
CAMERA = Camera(
    np.array([[100.0, 0, W / 2], [0, 100, H / 2], [0, 0, 1]]),
    *look_at(np.array([5.0, 0, 0]), np.zeros(3)),
)


def test_a_camera_sees_what_is_right_of_it_on_the_right():
    pixels, depths = CAMERA.project(np.array([[0.0, 0, 0], [0, 1, 0], [0, 0, 0.5], [1, 0, 0]]))
    np.testing.assert_allclose(pixels, [[30, 20], [50, 20], [30, 10], [30, 20]], atol=1e-9)
    np.testing.assert_allclose(depths, [5, 5, 5, 4])
    np.testing.assert_allclose(CAMERA.position, [5, 0, 0], atol=1e-12)


def test_roll_turns_the_picture_clockwise():
    rolled = Camera(CAMERA.intrinsics, *look_at(np.array([5.0, 0, 0]), np.zeros(3), np.pi / 2))
    pixels, _ = rolled.project(np.array([[0.0, 1, 0]]))
    np.testing.assert_allclose(pixels, [[30, 40]], atol=1e-9)


def test_opengl_draws_points_where_the_camera_projects_them():
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 3))
    clip = np.c_[points, np.ones(20)] @ CAMERA.clip_matrix((W, H)).T
    x, y, z = (clip[:, :3] / clip[:, 3:]).T
    pixels, depths = CAMERA.project(points)
    np.testing.assert_allclose(np.c_[(x + 1) / 2 * W, (1 - y) / 2 * H], pixels, atol=1e-9)
    np.testing.assert_allclose(metres((z + 1) / 2), depths)
    np.testing.assert_allclose(metres(np.array([0.0, 1])), [NEAR, FAR])


def person(points, depth, figures, number=1):
    """A person all of whose joints are at some points of the world, over and over."""
    joints = np.resize(points, (17, 3)).astype(float)
    return labelled(joints, joints, joints, 1.8, number, CAMERA, depth, figures)


def test_joints_are_visible_hidden_or_outside():
    wall = np.full((H, W), 9.0)
    nobody, self_, other = np.zeros((H, W), int), np.ones((H, W), int), np.full((H, W), 2)
    centre = [0.0, 0, 0]
    nose = 0  # of COCO: it may lie 5 cm deep in the own body, 3 cm behind somebody else

    def flag(depth, figures, at=centre):
        return person([at], np.full((H, W), depth), figures).coco[nose, 2]

    assert flag(9.0, nobody) == 2
    assert flag(4.96, self_) == 2
    assert flag(4.94, self_) == 1
    assert flag(4.98, other) == 2
    assert flag(4.96, other) == 1
    assert flag(9.0, nobody, [0, 1.49, 0]) == 2  # x = 59.8
    assert flag(9.0, nobody, [0, 1.51, 0]) == 0  # x = 60.2
    assert flag(9.0, nobody, [0, -1.51, 0]) == 0
    assert flag(9.0, nobody, [0, 0, 1.01]) == 0
    # Where they are is told in any case; deeper joints of the body may lie deeper.
    found = person([[0, 1.51, 0]], wall, nobody)
    np.testing.assert_allclose(found.coco[:, :2], np.tile([60.2, 20], (17, 1)))
    inside = person([centre], np.full((H, W), 4.8), self_)
    assert inside.coco[11, 2] == 2  # a hip, 20 cm deep
    assert inside.coco[9, 2] == 1  # a wrist


def test_boxes_and_area():
    figures = np.zeros((H, W), int)
    figures[10:20, 40:60] = 1
    found = person([[0, 0.5, 0.25], [0, 2, 0.5]], np.full((H, W), 5.0), figures)
    np.testing.assert_allclose(found.full_box, [40, 10, 70, 15])
    np.testing.assert_allclose(found.box, [40, 10, 60, 15])
    np.testing.assert_allclose(found.visible_box, [40, 10, 60, 20])
    assert found.area == 200
    assert (person([[0, 0, 0]], np.full((H, W), 5.0), figures, 3).visible_box == 0).all()


def test_things_in_front_hide_joints_and_pixels():
    figures = np.ones((H, W), int)
    seen = person([[0, 0, 0], [0, 1, 0], [0, 2, 0]], np.full((H, W), 9.0), figures)
    thing = np.zeros((H, W), bool)
    thing[:, :31] = True  # the joint at x = 30, not that at 50; the third is outside
    hidden = behind(seen, thing)
    np.testing.assert_array_equal(hidden.coco[:3, 2], [1, 2, 0])
    np.testing.assert_array_equal(seen.coco[:3, 2], [2, 2, 0])
    np.testing.assert_allclose(hidden.coco[:, :2], seen.coco[:, :2])
    assert hidden.area == 29 * H


def test_annotations_are_cocos():
    joints = np.array([[1.234, 2, 2], [3, 4, 1], [-5, 6, 0], *[[7, 8, 2]] * 14])
    mask = np.zeros((H, W), bool)
    mask[2:9, 1:8] = True
    found = Person(joints, joints, np.array([-9.0, 2, 8, 9]), mask, 1.8)
    made = coco_set.annotation(found, found.box)
    assert made["keypoints"][:9] == [1.23, 2, 2, 3, 4, 1, 0, 0, 0]
    assert len(made["keypoints"]) == 51
    assert made["num_keypoints"] == 16
    assert made["bbox"] == [0, 2, 8, 7]  # x, y, w, h
    assert made["area"] == 49
    assert made["h36m"][6:9] == [-5, 6, 0]
    json.dumps(made)


def write_parts(folder):
    """Two processes' pictures, the second one killed while it wrote."""
    (folder / "parts").mkdir(parents=True)
    (folder / "images/000").mkdir(parents=True)
    joints = np.tile([[10.0, 20, 2]], (17, 1))
    mask = np.ones((H, W), bool)
    one = coco_set.annotation(
        Person(joints, joints, np.array([0.0, 0, W, H]), mask, 1.8), np.zeros(4)
    )
    for part, numbers in (("000", (0, 1)), ("001", (5,))):
        rows = []
        for number in numbers:
            name = f"images/000/{number:06d}.jpg"
            cv2.imwrite(str(folder / name), np.full((H, W, 3), 99, np.uint8))
            image = {"id": number, "file_name": name, "width": W, "height": H}
            rows.append(json.dumps({"image": image, "people": [one] * number}) + "\n")
        text = "".join(rows) + ('{"image": {"id": 6' if part == "001" else "")
        (folder / f"parts/{part}.jsonl").write_text(text)


def test_what_was_finished_of_a_killed_run_is_annotated(tmp_path):
    write_parts(tmp_path)
    assert coco_set.finish(tmp_path) == (3, 6)
    content = json.loads((tmp_path / "annotations.json").read_text())
    assert [image["id"] for image in content["images"]] == [0, 1, 5]
    assert [one["id"] for one in content["annotations"]] == [1, 2, 3, 4, 5, 6]
    assert [one["image_id"] for one in content["annotations"]] == [1, 5, 5, 5, 5, 5]
    category = content["categories"][0]
    assert len(category["keypoints"]) == 17
    assert {joint for limb in category["skeleton"] for joint in limb} <= set(range(1, 18))
    assert not (tmp_path / "parts").exists()
    with pytest.raises(Pose3dError, match="nothing there to finish"):
        coco_set.finish(tmp_path)


def test_sheet_shows_every_picture_with_its_joints(tmp_path):
    write_parts(tmp_path)
    with pytest.raises(Pose3dError, match="missing or damaged"):
        write_sheet(tmp_path, 8)
    coco_set.finish(tmp_path)
    sheet = cv2.imread(str(write_sheet(tmp_path, 8)))
    assert sheet.shape == (2 * H, 3 * 2 * W, 3)
    # The last joint that is drawn is the right ankle: red, at (10, 20) px, twice as large.
    np.testing.assert_array_equal(sheet[40, 2 * W + 20], [0, 0, 255])
    np.testing.assert_array_equal(sheet[40, 20], [99, 99, 99])


def test_even_light_gives_even_irradiance():
    """Under light 3 from all sides the irradiance / pi is 3, whatever the normal."""
    harmonics = irradiance(np.full((64, 128, 3), 3.0))
    np.testing.assert_allclose(harmonics[0] * 0.282095, 3, rtol=1e-3)
    np.testing.assert_allclose(harmonics[1:], 0, atol=1e-3)


def test_light_from_one_half_of_the_sky():
    """Light 1 from above, 0 from below: irradiance / pi is 1 up, 1/2 level, 0 down (order 2)."""
    half = np.zeros((64, 128, 3))
    half[:32] = 1
    harmonics = irradiance(half)[:, 0]

    def at(z):
        scale = harmonics * [0.282095, 0, 0.488603, 0, 0, 0, 0.315392, 0, 0]
        return scale[0] + scale[2] * z + scale[6] * (3 * z * z - 1)

    assert at(1) == pytest.approx(1, abs=0.01)
    assert at(0) == pytest.approx(0.5, abs=0.01)
    assert at(-1) == pytest.approx(0, abs=0.01)


def test_the_key_light_is_a_share_of_what_comes_from_above():
    place = Place(
        "hall", 1.0, 0.5, np.array([0, 3.0, 4.0]), np.array([1, 0.5, 0]), 0, np.ones(3), 0
    )
    light = light_of(place, np.full((64, 128, 3), 2.0))
    np.testing.assert_allclose(light.key_direction, [0, 0.6, 0.8])
    np.testing.assert_allclose(light.key_colour, [1, 0.5, 0], rtol=1e-3)


def test_camera_faults_keep_size_and_are_repeatable():
    image = np.random.default_rng(0).integers(0, 255, (H, W, 3), np.uint8)
    changed = 0
    for seed in range(20):
        faulty = with_faults(image, np.random.default_rng(seed))
        assert faulty.shape == image.shape
        assert faulty.dtype == np.uint8
        np.testing.assert_array_equal(faulty, with_faults(image, np.random.default_rng(seed)))
        changed += (faulty != image).any()
    assert changed >= 15


def test_rooms_are_around_people_and_camera():
    rng = np.random.default_rng(0)
    points, camera = rng.uniform([-1, 3, 0], [3, 7, 4], (30, 3)), np.array([8.0, 4, 3])
    for seed in range(4):
        room = Room(np.random.default_rng(seed))
        assert room.surfaces.shape == (6, surfaces.SIDE, surfaces.SIDE, 3)
        assert room.surfaces.dtype == np.uint8
        room.place(points, camera, rng)
        inside = np.concatenate([points, camera[None]])
        x, y = (inside[:, :2] @ room.turn.T).T
        assert room.walls[0] < x.min() < x.max() < room.walls[1]
        assert room.walls[2] < y.min() < y.max() < room.walls[3]
        assert room.height > inside[:, 2].max()
        np.testing.assert_allclose(room.turn @ room.turn.T, np.eye(2), atol=1e-12)


def test_rooms_are_repeatable_various_and_sharp():
    rooms = [Room(np.random.default_rng(seed)).surfaces for seed in (1, 1, 2)]
    np.testing.assert_array_equal(rooms[0], rooms[1])
    assert (rooms[0] != rooms[2]).mean() > 0.5
    walls = [surface for room in rooms[1:] for surface in room[1:5]]
    edges = [np.abs(cv2.Laplacian(wall.astype(float), -1)).mean() for wall in walls]
    assert np.median(edges) > 5  # panoramas of 1024 px behind people: under 3


def test_noise_fits_at_opposite_edges():
    noise = surfaces._noise(np.random.default_rng(0), 8)[..., 0]
    steps = np.abs(np.diff(noise, axis=0)).max(), np.abs(np.diff(noise, axis=1)).max()
    assert np.abs(noise[0] - noise[-1]).max() <= steps[0]
    assert np.abs(noise[:, 0] - noise[:, -1]).max() <= steps[1]
