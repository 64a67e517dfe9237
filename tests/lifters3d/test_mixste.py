"""MixSTE, held against the authors' network: the same weights must give the same joints.

What it promises like every lifter is tested in ``test_contract``.
"""

import copy
import functools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from lifters3d.layers import Block, DropPath, SelfAttention
from lifters3d.mixste import MixSTE
from tests.filling import filled, weights_crc32

GOLDEN = Path(__file__).parents[1] / "data" / "mixste_t27.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return dict(file)


@pytest.fixture(scope="module")
def authors_entries(golden):
    """Names and shapes of the authors' state dict, in its order."""
    return [(name, tuple(shape)) for name, shape, _ in json.loads(bytes(golden["keys_json"]))]


def small(**config) -> MixSTE:
    """A network of width 32 whose every weight matters."""
    lifter = MixSTE(**{"frames": 9, "width": 32, "depth": 2, "heads": 4, "drop_path": 0.0} | config)
    state = {k: torch.from_numpy(filled(k, v.shape)) for k, v in lifter.state_dict().items()}
    lifter.load_state_dict(state)
    return lifter


def test_entries_are_the_authors(authors_entries):
    with torch.device("meta"):
        lifter = MixSTE(frames=27)
    assert [(k, tuple(v.shape)) for k, v in lifter.state_dict().items()] == authors_entries
    assert len(authors_entries) == 204


@pytest.fixture(scope="module")
def authors_network(golden, authors_entries):
    arrays = {name: filled(name, shape) for name, shape in authors_entries}
    assert weights_crc32(arrays.values()) == golden["weights_crc32"]
    with torch.device("meta"):
        lifter = MixSTE(frames=27)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    lifter.load_state_dict(tensors, strict=True, assign=True)
    return lifter.eval()


def test_output_is_the_authors(golden, authors_network):
    """In float64: what differs is the rounding of the authors' float32 run alone (1.7e-6).

    The smallest mistake to be found, an epsilon of 1e-6 instead of 1e-5 in the head's norm, makes
    5.4e-6.
    """
    lifter = copy.deepcopy(authors_network).double()
    with torch.inference_mode():
        output = lifter(torch.from_numpy(golden["input"]).double()).numpy()
    np.testing.assert_allclose(output, golden["output"], rtol=0, atol=3e-6)
    lifter.head[0].eps = 1e-6
    with torch.inference_mode():
        mistaken = lifter(torch.from_numpy(golden["input"]).double()).numpy()
    assert np.abs(mistaken - golden["output"]).max() > 5e-6


def test_float32_output_is_the_authors(golden, authors_network):
    """Two float32 runs: 1.9e-6 to 3.4e-6 apart, by the processor's instructions."""
    with torch.inference_mode():
        output = authors_network(torch.from_numpy(golden["input"])).numpy()
    np.testing.assert_allclose(output, golden["output"], rtol=0, atol=5e-6)
    assert np.sqrt(np.square(output - golden["output"]).mean()) < 1.2e-6


@pytest.mark.parametrize("mistake", ["epsilon", "gelu"])
def test_mistakes_in_blocks_are_seen(golden, authors_network, monkeypatch, mistake):
    lifter = authors_network
    if mistake == "epsilon":
        for block in [*lifter.STEblocks, *lifter.TTEblocks]:
            monkeypatch.setattr(block.norm1, "eps", 1e-5)
            monkeypatch.setattr(block.norm2, "eps", 1e-5)
    else:
        rough = functools.partial(functional.gelu, approximate="tanh")
        monkeypatch.setattr(functional, "gelu", rough)
    with torch.inference_mode():
        output = lifter(torch.from_numpy(golden["input"][:1])).numpy()
    assert np.abs(output - golden["output"][:1]).max() > 1e-5


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        ({"frames": 1}, 33_659_907),
        ({"frames": 27}, 33_673_219),
        ({"frames": 81}, 33_700_867),
        ({"frames": 243}, 33_783_811),  # the paper: 33.7 M
    ],
)
def test_parameter_counts(config, parameters):
    with torch.device("meta"):
        lifter = MixSTE(**config)
    assert sum(p.numel() for p in lifter.parameters()) == parameters


def test_parameter_count_of_the_papers_deep_variant():
    with torch.device("meta"):
        lifter = MixSTE(frames=243, depth=10)
    assert round(sum(p.numel() for p in lifter.parameters()) / 1e6, 2) == 42.19


def test_config_builds_the_same_network():
    lifter = small(frames=5, joints=15, mlp_ratio=1.5, depth=1)
    again = MixSTE(**lifter.config)
    again.load_state_dict(lifter.state_dict(), strict=True)
    x = torch.randn(1, 5, 15, 2)
    torch.testing.assert_close(again.eval()(x), lifter.eval()(x), rtol=0, atol=0)


def test_training_and_evaluation_attention_agree(monkeypatch):
    monkeypatch.setattr("lifters3d.layers.FUSED_FROM", 1)  # evaluation uses the fused attention
    lifter, x = small(), torch.randn(2, 9, 17, 2)
    torch.testing.assert_close(lifter.train()(x), lifter.eval()(x), rtol=0, atol=1e-5)


def test_attention_follows_its_definition():
    """softmax(q k' / sqrt(head width)) v, head by head, in plain loops."""
    attention, x = SelfAttention(12, 3).eval(), torch.randn(2, 5, 12)
    query, key, value = attention.qkv(x).split(12, dim=-1)
    mixed = torch.zeros(2, 5, 12)
    for head in range(3):
        part = slice(4 * head, 4 * head + 4)
        for n in range(2):
            scores = query[n, :, part] @ key[n, :, part].T / math.sqrt(4)
            mixed[n, :, part] = scores.softmax(-1) @ value[n, :, part]
    torch.testing.assert_close(attention(x), attention.proj(mixed), rtol=0, atol=1e-6)


def test_drop_path_drops_whole_samples_and_keeps_the_mean():
    torch.manual_seed(0)
    rate, count = 0.3, 4000
    out = DropPath(rate).train()(torch.ones(count, 2, 3))
    dropped = (out == 0).all(dim=(1, 2))
    kept = torch.isclose(out, torch.tensor(1 / 0.7)).all(dim=(1, 2))
    assert (dropped ^ kept).all()
    deviation = math.sqrt(rate * (1 - rate) / count)
    assert abs(dropped.float().mean().item() - rate) < 4 * deviation
    assert abs(out.mean().item() - 1) < 4 * deviation / (1 - rate)


def test_drop_path_rests_outside_of_training():
    x = torch.randn(5, 2, 3)
    assert torch.equal(DropPath(0.9).eval()(x), x)
    assert torch.equal(DropPath(0.0).train()(x), x)


def test_drop_path_grows_with_depth():
    lifter = small(depth=3, drop_path=0.2)
    for blocks in (lifter.STEblocks, lifter.TTEblocks):
        assert [block.drop_path.rate for block in blocks] == pytest.approx([0, 0.1, 0.2])


def test_a_dropped_branch_leaves_the_residual():
    block, x = Block(8, 2, drop_path=0.999999).train(), torch.randn(4, 3, 8)
    torch.manual_seed(0)
    assert torch.equal(block(x), x)
