"""``pose3d export-onnx``: the file, what it says of itself, and what is refused."""

import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

import lifters3d
from detectors2d.backends import onnx_runner
from detectors2d.registry import load_pose, save_pose
from lifters3d.registry import save
from tests.detectors2d.hrnets import pictures, small

onnx = pytest.importorskip("onnx")
# Not imported: the product has something to say first.
needs_runtime = pytest.mark.skipif(find_spec("onnxruntime") is None, reason="needs onnxruntime")
COMPARED = r"largest difference from torch (\S+), of heat maps up to \S+\n"


@pytest.fixture
def weights(here):
    """A small network in a file of ours, for crops of 64 x 96 px."""
    save_pose(small(8, input_size=(64, 96)), "net.safetensors", {}, half=False)
    return "net.safetensors"


@pytest.fixture
def refused(command, here):
    """Runs the command in vain: the one line on stderr; no file appears."""

    def run(*arguments):
        before = sorted(here.rglob("*"))
        code, out, err = command("export-onnx", *arguments)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert sorted(here.rglob("*")) == before
        return err

    return run


def sizes(model):
    dims = model.graph.input[0].type.tensor_type.shape.dim
    return [dim.dim_param or dim.dim_value for dim in dims]


@needs_runtime
def test_the_file_is_the_network(command, weights):
    code, out, err = command("export-onnx", weights, "-o", "a.onnx")
    assert (code, out) == (0, "a.onnx\n")
    assert re.fullmatch(COMPARED, err)
    network, images = load_pose(weights), pictures(3, 96, 64)
    with torch.inference_mode():
        expected = network(images).numpy()
    found = onnx_runner(Path("a.onnx").read_bytes())(images.numpy())
    assert found.shape == (3, 17, 24, 16)
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()

    model = onnx.load("a.onnx")
    assert sizes(model) == ["N", 3, 96, 64]
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert told["name"] == weights
    assert told.items() >= network.weights_identity.items()
    assert json.loads(told["input_size"]) == [64, 96]
    assert json.loads(told["mean"]) == [0.485, 0.456, 0.406]
    assert json.loads(told["std"]) == [0.229, 0.224, 0.225]
    joints = json.loads(told["joints"])
    assert len(joints) == 17
    assert (joints[0], joints[5], joints[16]) == ("nose", "left_shoulder", "right_ankle")


def test_another_size_and_no_runtime(command, weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    Path("folder").mkdir()
    code, out, err = command("export-onnx", weights, "-o", "folder/b.onnx", "--size", "96x64")
    assert (code, out) == (0, "folder/b.onnx\n")
    assert re.fullmatch(
        r"a sound ONNX file; not compared .*pip install \"pose3d\[onnx\]\".*\n", err
    )
    assert sizes(onnx.load("folder/b.onnx")) == ["N", 3, 64, 96]


def test_a_file_that_answers_otherwise_is_not_kept(refused, weights, monkeypatch):
    monkeypatch.setattr(
        "detectors2d.backends.onnx_runner",
        lambda model: lambda images: np.zeros((len(images), 17, 24, 16), np.float32),
    )
    assert "does not answer as torch: largest difference" in refused(weights, "-o", "c.onnx")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "net.pth"], "net.pth: the name of the file must end in .onnx"),
        (["-o", "no/net.onnx"], "no: no such folder"),
        (["-o", "net.onnx", "--size", "192"], "size must be width x height.* not '192'"),
        (["-o", "net.onnx", "--size", "100x64"], "multiples of 32, not \\(100, 64\\)"),
    ],
)
def test_impossible_wishes(refused, weights, arguments, words):
    assert re.search(words, refused(weights, *arguments))


def test_what_is_no_network_of_heat_maps(refused, here):
    assert "no such weights file" in refused("absent.pth", "-o", "net.onnx")
    assert "mediapipe: has no heat maps" in refused("mediapipe", "-o", "net.onnx")
    lifter = lifters3d.build("mixste", frames=9, width=16, depth=1)
    save(lifter, "mixste", Path("lifter.safetensors"), {})
    assert "weights of mixste, not of a 2D network" in refused("lifter.safetensors", "-o", "l.onnx")


def test_without_onnx(refused, weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert 'pip install "pose3d[onnx]"' in refused(weights, "-o", "net.onnx")
