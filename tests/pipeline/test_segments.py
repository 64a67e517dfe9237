"""Where long videos are cut: every frame is in one segment, and it is that of the whole video."""

from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline.segments import Cuts, Cutter, Rule, Span, check_seconds, cut, frame_times
from pipeline.video import VideoReader
from tests.pipeline.clips import make_clip, numbered
from weights.errors import Pose3dError

# Key frames every 1.5 s, and pictures that are decoded ahead of their turn.
KEYS = {"g": "15", "bf": "2", "preset": "veryfast"}
JITTER = np.cumsum(np.random.default_rng(0).choice([0.03, 0.1, 0.25, 0.9], 150)).tolist()


def long_clip(path, **kwargs):
    options = {"rate": Fraction(10), "frames": 400, "options": KEYS, **kwargs}
    return make_clip(path, image=lambda i: numbered(i % 60, 64, 48), **options)


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("clip.mp4", {}),
        ("clip.mp4", {"rate": Fraction(10_000, 1001), "audio": True}),
        ("clip.mkv", {"times": JITTER}),
        ("phone.mp4", {"times": JITTER, "rotation": 90}),
        ("clip.ts", {}),
        ("clip.mov", {"codec": "mpeg4", "options": {"g": "12"}}),
        ("clip.webm", {"codec": "libvpx", "options": {"g": "12", "deadline": "realtime"}}),
    ],
)
@pytest.mark.parametrize("part", [(None, None), (5.05, 33.0)])
def test_segments_hold_every_frame_of_the_video_once(tmp_path, name, kwargs, part):
    path = long_clip(tmp_path / name, **kwargs)
    whole = list(VideoReader(path, *part))
    times = frame_times(path, *part)
    np.testing.assert_array_equal(times, [frame.time_s for frame in whole])
    for rule in (
        Rule(),
        Rule(8),
        Rule(5, warm_s=4.0, warm_frames=99),
        Rule(5, warm_s=9.0, warm_frames=10),
        Rule(seconds=5.0, warm_s=2.0),
    ):
        spans = cut(times, 7.0, rule, *part)
        assert len(spans) >= 2
        assert (spans[0].start_s, spans[-1].end_s) == part
        number = 0
        for span in spans:
            read = list(VideoReader(path, span.warm_s, span.end_s))
            warm = [frame for frame in read if frame.time_s < (span.start_s or 0)]
            if span.first and rule.warm_s:
                earlier = span.start_s - warm[0].time_s
                assert earlier <= rule.warm_s + 5
                assert earlier >= 1 or len(warm) >= rule.warm_frames > 0
            else:
                assert not warm
            if rule.seconds is None:
                assert span.first % rule.frames == 0
                assert len(warm) % rule.frames == 0
            elif span.first:
                assert span.start_s % rule.seconds == 0
            own = read[len(warm) :]
            assert (span.first, span.frames) == (number, len(own))
            for ours, theirs in zip(own, whole[number:], strict=False):
                assert ours.time_s == theirs.time_s
                np.testing.assert_array_equal(ours.image, theirs.image)
            number += len(own)
        assert number == len(whole)


def test_lengths():
    times = np.arange(0, 100, 0.5)
    assert cut(times, 70.0, Rule(), None, None) == []
    assert cut(times[:0], 70.0, Rule(), None, None) == []
    lengths = [span.frames for span in cut(times, 30.0, Rule(8), None, None)]
    assert lengths == [64, 64, 72]
    # No cut is nearer than the rule's: whole minutes.
    assert cut(times, 10.0, Rule(seconds=60.0, warm_s=2.0), 3.0, 90.0) == [
        Span(0, 120, 3.0, 60.0, 3.0),
        Span(120, 80, 60.0, 90.0, 58.0),
    ]
    # A pause that is longer than a minute: at 120 s nobody looked again, at 60 s they did.
    paused = np.concatenate([np.arange(0, 50, 0.5), np.arange(130, 200, 0.5)])
    starts = [s.start_s for s in cut(paused, 30.0, Rule(seconds=60.0, warm_s=2.0), None, None)]
    assert starts == [None, 60.0, 180.0]


def test_videos_that_are_left_whole(tmp_path):
    def segments(path, seconds=10.0, **kwargs):
        return Cutter(seconds, Rule(), None, None)(path)

    long = long_clip(tmp_path / "long.mp4")
    assert len(segments(long).render) == len(segments(long).detect) == 4
    only = Cutter(10.0, None, None, None)(long)
    assert (only.detect, len(only.render)) == ((), 4)
    assert segments(long, 30.0) == Cuts()
    # One key frame; no stamps of their own; cut off; the clock is set back; not there.
    one_key = long_clip(tmp_path / "one.mp4", options={"g": "999", "keyint_min": "999"})
    avi = long_clip(tmp_path / "b.avi")
    data = long_clip(tmp_path / "a.mkv").read_bytes()
    (tmp_path / "half.mkv").write_bytes(data[: len(data) // 2])
    part = long_clip(tmp_path / "a.ts", frames=200).read_bytes()
    (tmp_path / "joined.ts").write_bytes(part + part)
    assert len(list(VideoReader(tmp_path / "joined.ts"))) == 400
    for path in (one_key, avi, tmp_path / "half.mkv", tmp_path / "joined.ts", tmp_path / "no.mp4"):
        assert segments(path) == Cuts(), path
    with av.open(str(tmp_path / "raw.h264"), "w", format="h264") as out, av.open(str(long)) as file:
        stream = out.add_stream_from_template(file.streams.video[0])
        for packet in file.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    assert segments(tmp_path / "raw.h264") == Cuts()


@pytest.mark.parametrize("seconds", [0, 9.9, -1, float("inf"), float("nan")])
def test_lengths_that_make_no_sense(seconds):
    with pytest.raises(Pose3dError, match="--segment must be 10 seconds or more"):
        check_seconds(seconds)
