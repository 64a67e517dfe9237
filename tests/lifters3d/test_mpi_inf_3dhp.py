"""Prepared MPI-INF-3DHP (P-STMO's files): order of joints, units, sizes and valid frames."""

import numpy as np
import pytest
from prepared import message_of, pixels

from lifters3d import skeleton
from lifters3d.data.clips import H36M
from lifters3d.data.mpi_inf_3dhp import MPI_INF_3DHP, TO_H36M, load_mpi_inf_3dhp

CAMERAS = ["0", "1", "2", "4", "5", "6", "7", "8"]
# What Human3.6M's joints are called in the 17 of MPI-INF-3DHP, spelled out.
NAMES = {
    "Hip": "Pelvis",
    "RFoot": "RAnkle",
    "LFoot": "LAnkle",
    "Thorax": "Neck",
    "Neck/Nose": "Head",
    "Head": "HeadTop",
}


def poses(frames: int, seed: int = 0) -> dict:
    """One camera's arrays: a person some metres away, in mm."""
    rng = np.random.default_rng(seed)
    joints = rng.normal(size=(frames, 17, 3)) * 400 + [0, 0, 3500]
    return {"data_2d": pixels(frames, 17, seed).astype(np.float64), "data_3d": joints}


def train() -> dict:
    return {
        f"S{subject} Seq{sequence}": [
            {camera: poses(4, 10 * subject + int(camera)) for camera in CAMERAS},
            50 if sequence == 2 else 25,
        ]
        for subject in (1, 2)
        for sequence in (1, 2)
    }


def test() -> dict:
    found = {f"TS{number}": poses(5, number) for number in range(1, 7)}
    for sequence in found.values():
        sequence["valid"] = np.array([1.0, 1, 0, 1, 0])
    return found


test.__test__ = False


def write(path, data):
    np.savez_compressed(path, data=data)
    return path


def load(folder, train_data=None, test_data=None, **options):
    return load_mpi_inf_3dhp(
        None if train_data is None else write(folder / "data_train_3dhp.npz", train_data),
        None if test_data is None else write(folder / "data_test_3dhp.npz", test_data),
        **options,
    )


def test_training_clips(tmp_path):
    data = train()
    found = load(tmp_path, data, order="3dhp")
    assert (found.name, found.skeleton, found.test) == ("mpi_inf_3dhp", MPI_INF_3DHP, [])
    assert len(found.train) == 2 * 2 * 8
    clip = found.train[8 + 3]
    assert (clip.name, clip.subject, clip.action) == ("S1 Seq2.4", "S1", "Seq2")
    assert (clip.camera, clip.size, clip.frame_rate) == ("4", (2048, 2048), 50)
    assert found.train[0].frame_rate == 25
    original = data["S1 Seq2"][0]["4"]
    np.testing.assert_allclose(clip.joints, original["data_3d"] / 1000, rtol=1e-6)
    np.testing.assert_allclose(clip.keypoints, original["data_2d"], rtol=1e-6)
    assert clip.joints.dtype == clip.keypoints.dtype == np.float32
    assert clip.valid.tolist() == [True] * 4


def test_test_clips(tmp_path):
    data = test()
    data["TS3"]["data_3d"][2] = np.nan  # not valid: nothing is said of it
    found = load(tmp_path, None, data, order="3dhp")
    assert found.train == []
    assert [clip.name for clip in found.test] == ["TS1", "TS2", "TS3", "TS4", "TS5", "TS6"]
    assert [clip.size for clip in found.test] == [(2048, 2048)] * 4 + [(1920, 1080)] * 2
    for clip in found.test:
        assert clip.valid.tolist() == [True, True, False, True, False]
        assert np.isfinite(clip.joints[clip.valid]).all()
        np.testing.assert_allclose(
            clip.joints[clip.valid], data[clip.name]["data_3d"][clip.valid] / 1000, rtol=1e-6
        )


def test_the_order_of_human36m_is_the_default(tmp_path):
    own = load(tmp_path, train(), test(), order="3dhp")
    found = load(tmp_path, train(), test())
    assert found.skeleton == H36M
    for clips, others in ((found.train, own.train), (found.test, own.test)):
        for clip, other in zip(clips, others, strict=True):
            for joint, name in enumerate(skeleton.JOINT_NAMES):
                theirs = MPI_INF_3DHP.names.index(NAMES.get(name, name))
                np.testing.assert_array_equal(clip.joints[:, joint], other.joints[:, theirs])
                np.testing.assert_array_equal(clip.keypoints[:, joint], other.keypoints[:, theirs])


