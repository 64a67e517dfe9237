"""The command as its user meets it: what it prints, its exit codes, and what it leaves behind."""

import dataclasses
import errno
import os
import re
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import typer

import pose3d
from pipeline.settings import Settings
from pose3d import cli
from tests.pipeline.clips import make_clip
from tests.pipeline.fakes import FakePose, save_tiny_lifter

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Path of a quick lifter's weights."""
    return str(save_tiny_lifter(tmp_path_factory.mktemp("weights") / "tiny.safetensors"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs the command in this process, with a quick detector: exit code, stdout and stderr."""
    monkeypatch.setattr("pipeline.process.MediaPipePose", FakePose)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["pose3d", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        said = capsys.readouterr()
        return stopped.value.code or 0, said.out, said.err

    return run


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


def clip(path="clip.mp4", **kwargs):
    return make_clip(path, **{"frames": 6, **kwargs})


def frames_in(path):
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


# All is well -------------------------------------------------------------------------------------


def test_a_video(command, here, tiny):
    clip()
    code, out, err = command("video", "clip.mp4", "--lifter", tiny)
    assert code == 0
    assert out.splitlines() == ["clip_pose3d.mp4", "clip_pose3d.npz"]
    assert frames_in("clip_pose3d.mp4") == len(pose3d.load_result("clip_pose3d.npz")) == 6
    stages = [line.split()[:2] for line in err.splitlines()]
    assert stages == [["2D", "keypoints"], ["3D", "lifting"], ["rendering", "6"]]
    assert all("6 frames in" in line for line in err.splitlines())
    assert sorted(p.name for p in here.iterdir()) == [
        "clip.mp4",
        "clip_pose3d.mp4",
        "clip_pose3d.npz",
    ]


@pytest.mark.parametrize("flag", ["--quiet", "-q"])
def test_quiet_prints_the_paths_only(command, here, tiny, flag):
    clip()
    code, out, err = command("video", "clip.mp4", flag, "--lifter", tiny, "-o", "a/b", "--verbose")
    assert (code, err) == (0, "")
    assert out.splitlines() == ["a/b/clip_pose3d.mp4", "a/b/clip_pose3d.npz"]


def test_verbose_tells_what_is_used(command, here, tiny):
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


def test_no_render(command, here, tiny):
    clip()
    code, out, err = command("video", "clip.mp4", "--no-render", "--lifter", tiny)
    assert (code, out) == (0, "clip_pose3d.npz\n")
    assert "rendering" not in err
    assert not Path("clip_pose3d.mp4").exists()


def test_a_second_run_replaces_the_first(command, here, tiny):
    clip()
    for _ in range(2):
        code, _, _ = command("video", "clip.mp4", "-q", "--lifter", tiny)
        assert code == 0
    assert len(list(here.iterdir())) == 3


def test_settings_reach_the_result(command, here, tiny):
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
def test_names_of_all_kinds(command, here, tiny, name):
    clip("clip.mp4").rename(name)
    code, out, _ = command("video", "--lifter", tiny, "--no-render", "--", name)
    assert code == 0
    assert out == f"{Path(name).stem}_pose3d.npz\n"
    assert Path(out.strip()).is_file()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are Unicode")
def test_a_name_that_is_no_text(here, tiny):
    name = b"l\xe4ufer.mp4"
    os.rename(clip("clip.mp4"), name)
    process = program("video", os.fsdecode(name), "--lifter", tiny, "--quiet", text=False)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert out.splitlines() == [b"l\xe4ufer_pose3d.mp4", b"l\xe4ufer_pose3d.npz"]
    result = pose3d.load_result(os.fsdecode(b"l\xe4ufer_pose3d.npz"))
    assert result.provenance["input"]["name"] == "l\N{REPLACEMENT CHARACTER}ufer.mp4"


def test_nobody_is_a_warning(command, here, tiny, monkeypatch):
    nobody = FakePose(absent=lambda index: True)
    monkeypatch.setattr("pipeline.process.MediaPipePose", lambda: nobody)
    clip()
    code, out, err = command("video", "clip.mp4", "--lifter", tiny)
    assert code == 0
    assert len(out.splitlines()) == 2
    assert err.splitlines()[-1] == "warning: no person was found in any frame"


def test_a_cut_off_video_is_a_warning(command, here, tiny):
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


def test_bad_output(refused, here):
    clip()
    Path("file").touch()
    Path("clip_pose3d.npz").mkdir()
    assert "file is not a folder" in refused("clip.mp4", "-o", "file")
    assert "clip_pose3d.npz is a folder" in refused("clip.mp4")
    Path("itself_pose3d.mp4").hardlink_to("clip.mp4")
    Path("itself.mp4").symlink_to("itself_pose3d.mp4")
    assert "is the input itself" in refused("itself.mp4")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write")
def test_an_output_that_even_root_cannot_write(refused, here):
    clip()
    assert "cannot write in /proc/self/out" in refused("clip.mp4", "-o", "/proc/self/out")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--lifter", "mixst"], "unknown lifter 'mixst': choose one of .*mixste"),
        (["--lifter", "absent.pth"], "absent.pth: no such weights file"),
        (["--lifter", "clip.mp4"], "clip.mp4: not a readable safetensors file"),
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
def test_bad_flags(refused, here, arguments, words):
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
def test_bad_configuration(refused, here, text, words):
    clip()
    Path("run.toml").write_text(text)
    assert re.search(words, refused("clip.mp4", "--config", "run.toml"))


def test_no_configuration_file(refused, here):
    clip()
    assert "absent.toml: no such" in refused("clip.mp4", "--config", "absent.toml")


# Faults ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verbose", [False, True])
def test_a_fault_of_the_program(command, here, tiny, monkeypatch, verbose):
    def fail(index):
        raise ZeroDivisionError(f"on frame\n{index}")

    monkeypatch.setattr("pipeline.process.MediaPipePose", lambda: FakePose(on_frame=fail))
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
def test_interrupted(command, here, tiny, monkeypatch, stage):
    def stop(*_):
        raise KeyboardInterrupt

    if stage == "detection":
        monkeypatch.setattr("pipeline.process.MediaPipePose", lambda: FakePose(on_frame=stop))
    else:
        monkeypatch.setattr("pipeline.video.VideoWriter.write", stop)
    clip()
    code, out, err = command("video", "clip.mp4", "--lifter", tiny, "--quiet")
    assert (code, out) == (130, "")
    assert err == "error: interrupted; files that were finished remain\n"
    left = {"detection": ["clip.mp4"], "rendering": ["clip.mp4", "clip_pose3d.npz"]}[stage]
    assert sorted(path.name for path in here.iterdir()) == left


def test_disk_full_before_the_result_is_written(refused, here, monkeypatch):
    def fail(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    clip()
    monkeypatch.setattr(Path, "write_bytes", fail)
    message = refused("clip.mp4", "--quiet")
    assert "clip_pose3d.npz: cannot write the result: No space left on device" in message


# In a process of its own -------------------------------------------------------------------------

PROGRAM = """
import resource, signal, sys, time
import pipeline.process
from pose3d.cli import main
from tests.pipeline.fakes import FakePose

limit, pause = int(sys.argv.pop(1)), float(sys.argv.pop(1))
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
if pause:
    import pipeline.video
    write = pipeline.video.VideoWriter.write
    def slowly(*arguments):
        time.sleep(pause)
        write(*arguments)
    pipeline.video.VideoWriter.write = slowly
pipeline.process.MediaPipePose = FakePose
main()
"""


def program(*arguments, limit=0, pause=0, text=True):
    """Starts the command with a quick detector, a limit on the size of files, slow encoding."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(limit), str(pause), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=text,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on file sizes")
def test_disk_full_while_rendering(here, tiny):
    noise = np.random.default_rng(0).integers(0, 256, (20, 240, 320, 3), np.uint8)
    clip(frames=20, size=(320, 240), image=lambda i: noise[i])
    process = program("video", "clip.mp4", "--lifter", tiny, limit=60_000)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert out == ""
    *_, line = err.splitlines()
    assert line.startswith("error: ")
    assert "larger than the system allows" in line
    assert err.count("error") == 1
    assert "Traceback" not in err
    assert sorted(path.name for path in here.iterdir()) == ["clip.mp4", "clip_pose3d.npz"]
    assert len(pose3d.load_result("clip_pose3d.npz")) == 20


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_while_rendering(here, tiny):
    clip(frames=60)
    process = program("video", "clip.mp4", "--lifter", tiny, "--quiet", pause=0.5)
    deadline = time.monotonic() + 60
    while not list(here.glob(".*.part.mp4")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert err == "error: interrupted; files that were finished remain\n"
    assert sorted(path.name for path in here.iterdir()) == ["clip.mp4", "clip_pose3d.npz"]
    assert len(pose3d.load_result("clip_pose3d.npz")) == 60


def test_the_real_command_is_quiet(here):
    """Not a word but ours on stderr, whatever libraries are loaded on the way."""
    done = subprocess.run(
        [sys.executable, "-m", "pose3d", "video", "absent.mp4"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: no such file: absent.mp4\n"
    assert list(here.iterdir()) == []


# Help --------------------------------------------------------------------------------------------


def test_help_tells_every_flag(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    for arguments in (["--help"], ["-h"], ["video", "--help"], ["video", "-h"]):
        code, out, err = command(*arguments)
        assert (code, err) == (0, "")
        assert "video" in out
    for name in (*Settings.names(), "config", "output", "quiet", "verbose"):
        assert f"--{name.replace('_', '-')}" in out
    for shown, field in (("mixste", "lifter"), ("0.5", "max_gap"), ("auto", "device")):
        assert str(getattr(Settings(), field)) == shown
        assert f"[default: {shown}]" in out


def test_no_arguments_show_the_help(command):
    code, out, err = command()
    assert code == 2
    assert "Usage" in out + err
    assert "error:" not in err


def test_the_networks_are_not_loaded_for_the_help(here):
    """They take seconds, in which an interrupt would end in a traceback."""
    program = "import pose3d.cli, sys; print({'torch', 'av', 'mediapipe'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_version(command):
    code, out, _ = command("--version")
    assert code == 0
    assert re.fullmatch(r"pose3d \S+\n", out)


def test_every_setting_is_a_flag():
    flags = {
        parameter.name: parameter
        for parameter in typer.main.get_command(cli.app).commands["video"].params
    }
    for field in dataclasses.fields(Settings):
        flag = flags[field.name]
        assert f"--{field.name.replace('_', '-')}" in flag.opts
        # What the user did not give must not hide what the configuration file says.
        assert flag.default is None
        if isinstance(field.default, bool):
            assert flag.secondary_opts == [f"--no-{field.name.replace('_', '-')}"]
    assert set(flags) - set(Settings.names()) - {"help"} == {
        "source",
        "output",
        "config",
        "quiet",
        "verbose",
    }


# From Python -------------------------------------------------------------------------------------


def test_the_names_of_the_module():
    for name in pose3d.__all__:
        assert getattr(pose3d, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pose3d.nothing


def test_estimate_from_python(here, tiny, monkeypatch):
    monkeypatch.setattr("pipeline.process.MediaPipePose", FakePose)
    clip(frames=20, rate=Fraction(10))
    Path("run.toml").write_text("fov = 50\nend = 1.5\n")
    result = pose3d.estimate("clip.mp4", config="run.toml", lifter=tiny, start=0.5)
    assert isinstance(result, pose3d.PoseResult)
    assert len(result) == 10
    assert result.provenance["settings"]["fov"] == 50
    with pytest.raises(pose3d.Pose3dError, match=r"unknown setting 'lifer'.* mean lifter"):
        pose3d.estimate("clip.mp4", lifer=tiny)
    assert sorted(path.name for path in here.iterdir()) == ["clip.mp4", "run.toml"]
