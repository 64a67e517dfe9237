"""The help, the version and the flags."""

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import typer

from pipeline.settings import Settings
from pose3d import cli

ROOT = Path(__file__).parents[2]


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


def test_without_a_package_it_says_so_in_one_line(tmp_path):
    (tmp_path / "rich.py").write_text("raise ImportError('half of it is gone')")
    done = subprocess.run(
        [sys.executable, "-m", "pose3d", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
    )
    line = "error: pose3d cannot start: half of it is gone; install pose3d again\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)


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
        "person",  # people = "id:N" in a file
        "source",
        "output",
        "config",
        "quiet",
        "verbose",
    }
