"""The root's path, the way up and the floor, from bodies whose place in the world is known."""

from pathlib import Path

import numpy as np
import pytest

from lifters3d.skeleton import HIP, LEFT, RIGHT
from pipeline.world import ANKLE_HEIGHT, place_on_floor, room_rotation, root_path, up_direction

WALK = Path(__file__).parents[2] / "demos" / "walk.npz"
SIZE = (1280, 720)
FOCAL = 1000.0
STEP = 1 / 30
FEET = [RIGHT[2], LEFT[2]]

# (17, 3) metres, x right, y down, z away: a person who stands and looks at the camera, hip at 0.
STANDING = np.array(
    [
        [0, 0, 0],
        [-0.13, 0, 0],
        [-0.13, 0.45, -0.02],
        [-0.14, 0.86, 0],
        [0.13, 0, 0],
        [0.13, 0.45, -0.02],
        [0.14, 0.86, 0],
        [0, -0.25, 0.01],
        [0, -0.5, 0],
        [0, -0.6, -0.05],
        [0, -0.72, -0.02],
        [0.18, -0.47, 0],
        [0.35, -0.3, 0.05],
        [0.45, -0.1, 0],
        [-0.18, -0.47, 0],
        [-0.35, -0.3, 0.05],
        [-0.45, -0.1, 0],
    ]
)


def tilt(pitch, roll=0.0):
    """Rotation (3, 3) from level camera axes to those of one that looks down by `pitch` degrees."""
    p, r = np.radians([pitch, roll])
    pitched = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    rolled = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return rolled @ pitched


def angle(a, b):
    """Degrees between two vectors."""
    return np.degrees(np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1)))


def walk():
    """Joints (F, 17, 3) in camera axes, keypoints (F, 17, 2) px, focal length, size, up (3,)."""
    truth = np.load(WALK)
    joints = np.einsum("tij,tkj->tki", truth["R"], truth["joints3d_world"][:, 0])
    joints = joints + truth["t"][:, None]
    up = truth["R"][:, :, 2].mean(0)
    return joints, truth["joints2d"][:, 0], truth["K"][0, 0], tuple(truth["size"]), up


def rooted(joints):
    return joints - joints[..., HIP : HIP + 1, :]


def project(joints):
    return FOCAL * joints[..., :2] / joints[..., 2:] + np.array(SIZE) / 2


def turned(frames):
    """(F, 17, 3): STANDING, turning about the upright once."""
    a = np.linspace(0, 2 * np.pi, frames)
    zero, one = np.zeros(frames), np.ones(frames)
    about_y = np.array(
        [[np.cos(a), zero, np.sin(a)], [zero, one, zero], [-np.sin(a), zero, np.cos(a)]]
    )
    return np.einsum("ijt,kj->tki", about_y, STANDING)


# The root's path ---------------------------------------------------------------------------------


def test_exact_projections_give_the_exact_place():
    path = np.array([-1.5, 0.3, 6.0]) + np.linspace(0, 1, 90)[:, None] * [3, 0, 0]
    joints = turned(90) + path[:, None]
    root = root_path(rooted(joints), project(joints), np.ones((90, 17)), FOCAL, SIZE, STEP)
    assert root.dtype == np.float32
    np.testing.assert_allclose(root, path, atol=1e-4)


def test_path_of_the_demo_clip():
    joints, keypoints, focal, size, _ = walk()
    root = root_path(rooted(joints), keypoints, np.ones((len(joints), 17)), focal, size, STEP)
    error = np.abs(root - joints[:, HIP])
    assert error[:, :2].max() < 0.01
    assert (error[:, 2] / joints[:, HIP, 2]).max() < 0.01  # smoothed over time


