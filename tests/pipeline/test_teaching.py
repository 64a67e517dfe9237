"""Labels from real videos: what is believed, and what is written."""

import json

import numpy as np
import pytest

from detectors2d.heatmaps import COCO_MIRROR
from detectors2d.mediapipe import Keypoints
from detectors2d.training.samples import read_people
from pipeline import detection, teaching
from pipeline.sightings import Person
from pipeline.video import VideoReader
from tests.pipeline.fakes import FakePose, walking

SIZE = (640, 360)
MIRROR = list(COCO_MIRROR)


def walk(count):
    """Joints (F, 17, 2) of a walk, seconds (F,)."""
    return np.stack([walking(index, SIZE) for index in range(count)]), np.arange(count) / 30


def person(points, scores=0.9):
    return Person(1, points.astype(np.float32), np.full(points.shape[:2], scores, np.float32))


def mirrored(points):
    """As a detector sees them in the mirrored video, left and right by what they look like."""
    return (points * [-1, 1] + [SIZE[0], 0])[:, MIRROR]


def test_joints_on_which_both_agree_are_labels():
    points, time_s = walk(12)
    (first, *_) = found = teaching.lessons(
        time_s, [person(points)], [person(mirrored(points))], SIZE
    )
    assert 1 <= first.index < 10
    assert first.sure.all()
    assert np.abs(first.joints - points[first.index]).max() < 0.01
    assert [one.index for one in found] == sorted({one.index for one in found})
    assert not {0, 11} & {one.index for one in found}  # nothing to compare them with on one side


def test_sides_in_doubt_are_none():
    """A detector that takes the nearer leg for the left one, whichever way the picture is."""
    points, time_s = walk(12)
    other = mirrored(points)
    other[:, [13, 14, 15, 16]] = other[:, [14, 13, 16, 15]]
    found = teaching.lessons(time_s, [person(points)], [person(other)], SIZE)
    apart = np.linalg.norm(points[:, 15] - points[:, 16], axis=-1) / np.ptp(points, axis=1).max(-1)
    assert apart.max() > 0.1
    assert any(apart[lesson.index] > 0.05 for lesson in found)
    for lesson in found:
        if apart[lesson.index] > 0.05:
            assert not lesson.sure[[15, 16]].any()
        assert lesson.sure[:11].all()


def test_leaps_low_scores_and_the_outside_are_none():
    points, time_s = walk(12)
    points[5, 9] += 60
    points[:, 10] = (-5, 100)
    one, other = person(points), person(mirrored(points))
    one.scores[:, 3] = 0.4
    found = {lesson.index: lesson for lesson in teaching.lessons(time_s, [one], [other], SIZE)}
    sure = np.stack([lesson.sure for lesson in found.values()])
    assert not sure[:, [3, 10]].any()
    assert sure[:, [0, 5, 11]].all()
    assert all(not found[index].sure[9] for index in (4, 5, 6) if index in found)
    assert found.keys() & {4, 5, 6}


def test_somebody_who_stands_still_teaches_once():
    points = np.repeat(walk(1)[0], 20, axis=0)
    found = teaching.lessons(np.arange(20) / 30, [person(points)], [person(mirrored(points))], SIZE)
    assert [lesson.index for lesson in found] == [1]


def test_frames_without_anybody_teach_nothing():
    points, time_s = walk(12)
    points[3:9] = np.nan
    found = teaching.lessons(time_s, [person(points)], [person(mirrored(points))], SIZE)
    assert {lesson.index for lesson in found} <= {1, 10}


@pytest.mark.parametrize("size", [(640, 360), (1920, 1080)])
def test_the_cut_shows_what_the_frame_showed(size):
    rng = np.random.default_rng(0)
    joints = rng.uniform(0.4, 0.6, (17, 2)) * size
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    x, y = np.round(joints[0]).astype(int)
    picture[y - 8 : y + 8, x - 8 : x + 8] = 255
    part, box, there = teaching.cut(picture, teaching.Lesson(0, joints, np.ones(17, bool)))
    assert max(part.shape[:2]) <= teaching.LARGEST + 1
    rows, columns = np.nonzero(part[..., 0] > 127)
    assert abs(columns.mean() + 0.5 - there[0, 0]) < 1
    assert abs(rows.mean() + 0.5 - there[0, 1]) < 1
    assert (box[:2] <= there.min(0)).all()
    assert (there.max(0) <= box[2:]).all()


class SeesTheWalk(FakePose):
    """The walk; mirrored in every second video, as of its mirror image."""

    videos = 0

    def __init__(self):
        super().__init__()
        SeesTheWalk.videos += 1
        self.in_mirror = SeesTheWalk.videos % 2 == 0

    def detect(self, image):
        found = super().detect(image)
        if self.in_mirror:
            width = image.shape[1]
            points = ((found.keypoints - [width, 0]) * [-1, 1]).astype(np.float32)
            found = Keypoints(points[MIRROR], found.scores, found.world)
        return found


def test_a_set_of_a_video(clip, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(detection, "MediaPipePose", SeesTheWalk)
    monkeypatch.setattr(SeesTheWalk, "videos", 0)
    video = clip()
    assert teaching.main([str(video), "--out", str(tmp_path / "set")]) == 0
    people = read_people([tmp_path / "set" / "annotations.json"])
    assert f"{len(people)} pictures" in capsys.readouterr().out
    assert all(path.is_file() for path in people.paths)
    assert (people.visibility > 0).sum(1).min() >= teaching.FEWEST
    content = json.loads((tmp_path / "set" / "annotations.json").read_text())
    assert content["images"][0]["width"] <= VideoReader(video).info.width
    assert teaching.main([str(video), "--out", str(tmp_path / "set")]) == 2
    assert "give another --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["nothing.mp4"], "nothing.mp4"),
        (["--teacher", ""], "pose2d"),
        (["--detector", "centernet"], "MediaPipe finds its one person"),
    ],
)
def test_what_cannot_be_taught(clip, tmp_path, capsys, change, words):
    out = tmp_path / "set"
    assert teaching.main([str(clip()), *change, "--out", str(out)]) == 2
    assert words in capsys.readouterr().err
    assert not out.exists()


def test_a_folder_that_cannot_be_made(clip, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert teaching.main([str(clip()), "--out", str(tmp_path / "file")]) == 2
    assert "give another --out" in capsys.readouterr().err


def test_two_people_are_held_against_their_own_mirror_images():
    points, time_s = walk(12)
    small = points * 0.4 + [400, 100]
    found = teaching.lessons(
        time_s,
        [person(points), person(small)],
        [person(mirrored(small)), person(mirrored(points))],
        SIZE,
    )
    for lesson in found:
        nearest = min(np.abs(lesson.joints - one[lesson.index]).max() for one in (points, small))
        assert nearest < 0.01
    assert len({lesson.index for lesson in found}) < len(found)
