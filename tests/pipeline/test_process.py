"""A video from end to end: with a detector that knows the answer, and once with the real one."""

import hashlib
import os
import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

import lifters3d
from lifters3d.evaluation.metrics import p_mpjpe
from lifters3d.skeleton import HIP, LIMB_JOINTS
from pipeline.joints import coco_to_h36m
from pipeline.lifting import lift_sequence
from pipeline.process import choose_device, estimate, process_video
from pipeline.rendering.video import render_video
from pipeline.result import load_result
from pipeline.settings import Settings
from pipeline.video import VideoReader, probe
from tests.pipeline.clips import COLOURS, make_clip, quadrant_colours
from tests.pipeline.fakes import FakePose, save_tiny_lifter, walking
from weights.errors import Pose3dError

DEMO = Path(__file__).parents[2] / "demos" / "walk.mp4"
NTSC = Fraction(30000, 1001)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Path of a quick lifter's weights."""
    return str(save_tiny_lifter(tmp_path_factory.mktemp("weights") / "tiny.safetensors"))


@pytest.fixture
def pose(monkeypatch):
    """Puts a FakePose in place of the detector, and gives it."""

    def install(**kwargs):
        fake = FakePose(**kwargs)
        monkeypatch.setattr("pipeline.process.MediaPipePose", lambda: fake)
        return fake

    return install


@pytest.fixture
def clip(tmp_path):
    def make(name="clip.mp4", **kwargs):
        return make_clip(tmp_path / name, **{"frames": 12, **kwargs})

    return make


class Listener:
    """A progress that remembers."""

    def __init__(self):
        self.stages = []

    def stage(self, name, total):
        self.stages.append([name, total, 0])

    def advance(self, frames=1):
        self.stages[-1][2] += frames


def stamps(path):
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.video[0])
        return sorted(float(p.pts * p.time_base) for p in packets if p.size)


def statuses(result):
    """Runs of equal statuses: [(status, length)]."""
    words = result.status[:, 0].tolist()
    runs = []
    for word in words:
        if runs and runs[-1][0] == word:
            runs[-1][1] += 1
        else:
            runs.append([word, 1])
    return [tuple(run) for run in runs]


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
def test_files_of_one_video(tmp_path, pose, clip, tiny, kwargs):
    path = clip(**kwargs)
    frames = list(VideoReader(path))
    info, fake, listener = probe(path), pose(), Listener()
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
    result = estimate(path, Settings(lifter=tiny, fov=45.0))
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
        results.append(estimate(path, Settings(lifter=tiny, **changes)).joints3d)
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


def test_range_outside_of_the_video(tmp_path, pose, clip, tiny):
    path = clip()
    pose()
    with pytest.raises(Pose3dError, match=r"no frame between 7 s and its end: it lasts 0\.40 s"):
        process_video(path, tmp_path / "out", Settings(lifter=tiny, start=7.0))
    assert not (tmp_path / "out").exists()


def test_no_render(tmp_path, pose, clip, tiny):
    pose()
    outcome = process_video(clip(), tmp_path / "out", Settings(lifter=tiny, render=False))
    assert outcome.video_path is None
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["clip_pose3d.npz"]


# Who is there ------------------------------------------------------------------------------------


def test_short_gaps_are_bridged_and_long_ones_are_not(tmp_path, pose, clip, tiny):
    gone = {0, 1, *range(10, 16), *range(25, 50), 58, 59}
    pose(absent=gone)
    path = clip(frames=60, size=(192, 108))
    outcome = process_video(path, tmp_path / "out", Settings(lifter=tiny, max_gap=0.3))
    result = outcome.result
    assert statuses(result) == [
        ("not_visible", 2),
        ("ok", 8),
        ("interpolated", 6),
        ("ok", 9),
        ("not_visible", 25),
        ("ok", 8),
        ("not_visible", 2),
    ]
    nobody = result.status[:, 0] == "not_visible"
    for array in (result.keypoints2d, result.scores2d, result.joints3d, result.root):
        assert np.isnan(array[nobody]).all()
        assert np.isfinite(array[~nobody]).all()
    ends = result.keypoints2d[[9, 16], 0]
    np.testing.assert_allclose(
        result.keypoints2d[12, 0], ends[0] + (ends[1] - ends[0]) * 3 / 7, rtol=1e-5
    )
    assert load_result(outcome.result_path) == result
    assert len(stamps(outcome.video_path)) == 60


def test_max_gap_0_bridges_nothing(pose, clip, tiny):
    pose(absent={5})
    result = estimate(clip(), Settings(lifter=tiny, max_gap=0.0))
    assert statuses(result) == [("ok", 5), ("not_visible", 1), ("ok", 6)]