def test_depth_is_steady_under_noise():
    path = np.array([0.5, 0.0, 5.0]) + np.linspace(0, 1, 120)[:, None] * [0, 0, 2]
    joints = turned(120) + path[:, None]
    noisy = project(joints) + np.random.default_rng(0).normal(0, 4, (120, 17, 2))
    root = root_path(rooted(joints), noisy, np.ones((120, 17)), FOCAL, SIZE, STEP)
    assert np.abs(root[:, 2] - path[:, 2]).max() < 0.15
    assert np.abs(np.diff(root[:, 2], 2)).max() < 0.02


def test_joints_of_low_score_count_little():
    joints = turned(60) + np.array([0, 0, 5.0])
    keypoints, scores = project(joints), np.ones((60, 17))
    keypoints[:, 16] += 300
    scores[:, 16] = 0
    trusted = root_path(rooted(joints), keypoints, np.ones((60, 17)), FOCAL, SIZE, STEP)
    root = root_path(rooted(joints), keypoints, scores, FOCAL, SIZE, STEP)
    assert np.abs(root[:, 2] - 5).mean() < np.abs(trusted[:, 2] - 5).mean() / 3


def test_the_root_projects_onto_the_hip():
    joints = turned(60) + np.array([1.0, -0.5, 4.0])
    keypoints = project(joints) + np.random.default_rng(0).normal(0, 5, (60, 17, 2))
    root = root_path(rooted(joints), keypoints, np.ones((60, 17)), FOCAL, SIZE, STEP)
    np.testing.assert_allclose(project(root), keypoints[:, HIP], atol=1e-2)


def test_absent_frames_stay_absent_and_do_not_spread():
    joints = turned(60) + np.array([0, 0, 4.0])
    lifted, keypoints, scores = rooted(joints), project(joints), np.ones((60, 17))
    lifted[20:30] = keypoints[20:30] = scores[20:30] = np.nan
    root = root_path(lifted, keypoints, scores, FOCAL, SIZE, STEP)
    absent = np.isnan(root)
    assert absent[20:30].all()
    assert not absent[:20].any()
    assert not absent[30:].any()
    np.testing.assert_allclose(root[~absent].reshape(-1, 3)[:, 2], 4, atol=1e-3)


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_few_frames_or_nobody(frames):
    nobody = np.full((frames, 17, 3), np.nan)
    root = root_path(nobody, nobody[..., :2], nobody[..., 0], FOCAL, SIZE, STEP)
    assert root.shape == (frames, 3)
    assert np.isnan(root).all()
    joints = turned(frames) + np.array([0, 0, 5.0])
    root = root_path(rooted(joints), project(joints), np.ones((frames, 17)), FOCAL, SIZE, STEP)
    np.testing.assert_allclose(root, joints[:, HIP], atol=1e-3)


def test_nonsense_gives_finite_places():
    random = np.random.default_rng(0)
    joints, keypoints = random.normal(size=(50, 17, 3)), random.uniform(0, 1000, (50, 17, 2))
    joints[:10] = 0
    keypoints[5:15] = keypoints[5:15, :1]
    for step in (STEP, 0.0, 100.0):
        root = root_path(joints, keypoints, random.uniform(0, 1, (50, 17)), FOCAL, SIZE, step)
        assert np.isfinite(root).all()
        assert (root[:, 2] > 0).all()


# Which way is up ---------------------------------------------------------------------------------


@pytest.mark.parametrize("pitch", [-20, 0, 10, 20, 30])
@pytest.mark.parametrize("roll", [0, 10])
def test_up_from_people_who_stand(pitch, roll):
    camera = tilt(pitch, roll)
    people = np.stack([turned(40), turned(40)[::-1]], axis=1)
    noise = np.random.default_rng(0).normal(0, 0.02, people.shape)
    up = up_direction((people + noise) @ camera.T)
    assert np.linalg.norm(up) == pytest.approx(1)
    assert angle(up, camera @ [0, -1, 0]) < 1


@pytest.mark.parametrize("pitch", [-10, 0, 10, 20, 30])
def test_up_from_the_demo_clip_seen_by_tilted_cameras(pitch):
    joints, *_, up = walk()
    camera = tilt(pitch)
    assert angle(up_direction(rooted(joints)[:, None] @ camera.T), camera @ up) < 3


