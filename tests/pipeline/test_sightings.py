"""First passes in segments: joined, they are what one pass over all of the video sees."""

from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from detectors2d.mediapipe import Keypoints
from pipeline import detection
from pipeline.batch.kept import load_sightings, save_sightings
from pipeline.detection import cutting_rule, detect, detect_in_segments, see, see_segment
from pipeline.progress import Silence
from pipeline.segments import cut
from pipeline.settings import Settings
from pipeline.sightings import ARRAYS
from pipeline.video import Frame
from tests.pipeline.test_detection import BODY, Network

RATE, LENGTH_S = 3, 660
TIMES = np.arange(LENGTH_S * RATE) / RATE + 0.1


class Reader:
    """Of a long video whose pictures are their own numbers."""

    warning, decode_errors = None, 0
    info = SimpleNamespace(duration_s=None, width=640, height=480, frame_rate=Fraction(RATE))

    def __init__(self, path, start_s=None, end_s=None):
        self.start_s, self.end_s = start_s or 0, np.inf if end_s is None else end_s

    def __iter__(self):
        own = np.flatnonzero((self.start_s <= TIMES) & (self.end_s > TIMES))
        for index, number in enumerate(own):
            yield Frame(index, float(TIMES[number]), np.int64(number))


class Fickle:
    """MediaPipe at its worst: what it says depends on when it began, and on whom it then found.

    The longer ago it began the less, but to some last digits always.
    """

    seed, faithful, blind = 0, 0.99, 0.2

    def __init__(self):
        self.person, self.age, self.drift = None, 0, 0.0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        pass

    def detect(self, number):
        chance = np.random.default_rng([self.seed, int(number)])
        if self.person is None or chance.random() > self.faithful:
            self.person = chance.choice([None, 0, 1], p=[self.blind, 0.5, 0.5 - self.blind])
            self.age, self.drift = 0, float(number)
        if self.person is None:
            return None
        self.age += 1
        self.drift = (self.drift * 1.7 + self.age) % 1  # never the same again
        corner = np.array([100.0 + 200 * self.person, 50]) + 3 * np.sin(number / 5)
        points = corner + BODY * (100, 300) + self.drift
        return Keypoints(points.astype(np.float32), np.full(17, 0.9, np.float32), np.zeros((33, 3)))


def in_segments(tmp_path, settings, seconds):
    """``Detections`` by segments that went through files, and the parts."""
    start, end = settings.start, settings.end
    times = np.array([frame.time_s for frame in Reader("video", start, end)])
    spans = cut(times, seconds, cutting_rule(settings), start, end)
    assert len(spans) > 2
    parts = []
    for number, span in enumerate(spans):
        seen = see_segment("video", span, settings, Silence())
        save_sightings(tmp_path / f"{number}.npz", seen)
        parts.append(load_sightings(tmp_path / f"{number}.npz"))
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(parts[-1], name), getattr(seen, name))
        assert replace(seen, **{n: getattr(parts[-1], n) for n in ARRAYS}) == parts[-1]
    return detect_in_segments("video", spans, parts, settings, Silence()), spans, parts


def whole(settings):
    return detect(Reader("video", settings.start, settings.end), settings, Silence())


def same(ours, theirs, atol=0.0):
    np.testing.assert_array_equal(ours.time_s, theirs.time_s)
    assert [person.id for person in ours.people] == [person.id for person in theirs.people]
    for one, other in zip(ours.people, theirs.people, strict=True):
        np.testing.assert_allclose(one.keypoints, other.keypoints, rtol=0, atol=atol)
        np.testing.assert_allclose(one.scores, other.scores, rtol=0, atol=atol)
    for name in ("size", "frame_rate", "weights", "warnings"):
        assert getattr(ours, name) == getattr(theirs, name)


def test_who_follows_one_person_is_joined_without_a_seam(tmp_path, monkeypatch):
    """Even if every new look may find somebody else: then the old one goes on."""
    monkeypatch.setattr(detection, "VideoReader", Reader)
    monkeypatch.setattr(detection, "MediaPipePose", Fickle)
    went_on, again = 0, []

    def see_again(path, span, *rest):
        again.append(span)
        return see_segment(path, span, *rest)

    monkeypatch.setattr(detection, "see_segment", see_again)
    for seed in range(12):
        monkeypatch.setattr(Fickle, "seed", seed)
        settings = Settings(start=20.0, end=640.0) if seed % 3 == 0 else Settings()
        expected = whole(settings)
        found, spans, parts = in_segments(tmp_path, settings, 60.0 + seed * 5)
        same(found, expected)
        assert np.isfinite(found.people[0].keypoints).any()
        went_on += sum(
            p.ended_s is None or p.ended_s > s.end_s
            for s, p in zip(spans[:-1], parts[:-1], strict=True)
        )
    # Both happen, or this proves little.
    assert went_on >= 5
    assert len(again) >= 1


def test_who_looks_again_takes_over_only_from_the_same_person(monkeypatch):
    """A video of two people, of whom a new look finds the other one: nothing changes."""
    monkeypatch.setattr(detection, "MediaPipePose", Fickle)
    monkeypatch.setattr(Fickle, "faithful", 2.0)
    monkeypatch.setattr(Fickle, "blind", 0.0)
    seen = see(Reader("video"), Settings(), Silence())

    def begins_with(number):
        return np.random.default_rng([0, number]).choice([None, 0, 1], p=[0.0, 0.5, 0.5])

    person = begins_with(0)
    assert np.abs(seen.keypoints[:, 0, 0] - 150 - 200 * person).max() < 20
    same = {
        moment
        for moment in 60.0 * np.arange(1, 12)
        if begins_with(np.searchsorted(TIMES, moment - detection.LOOK_S)) == person
    }
    assert 2 <= len(same) <= 9
    assert set(seen.began_s) == {-np.inf, *same}


class Detector:
    """Two people who cross and, now and then, one who is not sure to be there."""

    def __init__(self, every):
        self.every = every

    def detect(self, images):
        found = []
        for number in images:
            assert number % self.every == 0
            chance = np.random.default_rng(int(number))
            moved = 200 * np.sin(number / 40)
            boxes = np.array(
                [[300 + moved, 50, 400 + moved, 350], [310 - moved, 80, 390 - moved, 300]]
            )
            boxes = boxes + chance.normal(0, 2, boxes.shape)
            there = chance.random(2) < 0.95
            scores = np.where(chance.random(2) < 0.2, 0.3, 0.9)
            found.append((boxes[there].astype(np.float32), scores[there].astype(np.float32)))
        return found


@pytest.mark.parametrize(("every", "atol"), [(1, 0.0), (3, 1e-3)])
def test_people_keep_their_numbers_across_seams(tmp_path, monkeypatch, every, atol):
    monkeypatch.setattr(detection, "VideoReader", Reader)
    monkeypatch.setattr(detection, "open_top_down", lambda *_: (Network(), Detector(every)))
    settings = Settings(pose2d="known.pth", detector="rtmdet=x", people="all", det_every=every)
    expected = whole(settings)
    assert len(expected.people) >= 2
    found, spans, parts = in_segments(tmp_path, settings, 37.0)
    same(found, expected, atol)
    assert all(len(part.time_s) == span.frames for span, part in zip(spans, parts, strict=True))


def test_first_passes_that_cannot_be_cut():
    networks = {"pose2d": "known.pth"}
    assert cutting_rule(Settings(detector="mediapipe", **networks)) is None
    assert cutting_rule(Settings(detector="boxes:a.csv", **networks)) is None
    assert cutting_rule(Settings(detector="whole-frame", **networks)) is not None
