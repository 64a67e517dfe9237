"""Bodies, garments, skinning and retargeting, with a man of boxes whose positions are known."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from detectors2d.training.rendered_people.anatomy import COCO_NAMES, H36M_NAMES, anchors, joints
from detectors2d.training.rendered_people.assets import Assets, open_assets
from detectors2d.training.rendered_people.body import Body, to_world
from detectors2d.training.rendered_people.motion import SIDES, load_motion, varied
from detectors2d.training.rendered_people.retargeting import retarget
from detectors2d.training.rendered_people.rotations import (
    aligning_rotation,
    axis_rotation,
    from_quaternions,
    nearest_rotation,
)
from tests.detectors2d import box_man
from weights.errors import Pose3dError

SKIN = "young_lightskinned_male"


@pytest.fixture(scope="module")
def assets(tmp_path_factory):
    return Assets(box_man.write_assets(tmp_path_factory.mktemp("people")))


@pytest.fixture(scope="module")
def body(assets):
    return Body(assets, [], SKIN)


@pytest.fixture(scope="module")
def motion(assets):
    return load_motion(assets, box_man.TAKE, np.arange(box_man.FRAMES))


def at_rest(body):
    """Rotations (B, 3, 3) and heads (B, 3) that leave a body as it is."""
    heads = np.stack([body.head[name] for name in body.bones])
    return np.tile(np.eye(3), (len(heads), 1, 1)), heads


def corners(body, bone):
    """Where the corners (8, 3) of a bone's box lie at rest."""
    return body.rest[box_man.corners_of(bone)]


def part_rows(body, name):
    part = next(part for part in body.parts if part.name == name)
    return slice(part.start, part.start + len(part.vertices))


def test_rotations_are_those_of_scipy():
    rng = np.random.default_rng(0)
    axis, quaternions = rng.normal(size=3), rng.normal(size=(5, 4))
    expected = Rotation.from_rotvec(0.7 * axis / np.linalg.norm(axis)).as_matrix()
    np.testing.assert_allclose(axis_rotation(axis, 0.7), expected, atol=1e-12)
    expected = Rotation.from_quat(np.roll(quaternions, -1, 1)).as_matrix()
    np.testing.assert_allclose(from_quaternions(quaternions), expected, atol=1e-12)
    np.testing.assert_allclose(nearest_rotation(1.3 * expected), expected, atol=1e-12)
    turn = aligning_rotation(np.array([2.0, 0, 0]), np.array([0, 0, 0.5]))
    np.testing.assert_allclose(turn @ [1, 0, 0], [0, 0, 1], atol=1e-9)
    np.testing.assert_allclose(turn @ [0, 1, 0], [0, 1, 0], atol=1e-9)


def test_the_body_is_in_metres_and_stands_on_the_floor(body):
    assert body.height == pytest.approx(1.8, abs=1e-6)
    assert body.rest[:, 1].min() == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(body.head["LeftArm"], [0.2, 1.4, 0], atol=1e-6)
    np.testing.assert_allclose(body.tail["LThumb"], [0.56, 0.97, 0.12], atol=1e-6)


def test_height_scales_the_whole_body(assets):
    small = Body(assets, [], SKIN, height=0.9)
    np.testing.assert_allclose(small.head["LeftArm"], [0.1, 0.7, 0], atol=1e-6)


def test_targets_move_vertices_by_their_strength(assets, body):
    moved = Body(assets, [("asian-male-old", 0.25)], SKIN)
    step = corners(moved, "Head") - corners(body, "Head")
    np.testing.assert_allclose(step, np.tile([0, 0, 0.025], (8, 1)), atol=1e-6)
    np.testing.assert_allclose(corners(moved, "Hips"), corners(body, "Hips"))


def test_normals_point_out_of_every_box(body):
    skin = body.parts[0]
    for bone in box_man.BONES:
        rows = box_man.corners_of(bone)
        outwards = skin.vertices[rows] - skin.vertices[rows].mean(0)
        assert ((skin.normals[rows] * outwards).sum(1) > 0).all()
        np.testing.assert_allclose(np.linalg.norm(skin.normals[rows], axis=1), 1)


def test_skinning_turns_a_box_about_its_bones_head(body):
    rotations, heads = at_rest(body)
    vertices, normals = body.skinned(rotations, heads)
    np.testing.assert_allclose(vertices, body.vertices, atol=1e-6)

    # A quarter turn about z takes (x, y) from the elbow to (-y, x), and leaves the rest alone.
    elbow = np.array([0.4, 1.2, 0])
    rotations[body.index["LeftForeArm"]] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    vertices, normals = body.skinned(rotations, heads)
    rows = box_man.corners_of("LeftForeArm")
    x, y, z = (body.parts[0].vertices[rows] - elbow).T
    np.testing.assert_allclose(vertices[rows], elbow + np.stack([-y, x, z], 1), atol=1e-6)
    x, y, z = body.parts[0].normals[rows].T
    np.testing.assert_allclose(normals[rows], np.stack([-y, x, z], 1), atol=1e-6)
    others = np.delete(np.arange(len(vertices)), rows)
    np.testing.assert_allclose(vertices[others], body.vertices[others], atol=1e-6)