def test_people_who_lie_or_sit_do_not_turn_the_room():
    lying = turned(60) @ tilt(90).T
    sitting = turned(60)
    sitting[:, [2, 3, 5, 6], 2] -= 0.45  # knees and feet forward
    sitting[:, [2, 5], 1] = 0.05
    for people in (lying, sitting):
        np.testing.assert_array_equal(up_direction(people[:, None]), [0, -1, 0])
    mixed = np.stack([turned(60), sitting], axis=1) @ tilt(15).T
    assert angle(up_direction(mixed), tilt(15) @ [0, -1, 0]) < 1


@pytest.mark.parametrize("shape", [(0, 1), (1, 1), (30, 2), (30, 0)])
def test_nobody_means_level(shape):
    np.testing.assert_array_equal(up_direction(np.full((*shape, 17, 3), np.nan)), [0, -1, 0])


@pytest.mark.parametrize(("pitch", "roll"), [(0, 0), (25, 0), (-30, 12), (10, -20)])
def test_room_axes(pitch, roll):
    up = tilt(pitch, roll) @ [0, -1, 0]
    rotation = room_rotation(up)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    np.testing.assert_allclose(rotation @ up, [0, 0, 1], atol=1e-12)
    assert (rotation @ [0, 0, 1])[1] > 0.8  # away from the camera
    if roll == 0:
        np.testing.assert_allclose(rotation @ [1, 0, 0], [1, 0, 0], atol=1e-12)


# The floor ---------------------------------------------------------------------------------------


def on_floor(heights, pitch=15, roll=0, place=(0.5, 1.0, 6.0), frames=None):
    """Feet heights (F,) and joints of a turning person lifted by `heights` (F,) metres."""
    body = turned(len(heights))
    body[..., 1] -= np.asarray(heights)[:, None]
    camera = tilt(pitch, roll)
    root = (body[:, HIP] + place) @ camera.T
    room = place_on_floor(
        (rooted(body) @ camera.T)[:, None], root[:, None], camera @ [0, -1, 0], STEP
    )
    return room[:, 0]


def test_standing_feet_are_at_the_height_of_ankles():
    room = on_floor(np.zeros(90))
    assert room.dtype == np.float32
    np.testing.assert_allclose(room[:, FEET, 2], ANKLE_HEIGHT, atol=1e-3)
    np.testing.assert_allclose(room[:, 10, 2] - room[:, 3, 2], 0.72 + 0.86, atol=1e-3)


def test_a_jump_stays_a_jump():
    moment = np.arange(180) * STEP
    height = np.zeros(180)
    for start in (1.0, 3.5):
        flight = (moment - start) / 0.55
        height += np.where((flight > 0) & (flight < 1), 0.4 * 4 * flight * (1 - flight), 0)
    assert height.max() == pytest.approx(0.4, abs=0.01)
    feet = on_floor(height)[:, FEET, 2].min(1)
    np.testing.assert_allclose(feet, height + ANKLE_HEIGHT, atol=0.02)


def test_a_wrong_depth_does_not_lift_people():
    """Under a tilted camera a drift of the depth looks like a slow rise: the floor follows it."""
    drift = np.linspace(0, 0.8, 300)
    feet = on_floor(drift)[:, FEET, 2].min(1)
    assert np.abs(feet - ANKLE_HEIGHT).max() < 0.25
    assert np.abs(feet[60:-60] - ANKLE_HEIGHT).max() < 0.15


def test_feet_of_the_demo_clip():
    joints, *_, up = walk()
    room = place_on_floor(rooted(joints)[:, None], joints[:, None, HIP], up, STEP)
    truth = np.load(WALK)["joints3d_world"]
    difference = room[..., FEET, 2] - truth[..., FEET, 2]
    assert np.abs(difference).max() < 0.04
    # The shape is the truth's: distances between joints and frames are kept but for the floor.
    np.testing.assert_allclose(
        np.linalg.norm(np.diff(room[:, 0, :, :2], axis=0), axis=-1),
        np.linalg.norm(np.diff(truth[:, 0, :, :2], axis=0), axis=-1),
        atol=2e-3,
    )


