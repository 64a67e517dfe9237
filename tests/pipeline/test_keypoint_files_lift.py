"""Files of keypoints to 3D: missing joints, several people, times."""

import json
from fractions import Fraction

import numpy as np
import pytest

import lifters3d
from pipeline.joints import coco_to_h36m
from pipeline.keypoint_files import read
from pipeline.keypoint_files.lift import lift_file
from pipeline.progress import Silence
from pipeline.result import load_result
from pipeline.settings import Settings
from tests.pipeline import keypoint_writers as writers
from tests.pipeline.fakes import walking
from tests.pipeline.lifters import lift_sequence

SIZE = 640, 360
SURE = np.full(17, 0.9)


@pytest.fixture
def lift(tmp_path, tiny):
    """Lifts frames of people, as AlphaPose would have written them."""

    def run(frames, settings=None, **options):
        path = writers.alphapose(tmp_path / "dance.json", frames)
        settings = Settings(lifter=tiny, precision="fp32", **(settings or {}))
        options = {"size": SIZE, "frame_rate": Fraction(25), **options}
        outcome = lift_file(read(path), tmp_path / "out", settings, Silence(), **options)
        assert outcome.result_path == tmp_path / "out" / "dance_pose3d.npz"
        assert load_result(outcome.result_path) == outcome.result
        return outcome.result

    return run


def walk(count=20):
    return [[(walking(n, SIZE), SURE, 1)] for n in range(count)]


def test_people_are_lifted_alone(lift, tiny):
    poses = np.stack([walking(n, SIZE) for n in range(20)])
    second = poses * 0.5 + np.array([200, 100])
    frames = [[(a, SURE, 4), (b, SURE, 9)] for a, b in zip(poses, second, strict=True)]
    frames[0].pop()
    result = lift(frames, settings={"smooth": "none"})
    assert result.ids.tolist() == [4, 9]
    np.testing.assert_allclose(result.time_s, np.arange(20) / 25)
    assert (result.frame_rate, result.picture_size) == (25, SIZE)
    assert result.status[0].tolist() == ["ok", "not_visible"]
    lifter = lifters3d.load(tiny)
    for place, coco, first in ((0, poses, 0), (1, second[1:], 1)):
        keypoints, _ = coco_to_h36m(coco.astype(np.float32))
        alone = lift_sequence(lifter, keypoints, result.time_s[first:], SIZE)
        np.testing.assert_allclose(result.joints3d[first:, place], alone, atol=1e-5)
        np.testing.assert_allclose(result.keypoints2d[first:, place], keypoints, atol=1e-4)
    only = lift(frames, settings={"smooth": "none"}, person=9)
    assert only.ids.tolist() == [9]
    np.testing.assert_allclose(only.joints3d[:, 0], result.joints3d[:, 1], atol=1e-5)


def test_joints_missing_for_a_moment_are_interpolated(lift):
    frames = walk()
    hole = frames[7][0][0].copy()
    hole[9] = 0  # the left wrist, which is Human3.6M's joint 13
    frames[7] = [(hole, SURE, 1)]
    result, whole = lift(frames), lift(walk())
    between = (whole.keypoints2d[6, 0, 13] + whole.keypoints2d[8, 0, 13]) / 2
    np.testing.assert_allclose(result.keypoints2d[7, 0, 13], between, atol=1e-4)
    assert result.scores2d[7, 0, 13] == 0
    assert result.status[7, 0] == "ok"
    np.testing.assert_array_equal(
        np.delete(result.keypoints2d, 7, 0), np.delete(whole.keypoints2d, 7, 0)
    )
    assert np.isnan(lift(frames, {"causal": True}).keypoints2d[7, 0, 13]).all()


def test_joints_missing_for_long_are_guessed_for_the_lifter_only(lift):
    """A person behind a table: no legs; the hip, of which nothing is known, has its ray."""
    frames = walk()
    for frame in frames:
        frame[0][0][11:] = 0
    result = lift(frames)
    assert np.isnan(result.keypoints2d[:, 0, [0, 1, 2, 3, 4, 5, 6]]).all()
    assert np.isfinite(result.keypoints2d[:, 0, [11, 12, 13, 14, 15, 16]]).all()
    assert np.isfinite(result.joints3d).all()
    assert np.isfinite(result.root).all()
    assert not [warning for warning in result.warnings if "another one" in warning]


def test_gaps_of_a_file_without_the_frames(lift):
    frames = walk(30)
    frames[4:6] = [[], []]
    frames[10:26] = [[]] * 16
    result = lift(frames)
    expected = ["ok"] * 4 + ["interpolated"] * 2 + ["ok"] * 4 + ["not_visible"] * 16 + ["ok"] * 4
    assert result.status[:, 0].tolist() == expected
    assert np.isnan(result.joints3d[10:26]).all()
    assert "18 of 30 frames tell of nobody, 16 of them in a row at most" in result.warnings


def test_warnings_name_the_person(lift):
    frames = [[(walking(n, SIZE), SURE, 1)] for n in range(20)]
    for n, frame in enumerate(frames):
        frame.append((walking(n, SIZE) + (0 if n < 10 else 400), SURE, 2))
    (warning,) = (w for w in lift(frames).warnings if "another one" in w)
    assert warning.startswith("person 2: the person followed may be another one")
    assert "at 0.40 s" in warning


def test_times(tmp_path, lift, tiny):
    result = lift(walk(), frame_rate=None)
    np.testing.assert_allclose(result.time_s, np.arange(20) / 30)
    assert any("no frame rate: 30 frames/s are assumed" in w for w in result.warnings)

    path = writers.own(tmp_path / "own.json", walk(), SIZE)
    settings = Settings(lifter=tiny)

    def times(rate=None):
        return lift_file(read(path), tmp_path, settings, Silence(), frame_rate=rate).result.time_s

    np.testing.assert_allclose(times(), np.arange(20) * 1001 / 30000)
    np.testing.assert_allclose(times(Fraction(50)), np.arange(20) / 50)
    value = json.loads(path.read_text())
    stamps = np.cumsum(np.random.default_rng(0).random(20)).tolist()
    for frame, stamp in zip(value["frames"], stamps, strict=True):
        frame["time_s"] = stamp
    path.write_text(json.dumps(value))
    assert times().tolist() == stamps
    np.testing.assert_allclose(times(Fraction(50)), np.arange(20) / 50)


def test_provenance(tmp_path, lift, tiny):
    provenance = lift(walk()).provenance
    assert provenance["input"]["name"] == "dance.json"
    assert provenance["weights"]["pose2d"] == {"name": "alphapose"}
    folder = writers.openpose(tmp_path / "take 1", walk(6))
    sizes = sum(file.stat().st_size for file in folder.iterdir())

    def identity():
        settings = Settings(lifter=tiny)
        outcome = lift_file(read(folder), tmp_path, settings, Silence(), size=SIZE)
        assert outcome.result_path.name == "take 1_pose3d.npz"
        return outcome.result.provenance["input"]

    before = identity()
    assert (before["name"], before["bytes"]) == ("take 1", sizes)
    assert identity() == before
    file = next(folder.iterdir())
    file.write_text(file.read_text().replace("1.3", "1.2"))
    assert identity()["sha256"] != before["sha256"]
