"""Channel attention, held against eq. 1-3 of its paper, and its neutral start."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from detectors2d.channel_attention import ChannelAttention
from detectors2d.hrnet import BasicBlock, HRNet
from detectors2d.registry import load_pose
from tests.detectors2d.hrnets import pictures, small
from tests.filling import filled

CHANNELS = 8


def fill(module):
    state = {k: torch.from_numpy(filled(k, v.shape)) for k, v in module.state_dict().items()}
    module.load_state_dict(state)
    return module.eval()


def gates_of_eq_1(x: np.ndarray, state: dict[str, np.ndarray], last_relu: bool) -> np.ndarray:
    """X' (N, C), cell by cell and channel by channel."""
    count, channels, rows, columns = x.shape
    gates = np.zeros((count, channels))
    for n in range(count):
        values = [
            sum(x[n, c, i, j] for i in range(rows) for j in range(columns)) / (rows * columns)
            for c in range(channels)
        ]
        for layer in (1, 2, 3):
            kernel = state[f"conv{layer}.weight"][:, :, 0, 0]
            norm = {key: state[f"bn{layer}.{key}"] for key in ("weight", "bias")}
            mean, variance = state[f"bn{layer}.running_mean"], state[f"bn{layer}.running_var"]
            outputs = []
            for o in range(len(kernel)):
                value = sum(kernel[o, i] * values[i] for i in range(len(values)))
                value = (value - mean[o]) / np.sqrt(variance[o] + 1e-5)
                value = value * norm["weight"][o] + norm["bias"][o]
                outputs.append(max(value, 0) if layer < 3 or last_relu else value)
            values = outputs
        gates[n] = [1 / (1 + np.exp(-value)) for value in values]
    return gates


@pytest.mark.parametrize("gate", ["literal", "full"])
def test_a_block_is_eq_1_to_3(gate):
    block = fill(BasicBlock(CHANNELS, ChannelAttention(CHANNELS, gate, neutral=False)))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, CHANNELS, 5, 4, generator=generator)
    x += 5 * torch.randn(3, CHANNELS, 1, 1, generator=generator)
    state = {key: tensor.numpy() for key, tensor in block.cam.state_dict().items()}
    gates = gates_of_eq_1(x.numpy().astype(np.float64), state, last_relu=gate == "literal")
    assert gates.std() > 0.03
    assert (gates.min() >= 0.5) == (gate == "literal")

    def norm(y, bn):
        return functional.batch_norm(y, bn.running_mean, bn.running_var, bn.weight, bn.bias)

    with torch.inference_mode():
        assert np.abs(block.cam(x)[..., 0, 0].numpy() - gates).max() < 1e-6
        y = torch.relu(norm(functional.conv2d(x, block.conv1.weight, padding=1), block.bn1))
        y = norm(functional.conv2d(y, block.conv2.weight, padding=1), block.bn2)
        z = y + x + x * torch.from_numpy(gates[..., None, None]).float()
        np.testing.assert_allclose(block(x), torch.relu(z), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("width", "blocks", "millions"),
    [  # the paper cuts off: 28.7, 28.9, 29.1 and 29.3
        (32, 1, "28.742"),
        (32, 2, "28.947"),
        (32, 3, "29.152"),
        (32, 4, "29.358"),
        (48, 2, "64.509"),
    ],
)
def test_parameter_counts(width, blocks, millions):
    """Every CAM has 2 C C/4 + C/4 C/4 weights and, of its norms, 2 (C/4 + C/4 + C)."""
    plain = {32: 28_536_113, 48: 63_595_745}[width]
    stages = [(1, 2), (4, 3), (3, 4)]  # modules, branches
    channels = [width * 2**b for modules, n in stages for b in range(n) for _ in range(modules)]
    added = blocks * sum(9 * c * c // 16 + 3 * c for c in channels)
    assert f"{(plain + added) / 1e6:.3f}" == millions
    for neutral in (False, True):
        with torch.device("meta"):
            network = HRNet(width, blocks, neutral=neutral)
        scales = 26 * blocks if neutral else 0
        assert sum(p.numel() for p in network.parameters()) == plain + added + scales


@pytest.mark.parametrize("blocks", [1, 2, 3, 4])
def test_attention_is_in_the_last_blocks(blocks):
    with torch.device("meta"):
        network = HRNet(8, blocks)
    attentive = [name for name, m in network.named_modules() if isinstance(m, ChannelAttention)]
    assert set(attentive) == {
        f"stage{stage}.{module}.branches.{branch}.{block}.cam"
        for stage, modules in ((2, 1), (3, 4), (4, 3))
        for module in range(modules)
        for branch in range(stage)
        for block in range(4 - blocks, 4)
    }


@pytest.mark.parametrize(("blocks", "gate"), [(1, "literal"), (2, "full"), (4, "literal")])
def test_the_start_is_the_plain_network_bit_for_bit(blocks, gate):
    plain = small()
    grown = load_pose(plain.state_dict(), cam_blocks=blocks, gate=gate)
    assert grown.config["cam_blocks"] == blocks
    with torch.inference_mode():
        expected = plain(pictures(2))
        assert torch.equal(grown(pictures(2)), expected)
        for name, parameter in grown.named_parameters():
            if name == "stage3.1.branches.1.3.cam.scale":
                parameter.fill_(0.1)
        assert not torch.equal(grown(pictures(2)), expected)


@pytest.mark.parametrize("gate", ["literal", "full"])
def test_the_neutral_start_is_trainable(gate):
    network = load_pose(small().state_dict(), cam_blocks=2, gate=gate).train()
    target = torch.rand(2, 17, 32, 32, generator=torch.Generator().manual_seed(1))
    cams = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, ChannelAttention)
    }
    assert len(cams) == 52

    def backward():
        network.zero_grad()
        (network(pictures(2, 128, 128)) - target).square().mean().backward()

    backward()
    for name, cam in cams.items():
        assert cam.scale.grad != 0, name
        assert not cam.conv1.weight.grad.any()
        with torch.no_grad():
            cam.scale -= 0.1 * cam.scale.grad / cam.scale.grad.abs()
    backward()
    for name, cam in cams.items():
        for part in (cam.conv1, cam.conv2, cam.conv3):
            assert part.weight.grad.any(), name


def test_half_precision_is_not_promoted():
    block = fill(BasicBlock(CHANNELS, ChannelAttention(CHANNELS)))
    x = torch.randn(1, CHANNELS, 4, 4)
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        assert block(x.bfloat16()).dtype == torch.bfloat16


def test_what_cannot_be_built():
    with pytest.raises(ValueError, match="multiple of 4 channels"):
        HRNet(6, 1)
    with pytest.raises(ValueError, match="gate must be one of literal, full"):
        HRNet(8, 1, gate="relu")
    for blocks in (-1, 5, 2.0, True):
        with pytest.raises(ValueError, match="from 0 to 4"):
            HRNet(8, blocks)
