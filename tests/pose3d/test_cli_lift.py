"""`pose3d lift`: keypoints in, 3D out, the same as from the video."""

import json
import re
from pathlib import Path

import av
import numpy as np
import pytest

import pose3d
from tests.pipeline import keypoint_writers as writers
from tests.pipeline.fakes import FakePose, walking

SIZE = 192, 108
ARRAYS = ["time_s", "ids", "keypoints2d", "scores2d", "joints3d", "root", "uncertainty", "status"]


@pytest.fixture
def detected(command, clip, monkeypatch):
    """A clip, and the keypoints that `pose3d detect` finds in it."""

    def make(absent=(), **kwargs):
        clip(**{"frames": 40, "size": SIZE, **kwargs})
        monkeypatch.setattr("pipeline.detection.MediaPipePose", lambda: FakePose(absent=absent))
        assert command("detect", "clip.mp4", "-q") == (0, "keypoints.json\n", "")

    return make


@pytest.mark.parametrize(
    ("kwargs", "absent"),
    [
        ({"rate": 25}, ()),
        ({"rate": 25}, (0, 1, 10, 11, *range(20, 39))),
        ({"times": np.cumsum(np.linspace(0.02, 0.08, 40)).tolist()}, (5,)),
    ],
    ids=["all frames", "gaps", "variable frame rate"],
)
def test_the_same_numbers_as_from_the_video(command, detected, tiny, monkeypatch, kwargs, absent):
    detected(absent, **kwargs)
    monkeypatch.setattr("pipeline.detection.MediaPipePose", lambda: FakePose(absent=absent))
    flags = ("--lifter", tiny, "--fov", "50", "-q")
    assert command("video", "clip.mp4", "--no-render", *flags)[0] == 0
    code, out, err = command("lift", "keypoints.json", *flags)
    assert (code, out, err) == (0, "keypoints_pose3d.npz\n", "")
    video, lifted = (pose3d.load_result(f"{n}_pose3d.npz") for n in ("clip", "keypoints"))
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(lifted, name), getattr(video, name), err_msg=name)
    assert (lifted.frame_rate, lifted.picture_size) == (video.frame_rate, video.picture_size)
    assert lifted.provenance["settings"] | {"render": None} == video.provenance["settings"] | {
        "render": None
    }