def test_skinning_takes_the_mean_of_bones_that_share_a_vertex(assets):
    body = Body(assets, [], SKIN)
    vertex = box_man.corners_of("LeftForeArm")[0]
    body.weights[vertex] = 0
    body.weights[vertex, [body.index["LeftForeArm"], body.index["LeftArm"]]] = 0.25, 0.75
    rotations, heads = at_rest(body)
    rotations[body.index["LeftForeArm"]] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    heads[body.index["LeftArm"]] += [0, 0, 0.4]
    point = body.vertices[vertex].astype(float)
    x, y, z = point - [0.4, 1.2, 0]
    turned = np.array([0.4 - y, 1.2 + x, z])
    expected = 0.25 * turned + 0.75 * (point + np.array([0, 0, 0.4]))
    np.testing.assert_allclose(body.skinned(rotations, heads)[0][vertex], expected, atol=1e-6)


def test_a_garment_lies_around_the_body_and_hides_what_is_under_it(assets, body):
    dressed = Body(assets, [], SKIN, ["shoes01"], hair="long01")
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    shoe = dressed.parts[2]
    assert (shoe.name, shoe.kind) == ("shoes01", "cloth")
    expected = corners(body, "LeftFoot") + signs * [0.02, 0.01, 0.02]
    np.testing.assert_allclose(shoe.vertices[:8], expected, atol=1e-6)
    # 16 corners of the two feet are drawn no longer.
    assert len(dressed.parts[0].vertices) == len(body.parts[0].vertices) - 16
    # Twice the body, twice the garment's distance.
    twice = Body(assets, [], SKIN, ["shoes01"], height=3.6)
    np.testing.assert_allclose(twice.parts[2].vertices, 2 * shoe.vertices, atol=1e-6)


def test_garments_move_with_what_they_hang_on_and_hair_with_the_head(assets):
    body = Body(assets, [], SKIN, ["shoes01"], hair="long01")
    rotations, heads = at_rest(body)
    heads[body.index["LeftFoot"]] += [0, 0.3, 0]
    heads[body.index["Head"]] += [0, 0, 0.2]
    moved = body.skinned(rotations, heads)[0] - body.vertices
    np.testing.assert_allclose(moved[part_rows(body, "shoes01")][:8, 1], 0.3, atol=1e-6)
    np.testing.assert_allclose(moved[part_rows(body, "shoes01")][8:], 0, atol=1e-6)
    np.testing.assert_allclose(moved[part_rows(body, "long01")][:, 2], 0.2, atol=1e-6)


def test_suits_stand_off_the_skin(assets, body):
    suit = Body(assets, [], SKIN, ["male_casualsuit01"]).parts[2]
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    hung = corners(body, "Spine") + signs * [0.02, 0.01, 0.02]
    np.testing.assert_allclose(np.linalg.norm(suit.vertices[:8] - hung, axis=1), 0.004, atol=1e-6)


def test_joints_are_where_the_bones_are(body):
    rotations, heads = at_rest(body)
    coco, h36m = joints(body, anchors(body), rotations[None], heads[None])
    coco, h36m = (
        dict(zip(n, x[0], strict=True)) for n, x in ((COCO_NAMES, coco), (H36M_NAMES, h36m))
    )
    expected = {
        "left_shoulder": (0.2, 1.4, 0),
        "right_elbow": (-0.4, 1.2, 0),
        "left_wrist": (0.55, 1.0, 0.05),
        "right_hip": (-0.1, 0.95, 0),
        "left_knee": (0.1, 0.5, 0.01),
        "right_ankle": (-0.1, 0.1, 0),
        "left_eye": (0.03, 1.7, 0.06),
        "nose": (0, 1.64, 0.08),  # a corner of the box that is the nose
    }
    for name, place in expected.items():
        np.testing.assert_allclose(coco[name], place, atol=1e-6, err_msg=name)
    assert coco["left_ear"][0] == pytest.approx(0.04, abs=1e-6)  # 1 cm inside of the head's box
    np.testing.assert_allclose(h36m["Hip"], (0, 0.95, 0), atol=1e-6)
    np.testing.assert_allclose(h36m["RWrist"], (-0.55, 1.0, 0.05), atol=1e-6)
    assert 1.4 < h36m["Thorax"][1] < 1.5 < h36m["Nose"][1] < h36m["Head"][1] < 1.8

    rotations[body.index["Head"]] = axis_rotation([0, 1, 0], np.pi / 2)  # looks to its left
    turned, _ = joints(body, anchors(body), rotations[None], heads[None])
    np.testing.assert_allclose(turned[0, 0], (0.08, 1.64, 0), atol=1e-6)


