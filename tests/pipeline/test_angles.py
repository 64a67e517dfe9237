"""Angles of poses that can be measured by hand, or that scipy's rotations put together."""

import warnings

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lifters3d.skeleton import JOINT_NAMES, MIRROR
from pipeline.angles import DEFINITIONS, joint_angles, joint_speeds
from tests.pipeline.walk_result import walk_result
from weights.errors import Pose3dError

NUMBER = {name: number for number, name in enumerate(JOINT_NAMES)}
FORWARD, UP, RIGHT = np.eye(3)


def standing(**bones):
    """(17, 3) metres, x forward, y up, z right: a man at attention.

    bones: vectors from the joint above, for limbs that are held otherwise: rthigh, lshank, rarm,
    lforearm, ... ; trunk: a Rotation of all above the Spine.
    """
    pose = np.zeros((17, 3))
    trunk = bones.pop("trunk", Rotation.identity())
    pose[NUMBER["Spine"]] = 0.25 * UP
    for name, offset in (("Thorax", 0.5 * UP), ("Neck/Nose", 0.6 * UP), ("Head", 0.7 * UP)):
        pose[NUMBER[name]] = 0.25 * UP + trunk.apply(offset - 0.25 * UP)
    for side, to_side in (("R", RIGHT), ("L", -RIGHT)):
        pose[NUMBER[f"{side}Hip"]] = 0.13 * to_side
        shoulder = 0.25 * UP + trunk.apply(0.22 * UP + 0.18 * to_side)
        pose[NUMBER[f"{side}Shoulder"]] = shoulder
        for above, below, bone, length in (
            ("Hip", "Knee", "thigh", 0.45),
            ("Knee", "Foot", "shank", 0.44),
            ("Shoulder", "Elbow", "arm", 0.3),
            ("Elbow", "Wrist", "forearm", 0.26),
        ):
            vector = np.asarray(bones.pop(side.lower() + bone, -UP), float)
            pose[NUMBER[f"{side}{below}"]] = pose[NUMBER[f"{side}{above}"]] + length * vector
    assert not bones
    return pose


def measure(*poses, up=None):
    return joint_angles(np.array(poses), up=up)


def check(pose, up=UP, **expected):
    """The angles named are as expected, all others 0."""
    for name, values in measure(pose, up=up).items():
        assert values[0] == pytest.approx(expected.get(name, 0), abs=1e-4), name


def test_at_attention_every_angle_is_zero():
    check(standing())
    assert list(measure(standing(), up=UP)) == list(DEFINITIONS)
    upright = {"pelvis_tilt", "pelvis_list", "pelvis_rotation"}
    upright |= {"trunk_lean_forward", "trunk_lean_right"}
    assert DEFINITIONS.keys() - measure(standing()).keys() == upright


def test_t_pose():
    sides = {name: 90 for name in ("shoulder_elevation_r", "shoulder_elevation_l")}
    sides |= {name: 90 for name in ("shoulder_abduction_r", "shoulder_abduction_l")}
    pose = standing(rarm=RIGHT, rforearm=RIGHT, larm=-RIGHT, lforearm=-RIGHT)
    check(pose, **sides)


def test_seated():
    bent = ("hip_flexion_r", "hip_flexion_l", "knee_flexion_r", "knee_flexion_l")
    check(standing(rthigh=FORWARD, lthigh=FORWARD), **dict.fromkeys(bent, 90))


def test_one_elbow_bent_by_45_degrees():
    check(standing(rforearm=(FORWARD - UP) / np.sqrt(2)), elbow_flexion_r=45)
    check(standing(lforearm=(FORWARD + UP) / np.sqrt(2)), elbow_flexion_l=135)


def test_arms_forward_backward_and_up():
    forward = {"shoulder_elevation_l": 90, "shoulder_flexion_l": 90}
    check(standing(larm=FORWARD, lforearm=FORWARD), **forward)
    arm = Rotation.from_euler("z", -30, degrees=True).apply(-UP)
    backward = {"shoulder_elevation_r": 30, "shoulder_flexion_r": -30}
    check(standing(rarm=arm, rforearm=arm), **backward)
    assert measure(standing(rarm=UP, rforearm=UP))["shoulder_elevation_r"][0] == 180
    # Wu 2005: elevation 60 in the plane 30 degrees forward of the frontal plane.
    plane = np.cos(np.pi / 6) * RIGHT + np.sin(np.pi / 6) * FORWARD
    arm = -0.5 * UP + np.sqrt(0.75) * plane
    found = measure(standing(rarm=arm, rforearm=arm))
    assert found["shoulder_elevation_r"][0] == pytest.approx(60)
    assert found["shoulder_flexion_r"][0] == pytest.approx(30)
    assert found["shoulder_abduction_r"][0] == pytest.approx(60 * np.cos(np.pi / 6))


