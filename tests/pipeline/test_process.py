"""A video from end to end, with a detector that knows the answer."""

import hashlib
import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import lifters3d
from lifters3d.skeleton import HIP
from pipeline.joints import coco_to_h36m
from pipeline.process import estimate, process_video
from pipeline.result import load_result
from pipeline.settings import Settings
from pipeline.video import VideoReader, probe
from tests.pipeline.clips import COLOURS, quadrant_colours
from tests.pipeline.fakes import walking
from tests.pipeline.lifters import lift_sequence
from tests.pipeline.videos import NTSC, stamps

# Every frame, once -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kwargs",
    [
        {"audio": True},
        {"rate": NTSC},
        {"rate": Fraction(60), "rotation": 90},
        {"rotation": 180, "name": "upside.mov"},
        {"size": (65, 49), "pixel_format": "yuv444p", "rate": Fraction(10)},
        {"frames": 1},
        {"frames": 2, "audio": True},
        {"times": [0.0, 0.03, 0.1, 0.5, 0.52, 0.6, 1.5], "name": "phone.mkv"},
        {"aspect": Fraction(4, 3)},
    ],
)
def test_files_of_one_video(tmp_path, pose, clip, tiny, listener, kwargs):
    path = clip(**kwargs)
    frames = list(VideoReader(path))
    info, fake = probe(path), pose()
    outcome = process_video(path, tmp_path / "new" / "folder", Settings(lifter=tiny), listener)
    assert outcome.result_path == tmp_path / "new" / "folder" / f"{path.stem}_pose3d.npz"
    assert outcome.video_path == tmp_path / "new" / "folder" / f"{path.stem}_pose3d.mp4"
    assert sorted(p.name for p in outcome.result_path.parent.iterdir()) == [
        f"{path.stem}_pose3d.mp4",
        f"{path.stem}_pose3d.npz",
    ]

    result = outcome.result
    assert load_result(outcome.result_path) == result
    assert len(result) == len(frames) == len(fake.shapes)
    np.testing.assert_array_equal(result.time_s, [frame.time_s for frame in frames])
    assert result.frame_rate == info.frame_rate
    assert result.picture_size == (info.width, info.height)
    assert set(fake.shapes) == {(info.height, info.width, 3)}
    assert fake.closed
    assert set(result.status.ravel()) == {"ok"}
    assert np.isfinite(result.joints3d).all()
    assert np.isfinite(result.root).all()
    assert (result.joints3d[:, :, HIP] == 0).all()
    assert result.warnings == []

    video = probe(outcome.video_path)
    assert video.codec == "h264"
    assert video.rotation == 0
    assert video.width % 2 == video.height % 2 == 0
    assert video.has_audio == info.has_audio
    expected = np.subtract(result.time_s, result.time_s[0])
    np.testing.assert_allclose(stamps(outcome.video_path), expected, atol=1e-3)
    if len(frames) > 2 and "times" not in kwargs:
        assert video.frame_rate == info.frame_rate
    assert [(name, done) for name, _, done in listener.stages] == [
        (name, len(frames)) for name in ("2D keypoints", "3D lifting", "rendering")
    ]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_the_picture_stands_upright_beside_the_panel(tmp_path, pose, clip, tiny, rotation):
    path = clip(rotation=rotation, frames=2, size=(96, 72))
    pose(absent=range(2))
    made = process_video(path, tmp_path / "out", Settings(lifter=tiny)).video_path
    source, drawn = (next(iter(VideoReader(p))).image for p in (path, made))
    height = drawn.shape[0]
    picture = drawn[:, : round(source.shape[1] * height / source.shape[0])]
    np.testing.assert_allclose(quadrant_colours(picture), quadrant_colours(source), atol=8)
    assert {tuple(c) for c in COLOURS[:3].tolist()} == {
        tuple(c)
        for colour in quadrant_colours(picture)
        for c in COLOURS[:3].tolist()
        if np.abs(colour - c).max() < 12
    }


def test_numbers_are_those_of_the_stages(pose, clip, tiny):
    """Joints of the detector as H36M, lifted in one piece, on the rays of the hip."""
    path = clip(frames=40, size=(192, 108))
    fake = pose()
    settings = Settings(lifter=tiny, fov=45.0, precision="fp32", smooth="none")
    result = estimate(path, settings)
    coco = np.stack([walking(i, (192, 108)) for i in range(40)])
    keypoints, scores = coco_to_h36m(coco, np.full((40, 17), fake.scores))
    np.testing.assert_allclose(result.keypoints2d[:, 0], keypoints)
    np.testing.assert_allclose(result.scores2d[:, 0], scores)
    lifter = lifters3d.load(tiny)
    joints = lift_sequence(lifter, keypoints, result.time_s, (192, 108), fov_degrees=45.0)
    np.testing.assert_allclose(result.joints3d[:, 0], joints, atol=1e-5)
    focal = 96 / np.tan(np.radians(22.5))
    ray = (keypoints[:, HIP] - [96, 54]) / focal
    np.testing.assert_allclose(result.root[:, 0, :2], ray * result.root[:, 0, 2:], rtol=1e-4)
    assert result.provenance["focal_px"] == pytest.approx(focal)


