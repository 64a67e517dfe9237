"""Reading and writing of video files, held against OpenCV's reader and known pictures and times."""

import errno
import os
import subprocess
import sys
import threading
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import (
    COLOURS,
    make_clip,
    number_of,
    numbered,
    quadrant_colours,
    quadrants,
)

from pipeline.containers import MAX_READ_ERRORS, read_packets
from pipeline.video import VideoReader, VideoWriter, prefetch, probe
from weights.errors import Pose3dError

SHARED = Path(__file__).parents[2].parent / "shared"
NTSC = Fraction(30000, 1001)
COPIED, ENCODED = "copied", "encoded"


def count(path, **kwargs):
    return make_clip(path, image=lambda i: numbered(i, 64, 48), **kwargs)


def noisy(path, **kwargs):
    """A clip of some size, so that a cut or a fault falls into pictures."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 48, 64, 3), np.uint8)
    return make_clip(path, image=lambda i: noise[i], frames=60, **kwargs)


def opencv_pictures(path):
    """(F, H, W, 3) RGB upright, and the frame rate, as OpenCV reads them."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    pictures = []
    while True:
        ok, picture = capture.read()
        if not ok:
            return np.array(pictures), capture.get(cv2.CAP_PROP_FPS)
        pictures.append(picture[:, :, ::-1])


def stamps(path, kind="video"):
    """Presentation seconds of the packets of a stream, sorted, straight from the file."""
    with av.open(str(path)) as container:
        packets = container.demux(getattr(container.streams, kind)[0])
        return sorted(float(p.pts * p.time_base) for p in packets if p.size)


def write(path, times, rate=NTSC, size=(64, 48), image=None, **kwargs):
    width, height = size
    with VideoWriter(path, width, height, rate, **kwargs) as writer:
        for index, moment in enumerate(times):
            picture = numbered(index, width, height) if image is None else image
            writer.write(picture, moment)
    return path


# Reading: geometry and colour


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


# Reading: times and ranges


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


# Reading: damage and errors


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


# Writing


@pytest.mark.parametrize(
    "rate", [Fraction(24000, 1001), NTSC, Fraction(60000, 1001), Fraction(25), Fraction(15, 2)]
)
def test_written_rate_is_exact(tmp_path, rate):
    milliseconds = [round(float(i / rate), 3) for i in range(30)]  # as Matroska gives them
    path = write(tmp_path / "out.mp4", milliseconds, rate)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == rate
        assert stream.codec_tag == "avc1"
        assert stream.duration * stream.time_base == 30 / rate
        ticks = [frame.pts for frame in container.decode(stream)]
    assert len(set(np.diff(ticks))) == 1
    pictures, opencv_rate = opencv_pictures(path)
    assert opencv_rate == pytest.approx(float(rate))
    assert [number_of(picture) for picture in pictures] == list(range(30))
    assert path.read_bytes().index(b"moov") < path.read_bytes().index(b"mdat")


def test_written_variable_rate(tmp_path):
    times = [0.0, 0.02, 0.033, 0.1, 0.4567, 0.46, 1.9]
    path = write(tmp_path / "out.mp4", times, Fraction(30))
    np.testing.assert_allclose(stamps(path), times, atol=1e-3)
    read = [frame.time_s for frame in VideoReader(path)]
    np.testing.assert_allclose(read, times, atol=1e-3)


@pytest.mark.parametrize("size", [(64, 48), (1280, 720), (641, 361)])
def test_written_colours_and_sizes(tmp_path, size):
    image = quadrants(*size)
    path = write(tmp_path / "out.mp4", [0.0, 0.04], Fraction(25), size, image, crf=4)
    even = tuple(n + n % 2 for n in size)
    pictures, _ = opencv_pictures(path)
    assert pictures.shape == (2, even[1], even[0], 3)
    np.testing.assert_allclose(quadrant_colours(pictures[0]), COLOURS, atol=4)
    # Added rows and columns repeat the edge.
    np.testing.assert_allclose(pictures[0][-1, -1].astype(int), COLOURS[3], atol=6)
    info, frame = probe(path), next(iter(VideoReader(path)))
    assert (info.codec, info.pixel_format) == ("h264", "yuv420p")
    np.testing.assert_allclose(quadrant_colours(frame.image), COLOURS, atol=4)