def test_an_arm_through_the_t_pose_does_not_jump():
    arms = [
        -np.cos(a) * UP + np.sin(a) * RIGHT + 0.05 * FORWARD for a in np.radians(range(20, 160))
    ]
    found = measure(*(standing(rarm=arm, rforearm=arm) for arm in arms))
    for name in ("shoulder_elevation_r", "shoulder_flexion_r", "shoulder_abduction_r"):
        assert np.abs(np.diff(found[name])).max() < 1.5


@pytest.mark.parametrize("side", ["r", "l"])
def test_thighs_turned_by_cardan_angles(side):
    """Wu 2002: flexion about z, then adduction about x, then rotation about the thigh."""
    lateral = 1 if side == "r" else -1
    for flexion, adduction, turn in [(50, -20, 30), (-25, 10, -40), (110, 15, 0), (200, 5, 0)]:
        angles = [flexion, lateral * adduction, turn]
        thigh = Rotation.from_euler("ZXY", angles, degrees=True).apply(-UP)
        pose = standing(**{f"{side}thigh": thigh, f"{side}shank": thigh})
        expected = {f"hip_flexion_{side}": flexion, f"hip_adduction_{side}": adduction}
        check(pose, **expected)


def test_trunk_turned_by_cardan_angles():
    """Extension, bending to the right, a turn to the left: positive rotations about z, x, y."""
    for flexion, bending, turn in [(30, 0, 0), (0, 20, 0), (0, 0, 25), (35, -15, -50)]:
        trunk = Rotation.from_euler("ZXY", [-flexion, bending, turn], degrees=True)
        found = measure(standing(trunk=trunk))
        assert found["trunk_flexion"][0] == pytest.approx(flexion, abs=1e-6)
        assert found["trunk_bending"][0] == pytest.approx(bending, abs=1e-6)
        assert found["trunk_rotation"][0] == pytest.approx(turn, abs=1e-6)


def test_neck():
    for forward, right in [(40, 0), (0, 15), (-20, -10)]:
        pose = standing()
        head = Rotation.from_euler("ZX", [-forward, right], degrees=True).apply(0.2 * UP)
        pose[NUMBER["Head"]] = pose[NUMBER["Thorax"]] + head
        check(pose, neck_flexion=forward, neck_bending=right)


def test_pelvis_in_the_room():
    """The whole body turned (Baker 2001): about up, then forward axis, then the line of hips."""
    whole = [
        Rotation.from_euler("YXZ", angles, degrees=True)
        for angles in [(0, 0, 0), (70, 10, -25), (-100, -5, 40)]
    ]
    found = measure(*(turn.apply(standing()) for turn in whole), up=UP)
    np.testing.assert_allclose(found["pelvis_rotation"], [0, 70, -100], atol=1e-6)
    np.testing.assert_allclose(found["pelvis_list"], [0, 10, -5], atol=1e-6)
    np.testing.assert_allclose(found["pelvis_tilt"], [0, -25, 40], atol=1e-6)
    # Leaning trunks, measured on a body that faces forward.
    lean = Rotation.from_euler("z", -30, degrees=True).apply(standing())
    assert measure(lean, up=UP)["trunk_lean_forward"][0] == pytest.approx(30)
    lean = Rotation.from_euler("x", 12, degrees=True).apply(standing())
    assert measure(lean, up=UP)["trunk_lean_right"][0] == pytest.approx(12)


def test_whole_turns_are_counted_on():
    degrees = np.arange(0, 1081, 20)
    poses = [Rotation.from_euler("y", d, degrees=True).apply(standing()) for d in degrees]
    poses[7][:] = np.nan
    found = measure(*poses, up=UP)["pelvis_rotation"]
    assert np.isnan(found[7])
    np.testing.assert_allclose(np.delete(found, 7), np.delete(degrees, 7), atol=1e-6)
    somersault = [Rotation.from_euler("z", -d, degrees=True).apply(standing()) for d in degrees]
    np.testing.assert_allclose(measure(*somersault, up=UP)["pelvis_tilt"], -degrees, atol=1e-6)


def test_axes_and_place_do_not_matter():
    poses = walk_result().joints3d[:, 0].astype(np.float64)
    up = np.array([0.1, -1, 0.2])
    turn = Rotation.from_euler("xyz", [40, 130, -70], degrees=True)
    turned = turn.apply(poses.reshape(-1, 3)).reshape(poses.shape) + np.array([3, -2, 8])
    before, after = joint_angles(poses, up=up), joint_angles(turned, up=3 * turn.apply(up))
    for name in DEFINITIONS:
        np.testing.assert_allclose(after[name], before[name], atol=1e-6)


