"""Bodies, cameras and training pairs made of motion capture, held against plain geometry."""

import math

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from walkers import ANKLE, BONE_LENGTHS, as_mocap, rows, walker, walks

from lifters3d.data.batches import PairStream, to_input, to_target
from lifters3d.data.bodies import BODY_SCALE, BONE_RANGES, WindowSampler, augment_bodies
from lifters3d.data.virtual_cameras import film
from lifters3d.normalisation import person_size, screen, viewing_rotation
from lifters3d.skeleton import LEFT, PARENTS, RIGHT, derive_trunk
from weights.errors import Pose3dError

UP = np.array([0.0, 0.0, 1.0])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def lengths(poses: torch.Tensor) -> torch.Tensor:
    """Lengths (..., 16) of the bones of the joints 1 to 16."""
    return (poses[..., 1:, :] - poses[..., list(PARENTS[1:]), :]).norm(dim=-1)


# Windows of motion capture


def test_windows_lie_on_the_clips_at_speeds_within_the_range():
    """Clip i moves along x at 1 + i m/s and lies at y = i: the path tells clip and speed."""
    clips = []
    for i in range(3):
        clip = np.zeros((100, 17, 3))
        clip[..., 0] = (1 + i) * np.arange(100)[:, None] / 30
        clip[..., 1] = i
        clips.append(clip)
    windows = WindowSampler(as_mocap(clips), 20).draw(300, seeded())
    assert windows.shape == (300, 20, 17, 3)
    clip = windows[:, 0, 0, 1]
    assert set(clip.tolist()) == {0, 1, 2}
    assert (windows[..., 1] == clip[:, None, None]).all()  # no window crosses into another clip
    x = windows[:, :, 0, 0]
    speed = 30 * x.diff(dim=1) / (1 + clip)[:, None]
    assert (speed - speed[:, :1]).abs().max() < 1e-3
    assert 0.7 - 1e-3 < speed.min() < 0.75
    assert 1.45 < speed.max() < 1.5 + 1e-3
    last = (1 + clip)[:, None] * 99 / 30
    assert (x >= 0).all()
    assert (x <= last + 1e-5).all()


def test_short_clips_are_held_at_their_ends():
    clip = np.zeros((5, 17, 3))
    clip[..., 0] = np.arange(5)[:, None]
    x = WindowSampler(as_mocap([clip]), 30).draw(50, seeded())[:, :, 0, 0]
    assert ((x.diff(dim=1) >= 0) & (x.diff(dim=1) <= 1.5 + 1e-5)).all()
    assert (x[:, 0] == 0).all()
    assert (x[:, -1] == 4).all()
    assert ((x == 0).sum(1) + (x == 4).sum(1) >= 20).all()
    assert len(set((x == 0).sum(1).tolist())) > 5  # not always held at the same end
    single = WindowSampler(as_mocap([clip[3:4]]), 7).draw(2, seeded())
    assert (single[..., 0] == 3).all()


def test_clips_are_drawn_by_frames_source_and_fidelity():
    clips = [np.full((n, 17, 3), float(i)) for i, n in enumerate((100, 300, 200))]
    table = rows(1, "cmu", "native") + rows(1, "cmu", "retargeted") + rows(1, "uiprmd", "markers")
    drawn = WindowSampler(as_mocap(clips, table), 3).draw(8000, seeded())[:, 0, 0, 0]
    share = np.bincount(drawn.int().numpy()) / 8000
    expected = np.array([100 * 2, 300, 200 * 0.15])
    np.testing.assert_allclose(share, expected / expected.sum(), atol=0.02)


def test_no_clips_to_draw_from():
    mocap = as_mocap(walks(2, 10))
    with pytest.raises(Pose3dError, match="no motion-capture clips"):
        WindowSampler(mocap.select([False, False]), 5)


# Other bodies


@pytest.fixture(scope="module")
def bodies():
    windows = WindowSampler(as_mocap(walks()), 12).draw(400, seeded(1))
    return windows, augment_bodies(windows, seeded(2))


