"""`pose3d lifters`: every lifter with what it costs and the weights at hand."""

import contextlib
import io
import re

import pytest
from rich.console import Console

import lifters3d
from lifters3d.flops import flops_per_frame
from pose3d.lifters import PAPERS, lifters, show
from weights import store

NAMES = lifters3d.names()


@pytest.fixture(scope="module")
def piped():
    """What another program reads from the command."""
    with contextlib.redirect_stdout(io.StringIO()) as text:
        lifters()
    return text.getvalue()


@pytest.fixture(scope="module")
def narrow():
    """What a terminal of 80 columns shows, without its colours."""
    text = io.StringIO()
    show(Console(file=text, width=80, force_terminal=True, markup=False, emoji=False))
    return re.sub(r"\x1b\[[0-9;]*m", "", text.getvalue())


def test_plain_text_when_piped(piped):
    assert piped.isascii()
    for line in piped.splitlines():
        assert line.isprintable()
        assert line == line.rstrip()
    sizes, files = piped.split("\n\n")
    assert "multiply-adds" in sizes
    for name in NAMES:
        (size,) = re.findall(rf"^ {name} .*$", sizes, re.MULTILINE)
        (file,) = re.findall(rf"^ {name} .*$", files, re.MULTILINE)
        assert PAPERS[name] in size
        if name in store.entries():
            entry = store.entries()[name]
            assert f"{entry.file}, {entry.bytes / 1e6:.1f} MB" in file
            for row in entry.accuracy:
                assert f"{row.mpjpe_mm:.1f} / {row.p_mpjpe_mm:.1f}" in file
        else:
            assert "none: give a file with --lifter FILE" in file
            assert " * " in size


def test_the_numbers_are_those_of_the_shipped_weights(piped):
    lifter = lifters3d.load("mixste")
    line = next(line for line in piped.splitlines() if line.startswith(" mixste "))
    numbers = re.search(r" (\d+) +([\d.]+) M +([\d.]+) ([MG]) +sequence$", line)
    frames, parameters, flops, unit = numbers.groups()
    count = sum(parameter.numel() for parameter in lifter.parameters())
    assert int(frames) == lifter.frames
    assert float(parameters) == pytest.approx(count / 1e6, rel=0.01)
    scale = {"M": 1e6, "G": 1e9}[unit]
    assert float(flops) == pytest.approx(flops_per_frame(lifter) / scale, rel=0.01)


def test_fits_80_columns_with_whole_names(narrow):
    lines = narrow.splitlines()
    assert max(map(len, lines)) <= 80
    for name in NAMES:
        assert sum(line.split()[:1] == [name] for line in lines) == 2
    for entry in store.shipped("lifter").values():
        assert entry.file in narrow.replace("\n", "")


def test_every_lifter_has_its_paper():
    assert set(PAPERS) == set(NAMES)


def test_every_shipped_lifter_is_one_that_can_be_built():
    for name in store.shipped("lifter"):
        assert lifters3d.load(name).weights_identity["name"] == name


def test_without_any_weights(command, monkeypatch):
    monkeypatch.setattr(store, "entries", dict)
    code, out, err = command("lifters")
    assert (code, err) == (0, "")
    assert out.count("none: give a file") == len(NAMES)
