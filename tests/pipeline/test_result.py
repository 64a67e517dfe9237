import errno
import json
import os
import resource
from fractions import Fraction

import numpy as np
import pytest

from pipeline.result import STATUSES, PoseResult, load_result
from weights.errors import Pose3dError


def make(frames=7, people=2, **changes):
    rng = np.random.default_rng(3)
    values = {
        "time_s": np.arange(frames) * 1001 / 30000,
        "ids": np.arange(people) + 4,
        "keypoints2d": rng.uniform(0, 900, (frames, people, 17, 2)),
        "scores2d": rng.uniform(0, 1, (frames, people, 17)),
        "joints3d": rng.normal(0, 0.5, (frames, people, 17, 3)),
        "root": rng.normal(0, 2, (frames, people, 3)),
        "uncertainty": np.full((frames, people, 17), np.nan),
        "status": np.full((frames, people), "ok"),
        "picture_size": (1920, 1088),
        "frame_rate": Fraction(30000, 1001),
        "provenance": {
            "input": {"name": "läuferin.mp4", "sha256": "ab" * 32, "bytes": 2082908},
            "settings": {"smoothing": 0.5, "detectors": ["hrnet", "mixste"], "flip": True},
            "weights": {},
        },
        "warnings": ["the last 3 frames could not be decoded"],
    }
    if frames > 2 and people:
        values["joints3d"][2, 0] = np.nan
        values["status"] = values["status"].astype("<U14")
        values["status"][2, 0] = "not_visible"
    return PoseResult(**{**values, **changes})


@pytest.mark.parametrize(("frames", "people"), [(7, 2), (1, 1), (5, 0), (0, 0)])
def test_saved_and_loaded_is_equal(tmp_path, frames, people):
    result = make(frames, people)
    loaded = load_result(result.save(tmp_path / "walk.npz"))
    assert loaded.equals(result)
    assert loaded == result
    assert loaded.status.dtype.kind == "U"
    assert loaded.frame_rate == Fraction(30000, 1001)
    assert (len(loaded), loaded.frames, loaded.people) == (frames, frames, people)
    assert os.listdir(tmp_path) == ["walk.npz"]


@pytest.mark.parametrize(
    "changes",
    [
        {"time_s": np.arange(7) / 29.97},
        {"uncertainty": np.full((7, 2, 17), 0.1)},
        {"status": np.full((7, 2), "ok")},
        {"frame_rate": 30},
        {"warnings": []},
        {"provenance": {"input": {"bytes": 1}}},
    ],
)
def test_a_change_of_any_kind_is_not_equal(changes):
    assert make() != make(**changes)


def test_nan_equals_nan_but_not_a_number():
    a, b = make(), make()
    assert a == b
    b.joints3d[2, 0, 5, 1] = 0
    assert a != b


def test_file_can_be_read_with_numpy_alone(tmp_path):
    result = make()
    with np.load(result.save(tmp_path / "a.npz"), allow_pickle=False) as file:
        header = json.loads(bytes(file["header"]))
        np.testing.assert_array_equal(file["keypoints2d"], result.keypoints2d)
        words = np.array(header["statuses"])[file["status"]]
    assert header["frame_rate"] == "30000/1001"
    assert header["picture_size"] == [1920, 1088]
    assert header["joint_names"][16] == "RWrist"
    assert header["provenance"]["input"]["name"] == "läuferin.mp4"
    np.testing.assert_array_equal(words, result.status)


def test_equal_results_give_equal_bytes(tmp_path):
    first, second = make().save(tmp_path / "a.npz"), make().save(tmp_path / "b.npz")
    assert first.read_bytes() == second.read_bytes()