def test_bones_stay_rigid_and_within_their_ranges(bodies):
    windows, augmented = bodies
    # Between two frames of a clip, joints are interpolated: bones lose up to 1 %.
    assert (lengths(windows) / lengths(windows)[:, :1] - 1).abs().max() < 0.012
    factor = (lengths(augmented) / torch.from_numpy(BONE_LENGTHS[1:])).mean(1)
    assert (lengths(augmented) / lengths(augmented)[:, :1] - 1).abs().max() < 0.012
    for joints, (low, high) in BONE_RANGES.items():
        for joint in joints:
            observed = factor[:, joint - 1]
            assert observed.min() > low * BODY_SCALE[0] - 0.012, joint
            assert observed.max() < high * BODY_SCALE[1] + 0.012, joint
            assert observed.max() / observed.min() > 0.9 * high / low, joint


def test_left_and_right_are_alike(bodies):
    # The right and left sides of the walker bend differently: interpolation alone parts them.
    mean = lengths(bodies[1]).mean(1)
    left, right = ([joint - 1 for joint in side] for side in (LEFT, RIGHT))
    torch.testing.assert_close(mean[:, left], mean[:, right], rtol=0.01, atol=0)


def test_feet_stay_near_the_floor(bodies):
    lowest = bodies[1][:, :, [3, 6], 2].amin(2)
    # The ankle's own height scales with the legs; thighs and shanks may differ by a tenth.
    assert (lowest - ANKLE).abs().max() < 0.03


def test_augmentation_mirrors_half_and_mixes_some(bodies):
    windows, augmented = bodies
    across = [poses[:, :, 4] - poses[:, :, 1] for poses in bodies]
    ahead = [torch.linalg.cross(a, torch.tensor([0.0, 0.0, 1.0]).expand_as(a)) for a in across]
    mirrored = ahead[1] * torch.tensor([1.0, -1.0, 1.0])
    cosine = torch.nn.functional.cosine_similarity
    straight = (cosine(ahead[0], ahead[1], dim=-1) > 0.9999).all(1)
    turned = (cosine(ahead[0], mirrored, dim=-1) > 0.9999).all(1)
    assert (straight | turned).all()
    assert 0.4 < (turned & ~straight).sum() / (turned ^ straight).sum() < 0.6

    # The direction of the upper arm against the body's heading tells whose arm it is.
    def arm(poses: torch.Tensor, side: int) -> torch.Tensor:
        bone = poses[:, :, side + 1] - poses[:, :, side]
        return bone[..., 2] / bone.norm(dim=-1)

    own = torch.where(turned[:, None], arm(windows, 14), arm(windows, 11))
    mixed = (own - arm(augmented, 11)).abs().amax(1) > 1e-3
    assert 0.08 < mixed.float().mean() < 0.21


def test_mixed_bodies_face_one_way(bodies):
    """The walker's shoulders are parallel to the hips, whoever they belong to."""
    hips = bodies[1][:, :, 4] - bodies[1][:, :, 1]
    shoulders = bodies[1][:, :, 11] - bodies[1][:, :, 14]
    cosine = torch.nn.functional.cosine_similarity(hips, shoulders, dim=-1)
    assert cosine.min() > 0.9999


def test_the_movement_is_kept(bodies):
    """Without mixing, every bone of the legs points where it pointed."""
    windows, augmented = bodies
    bones = [p[:, :, [2, 3, 5, 6]] - p[:, :, [1, 2, 4, 5]] for p in (windows, augmented)]
    before, after = (bone / bone.norm(dim=-1, keepdim=True) for bone in bones)
    reflected = before[:, :, [2, 3, 0, 1]] * torch.tensor([1.0, -1.0, 1.0])
    same = (after - before).abs().amax((1, 2, 3)) < 1e-4
    mirrored = (after - reflected).abs().amax((1, 2, 3)) < 1e-4
    assert (same | mirrored).all()


# Cameras


@pytest.fixture(scope="module")
def filmed():
    poses = WindowSampler(as_mocap(walks()), 9).draw(300, seeded(3)).double()
    joints, picture = film(poses.float(), seeded(4))
    return poses.numpy(), joints.double().numpy(), picture.double().numpy()


