"""Reading of video files, held against OpenCV's reader and known pictures and times."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.containers import MAX_READ_ERRORS, read_packets
from pipeline.video import VideoReader, probe
from tests.pipeline.clips import COLOURS, make_clip, number_of, quadrant_colours
from tests.pipeline.videos import NTSC, count, opencv_pictures
from weights.errors import Pose3dError

SHARED = Path(__file__).parents[2].parent / "shared"


def noisy(path, **kwargs):
    """A clip of some size, so that a cut or a fault falls into pictures."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 48, 64, 3), np.uint8)
    return make_clip(path, image=lambda i: noise[i], frames=60, **kwargs)


# Geometry and colour -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rotation", "corners"),
    [(0, [0, 1, 2, 3]), (90, [2, 0, 3, 1]), (180, [3, 2, 1, 0]), (270, [1, 3, 0, 2])],
)
def test_rotation_is_applied(tmp_path, rotation, corners):
    path = make_clip(tmp_path / "clip.mp4", frames=2, rotation=rotation)
    info, frame = probe(path), next(iter(VideoReader(path)))
    assert info.rotation == rotation
    assert (info.width, info.height) == ((48, 64) if rotation % 180 else (64, 48))
    assert frame.image.shape == (info.height, info.width, 3)
    assert frame.image.flags.c_contiguous
    np.testing.assert_allclose(quadrant_colours(frame.image), COLOURS[corners], atol=3)
    other = opencv_pictures(path)[0][0]
    np.testing.assert_allclose(quadrant_colours(frame.image), quadrant_colours(other), atol=3)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"pixel_format": "yuv420p10le"},
        {"pixel_format": "yuv444p"},
        {"pixel_format": "yuv422p"},
        {"full_range": True},
        {"matrix": "bt709"},
        {"matrix": None},
        {"matrix": "bt709", "pixel_format": "yuv444p", "full_range": True, "rotation": 90},
        {"size": (641, 361), "pixel_format": "yuv444p"},
        {"size": (48, 128)},
    ],
)
def test_colours(tmp_path, kwargs):
    path = make_clip(tmp_path / "clip.mp4", frames=2, **kwargs)
    image = next(iter(VideoReader(path))).image
    if kwargs.get("rotation"):
        image = np.rot90(image, 1)
    assert image.shape == (*kwargs.get("size", (64, 48))[::-1], 3)
    np.testing.assert_allclose(quadrant_colours(image), COLOURS, atol=4)


@pytest.mark.parametrize(("rotation", "size"), [(0, (85, 48)), (90, (48, 85))])
def test_pixels_become_square(tmp_path, rotation, size):
    path = make_clip(tmp_path / "clip.mp4", frames=2, aspect=Fraction(4, 3), rotation=rotation)
    info = probe(path)
    assert (info.width, info.height) == size
    assert next(iter(VideoReader(path))).image.shape == (size[1], size[0], 3)


# Times and ranges --------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), NTSC, Fraction(60000, 1001), Fraction(10)])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_constant_rate(tmp_path, rate, suffix):
    path = count(tmp_path / f"clip.{suffix}", rate=rate)
    reader = VideoReader(path)
    frames = list(reader)
    assert reader.info.frame_rate == rate
    assert reader.info.duration_s == pytest.approx(float(30 / rate), abs=1e-3)
    assert [frame.index for frame in frames] == list(range(30))
    assert [number_of(frame.image) for frame in frames] == list(range(30))
    precision = 1e-6 if suffix == "mp4" else 0.6e-3  # Matroska counts milliseconds
    expected = [float(i / rate) for i in range(30)]
    np.testing.assert_allclose([f.time_s for f in frames], expected, atol=precision)
    assert (reader.truncated, reader.decode_errors, reader.warning) == (False, 0, None)


def test_variable_rate_and_late_start(tmp_path):
    times = [5.0, 5.033, 5.1, 5.5, 5.52, 7.0]
    path = count(tmp_path / "clip.mkv", times=times)
    read = [frame.time_s for frame in VideoReader(path)]
    np.testing.assert_allclose(read, np.subtract(times, 5), atol=1e-3)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi", "mov", "flv"])
def test_range(tmp_path, suffix):
    path = count(tmp_path / f"clip.{suffix}", rate=Fraction(10), frames=50, options={"g": "20"})
    times = [frame.time_s for frame in VideoReader(path)]
    np.testing.assert_allclose(times, np.arange(50) / 10, atol=1e-3)
    for start, end, first, last in [(3.25, 4.2, 33, 41), (2.0, None, 20, 49), (None, 0.3, 0, 2)]:
        frames = list(VideoReader(path, start, end))
        assert number_of(frames[0].image) == first
        assert number_of(frames[-1].image) == last
        assert [frame.index for frame in frames] == list(range(last - first + 1))
        assert frames[0].time_s == pytest.approx(first / 10, abs=1e-3)


def test_range_outside(tmp_path):
    path = count(tmp_path / "clip.mp4")
    with pytest.raises(Pose3dError, match=r"lasts 1\.00 s"):
        list(VideoReader(path, start_s=5))
    with pytest.raises(Pose3dError, match="start must be"):
        VideoReader(path, start_s=0.5, end_s=0.2)