def test_skeletons_agree():
    """Sides and limbs of the own order are those of Human3.6M's; names are in P-STMO's order."""
    for side in ("left", "right"):
        own = getattr(MPI_INF_3DHP, side)
        assert set(own) == {TO_H36M[joint] for joint in getattr(H36M, side)}
    back = {theirs: joint for joint, theirs in enumerate(TO_H36M)} | {-1: -1}
    for joint, parent in enumerate(MPI_INF_3DHP.parents):
        assert back[parent] == skeleton.PARENTS[back[joint]]
    # Of the 28 joints of the data set, in which 5 is the neck and 7 the top of the head.
    picked = [7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6]
    of_28 = {3: "Spine", 4: "Pelvis", 5: "Neck", 6: "Head", 7: "HeadTop", 9: "LShoulder"}
    of_28 |= {10: "LElbow", 11: "LWrist", 14: "RShoulder", 15: "RElbow", 16: "RWrist", 18: "LHip"}
    of_28 |= {19: "LKnee", 20: "LAnkle", 23: "RHip", 24: "RKnee", 25: "RAnkle"}
    assert MPI_INF_3DHP.names == tuple(of_28[joint] for joint in picked)
    assert MPI_INF_3DHP.root == 14


def test_unknown_order():
    with pytest.raises(ValueError, match="order must be one of"):
        load_mpi_inf_3dhp(None, None, order="coco")


def with_nan(array: np.ndarray, frame: int) -> np.ndarray:
    array = array.copy()
    array[frame, 3, 0] = np.nan
    return array


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"data_2d": pixels(3, 17)}, "S1 Seq1.5: 2D, 3D of 3, 4 frames; there must be as many"),
        ({"data_2d": pixels(4, 28)}, "numbers (frames, 17, 2), found an array (4, 28, 2)"),
        ({"data_3d": pixels(4, 17)}, "S1 Seq1.5 data_3d: expected numbers (frames, 17, 3), found"),
        ({"data_3d": None}, "S1 Seq1.5 data_3d: expected numbers (frames, 17, 3), found None"),
        ({"data_3d": poses(4)["data_3d"] / 1000}, "expected millimetres, these look like metres"),
        ({"data_3d": with_nan(poses(4)["data_3d"], 2)}, "1 of 4 frames are not finite"),
        ({"data_2d": with_nan(poses(4)["data_2d"], 2)}, "data_2d: 1 of 4 frames are not finite"),
    ],
)
def test_errors_of_training_files(tmp_path, change, told):
    data = train()
    data["S1 Seq1"][0]["5"] |= change
    message = message_of(load, tmp_path, data)
    assert "data_train_3dhp.npz: S1 Seq1.5" in message
    assert told in message


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"valid": np.ones(4)}, "TS2: 2D, 3D and valid of 5, 5, 4 frames; there must be as many"),
        ({"valid": np.ones((5, 1))}, "TS2 valid: expected 0 or 1 for every frame (frames,), found"),
        ({"valid": np.full(5, 0.5)}, "TS2 valid: expected 0 or 1"),
        ({"valid": None}, "TS2 valid: expected 0 or 1 for every frame (frames,), found None"),
        ({"data_3d": with_nan(poses(5)["data_3d"], 3)}, "TS2 data_3d: 1 of 5 frames are not finit"),
        ({"data_2d": with_nan(poses(5)["data_2d"], 2)}, "TS2 data_2d: 1 of 5 frames are not finit"),
    ],
)
def test_errors_of_test_files(tmp_path, change, told):
    data = test()
    data["TS2"] |= change
    assert told in message_of(load, tmp_path, None, data)


def test_errors_of_other_files(tmp_path):
    assert "expected sequences 'S1 Seq1' to 'S8 Seq2', found 'TS1', " in message_of(
        load, tmp_path, test()
    )
    assert "expected sequences 'TS1' to 'TS6', found 'S1 Seq1', " in message_of(
        load, tmp_path, None, train()
    )
    assert "data: expected a dict" in message_of(load, tmp_path, [1, 2])
    data = train() | {"S2 Seq1": [{"0": poses(4)}, 30]}
    assert "S2 Seq1: expected 25 or 50 frames/s, found 30" in message_of(load, tmp_path, data)
    data = train() | {"S2 Seq1": {"0": poses(4)}}
    assert "S2 Seq1: expected [cameras, frames/s], found a dict" in message_of(load, tmp_path, data)
    del data["S1 Seq1"][0]["8"]["data_3d"]
    assert "S1 Seq1.8: has no 'data_3d'; found 'data_2d'" in message_of(load, tmp_path, data)
