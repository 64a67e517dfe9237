"""`pose3d render`: layouts of a result without any network, and what is refused."""

import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipeline.settings import LAYOUTS
from pipeline.video import VideoReader, probe
from tests.pipeline.figures import result_of_joints, walk
from weights.files import sha256

ROOT = Path(__file__).parents[2]


def save(path="clip_pose3d.npz", joints=None, video="clip.mp4", size=(64, 48), **options):
    """A result of a video that is there, or of none."""
    source = None
    if video is not None:
        file = Path(video)
        source = {"name": file.name, "bytes": file.stat().st_size, "sha256": sha256(file)}
    joints = walk(6, stride=0.5) if joints is None else joints
    return result_of_joints(joints, size, source=source, **options).save(path)


@pytest.fixture
def no_network(monkeypatch):
    """Whoever looks for a detector or a lifter fails."""
    monkeypatch.setattr("pipeline.detection.MediaPipePose", None)
    monkeypatch.setattr("lifters3d.load", None)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(command, here, clip, no_network, layout):
    clip(audio=True)
    save()
    code, out, err = command("render", "clip_pose3d.npz", "--layout", layout)
    assert (code, out) == (0, f"clip_pose3d_{layout}.mp4\n")
    assert re.fullmatch(r"rendering +6 frames in .* s, .* frames/s\n", err)
    info = probe(f"clip_pose3d_{layout}.mp4")
    assert (info.frame_count, info.frame_rate, info.has_audio) == (6, Fraction(30), True)
    names = {"clip.mp4", "clip_pose3d.npz", f"clip_pose3d_{layout}.mp4"}
    assert {path.name for path in here.iterdir()} == names


def test_the_default_is_side_by_side_and_can_orbit(command, clip):
    clip()
    save()
    code, out, _ = command("render", "clip_pose3d.npz", "--quiet")
    assert (code, out) == (0, "clip_pose3d_side-by-side.mp4\n")
    still = Path("clip_pose3d_side-by-side.mp4").read_bytes()
    code, out, err = command("render", "clip_pose3d.npz", "--orbit", "--quiet", "-o", "new/a.mp4")
    assert (code, out, err) == (0, "new/a.mp4\n", "")
    assert Path("new/a.mp4").read_bytes() != still


def test_video_elsewhere(command, clip):
    Path("videos").mkdir()
    clip("videos/clip.mp4")
    save(video="videos/clip.mp4")
    code, out, err = command("render", "clip_pose3d.npz")
    assert (code, out) == (0, "clip_pose3d_3d-only.mp4\n")
    assert err.startswith("warning: clip.mp4 is neither beside the result nor here")
    assert "the layout is 3d-only" in err
    code, out, err = command("render", "clip_pose3d.npz", "--layout", "grid")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "--video names it; --layout 3d-only needs none" in err
    arguments = ["clip_pose3d.npz", "--layout", "grid", "--video", "videos/clip.mp4"]
    code, out, err = command("render", *arguments)
    assert (code, out) == (0, "clip_pose3d_grid.mp4\n")
    assert "warning" not in err


def test_a_video_that_was_converted(command, clip):
    clip()
    save()
    clip("other.mp4", options={"crf": "30"})
    arguments = ["clip_pose3d.npz", "--layout", "overlay", "--video", "other.mp4"]
    code, out, err = command("render", *arguments)
    assert (code, out) == (0, "clip_pose3d_overlay.mp4\n")
    assert "warning: other.mp4 is not the file that the result was made from" in err


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ({"frames": 9}, r"has 9 frames, the result 6: .*--force"),
        ({"frames": 4}, r"has 4 frames, the result 6: .*--force"),
        ({"size": (96, 72)}, r"has pictures of 96x72, the result was made from 64x48"),
    ],
)
def test_another_video_only_by_force(command, clip, shape, words):
    clip()
    save()
    clip("other.mp4", **shape)
    arguments = ["clip_pose3d.npz", "--layout", "overlay", "--video", "other.mp4"]
    code, out, err = command("render", *arguments)
    assert (code, out) == (2, "")
    assert err.count("error: ") == 1
    assert re.search(words, err)
    assert not Path("clip_pose3d_overlay.mp4").exists()
    code, out, err = command("render", *arguments, "--force")
    assert (code, out) == (0, "clip_pose3d_overlay.mp4\n")
    assert probe("clip_pose3d_overlay.mp4").frame_count == min(6, shape.get("frames", 6))