def test_people_far_apart_share_no_floor():
    low, high = np.zeros(60), np.full(60, 1.5)  # one on a stage
    rooms = [on_floor(height) for height in (low, high)]
    np.testing.assert_allclose(rooms[0][..., 2], rooms[1][..., 2], atol=1e-3)


def test_absence_stays_absence():
    joints, root = np.tile(STANDING, (90, 2, 1, 1)), np.tile([0.0, 0, 5], (90, 2, 1))
    joints[30:60, 0] = root[30:60, 0] = np.nan
    joints[:, 1] = root[:, 1] = np.nan
    room = place_on_floor(joints, root, np.array([0.0, -1, 0]), STEP)
    assert np.isnan(room[30:60, 0]).all()
    assert np.isnan(room[:, 1]).all()
    present = np.delete(room[:, 0], np.s_[30:60], axis=0)
    np.testing.assert_allclose(present[:, FEET, 2], ANKLE_HEIGHT, atol=1e-3)


@pytest.mark.parametrize("shape", [(0, 1), (1, 1), (1, 0), (5, 1)])
def test_nobody_on_the_floor(shape):
    nobody = np.full((*shape, 17, 3), np.nan)
    room = place_on_floor(nobody, nobody[:, :, 0], np.array([0.0, -1, 0]), STEP)
    assert room.shape == (*shape, 17, 3)
    assert np.isnan(room).all()


def test_a_single_frame_stands():
    room = place_on_floor(
        STANDING[None, None], np.array([[[0.0, 0, 5]]]), np.array([0, -1.0, 0]), STEP
    )
    np.testing.assert_allclose(room[0, 0, FEET, 2], ANKLE_HEIGHT, atol=1e-4)


def path_of(root, cuts=(), causal=False):
    """``root_path`` of a standing body that is really at ``root`` (F, 3)."""
    joints = np.repeat(STANDING[None], len(root), axis=0)
    placed = joints + root[:, None]
    pixels = FOCAL * placed[..., :2] / placed[..., 2:] + np.array(SIZE) / 2
    scores = np.ones(pixels.shape[:2])
    return root_path(joints, pixels, scores, FOCAL, SIZE, STEP, cuts=cuts, causal=causal)


def test_nothing_is_smoothed_across_a_cut():
    root = np.tile([0.2, 0.1, 4.0], (60, 1))
    root[30:, 2] = 11
    np.testing.assert_allclose(path_of(root, cuts=[0, 30]), root, atol=1e-3)
    assert np.abs(path_of(root) - root).max() > 1  # glides without being told


def test_a_causal_path_knows_no_future():
    root = np.tile([0.2, 0.1, 4.0], (60, 1))
    root[:, 2] += np.linspace(0, 3, 60) + np.random.default_rng(0).normal(0, 0.2, 60)
    whole, part = path_of(root, causal=True), path_of(root[:40], causal=True)
    np.testing.assert_array_equal(whole[:40], part)
    assert np.abs(path_of(root)[:40] - path_of(root[:40])).max() > 1e-3
    # It is steadier than what it is made of.
    assert np.abs(np.diff(whole[:, 2], 2)).mean() < 0.4 * np.abs(np.diff(root[:, 2], 2)).mean()


def test_who_stands_on_the_hands_is_above_the_floor():
    joints = (STANDING * [1, -1, 1])[None, None].repeat(5, axis=0)
    root = np.tile([0, 0, 5.0], (5, 1, 1))
    room = place_on_floor(joints, root, np.array([0.0, -1, 0]), STEP)
    assert room[..., 2].min() == pytest.approx(ANKLE_HEIGHT, abs=1e-5)
