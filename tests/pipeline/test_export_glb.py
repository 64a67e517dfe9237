"""GLB, read back as bytes: nodes, animation, skin."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.export import export
from tests.pipeline.export_readers import Glb
from tests.pipeline.exports import filmed, prowler, room
from tests.pipeline.test_export_bvh import NAMES, distances, random_poses

TIME = np.arange(40) / 30


WALK = Path(__file__).parents[2] / "demos" / "walk.npz"


def glb(result, tmp_path, **options):
    """The file, and its note."""
    (written,) = export(result, tmp_path / "people.glb", **options)
    return Glb(written.path.read_bytes()), written.note


def y_up(positions):
    """Room (x right, y away, z up) to y up and z towards the camera, metres."""
    x, y, z = np.moveaxis(positions, -1, 0)
    return np.stack([x, z, -y], axis=-1)


def played(file, prefix=""):
    """(keys, 17, 3): the joints at every key."""
    places = [file.node(prefix + name) for name in NAMES]
    return np.array([file.pose(key)[places, :3, 3] for key in range(len(file.keys()))])


def test_joints_are_where_they_were(tmp_path):
    person = prowler(TIME, -1.2)
    file, note = glb(filmed([person]), tmp_path)
    np.testing.assert_allclose(played(file), y_up(room(person)), atol=1e-5)
    told = file.json["asset"]["extras"]
    assert told["units"] == "m"
    assert "y up" in told["axes"]
    assert told["frame_rate"] == "30/1"
    assert told["joint_names"] == list(NAMES)
    assert "m, y up" in note


def test_motion_capture_within_a_centimetre(tmp_path):
    world = np.load(WALK)["joints3d_world"][::5, 0]
    joints = played(glb(filmed([world]), tmp_path)[0])
    assert np.abs(distances(joints) - distances(world)).max() < 0.01


def test_any_pose_comes_back(tmp_path):
    poses = random_poses(60)
    file, _ = glb(filmed([poses], root=np.tile([0.0, 0, 5], (60, 1, 1))), tmp_path)
    np.testing.assert_allclose(distances(played(file)), distances(poses), atol=5e-4)


def test_times_are_the_videos_own(tmp_path):
    uneven = np.cumsum(np.random.default_rng(4).uniform(0.01, 0.057, 40)) + 3
    uneven[7] = uneven[6]  # two frames with one stamp: the first counts
    person = prowler(uneven)
    file, _ = glb(filmed([person], time_s=uneven), tmp_path)
    kept = np.delete(np.arange(40), 7)
    np.testing.assert_allclose(file.keys(), uneven[kept] - uneven[0], atol=1e-6)
    np.testing.assert_allclose(played(file), y_up(room(person[kept])), atol=1e-5)
    clock = file.json["accessors"][file.json["animations"][0]["samplers"][0]["input"]]
    assert clock["min"] == [0]
    assert clock["max"] == [float(file.keys()[-1])]
    assert file.json["asset"]["extras"]["start_time_s"] == uneven[0]


def test_gaps_hold_the_pose(tmp_path):
    person = prowler(TIME)
    file, note = glb(filmed([person], absent=[(0, range(20, 25))]), tmp_path)
    joints = played(file)
    np.testing.assert_allclose(joints[20:25], np.broadcast_to(joints[19], (5, 17, 3)))
    np.testing.assert_allclose(joints[25:], y_up(room(person[25:])), atol=1e-5)
    assert "a pose held in 5 frames" in note


def test_rotations_take_the_short_way(tmp_path):
    """Whole turns: neighbouring quaternions have the same sign, so that any blend is short."""
    turn = np.linspace(0, 6 * np.pi, 90)
    x, y, z = np.moveaxis(prowler(np.zeros(90), speed=0), -1, 0)
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    person = np.stack([cos * x - sin * y, sin * x + cos * y, z], axis=-1)
    file, _ = glb(filmed([person]), tmp_path)
    animation = file.json["animations"][0]
    for channel in animation["channels"]:
        if channel["target"]["path"] == "rotation":
            values = file.numbers(animation["samplers"][channel["sampler"]]["output"])
            np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-6)
            assert ((values[1:] * values[:-1]).sum(axis=1) > 0.9).all()


def test_the_mesh_goes_with_the_bones(tmp_path):
    person = prowler(TIME, 0.4)
    file, _ = glb(filmed([person]), tmp_path)
    mesh = file.node("person1_mesh")
    attributes = file.json["meshes"][0]["primitives"][0]["attributes"]
    rest = file.numbers(attributes["POSITION"])
    np.testing.assert_allclose(file.vertices(mesh, None), rest, atol=1e-5)
    assert 0 < rest[:, 1].min() < 0.1  # feet on the floor
    start = y_up(room(person[0, 0]))
    np.testing.assert_allclose(rest.mean(axis=0)[[0, 2]], start[[0, 2]], atol=0.1)
    # At any moment a corner of the mesh is at each end of each bone.
    for key in (0, 17, 39):
        corners = file.vertices(mesh, key)
        gap = np.linalg.norm(corners[:, None] - y_up(room(person[key])), axis=-1).min(axis=0)
        assert gap.max() < 1e-4
    # Faces look outward: the volume within each closed bone is positive.
    triangles = rest.reshape(-1, 8, 3, 3).astype(float)
    assert (np.linalg.det(triangles - triangles.mean(axis=(1, 2), keepdims=True)).sum(1) > 0).all()


def test_all_people_in_one_file(tmp_path):
    people = [prowler(TIME), prowler(TIME, 2.0) + np.array([0.5, 1, 0])]
    result = filmed(people, ids=[3, 8], absent=[(1, range(10))])
    file, note = glb(result, tmp_path)
    assert len(file.json["skins"]) == len(file.json["meshes"]) == 2
    names = [node["name"] for node in file.nodes]
    assert len(set(names)) == len(names)
    np.testing.assert_allclose(played(file, "person3_"), y_up(room(people[0])), atol=1e-5)
    np.testing.assert_allclose(played(file, "person8_")[10:], y_up(room(people[1][10:])), atol=1e-5)
    assert "person8: " in note


def test_one_frame(tmp_path):
    file, _ = glb(filmed([prowler([2.0])], time_s=[2.0]), tmp_path)
    assert file.keys().tolist() == [0]
    np.testing.assert_allclose(played(file), y_up(room(prowler([2.0]))), atol=1e-5)


def test_pygltflib_reads_it(tmp_path):
    pygltflib = pytest.importorskip("pygltflib")
    glb(filmed([prowler(TIME), prowler(TIME, 1)]), tmp_path)
    document = pygltflib.GLTF2().load(str(tmp_path / "people.glb"))
    assert len(document.skins) == 2
    assert len(document.animations[0].channels) == 2 * (1 + 16)
    assert len(document.binary_blob()) == document.buffers[0].byteLength
