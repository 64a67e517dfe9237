"""LiftFormer, held against torch's own transformer encoder and the paper's table of sizes."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from lifters3d.liftformer import LiftFormer, sine_positions
from tests.filling import filled


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def small(**config) -> LiftFormer:
    lifter = LiftFormer(**{"frames": 9, "width": 32, "depth": 3, "heads": 4} | config)
    state = {k: torch.from_numpy(filled(k, v.shape)) for k, v in lifter.state_dict().items()}
    lifter.load_state_dict(state)
    return lifter.eval()


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        ({"width": 128}, 3_569_203),  # the paper: 3.57 M
        ({"width": 256}, 7_912_499),  # 7.91
        ({"width": 512}, 18_958_387),  # 18.96
        ({"width": 768}, 33_150_003),  # 33.15
        ({"depth": 4}, 12_653_619),  # 12.65
        ({"depth": 8}, 25_263_155),  # 25.26
        ({"heads": 4}, 18_958_387),
        ({"share_attention": True}, 13_705_267),  # 13.7
        ({"share_attention": True, "depth": 4}, 9_501_747),  # 9.5
        ({"share_attention": True, "depth": 2, "width": 256}, 2_389_043),  # 2.4
    ],
)
def test_parameter_counts(config, parameters):
    for frames in (27, 243):  # positions are no parameters
        with torch.device("meta"):
            lifter = LiftFormer(frames, **config)
        assert sum(p.numel() for p in lifter.parameters()) == parameters


def torch_encoder(lifter: LiftFormer) -> nn.TransformerEncoder:
    """torch's encoder with the weights of ours."""
    config = lifter.config
    layer = nn.TransformerEncoderLayer(
        config["width"],
        config["heads"],
        config["hidden"],
        norm_first=config["norm_first"],
        batch_first=True,
    )
    encoder = nn.TransformerEncoder(layer, config["depth"], enable_nested_tensor=False)
    for number, (theirs, ours) in enumerate(zip(encoder.layers, lifter.layers, strict=True)):
        attention = lifter.attentions[0 if config["share_attention"] else number]
        *packed, out = attention.linears
        theirs.self_attn.load_state_dict(
            {
                "in_proj_weight": torch.cat([linear.weight for linear in packed]),
                "in_proj_bias": torch.cat([linear.bias for linear in packed]),
                "out_proj.weight": out.weight,
                "out_proj.bias": out.bias,
            }
        )
        pairs = [("linear1", "fc1"), ("linear2", "fc2"), ("norm1", "norm1"), ("norm2", "norm2")]
        for name, mine in pairs:
            getattr(theirs, name).load_state_dict(getattr(ours, mine).state_dict())
    return encoder.eval()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("share_attention", [False, True])
@pytest.mark.parametrize("norm_first", [False, True])
def test_is_torchs_transformer_encoder(norm_first, share_attention, causal):
    lifter = small(norm_first=norm_first, share_attention=share_attention, causal=causal)
    assert lifter.config["hidden"] == 2048
    assert lifter.output == ("last" if causal else "center")
    encoder, x = torch_encoder(lifter), torch.randn(3, 9, 17, 2)
    with torch.inference_mode():
        tokens = torch.stack([lifter.embed(x[:, t].reshape(3, 34)) for t in range(9)], dim=1)
        mixed = encoder(tokens + sine_positions(9, 32))
        expected = lifter.head(mixed[:, 8 if causal else 4]).view(3, 1, 17, 3)
        torch.testing.assert_close(lifter(x), expected, rtol=0, atol=1e-5)
        _, full = lifter.forward_training(x)
        torch.testing.assert_close(full.flatten(2), lifter.head(mixed), rtol=0, atol=1e-5)


@pytest.mark.parametrize("norm_first", [False, True])
def test_order_of_norms_counts(norm_first):
    lifter, other = small(norm_first=norm_first), small(norm_first=not norm_first)
    x = torch.randn(1, 9, 17, 2)
    assert (lifter(x) - other(x)).abs().max() > 1e-2


def test_shared_attention_is_one_set_of_projections():
    lifter = small(share_attention=True)
    assert len(lifter.attentions) == 1
    assert len(lifter.layers) == 3
    calls = []
    lifter.attentions[0].register_forward_hook(lambda *_: calls.append(1))
    lifter(torch.zeros(1, 9, 17, 2))
    assert len(calls) == 3
    alone = small()
    state = {
        key.replace("attentions.0.", f"attentions.{number}."): tensor
        for key, tensor in lifter.state_dict().items()
        for number in range(3)
    }
    alone.load_state_dict(state, strict=True)
    x = torch.randn(2, 9, 17, 2)
    torch.testing.assert_close(alone(x), lifter(x), rtol=0, atol=0)


@pytest.mark.parametrize(("frames", "width"), [(1, 4), (9, 32), (243, 512), (5, 15)])
def test_positions_are_sines_and_cosines(frames, width):
    positions = sine_positions(frames, width)
    assert positions.shape == (frames, width)
    for t in range(0, frames, 11):
        for i in range(width):
            angle = t / 10000 ** (2 * (i // 2) / width)
            expected = math.cos(angle) if i % 2 else math.sin(angle)
            assert abs(positions[t, i].item() - expected) < 5e-5


def test_positions_are_not_in_the_weights():
    lifter = small()
    assert "positions" not in lifter.state_dict()
    assert "positions" in dict(lifter.named_buffers())


@pytest.mark.parametrize(("frames", "centre"), [(1, 0), (9, 4), (8, 4)])
def test_the_frame_that_is_read(frames, centre):
    x = torch.randn(1, frames, 17, 2)
    for causal, index in ((False, centre), (True, frames - 1)):
        lifter = small(frames=frames, causal=causal)
        single, full = lifter.forward_training(x)
        torch.testing.assert_close(single, full[:, index : index + 1], rtol=0, atol=0)
        torch.testing.assert_close(lifter(x), single, rtol=0, atol=1e-5)


@pytest.mark.parametrize("norm_first", [False, True])
def test_places_of_dropout(monkeypatch, norm_first):
    """Vaswani et al., section 5.4, and torch's encoder: embedding, attention weights, branches."""
    places = []

    def dropout(x, p=0.5, training=True, inplace=False):
        assert training
        places.append((tuple(x.shape), p))
        return x

    lifter = small(dropout=0.3, norm_first=norm_first).train()
    monkeypatch.setattr(functional, "dropout", dropout)
    lifter.forward_training(torch.randn(2, 9, 17, 2))
    token = (2, 9, 32)
    layer = [(2, 4, 9, 9), token, (2, 9, 2048), token]
    assert places == [(shape, 0.3) for shape in [token, *layer, *layer, *layer]]
