"""Every backend must give the heat maps of the plain network, and report to nobody."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from detectors2d.backends import accelerate, onnx_model
from detectors2d.topdown import TopDown
from pipeline.compute import choose_precision
from pipeline.settings import BACKENDS
from tests.detectors2d.hrnets import pictures, small
from weights.errors import Pose3dError

ROOT = Path(__file__).parents[2]
SIZE = (64, 96)
COUNTS = (1, 2, 5)
PACKAGES = {"torch": ["torch"], "onnx": ["onnx", "onnxruntime"], "openvino": ["openvino"]}


def need(backend):
    for package in PACKAGES[backend]:
        # Not imported: the product has something to say first.
        if find_spec(package) is None:
            pytest.skip(f"needs {package}")


@pytest.fixture(scope="module", params=[0, 2], ids=["plain", "cam"])
def network(request):
    """Numbers as in trained networks: about 1 behind every norm, and peaks about 1 high."""
    network = small(8, cam_blocks=request.param, input_size=SIZE)
    images = pictures(8, 96, 64)
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            # The statistics of the one batch that follows, which is small for the attention's.
            module.momentum = 0.0 if ".cam." in name else 1.0
    with torch.inference_mode():
        network.train()(images)
        peak = network.eval()(images).abs().max()
        network.final_layer.weight /= peak
        network.final_layer.bias /= peak
    network.weights_identity = {"name": "x.pth"}
    return network


@pytest.fixture(scope="module")
def accelerated(network):
    """``accelerate`` of the network, which takes seconds, once a backend."""
    made = {}

    def make(backend):
        need(backend)
        if backend not in made:
            made[backend] = accelerate(network, backend)
        return made[backend]

    return make


@torch.inference_mode()
def largest_difference(network, other):
    worst = 0.0
    for count in COUNTS:
        images = pictures(count, 96, 64)
        expected, found = network(images), other(images)
        assert found.shape == expected.shape == (count, 17, 24, 16)
        assert found.dtype == torch.float32
        assert expected.abs().max() > 0.5
        worst = max(worst, float((found - expected).abs().max()))
    return worst


@pytest.mark.parametrize("backend", PACKAGES)
def test_heat_maps_are_those_of_torch(network, accelerated, backend):
    assert largest_difference(network, accelerated(backend)) < 1e-4


def test_mistakes_are_seen(network):
    other = accelerate(network)
    other.stage3[0].branches[0][0].conv1.bias.data.zero_()
    assert largest_difference(network, other) > 1e-2


def test_norms_are_folded_in_a_copy(network):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert any("running_var" in name for name in before)
    assert not any("running_var" in name for name in accelerate(network).state_dict())
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_half_precision_loses_no_more_than_autocast(network, backend):
    if choose_precision("auto", torch.device("cpu")) is not torch.bfloat16:
        pytest.skip("this processor does not multiply bfloat16")
    need(backend)
    other = accelerate(network, backend, torch.bfloat16)
    images = pictures(5, 96, 64)
    with torch.inference_mode():
        exact = network(images)
        with torch.autocast("cpu", torch.bfloat16):  # as TopDown has it
            lost, usual = ((one(images) - exact).square().mean().sqrt() for one in (other, network))
    assert 0.2 * usual < lost < 1.5 * usual


@pytest.mark.parametrize("backend", PACKAGES)
def test_joints_are_the_same_in_parts_of_a_batch(network, accelerated, backend):
    image = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    boxes = np.array([[20.0, 20, 60, 120], [100, 40, 180, 190], [200, 10, 280, 150]])
    ((points, scores),) = TopDown(network).estimate([image], [boxes])
    topdown = TopDown(accelerated(backend), batch=2)
    ((other_points, other_scores),) = topdown.estimate([image], [boxes])
    np.testing.assert_allclose(other_points, points, rtol=0, atol=1e-3)
    np.testing.assert_allclose(other_scores, scores, rtol=0, atol=1e-4)
    assert topdown.weights_identity == {"name": "x.pth"}


@pytest.fixture
def tiny():
    """A network of no kind that is known."""
    torch.manual_seed(0)
    network = nn.Conv2d(3, 17, 4, stride=4).eval()
    network.input_size = SIZE
    return network


def test_the_content_of_an_onnx_file(tiny):
    onnx = pytest.importorskip("onnx")
    content = onnx_model(tiny, {"joints": "nose, ...", "sha256": "abc"})
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert {p.key: p.value for p in model.metadata_props} == {
        "joints": "nose, ...",
        "sha256": "abc",
    }
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    for values, name, expected in (
        (model.graph.input, "images", ["N", 3, 96, 64]),
        (model.graph.output, "heatmaps", ["N", 17, 24, 16]),
    ):
        (value,) = values
        dims = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        assert (value.name, dims) == (name, expected)
    assert onnx_model(tiny, {"joints": "nose, ...", "sha256": "abc"}) == content
    assert str(ROOT).encode() not in content


PROGRAM = """
import sys, torch
from detectors2d.backends import accelerate
network = torch.nn.Conv2d(3, 17, 4, stride=4).eval()
network.input_size = (64, 96)
with torch.inference_mode():
    print(*accelerate(network, sys.argv[1])(torch.zeros(2, 3, 96, 64)).shape)
assert "openvino_telemetry.main" not in sys.modules
"""


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_nothing_is_reported(backend, tmp_path):
    """The reports of both begin with a number for the machine, kept in the home folder."""
    need(backend)
    # Not on machines that say that they build software: there they report nothing anyway.
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, backend],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env=environment,
    )
    assert (done.stdout, done.stderr) == ("2 17 24 16\n", "")
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_a_missing_package_is_named(tiny, backend, monkeypatch):
    for package in PACKAGES[backend]:
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(Pose3dError) as caught:
        accelerate(tiny, backend)
    message = str(caught.value)
    assert "\n" not in message
    assert PACKAGES[backend][0] in message
    assert f'pip install "pose3d[{backend}]"' in message


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_runtimes_are_for_the_cpu(tiny, backend):
    with pytest.raises(Pose3dError, match=rf"backend {backend}: runs on the CPU, not on cuda:1"):
        accelerate(tiny, backend, device="cuda:1")


def test_unknown_backends(tiny):
    with pytest.raises(ValueError, match="backend must be one of torch, onnx, openvino"):
        accelerate(tiny, "tensorrt")
    assert set(BACKENDS) == set(PACKAGES)
    assert accelerate(tiny) is tiny