def test_one_person(command, here):
    joints = np.concatenate([walk(4, 0), walk(4, 0) + np.array([1.5, 0, 0])], axis=1)
    result_of_joints(joints, (320, 240)).save("two.npz")
    pictures = []
    for person in ((), ("--person", 1), ("--person", 2)):
        arguments = ["two.npz", "--layout", "3d-only", "--quiet", *person]
        assert command("render", *arguments) == (0, "two_3d-only.mp4\n", "")
        pictures.append(next(iter(VideoReader("two_3d-only.mp4"))).image.astype(int))
    green = [((p[..., 1] - p[..., 0] > 60) & (p[..., 1] > p[..., 2])).sum() for p in pictures]
    assert green[0] > 100  # the second person's trunk
    assert green[1] == green[2] == 0
    code, out, err = command("render", "two.npz", "--person", 7)
    assert (code, out) == (2, "")
    assert err == "error: two.npz: no person 7; it has 1, 2\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.npz"], r"absent\.npz: cannot read the result"),
        (["clip.mp4"], r"clip\.mp4: not a pose3d result"),
        (["clip_pose3d.npz", "--layout", "mesh"], "side-by-side, overlay, 3d-only or grid"),
        (["clip_pose3d.npz", "--layout", "overlay", "--orbit"], "overlay has no view that can orb"),
        (["clip_pose3d.npz", "-o", "a.gif"], r"a\.gif: videos are written as MP4"),
        (["clip_pose3d.npz", "-o", "clip.mp4"], r"clip\.mp4 is the input itself"),
        (["clip_pose3d.npz", "-o", "folder.mp4"], r"folder\.mp4 is a folder"),
        (["clip_pose3d.npz", "--video", "absent.mp4"], r"no such file: absent\.mp4"),
        (["clip_pose3d.npz", "--video", "text.mp4"], r"text\.mp4 is not a video"),
        (["nobody.npz"], r"nobody\.npz: nobody was found in any frame"),
        (["none.npz"], r"none\.npz: nobody was found in any frame"),
        (["empty.npz"], r"empty\.npz: the result has no frames"),
        ([], "RESULT"),
    ],
)
def test_bad_input(command, here, clip, arguments, words):
    clip()
    save()
    save("nobody.npz", np.full((6, 2, 17, 3), np.nan))
    save("none.npz", np.zeros((6, 0, 17, 3)))
    save("empty.npz", np.zeros((0, 1, 17, 3)))
    Path("folder.mp4").mkdir()
    Path("text.mp4").write_text("This is no video.\n" * 20)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in here.iterdir())
    code, out, err = command("render", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert re.search(words, err)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in here.iterdir()) == before


def test_video_takes_a_layout(command, clip, tiny):
    clip(size=(640, 480))
    code, out, _ = command("video", "clip.mp4", "--lifter", tiny, "--layout", "overlay")
    assert (code, out) == (0, "clip_pose3d.mp4\nclip_pose3d.npz\n")
    assert (probe("clip_pose3d.mp4").width, probe("clip_pose3d.mp4").height) == (640, 480)
    # Drawn anew from the result it is the same, frame for frame.
    code, out, _ = command("render", "clip_pose3d.npz", "--layout", "overlay", "-o", "again.mp4")
    assert (code, out) == (0, "again.mp4\n")
    for one, other in zip(VideoReader("clip_pose3d.mp4"), VideoReader("again.mp4"), strict=True):
        np.testing.assert_array_equal(one.image, other.image)
    code, out, err = command("video", "clip.mp4", "--lifter", tiny, "--layout", "overlays")
    assert (code, out) == (2, "")
    assert "setting layout must be side-by-side, overlay, 3d-only or grid" in err


def test_lift_takes_a_layout_and_its_result_finds_the_video(command, clip, tiny):
    clip()
    assert command("detect", "clip.mp4", "-q")[0] == 0
    lift = ("lift", "keypoints.json", "--lifter", tiny, "-q")
    files = "keypoints_pose3d.mp4\nkeypoints_pose3d.npz\n"
    assert command(*lift, "--layout", "3d-only") == (0, files, "")
    code, out, err = command(*lift, "--layout", "grid")
    assert (code, out) == (2, "")
    assert "the layout grid shows the video's picture: give it with --video" in err
    assert command(*lift, "--layout", "grid", "--video", "clip.mp4") == (0, files, "")
    assert (probe("keypoints_pose3d.mp4").width, probe("keypoints_pose3d.mp4").height) == (960, 720)
    code, out, err = command("render", "keypoints_pose3d.npz", "--layout", "overlay", "-q")
    assert (code, out, err) == (0, "keypoints_pose3d_overlay.mp4\n", "")


def test_the_help_is_quick(here):
    program = (
        "import sys\nfrom pose3d.cli import main\n"
        "try:\n    main()\nfinally:\n"
        "    print({'torch', 'matplotlib', 'av', 'cv2'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "render", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"},
    )
    assert (done.returncode, done.stderr) == (0, "set()\n")
    for flag in ("RESULT", "--video", "--layout", "--orbit", "--person", "--output", "--force"):
        assert flag in done.stdout
