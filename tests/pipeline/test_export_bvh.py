"""BVH, read back by forward kinematics of our own: joints, bones, rest pose, Blender's rules."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lifters3d.skeleton import PARENTS
from pipeline.export import export
from pipeline.export.kinematics import animate, constant_bones
from tests.lifters3d.walkers import BONE_LENGTHS
from tests.pipeline.export_readers import read_bvh
from tests.pipeline.exports import filmed, prowler, room

WALK = Path(__file__).parents[2] / "demos" / "walk.npz"
TIME = np.arange(90) / 30


NAMES = (
    *("Hip", "RHip", "RKnee", "RFoot", "LHip", "LKnee", "LFoot", "Spine", "Thorax", "Neck_Nose"),
    *("Head", "LShoulder", "LElbow", "LWrist", "RShoulder", "RElbow", "RWrist"),
)


def y_up_cm(positions):
    """Room (x right, y away, z up) metres to centimetres with y up and z towards the camera."""
    x, y, z = np.moveaxis(positions, -1, 0)
    return 100 * np.stack([x, z, -y], axis=-1)


def bvh(result, tmp_path, **options):
    """The only file, and its note."""
    (written,) = export(result, tmp_path / "person.bvh", **options)
    return read_bvh(written.path), written.note


def random_poses(count, seed=0):
    """(count, 17, 3): bones of the prowler's lengths in any direction whatever."""
    rng = np.random.default_rng(seed)
    bones = rng.normal(size=(count, 17, 3))
    bones *= (BONE_LENGTHS / np.linalg.norm(bones, axis=-1))[..., None]
    poses = np.zeros((count, 17, 3))
    for joint in range(1, 17):
        poses[:, joint] = poses[:, PARENTS[joint]] + bones[:, joint]
    return poses


@pytest.mark.parametrize("heading", [0, -np.pi / 2, 2.5], ids=["right", "to the camera", "back"])
def test_joints_are_where_they_were(tmp_path, heading):
    person = prowler(TIME, heading)
    file, note = bvh(filmed([person]), tmp_path)
    np.testing.assert_allclose(file.named(NAMES), y_up_cm(room(person)), atol=0.01)
    assert file.frame_time == pytest.approx(1 / 30)
    assert "cm" in note
    assert "Scale 0.01" in note


def test_motion_capture_within_a_centimetre(tmp_path):
    world = np.load(WALK)["joints3d_world"][:, 0]
    joints = bvh(filmed([world]), tmp_path)[0].named(NAMES) / 100
    relative = world - world[:, :1]
    error = distances(joints) - distances(relative)
    assert np.abs(error).max() < 0.01
    # Not mirrored: head x hands, as a volume.
    assert np.sign(volume(joints)) == pytest.approx(np.sign(volume(relative)))


def distances(joints):
    return np.linalg.norm(joints[:, :, None] - joints[:, None], axis=-1)


def volume(joints):
    return np.linalg.det(joints[:, [10, 13, 16]] - joints[:, [3]])[0]


def test_any_pose_comes_back(tmp_path):
    poses = random_poses(300)
    poses[0, 12] = poses[0, 11] - [BONE_LENGTHS[12], 0, 0]  # against its direction at rest
    lengths = np.linalg.norm(poses[:, 12] - poses[:, 11], axis=-1)
    np.testing.assert_allclose(lengths, BONE_LENGTHS[12])
    poses[0, 13] = poses[0, 12] + [BONE_LENGTHS[13], 0, 0]
    file, _ = bvh(filmed([poses], root=np.tile([0.0, 0, 5], (300, 1, 1))), tmp_path)
    found = file.named(NAMES)
    np.testing.assert_allclose(distances(found), 100 * distances(poses), atol=0.05)


def test_bones_are_constant_and_joints_near(tmp_path):
    person = prowler(TIME)
    rng = np.random.default_rng(1)
    noisy = person + rng.normal(0, 0.01, person.shape)
    file, note = bvh(filmed([noisy]), tmp_path)
    found = file.named(NAMES) / 100
    lengths = np.linalg.norm(found[:, 1:] - found[:, PARENTS[1:]], axis=-1)
    assert np.ptp(lengths, axis=0).max() < 1e-5
    np.testing.assert_allclose(lengths[0], BONE_LENGTHS[1:], atol=0.005)
    moved = np.linalg.norm(found - y_up_cm(room(noisy)) / 100, axis=-1)
    # The floor is fitted to noise, too: heights aside.
    assert moved.mean() < 0.02
    assert "constant bones move joints by" in note