@pytest.mark.parametrize("frames", [1, 5, 40])
def test_nobody_in_the_whole_video(tmp_path, pose, clip, tiny, frames):
    pose(absent=lambda index: True)
    outcome = process_video(clip(frames=frames), tmp_path / "out", Settings(lifter=tiny))
    assert statuses(outcome.result) == [("not_visible", frames)]
    assert outcome.result.warnings == ["no person was found in any frame"]
    assert np.isnan(outcome.result.joints3d).all()
    assert load_result(outcome.result_path) == outcome.result
    assert len(stamps(outcome.video_path)) == frames


def test_somebody_in_a_single_frame(tmp_path, pose, clip, tiny):
    pose(absent=lambda index: index != 7)
    outcome = process_video(clip(), tmp_path / "out", Settings(lifter=tiny))
    assert statuses(outcome.result) == [("not_visible", 7), ("ok", 1), ("not_visible", 4)]
    assert np.isfinite(outcome.result.root[7]).all()


def test_low_scores_are_marked(pose, clip, tiny):
    pose(scores=0.2, absent={3})
    result = estimate(clip(), Settings(lifter=tiny))
    assert statuses(result) == [("low_confidence", 3), ("interpolated", 1), ("low_confidence", 8)]
    assert np.isfinite(result.joints3d).all()


def test_another_person_is_lifted_apart(pose, clip, tiny):
    """The detector goes over to somebody else: neither is mixed with the other."""

    def place(index, size):
        return walking(index, size) + (0 if index < 20 else 400)

    path = clip(frames=40, size=(640, 360))
    pose(place=place, absent=range(18, 20))
    result = estimate(path, Settings(lifter=tiny))
    assert statuses(result) == [("ok", 18), ("not_visible", 2), ("ok", 20)]
    lifter = lifters3d.load(tiny)
    for frames in (slice(0, 18), slice(20, 40)):
        alone = lift_sequence(
            lifter, result.keypoints2d[frames, 0], result.time_s[frames], (640, 360)
        )
        np.testing.assert_allclose(result.joints3d[frames, 0], alone, atol=1e-5)


def test_joints_far_outside_of_the_picture(tmp_path, pose, clip, tiny):
    pose(place=lambda index, size: walking(index, size) * 50 - 4000)
    outcome = process_video(clip(), tmp_path / "out", Settings(lifter=tiny))
    assert np.isfinite(outcome.result.joints3d).all()
    assert len(stamps(outcome.video_path)) == 12


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


# Mistakes, found before the long work ------------------------------------------------------------


def refused(path, folder, settings, pose):
    """The message of a refusal that came before the first picture was looked at."""
    fake = pose()
    with pytest.raises(Pose3dError) as caught:
        process_video(path, folder, settings)
    assert fake.shapes == []
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_inputs_that_are_no_video(tmp_path, pose, tiny):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video\n" * 50)
    os.mkfifo(tmp_path / "pipe")
    out = tmp_path / "out"
    for name, words in {
        "absent.mp4": "no such file",
        ".": "is a folder",
        "empty.mp4": "is empty",
        "text.mp4": "not a video",
        "pipe": "is a pipe",
    }.items():
        message = refused(tmp_path / name, out, Settings(lifter=tiny), pose)
        assert words in message
        assert str(tmp_path) in message
    assert not out.exists()


def test_lifters_that_are_none(tmp_path, pose, clip, tiny):
    path, out = clip(), tmp_path / "out"
    other = tmp_path / "notes.safetensors"
    other.write_text("these are no weights")
    for lifter, words in {
        "mixst": "choose one of .*mixste.*did you mean mixste",
        "absent.safetensors": "no such weights file",
        str(other): "not a readable safetensors file",
        str(tmp_path): "no such weights file",
    }.items():
        assert re.search(words, refused(path, out, Settings(lifter=lifter), pose))
    assert not out.exists()


def test_targets_that_cannot_be_written(tmp_path, pose, clip, tiny):
    path, settings = clip(), Settings(lifter=tiny)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper", tmp_path / "link"):
        assert "is not a folder" in refused(path, folder, settings, pose)
    (tmp_path / "out" / "clip_pose3d.mp4").mkdir(parents=True)
    assert "clip_pose3d.mp4 is a folder" in refused(path, tmp_path / "out", settings, pose)
    long = path.rename(path.with_name("n" * 240 + ".mp4"))
    assert "File name too long" in refused(long, tmp_path, settings, pose)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "link", long.name, "out"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_locked_folder(tmp_path, pose, clip, tiny):
    path = clip()
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    for folder in (locked, locked / "deeper"):
        assert "Permission denied" in refused(path, folder, Settings(lifter=tiny), pose)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_the_input_is_never_overwritten(tmp_path, pose, clip, tiny, link):
    real = clip("walk_pose3d.mp4")
    before = real.read_bytes()
    link(real, tmp_path / "walk.mp4")
    message = refused(tmp_path / "walk.mp4", tmp_path, Settings(lifter=tiny), pose)
    assert "is the input itself" in message
    assert real.read_bytes() == before
    assert not (tmp_path / "walk_pose3d.npz").exists()


