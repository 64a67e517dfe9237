"""CSV, NPZ, JSON and its schema; what is refused; the command."""

import csv
import json

import numpy as np
import pytest

from pipeline.export import FORMATS, export, schema
from pipeline.result import STATUSES, load_result
from pose3d import export_results
from tests.pipeline.exports import filmed, prowler, room
from tests.pipeline.test_export_bvh import NAMES
from weights.errors import Pose3dError

TIME = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.05, 12)) + 1.5


@pytest.fixture
def people():
    return [prowler(TIME), prowler(TIME, 2) + np.array([1, 1, 0])]


@pytest.fixture
def result(people):
    """Two people at uneven times; the second is absent at first, and misses a joint later."""
    made = filmed(people, time_s=TIME, ids=[1, 4], absent=[(1, [0, 1, 2])])
    made.joints3d[5, 1, 10] = np.nan
    made.uncertainty[:, 0] = np.nan
    return made


def test_csv(tmp_path, result, people):
    (written,) = export(result, tmp_path / "people.csv")
    lines = written.path.read_text().splitlines()
    header = [line for line in lines if line.startswith("#")]
    for word in ("z up", "m,", "frame_rate: 30", "Neck_Nose"):
        assert any(word in line for line in header), word
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert len(rows) == 12 * 2
    assert [row["frame"] for row in rows[:3]] == ["0", "0", "1"]
    np.testing.assert_allclose([float(row["time_s"]) for row in rows[::2]], TIME, atol=1e-6)
    assert [row["status"] for row in rows[1:8:2]] == ["not_visible"] * 3 + ["ok"]
    for place, expected in enumerate(people):
        own = rows[place::2]
        assert {row["person"] for row in own} == {str((1, 4)[place])}
        for joint, name in enumerate(NAMES):
            cells = [[row[f"{name}_{axis}"] for axis in "xyz"] for row in own]
            found = np.array([[float(cell or "nan") for cell in three] for three in cells])
            place_of = room(expected)[:, joint].copy()
            if place == 1:
                place_of[:3] = np.nan
                place_of[5] = np.nan if name == "Head" else place_of[5]
            np.testing.assert_allclose(found, place_of, atol=2e-5)
    assert rows[0]["LWrist_score"] == "0.75000"
    assert rows[0]["LWrist_uncertainty"] == ""
    assert rows[-1]["LWrist_uncertainty"] == "0.06250"


def test_npz(tmp_path, result, people):
    (written,) = export(result, tmp_path, ["npz"], name="duo")
    assert written.path.name == "duo.arrays.npz"
    with np.load(written.path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    for name in ("time_s", "ids", "status", "joints3d", "root", "keypoints2d", "scores2d"):
        np.testing.assert_array_equal(arrays[name], getattr(result, name))
    np.testing.assert_allclose(arrays["joints_world"][:, 0], room(people[0]), atol=1e-5)
    header = json.loads(str(arrays["header"]))
    assert header["frame_rate"] == "30"
    assert header["units"]["joints_world"] == "m"
    assert "z up" in header["axes"]["joints_world"]
    assert export(result, tmp_path / "own.npz")[0].path == tmp_path / "own.npz"


def test_json(tmp_path, result, people):
    (written,) = export(result, tmp_path / "people.json")
    told = json.loads(written.path.read_text())
    assert told["frame_rate"] == "30/1"
    assert told["joint_names"] == list(result.joint_names)
    np.testing.assert_allclose([frame["time_s"] for frame in told["frames"]], TIME, atol=1e-6)
    assert told["frames"][0]["people"][1] == {"id": 4, "status": "not_visible"}
    whole = told["frames"][7]["people"][1]
    np.testing.assert_allclose(whole["joints_world"], room(people[1])[7], atol=6e-5)
    np.testing.assert_allclose(whole["joints3d"], result.joints3d[7, 1], atol=6e-5)
    np.testing.assert_allclose(whole["root"], result.root[7, 1], atol=6e-5)
    np.testing.assert_allclose(whole["keypoints2d"], result.keypoints2d[7, 1], atol=6e-3)
    assert whole["uncertainty"] == [0.0625] * 17
    assert "uncertainty" not in told["frames"][7]["people"][0]
    assert told["frames"][5]["people"][1]["joints3d"][10] is None
    # A line a frame.
    lines = written.path.read_text().splitlines()
    assert [json.loads(line.rstrip(","))["time_s"] for line in lines[1:-1]] == [
        frame["time_s"] for frame in told["frames"]
    ]


def test_json_and_its_schema(tmp_path, result):
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json.loads(schema()))
    validator.check_schema(validator.schema)
    (written,) = export(result, tmp_path / "people.json")
    told = json.loads(written.path.read_text())
    validator.validate(told)
    for spoil in (
        lambda told: told.pop("frame_rate"),
        lambda told: told["frames"][7]["people"][0]["joints3d"].pop(),
        lambda told: told["frames"][7]["people"][0].update(status="fine"),
        lambda told: told["frames"][7].update(surprise=1),
    ):
        told = json.loads(written.path.read_text())
        spoil(told)
        assert not validator.is_valid(told)


