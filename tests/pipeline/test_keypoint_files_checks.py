"""What is refused, and what is said of keypoints that look wrong."""

import io
import json
import pickle

import numpy as np
import pytest

from lifters3d.skeleton import JOINT_NAMES
from pipeline.keypoint_files import describe, read, recognise
from pipeline.keypoint_files.checks import in_pixels, warnings_of
from pipeline.keypoint_files.names import canonical
from pipeline.keypoint_files.skeletons import describe_layout, layout_of, to_h36m
from tests.pipeline import keypoint_writers as writers
from weights.errors import Pose3dError

SIZE = writers.SIZE
# COCO order, from the front: his left is on the picture's right.
HALF = [(0, 200), (10, 190), (25, 195), (60, 280), (80, 380), (90, 470), (40, 500), (40, 650)]
HALF += [(40, 800)]
STANDING = np.array(
    [(500 + x, y) for x, y in HALF[:1]]
    + [(500 + side * x, y) for x, y in HALF[1:] for side in (1, -1)],
    float,
)
OTHER_SIDE = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]


def npz(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


# Refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"\x89HDF\r\n\x1a\n", "HDF5 file (of DeepLabCut? give its .csv)"),
        (pickle.dumps({"keypoints": []}), "a pickle, which is not read"),
        (b"\x00\x01\xff\xfe" * 9, "neither text nor .npz"),
        (b"PK\x03\x04 cut off", "damaged or not complete"),
        (b'[{"image_id": 1, "keyp', "JSON that is damaged or cut off at line 1, column 18"),
        (b"[" * 100_000, "JSON that no program of the field wrote"),
        (b"{}", "found a dict of nothing; known are pose3d, openpose"),
        (b"[]", "found a list of 0"),
        (b'{"annotations": [], "images": []}', "COCO annotations; give results"),
        (b'{"version": 1.3, "people": []}', "one frame of OpenPose's; give the folder"),
        (b'[{"id": 3, "bbox": []}]', "found a list of a dict of 'id', 'bbox'"),
        (b"time,left,right\n0,1,2\n", "a table whose first row is 'time', 'left', 'right'"),
        (b"Dear reader, this is a letter.\n", "a table whose first row is"),
        (npz(joints3d=np.zeros(1), header=np.zeros(1)), "a result of pose3d, which is lifted"),
        (npz(reconstruction=np.zeros(3)), "an archive of 'reconstruction'"),
    ],
)
def test_what_is_not_recognised(tmp_path, content, words):
    path = tmp_path / "keypoints.json"
    path.write_bytes(content)
    for refuse in (recognise, read):
        with pytest.raises(Pose3dError) as error:
            refuse(path)
        assert words in str(error.value)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)


def test_paths(tmp_path):
    for path, words in {
        tmp_path / "absent": "no such file or folder",
        tmp_path: "a folder without .json files",
    }.items():
        with pytest.raises(Pose3dError, match=words):
            read(path)
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(Pose3dError, match=r"1 \.json files, none of the first 5 with people"):
        read(tmp_path)


def test_a_stray_file_beside_those_of_openpose(tmp_path):
    folder = writers.openpose(tmp_path / "f", writers.RECORDING)
    stray = folder / "a_settings.json"  # sorts before dance_000000000000_keypoints.json
    stray.write_text('{"net": 368}')
    assert recognise(folder) == "openpose"
    with pytest.raises(Pose3dError) as error:
        read(folder)
    assert str(error.value).startswith(f"{stray}: no frame of OpenPose: expected people, found")
    assert str(error.value).endswith("move it out of the folder")


def flat(joints):
    return [5.0, 6.0, 0.9] * joints


def marks(count):
    return [{"x": 0.5, "y": 0.5}] * count


def entry(**changes):
    return {"image_id": 1, "category_id": 1, "keypoints": flat(17)} | changes


