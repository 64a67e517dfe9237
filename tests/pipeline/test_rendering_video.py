"""Whole drawn videos: frames, times, orientation, sound and colours, read back from the file."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline.progress import Silence
from pipeline.rendering.source import check_video, find_video
from pipeline.rendering.video import render_video
from pipeline.result import PoseResult
from pipeline.settings import LAYOUTS
from pipeline.video import VideoReader, probe
from pipeline.yuv import to_yuv420
from tests.pipeline.clips import COLOURS, make_clip, numbered, quadrant_colours, quadrants
from tests.pipeline.figures import result_of_joints, walk
from tests.pipeline.videos import NTSC, opencv_pictures, stamps
from weights.errors import Pose3dError
from weights.files import sha256

FILM = Fraction(24000, 1001)


def nobody(path, **options) -> PoseResult:
    """The result of a video in which nobody is, so that its pictures stay to be measured."""
    reader = VideoReader(path, options.get("start"), options.get("end"))
    times = np.array([frame.time_s for frame in reader])
    joints = np.full((len(times), 1, 17, 3), np.nan)
    size = (reader.info.width, reader.info.height)
    return result_of_joints(joints, size, times=times, rate=reader.info.frame_rate, **options)


def drawn(path, result, **options):
    target = path.with_name("drawn.mp4")
    render_video(result, path, target, Silence(), **options)
    return target


# Times -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [FILM, NTSC, Fraction(60000, 1001), Fraction(25)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_frame_rate_and_duration_are_those_of_the_source(tmp_path, rate, layout):
    path = make_clip(tmp_path / "a.mp4", rate=rate, frames=24)
    target = drawn(path, nobody(path), layout=layout)
    with av.open(str(target)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == rate
        assert stream.frames == 24
        duration = float(stream.duration * stream.time_base)
        assert duration == pytest.approx(24 / float(rate), abs=1e-6)
        assert stream.codec_context.name == "h264"


@pytest.mark.parametrize("layout", ["overlay", "3d-only"])
def test_variable_frame_rate_is_kept(tmp_path, layout):
    times = [0.0, 0.02, 0.033, 0.1, 0.4567, 0.46, 1.9]
    path = make_clip(tmp_path / "a.mp4", times=times)
    target = drawn(path, nobody(path), layout=layout)
    np.testing.assert_allclose(stamps(target), times, atol=1e-3)


def test_a_part_of_the_video(tmp_path):
    path = make_clip(tmp_path / "a.mp4", image=lambda i: numbered(i, 64, 48), frames=50, audio=True)
    result = nobody(path, start=0.5, end=1.2)
    assert len(result) == 21
    for layout in ("overlay", "3d-only"):
        target = drawn(path, result, layout=layout)
        assert probe(target).duration_s == pytest.approx(0.7, abs=1 / 30)
        assert stamps(target, "audio")[-1] < 0.75
        if layout == "overlay":
            levels = [frame.image[100, 240].mean() for frame in VideoReader(target)]
            np.testing.assert_allclose(levels, 10 + 4 * np.arange(15, 36), atol=3)


# Pictures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("layout", ["side-by-side", "overlay"])
def test_the_picture_is_upright(tmp_path, rotation, layout):
    path = make_clip(tmp_path / "a.mp4", size=(640, 480), frames=4, rotation=rotation)
    pictures, _ = opencv_pictures(drawn(path, nobody(path), layout=layout))
    turned = np.rot90(quadrants(640, 480), -rotation // 90)
    height, width = turned.shape[:2]
    found = quadrant_colours(pictures[2][:height, :width])
    np.testing.assert_allclose(found, quadrant_colours(turned), atol=8)
    assert probe(path.with_name("drawn.mp4")).rotation == 0


@pytest.mark.parametrize(
    ("codec", "pixel_format"),
    [
        ("libx264", "yuv420p10le"),
        ("libx264", "yuv444p"),
        ("libx264", "yuv422p10le"),
        ("libx264", "yuv444p10le"),
        ("libx265", "yuv420p10le"),
    ],
)
def test_pixel_formats(tmp_path, codec, pixel_format):
    options = {"crf": "4"} if codec == "libx264" else {"x265-params": "crf=4:log-level=none"}
    path = make_clip(
        tmp_path / "a.mp4",
        size=(640, 480),
        frames=3,
        codec=codec,
        pixel_format=pixel_format,
        options=options,
    )
    assert probe(path).pixel_format == pixel_format
    target = drawn(path, nobody(path), layout="overlay")
    pictures, _ = opencv_pictures(target)
    np.testing.assert_allclose(quadrant_colours(pictures[1]), COLOURS, atol=8)
    assert probe(target).pixel_format == "yuv420p"


@pytest.mark.parametrize("size", [(641, 481), (107, 61), (640, 360), (202, 450)])
def test_odd_sizes(tmp_path, size):
    path = make_clip(tmp_path / "a.mkv", size=size, frames=2, pixel_format="yuv444p")
    assert (probe(path).width, probe(path).height) == size
    for layout in LAYOUTS:
        info = probe(drawn(path, nobody(path), layout=layout))
        assert info.width % 2 == info.height % 2 == 0
        assert info.height >= 360


def test_a_person_is_drawn_where_he_stands(tmp_path):
    path = make_clip(
        tmp_path / "a.mp4",
        size=(640, 480),
        frames=6,
        image=lambda i: np.full((480, 640, 3), 90, np.uint8),
    )
    result = result_of_joints(walk(6))
    target = drawn(path, result, layout="overlay")
    for t, frame in enumerate(VideoReader(target)):
        column = (np.abs(frame.image[100:400].astype(int) - 90) > 25).sum((0, 2))
        middle = (np.arange(640) * column).sum() / column.sum()
        assert middle == pytest.approx(result.keypoints2d[t, 0, [1, 4], 0].mean(), abs=6)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_view_stands_still(tmp_path, layout):
    """Where nobody walks nothing changes from frame to frame, but for the running clock."""
    path = make_clip(tmp_path / "a.mp4", size=(320, 240), frames=8)
    result = result_of_joints(walk(8, stride=0.3), (320, 240))
    pictures = np.stack(
        [frame.image for frame in VideoReader(drawn(path, result, layout=layout))]
    ).astype(int)
    height = pictures.shape[1]
    above = pictures[:, : height // 16]
    assert np.abs(np.diff(above, axis=0)).max() < 12


def test_an_orbit_moves_a_little_at_a_time(tmp_path):
    path = make_clip(tmp_path / "a.mp4", size=(320, 240), frames=30)
    result = result_of_joints(walk(30, stride=0), (320, 240))
    target = drawn(path, result, layout="3d-only", orbit=True)
    pictures = np.stack([frame.image for frame in VideoReader(target)]).astype(int)
    steps = np.abs(np.diff(pictures, axis=0)).mean((1, 2, 3))
    assert np.abs(pictures[-1] - pictures[0]).mean() > 2 * steps.max() > 0
    assert steps.max() < 4


# Sound -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sound_is_kept(tmp_path, layout):
    path = make_clip(tmp_path / "a.mp4", rate=NTSC, frames=45, audio=True)
    target = drawn(path, nobody(path), layout=layout)
    with av.open(str(target)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
    assert len(stamps(target, "audio")) == pytest.approx(len(stamps(path, "audio")), abs=2)
    assert stamps(target, "audio")[-1] == pytest.approx(stamps(path, "audio")[-1], abs=0.03)


# Without the video, or with another one ----------------------------------------------------------


def test_a_panel_needs_no_video(tmp_path):
    result = result_of_joints(walk(10), rate=NTSC)
    target = tmp_path / "drawn.mp4"
    render_video(result, None, target, Silence(), layout="3d-only")
    info = probe(target)
    assert (info.width, info.height, info.frame_count) == (960, 720, 10)
    assert info.frame_rate == NTSC
    assert not info.has_audio
    for layout in ("side-by-side", "overlay", "grid"):
        with pytest.raises(Pose3dError, match=f"{layout} shows the video's picture"):
            render_video(result, None, target, Silence(), layout=layout)


def identity(path) -> dict:
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256(path)}


def test_the_video_is_looked_for_beside_the_result_and_here(tmp_path, monkeypatch):
    folder, here = tmp_path / "results", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    path = make_clip(tmp_path / "a.mp4", frames=3)
    result = result_of_joints(walk(3), (64, 48), source=identity(path))
    assert find_video(result, folder / "a_pose3d.npz") is None
    (here / "a.mp4").write_bytes(path.read_bytes())
    assert find_video(result, folder / "a_pose3d.npz").resolve() == here / "a.mp4"
    path.rename(folder / "a.mp4")
    assert find_video(result, folder / "a_pose3d.npz") == folder / "a.mp4"
    # Another file of that name is not the video, nor is a keypoint file.
    (folder / "a.mp4").write_bytes(path.name.encode())
    (here / "a.mp4").unlink()
    assert find_video(result, folder / "a_pose3d.npz") is None
    (here / "a.json").write_text("{}")
    keypoints = result_of_joints(walk(3), source=identity(here / "a.json"))
    assert find_video(keypoints, here / "a_pose3d.npz") is None
    assert find_video(result_of_joints(walk(3)), here / "a_pose3d.npz") is None


def test_another_video_is_told_from_the_result_s(tmp_path, listener):
    path = make_clip(tmp_path / "a.mp4", frames=5)
    result = result_of_joints(walk(5), (64, 48), source=identity(path))
    assert check_video(result, path, False, listener) == []
    recoded = make_clip(tmp_path / "b.mp4", frames=5, options={"crf": "30"})
    (warning,) = check_video(result, recoded, False, listener)
    assert "b.mp4 is not the file that the result was made from (a.mp4, another SHA" in warning
    longer = make_clip(tmp_path / "c.mp4", frames=7)
    with pytest.raises(Pose3dError, match=r"c\.mp4 has 7 frames, the result 5: .*--force"):
        check_video(result, longer, False, listener)
    (warning,) = check_video(result, longer, True, listener)
    assert "both have are drawn" in warning
    larger = make_clip(tmp_path / "d.mp4", frames=5, size=(80, 60))
    with pytest.raises(Pose3dError, match=r"80x60, the result was made from 64x48"):
        check_video(result, larger, False, listener)
    with pytest.raises(Pose3dError, match="no such file"):
        check_video(result, tmp_path / "absent.mp4", True, listener)


@pytest.mark.parametrize(("frames", "size"), [(3, (64, 48)), (9, (64, 48)), (5, (128, 96))])
def test_force_draws_what_both_have(tmp_path, frames, size):
    path = make_clip(tmp_path / "a.mp4", frames=frames, size=size)
    result = result_of_joints(walk(5), (64, 48))
    for layout in ("overlay", "side-by-side", "grid"):
        target = drawn(path, result, layout=layout, force=True)
        assert probe(target).frame_count == min(frames, 5)


# Colours for the encoder -------------------------------------------------------------------------


def test_pictures_become_yuv_of_the_standard():
    colours = np.random.default_rng(0).integers(0, 256, (200, 3))
    red, green, blue = colours.T
    # ITU-R BT.601 in 8 bits, limited range.
    luma = 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255
    first = 128 + (-37.797 * red - 74.203 * green + 112 * blue) / 255
    second = 128 + (112 * red - 93.786 * green - 18.214 * blue) / 255
    for colour, *expected in zip(colours, luma, first, second, strict=True):
        planes = to_yuv420(np.full((4, 8, 3), colour, np.uint8))
        assert planes.shape == (6, 8)
        found = planes[0, 0], planes[4, 0], planes[5, 0]
        np.testing.assert_allclose(np.array(found, int), expected, atol=1.2)


def test_colour_is_the_mean_of_four_pixels():
    image = np.zeros((4, 4, 3), np.uint8)
    image[1, 1] = (255, 0, 0)
    planes = to_yuv420(image)
    assert planes[5, 0] == pytest.approx(128 + 112 / 4, abs=1.2)
    assert planes[5, 1] == 128