def test_schema_knows_every_status():
    told = json.loads(schema())
    assert told["$schema"].endswith("draft/2020-12/schema")
    assert set(told["$defs"]["person"]["properties"]["status"]["enum"]) == set(STATUSES)


# What is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formats", "words"),
    [
        (["bvh", "stl"], r"unknown format 'stl'; known are bvh, glb, c3d, .*npz"),
        (["FBX"], r"fbx .* export glb and convert it in Blender .*or export bvh"),
    ],
)
def test_unknown_formats(tmp_path, result, formats, words):
    with pytest.raises(Pose3dError, match=words):
        export(result, tmp_path, formats)
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_suffix(tmp_path, result):
    with pytest.raises(Pose3dError, match="the suffix must be a format: bvh, glb"):
        export(result, tmp_path / "people")


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("frames", [0, 5])
def test_nobody(tmp_path, format_, frames):
    nobody = filmed([prowler(np.arange(frames) / 30)], absent=[(0, range(frames))])
    with pytest.raises(Pose3dError, match="nobody in any frame"):
        export(nobody, tmp_path, [format_])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("taken", ["walk.csv", "."])
def test_a_name_that_is_taken(tmp_path, result, taken):
    """By a folder where a file should be, and by a file where the folder should be."""
    folder = tmp_path / "out"
    if taken == ".":
        folder.write_text("mine")
    else:
        (folder / taken).mkdir(parents=True)
    with pytest.raises(Pose3dError, match=r"is (a|not a) folder"):
        export(result, folder, ["json", "csv"], name="walk")
    assert not (folder / "walk.json").exists()


def test_a_rate_that_cannot_be(tmp_path):
    result = filmed([prowler(TIME)], time_s=TIME * 1000, rate=90000)
    with pytest.raises(Pose3dError, match="do not fit the result's frame rate of 90000"):
        export(result, tmp_path, ["bvh"])
    assert export(result, tmp_path, ["glb", "csv"])


# The command -------------------------------------------------------------------------------------


def test_command(tmp_path, result, capsys):
    saved = result.save(tmp_path / "dance_pose3d.npz")
    folder = tmp_path / "out"
    export_results.export(saved, " GLB,bvh, npz,bvh", folder)
    out, err = capsys.readouterr()
    endings = [".glb", "_person1.bvh", "_person4.bvh", ".arrays.npz"]
    names = [f"dance_pose3d{ending}" for ending in endings]
    assert out.splitlines() == [str(folder / name) for name in names]
    assert [line.split(":")[0] for line in err.splitlines()] == names
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    assert load_result(saved) == result


def test_command_leaves_what_the_result_was_made_of(tmp_path, result):
    """dance.json, say, from which pose3d lift made dance_pose3d.npz."""
    saved = result.save(tmp_path / "dance_pose3d.npz")
    for ending in ("json", "csv"):
        (tmp_path / f"dance.{ending}").write_text("the user's own")
    export_results.export(saved, "json,csv", tmp_path, quiet=True)
    for ending in ("json", "csv"):
        assert (tmp_path / f"dance.{ending}").read_text() == "the user's own"


def test_command_beside_the_result(tmp_path, result, capsys):
    saved = result.save(tmp_path / "dance.npz")
    export_results.export(saved, "npz", tmp_path, quiet=True)
    assert capsys.readouterr() == (f"{tmp_path / 'dance.arrays.npz'}\n", "")
    assert load_result(saved) == result


def test_command_prints_the_schema(capsys):
    export_results.schema()
    assert json.loads(capsys.readouterr().out)["title"] == "pose3d poses"
