"""HRNet, held against the authors' network: the same weights must give the same heat maps."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from detectors2d.hrnet import HRNet
from tests.detectors2d.hrnets import pictures, small
from tests.filling import filled, weights_crc32

DATA = Path(__file__).parents[1] / "data" / "hrnet_w32.npz"


@pytest.fixture(scope="module")
def golden():
    """Of the authors' heat maps every fourth row and column, and the means of all."""
    with np.load(DATA) as file:
        return dict(file)


@pytest.fixture(scope="module")
def authors_entries(golden):
    return [
        (name, tuple(shape), dtype)
        for name, shape, dtype in json.loads(golden["keys_json"].tobytes())
    ]


@pytest.fixture(scope="module")
def image(golden):
    noise = np.random.RandomState(zlib.crc32(b"input:hrnet_w32")).random_sample(3 * 256 * 192)
    image = (-2 + 4 * (2 * noise - 1 + 1) / 2).astype(np.float32).reshape(1, 3, 256, 192)
    assert zlib.crc32(image) == golden["input_crc32"]
    return torch.from_numpy(image)


@pytest.fixture(scope="module")
def network(golden, authors_entries):
    arrays = {name: filled(name, shape) for name, shape, _ in authors_entries}
    assert weights_crc32(arrays.values()) == golden["weights_crc32"]
    with torch.device("meta"):
        network = HRNet()
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    network.load_state_dict(tensors, strict=True, assign=True)
    return network.eval()


@torch.inference_mode()
def error(network, image, golden) -> float:
    heatmaps = network(image).numpy()
    assert heatmaps.shape == (1, 17, 64, 48)
    off = np.abs(heatmaps[..., 1::4, 2::4] - golden["output"]).max()
    means_off = np.abs(heatmaps.mean((2, 3), dtype=np.float64) - golden["output_means"]).max()
    return max(off, means_off)


def test_entries_are_the_authors(authors_entries, network, golden):
    mine = [
        (name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in network.state_dict().items()
    ]
    assert mine == authors_entries
    assert len(mine) == 1754
    assert sum(p.numel() for p in network.parameters()) == golden["n_params"]


def test_heat_maps_are_the_authors(network, image, golden):
    assert error(network, image, golden) < 1e-4


def norm_epsilon(module, monkeypatch):
    if isinstance(module, nn.BatchNorm2d):
        monkeypatch.setattr(module, "eps", 1e-3)


def bilinear(module, monkeypatch):
    if isinstance(module, nn.Upsample):
        monkeypatch.setattr(module, "mode", "bilinear")


@pytest.mark.parametrize("mistake", [norm_epsilon, bilinear])
def test_mistakes_are_seen(network, image, golden, monkeypatch, mistake):
    for module in network.modules():
        mistake(module, monkeypatch)
    assert error(network, image, golden) > 1e-2


def test_bfloat16_autocast_stays_near(network, image, golden):
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        heatmaps = network(image)
    assert heatmaps.dtype == torch.float32
    expected = golden["output"]
    off = heatmaps.numpy()[..., 1::4, 2::4] - expected
    assert 1e-4 < np.sqrt(np.square(off).mean()) / expected.std() < 0.03


@pytest.mark.parametrize(("width", "parameters"), [(32, 28_536_113), (48, 63_595_745)])
def test_parameter_counts(width, parameters):
    with torch.device("meta"):
        network = HRNet(width)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert len(network.state_dict()) == 1754


def test_pictures_of_other_sizes():
    network = small()
    with torch.inference_mode():
        assert network(pictures(2, 96, 160)).shape == (2, 17, 24, 40)
        alone, both = network(pictures(2)[:1]), network(pictures(2))
    torch.testing.assert_close(both[:1], alone, rtol=0, atol=1e-4)
    for shape in ((1, 3, 60, 64), (1, 4, 64, 64), (3, 64, 64)):
        with pytest.raises(ValueError, match="multiples of 32"):
            network(torch.zeros(shape))


def test_training_begins_at_empty_heat_maps():
    network = HRNet(8).train()
    with torch.no_grad():
        heatmaps = network(pictures(4, 128, 128))
    assert 0 < heatmaps.abs().max() < 0.2
