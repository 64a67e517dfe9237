"""Several people through the first pass, by a detector and a network whose answers are known."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipeline import detection, networks
from pipeline.detection import detect_coco
from pipeline.networks import choose_pose2d
from pipeline.process import estimate
from pipeline.progress import Silence
from pipeline.settings import Settings, make_settings
from pipeline.video import VideoReader, VideoWriter
from tests.pipeline.clips import make_clip
from tests.pipeline.fakes import save_tiny_lifter
from weights import download, store
from weights.errors import Pose3dError

FRAMES = 40
WALK = Path(__file__).parents[2] / "demos" / "walk.mp4"
# COCO's joints of a standing body, parts of its box.
BODY = np.array(
    [
        *((0.5, 0.08), (0.55, 0.06), (0.45, 0.06), (0.6, 0.08), (0.4, 0.08)),
        *((0.75, 0.2), (0.25, 0.2), (0.85, 0.35), (0.15, 0.35), (0.9, 0.5), (0.1, 0.5)),
        *((0.65, 0.52), (0.35, 0.52), (0.66, 0.75), (0.34, 0.75), (0.67, 0.97), (0.33, 0.97)),
    ]
)


def boxes_at(frame: int) -> np.ndarray:
    """A large person who walks to the right and a small one who walks to the left behind."""
    large = np.array([4.0 + frame, 4, 24 + frame, 46])
    small = np.array([80.0 - frame, 10, 92 - frame, 34])
    return np.stack([small, large] if frame % 2 else [large, small])  # in any order


class Detector:
    """Knows the boxes; counts the frames that it looked at."""

    looked, every = 0, 1

    def detect(self, images):
        found = []
        for _ in images:
            boxes = boxes_at(self.looked * self.every)
            found.append((boxes.astype(np.float32), np.full(len(boxes), 0.9, np.float32)))
            self.looked += 1
        return found


class Network:
    """A body in every box."""

    def estimate(self, images, boxes):
        assert len(images) == len(boxes)
        results = []
        for rows in boxes:
            rows = np.asarray(rows, np.float64).reshape(-1, 4)
            points = rows[:, None, :2] + BODY * (rows[:, 2:] - rows[:, :2])[:, None]
            results.append((points.astype(np.float32), np.full((len(rows), 17), 0.8, np.float32)))
        return results


@pytest.fixture
def people(tmp_path, monkeypatch):
    """Runs the first pass over a clip with given settings."""
    clip = make_clip(tmp_path / "clip.mp4", frames=FRAMES, size=(96, 48))
    detector = Detector()

    def run(**values):
        settings = Settings(pose2d="known.pth", **values)
        detector.looked, detector.every = 0, settings.det_every
        monkeypatch.setattr(detection, "open_top_down", lambda *_: (Network(), detector))
        return detect_coco(VideoReader(clip), settings, Silence())

    run.detector, run.clip = detector, clip
    return run


def truth(large: bool) -> np.ndarray:
    """(F, 17, 2) px."""
    boxes = np.array(
        [
            max(boxes_at(f), key=lambda b: (b[3] - b[1]) * (1 if large else -1))
            for f in range(FRAMES)
        ]
    )
    return boxes[:, None, :2] + BODY * (boxes[:, 2:] - boxes[:, :2])[:, None]


def test_everybody_is_followed_past_each_other(people):
    found = people(people="all")
    assert [person.id for person in found.people] == [1, 2]
    assert found.time_s.shape == (FRAMES,)
    wanted = [truth(large=True), truth(large=False)]
    for person in found.people:
        errors = [np.abs(person.keypoints - one).max() for one in wanted]
        assert min(errors) < 1e-3
        assert (person.scores == np.float32(0.8)).all()
    assert people.detector.looked == FRAMES


def test_the_largest_is_the_default(people):
    (person,) = people().people
    np.testing.assert_allclose(person.keypoints, truth(large=True), atol=1e-3)


def test_a_person_by_id(people):
    ids = [person.id for person in people(people="all").people]
    (person,) = people(people=f"id:{ids[1]}").people
    assert person.id == ids[1]
    with pytest.raises(Pose3dError, match="there is no person 7: known are 1, 2"):
        people(people="id:7")


def test_between_looks_people_are_followed(people):
    """A box of every fourth frame: in between the tracker moves it as the person moves."""
    found = people(people="all", det_every=4)
    assert people.detector.looked == FRAMES // 4
    assert len(found.people) == 2
    for person, large in zip(found.people, (True, False), strict=True):
        assert np.isfinite(person.keypoints).all()
        late = slice(12, None)  # once the speed is known
        # Standing still for three frames would be 1.5 px off on average.
        assert np.abs(person.keypoints[late] - truth(large)[late])[..., 0].mean() < 0.25


def test_nobody(people, monkeypatch):
    monkeypatch.setattr(
        people.detector, "detect", lambda images: [(np.zeros((0, 4)), np.zeros(0)) for _ in images]
    )
    (person,) = people(people="all").people
    assert np.isnan(person.keypoints).all()
    assert person.keypoints.shape == (FRAMES, 17, 2)


def test_the_result_holds_everybody(people, tmp_path, monkeypatch):
    people()  # sets the stubs
    people.detector.looked = 0
    lifter = str(save_tiny_lifter(tmp_path / "tiny.safetensors"))
    settings = Settings(pose2d="known.pth", people="all", lifter=lifter, device="cpu")
    result = estimate(people.clip, settings)
    assert result.ids.tolist() == [1, 2]
    assert result.joints3d.shape == (FRAMES, 2, 17, 3)
    assert np.isfinite(result.joints3d).all()
    assert (result.status == "ok").all()
    assert result.provenance["weights"]["pose2d"] == {"name": "known.pth"}


def test_auto_takes_what_is_at_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("POSE3D_HOME", str(tmp_path))
    chosen, advice = choose_pose2d(Settings())
    assert chosen == "mediapipe"
    assert "pose3d weights fetch hrnet-w48-256x192 rtmdet-m-person" in advice
    for name in ("hrnet-w32-256x192", "hrnet-w48-256x192"):
        download.location(store.public()[name]).write_bytes(b"")
        assert choose_pose2d(Settings()) == (name, "")
    assert choose_pose2d(Settings(pose2d="mediapipe"))[0] == "mediapipe"


@pytest.mark.parametrize(
    ("values", "chosen"),
    [
        ({"people": "id:1"}, "hrnet-w20-cam"),
        ({"people": "all"}, "hrnet-w20-cam"),
        ({"people": "2"}, "hrnet-w20-cam"),
        ({"detector": "whole-frame"}, "hrnet-w20-cam"),
        ({"backend": "onnx"}, "hrnet-w20-cam"),
    ],
)
def test_auto_takes_our_own_for_what_mediapipe_cannot(tmp_path, monkeypatch, values, chosen):
    monkeypatch.setenv("POSE3D_HOME", str(tmp_path))
    assert choose_pose2d(Settings(**values))[0] == chosen
    assert networks.check_pose2d(Settings(**values)) == chosen


def test_auto_takes_our_own_where_mediapipe_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("POSE3D_HOME", str(tmp_path))
    monkeypatch.setattr(networks.importlib.util, "find_spec", lambda name: None)
    assert choose_pose2d(Settings())[0] == "hrnet-w20-cam"


def test_two_people_with_nothing_fetched(tmp_path, monkeypatch):
    """The shipped networks see both people of a picture of a known place, one beside the other."""
    monkeypatch.setenv("POSE3D_HOME", str(tmp_path))
    frame = next(iter(VideoReader(WALK)))
    twice = np.concatenate([frame.image, frame.image], axis=1)
    height, width = twice.shape[:2]
    with VideoWriter(tmp_path / "two.mp4", width, height, Fraction(30)) as writer:
        for index in range(8):
            writer.write(twice, index / 30)
    settings = Settings(people="all", min_track=0.1, device="cpu")
    found = detect_coco(VideoReader(tmp_path / "two.mp4"), settings, Silence())
    assert found.weights["pose2d"]["sha256"] == store.entries()["hrnet-w20-cam"].sha256
    assert len(found.people) == 2
    with np.load(WALK.with_suffix(".npz")) as truth:
        true, seen = truth["coco2d"][0, 0], truth["coco_visible"][0, 0] > 0
    tall = np.ptp(true, axis=0).max()
    ordered = sorted(found.people, key=lambda person: np.nanmean(person.keypoints[..., 0]))
    for number, person in enumerate(ordered):
        away = person.keypoints[4] - true - [number * width / 2, 0]
        assert np.median(np.linalg.norm(away, axis=-1)[seen]) < 0.04 * tall


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"people": "all"}, None),
        ({"people": "2"}, "people 2: MediaPipe follows one person; for several"),
        ({"detector": "rtmdet-m"}, "detector rtmdet-m: MediaPipe finds its one person by itself"),
    ],
)
def test_what_mediapipe_cannot(tmp_path, monkeypatch, values, words):
    from tests.pipeline.fakes import FakePose

    monkeypatch.setattr(detection, "MediaPipePose", FakePose)
    clip = make_clip(tmp_path / "clip.mp4", frames=3)
    settings = Settings(pose2d="mediapipe", **values)
    if words is None:
        assert len(detect_coco(VideoReader(clip), settings, Silence()).people) == 1
        return
    with pytest.raises(Pose3dError, match=words):
        detect_coco(VideoReader(clip), settings, Silence())


@pytest.mark.parametrize(
    ("value", "fine"),
    [(2, True), ("all", True), ("id:3", True), ("0", False), ("some", False), (True, False)],
)
def test_who_can_be_asked_for(value, fine):
    if fine:
        assert make_settings(people=value).people == str(value)
        return
    with pytest.raises(Pose3dError, match="setting people must be largest, all"):
        make_settings(people=value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"detector": "mediapipe", "people": "3"}, "MediaPipe finds one person; for several"),
        ({"detector": "boxes:b.csv", "start": 2.0}, "counts the video's frames from 0"),
        ({"detector": "boxes:b.csv", "det_every": 3}, "leave out start and det-every"),
    ],
)
def test_detectors_that_do_not_serve(tmp_path, monkeypatch, values, words):
    monkeypatch.setenv("POSE3D_HOME", str(tmp_path))  # where no detector was fetched
    with pytest.raises(Pose3dError, match=words):
        networks.check_pose2d(Settings(pose2d="net.pth", **values))


def test_our_own_detector_is_taken_where_none_was_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("POSE3D_HOME", str(tmp_path))
    assert networks.choose_detector(Settings()) == "centernet"
    found = networks.open_people(Settings(device="cpu"))
    assert found.weights_identity["sha256"] == store.entries()["centernet"].sha256
    download.location(store.public()["rtmdet-tiny"]).write_bytes(b"")
    assert networks.choose_detector(Settings()) == "rtmdet-tiny"
    assert networks.choose_detector(Settings(detector="whole-frame")) == "whole-frame"


def test_one_person_where_all_were_asked_for_is_told(people, tmp_path, monkeypatch):
    monkeypatch.setenv("POSE3D_HOME", str(tmp_path))
    (warning,) = people(people="all", detector="mediapipe").warnings
    assert warning == "MediaPipe finds one person; for all, leave out --detector mediapipe"
    assert people(people="all").warnings == []
    assert people().warnings == []
