"""Prepared Human3.6M: tiny files of points whose place in every camera is known otherwise."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from prepared import (
    COCO_METADATA,
    H36M_METADATA,
    MPII_METADATA,
    message_of,
    pixels,
    world,
    write_2d,
    write_3d,
)
from scipy.spatial.transform import Rotation

from lifters3d import skeleton
from lifters3d.data.clips import H36M
from lifters3d.data.h36m_cameras import cameras
from lifters3d.data.human36m import load_human36m

DATA = Path(__file__).parents[1] / "data"
SUBJECTS = ["S1", "S5", "S6", "S7", "S8", "S9", "S11"]
KEPT = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
NAMES = ["54138969", "55011271", "58860488", "60457274"]
SIZES = [(1000, 1002), (1000, 1000), (1000, 1000), (1000, 1002)]
SHORT = {f"{subject} {action}": 3 for subject in SUBJECTS for action in ("Directions", "Photo 1")}


def close(value, expected, atol):
    np.testing.assert_allclose(value, expected, rtol=0, atol=atol)


def contents(joints: int = 17, lengths: dict[str, int] = SHORT) -> tuple[dict, dict]:
    """positions_3d and positions_2d of clips "S1 Walking 1" of so many frames, all different."""
    positions_3d, positions_2d = {}, {}
    for seed, (clip, frames) in enumerate(lengths.items()):
        subject, action = clip.split(" ", 1)
        positions_3d.setdefault(subject, {})[action] = world(frames, 32, seed)
        positions_2d.setdefault(subject, {})[action] = [
            pixels(frames + extra, joints, 100 * seed + extra) for extra in range(4)
        ]
    return positions_3d, positions_2d


def load(folder: Path, positions_3d: dict, positions_2d: dict, metadata: dict | None = None):
    path_3d = write_3d(folder / "data_3d_h36m.npz", positions_3d)
    path_2d = write_2d(folder / "data_2d_h36m_x.npz", positions_2d, metadata)
    return load_human36m(path_3d, path_2d)


def test_clips_of_the_papers_split(tmp_path):
    found = load(tmp_path, *contents(), H36M_METADATA)
    assert (found.name, found.skeleton) == ("human36m", H36M)
    assert [clip.subject for clip in found.train[::8]] == SUBJECTS[:5]
    assert len(found.train) == 5 * 2 * 4
    # S11 Directions is left out, S9's is not.
    assert [clip.name for clip in found.test[::4]] == [
        "S9 Directions.54138969",
        "S9 Photo 1.54138969",
        "S11 Photo 1.54138969",
    ]
    assert [clip.action for clip in found.test[::4]] == ["Directions", "Photo", "Photo"]
    assert [clip.camera for clip in found.test] == NAMES * 3
    assert [clip.size for clip in found.test] == SIZES * 3
    names = [clip.name for clip in found.train + found.test]
    assert len(set(names)) == len(names)
    for clip in found.train + found.test:
        assert clip.frame_rate == 50
        assert clip.valid.tolist() == [True] * 3
        assert clip.keypoints.dtype == clip.joints.dtype == np.float32
        assert clip.keypoints.flags.writeable
        assert clip.joints.flags.writeable


def test_camera_axes_equal_the_papers_code(tmp_path):
    """Golden world positions of ten poses, seen by the first camera of S1."""
    with np.load(DATA / "camera.npz") as golden:
        positions = np.full((10, 32, 3), 77.0, np.float32)  # joints that must not be used
        positions[:, KEPT] = golden["world"]
        found = load(
            tmp_path,
            {"S1": {"Walking": positions}},
            {"S1": {"Walking": [pixels(10, 17)] * 4}},
            H36M_METADATA,
        )
        close(found.train[0].joints, golden["camera"], 2e-6)
        assert found.test == []


def lens_px(camera, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Focal lengths and principal point."""
    centre = camera.intrinsics[2:4] + np.array([1, height / width])
    return camera.intrinsics[:2] * width / 2, centre * width / 2


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_camera_gets_its_own_axes_and_keypoints(tmp_path, subject):
    """Keypoints made by SciPy and OpenCV of the world's points, camera by camera."""
    points = world(4, 32)
    seen = []
    for camera, (width, height) in zip(cameras(subject), SIZES, strict=True):
        turn = Rotation.from_quat(camera.orientation[[1, 2, 3, 0]]).inv().as_matrix()
        (fx, fy), (cx, cy) = lens_px(camera, width, height)
        lens = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        k1, k2, k3 = camera.intrinsics[4:7]
        projected, _ = cv2.projectPoints(
            points[:, KEPT].reshape(-1, 3).astype(np.float64),
            cv2.Rodrigues(turn)[0],
            -turn @ camera.position,
            lens,
            np.array([k1, k2, 0, 0, k3]),
        )
        seen.append(projected.reshape(4, 17, 2).astype(np.float32))
    found = load(tmp_path, {subject: {"Eating": points}}, {subject: {"Eating": seen}})
    for clip, camera, keypoints in zip(
        found.train + found.test, cameras(subject), seen, strict=True
    ):
        close(clip.keypoints, keypoints, 0)
        turn = Rotation.from_quat(camera.orientation[[1, 2, 3, 0]]).inv()
        moved = turn.apply((points[:, KEPT] - camera.position).reshape(-1, 3))
        close(clip.joints.reshape(-1, 3), moved, 5e-6)
        # The lens bends little here: 2D and 3D of another camera would be hundreds of px apart.
        focal, centre = lens_px(camera, *clip.size)
        straight = focal * clip.joints[..., :2] / clip.joints[..., 2:] + centre
        assert np.abs(straight - clip.keypoints).max() < 20


