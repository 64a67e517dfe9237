"""Bad input and faults: one line on stderr, the exit code, and nothing left behind."""

import errno
import re
from pathlib import Path

import av
import numpy as np
import pytest

from tests.pipeline.fakes import FakePose


@pytest.fixture
def refused(command, here, tiny):
    """Runs `pose3d video` on bad input, checks the manners, and gives the line on stderr."""

    def run(*arguments):
        def contents():
            return sorted((p, p.stat().st_mtime_ns) for p in here.rglob("*") if not p.is_dir())

        before = contents(), sorted(here.rglob("*"))
        if "--lifter" not in arguments and "--config" not in arguments:
            arguments = (*arguments, "--lifter", tiny)
        code, out, err = command("video", *arguments)
        assert code == 2
        assert out == ""
        assert err.startswith("error: ")
        assert err.endswith("\n")
        assert err.count("\n") == 1
        assert (contents(), sorted(here.rglob("*"))) == before
        return err

    return run


# Bad input ---------------------------------------------------------------------------------------


def test_bad_files(refused, here):
    Path("folder").mkdir()
    Path("empty.mp4").touch()
    Path("text.mp4").write_text("This is no video.\n" * 100)
    with av.open("sound.m4a", "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate = 48000
        container.mux(stream.encode(silence))
        container.mux(stream.encode(None))
    with av.open("none.avi", "w") as container:
        container.add_stream("libx264", rate=30, width=64, height=48)
        container.start_encoding()
    for name, words in {
        "absent.mp4": "no such file",
        "folder": "is a folder",
        "empty.mp4": "is empty",
        "text.mp4": "is not a video",
        "sound.m4a": "holds only sound",
        "none.avi": "holds no picture",
    }.items():
        assert name in refused(name)
        assert words in refused(name, "-o", "new/folder")


def test_bad_output(refused, clip):
    clip()
    Path("file").touch()
    Path("clip_pose3d.npz").mkdir()
    assert "file is not a folder" in refused("clip.mp4", "-o", "file")
    assert "clip_pose3d.npz is a folder" in refused("clip.mp4")
    Path("itself_pose3d.mp4").hardlink_to("clip.mp4")
    Path("itself.mp4").symlink_to("itself_pose3d.mp4")
    assert "is the input itself" in refused("itself.mp4")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write")
def test_an_output_that_even_root_cannot_write(refused, clip):
    clip()
    assert "cannot write in /proc/self/out" in refused("clip.mp4", "-o", "/proc/self/out")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--lifter", "mixst"], "unknown lifter 'mixst': choose one of .*mixste"),
        (["--lifter", "absent.pth"], "absent.pth: no such weights file"),
        (["--lifter", "clip.mp4"], "clip.mp4: not a weights file"),
        (["--lifter", ""], "setting lifter"),
        (["--start", "5"], r"no frame between 5 s and its end: it lasts 0\.20 s"),
        (["--start", "3", "--end", "2"], r"end \(2 s\) must be after start \(3 s\)"),
        (["--end", "0"], "end"),
        (["--start", "-1"], "start must be 0 or more"),
        (["--start", "nan"], "start"),
        (["--device", "gpu"], "unknown device 'gpu': choose auto, cpu, cuda or cuda:N"),
        (["--device", "cuda:99"], "is not there"),
        (["--fov", "0"], "fov must be a number from 5 to 170"),
        (["--max-gap", "-1"], "max_gap"),
        # Mistakes that the parser of the command line finds.
        (["--start", "a"], "--start.*number.*pose3d video --help"),
        (["--lifer", "mixste"], "--lifer.*pose3d video --help"),
        (["another.mp4"], "another.mp4"),
        (["--fov"], "--fov"),
    ],
)
def test_bad_flags(refused, clip, arguments, words):
    clip()
    assert re.search(words, refused("clip.mp4", *arguments))


def test_no_input_and_unknown_commands(command):
    for arguments, words in [
        (["video"], "INPUT"),
        (["vido", "a.mp4"], "vido"),
        (["--wrong"], "--wrong"),
    ]:
        code, out, err = command(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert words in err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fov = \n", "run.toml: not a TOML file"),
        ("liftr = 'mixste'\n", "run.toml: unknown setting 'liftr'.*did you mean lifter"),
        ("fov = 'wide'\n", "fov must be .*run.toml"),
        ("flip = 'yes'\n", "flip must be true or false.*run.toml"),
        ("[settings]\nfov = 50\n", "unknown setting 'settings'"),
    ],
)
def test_bad_configuration(refused, clip, text, words):
    clip()
    Path("run.toml").write_text(text)
    assert re.search(words, refused("clip.mp4", "--config", "run.toml"))


def test_no_configuration_file(refused, clip):
    clip()
    assert "absent.toml: no such" in refused("clip.mp4", "--config", "absent.toml")


# Faults ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verbose", [False, True])
def test_a_fault_of_the_program(command, here, clip, tiny, monkeypatch, verbose):
    def fail(index):
        raise ZeroDivisionError(f"on frame\n{index}")

    monkeypatch.setattr("pipeline.detection.MediaPipePose", lambda: FakePose(on_frame=fail))
    clip()
    extra = ["--verbose"] if verbose else []
    code, out, err = command("video", "clip.mp4", "--lifter", tiny, *extra)
    assert (code, out) == (1, "")
    line = err.splitlines()[-1]
    assert line.startswith("error: a fault in pose3d: ZeroDivisionError: on frame 0 (--verbose")
    assert ("Traceback" in err) == verbose
    assert err.count("\n") == 1 or verbose
    assert [path.name for path in here.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize("stage", ["detection", "rendering"])
def test_interrupted(command, here, clip, tiny, monkeypatch, stage):
    def stop(*_):
        raise KeyboardInterrupt

    if stage == "detection":
        monkeypatch.setattr("pipeline.detection.MediaPipePose", lambda: FakePose(on_frame=stop))
    else:
        monkeypatch.setattr("pipeline.video.VideoWriter.write", stop)
    clip()
    code, out, err = command("video", "clip.mp4", "--lifter", tiny, "--quiet")
    assert (code, out) == (130, "")
    assert err == "error: interrupted; files that were finished remain\n"
    left = {"detection": ["clip.mp4"], "rendering": ["clip.mp4", "clip_pose3d.npz"]}[stage]
    assert sorted(path.name for path in here.iterdir()) == left


def test_disk_full_before_the_result_is_written(refused, clip, monkeypatch):
    def fail(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    clip()
    monkeypatch.setattr(Path, "write_bytes", fail)
    message = refused("clip.mp4", "--quiet")
    assert "clip_pose3d.npz: cannot write the result: No space left on device" in message