def instance(**changes):
    return {"keypoints": [[1, 2]] * 17, "keypoint_scores": [1] * 17} | changes


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([entry(keypoints=flat(21))], "21 joints a person; known without names are 17 (COCO)"),
        ([entry(), entry(keypoints=flat(26))], "entry 1 has 26 joints, those before 17"),
        ([entry(keypoints=[1, 2, 3, 4])], "entry 0: expected x, y, score"),
        ([entry(keypoints=["a"] * 51)], "entry 0: expected numbers"),
        ([entry(), entry(keypoints=None)], "entry 1: expected x, y, score"),
        ([entry(), {"image_id": 2}], "entry 1 has no image_id or no keypoints"),
        ([entry(), 5], "entry 1 has no image_id or no keypoints"),
        ([entry(image_id=[1]), entry()], "found a list of a dict of 'image_id'"),
        ([entry(), entry(image_id=[1])], "entry 1: image_id is no name and no number"),
        ([entry(keypoints=[5.0, 6.0, 0.0] * 17)], "nobody in it whose shoulders or hips"),
        ([entry(image_id="99999999999.jpg")], "frame 99999999999: does that number count frames?"),
        ({"1.jpg": {"people": [{"joints": []}]}}, "1.jpg: a person without pose_keypoints_2d"),
        ({"1.jpg": {"bodies": [{"joints": flat(17)}]}}, "17 joints a person, not OpenPose's 18"),
        ([{"frame_id": 0, "instances": [instance(keypoints=[[1, 2, 3]] * 17)]}], "in 3D"),
        ([{"frame_id": 0, "instances": [instance(keypoint_scores=[1])]}], "17 joints, but scores"),
        ([{"frame_id": 0, "instances": []}], "MMPose found nobody in any frame"),
        ([{"frame_id": 1, "instances": []}] * 2, "frames without a frame_id of their own"),
        ([{"instances": [instance()]}], "frames without a frame_id of their own"),
        ([{"frame_id": 0, "instances": 7}], "not mmpose throughout"),
        ([marks(33), marks(21)], "frame 1: 21 landmarks, not MediaPipe's 33"),
        ([[{"x": 0.5, "y": "left"}] * 33], "frame 0: expected numbers"),
        ([[[], {"x": 1}], marks(33)], "no keypoints that are known: found a list of"),
    ],
)
def test_json_that_is_wrong_inside(tmp_path, value, words):
    path = tmp_path / "k.json"
    path.write_text(json.dumps(value))
    with pytest.raises(Pose3dError) as error:
        read(path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def lines(tmp_path, *rows):
    path = tmp_path / "k.csv"
    path.write_text("\n".join(rows))
    return path


DLC = ["scorer" + ",m" * 36, "bodyparts" + "".join(f",{n}" * 3 for n in writers.COCO[5:])]
DLC += ["coords" + ",x,y,likelihood" * 12]
BLAZE_X = ",".join(f"x{n},y{n},v{n}" for n in range(33))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([DLC[0], DLC[1].replace("left_wrist", "paw"), DLC[2], "0" + ",5" * 36], "no left_wrist"),
        ([*DLC[:2], DLC[2].replace("likelihood", "z"), "0" + ",5" * 36], "keypoints in 3D"),
        ([*DLC, "labeled-data/dance/img001.png" + ",5" * 36], "not labelled pictures"),
        ([*DLC, "0" + ",5" * 36, "1,5,5"], "rows of different lengths"),
        ([*DLC, "0" + ",five" * 36], "a cell is no number"),
        (DLC, "expected a row for every frame"),
        ([BLAZE_X], "a header without rows"),
        ([",".join(f"x{n},y{n}" for n in range(21)), "0,0" * 21], "columns of 21 landmarks"),
        (["frame," + BLAZE_X] + ["7" + ",0.5" * 99] * 2, "several rows of one frame"),
        (["frame," + BLAZE_X, "inf" + ",0.5" * 99], "column frame should count frames"),
        (["frame," + BLAZE_X, "1e300" + ",0.5" * 99], "column frame should count frames"),
        (["landmark,x,y", "NOSE,0.5,0.5"], "no column that counts frames"),
        (["frame,landmark,x,y", "0,tail,0.5,0.5"], "not MediaPipe's 33"),
    ],
)
def test_csv_that_is_wrong_inside(tmp_path, rows, words):
    with pytest.raises(Pose3dError) as error:
        read(lines(tmp_path, *rows))
    assert words in str(error.value)


