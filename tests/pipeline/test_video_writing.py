"""Writing of video files, held against OpenCV's reader and the packets in the file."""

import errno
import os
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.video import VideoReader, VideoWriter, probe
from tests.pipeline.clips import COLOURS, number_of, numbered, quadrant_colours, quadrants
from tests.pipeline.videos import NTSC, count, opencv_pictures, stamps
from weights.errors import Pose3dError

COPIED, ENCODED = "copied", "encoded"


def write(path, times, rate=NTSC, size=(64, 48), image=None, **kwargs):
    width, height = size
    with VideoWriter(path, width, height, rate, **kwargs) as writer:
        for index, moment in enumerate(times):
            picture = numbered(index, width, height) if image is None else image
            writer.write(picture, moment)
    return path


# Pictures and times ------------------------------------------------------------------------------


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


# Sound -------------------------------------------------------------------------------------------


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


# Errors ------------------------------------------------------------------------------------------


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
