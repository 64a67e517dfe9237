"""Settings: defaults, a TOML file over them, given values over both; every mistake in one line."""

import dataclasses
import json
import re

import pytest

from pipeline.settings import Settings, make_settings
from weights.errors import Pose3dError


@pytest.fixture
def toml(tmp_path):
    def write(text):
        path = tmp_path / "run.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def refused(*args, **kwargs):
    """The message of a refusal; it is one line."""
    with pytest.raises(Pose3dError) as caught:
        make_settings(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_defaults():
    assert make_settings() == Settings()
    assert make_settings(start=None, lifter=None) == Settings()
    assert Settings().lifter == "mixste"
    assert Settings().render


def test_file_over_defaults_and_given_over_file(toml):
    path = toml('lifter = "a.safetensors"\nstart = 1\nflip = false\nmax_gap = 0.25\n')
    settings = make_settings(path, start=2.5, end=None)
    assert settings == Settings(lifter="a.safetensors", start=2.5, flip=False, max_gap=0.25)
    assert make_settings(str(path)).start == 1


def test_names_may_be_written_as_the_flags_are(toml):
    assert make_settings(toml("max-gap = 0.25\n")) == Settings(max_gap=0.25)


def test_false_and_zero_are_given(toml):
    path = toml("flip = true\nrender = true\nmax_gap = 1.0\nstart = 3\n")
    settings = make_settings(path, flip=False, render=False, max_gap=0, start=0.0)
    assert settings == Settings(flip=False, render=False, max_gap=0, start=0.0)


def test_every_setting_can_stand_in_a_file(toml):
    values = {
        "lifter": "x.safetensors",
        "pose2d": "hrnet.pth",
        "detector": "rtmdet-m",
        "people": "all",
        "min_track": 2.5,
        "det_every": 3,
        "repair": False,
        "start": 1.5,
        "end": 4,
        "device": "cpu",
        "backend": "openvino",
        "fov": 60,
        "flip": False,
        "causal": False,  # else neither height nor constant_bones
        "precision": "bf16",
        "smooth": "one-euro",
        "remove_outliers": True,
        "max_gap": 0.1,
        "upright": False,
        "height": 1.78,
        "constant_bones": True,
        "lock_feet": True,
        "render": False,
        "layout": "3d-only",
        "orbit": True,
    }
    assert set(values) == set(Settings.names())
    path = toml("".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()))
    assert dataclasses.asdict(make_settings(path)) == values


def test_an_empty_file_and_a_comment_are_fine(toml):
    assert make_settings(toml("")) == Settings()
    assert make_settings(toml('# läuft\ndevice = "cpu" # here\n')) == Settings(device="cpu")
    marked = b'\xef\xbb\xbfdevice = "cpu"\r\n'  # as Windows editors save it
    assert make_settings(toml(marked)) == Settings(device="cpu")


def test_provenance_is_json():
    settings = Settings(start=1, fov=50)
    assert json.loads(json.dumps(settings.as_dict())) == settings.as_dict()
    assert list(settings.as_dict()) == Settings.names()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"start": -1}, "start .* 0 or more"),
        ({"start": "2"}, "start .*'2'"),
        ({"start": True}, "start"),
        ({"start": float("nan")}, "start"),
        ({"start": float("inf")}, "start"),
        ({"end": 0}, "end .* after start"),
        ({"start": 3, "end": 2}, r"end \(2 s\) must be after start \(3 s\)"),
        ({"start": 2, "end": 2}, "after"),
        ({"fov": 0}, "fov .* 5 to 170, not 0"),
        ({"fov": 180}, "fov"),
        ({"fov": -60}, "fov"),
        ({"max_gap": -0.1}, "max_gap"),
        ({"max_gap": "long"}, "max_gap"),
        ({"flip": 1}, "flip .* true or false"),
        ({"render": "no"}, "render"),
        ({"layout": "mesh"}, "layout must be side-by-side, overlay, 3d-only or grid, not 'mesh'"),
        ({"orbit": "yes"}, "orbit .* true or false"),
        ({"layout": "grid", "orbit": True}, "grid has no view that can orbit: .* or 3d-only"),
        ({"upright": 1}, "upright .* true or false"),
        ({"constant_bones": 1}, "constant_bones"),
        ({"lock_feet": "yes"}, "lock_feet"),
        ({"height": 178}, "height must be a number from 0.3 to 3, not 178"),
        ({"height": True}, "height"),
        ({"height": 1.8, "causal": True}, "height looks at the whole clip"),
        ({"constant_bones": True, "causal": True}, "constant_bones .* causal forbids"),
        ({"lifter": ""}, "lifter"),
        ({"lifter": 3}, "lifter"),
        ({"device": 0}, "device"),
        ({"backend": "tensorrt"}, "backend must be torch, onnx or openvino, not 'tensorrt'"),
        ({"backend": 1}, "backend"),
    ],
)
def test_impossible_values_are_named(values, words):
    assert re.search(words, refused(**values))
    with pytest.raises(Pose3dError):
        Settings(**values)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fov = 0\n", "fov .*run.toml"),
        ("start = 'a'\n", "start .*run.toml"),
        ("flip = 1\n", "flip"),
        ("start = 2000-01-01\n", "start"),
        ("end = [1, 2]\n", "end"),
        ("liftr = 'mixste'\n", "run.toml: unknown setting 'liftr'.* did you mean lifter"),
        ("zzz = 1\n", "unknown setting 'zzz'.*known are lifter, pose2d"),
        ("[video]\nfov = 50\n", "unknown setting 'video'"),
        ("fov 50\n", "run.toml: not a TOML file"),
        ("fov = 50\nfov = 60\n", "not a TOML file"),
        (b"\xff\xfe\x00", "not a TOML file"),
        (b"\x00\x00", "not a TOML file"),
    ],
)
def test_mistakes_in_a_file_name_the_file(toml, text, words):
    assert re.search(words, refused(toml(text)))


def test_files_that_cannot_be_read(tmp_path):
    assert "no such configuration file" in refused(tmp_path / "absent.toml")
    assert "cannot be read" in refused(tmp_path)
    assert "absent.toml" in refused(tmp_path / "absent.toml")


def test_unknown_names_in_a_call():
    assert "did you mean flip" in refused(filp=True)


def test_a_given_value_repairs_a_range_of_the_file(toml):
    path = toml("start = 5\n")
    assert "after start" in refused(path, end=2)
    assert make_settings(path, end=2, start=1).end == 2