def test_joints_camera_is_joints_plus_root():
    result = make()
    expected = result.joints3d[3, 1, 9] + result.root[3, 1]
    np.testing.assert_array_equal(result.joints_camera[3, 1, 9], expected)
    assert np.isnan(result.joints_camera[2, 0]).all()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"keypoints2d": np.zeros((7, 2, 17, 3))}, "keypoints2d has shape"),
        ({"joints3d": np.zeros((6, 2, 17, 3))}, "joints3d has shape"),
        ({"ids": [4]}, "shape"),
        ({"ids": [4, 4]}, "ids must differ"),
        ({"ids": [0.5, 1.0]}, "whole numbers"),
        ({"time_s": [0, 1, 2, 3, 2, 5, 6]}, "time_s"),
        ({"time_s": [0, 1, 2, 3, np.nan, 5, 6]}, "time_s"),
        ({"root": np.full((7, 2, 3), np.inf)}, "root holds an infinite"),
        ({"provenance": {"input": "walk.mp4"}}, "provenance: input must be a dict"),
        ({"provenance": {"settings": [1]}}, "provenance: settings must be a dict"),
        ({"provenance": {"input": {"name": 3}}}, "the name of the input must be a string"),
        ({"provenance": {"focal_px": "long"}}, "focal_px must be a number above 0, not 'long'"),
        ({"uncertainty": np.full((7, 2, 17), -0.1)}, "uncertainty holds a negative"),
        ({"status": np.full((7, 2), "low_confidence_indeed")}, "low_confidence_indeed"),
        ({"status": np.full((7, 2), "")}, "status"),
        ({"picture_size": (0, 10)}, "picture_size"),
        ({"picture_size": (640,)}, "picture_size"),
        ({"frame_rate": 0}, "frame_rate"),
        ({"frame_rate": "30/0"}, "field"),
        ({"parents": (0, 1)}, "parents"),
        ({"provenance": {"input": np.zeros(2)}}, "provenance"),
        ({"provenance": {"settings": {"rate": float("nan")}}}, "provenance"),
        ({"provenance": []}, "provenance"),
        ({"scores2d": "no"}, "scores2d"),
    ],
)
def test_impossible_values_are_named_in_one_line(changes, word):
    with pytest.raises(Pose3dError, match=word) as caught:
        make(**changes)
    assert "\n" not in str(caught.value)


def test_every_status_survives_the_file(tmp_path):
    result = make(len(STATUSES), 1, status=np.array(STATUSES)[:, None])
    assert load_result(result.save(tmp_path / "a.npz")).status[:, 0].tolist() == list(STATUSES)


def write_damaged(path, kind):
    make().save(path)
    data = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif kind == "flipped":
        middle = len(data) // 3
        path.write_bytes(
            data[:middle] + bytes(b ^ 255 for b in data[middle : middle + 20]) + data[middle + 20 :]
        )
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("not a result\n")
    elif kind == "npy":
        with open(path, "wb") as file:
            np.save(file, np.zeros(3))
    elif kind == "other npz":
        np.savez(path, positions=np.zeros(3))
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    elif kind == "absent":
        path.unlink()
    else:
        with np.load(path) as file:
            arrays = dict(file)
        header = json.loads(bytes(arrays["header"]))
        if kind == "newer":
            header["version"] += 1
        elif kind == "no frame rate":
            del header["frame_rate"]
        elif kind == "array missing":
            del arrays["root"]
        elif kind == "status code unknown":
            arrays["status"] = arrays["status"] + 200
        elif kind == "pickle":
            arrays["root"] = np.array([{"a": 1}], dtype=object)
        elif kind == "frames missing":
            arrays["joints3d"] = arrays["joints3d"][:-1]
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
        np.savez(path, **arrays)


DAMAGES = """truncated, flipped, empty, text, npy, other npz, folder, absent, newer, no frame rate,
array missing, status code unknown, pickle, frames missing"""


@pytest.mark.parametrize("kind", [kind.strip() for kind in DAMAGES.split(",")])
def test_damaged_or_wrong_file_is_one_line(tmp_path, kind):
    path = tmp_path / "walk.npz"
    write_damaged(path, kind)
    with pytest.raises(Pose3dError) as caught:
        load_result(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) > len(str(path)) + 10


class Trap:
    """What a hostile file may hold: unpickling it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["header", "root", "unknown"])
def test_nothing_in_a_file_is_executed(tmp_path, name):
    path = make().save(tmp_path / "walk.npz")
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **{**arrays, name: np.array([Trap(tmp_path / "sprung")], dtype=object)})
    with pytest.raises(Pose3dError):
        load_result(path)
    assert not (tmp_path / "sprung").exists()


def test_no_folder_is_one_line(tmp_path):
    with pytest.raises(Pose3dError, match="cannot write the result: No such file"):
        make().save(tmp_path / "absent" / "walk.npz")


def test_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path):
    path = make(3).save(tmp_path / "walk.npz")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The kernel refuses to write more, as it does on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(Pose3dError, match="cannot write") as caught:
            make(50).save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.strerror(errno.EFBIG) in str(caught.value)
    assert load_result(path) == make(3)
    assert os.listdir(tmp_path) == ["walk.npz"]


@pytest.mark.parametrize("path", [None, 5, ["a.npz"]])
def test_what_is_no_path(path):
    with pytest.raises(Pose3dError, match="give the path of a file"):
        load_result(path)