def test_errors_of_lengths_do_not_add_up():
    person = random_poses(200, seed=2)
    scale = 1 + np.random.default_rng(3).normal(0, 0.05, (200, 17, 1))
    stretched = person.copy()
    for joint in range(1, 17):
        bone = person[:, joint] - person[:, PARENTS[joint]]
        stretched[:, joint] = stretched[:, PARENTS[joint]] + bone * scale[:, joint]
    fitted = constant_bones(stretched, BONE_LENGTHS)
    error = np.linalg.norm(fitted - stretched, axis=-1)
    end_to_end = np.linalg.norm(person - stretched, axis=-1)
    assert error.mean() < 0.75 * end_to_end.mean()
    assert error.max() < end_to_end.max()


def test_rest_is_a_t_pose(tmp_path):
    file, _ = bvh(filmed([prowler(TIME)]), tmp_path)
    rest = file.positions(np.zeros((1, file.values.shape[1])))[0]
    at = {name: rest[file.place(name)] for name in NAMES}
    np.testing.assert_allclose(at["Hip"], 0)
    for side, sign in (("L", 1), ("R", -1)):
        shoulder, elbow, wrist = (at[side + part] for part in ("Shoulder", "Elbow", "Wrist"))
        np.testing.assert_allclose((wrist - shoulder)[1:], 0, atol=1e-9)
        assert 0 < sign * shoulder[0] < sign * elbow[0] < sign * wrist[0]
        knee, foot = at[side + "Knee"], at[side + "Foot"]
        np.testing.assert_allclose((foot - knee)[[0, 2]], 0, atol=1e-9)
        assert foot[1] < knee[1] < at[side + "Hip"][1] + 1e-9
    assert 0 < at["Spine"][1] < at["Thorax"][1] < at["Neck_Nose"][1] < at["Head"][1]
    assert at["Neck_Nose"][2] > 0  # faces z
    np.testing.assert_allclose(np.linalg.norm(at["LKnee"] - at["LHip"]), 40, atol=0.01)


def test_a_person_who_stands_so_turns_nothing():
    """The T-pose itself: all rotations are none."""
    rest = np.zeros((17, 3))
    bones = {1: (-0.1, 0), 2: (0, -0.4), 3: (0, -0.4), 4: (0.1, 0), 5: (0, -0.4), 6: (0, -0.4)}
    bones |= {7: (0, 0.2), 8: (0, 0.3), 12: (0.3, 0), 13: (0.3, 0), 15: (-0.3, 0), 16: (-0.3, 0)}
    for joint in range(1, 17):
        away = {11: (0.2, -0.05), 14: (-0.2, -0.05), 9: (0, 0.1), 10: (0, 0.1)}
        flat = bones.get(joint) or away[joint]
        rest[joint] = rest[PARENTS[joint]] + [*flat, {9: 0.05, 10: -0.02}.get(joint, 0)]
    rotations = animate(rest[None]).rotations
    np.testing.assert_allclose(rotations, np.broadcast_to(np.eye(3), rotations.shape), atol=1e-6)


@pytest.mark.parametrize("scale", [1, 0.01])
def test_what_blenders_importer_asks_for(tmp_path, scale):
    """io_anim_bvh: words, not columns; tails at children; bones shorter than 1/1000 are bent."""
    file, _ = bvh(filmed([prowler(TIME)]), tmp_path)
    lines = [line.split() for line in (tmp_path / "person.bvh").read_text().splitlines()]
    motion = lines.index(["MOTION"])
    assert [len(line) for line in lines[motion + 1 : motion + 3]] == [2, 3]
    assert {len(line) for line in lines[motion + 3 :]} == {6 + 3 * (len(file.joints) - 1)}
    names = [joint.name for joint in file.joints]
    assert len(set(names)) == len(names)
    assert {len(line) for line in lines if line[0] in ("ROOT", "JOINT")} == {2}
    # Position channels take the place of the root's offset.
    np.testing.assert_array_equal(file.joints[0].offset, 0)
    heads = scale * file.positions(np.zeros((1, file.values.shape[1])))[0]
    for number, joint in enumerate(file.joints):
        rotations = [c[0] for c in joint.channels if c.endswith("rotation")]
        assert sorted(rotations) == ["X", "Y", "Z"]
        children = [n for n, other in enumerate(file.joints) if other.parent == number]
        assert (joint.end is None) == bool(children)
        tail = heads[children].mean(axis=0) if children else heads[number] + scale * joint.end
        assert np.linalg.norm(tail - heads[number]) > 0.001


def test_angles_do_not_jump(tmp_path):
    """Raising an arm sideways and over the head, and turning around twice."""
    person = prowler(TIME, speed=0)
    angle = np.linspace(-np.pi / 2, np.pi / 2, len(TIME))
    up = np.stack([np.zeros_like(angle), np.cos(angle), np.sin(angle)], axis=-1)
    person[:, 12] = person[:, 11] + BONE_LENGTHS[12] * up
    person[:, 13] = person[:, 12] + BONE_LENGTHS[13] * up
    turn = np.linspace(0, 4 * np.pi, len(TIME))
    x, y, z = np.moveaxis(person, -1, 0)
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    person = np.stack([cos * x - sin * y, sin * x + cos * y, z], axis=-1)
    file, _ = bvh(filmed([person]), tmp_path)
    assert np.abs(np.diff(file.values[:, 3:], axis=0)).max() < 30


