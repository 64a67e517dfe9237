"""Prepared HumanEva-I: tiny files of points whose place in every camera is known otherwise."""

import numpy as np
import pytest
from prepared import (
    COCO_METADATA,
    HUMANEVA_METADATA,
    message_of,
    pixels,
    world,
    write_2d,
    write_3d,
)
from scipy.spatial.transform import Rotation

from lifters3d.data.h36m_cameras import world_to_camera
from lifters3d.data.humaneva import HUMANEVA15, humaneva_cameras, load_humaneva

CHUNKS = ["Walking 1 chunk0", "Jog 1 chunk2", "Box 1 chunk0", "Gestures 1 chunk0"]


def contents() -> tuple[dict, dict]:
    positions_3d, positions_2d = {}, {}
    for part in ("Train", "Validate"):
        for subject in ("S1", "S2", "S3"):
            key = f"{part}/{subject}"
            positions_3d[key] = {chunk: world(2 + len(chunk) % 3, 15) for chunk in CHUNKS}
            positions_2d[key] = {
                chunk: [pixels(len(points), 15, seed) for seed in range(3)]
                for chunk, points in positions_3d[key].items()
            }
    # Of detections: frames without motion capture, and videos of which a camera failed.
    positions_2d["Unlabeled/Train/S1"] = {"Walking 1 chunk1": [None, None, pixels(3, 15)]}
    return positions_3d, positions_2d


def load(folder, positions_3d, positions_2d, metadata=HUMANEVA_METADATA):
    path_3d = write_3d(folder / "data_3d_humaneva15.npz", positions_3d)
    return load_humaneva(
        path_3d, write_2d(folder / "data_2d_humaneva15_x.npz", positions_2d, metadata)
    )


def test_clips_of_the_papers_split(tmp_path):
    positions_3d, positions_2d = contents()
    found = load(tmp_path, positions_3d, positions_2d)
    assert (found.name, found.skeleton) == ("humaneva", HUMANEVA15)
    for part, clips in (("Train", found.train), ("Validate", found.test)):
        assert len(clips) == 3 * 3 * 3
        assert [clip.action for clip in clips[::3]] == ["Walk", "Jog", "Box"] * 3
        assert [clip.subject for clip in clips[::9]] == ["S1", "S2", "S3"]
        assert [clip.camera for clip in clips] == ["C1", "C2", "C3"] * 9
        assert clips[3].name == f"{part}/S1 Jog 1 chunk2.C1"
        for clip in clips:
            assert (clip.size, clip.frame_rate) == ((640, 480), 60)
            assert len(clip.keypoints) == len(clip.joints) == len(clip.valid)
            assert clip.valid.all()
    np.testing.assert_array_equal(
        found.test[13].keypoints, positions_2d["Validate/S2"]["Jog 1 chunk2"][1]
    )


def test_known_points_in_the_axes_of_known_cameras(tmp_path):
    """The published calibration of S2's second camera, by SciPy."""
    positions_3d, positions_2d = contents()
    turn = Rotation.from_quat([-0.7476588, -0.0954617, 0.0959808, 0.6501393]).inv()
    position = [0.923574, -3.8779243, 1.5045518]
    points = positions_3d["Train/S2"]["Box 1 chunk0"]
    expected = turn.apply(points.reshape(-1, 3) - position).reshape(points.shape)
    clip = next(
        clip
        for clip in load(tmp_path, positions_3d, positions_2d).train
        if clip.name == "Train/S2 Box 1 chunk0.C2"
    )
    np.testing.assert_allclose(clip.joints, expected, rtol=0, atol=5e-6)


@pytest.mark.parametrize("subject", ["S1", "S2", "S3"])
def test_all_cameras_see_a_person_upright_in_the_middle_of_the_room(subject):
    person = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.9], [0.0, 0.0, 1.8]])
    three = humaneva_cameras(subject)
    assert [camera.name for camera in three] == ["C1", "C2", "C3"]
    for camera in three:
        feet, hip, head = inside = world_to_camera(person, camera)
        assert (inside[:, 2] > 2.5).all()
        assert (inside[:, 2] < 6).all()
        assert (np.abs(inside[:, 0] / inside[:, 2]) < 0.3).all()
        assert feet[1] - 0.8 > hip[1] > head[1] + 0.8  # y is down


def test_sides_and_parents():
    names = HUMANEVA15.names
    for left, right in zip(HUMANEVA15.left, HUMANEVA15.right, strict=True):
        assert names[left][0] + names[right][0] == "LR"
        assert names[left][1:] == names[right][1:]
    chain = {name: names[parent] for name, parent in zip(names, HUMANEVA15.parents, strict=True)}
    assert (chain["LWrist"], chain["LShoulder"], chain["Head"]) == ("LElbow", "Thorax", "Thorax")
    assert (chain["RAnkle"], chain["RHip"], chain["Thorax"]) == ("RKnee", "Pelvis", "Pelvis")


def test_errors_say_where_and_what(tmp_path):
    positions_3d, positions_2d = contents()
    message = message_of(load, tmp_path, positions_3d, positions_2d, COCO_METADATA)
    assert "metadata: an unknown order of 17 joints" in message
    assert "these are COCO's: use data_2d_humaneva15_gt.npz" in message

    positions_2d["Validate/S3"]["Jog 1 chunk2"][1] = pixels(1, 15)
    message = message_of(load, tmp_path, positions_3d, positions_2d)
    assert "Validate/S3 Jog 1 chunk2.C2: 2D of 1 frames, but 3D of 2" in message

    positions_2d["Validate/S3"]["Jog 1 chunk2"][1] = None
    message = message_of(load, tmp_path, positions_3d, positions_2d)
    assert (
        "Validate/S3 Jog 1 chunk2.C2: expected an array (frames, joints, 2), found None" in message
    )

    del positions_2d["Validate/S3"]["Jog 1 chunk2"]
    message = message_of(load, tmp_path, positions_3d, positions_2d)
    assert "data_2d_humaneva15_x.npz: Validate/S3: has no 'Jog 1 chunk2'" in message

    positions_3d["Train/S1"]["Box 1 chunk0"] = world(2, 20)
    message = message_of(load, tmp_path, positions_3d, positions_2d)
    assert (
        "Train/S1 Box 1 chunk0: expected numbers (frames, 15, 3), found an array (2, 20, 3)"
        in message
    )

    message = message_of(load, tmp_path, {"S1": {}}, positions_2d)
    assert "has no Walking, Jog or Box of Train/S1 ... Validate/S3; found 'S1'" in message
