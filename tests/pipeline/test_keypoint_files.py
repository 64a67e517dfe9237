"""Every format, as its program writes it: what is read, and that it is recognised."""

import json
import warnings
from fractions import Fraction

import numpy as np
import pytest

from pipeline.keypoint_files import own, read, recognise
from tests.pipeline import keypoint_writers as writers
from weights.errors import Pose3dError


@pytest.fixture
def golden():
    return writers.GOLDEN


@pytest.fixture
def recording():
    return writers.RECORDING


# Human3.6M's limb joints (right leg, left leg, left arm, right arm) in COCO's order.
LIMBS = [1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16]
COCO_LIMBS = [12, 14, 16, 11, 13, 15, 5, 7, 9, 6, 8, 10]
# Format, whether it has scores, and how it is written.
FORMATS = {
    "openpose": ("openpose", True, writers.openpose),
    "openpose 18": ("openpose", True, writers.openpose_18),
    "alphapose": ("alphapose", True, writers.alphapose),
    "alphapose open": ("alphapose", True, writers.alphapose_open),
    "alphapose cmu": ("alphapose", True, writers.alphapose_cmu),
    "coco": ("coco", True, writers.coco),
    "mmpose demo": ("mmpose", True, writers.mmpose_demo),
    "mmpose inferencer": ("mmpose", True, writers.mmpose_inferencer),
    "mediapipe json": ("mediapipe", True, writers.with_size(writers.mediapipe_json)),
    "mediapipe csv": ("mediapipe", True, writers.with_size(writers.mediapipe_csv)),
    "videopose3d": ("videopose3d", False, writers.with_size(writers.videopose3d)),
    "deeplabcut": ("deeplabcut", True, writers.deeplabcut),
    "pose3d": ("pose3d", True, writers.with_size(writers.own)),
}


@pytest.mark.parametrize("name", FORMATS)
def test_joints_are_those_of_the_research_demos(tmp_path, golden, recording, name):
    expected_format, has_scores, write = FORMATS[name]
    path = write(tmp_path / "anything", recording)
    assert recognise(path) == expected_format
    file = read(path)
    assert (file.format, file.layout.kind, file.frames) == (expected_format, "coco", 12)
    assert len(file.tracks) == 1
    np.testing.assert_array_equal(file.tracks[0].frames, range(12))
    keypoints, scores = writers.h36m_of(file)
    atol = 1e-3 if expected_format == "mediapipe" else 2e-4  # float32 of parts of the picture
    np.testing.assert_allclose(keypoints, golden["h36m_demo"], rtol=0, atol=atol)
    expected = golden["h36m_demo_scores"] if has_scores else np.ones((12, 17))
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-6)


def test_halpe_is_what_motionbert_makes_of_it(tmp_path, golden):
    halpe = golden["halpe26"]
    frames = [[(pose[:, :2], pose[:, 2], None)] for pose in halpe]
    file = read(writers.alphapose(tmp_path / "a.json", frames))
    assert file.layout.kind == "halpe26"
    keypoints, scores = writers.h36m_of(file)
    np.testing.assert_allclose(keypoints, golden["h36m_motionbert"][..., :2], atol=2e-4)
    np.testing.assert_allclose(scores, golden["h36m_motionbert"][..., 2], atol=1e-6)


def test_openpose_mpi(tmp_path, golden, recording):
    """It marks the top of the head, the neck and the chest, but no face."""
    path = writers.openpose(tmp_path / "f", recording, [*writers.COCO_18[:15], 13, 10], 18)
    for file in path.iterdir():
        value = json.loads(file.read_text())
        joints = np.reshape(value["people"][0]["pose_keypoints_2d"], (18, 3))[:15]
        joints[[0, 1, 14]] = [[500, 100, 0.5], [510, 200, 0.6], [520, 300, 0.7]]
        value["people"][0]["pose_keypoints_2d"] = joints.ravel().tolist()
        file.write_text(json.dumps(value))
    keypoints, scores = writers.h36m_of(read(path))
    np.testing.assert_allclose(keypoints[:, LIMBS], golden["coco"][:, COCO_LIMBS], atol=1e-4)
    assert keypoints[0, [10, 8, 7]].tolist() == [[500, 100], [510, 200], [520, 300]]
    np.testing.assert_allclose(scores[0, [10, 8, 7]], [0.5, 0.6, 0.7])
    assert np.isnan(keypoints[:, 9]).all()
    assert (scores[:, 9] == 0).all()


# Frames ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [writers.alphapose, writers.alphapose_open])
def test_alphapose_missing_frames_do_not_collapse_time(tmp_path, recording, write):
    frames = [[], [], *recording[:2], [], [], *recording[:1]]
    file = read(write(tmp_path / "a", frames))
    np.testing.assert_array_equal(file.tracks[0].frames, [2, 3, 6])
    assert (file.frames, file.frame_count) == (7, None)


