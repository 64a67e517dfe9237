"""Videos rendered in segments and joined: what players get is what one piece would have given."""

from itertools import pairwise

import av
import numpy as np
import pytest

from pipeline.joining import VideoJoiner
from pipeline.progress import Silence
from pipeline.rendering.video import join_rendered, range_of, render_video
from pipeline.segments import Rule, cut
from pipeline.video import VideoReader, VideoWriter
from tests.pipeline.clips import make_clip
from tests.pipeline.figures import result_of_joints, walk
from tests.pipeline.test_segments import JITTER, KEYS
from tests.pipeline.videos import NTSC, opencv_pictures
from weights.errors import Pose3dError


def packets(path, kind):
    """(seconds shown, seconds decoded, seconds long, bytes) of the packets of a stream."""
    with av.open(str(path)) as file:
        stream = getattr(file.streams, kind)[0]
        return [
            (p.pts * p.time_base, p.dts * p.time_base, p.duration * p.time_base, bytes(p))
            for p in file.demux(stream)
            if p.size
        ]


def filmed(path, **kwargs):
    """A clip with moving pictures and sound."""
    chance = np.random.default_rng(0)
    ground = chance.integers(0, 255, (12, 16, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    return make_clip(
        path,
        size=(128, 96),
        image=lambda i: np.roll(ground, 3 * i, axis=1),
        options=KEYS,
        audio=True,
        **kwargs,
    )


def result_of(path, **options):
    reader = VideoReader(path, options.get("start"), options.get("end"))
    times = np.array([frame.time_s for frame in reader])
    joints = np.resize(walk(60), (len(times), 1, 17, 3))
    return result_of_joints(joints, (128, 96), times=times, rate=reader.info.frame_rate, **options)


@pytest.mark.parametrize(
    ("name", "kwargs", "part"),
    [
        ("a.mp4", {"rate": NTSC, "frames": 200}, {}),
        ("a.mp4", {"rate": NTSC, "frames": 200}, {"start": 1.0, "end": 5.5}),
        ("a.mkv", {"times": JITTER[:100]}, {}),
    ],
)
@pytest.mark.parametrize("layout", ["overlay", "3d-only"])
def test_joined_is_as_rendered_in_one_piece(tmp_path, name, kwargs, part, layout):
    path = filmed(tmp_path / name, **kwargs)
    result = result_of(path, **part)
    render_video(result, path, tmp_path / "whole.mp4", Silence(), layout)
    seconds = float(np.ptp(result.time_s)) / 4
    spans = cut(result.time_s, seconds, Rule(), *range_of(result))
    assert len(spans) == 4
    pieces = []
    for span in spans:
        pieces.append(tmp_path / f"{span.first}.mp4")
        count = render_video(result, path, pieces[-1], Silence(), layout, span=span)
        assert count == span.frames
    joined = tmp_path / "joined.mp4"
    assert join_rendered(result, path, pieces, joined, Silence())

    ours, theirs = packets(joined, "video"), packets(tmp_path / "whole.mp4", "video")
    assert sorted(p[0] for p in ours) == sorted(p[0] for p in theirs)
    assert all(a[1] < b[1] for a, b in pairwise(ours))
    assert all(dts <= pts for pts, dts, *_ in ours)
    assert [p[3] for p in ours] == [p[3] for piece in pieces for p in packets(piece, "video")]
    assert packets(joined, "audio") == packets(tmp_path / "whole.mp4", "audio")
    with av.open(str(joined)) as file, av.open(str(tmp_path / "whole.mp4")) as whole:
        for stream, other in zip(file.streams, whole.streams, strict=True):
            assert stream.type != "video" or stream.average_rate == other.average_rate
            assert abs(stream.duration * stream.time_base - other.duration * other.time_base) < 1e-6
        assert file.metadata["comment"] == whole.metadata["comment"]
    reader = VideoReader(joined)
    ours, theirs = list(reader), list(VideoReader(tmp_path / "whole.mp4"))
    assert reader.warning is None
    assert [frame.time_s for frame in ours] == [frame.time_s for frame in theirs]
    pictures = [[frame.image.astype(int) for frame in frames] for frames in (ours, theirs)]
    for number in range(1, len(ours)):
        # Encoded twice, with key frames at other places: alike to the eye.
        same, moved = (
            np.abs(pictures[0][number] - pictures[1][n]).mean() for n in (number, number - 1)
        )
        assert same < (0.4 * moved if layout == "overlay" else 1)
    assert len(opencv_pictures(joined)[0]) == len(result)
    data = joined.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_any_place_can_be_sought(tmp_path):
    path = filmed(tmp_path / "a.mp4", frames=120)
    result = result_of(path)
    pieces = []
    for span in cut(result.time_s, 1.0, Rule(), None, None):
        pieces.append(tmp_path / f"{span.first}.mp4")
        render_video(result, path, pieces[-1], Silence(), "overlay", span=span)
    join_rendered(result, path, pieces, tmp_path / "joined.mp4", Silence())
    whole = list(VideoReader(tmp_path / "joined.mp4"))
    for start in (1.5, 2.0, 2.99, 3.5):
        frame = next(iter(VideoReader(tmp_path / "joined.mp4", start)))
        expected = next(each for each in whole if each.time_s >= start)
        assert frame.time_s == expected.time_s
        np.testing.assert_array_equal(frame.image, expected.image)


def write(path, frames, size=(64, 48)):
    with VideoWriter(path, *size, NTSC) as writer:
        for index in range(frames):
            writer.write(np.full((size[1], size[0], 3), 4 * index, np.uint8), index / 29.97)
    return path


def test_pieces_that_do_not_fit(tmp_path):
    times = np.arange(20) / 29.97
    fine = write(tmp_path / "a.mp4", 10)
    (tmp_path / "damaged.mp4").write_bytes(fine.read_bytes()[:300])
    for other, words in (
        (write(tmp_path / "b.mp4", 9), "hold 19 pictures, not 20"),
        (write(tmp_path / "c.mp4", 10, (96, 48)), "in another way"),
        (tmp_path / "damaged.mp4", "damaged"),
        (tmp_path / "absent.mp4", "no such file"),
    ):
        target = tmp_path / "out" / "joined.mp4"
        target.parent.mkdir(exist_ok=True)
        with (
            pytest.raises(Pose3dError, match=words),
            VideoJoiner(target, [fine, other], NTSC) as joiner,
        ):
            joiner.join(times)
        assert not list(target.parent.iterdir())
    result = result_of(filmed(tmp_path / "v.mp4", frames=20))
    assert not join_rendered(result, tmp_path / "v.mp4", [fine, other], target, Silence())


def test_a_segment_ends_where_the_video_is_not_the_results(tmp_path):
    path = filmed(tmp_path / "a.mp4", frames=60)
    result = result_of(path)
    (span, _) = cut(result.time_s, 1.0, Rule(), None, None)
    result.time_s[20:] += 0.01
    count = render_video(result, path, tmp_path / "part.mp4", Silence(), "overlay", span=span)
    assert count == 20