def test_a_mirrored_pose_exchanges_left_and_right():
    poses = walk_result().joints3d[:, 0].astype(np.float64)
    mirrored = poses[:, list(MIRROR)] * [-1, 1, 1]
    before, after = (joint_angles(p, up=np.array([0.0, -1, 0])) for p in (poses, mirrored))
    turned = {"trunk_bending", "trunk_rotation", "neck_bending", "pelvis_list"}
    turned |= {"pelvis_rotation", "trunk_lean_right"}
    other = {"_r": "_l", "_l": "_r"}
    for name, values in before.items():
        partner = name[:-2] + other[name[-2:]] if name[-2:] in other else name
        sign = -1 if name in turned else 1
        np.testing.assert_allclose(after[partner], sign * values, atol=1e-6)


def test_the_walk_of_the_demo_clip_is_a_walk():
    """Gait has knees that bend to about 60 degrees and hips that swing by about 40-60."""
    found = joint_angles(walk_result(225).joints3d[:, 0], up=np.array([0.0, -1, 0]))
    for side in "rl":
        assert 50 < found[f"knee_flexion_{side}"].max() < 75
        assert found[f"knee_flexion_{side}"].min() < 12
        assert 40 < np.ptp(found[f"hip_flexion_{side}"]) < 80
        assert np.abs(found[f"hip_adduction_{side}"]).max() < 20
    # Opposite legs, opposite phases.
    assert np.corrcoef(found["hip_flexion_r"], found["hip_flexion_l"])[0, 1] < -0.7
    # He walks an ellipse: nearly once around within the clip.
    assert 300 < found["pelvis_rotation"][-1] < 350


def test_absent_joints_make_absent_angles():
    pose = standing(rthigh=FORWARD)
    pose[NUMBER["RKnee"]] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = measure(pose, up=UP)
        empty = measure(np.full((17, 3), np.nan), np.zeros((17, 3)), up=UP)
    absent = {name for name, values in found.items() if np.isnan(values[0])}
    assert absent == {"hip_flexion_r", "hip_adduction_r", "knee_flexion_r"}
    assert all(np.isnan(values).all() for values in empty.values())
    assert all(
        values.shape == (0,) for values in joint_angles(np.zeros((0, 17, 3)), up=UP).values()
    )


def test_straight_limbs_in_any_direction_are_numbers():
    turns = Rotation.random(500, random_state=3)
    poses = np.array([turn.apply(standing()) for turn in turns]).astype(np.float32)
    found = joint_angles(poses)
    for name in ("knee_flexion_r", "elbow_flexion_l"):
        assert np.isfinite(found[name]).all()
        assert found[name].max() < 1e-3


def test_refused_input():
    with pytest.raises(Pose3dError, match=r"\(F, 17, 3\), not \(4, 16, 3\)"):
        joint_angles(np.zeros((4, 16, 3)))
    with pytest.raises(Pose3dError, match="up must be a direction"):
        measure(standing(), up=np.zeros(3))
    with pytest.raises(Pose3dError, match="joint speeds need positions"):
        joint_speeds(np.zeros((4, 17, 3)), np.zeros(5))


def test_speed_on_a_circle():
    time_s = np.arange(200) / 100
    radius, turns = 0.5, 2 * np.pi * 0.8
    circle = radius * np.stack(
        [np.cos(turns * time_s), np.sin(turns * time_s), 0 * time_s], axis=-1
    )
    speeds = joint_speeds(np.stack([circle, 0 * circle], axis=1), time_s)
    np.testing.assert_allclose(speeds[:, 0], radius * turns, rtol=1e-3)
    assert (speeds[:, 1] == 0).all()


def test_speed_follows_the_real_times():
    """Fall from rest, 9.81 m/s², frames at uneven times: exact but at the ends."""
    time_s = np.array([0, 0.03, 0.05, 0.12, 0.13, 0.2])
    fall = np.zeros((6, 1, 3))
    fall[:, 0, 1] = 9.81 / 2 * time_s**2
    speeds = joint_speeds(fall, time_s)[:, 0]
    np.testing.assert_allclose(speeds[1:-1], 9.81 * time_s[1:-1])
    assert speeds[0] == pytest.approx(9.81 * 0.015)


def test_speed_beside_gaps():
    steady = np.zeros((9, 1, 3))
    steady[:, 0, 0] = 0.1 * np.arange(9)
    steady[[3, 6, 8]] = np.nan
    speeds = joint_speeds(steady, np.arange(9) / 10)[:, 0]
    np.testing.assert_allclose(speeds, [1, 1, 1, np.nan, 1, 1, np.nan, np.nan, np.nan], rtol=1e-9)
    # Two frames at one time: no step to divide by.
    assert np.isfinite(joint_speeds(steady[:3], np.array([0, 0, 0.1])).ravel()[1:]).all()
    for count in (0, 1):
        assert np.isnan(joint_speeds(steady[:count], np.arange(count))).all()
