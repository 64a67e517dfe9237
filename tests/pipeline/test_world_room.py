"""The room around people: the way up, one floor for the clip, the scale; and in results."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import lifters3d
from pipeline.bones import body_height
from pipeline.contacts import ANKLES
from pipeline.detection import Person
from pipeline.process import lift_people
from pipeline.progress import Silence
from pipeline.result import PoseResult, load_result
from pipeline.settings import Settings
from pipeline.world import World, estimate_world, to_world
from tests.pipeline.walker import ANKLE, angle, filmed, walk
from weights.errors import Pose3dError

SHARED = Path(__file__).parents[3] / "shared" / "demo"
STEP = 1 / 30


def world_of(joints, root, **options):
    return estimate_world(joints[:, None], root[:, None], STEP, **options)[0]


@pytest.mark.parametrize(("pitch", "height"), [(-10, 0.8), (0, 1.5), (15, 2.0), (35, 4.0)])
def test_a_walk_seen_by_tilted_cameras(pitch, height):
    truth, _ = walk(seconds=11)  # all around: leaning forward does not count
    joints, root, up = filmed(truth, pitch, height)
    world = world_of(joints, root)
    assert world.method == "standing"
    assert world.scale == (1.0,)
    assert angle(world.up, up) < 1
    assert world.camera_height == pytest.approx(height, abs=0.06)
    room = to_world(joints[:, None], root[:, None], world)
    assert room.dtype == np.float32
    # His place on the floor too: the camera is above the origin and looks along y.
    np.testing.assert_allclose(room[:, 0], truth, atol=0.15)
    feet = room[:, 0, ANKLES, 2].min(axis=1)
    np.testing.assert_allclose(feet, ANKLE, atol=0.07)


def test_one_floor_for_the_clip():
    """Who is on a stage is above the floor, and who jumps is in the air."""
    truth, _ = walk(seconds=8)
    truth[180:] += [0, 0, 0.5]
    joints, root, _ = filmed(truth, 10, 1.5)
    world = world_of(joints, root)
    feet = to_world(joints[:, None], root[:, None], world)[:, 0, ANKLES, 2].min(axis=1)
    np.testing.assert_allclose(feet[:180], ANKLE, atol=0.1)
    np.testing.assert_allclose(feet[180:], ANKLE + 0.5, atol=0.1)


def test_up_from_contacts_of_people_who_never_stand():
    truth, _ = walk(seconds=10, hip=0.62, lean=60)
    errors = []
    for pitch in (12, 25):
        joints, root, up = filmed(truth, pitch, 2.0)
        world = world_of(joints, root)
        assert world.method == "contacts"
        errors.append(angle(world.up, up) / pitch)  # of taking the camera as level: 1
    assert max(errors) < 0.25


def test_not_upright_is_level():
    joints, root, _ = filmed(walk()[0], 20, 1.5)
    world = world_of(joints, root, upright=False)
    assert (world.up, world.method) == ((0.0, -1.0, 0.0), "level")


@pytest.mark.parametrize("shape", [(0, 1), (1, 1), (30, 2), (30, 0)])
def test_nobody_has_a_world(shape):
    nobody = np.full((*shape, 17, 3), np.nan)
    world, contacts = estimate_world(nobody, nobody[:, :, 0], STEP)
    assert world == World((0, -1, 0), 0.0, "level", (1.0,) * shape[1])
    assert contacts == []
    assert np.isnan(to_world(nobody, nobody[:, :, 0], world)).all()


def test_one_frame_has_a_floor():
    joints, root, _ = filmed(walk()[0][:1], 0, 1.5)
    assert world_of(joints, root).camera_height == pytest.approx(1.5, abs=0.05)


@pytest.mark.skipif(not SHARED.is_dir(), reason="no rendered clips here")
@pytest.mark.parametrize(("clip", "most"), [("walk", 2), ("exercise", 4), ("two_people", 2)])
def test_true_joints_of_the_rendered_clips(clip, most):
    with np.load(SHARED / f"{clip}.npz") as truth:
        room = truth["joints3d_world"]
        camera = np.einsum("tij,tpkj->tpki", truth["R"], room) + truth["t"][:, None, None]
        up = truth["R"][:, :, 2].mean(0)
        height = -(truth["R"][0].T @ truth["t"][0])[2]
    root = camera[:, :, 0]
    world, _ = estimate_world(camera - root[:, :, None], root, STEP)
    assert angle(world.up, up) < most
    assert world.camera_height == pytest.approx(height, abs=most / 10)


# In results --------------------------------------------------------------------------------------


def result_of(joints, root, world, **changes):
    frames = len(joints)
    values = {
        "time_s": np.arange(frames) * STEP,
        "ids": [1],
        "keypoints2d": np.zeros((frames, 1, 17, 2)),
        "scores2d": np.ones((frames, 1, 17)),
        "joints3d": joints[:, None],
        "root": root[:, None],
        "uncertainty": np.full((frames, 1, 17), np.nan),
        "status": np.full((frames, 1), "ok"),
        "picture_size": (1280, 720),
        "frame_rate": 30,
        "world": world,
    }
    return PoseResult(**{**values, **changes})


def test_results_keep_their_world(tmp_path):
    joints, root, _ = filmed(walk()[0], 10, 1.5)
    world = world_of(joints, root, scale=(1.07,))
    result = result_of(joints, root, world)
    loaded = load_result(result.save(tmp_path / "a.npz"))
    assert loaded == result
    assert loaded.world == world
    assert loaded != result_of(joints, root, dataclasses.replace(world, camera_height=1.0))
    expected = to_world(result.joints3d, result.root, world)
    np.testing.assert_array_equal(loaded.world_joints(), expected)


def test_older_results_load_and_have_world_joints(tmp_path):
    joints, root, _ = filmed(walk()[0], 10, 1.5)
    result = result_of(joints, root, world_of(joints, root))
    path = result.save(tmp_path / "a.npz")
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(bytes(arrays["header"]))
    del header["world"]
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(path, **arrays)
    old = load_result(path)
    assert old.world is None
    np.testing.assert_allclose(old.world_joints(), result.world_joints(), atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"up": (0, 0, 0)}, "up must be a unit vector"),
        ({"camera_height": np.nan}, "camera_height must be finite"),
        ({"method": "magic"}, "method is one of standing, contacts, level"),
        ({"scale": (1.0, 1.0)}, "scale must be 1 numbers"),
        ({"scale": (0.0,)}, "scale must be"),
    ],
)
def test_impossible_worlds_are_refused(changes, words):
    joints, root, _ = filmed(walk(1.0)[0], 10, 1.5)
    world = dataclasses.replace(world_of(joints, root), **changes)
    with pytest.raises(Pose3dError, match=words):
        result_of(joints, root, world)


# In the pipeline ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lifted(tiny):
    """Results of one person's keypoints by settings."""
    random = np.random.default_rng(0)
    keypoints = np.cumsum(random.normal(0, 1, (40, 17, 2)), axis=0) + random.uniform(
        100, 500, (17, 2)
    )
    person = Person(1, keypoints.astype(np.float32), np.ones((40, 17), np.float32))
    lifter = lifters3d.load(tiny)

    def run(**settings):
        return lift_people(
            [person],
            np.arange(40) * STEP,
            (640, 640),
            30,
            lifter,
            Settings(lifter=tiny, **settings),
            Silence(),
            source={},
            weights={},
            warnings=[],
        )

    return run