def focal_lengths(joints: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Focal length (B,) in picture widths that fits each window best."""
    ray = joints[..., :2] / joints[..., 2:]
    return (picture * ray).sum((1, 2, 3)) / (2 * np.square(ray).sum((1, 2, 3)))


@pytest.fixture(scope="module")
def cameras(filmed):
    """World to camera rotations (B, T, 3, 3) and positions (B, T, 3), fitted to the joints."""
    poses, joints, _ = filmed
    world = poses - poses.mean(2, keepdims=True)
    camera = joints - joints.mean(2, keepdims=True)
    left, _, right = np.linalg.svd(camera.swapaxes(-1, -2) @ world)
    rotation = left @ right  # the best orthogonal matrix: a reflection would show
    middle = joints.mean(2, keepdims=True) @ rotation
    return rotation, (poses.mean(2, keepdims=True) - middle)[:, :, 0]


def test_depth_and_focal_lengths(filmed):
    _, joints, picture = filmed
    assert joints[..., 2].min() >= 0.8 - 1e-5
    focal = focal_lengths(joints, picture)
    assert 0.8 - 1e-4 < focal.min() < 0.85
    assert 2.0 < focal.max() < 2.2 + 1e-4


def test_nobody_runs_into_the_camera():
    runner = torch.from_numpy(walker(30, speed=7.0)).float().expand(200, -1, -1, -1)
    depth = film(runner, seeded())[0][..., 2].amin((1, 2))
    assert depth.min() >= 0.8 - 1e-5
    assert (depth < 0.8 + 1e-4).sum() > 10


def test_the_picture_is_opencvs(filmed):
    _, joints, picture = filmed
    size = (1920, 1080)
    for window in range(0, 300, 30):
        focal = focal_lengths(joints, picture)[window] * size[0]
        matrix = np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1]])
        flat = joints[window].reshape(-1, 3)
        pixels, _ = cv2.projectPoints(flat, np.zeros(3), np.zeros(3), matrix, None)
        expected = screen(torch.from_numpy(pixels.reshape(9, 17, 2)), size).numpy()
        np.testing.assert_allclose(picture[window], expected, rtol=0, atol=1e-4)


def test_cameras_move_rigidly_and_are_right_handed(filmed, cameras):
    poses, joints, _ = filmed
    rotation, position = cameras
    np.testing.assert_allclose(np.linalg.det(rotation), 1, atol=1e-9)
    again = (poses - position[:, :, None]) @ rotation.swapaxes(-1, -2)
    np.testing.assert_allclose(joints, again, rtol=0, atol=1e-4)


def test_cameras_stand_where_they_should(filmed, cameras):
    poses, joints, _ = filmed
    position = cameras[1]
    # Whoever comes nearer than 0.8 m pushes the camera back.
    free = joints[..., 2].min((1, 2)) > 0.8 + 1e-4
    position, centre = position[free], poses[free, :, 0].mean(1)
    assert free.mean() > 0.8
    assert np.abs(position - position[:, :1]).max() < 1e-3
    distance = np.linalg.norm((position[:, 0] - centre)[:, :2], axis=-1)
    assert 2 - 1e-3 < distance.min() < 2.2
    assert 7 < distance.max() < 8 + 1e-3
    assert position[..., 2].min() > 0.3 - 1e-3
    assert 2.5 < position[..., 2].max() < 4 + 1e-3
    assert (position[..., 2] > 2.5).mean() < 0.2


def test_up_is_up(filmed, cameras):
    _, joints, picture = filmed
    assert (joints[:, :, 10, 1] < joints[:, :, 0, 1]).all()
    assert (picture[:, :, 10, 1] < picture[:, :, 0, 1]).all()
    assert (joints[:, :, 0, 1] < np.minimum(joints[:, :, 3, 1], joints[:, :, 6, 1])).all()
    right = cameras[0][:, 0, 0]
    roll = np.degrees(np.arcsin(right @ UP))
    assert 1 < roll.std() < 4
    assert np.abs(roll).max() < 12


def test_left_is_right_of_whoever_faces_the_camera(filmed, cameras):
    poses, _, picture = filmed
    to_camera = cameras[1] - poses[:, :, 0]
    facing = np.cross(poses[:, :, 4] - poses[:, :, 1], UP)
    cosine = (to_camera * facing)[..., :2].sum(-1)
    cosine /= np.linalg.norm(to_camera[..., :2], axis=-1) * np.linalg.norm(facing, axis=-1)
    left_minus_right = picture[:, :, 11, 0] - picture[:, :, 14, 0]
    assert (left_minus_right[cosine > 0.7] > 0).all()
    assert (left_minus_right[cosine < -0.7] < 0).all()
    assert min((cosine > 0.7).mean(), (cosine < -0.7).mean()) > 0.1


def test_people_are_mostly_in_the_picture_and_some_cameras_turn(filmed, cameras):
    picture, rotation = filmed[2], cameras[0]
    assert (np.abs(picture[:, :, 0, 0]) < 1).mean() > 0.95
    turn = Rotation.from_matrix(rotation[:, -1] @ rotation[:, 0].swapaxes(-1, -2)).magnitude()
    assert 0.2 < (turn < 1e-4).mean() < 0.6
    assert np.degrees(turn).max() > 5


# Pairs


def pairs(seed: int, **options) -> PairStream:
    settings = {"frames": 6, "batch": 16, "normalisation": "person"} | options
    return PairStream(as_mocap(walks()), generator=seeded(seed), **settings)


def test_seeds_reproduce():
    one, same, other = pairs(7), pairs(7), pairs(8)
    for _ in range(2):
        (x, y), (x2, y2), (x3, _) = next(one), next(same), next(other)
        assert torch.equal(x, x2)
        assert torch.equal(y, y2)
        assert not torch.equal(x, x3)
    assert not torch.equal(next(one)[0], x)


@pytest.mark.parametrize("normalisation", ["person", "screen"])
def test_pairs(normalisation):
    keypoints, target = next(pairs(0, normalisation=normalisation))
    assert keypoints.shape == (16, 6, 17, 2)
    assert target.shape == (16, 6, 17, 3)
    assert keypoints.dtype == target.dtype == torch.float32
    assert (target[:, :, 0] == 0).all()
    assert 0.1 < target.std() < 0.6  # metres
    torch.testing.assert_close(derive_trunk(keypoints), keypoints, rtol=0, atol=1e-5)
    if normalisation == "person":
        sizes = person_size(keypoints)
        torch.testing.assert_close(sizes, torch.ones(16))


def test_targets_lead_back_to_the_picture(filmed):
    """The way of inference: from the lifter's axes to the camera's, by the hip's ray alone."""
    _, joints, picture = (torch.from_numpy(array) for array in filmed)
    target = to_target(joints, "person")
    hip = joints[:, :, :1]
    focal = torch.from_numpy(focal_lengths(filmed[1], filmed[2]))[:, None, None]
    rotation = viewing_rotation(picture[:, :, 0] / (2 * focal))
    back = torch.einsum("btji,btkj->btki", rotation, target) + hip
    torch.testing.assert_close(back, joints, rtol=0, atol=1e-5)
    projected = 2 * focal[..., None] * back[..., :2] / back[..., 2:]
    torch.testing.assert_close(projected, picture, rtol=0, atol=1e-4)


def test_targets_are_seen_by_a_camera_that_looks_at_the_hip(filmed):
    """Pan right, then tilt down, with OpenCV's rotations: no roll arises."""
    joints = filmed[1]
    target = to_target(torch.from_numpy(joints), "person").numpy()
    np.testing.assert_allclose(
        np.linalg.norm(target, axis=-1), np.linalg.norm(joints - joints[:, :, :1], axis=-1)
    )
    for window in range(0, 300, 50):
        hip = joints[window, 0, 0]
        pan = math.atan2(hip[0], hip[2])
        tilt = math.atan2(hip[1], math.hypot(hip[0], hip[2]))
        # First turn the camera right about its y axis, then down about its new x axis.
        turn = cv2.Rodrigues(np.array([tilt, 0, 0]))[0] @ cv2.Rodrigues(np.array([0, -pan, 0]))[0]
        turned = joints[window, 0] @ turn.T
        np.testing.assert_allclose(turned[0], [0, 0, np.linalg.norm(hip)], atol=1e-9)
        np.testing.assert_allclose(target[window, 0], turned - turned[0], atol=1e-9)


def test_screen_targets_and_inputs(filmed):
    _, joints, picture = (torch.from_numpy(array) for array in filmed)
    assert torch.equal(to_target(joints, "screen"), joints - joints[:, :, :1])
    assert torch.equal(to_input(picture, "screen", 9), derive_trunk(picture))


def test_person_input_looks_alike_through_any_lens(filmed):
    """Focal length and picture units drop out."""
    picture = torch.from_numpy(filmed[2])
    torch.testing.assert_close(
        to_input(picture, "person", 9), to_input(700 * picture + 9, "person", 9)
    )
