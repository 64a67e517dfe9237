"""`pose3d detect`: the 2D stage alone."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.fakes import FakePose, walking
from tests.pipeline.videos import NTSC


def test_keypoints_are_the_detectors(command, clip, here, monkeypatch):
    clip(frames=6, rate=NTSC, rotation=90)  # upright 48 x 64
    monkeypatch.setattr("pipeline.detection.MediaPipePose", lambda: FakePose(absent=[2]))
    code, out, err = command("detect", "clip.mp4", "-o", "new/k.json")
    assert (code, out) == (0, "new/k.json\n")
    assert err.startswith("2D keypoints  6 frames in")
    value = json.loads(Path("new/k.json").read_text())
    assert (value["format"], value["version"]) == ("pose3d-keypoints", 1)
    assert (value["size"], value["frame_rate"]) == ([48, 64], "30000/1001")
    assert value["joint_names"][:3] == ["nose", "left_eye", "right_eye"]
    times = [frame["time_s"] for frame in value["frames"]]
    np.testing.assert_allclose(times, np.arange(6) / float(NTSC), atol=1e-4)
    for number, frame in enumerate(value["frames"]):
        if number == 2:
            assert frame["people"] == []
            continue
        (person,) = frame["people"]
        assert person["id"] == 1
        np.testing.assert_allclose(person["keypoints"], walking(number, (48, 64)), rtol=1e-6)
        assert person["scores"] == [0.9] * 17


def test_default_name(command, clip):
    clip()
    assert command("detect", "clip.mp4", "-q") == (0, "keypoints.json\n", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.mp4"], "no such file: absent.mp4"),
        (["clip.mp4", "-o", "keypoints.npz"], "choose a name that ends in .json"),
        (["clip.mp4", "-o", "clip.mp4/k.json"], "clip.mp4 is not a folder"),
        (["clip.mp4", "-o", "folder.json"], "folder.json is a folder"),
        (["text.json", "-o", "text.json"], "text.json is the input itself"),
        (["text.json"], "is not a video"),
    ],
)
def test_refusals(command, here, clip, arguments, words):
    clip()
    Path("folder.json").mkdir()
    Path("text.json").write_text("no video")
    before = sorted(here.iterdir())
    code, out, err = command("detect", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert words in err
    assert err.count("\n") == 1
    assert sorted(here.iterdir()) == before


def test_a_damaged_video_is_told(command, clip, here):
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 64, 3), np.uint8)
    path = clip(frames=40, image=lambda i: noise[i], container_options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    code, _, err = command("detect", "clip.mp4")
    assert code == 0
    assert "clip.mp4 is cut off" in err
    assert len(json.loads(Path("keypoints.json").read_text())["frames"]) < 30