def test_settings_reach_the_lifting(pose, clip, tiny):
    path = clip()
    results = []
    for changes in ({}, {}, {"flip": False}, {"fov": 100.0}):
        pose()
        results.append(estimate(path, Settings(lifter=tiny, precision="fp32", **changes)).joints3d)
    np.testing.assert_array_equal(results[0], results[1])
    for other in results[2:]:
        assert np.abs(other - results[0]).max() > 1e-4


def test_provenance(pose, clip, tiny):
    path = clip()
    pose()
    settings = Settings(lifter=tiny, end=0.2)
    provenance = estimate(path, settings).provenance
    assert provenance["input"] == {
        "name": "clip.mp4",
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    assert provenance["settings"] == settings.as_dict()
    digest = hashlib.sha256(Path(tiny).read_bytes()).hexdigest()
    assert provenance["weights"]["lifter"]["sha256"] == digest
    assert provenance["weights"]["lifter"]["name"] == "tiny.safetensors"


# Ranges ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "first", "count"),
    [(None, 0.5, 0, 5), (1.0, None, 10, 10), (0.75, 1.2, 8, 4), (1.9, 50, 19, 1)],
)
def test_range(tmp_path, pose, clip, tiny, start, end, first, count):
    path = clip(frames=20, rate=Fraction(10), audio=True)
    fake = pose()
    settings = Settings(lifter=tiny, start=start, end=end)
    outcome = process_video(path, tmp_path / "out", settings)
    expected = np.arange(first, first + count) / 10
    np.testing.assert_allclose(outcome.result.time_s, expected, atol=1e-6)
    assert len(fake.shapes) == count
    np.testing.assert_allclose(stamps(outcome.video_path), expected - first / 10, atol=1e-6)
    with av.open(str(outcome.video_path)) as container:
        sound = container.streams.audio[0]
        assert float(sound.duration * sound.time_base) == pytest.approx(count / 10, abs=0.06)
        # The loudness of the tone tells its time in the source: from 0.1 to 0.9 over 2 s.
        frames = [f for f in container.decode(sound) if f.pts * f.time_base >= 0.02]
        wave = np.concatenate([f.to_ndarray()[0] for f in frames])[:2400]
        moment = first / 10 + float(frames[0].pts * frames[0].time_base) + 0.025
        assert np.sqrt(2) * wave.std() == pytest.approx(0.1 + 0.8 * moment / 2, rel=0.1)


def test_no_render(tmp_path, pose, clip, tiny):
    pose()
    outcome = process_video(clip(), tmp_path / "out", Settings(lifter=tiny, render=False))
    assert outcome.video_path is None
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["clip_pose3d.npz"]


# Damage ------------------------------------------------------------------------------------------


def test_a_cut_off_video_gives_what_can_be_read(tmp_path, pose, clip, tiny):
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 64, 3), np.uint8)
    options = {"movflags": "faststart"}
    path = clip(frames=40, image=lambda i: noise[i], container_options=options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    pose()
    outcome = process_video(path, tmp_path / "out", Settings(lifter=tiny))
    assert 10 < len(outcome.result) < 25
    (warning,) = outcome.result.warnings
    assert re.search(rf"cut off: {len(outcome.result)} frames.* of 1\.33 s", warning)
    assert len(stamps(outcome.video_path)) == len(outcome.result)


def test_a_picture_without_sound_to_the_end(tmp_path, pose, clip, tiny):
    pose()
    path = clip(frames=30, audio=True, audio_seconds=0.3)
    made = process_video(path, tmp_path / "out", Settings(lifter=tiny)).video_path
    assert len(stamps(made)) == 30


# Memory ------------------------------------------------------------------------------------------


def test_pictures_are_not_kept(tmp_path, pose, clip, tiny):
    """Those on the way between the decoder and the detector, and no more."""
    fake = pose()
    estimate(clip(frames=40), Settings(lifter=tiny))
    assert len(fake.shapes) == 40
    assert fake.most_alive <= 12