@pytest.mark.parametrize(
    ("image", "expected", "warns"),
    [
        (lambda n: 1 + n, [0, 1, 4], None),
        (lambda n: 10003420000 + n, [0, 1, 4], "image 10003420000 is taken for the first frame"),
        (lambda n: 1 + 1000 * n, [0, 1, 2], "from 1 to 4001, too far apart for frames"),
    ],
    ids=["from 1", "posetrack", "pictures"],
)
def test_coco_numbers(tmp_path, recording, image, expected, warns):
    frames = [*recording[:2], [], [], *recording[2:3]]
    path = writers.coco(tmp_path / "c", frames, image)
    path.write_text(json.dumps(json.loads(path.read_text())[::-1]))  # in any order
    file = read(path)
    np.testing.assert_array_equal(file.tracks[0].frames, expected)
    assert len(file.warnings) == (warns is not None)
    assert warns is None or warns in file.warnings[0]


def test_image_names(tmp_path, recording):
    named = read(writers.alphapose(tmp_path / "a", recording[:3], "img_{:05d}.png".format))
    np.testing.assert_array_equal(named.tracks[0].frames, [0, 1, 2])
    letters = read(writers.alphapose(tmp_path / "b", recording[:3], lambda n: "cab"[n] + ".png"))
    np.testing.assert_allclose(letters.tracks[0].keypoints[0], recording[1][0][0], atol=1e-4)
    assert "sorted by name" in letters.warnings[0]


def test_openpose_frames(tmp_path, recording):
    frames = [[], *recording[:2], [], *recording[2:3], []]
    file = read(writers.openpose(tmp_path / "f", frames, first=9))
    np.testing.assert_array_equal(file.tracks[0].frames, [1, 2, 4])
    assert file.frames == file.frame_count == 6


@pytest.mark.parametrize("write", [writers.mmpose_demo, writers.mmpose_inferencer])
def test_mmpose_frames(tmp_path, recording, write):
    file = read(write(tmp_path / "m", [[], *recording[:2], [], *recording[2:3], []]))
    np.testing.assert_array_equal(file.tracks[0].frames, [1, 2, 4])
    assert file.frames == file.frame_count == 6


def test_mmpose_pictures(tmp_path, golden):
    """Of a picture, the instances stand where the frames of a video would."""
    (frame,) = writers.mmpose_list([[(golden["coco"][0], np.ones(17), None)]], 0)
    path = tmp_path / "m"
    for value in (frame["instances"], {"meta_info": {}, "instance_info": frame["instances"]}):
        path.write_text(json.dumps(value))
        assert recognise(path) == "mmpose"
        assert read(path).frames == 1


def test_mmpose_names_win_over_the_order(tmp_path, golden, recording):
    order = np.random.default_rng(0).permutation(17)
    shuffled = [[(points[order], scores[order], None)] for ((points, scores, _),) in recording]
    names = [writers.COCO[index] for index in order]
    keypoints, _ = writers.h36m_of(read(writers.mmpose_demo(tmp_path / "m", shuffled, names)))
    np.testing.assert_allclose(keypoints, golden["h36m_demo"], atol=2e-4)


def test_mmpose_human36m(tmp_path, golden):
    """Keypoints that are Human3.6M's stay as they are."""
    legs = "right_hip right_knee right_foot left_hip left_knee left_foot"
    arms = "left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist"
    names = f"root {legs} spine thorax neck_base head {arms}".split()
    frames = [[(pose, np.ones(17), None)] for pose in golden["h36m_demo"]]
    file = read(writers.mmpose_demo(tmp_path / "m", frames, names))
    assert file.layout.kind == "h36m"
    np.testing.assert_allclose(writers.h36m_of(file)[0], golden["h36m_demo"], atol=1e-4)


# Missing joints, people ---------------------------------------------------------------------------


def test_what_was_not_found(tmp_path, golden):
    """Score 0, zeros, null: three ways to say it."""
    points, scores = golden["coco"][:3].copy(), np.ones((3, 17))
    scores[0, 9] = 0
    points[1, 9] = 0
    points[2, 9] = np.nan
    frames = [[(p, s, None)] for p, s in zip(points, scores, strict=True)]
    track = read(writers.alphapose(tmp_path / "a", frames)).tracks[0]
    assert np.isnan(track.keypoints[:, 9]).all()
    assert (track.scores[:, 9] == 0).all()
    assert np.isfinite(np.delete(track.keypoints, 9, 1)).all()