def test_angles_do_not_jump_where_thighs_pass_the_horizontal(tmp_path):
    """A deep squat: at 90 degrees of flexion the three angles are not unique."""
    person = prowler(TIME, speed=0)
    angle = np.radians(np.linspace(10, 130, len(TIME)))
    for hip, out in ((1, -0.05), (4, 0.02)):
        thigh = np.stack([np.sin(angle), np.full_like(angle, out), -np.cos(angle)], axis=-1)
        thigh *= BONE_LENGTHS[hip + 1] / np.linalg.norm(thigh, axis=-1, keepdims=True)
        shank = person[:, hip + 2] - person[:, hip + 1]
        person[:, hip + 1] = person[:, hip] + thigh
        person[:, hip + 2] = person[:, hip + 1] + shank
    file, _ = bvh(filmed([person]), tmp_path)
    assert np.abs(np.diff(file.values[:, 3:], axis=0)).max() < 30
    np.testing.assert_allclose(distances(file.named(NAMES)), 100 * distances(person), atol=0.02)


def test_gaps_hold_the_pose(tmp_path):
    gone = [0, 1, *range(40, 52)]
    person = prowler(TIME)
    file, note = bvh(filmed([person], absent=[(0, gone)]), tmp_path)
    joints, expected = file.named(NAMES), y_up_cm(room(person))
    np.testing.assert_allclose(joints[2:40], expected[2:40], atol=0.01)
    np.testing.assert_allclose(joints[52:], expected[52:], atol=0.01)
    np.testing.assert_allclose(joints[40:52], np.broadcast_to(expected[39], (12, 17, 3)), atol=0.01)
    np.testing.assert_allclose(joints[:2], np.broadcast_to(expected[2], (2, 17, 3)), atol=0.01)
    assert "a pose held in 14 frames" in note


def test_a_varying_frame_rate_becomes_even(tmp_path):
    uneven = np.cumsum(np.random.default_rng(4).uniform(0.01, 0.057, 200)) + 3
    file, note = bvh(filmed([prowler(uneven)], time_s=uneven), tmp_path)
    even = uneven[0] + np.arange(len(file.values)) / 30
    assert abs(even[-1] - uneven[-1]) < 1 / 30
    assert file.frame_time == pytest.approx(1 / 30)
    error = file.named(NAMES) - y_up_cm(room(prowler(even)))
    inside = even <= uneven[-1]
    assert np.abs(error[inside]).max() < 1
    assert "resampled" in note


@pytest.mark.parametrize("rate", ["30000/1001", "24"])
def test_rounded_stamps_are_even(tmp_path, rate):
    frames, step = 300, float(1 / Fraction(rate))
    stamps = np.round(np.arange(frames) * step, 3)  # as Matroska has them
    result = filmed([prowler(stamps)], time_s=stamps, rate=rate)
    file, note = bvh(result, tmp_path)
    assert len(file.values) == frames
    assert file.frame_time == pytest.approx(step, abs=1e-8)
    assert "resampled" not in note


def test_in_place(tmp_path):
    person = prowler(TIME, speed=3)
    hip = bvh(filmed([person]), tmp_path, in_place=True)[0].named(["Hip"])[:, 0]
    np.testing.assert_allclose(hip[:, [0, 2]], 0, atol=1e-4)
    np.testing.assert_allclose(hip[:, 1], 100 * person[:, 0, 2], atol=0.01)


def test_without_a_path_people_stay_in_place(tmp_path):
    person = prowler(TIME)
    result = filmed([person], root=np.full((90, 1, 3), np.nan))
    hip = bvh(result, tmp_path)[0].named(["Hip"])[:, 0]
    np.testing.assert_allclose(hip[:, [0, 2]], 0, atol=1e-4)


def test_one_frame(tmp_path):
    file, _ = bvh(filmed([prowler([0.5])], time_s=[0.5]), tmp_path)
    expected = y_up_cm(room(prowler([0.5])))
    np.testing.assert_allclose(file.named(NAMES), expected, atol=0.01)


def test_one_file_a_person(tmp_path):
    people = [prowler(TIME), prowler(TIME, 1.0) + np.array([0, 1, 0]), prowler(TIME)]
    result = filmed(people, ids=[2, 5, 7], absent=[(2, range(90))])
    written = export(result, tmp_path, ["bvh"], name="party")
    assert [item.path.name for item in written] == ["party_person2.bvh", "party_person5.bvh"]
    for item, person in zip(written, people, strict=False):
        expected = y_up_cm(room(person))
        np.testing.assert_allclose(read_bvh(item.path).named(NAMES), expected, atol=0.01)