def test_other_refusals(tmp_path):
    two = np.load(
        writers.videopose3d(tmp_path / "one.npz", writers.RECORDING, SIZE), allow_pickle=True
    )
    content = {key: two[key].item() for key in two.files}
    content["positions_2d"]["other.mp4"] = content["positions_2d"]["dance.mp4"]
    sizes = content["metadata"]["video_metadata"]
    sizes["other.mp4"] = sizes["dance.mp4"]
    np.savez(tmp_path / "two.npz", **{k: np.array(v, object) for k, v in content.items()})
    with pytest.raises(Pose3dError, match=r"holds 2 videos \('dance.mp4', 'other.mp4'\)"):
        read(tmp_path / "two.npz")
    folder = writers.openpose(tmp_path / "f", writers.RECORDING[:2], range(17), 19)
    with pytest.raises(Pose3dError, match="19 joints a person; known are OpenPose's BODY_25"):
        read(folder)
    empty = writers.openpose(tmp_path / "g", [[], []])
    with pytest.raises(Pose3dError, match="OpenPose found nobody"):
        read(empty)
    path = writers.coco(tmp_path / "c.json", writers.RECORDING)
    with pytest.raises(Pose3dError, match="unknown format 'yolo': choose one of pose3d, openpose"):
        read(path, "yolo")
    with pytest.raises(Pose3dError, match="not of format mmpose: found a list of a dict of"):
        read(path, "mmpose")
    assert read(path, "coco").format == "coco"


# Scale, sides, gaps ------------------------------------------------------------------------------


def said(tmp_path, poses, scores=None, size=SIZE):
    """Warnings about a person in as many frames as there are poses."""
    count = len(poses)
    scores = np.linspace(0.8, 1, 17) if scores is None else scores
    frames = [[(pose, scores, 1)] if pose is not None else [] for pose in poses]
    file = read(writers.alphapose(tmp_path / f"{count}.json", frames))
    file = in_pixels(file, size)
    return [*file.warnings, *warnings_of(file)]


def test_nothing_is_said_of_a_person_from_the_front(tmp_path):
    assert said(tmp_path, [STANDING] * 8) == []


def test_a_mirrored_file(tmp_path):
    mirrored = np.abs([1000, 0] - STANDING)
    (warning,) = said(tmp_path, [mirrored] * 8)
    assert warning.startswith("the left shoulder is on the picture's left in 100% of the frames")
    # Whoever turns round is not suspected, nor a back without a face, nor what has no scores.
    assert said(tmp_path, [STANDING, mirrored] * 8) == []
    assert said(tmp_path, [mirrored] * 8, np.repeat([0.1, 0.9], [3, 14])) == []
    assert said(tmp_path, [mirrored] * 8, np.ones(17)) == []


@pytest.mark.parametrize(
    ("joints", "name"), [([11, 12], "hips"), ([13, 14], "knees"), ([7, 8], "elbows")]
)
def test_exchanged_sides(tmp_path, joints, name):
    wrong = STANDING.copy()
    wrong[joints] = wrong[joints[::-1]]
    (warning,) = said(tmp_path, [wrong] * 8)
    assert warning.startswith(f"left and right of the {name} contradict those of the shoulders")
    assert said(tmp_path, [wrong] * 2 + [STANDING] * 6) == []


def test_exchanged_sides_of_the_body_but_not_the_face(tmp_path):
    wrong = STANDING.copy()
    wrong[5:] = wrong[OTHER_SIDE][5:]
    found = said(tmp_path, [wrong] * 8)
    assert [w.split(" contradict")[0] for w in found[:2]] == [
        "left and right of the eyes",
        "left and right of the ears",
    ]
    assert "left shoulder is on the picture's left" in found[2]


def test_upside_down(tmp_path):
    (warning,) = said(tmp_path, [STANDING * [1, -1] + [0, 900]] * 8)
    assert "the head is below the hips in 100% of the frames: does y point up" in warning


def test_outside_of_the_picture(tmp_path):
    (warning,) = said(tmp_path, [STANDING] * 8, size=(640, 480))
    assert "35% of the joints lie outside of pictures of 640x480 (up to 590, 800)" in warning


def test_gaps(tmp_path):
    poses = [None] * 2 + [STANDING] * 5 + [None] * 4 + [STANDING] * 5
    (warning,) = said(tmp_path, poses)
    assert warning == "6 of 16 frames tell of nobody, 4 of them in a row at most"


