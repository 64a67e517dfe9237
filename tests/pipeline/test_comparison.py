"""Comparing poses whose differences are known; matching frames by time and people by place."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pipeline.comparison import compare_poses, match_times, read_poses, save_json
from tests.pipeline.walk_result import WALK, some_frames, walk_result
from weights.errors import Pose3dError

LWRIST = 13


@pytest.fixture
def poses(tmp_path):
    """Poses of a result, by way of its file."""

    def make(result, name="a.npz"):
        return read_poses(result.save(tmp_path / name))

    return make


def changed(change, **size):
    """The walk with its joints (F, P, 17, 3) changed."""
    result = walk_result(**size)
    result.joints3d[:] = change(result.joints3d)
    return result


def wrist_moved(by):
    """A change of the left wrist by (..., 3) metres."""

    def change(joints):
        moved = joints.copy()
        moved[:, :, LWRIST] += by
        return moved

    return change


def test_a_result_against_itself(poses):
    one = poses(walk_result(50, people=2))
    found = compare_poses(one, one)
    errors = found.errors.pooled
    assert errors.frames == 100
    assert errors.mpjpe_mm == errors.mpjve_mm_per_frame == 0
    assert errors.p_mpjpe_mm < 1e-6
    assert errors.pck_150mm_percent == 100
    assert [(pair.predicted_id, pair.reference_id) for pair in found.pairs] == [(1, 1), (2, 2)]
    assert list(found.errors.groups) == ["person 1", "person 2"]
    assert found.notes == ["50 frames at the same time, of 50 in a.npz and 50 in a.npz."]


def test_one_joint_moved_by_34_mm(poses):
    found = compare_poses(poses(changed(wrist_moved([0.034, 0, 0]))), poses(walk_result(), "b.npz"))
    errors = found.errors.pooled
    assert errors.mpjpe_mm == pytest.approx(34 / 17, abs=1e-4)
    np.testing.assert_allclose(errors.joint_mpjpe_mm, 34 * (np.arange(17) == LWRIST), atol=1e-3)
    assert errors.mpjve_mm_per_frame == pytest.approx(0, abs=1e-4)
    np.testing.assert_allclose(found.pairs[0].mpjpe_mm, 2, atol=1e-4)
    assert (found.predicted, found.reference) == ("a.npz", "b.npz")


def test_a_trembling_wrist(poses):
    """10 mm to and fro in turns: 20 mm a frame, 600 mm/s at 30 frames/s, of one of 17 joints."""
    to_and_fro = 0.01 * np.where(np.arange(60) % 2, 1, -1)[:, None, None] * [0, 1, 0]
    found = compare_poses(poses(changed(wrist_moved(to_and_fro))), poses(walk_result(), "b.npz"))
    errors = found.errors.pooled
    assert errors.mpjve_mm_per_frame == pytest.approx(20 / 17, abs=1e-3)
    assert errors.mpjve_mm_per_s == pytest.approx(600 / 17, abs=0.05)


def test_scale_and_rotation(poses):
    truth = poses(walk_result(), "b.npz")
    larger = compare_poses(poses(changed(lambda joints: 1.1 * joints)), truth).errors.pooled
    radius = 1000 * np.linalg.norm(walk_result().joints3d, axis=-1).mean()
    assert larger.mpjpe_mm == pytest.approx(0.1 * radius, rel=1e-4)
    assert max(larger.n_mpjpe_mm, larger.p_mpjpe_mm) < 1e-3
    turn = Rotation.from_euler("y", 30, degrees=True).as_matrix()
    turned = compare_poses(poses(changed(lambda joints: joints @ turn.T)), truth).errors.pooled
    assert turned.p_mpjpe_mm < 1e-3
    assert min(turned.mpjpe_mm, turned.n_mpjpe_mm) > 20


def test_against_the_truth(poses):
    moved = changed(wrist_moved([0, 0.017, 0]), frames=225)
    for pair in ((poses(moved), read_poses(WALK)), (read_poses(WALK), poses(moved))):
        found = compare_poses(*pair)
        # The truth is the reference, wherever it stands.
        assert (found.predicted, found.reference) == ("a.npz", "walk.npz")
        assert found.errors.pooled.mpjpe_mm == pytest.approx(1, abs=1e-3)
        assert found.errors.pooled.frames == 225


def test_frames_are_matched_by_time(poses):
    part = some_frames(walk_result(225), slice(100, 140))
    found = compare_poses(poses(part), read_poses(WALK))
    assert found.errors.pooled.mpjpe_mm == pytest.approx(0, abs=1e-3)
    assert found.errors.pooled.frames == 40
    assert found.notes == ["40 frames at the same time, of 40 in a.npz and 225 in walk.npz."]


@pytest.mark.parametrize("first", [True, False])
def test_half_the_frame_rate(poses, first):
    """Every second frame, wrist to and fro by 10 mm: 20 mm a frame, of 1/15 s."""
    to_and_fro = 0.01 * np.where(np.arange(60) // 2 % 2, 1, -1)[:, None, None] * [0, 1, 0]
    half = poses(some_frames(changed(wrist_moved(to_and_fro)), slice(None, None, 2)))
    pair = (half, poses(walk_result(), "b.npz"))
    found = compare_poses(*(pair if first else pair[::-1]))
    errors = found.errors.pooled
    assert errors.frames == 30
    assert errors.mpjpe_mm == pytest.approx(10 / 17, abs=1e-3)
    assert errors.mpjve_mm_per_frame == pytest.approx(20 / 17, abs=1e-3)
    assert errors.mpjve_mm_per_s == pytest.approx(300 / 17, abs=0.05)


def test_25_and_30_frames_a_second():
    """Within 8.3 ms: 0 and 0, 33 and 40, 167 and 160 ms, and so on every fifth of a second."""
    a, b = match_times(np.arange(12) / 30, np.arange(10) / 25)
    assert a.tolist() == [0, 1, 5, 6, 7, 11]
    assert b.tolist() == [0, 1, 4, 5, 6, 9]
    a, b = match_times(np.array([0.0]), np.array([0.2, 0.4]))
    assert (a.size, b.size) == (0, 0)
    # Container times of 29.97 frames/s in whole milliseconds.
    exact = np.arange(500) * 1001 / 30000
    a, b = match_times(np.round(exact, 3), exact)
    assert a.tolist() == b.tolist() == list(range(500))


def test_people_are_matched_by_place(poses):
    result = walk_result(30, people=3)
    result.joints3d[:, 1] = wrist_moved([0.034, 0, 0])(result.joints3d)[:, 1]
    order = [2, 0, 1]
    names = ("keypoints2d", "scores2d", "joints3d", "root", "uncertainty", "status")
    mixed = {name: getattr(result, name)[:, order] for name in names}
    mixed = walk_result(30, people=3, **mixed, ids=np.array([4, 5, 6]))
    found = compare_poses(poses(mixed), poses(walk_result(30, people=3), "b.npz"))
    pairs = {pair.predicted_id: pair.reference_id for pair in found.pairs}
    assert pairs == {4: 3, 5: 1, 6: 2}
    groups = {name: errors.mpjpe_mm for name, errors in found.errors.groups.items()}
    expected = {"person 4 = 3": 0, "person 5 = 1": 0, "person 6 = 2": 2}
    assert groups == pytest.approx(expected, abs=1e-3)
    assert "person 4 = 3: 4 in a.npz is 3 in b.npz." in found.notes


def test_who_and_what_is_left_out(poses):
    result = walk_result(30, people=2, ids=np.array([3, 8]))
    result.joints3d[4:9, 0] = np.nan
    found = compare_poses(poses(result), read_poses(WALK))
    assert found.errors.pooled.frames == 25
    assert found.notes == [
        "30 frames at the same time, of 30 in a.npz and 225 in walk.npz.",
        "person 3 = 1: 3 in a.npz is 1 in walk.npz.",
        "Left out: person 8 of a.npz, without a match.",
        "Left out: 5 of them, without person 3 = 1 in a.npz.",
    ]
    # No velocity across the gap, no line either.
    assert np.isnan(found.pairs[0].mpjpe_mm[4:9]).all()
    assert found.errors.pooled.mpjve_mm_per_frame == pytest.approx(0, abs=1e-3)


def test_pictures_of_another_size(poses):
    half = walk_result(picture_size=(480, 270))
    half.keypoints2d /= 2
    found = compare_poses(poses(half), read_poses(WALK))
    assert found.errors.pooled.frames == 60


def test_nothing_to_compare(poses):
    whole = poses(walk_result(), "b.npz")
    nobody = changed(lambda joints: joints * np.nan)
    for empty in (nobody, walk_result(people=0), walk_result(0)):
        with pytest.raises(Pose3dError, match=r"a\.npz holds no pose"):
            compare_poses(poses(empty), whole)
    later = walk_result(time_s=100 + np.arange(60) / 30)
    with pytest.raises(
        Pose3dError, match=r"no frame at the same time .*a\.npz: 100\.00 to 101\.97"
    ):
        compare_poses(poses(later), whole)
    elsewhere = walk_result()
    elsewhere.keypoints2d += 2000
    with pytest.raises(Pose3dError, match=r"nobody is at the same place in a\.npz and b\.npz"):
        compare_poses(poses(elsewhere), whole)


def test_files_that_are_neither(tmp_path):
    with np.load(WALK) as truth:
        values = {name: truth[name] for name in truth.files}
    path = tmp_path / "truth.npz"
    for change, words in [
        ({"R": values["R"][:9]}, r"R has shape \(9, 3, 3\), expected \(225, 3, 3\)"),
        ({"joints3d_world": values["joints3d_world"][:, 0]}, "joints3d_world has shape"),
        ({"fps": np.float32(0)}, "fps and size must be above 0"),
        ({"fps": np.array("thirty")}, "ground truth that is damaged"),
    ]:
        np.savez(path, **{**values, **change})
        with pytest.raises(Pose3dError, match=rf"truth\.npz: {words}"):
            read_poses(path)
    np.savez(path, poses=np.zeros(3))
    with pytest.raises(Pose3dError, match="not a pose3d result"):
        read_poses(path)
    path.write_bytes(WALK.read_bytes()[:50000])
    with pytest.raises(Pose3dError, match="not a pose3d result, or damaged"):
        read_poses(path)
    with pytest.raises(Pose3dError, match="cannot read"):
        read_poses(tmp_path / "absent.npz")


def test_json(poses, tmp_path):
    result = changed(wrist_moved([0.034, 0, 0]), frames=30)
    result.joints3d[3] = np.nan
    save_json(compare_poses(poses(result), read_poses(WALK)), tmp_path / "a.json")
    found = json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail)
    assert (found["format"], found["version"]) == ("pose3d-comparison", 1)
    assert (found["predicted"], found["reference"]) == ("a.npz", "walk.npz")
    assert found["all"]["mpjpe_mm"] == pytest.approx(2, abs=1e-3)
    assert found["people"]["person 1"]["joint_mpjpe_mm"]["LWrist"] == pytest.approx(34, abs=1e-2)
    (over_time,) = found["over_time"]
    assert len(over_time["time_s"]) == len(over_time["mpjpe_mm"]) == 30
    assert over_time["mpjpe_mm"][3] is None
    assert over_time["mpjpe_mm"][4] == pytest.approx(2, abs=1e-3)
    assert found["notes"][1:] == ["Left out: 1 of them, without person 1 in a.npz."]
