"""MediaPipe's landmarks and DeepLabCut's body parts, as people spell them."""

import json

import numpy as np
import pytest

from pipeline.keypoint_files import read, recognise
from tests.pipeline import keypoint_writers as writers


@pytest.fixture
def golden():
    return writers.GOLDEN


@pytest.fixture
def recording():
    return writers.RECORDING


@pytest.mark.parametrize(
    "options",
    [
        {"first": 1},
        {"column": "landmark_{number}_{axis}"},
        {"column": "{axis}_{number}"},
        {"column": "{number}_{axis}", "names": [name.upper() for name in writers.BLAZE]},
        {"column": "{number}.{axis}", "names": writers.BLAZE},
    ],
    ids=["tutorial", "landmark", "axis first", "upper case", "dots"],
)
def test_mediapipe_columns(tmp_path, golden, recording, options):
    path = writers.with_size(writers.mediapipe_csv, **options)(tmp_path / "m.csv", recording)
    keypoints, scores = writers.h36m_of(read(path))
    np.testing.assert_allclose(keypoints, golden["h36m_demo"], atol=1e-3)
    np.testing.assert_allclose(scores, golden["h36m_demo_scores"], atol=1e-6)


def test_mediapipe_a_row_for_every_landmark(tmp_path, golden, recording):
    lines = ["frame_id,timestamp,landmark_id,landmark_name,x,y,z,visibility"]
    for frame, people in enumerate(recording):
        if frame == 5:
            continue
        for number, (x, y, v) in enumerate(writers.landmarks(people[0], writers.SIZE).tolist()):
            lines.append(f"{frame},0.0,{number},{writers.BLAZE[number].upper()},{x},{y},0,{v}")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    file = read(tmp_path / "m.csv")
    np.testing.assert_array_equal(file.tracks[0].frames, np.delete(np.arange(12), 5))
    np.testing.assert_allclose(
        writers.h36m_of(file)[0], np.delete(golden["h36m_demo"], 5, 0), atol=1e-3
    )


@pytest.mark.parametrize(
    "wrap",
    [
        lambda marks: {"landmarks": marks},
        lambda marks: {"frame": 0, "pose_landmarks": marks},
        lambda marks: {"pose_landmarks": [marks]},
        lambda marks: [marks],
    ],
)
def test_mediapipe_json_spellings(tmp_path, golden, recording, wrap):
    path = writers.with_size(writers.mediapipe_json, wrap=wrap)(tmp_path / "m", recording)
    path.write_text(json.dumps({"frames": [None, [], *json.loads(path.read_text())]}))
    assert recognise(path) == "mediapipe"
    file = read(path)
    assert (file.frames, file.tracks[0].frames[0]) == (14, 2)
    np.testing.assert_allclose(writers.h36m_of(file)[0], golden["h36m_demo"], atol=1e-3)


@pytest.mark.parametrize(
    "spell",
    [
        lambda side, part: side[0].upper() + part.capitalize(),
        lambda side, part: f"{part}.{side}",
        lambda side, part: f"{part.capitalize()} {side[0]}",
        lambda side, part: f"{side}{part.replace('ankle', 'foot').replace('wrist', 'hand')}",
        lambda side, part: part + {"right": "1", "left": "2"}[side],
    ],
    ids=["RShoulder", "shoulder.right", "Shoulder r", "rightshoulder", "shoulder1"],
)
def test_deeplabcut_names(tmp_path, golden, recording, spell):
    names = [spell(*name.split("_")) if "_" in name else name for name in writers.COCO]
    file = read(writers.deeplabcut(tmp_path / "d.csv", recording, names))
    np.testing.assert_allclose(writers.h36m_of(file)[0], golden["h36m_demo"], atol=2e-4)
    assert ["right side, 2 for the left" in w for w in file.warnings] == [True] * ("1" in names[6])


def test_deeplabcut_its_own_human_model(tmp_path):
    names = [f"{part}{side}" for part in ("ankle", "knee", "hip") for side in "12"]
    names += [f"{part}{side}" for part in ("wrist", "elbow", "shoulder") for side in "12"]
    names += ["chin", "forehead"]
    points = np.arange(28.0).reshape(14, 2) * 7 + 50
    file = read(writers.deeplabcut(tmp_path / "d", [[(points, np.ones(14), None)]], names))
    keypoints = dict(zip(range(17), writers.h36m_of(file)[0][0].tolist(), strict=True))
    place = dict(zip(names, points.tolist(), strict=True))
    assert keypoints[3] == place["ankle1"]  # RFoot
    assert keypoints[13] == place["wrist2"]  # LWrist
    assert keypoints[9] == place["chin"]
    assert keypoints[10] == place["forehead"]
    assert keypoints[0] == np.mean([place["hip1"], place["hip2"]], axis=0).tolist()


def test_deeplabcut_individuals_are_people(tmp_path, golden):
    other = golden["coco"] + [50, 0]
    other[3] = np.nan
    frames = [
        [(a, np.ones(17), None), (b, np.ones(17), None)]
        for a, b in zip(golden["coco"], other, strict=True)
    ]
    file = read(writers.deeplabcut(tmp_path / "d", frames, individuals=("anna", "ben")))
    assert [track.id for track in file.tracks] == [1, 2]
    assert [len(track.frames) for track in file.tracks] == [12, 11]
    np.testing.assert_allclose(file.tracks[1].keypoints, np.delete(other, 3, 0), atol=1e-4)