def test_with_the_video(command, here, detected, tiny):
    detected(rate=25, audio=True)
    writers.alphapose(Path("dance.json"), [[(walking(n, SIZE), np.ones(17), 3)] for n in range(40)])
    code, out, err = command(
        "lift", "dance.json", "--video", "clip.mp4", "--lifter", tiny, "-o", "r"
    )
    assert code == 0
    assert out.splitlines() == ["r/dance_pose3d.mp4", "r/dance_pose3d.npz"]
    assert [line.split()[0] for line in err.splitlines()] == [
        "alphapose:",
        "time",
        "3D",
        "rendering",
    ]
    with av.open("r/dance_pose3d.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == 40
        assert container.streams.audio
    result = pose3d.load_result("r/dance_pose3d.npz")
    assert (result.picture_size, result.frame_rate, result.ids.tolist()) == (SIZE, 25, [3])
    np.testing.assert_allclose(result.time_s, np.arange(40) / 25, atol=1e-6)


@pytest.mark.parametrize("frames", [39, 41])
def test_another_video(command, here, detected, tiny, frames):
    detected(frames=frames)
    Path("other.json").write_text(Path("keypoints.json").read_text())
    Path("clip.mp4").unlink()
    detected(frames=40)
    before = sorted(here.iterdir())
    code, out, err = command("lift", "other.json", "--video", "clip.mp4", "--lifter", tiny, "-q")
    assert (code, out) == (2, "")
    assert err == (
        f"error: other.json is of {frames} frames, clip.mp4 has 40: give the video that the "
        "keypoints are of, not cut or converted\n"
    )
    assert sorted(here.iterdir()) == before


def test_several_people_and_what_is_said(command, here, tiny):
    walker = [walking(n, SIZE) for n in range(8)]
    frames = [[(pose, np.ones(17), 5), (pose + 2, np.ones(17), 8)] for pose in walker]
    writers.alphapose(Path("two.json"), frames)
    flags = ("--size", "192x108", "--fps", "30000/1001", "--lifter", tiny)
    code, out, err = command("lift", "two.json", *flags, "--verbose")
    assert (code, out) == (0, "two_pose3d.npz\n")
    assert err.startswith(
        "alphapose: 8 frames, 2 people, 17 joints; guessed of Human3.6M's 17: Hip, Spine, Thorax, "
        "Neck/Nose, Head\n  Hip        guessed from left_hip, right_hip\n"
    )
    assert "3D lifting    16 frames" in err
    result = pose3d.load_result("two_pose3d.npz")
    assert result.ids.tolist() == [5, 8]
    assert str(result.frame_rate) == "30000/1001"
    assert command("lift", "two.json", *flags, "--person", "8", "-q")[0] == 0
    assert pose3d.load_result("two_pose3d.npz").ids.tolist() == [8]


def test_flags_reach_the_settings(command, detected, tiny):
    detected()
    flags = [
        "--no-flip",
        "--causal",
        "--max-gap",
        "0.2",
        "--precision",
        "fp32",
        "--device",
        "cpu",
        "--fov",
        "70",
    ]
    assert command("lift", "keypoints.json", "--lifter", tiny, *flags, "-q")[0] == 0
    settings = pose3d.load_result("keypoints_pose3d.npz").provenance["settings"]
    expected = {"flip": False, "causal": True, "max_gap": 0.2, "precision": "fp32"}
    expected |= {"device": "cpu", "fov": 70.0, "lifter": tiny}
    assert expected.items() <= settings.items()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.json"], "absent.json: no such file or folder"),
        (["clip.mp4"], "clip.mp4: neither text nor .npz"),
        (["coco.json"], "no picture size; give --size"),
        (["coco.json", "--size", "big"], "--size must be WIDTHxHEIGHT in px, such as 1920x1080"),
        (["coco.json", "--size", "0x9"], "--size must be"),
        (["keypoints.json", "--fps", "fast"], "--fps must be frames a second"),
        (["keypoints.json", "--fps", "0"], "--fps must be frames a second"),
        (["keypoints.json", "--fps", "1/0"], "--fps must be frames a second"),
        (["keypoints.json", "--size", "9x9"], "made from pictures of 192x108, not 9x9"),
        (["keypoints.json", "--format", "coco"], "not of format coco: found a dict of 'format'"),
        (["keypoints.json", "--person", "2"], "no person 2; it has 1"),
        (["keypoints.json", "--lifter", "mixst"], "unknown lifter 'mixst'"),
        (["keypoints.json", "--device", "gpu"], "unknown device 'gpu'"),
        (["keypoints.json", "--fov", "0"], "fov must be a number from 5 to 170"),
        (["keypoints.json", "-o", "coco.json"], "coco.json is not a folder"),
        (["keypoints.json", "--video", "none.mp4"], "no such file: none.mp4"),
        (["keypoints.json", "--video", "clip.mp4", "--fps", "9"], "leave --size and --fps out"),
        (["coco.json", "--video", "large.mp4"], "is of at least 43 frames, large.mp4 has 3"),
        (["keypoints.json", "--video", "large.mp4"], "pictures of 192x108, not 384x216"),
        ([], "KEYPOINTS.*pose3d lift --help"),
    ],
)
def test_refusals(command, here, detected, clip, tiny, arguments, words):
    detected()
    clip("large.mp4", size=(384, 216), frames=3)
    writers.coco(Path("coco.json"), [[(walking(n, SIZE), np.ones(17), 1)] for n in (0, 1)])
    entries = json.loads(Path("coco.json").read_text())
    entries[1]["image_id"] += 41
    Path("coco.json").write_text(json.dumps(entries))
    before = sorted(here.iterdir())
    lifter = [] if "--lifter" in arguments else ["--lifter", tiny]
    code, out, err = command("lift", *arguments, *lifter, "-q")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert re.search(re.escape(words) if "*" not in words else words, err)
    assert sorted(here.iterdir()) == before


def test_the_python_function_is_still_there():
    """The command's module must not take the place of `pose3d.lift`."""
    assert callable(pose3d.lift)
