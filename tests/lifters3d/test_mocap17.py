import io
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from walkers import as_mocap, mocap17_arrays, rows, walks, write_mocap17

from lifters3d.data.mocap17 import load_mocap
from weights.errors import Pose3dError

SHARED = Path(__file__).parents[2].parent / "shared" / "mocap"


def test_gives_back_what_was_written(tmp_path):
    clips = [walk[: 5 + 7 * i] for i, walk in enumerate(walks(4))]
    table = [row | {"source": f"source {i}"} for i, row in enumerate(rows(4))]
    mocap = load_mocap(write_mocap17(tmp_path / "walks.npz", clips, table))
    assert mocap.positions.dtype == np.float32
    assert mocap.spans.tolist() == [[0, 5], [5, 17], [17, 36], [36, 62]]
    assert mocap.table == table
    assert mocap.frame_rate == 30
    expected = np.concatenate(clips)
    # Half of a millimetre for the hip; a quarter more of the rounding for the others.
    np.testing.assert_allclose(mocap.positions[:, 0], expected[:, 0], rtol=0, atol=0.5001e-3)
    np.testing.assert_allclose(mocap.positions, expected, rtol=0, atol=0.7501e-3)


def test_known_code(tmp_path):
    """Two clips of two and one frames, spelled out."""
    relative = np.zeros((48, 3), np.int16)
    relative[0] = [100, 10, 40]  # x of the right hip
    relative[47] = [-20, 5, 6]  # z of the right wrist
    root = np.array([[1000, 5, -300], [0, 0, 0], [900, -1, 800]], np.int16)
    path = tmp_path / "code.npz"
    np.savez(path, length=[2, 1], root_mm=root, rel_half_mm=relative, table=json.dumps(rows(2)))
    positions = load_mocap(path).positions
    np.testing.assert_allclose(positions[:, 0, 0], [1.000, 1.005, -0.300])
    np.testing.assert_allclose(positions[:, 1, 0], [1.050, 1.060, -0.280])
    np.testing.assert_allclose(positions[:, 16, 2], [0.890, 0.8915, 0.803], rtol=1e-6)
    np.testing.assert_allclose(positions[:, 5, 2], [0.900, 0.899, 0.800])


def test_long_paths_do_not_overflow(tmp_path):
    """Differences are small, their sum is not: 50 m is more than an int16 of millimetres."""
    clip = walks(1, frames=1200)[0] * [1, 1, 1]
    clip[..., 0] += np.linspace(0, 50, 1200)[:, None]
    mocap = load_mocap(write_mocap17(tmp_path / "far.npz", [clip]))
    np.testing.assert_allclose(mocap.positions, clip, rtol=0, atol=1e-3)


def test_select():
    mocap = as_mocap(walks(3, frames=10))
    chosen = mocap.select([True, False, True])
    assert chosen.spans.tolist() == [[0, 10], [20, 30]]
    assert [row["text"] for row in chosen.table] == ["walk 0", "walk 2"]
    assert chosen.positions is mocap.positions
    assert mocap.select([False] * 3).table == []


def test_missing_file(tmp_path):
    with pytest.raises(Pose3dError, match=r"nowhere\.npz: no such file"):
        load_mocap(tmp_path / "nowhere.npz")


def with_key(key: str, value: object) -> dict:
    """The arrays of a sound file of two clips of ten frames, one of them replaced or left out."""
    arrays = mocap17_arrays(walks(2, frames=10)) | {key: value}
    return {name: array for name, array in arrays.items() if array is not None}


@pytest.mark.parametrize("key", ["length", "root_mm", "rel_half_mm", "table"])
@pytest.mark.parametrize("value", [None, np.array([{"a": 1}], object)])
def test_absent_and_object_arrays(tmp_path, key, value):
    np.savez(tmp_path / "x.npz", **with_key(key, value))
    with pytest.raises(Pose3dError, match=r"x\.npz: not a mocap17 file") as error:
        load_mocap(tmp_path / "x.npz")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("length", np.array([10, 11])),
        ("length", np.array([20])),
        ("length", np.array([20, 0])),
        ("length", np.array([30, -10])),
        ("length", np.array([[10], [10]])),
        ("root_mm", np.zeros((3, 19), np.int16)),
        ("root_mm", np.zeros((20, 3), np.int16)),
        ("rel_half_mm", np.zeros((51, 20), np.int16)),
        ("table", np.array(json.dumps(rows(3)))),
        ("table", np.array("5")),
        ("table", np.array('["walk", "run"]')),
        ("table", np.array('[{"source": "cmu"}, {"fidelity": "native"}]')),
    ],
)
def test_numbers_that_contradict_each_other(tmp_path, key, value):
    np.savez(tmp_path / "x.npz", **with_key(key, value))
    with pytest.raises(Pose3dError, match=r"x\.npz: damaged mocap17 file") as error:
        load_mocap(tmp_path / "x.npz")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["truncated", "flipped", "empty", "text", "lone array", "pickle"])
def test_damaged_and_foreign_files(tmp_path, kind):
    whole = write_mocap17(tmp_path / "whole.npz", walks(2, frames=10)).read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 0xFF
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    contents = {
        "truncated": whole[: len(whole) // 2],
        "flipped": bytes(flipped),
        "empty": b"",
        "text": b"frames,x,y,z\n",
        "lone array": array.getvalue(),
        "pickle": pickle.dumps({"length": [1]}),
    }
    path = tmp_path / "x.npz"
    path.write_bytes(contents[kind])
    with pytest.raises(Pose3dError, match=r"x\.npz: not a mocap17 file"):
        load_mocap(path)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(Pose3dError, match="not a mocap17 file"):
        load_mocap(tmp_path)


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_never_unpickles(tmp_path):
    sprung = tmp_path / "sprung"
    trap = np.array([Trap(sprung)], object)
    np.savez(tmp_path / "trap.npz", **with_key("table", trap))
    (tmp_path / "bare.npz").write_bytes(pickle.dumps(Trap(sprung)))
    for name in ("trap.npz", "bare.npz"):
        with pytest.raises(Pose3dError):
            load_mocap(tmp_path / name)
    assert not sprung.exists()
    with np.load(tmp_path / "trap.npz", allow_pickle=True) as archive:
        _ = archive["table"]
    assert sprung.exists()  # the trap works


@pytest.mark.skipif(not SHARED.exists(), reason="the motion capture is not beside the repository")
def test_real_motion_capture():
    """Counts and mean bone lengths that the data's description gives."""
    mocap = load_mocap(SHARED / "test.npz")
    assert len(mocap.table) == 210
    assert len(mocap.positions) == 17_858
    native = np.array([row["fidelity"] == "native" for row in mocap.table])
    frames = np.concatenate([np.arange(*span) for span in mocap.spans[native]])
    poses = mocap.positions[frames]
    thigh = np.linalg.norm(poses[:, 2] - poses[:, 1], axis=-1).mean()
    shank = np.linalg.norm(poses[:, 3] - poses[:, 2], axis=-1).mean()
    assert thigh == pytest.approx(0.394, abs=0.04)
    assert shank == pytest.approx(0.444, abs=0.04)
    # Standing most of the time: ankles low, heads high.
    assert np.median(poses[:, [3, 6], 2]) < 0.2
    assert np.median(poses[:, 10, 2]) > 1.4