def test_the_output_of_an_output_has_its_own_name(tmp_path, pose, clip, tiny):
    path = clip("walk_pose3d.mp4")
    before = path.read_bytes()
    pose()
    outcome = process_video(path, tmp_path, Settings(lifter=tiny))
    assert outcome.video_path.name == "walk_pose3d_pose3d.mp4"
    assert path.read_bytes() == before


def test_an_earlier_output_is_replaced_only_when_all_is_well(tmp_path, pose, clip, tiny):
    path, out = clip(), tmp_path / "out"
    pose()
    process_video(path, out, Settings(lifter=tiny))
    before = {p.name: p.read_bytes() for p in out.iterdir()}

    def fail(index):
        if index == 5:
            raise RuntimeError("the detector broke")

    pose(on_frame=fail)
    with pytest.raises(RuntimeError, match="broke"):
        process_video(path, out, Settings(lifter=tiny, fov=90.0))
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    pose()
    process_video(path, out, Settings(lifter=tiny, fov=90.0))
    assert (out / "clip_pose3d.npz").read_bytes() != before["clip_pose3d.npz"]


def test_a_result_of_another_video_is_not_drawn(tmp_path, pose, clip, tiny):
    pose()
    result = estimate(clip("a.mp4"), Settings(lifter=tiny))
    other = clip("b.mp4", size=(80, 60))
    with pytest.raises(Pose3dError, match=r"80x60.* 64x48"):
        render_video(result, other, tmp_path / "out.mp4", Listener())
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    "wanted", ["", "gpu", "CPU", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "cuda:²", "mps", "cuda 0"]
)
def test_devices_that_are_none(wanted):
    with pytest.raises(Pose3dError, match="choose auto, cpu, cuda or cuda:N"):
        choose_device(wanted)


def test_devices():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(Pose3dError, match=r"'cuda:99' is not there.*--device cpu"):
        choose_device("cuda:99")


# Memory ------------------------------------------------------------------------------------------


def test_pictures_are_not_kept(tmp_path, pose, clip, tiny):
    """Those on the way between the decoder and the detector, and no more."""
    fake = pose()
    estimate(clip(frames=40), Settings(lifter=tiny))
    assert len(fake.shapes) == 40
    assert fake.most_alive <= 12


# The real thing ----------------------------------------------------------------------------------


def demo_truth(frames):
    """(F, 17, 3) metres, camera axes, of the demo clip's first frames."""
    with np.load(DEMO.with_suffix(".npz")) as truth:
        joints = np.einsum("tij,tkj->tki", truth["R"], truth["joints3d_world"][:, 0])
        return (joints + truth["t"][:, None])[:frames], truth["joints2d"][:frames, 0]


# Joints that the rendered body and motion capture define alike.
COMPARED = [HIP, *LIMB_JOINTS]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """What the program makes of the first two seconds of the demo clip."""
    return process_video(DEMO, tmp_path_factory.mktemp("demo"), Settings(end=2.0))


def test_the_demo_clip(demo):
    result = demo.result
    assert len(result) == 60
    assert (result.status == "ok").mean() > 0.95
    assert np.isfinite(result.joints3d).all()
    assert len(stamps(demo.video_path)) == 60
    video = probe(demo.video_path)
    assert (video.width, video.height, video.frame_rate) == (960 + 540, 540, 30)
    _, keypoints = demo_truth(60)
    distance = np.linalg.norm(result.keypoints2d[:, 0] - keypoints, axis=-1)
    assert np.median(distance[:, list(LIMB_JOINTS)]) < 12  # of the man's 350 px


def test_accuracy_on_the_demo_clip(demo):
    joints, _ = demo_truth(60)
    assert p_mpjpe(demo.result.joints3d[:, 0, COMPARED], joints[:, COMPARED]) < 0.080


@pytest.mark.slow
def test_accuracy_on_the_whole_demo_clip():
    result = estimate(DEMO)
    joints, _ = demo_truth(225)
    assert len(result) == 225
    assert p_mpjpe(result.joints3d[:, 0, COMPARED], joints[:, COMPARED]) < 0.080
    # From his back or his front, near or far: metres, in the camera's axes.
    rooted = joints - joints[:, HIP : HIP + 1]
    assert np.linalg.norm(result.joints3d[:, 0] - rooted, axis=-1)[:, COMPARED].mean() < 0.150