def test_height_scales_all_that_is_in_metres(lifted):
    plain, tall = lifted(), lifted(height=1.78)
    assert body_height(tall.joints3d[:, 0]) == pytest.approx(1.78, rel=1e-4)
    (factor,) = tall.world.scale
    assert factor != pytest.approx(1, abs=0.01)
    assert plain.world.scale == (1.0,)
    for name in ("joints3d", "root", "uncertainty"):
        np.testing.assert_allclose(getattr(tall, name), factor * getattr(plain, name), rtol=1e-4)
    np.testing.assert_array_equal(tall.keypoints2d, plain.keypoints2d)


def test_constant_bones_and_locked_feet(lifted):
    plain, constant, locked = lifted(), lifted(constant_bones=True), lifted(lock_feet=True)
    lengths = np.linalg.norm(constant.joints3d[:, 0, 13] - constant.joints3d[:, 0, 12], axis=-1)
    assert np.ptp(lengths) < 1e-5
    lengths = np.linalg.norm(plain.joints3d[:, 0, 13] - plain.joints3d[:, 0, 12], axis=-1)
    assert np.ptp(lengths) > 1e-3
    np.testing.assert_array_equal(locked.joints3d, plain.joints3d)
    assert plain.provenance["focal_guessed"]
    assert not lifted(fov=50.0).provenance["focal_guessed"]
    assert lifted(upright=False).world.up == (0, -1, 0)