def test_numbers_beyond_float32(tmp_path, golden):
    """A score is cut to 1, a joint that is nowhere was not found; without a numpy warning."""
    points, scores = golden["coco"][0].astype(float), golden["coco_scores"][0].astype(float)
    points[9], scores[13] = 1e300, 1e300
    path = writers.own(tmp_path / "k.json", [[(points, scores, None)]], writers.SIZE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (track,) = read(path).tracks
    assert track.scores[0, [9, 13]].tolist() == [0, 1]
    assert np.isnan(track.keypoints[0, 9]).all()


def test_a_nose_that_is_hidden_lies_between_eyes_and_ears(tmp_path, golden):
    points = golden["coco"][0].copy()
    points[0] = 0
    file = read(writers.alphapose(tmp_path / "a", [[(points, np.ones(17), None)]]))
    keypoints, scores = writers.h36m_of(file)
    assert np.isfinite(keypoints).all()
    assert scores[0, 9] == 0


@pytest.mark.parametrize("write", [writers.alphapose, writers.coco, writers.openpose])
def test_ids_of_the_file(tmp_path, golden, write):
    """Whatever the order in the file, and however near people are; 0 is an id."""
    coco, sure = golden["coco"], np.ones(17)
    frames = [[(coco[n], sure, 7), (coco[n] + 3, sure, 0)][:: (-1) ** n] for n in range(6)]
    file = read(write(tmp_path / "a", frames))
    assert [track.id for track in file.tracks] == [0, 7]
    np.testing.assert_allclose(file.tracks[1].keypoints, coco[:6], atol=1e-4)


def test_people_without_ids_are_associated(tmp_path, golden):
    pose, sure = golden["coco"][0] / 4, np.ones(17)
    steps = np.arange(8.0)[:, None, None] * [10, 0]
    left, right = pose + steps, pose - steps + np.array([600, 0])
    frames = [[(left[n], sure, None), (right[n], sure, None)][:: (-1) ** n] for n in range(8)]
    frames[5].append((pose + np.array([0, 500]), sure, None))  # for a single frame
    file = read(writers.mmpose_inferencer(tmp_path / "m", frames))
    first, second = (track.keypoints for track in file.tracks)
    np.testing.assert_allclose(first, left, atol=1e-3)
    np.testing.assert_allclose(second, right, atol=1e-3)
    assert file.warnings == ["left out 1 tracks of less than 5 frames"]


# Our own file ------------------------------------------------------------------------------------


def test_our_own_file_is_exact(tmp_path, golden):
    keypoints = (golden["coco"] * np.pi).astype(np.float32)
    scores = golden["coco_scores"].astype(np.float32)
    keypoints[4], scores[4] = np.nan, 0
    keypoints[5, 3], scores[5, 3] = np.nan, 0
    time_s = np.cumsum(np.random.default_rng(0).random(12)) / 30
    path = tmp_path / "k.json"
    people = {1: (keypoints, scores)}
    own.write(path, writers.COCO, people, time_s, (1920, 1080), Fraction(30000, 1001))
    value = json.loads(path.read_text())  # no NaN: JSON has none
    assert (value["format"], value["version"]) == ("pose3d-keypoints", 1)
    assert value["frames"][5]["people"][0]["keypoints"][3] is None
    assert value["frames"][4] == {"time_s": time_s[4], "people": []}
    file = read(path)
    track = file.tracks[0]
    np.testing.assert_array_equal(track.frames, np.delete(np.arange(12), 4))
    np.testing.assert_array_equal(track.keypoints, np.delete(keypoints, 4, 0))
    np.testing.assert_array_equal(track.scores, np.delete(scores, 4, 0))
    np.testing.assert_array_equal(file.time_s, time_s)
    assert (file.size, file.frame_rate) == ((1920, 1080), Fraction(30000, 1001))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "version 2 of pose3d-keypoints, this program reads 1"),
        ({"joint_names": 17}, "joint_names should be a list of names, found 17"),
        ({"size": [1920]}, "size should be"),
        ({"size": [0, 5]}, "size should be"),
        ({"frame_rate": "fast"}, "frame_rate should be"),
        ({"frame_rate": 0}, "frame_rate should be"),
        ({"frame_rate": "1e300"}, "frame_rate should be"),
        ({"frames": {}}, "frames should be a list of objects"),
        ({"frames": [{"people": [{"id": 1}]}]}, "frame 0: a person without keypoints"),
        ({"frames": [{"people": [{"keypoints": [[1, 2]]}]}]}, "frame 0: expected 17 keypoints"),
        ({"frames": [{"people": 5}]}, "not pose3d throughout"),
        ({"frames": [{"time_s": 1}, {"time_s": 0}]}, "time_s should be in every frame"),
        ({"frames": []}, "nobody in it"),
    ],
)
def test_our_own_file_damaged(tmp_path, recording, change, words):
    path = writers.with_size(writers.own)(tmp_path / "k", recording)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(Pose3dError) as error:
        read(path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