def test_reads_again_and_closes_early(tmp_path):
    path = count(tmp_path / "clip.mp4")
    with VideoReader(path) as reader:
        next(iter(reader))
        assert len(list(reader)) == 30
        left = iter(reader)
        next(left)
    assert next(left, None) is None


def test_info(tmp_path):
    info = probe(make_clip(tmp_path / "clip.MOV", audio=True, pixel_format="yuv444p"))
    assert (info.codec, info.pixel_format, info.has_audio) == ("h264", "yuv444p", True)
    assert info.frame_count == 30
    assert not probe(make_clip(tmp_path / "silent.mp4")).has_audio


# Damage and errors -------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
@pytest.mark.parametrize("part", [0.35, 0.95])
def test_cut_off(tmp_path, suffix, part):
    kwargs = {"codec": "libvpx", "options": {"cpu-used": "8"}} if suffix == "webm" else {}
    whole = noisy(tmp_path / f"w.{suffix}", container_options={"movflags": "faststart"}, **kwargs)
    path = tmp_path / f"clip.{suffix}"
    data = whole.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    reader = VideoReader(path)
    frames = list(reader)
    assert 60 * part - 6 <= len(frames) <= 60 * part + 3
    assert reader.truncated
    assert f"{len(frames)} frames" in reader.warning
    assert "of 2.00 s" in reader.warning
    whole_frames = list(VideoReader(whole))
    np.testing.assert_array_equal(frames[5].image, whole_frames[5].image)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_faults_in_the_middle(tmp_path, suffix):
    path = noisy(tmp_path / f"clip.{suffix}", options={"g": "10", "preset": "ultrafast"})
    data = bytearray(path.read_bytes())
    for place in (0.4, 0.45, 0.5):
        place = int(len(data) * place)
        data[place : place + 40] = bytes(range(100, 140))
    path.write_bytes(data)
    reader = VideoReader(path)
    frames = list(reader)
    assert len(frames) >= 50
    assert frames[-1].time_s == pytest.approx(59 / 30, abs=2e-3)
    assert reader.decode_errors > 0
    assert not reader.truncated
    assert "damaged" in reader.warning


@pytest.mark.parametrize("seed", range(3))
def test_faults_all_over(tmp_path, seed):
    """Broken boxes of a fragmented file make reading itself fail, over and over."""
    path = noisy(
        tmp_path / "clip.mp4",
        container_options={"movflags": "frag_keyframe+empty_moov"},
        options={"g": "10"},
    )
    data = bytearray(path.read_bytes())
    random = np.random.default_rng(seed)
    for place in random.integers(len(data) // 4, len(data) * 9 // 10, 20):
        data[place : place + 30] = random.integers(0, 256, 30, np.uint8).tobytes()
    path.write_bytes(data)
    reader = VideoReader(path)
    frames = list(reader)
    assert 15 <= len(frames) <= 60
    assert reader.decode_errors > 0
    assert reader.warning is not None


def test_gives_up_reading():
    class Broken:
        def demux(self, stream):
            raise av.error.InvalidDataError(1094995529, "Invalid data found")

    assert list(read_packets(Broken(), None)) == [None] * MAX_READ_ERRORS


def test_refuses_what_is_no_video(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("This is no video.\n" * 100)
    (tmp_path / "notes.txt").write_text("libav would draw this as characters\n" * 100)
    (tmp_path / "a:b.mp4").write_text("a colon is no protocol")
    (tmp_path / "list.m3u8").write_text(
        "#EXTM3U\n#EXTINF:1,\nhttp://localhost/x.ts\n#EXT-X-ENDLIST"
    )
    with av.open(str(tmp_path / "song.m4a"), "w", format="mp4") as song:
        stream = song.add_stream("aac", rate=48_000)
        tone = av.AudioFrame.from_ndarray(np.zeros((2, 4096), np.float32), "fltp", "stereo")
        tone.sample_rate = 48_000
        song.mux(stream.encode(tone))
        song.mux(stream.encode(None))
    recording = noisy(tmp_path / "recording.mp4").read_bytes()
    (tmp_path / "recording.mp4").write_bytes(recording[: len(recording) * 3 // 4])
    for name, message in {
        "missing.mp4": "no such file",
        ".": "folder",
        "empty.mp4": "empty",
        "text.mp4": "not a video",
        "notes.txt": "not a video",
        "a:b.mp4": "not a video",
        "list.m3u8": "not a video|no picture",
        "song.m4a": "only sound",
        "recording.mp4": "unfinished or damaged recording",
    }.items():
        with pytest.raises(Pose3dError, match=message) as caught:
            VideoReader(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_refuses_a_video_without_pictures(tmp_path):
    path = noisy(tmp_path / "clip.mp4", container_options={"movflags": "faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + 4] + bytes(len(data)))
    with pytest.raises(Pose3dError, match="no picture"):
        probe(path)


def test_libav_is_silent(tmp_path, capfd):
    path = noisy(tmp_path / "clip.mkv")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    list(VideoReader(path))
    assert capfd.readouterr() == ("", "")


# A clip of a camera ------------------------------------------------------------------------------


@pytest.mark.skipif(not SHARED.exists(), reason="the shared clips are not beside the repository")
def test_real_clip():
    reader = VideoReader(SHARED / "demo" / "exercise.mp4")
    assert (reader.info.width, reader.info.height) == (720, 1280)
    assert sum(1 for _ in reader) == 219
    assert not reader.truncated