@pytest.mark.parametrize(
    ("suffix", "codec", "how"),
    [
        ("mp4", "aac", COPIED),
        ("ts", "aac", COPIED),
        ("mkv", "libopus", COPIED),
        ("mkv", "flac", COPIED),
        ("mkv", "libmp3lame", COPIED),
        ("mkv", "ac3", COPIED),
        ("mkv", "pcm_s16le", ENCODED),
    ],
)
def test_sound(tmp_path, suffix, codec, how):
    source = count(tmp_path / f"clip.{suffix}", rate=NTSC, frames=60, audio=codec)
    path = tmp_path / "out.mp4"
    write(path, [float(i / NTSC) for i in range(60)], audio_from=source)
    with av.open(str(source)) as before, av.open(str(path)) as after:
        kinds = [c.streams.audio[0].codec_context.codec.canonical_name for c in (before, after)]
        length = after.streams.audio[0].duration * after.streams.audio[0].time_base
    assert kinds[1] == (kinds[0] if how is COPIED else "aac")
    assert float(length) == pytest.approx(2.002, abs=0.03)
    np.testing.assert_allclose(loudness(path), loudness(source), atol=0.03)


def loudness(path, begin=0.0, end=2.0):
    """Root mean square of the sound in each tenth of a second on the pictures' clock."""
    with av.open(str(path)) as container:
        origin = stamps(path)[0]
        total, samples = np.zeros(int(end * 10) + 1), np.zeros(int(end * 10) + 1)
        for frame in container.decode(container.streams.audio[0]):
            wave = frame.to_ndarray().astype(float).ravel()
            wave /= 32768 if frame.format.name.startswith("s16") else 1
            moments = frame.time - origin + np.arange(frame.samples) / frame.sample_rate
            bins = np.floor(moments * 10 + 1e-9).astype(int)
            keep = (bins >= 0) & (bins < len(total))
            np.add.at(total, bins[keep], wave[: frame.samples][keep] ** 2)
            np.add.at(samples, bins[keep], 1)
    return np.sqrt(total / np.maximum(samples, 1))[round(begin * 10) + 1 : round(end * 10) - 1]


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_sound_of_a_range(tmp_path, codec):
    source = count(tmp_path / "clip.mkv", rate=Fraction(10), frames=30, audio=codec)
    path = tmp_path / "out.mp4"
    times = [i / 10 for i in range(10)]
    write(path, times, Fraction(10), audio_from=source, audio_start_s=1.0, audio_end_s=1.8)
    # The tone grows louder all the time: a shift by a tenth of a second changes it by 0.019.
    np.testing.assert_allclose(loudness(path, 0, 0.8), loudness(source, 1, 1.8), atol=0.006)
    assert max(stamps(path, "audio")) < 0.8
    without_end = write(path, times, Fraction(10), audio_from=source, audio_start_s=1.0)
    assert 0.95 < max(stamps(without_end, "audio")) < 1.0


def test_sound_is_interleaved(tmp_path):
    source = count(tmp_path / "clip.mp4", frames=60, audio=True)
    path = write(tmp_path / "out.mp4", [i / 30 for i in range(60)], audio_from=source)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux() if packet.size]
        kinds = [packet.stream.type for packet in sorted(packets, key=lambda packet: packet.pos)]
    changes = sum(a != b for a, b in pairwise(kinds))
    assert changes > 10


def test_no_sound_to_take(tmp_path):
    source = count(tmp_path / "clip.mp4")
    path = write(tmp_path / "out.mp4", [0.0, 0.1], audio_from=source)
    assert not probe(path).has_audio


class Interrupt(BaseException):
    """Stands for Ctrl-C."""