def test_to_world_has_z_up_and_the_left_at_y():
    np.testing.assert_allclose(to_world(np.array([1.0, 2, 3])), [3, 1, 2])


def test_retargeting_keeps_the_bodys_bones(body, motion):
    for turns in (None, varied(motion, np.random.default_rng(3))):
        rotations, heads = retarget(body, motion, turns)
        gram = rotations @ np.swapaxes(rotations, -1, -2)
        np.testing.assert_allclose(gram, np.broadcast_to(np.eye(3), gram.shape), atol=1e-9)
        np.testing.assert_allclose(np.linalg.det(rotations), 1)
        for name, (head, _, parent) in box_man.BONES.items():
            if parent is not None:
                bone = heads[:, body.index[name]] - heads[:, body.index[parent]]
                length = np.linalg.norm(np.subtract(head, box_man.BONES[parent][0]))
                np.testing.assert_allclose(np.linalg.norm(bone, axis=1), length, atol=1e-6)


def test_the_captures_t_pose_becomes_the_bodys(body, motion):
    rotations, heads = retarget(body, motion)
    at = {name: heads[0, i] for name, i in body.index.items()}
    for side, out in zip(SIDES, (1, -1), strict=True):
        for start, end, direction in (
            (side + "Arm", side + "ForeArm", (out, 0, 0)),
            (side + "ForeArm", side + "Hand", (out, 0, 0)),
            (side + "UpLeg", side + "Leg", (0, -1, 0)),
            (side + "Leg", side + "Foot", (0, -1, 0)),
        ):
            bone = at[end] - at[start]
            np.testing.assert_allclose(bone / np.linalg.norm(bone), direction, atol=1e-6)
        # The thumb is in front of the hand, as the capture's is.
        thumb = body.tail[side[0] + "Thumb"] - body.head[side + "Hand"]
        thumb = rotations[0, body.index[side + "Hand"]] @ thumb
        assert thumb[2] > 0
        assert thumb[1] == pytest.approx(0, abs=1e-6)


def test_paths_are_as_long_as_the_legs_are(body, motion):
    _, heads = retarget(body, motion)
    thigh, shin = np.hypot(0.45, 0.01), np.hypot(0.4, 0.01)
    path = heads[:, body.index["Hips"]]
    expected = np.arange(box_man.FRAMES) * 0.1 * (thigh + shin) / box_man.LEG
    np.testing.assert_allclose(path[:, 2], expected, atol=1e-6)


def test_a_captured_swing_turns_the_leg(body, motion):
    """Frame 1 turns the left thigh by half a radian times sin 1 about x: its knee goes back."""
    _, heads = retarget(body, motion)
    thigh = heads[1, body.index["LeftLeg"]] - heads[1, body.index["LeftUpLeg"]]
    angle = 0.5 * np.sin(1)
    direction = thigh / np.linalg.norm(thigh)
    np.testing.assert_allclose(direction, [0, -np.cos(angle), -np.sin(angle)], atol=1e-3)


def test_varied_poses_differ_and_depend_on_nothing_but_the_numbers(motion):
    first, again, other = (varied(motion, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - motion.rotations).max() > 0.1
    assert np.abs(first - other).max() > 0.1


def test_what_is_wrong_with_assets_is_said_in_one_line(assets, tmp_path, monkeypatch):
    monkeypatch.delenv("POSE3D_PEOPLE_ASSETS", raising=False)
    with pytest.raises(Pose3dError, match="--assets"):
        open_assets(None)
    with pytest.raises(Pose3dError, match="no such folder"):
        Assets(tmp_path / "nowhere")
    with pytest.raises(Pose3dError, match=r"body\.npz: missing"):
        Assets(tmp_path)
    with pytest.raises(Pose3dError, match=r"targets\.npz: has no martian"):
        Body(assets, [("martian", 1.0)], SKIN)
    with pytest.raises(Pose3dError, match=r"hat01\.npz: no such file"):
        Body(assets, [], SKIN, ["hat01"])
    with pytest.raises(Pose3dError, match="needs one of hat01, hat02"):
        assets.there(("hat01", "hat02"))

    folder = box_man.write_assets(tmp_path / "assets")
    monkeypatch.setenv("POSE3D_PEOPLE_ASSETS", str(folder))
    assert (
        "48 targets, 4 skins, 5 garments and hair, 1 motions, 1 panoramas"
        in open_assets(None).check()
    )
    (folder / "wear/shoes01.npz").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(Pose3dError, match=r"shoes01\.npz: .*damaged"):
        Assets(folder).check()
    np.savez(folder / "wear/shoes01.npz", idx=np.zeros((1, 3), int))
    with pytest.raises(Pose3dError, match=r"shoes01\.npz: has no w"):
        Assets(folder).check()
