"""The command as its user meets it, where all is well: what it prints and what it makes."""

import re
from pathlib import Path

import av
import numpy as np
import pytest

import pose3d
from pipeline.settings import Settings
from tests.pipeline.fakes import FakePose


def frames_in(path):
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_video(command, here, clip, tiny):
    clip()
    code, out, err = command("video", "clip.mp4", "--lifter", tiny)
    assert code == 0
    assert out.splitlines() == ["clip_pose3d.mp4", "clip_pose3d.npz"]
    assert frames_in("clip_pose3d.mp4") == len(pose3d.load_result("clip_pose3d.npz")) == 6
    *lines, advice = err.splitlines()
    stages = [line.split()[:2] for line in lines]
    assert stages == [["2D", "keypoints"], ["3D", "lifting"], ["rendering", "6"]]
    assert all("6 frames in" in line for line in lines)
    assert advice.startswith("2D joints by mediapipe; for better joints: pose3d")
    assert sorted(p.name for p in here.iterdir()) == [
        "clip.mp4",
        "clip_pose3d.mp4",
        "clip_pose3d.npz",
    ]


@pytest.mark.parametrize("flag", ["--quiet", "-q"])
def test_quiet_prints_the_paths_only(command, clip, tiny, flag):
    clip()
    code, out, err = command("video", "clip.mp4", flag, "--lifter", tiny, "-o", "a/b", "--verbose")
    assert (code, err) == (0, "")
    assert out.splitlines() == ["a/b/clip_pose3d.mp4", "a/b/clip_pose3d.npz"]


def test_verbose_tells_what_is_used(command, here, clip, tiny):
    (here / "b[red]:dog:[").mkdir()
    path = clip("b[red]:dog:[/x] c.mp4", rotation=90, audio=True)  # looks like rich's markup
    code, _, err = command("video", path, "-v", "--lifter", tiny, "--no-render")
    assert code == 0
    assert "b[red]:dog:[/x] c.mp4: 48x64, 30 frames/s, 0.20 s, h264 yuv420p" in err
    assert "rotated by 90 degrees, with sound" in err
    assert "flip True" in err
    assert "device" in err
    assert "lifter: tiny.safetensors, sha256" in err
    assert "frames: 6 ok" in err


def test_no_render(command, clip, tiny):
    clip()
    code, out, err = command("video", "clip.mp4", "--no-render", "--lifter", tiny)
    assert (code, out) == (0, "clip_pose3d.npz\n")
    assert "rendering" not in err
    assert not Path("clip_pose3d.mp4").exists()


def test_a_second_run_replaces_the_first(command, here, clip, tiny):
    clip()
    for _ in range(2):
        code, _, _ = command("video", "clip.mp4", "-q", "--lifter", tiny)
        assert code == 0
    assert len(list(here.iterdir())) == 3


def test_settings_reach_the_result(command, clip, tiny):
    clip(frames=30)
    Path("run.toml").write_text(
        f'lifter = "{tiny}"\nfov = 50\nmax_gap = 0.25\nrender = false\nstart = 0.1\nflip = false\n'
    )
    code, out, _ = command("video", "clip.mp4", "--config", "run.toml", "--end", 0.5, "--fov", 80)
    assert (code, out) == (0, "clip_pose3d.npz\n")
    result = pose3d.load_result("clip_pose3d.npz")
    assert len(result) == 12
    assert (
        result.provenance["settings"]
        == Settings(
            lifter=tiny, start=0.1, end=0.5, fov=80.0, max_gap=0.25, render=False, flip=False
        ).as_dict()
    )
    code, out, _ = command("video", "clip.mp4", "--config", "run.toml", "--render", "--flip")
    assert (code, out) == (0, "clip_pose3d.mp4\nclip_pose3d.npz\n")
    given = pose3d.load_result("clip_pose3d.npz").provenance["settings"]
    assert (given["render"], given["flip"], given["fov"]) == (True, True, 50)


@pytest.mark.parametrize("name", ["läufer mit leerzeichen.mp4", "-dash.mp4", "a.b.c.mp4", "noext"])
def test_names_of_all_kinds(command, clip, tiny, name):
    clip("clip.mp4").rename(name)
    code, out, _ = command("video", "--lifter", tiny, "--no-render", "--", name)
    assert code == 0
    assert out == f"{Path(name).stem}_pose3d.npz\n"
    assert Path(out.strip()).is_file()


def test_nobody_is_a_warning(command, clip, tiny, monkeypatch):
    nobody = FakePose(absent=lambda index: True)
    monkeypatch.setattr("pipeline.detection.MediaPipePose", lambda: nobody)
    clip()
    code, out, err = command("video", "clip.mp4", "--lifter", tiny)
    assert code == 0
    assert len(out.splitlines()) == 2
    assert err.splitlines()[-1] == "warning: no person was found in any frame"


def test_a_cut_off_video_is_a_warning(command, clip, tiny):
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 64, 3), np.uint8)
    options = {"movflags": "faststart"}
    path = clip(frames=40, image=lambda i: noise[i], container_options=options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    code, out, err = command("video", "clip.mp4", "--lifter", tiny)
    assert (code, len(out.splitlines())) == (0, 2)
    warning = err.splitlines()[-1]
    read = int(re.search(r"warning: clip.mp4 is cut off: (\d+) frames", warning)[1])
    assert 10 < read < 25
    assert "of 1.33 s" in warning
    assert frames_in("clip_pose3d.mp4") == len(pose3d.load_result("clip_pose3d.npz")) == read