def test_keypoints_are_cut_to_the_frames_of_the_3d(tmp_path):
    positions_3d, positions_2d = contents(lengths={"S5 Smoking 1": 6, "S9 Posing": 4})
    original = {(s, a): list(v) for s, d in positions_2d.items() for a, v in d.items()}
    found = load(tmp_path, positions_3d, positions_2d, H36M_METADATA)
    for clips, key, frames in (
        (found.train, ("S5", "Smoking 1"), 6),
        (found.test, ("S9", "Posing"), 4),
    ):
        for clip, keypoints in zip(clips, original[key], strict=True):
            close(clip.keypoints, keypoints[:frames], 0)
            assert len(clip.joints) == len(clip.valid) == frames


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {
            "num_joints": 16,
            "keypoints_symmetry": [[4, 5, 6, 10, 11, 12], [1, 2, 3, 13, 14, 15]],
        },
    ],
)
def test_sixteen_joints_without_the_nose(tmp_path, metadata):
    positions_3d, positions_2d = contents(16, {"S1 Sitting": 3})
    found = load(tmp_path, positions_3d, positions_2d, metadata)
    whole = load(tmp_path, *contents(17, {"S1 Sitting": 3}))
    assert found.skeleton.names == (*skeleton.JOINT_NAMES[:9], *skeleton.JOINT_NAMES[10:])
    names, parents = found.skeleton.names, found.skeleton.parents
    assert {names[joint]: names[parent] for joint, parent in enumerate(parents) if parent >= 0} == {
        "RHip": "Hip",
        "RKnee": "RHip",
        "RFoot": "RKnee",
        "LHip": "Hip",
        "LKnee": "LHip",
        "LFoot": "LKnee",
        "Spine": "Hip",
        "Thorax": "Spine",
        "Head": "Thorax",
        "LShoulder": "Thorax",
        "LElbow": "LShoulder",
        "LWrist": "LElbow",
        "RShoulder": "Thorax",
        "RElbow": "RShoulder",
        "RWrist": "RElbow",
    }
    pairs = zip(found.skeleton.left, found.skeleton.right, strict=True)
    assert [(names[left][0], names[right][0]) for left, right in pairs] == [("L", "R")] * 6
    assert found.skeleton.root == 0
    for clip, other in zip(found.train, whole.train, strict=True):
        close(clip.joints, np.delete(other.joints, 9, axis=1), 0)
        assert clip.keypoints.shape == (3, 16, 2)


def test_stacked_hourglass_is_put_into_the_order_of_human36m(tmp_path):
    """MPII's order: legs and arms from right to left."""
    mpii = ["RFoot", "RKnee", "RHip", "LHip", "LKnee", "LFoot", "Hip", "Spine", "Thorax", "Head"]
    mpii += ["RWrist", "RElbow", "RShoulder", "LShoulder", "LElbow", "LWrist"]
    positions_3d, positions_2d = contents(16, {"S1 Sitting": 3})
    seen = positions_2d["S1"]["Sitting"]
    found = load(tmp_path, positions_3d, positions_2d, MPII_METADATA)
    for clip, keypoints in zip(found.train, seen, strict=True):
        for joint, name in enumerate(found.skeleton.names):
            close(clip.keypoints[:, joint], keypoints[:3, mpii.index(name)], 0)


def test_coco_order_is_refused(tmp_path):
    message = message_of(load, tmp_path, *contents(), COCO_METADATA)
    assert "data_2d_h36m_x.npz: joints in COCO's order" in message
    assert "use detections fine-tuned on Human3.6M" in message


def changed(part: int, where: list, value: object) -> tuple[dict, dict, dict]:
    """Sound contents with one thing replaced, or taken out (``del``)."""
    whole = (*contents(), dict(H36M_METADATA))
    place = whole[part]
    for key in where[:-1]:
        place = place[key]
    if value is del_:
        del place[where[-1]]
    else:
        place[where[-1]] = value
    return whole