def test_parts_of_the_picture(tmp_path):
    frames = [[(STANDING / SIZE, np.ones(17), 1)]] * 5
    file = read(writers.coco(tmp_path / "c.json", frames))
    with pytest.raises(Pose3dError, match=r"parts of the picture \(0 to 1\); give --size"):
        in_pixels(file, None)
    scaled = in_pixels(file, SIZE)
    np.testing.assert_allclose(scaled.tracks[0].keypoints, [STANDING] * 5, atol=1e-3)
    assert scaled.warnings[1:] == ["coordinates from 0 to 1 are taken as parts of 1000x900"]
    frames = [[(STANDING / SIZE * 2 - 1, np.ones(17), 1)]] * 5
    file = read(writers.coco(tmp_path / "c.json", frames))
    with pytest.raises(Pose3dError, match="neither px nor parts of the picture"):
        in_pixels(file, SIZE)


def test_sizes(tmp_path):
    unknown = read(writers.coco(tmp_path / "c", writers.RECORDING))
    with pytest.raises(Pose3dError, match="no picture size; give --size WIDTHxHEIGHT, or the --vi"):
        in_pixels(unknown, None)
    known = read(writers.own(tmp_path / "o", writers.RECORDING, SIZE))
    assert in_pixels(known, None).size == in_pixels(known, SIZE).size == SIZE
    with pytest.raises(Pose3dError, match="made from pictures of 1000x900, not 900x1000"):
        in_pixels(known, (900, 1000))


# Which joint comes from where --------------------------------------------------------------------


def test_the_description_of_openpose(tmp_path):
    file = read(writers.openpose(tmp_path / "f", writers.RECORDING))
    rows = [str(source) for source in describe(file)]
    assert rows[1] == "RHip       RHip"
    assert rows[0] == "Hip        guessed from LHip, RHip"
    assert rows[10] == "Head       guessed from Nose, LEye, REye, LEar, REar"
    assert [source.joint for source in describe(file)] == list(JOINT_NAMES)
    guessed = {source.joint for source in describe(file) if source.guessed}
    assert guessed == {"Hip", "Spine", "Thorax", "Neck/Nose", "Head"}


def test_the_description_of_a_file_without_a_face(tmp_path):
    path = writers.deeplabcut(tmp_path / "d", [[(STANDING[5:], np.ones(12), 1)]], writers.COCO[5:])
    rows = [str(source) for source in describe(read(path))]
    assert rows[8] == "Thorax     guessed from left_shoulder, right_shoulder"
    assert rows[10] == "Head       guessed as of a standing body"


@pytest.mark.parametrize(
    "names", [writers.COCO, writers.BLAZE, [*writers.COCO, "head", "neck", "hip"]]
)
def test_the_description_tells_what_each_joint_is_made_of(names):
    """A joint moves if, and only if, one of its sources does."""
    layout = layout_of(tuple(names), "names")
    points = np.random.default_rng(0).random((len(names), 2)).astype(np.float32) * 500

    def made_of(points):
        keypoints, _ = layout.apply(points, np.ones(len(names), np.float32))
        return to_h36m(layout.kind, keypoints, np.ones(len(keypoints), np.float32))[0]

    moved = {joint: set() for joint in JOINT_NAMES}
    for index, name in enumerate(names):
        other = points.copy()
        other[index] += 50
        for joint in np.flatnonzero((made_of(other) != made_of(points)).any(-1)):
            moved[JOINT_NAMES[joint]].add(name)
    for source in describe_layout(layout):
        assert set(source.sources) == moved[source.joint], source.joint
        assert source.guessed == (len(moved[source.joint]) != 1)


@pytest.mark.parametrize(
    ("name", "joint"),
    [
        ("RShoulder", "right_shoulder"),
        ("Rknee", "right_knee"),
        ("LEFT_WRIST", "left_wrist"),
        ("elbow_L", "left_elbow"),
        ("lear", "left_ear"),
        ("Mid Hip", "pelvis"),
        ("Hip", "pelvis"),
        ("Neck/Nose", "neck_nose"),
        ("HeadTop", "head"),
        ("RFoot", "right_ankle"),
        ("LBigToe", "left_big_toe"),
        ("left_foot_index", None),
        ("left_eye_inner", None),
        ("shoulder", None),
        ("left right hip", None),
        ("", None),
        ("tail", None),
    ],
)
def test_names(name, joint):
    assert (canonical(name) or (None,))[0] == joint


def test_ankles_before_feet():
    names = (*writers.COCO[:15], "left_foot", "right_foot", "left_ankle", "right_ankle")
    assert layout_of(names, "names").picks[15:] == ((17,), (18,))