@pytest.mark.parametrize("error", [Interrupt, RuntimeError])
def test_nothing_remains_after_an_error(tmp_path, error):
    (tmp_path / "out.mp4").write_bytes(b"before")

    def fail_half_way():
        with VideoWriter(tmp_path / "out.mp4", 64, 48, NTSC) as writer:
            writer.write(numbered(0, 64, 48), 0.0)
            assert len(list(tmp_path.iterdir())) == 2
            raise error

    with pytest.raises(error):
        fail_half_way()
    assert (tmp_path / "out.mp4").read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 1


def test_refuses_to_write(tmp_path):
    (tmp_path / "file").touch()
    for name, message in {
        "no/out.mp4": "there is no folder",
        "file/out.mp4": "is not a folder",
        ".": "is a folder",
    }.items():
        with pytest.raises(Pose3dError, match=message):
            VideoWriter(tmp_path / name, 64, 48, NTSC).__enter__()
    with pytest.raises(Pose3dError, match="no picture"), VideoWriter(tmp_path / "a", 64, 48, NTSC):
        pass
    with pytest.raises(Pose3dError, match="no such file"):
        VideoWriter(tmp_path / "a", 64, 48, NTSC, audio_from=tmp_path / "b").__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_refuses_a_locked_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(Pose3dError, match="permission denied"):
        VideoWriter(tmp_path / "out.mp4", 64, 48, NTSC).__enter__()


def test_disk_full(tmp_path):
    class Full:
        def mux(self, packets):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            raise OSError(errno.ENOSPC, "No space left on device")

    def fill():
        with VideoWriter(tmp_path / "out.mp4", 64, 48, NTSC) as writer:
            writer._container.close()
            writer._container = Full()
            writer.write(numbered(0, 64, 48), 0.0)

    with pytest.raises(Pose3dError, match="the disk is full"):
        fill()
    assert list(tmp_path.iterdir()) == []


TOO_LARGE = """
import resource, signal, sys
from fractions import Fraction
import numpy as np
from pipeline.video import VideoWriter
from weights.errors import Pose3dError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
noise = np.random.default_rng(0)
try:
    with VideoWriter(sys.argv[1], 128, 96, Fraction(30), preset="ultrafast", crf=10) as writer:
        for index in range(30):
            writer.write(noise.integers(0, 256, (96, 128, 3), np.uint8), index / 30)
except Pose3dError as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on file sizes")
@pytest.mark.parametrize("limit", [100, 100_000])
def test_failing_disk(tmp_path, limit):
    """A real failure of the system while the header or the pictures are written."""
    done = subprocess.run(
        [sys.executable, "-c", TOO_LARGE, str(tmp_path / "out.mp4"), str(limit)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "larger than the system allows" in done.stdout
    assert done.stdout.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# Prefetching


def test_prefetch_keeps_order_and_bounds():
    made = []

    def source():
        for i in range(100):
            made.append(i)
            yield i

    ahead = 0
    seen = []
    for item in prefetch(source(), depth=4):
        seen.append(item)
        ahead = max(ahead, len(made) - len(seen))
        if item < 3:
            time.sleep(0.01)
    assert seen == list(range(100))
    assert 1 <= ahead <= 6


def test_prefetch_passes_exceptions_on():
    def source():
        yield 1
        raise Pose3dError("from the thread")

    items = prefetch(source())
    assert next(items) == 1
    with pytest.raises(Pose3dError, match="from the thread"):
        next(items)


def test_prefetch_ends_with_its_consumer(tmp_path):
    path = count(tmp_path / "clip.mp4")
    before = threading.active_count()
    with VideoReader(path) as reader:
        for frame in prefetch(reader, depth=2):
            if frame.index == 3:
                break
        assert threading.active_count() == before
    for item in prefetch(iter(int, 1), depth=2):  # endless
        assert item == 0
        break
    assert threading.active_count() == before


@pytest.mark.skipif(not SHARED.exists(), reason="the shared clips are not beside the repository")
def test_real_clip():
    reader = VideoReader(SHARED / "demo" / "exercise.mp4")
    assert (reader.info.width, reader.info.height) == (720, 1280)
    assert sum(1 for _ in reader) == 219
    assert not reader.truncated