del_ = object()
NAN_3D = world(3, 32)
NAN_3D[1, 4, 2] = np.nan
INFINITE_2D = pixels(3, 17)
INFINITE_2D[2, 0, 0] = np.inf


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            (1, ["S7", "Photo 1", 2], pixels(2, 17)),
            "2d_h36m_x.npz: S7 Photo 1.58860488: 2D of 2 frames, but 3D of 3",
        ),
        (
            (1, ["S7", "Photo 1", 2], pixels(3, 16)),
            "S7 Photo 1.58860488: expected numbers (frames, 17, 2), found an array (3, 16, 2)",
        ),
        ((1, ["S7", "Photo 1", 0], None), "S7 Photo 1.54138969: expected an array"),
        ((1, ["S7", "Photo 1", 0], pixels(3, 17).astype("U")), "(3, 17, 2) of <U"),
        ((1, ["S7", "Photo 1", 3], INFINITE_2D), "1 of 3 frames are not finite (NaN or infini"),
        ((1, ["S7", "Photo 1"], [pixels(3, 17)] * 3), "the arrays of 4 cameras, found a list of 3"),
        ((1, ["S7", "Photo 1"], {"a": 1}), "S7 Photo 1: expected a list of the arrays of 4"),
        ((1, ["S7", "Photo 1"], del_), "2d_h36m_x.npz: S7: has no 'Photo 1'; found 'Directions'"),
        ((1, ["S9"], del_), "positions_2d: has no 'S9'; found 'S1', 'S11'"),
        ((1, ["S9"], [1, 2]), "2d_h36m_x.npz: S9: expected a dict, found a list of 2"),
        ((0, ["S6", "Photo 1"], NAN_3D), "S6 Photo 1: 1 of 3 frames are not finite (NaN or inf"),
        ((0, ["S6", "Photo 1"], world(3, 17)), "numbers (frames, 32, 3), found an array (3, 17, 3"),
        ((0, ["S6", "Photo 1"], world(3, 32) * 1000), "these look like millimetres"),
        ((0, ["S6", "Photo 1"], world(0, 32)), "3d_h36m.npz: S6 Photo 1: no frames"),
        ((0, ["S6", "Photo 1"], world(3, 32).astype(object)), "(3, 32, 3) of object"),
        ((0, ["S6"], "Photo 1"), "3d_h36m.npz: S6: expected a dict, found 'Photo 1'"),
        ((0, ["S6", "Photo\n1"], world(3, 32)), r"S6: expected names, found 'Photo\n1'"),
        ((2, ["num_joints"], 16), "metadata tells of 16 joints, but there are 17"),
        ((2, ["num_joints"], del_), "metadata: has no 'num_joints'; found 'keypoints_symmetry', "),
        ((2, ["keypoints_symmetry"], [[1, 2, 3], [4, 5, 6]]), "metadata: an unknown order of 17"),
        ((2, ["keypoints_symmetry"], [[1], [2], [3]]), "keypoints_symmetry should be the left"),
        ((2, ["keypoints_symmetry"], 5), "the right joints, found 5"),
    ],
)
def test_errors_say_where_and_what(tmp_path, change, told):
    assert told in message_of(load, tmp_path, *changed(*change))


def test_foreign_files(tmp_path):
    positions_3d, positions_2d = contents()
    path_3d = write_3d(tmp_path / "data_3d_h36m.npz", positions_3d)
    path_2d = write_2d(tmp_path / "data_2d_h36m_gt.npz", positions_2d)
    assert "has no positions_2d; found 'positions_3d'" in message_of(
        load_human36m, path_3d, path_3d
    )
    assert "has no positions_3d; found 'positions_2d'" in message_of(
        load_human36m, path_2d, path_2d
    )
    other = write_3d(tmp_path / "other.npz", {"Train/S1": positions_3d["S1"]})
    message = message_of(load_human36m, other, path_2d)
    assert "other.npz: has no subject of S1, S5, S6, S7, S8, S9, S11; found 'Train/S1'" in message
    empty = write_2d(tmp_path / "empty.npz", {})
    assert "empty.npz: positions_2d is empty" in message_of(load_human36m, path_3d, empty)
    few = write_2d(tmp_path / "few.npz", contents(14)[1])
    assert "few.npz: 14 joints; expected Human3.6M's 17" in message_of(load_human36m, path_3d, few)
    nowhere = tmp_path / "nowhere.npz"
    assert "nowhere.npz: no such file" in message_of(load_human36m, nowhere, path_2d)
    assert "nowhere.npz: no such file" in message_of(load_human36m, path_3d, nowhere)
