"""The Strided Transformer's sizes, strides and halves; see ``test_parity`` for the authors' own."""

import math
import re
import time

import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

import lifters3d
from lifters3d.strided import LARGEST_STRIDE, Strided, UnbiasedNorm, default_strides
from tests.filling import filled
from weights.errors import Pose3dError


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def small(**config) -> Strided:
    lifter = Strided(**{"frames": 27, "width": 32, "heads": 4, "hidden": 48} | config)
    state = {k: torch.from_numpy(filled(k, v.shape)) for k, v in lifter.state_dict().items()}
    lifter.load_state_dict(state)
    return lifter.eval()


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        # Released code and weights.
        ({"frames": 27}, 4_014_438),
        ({"frames": 81}, 4_069_734),
        ({"frames": 243}, 4_235_622),
        ({"frames": 351}, 4_346_214),
        # The paper's table, truncated: 3.22, 3.28, 3.44 M.
        ({"frames": 27, "kernel": 1}, 3_228_006),
        ({"frames": 81, "kernel": 1}, 3_283_302),
        ({"frames": 243, "kernel": 1}, 3_449_190),
        # Its ablation, truncated: VTE alone 1.08, 1.61, 2.13, 2.66, 3.19 M.
        ({"frames": 27, "depth": 2, "strides": ()}, 1_084_723),
        ({"frames": 27, "depth": 3, "strides": ()}, 1_611_827),
        ({"frames": 27, "depth": 4, "strides": ()}, 2_138_931),
        ({"frames": 27, "depth": 5, "strides": ()}, 2_666_035),
        ({"frames": 27, "depth": 6, "strides": ()}, 3_193_139),
        # STE alone, the paper: 1.61 M, which is this with one position embedding instead of three.
        ({"frames": 27, "depth": 0, "kernel": 1}, 1_611_827 + 2 * 27 * 256),
    ],
)
def test_parameter_counts(config, parameters):
    with torch.device("meta"):
        lifter = Strided(**config)
    assert sum(p.numel() for p in lifter.parameters()) == parameters


def test_multiply_adds_of_the_paper():
    """43.05 M: the VTE of three layers and its head on all 27 frames, without Q K' and A V."""
    lifter = Strided(27, strides=()).eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        lifter.forward_training(torch.zeros(1, 27, 17, 2))
    counts = {str(operator): n for operator, n in counter.get_flop_counts()["Global"].items()}
    attention = counts.pop("aten.bmm")
    assert sum(counts.values()) / 2 == 43_054_848
    assert attention / 2 == 3 * 2 * 27 * 27 * 256


def test_a_full_size_network_answers():
    lifter = Strided(351).eval()
    assert lifter.config["strides"] == [3, 9, 13]
    with torch.inference_mode():
        assert lifter(torch.randn(1, 351, 17, 2)).shape == (1, 1, 17, 3)


# Strides


@pytest.mark.parametrize(
    ("frames", "strides"),
    [
        (27, (3, 3, 3)),
        (81, (3, 3, 9)),
        (243, (3, 9, 9)),
        (351, (3, 9, 13)),
        (1, (1, 1, 1)),
        (9, (1, 3, 3)),
        (125, (5, 5, 5)),
        (16**3, (16, 16, 16)),
    ],
)
def test_default_strides(frames, strides):
    assert default_strides(frames) == strides


def test_receptive_fields_without_strides():
    with pytest.raises(Pose3dError) as caught:
        lifters3d.build("strided", frames=101)
    message = str(caught.value)
    assert "\n" not in message
    assert "101 frames" in message
    below, above = map(int, re.search(r"that fit: (\d+) and (\d+)", message).groups())
    assert below < 101 < above
    for frames in (below, above, 27, 81, 243, 351):
        lifter = lifters3d.build("strided", frames=frames, width=8, heads=2, hidden=8)
        assert lifter.eval()(torch.zeros(1, frames, 17, 2)).shape == (1, 1, 17, 3)
    for frames in range(below + 2, above, 2):
        with pytest.raises(ValueError, match="no three strides"):
            default_strides(frames)


@pytest.mark.parametrize("frames", [LARGEST_STRIDE**3 + 1, 10**6 + 3])
def test_receptive_fields_beyond_all_strides(frames):
    began = time.process_time()
    with pytest.raises(ValueError, match="the nearest T that fit: 3375 "):
        default_strides(frames)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("strides", "words"),
    [
        ([3, 3], "strides 3 x 3 do not reduce 27 frames to one, only T up to 9"),
        ([3, 0, 9], "stride 2 must be a whole number above zero, not 0"),
        ([27.0], "stride 1 must be a whole number above zero, not 27.0"),
        ("333", "stride 1 must be a whole number above zero, not '3'"),
        (27, "not iterable"),
    ],
)
def test_strides_that_do_not_fit(strides, words):
    with pytest.raises(Pose3dError) as caught:
        lifters3d.build("strided", frames=27, strides=strides)
    assert words in str(caught.value)


def test_neither_vte_nor_ste():
    with pytest.raises(Pose3dError, match="depth must be 1 or more, or 0 with strides"):
        lifters3d.build("strided", frames=27, strides=[], depth=0)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("strides", [(3, 3, 3), (2, 4, 4), (9, 9, 9), (27,), (5, 6)])
def test_any_strides_reduce_to_one_pose(strides, kernel):
    lifter = small(strides=strides, kernel=kernel)
    lengths = []
    for layer in lifter.Transformer_reduce.model.layers:
        layer.register_forward_hook(lambda module, inputs, output: lengths.append(output.shape[1]))
    assert lifter(torch.randn(2, 27, 17, 2)).shape == (2, 1, 17, 3)
    length = 27
    for stride, found in zip(strides, lengths, strict=True):
        length = -(-length // stride)
        assert found == length
    assert length == 1


# The network


def test_unbiased_norm_follows_its_definition():
    norm = UnbiasedNorm(8)
    norm.a_2.data, norm.b_2.data = torch.rand(8), torch.rand(8)
    for row in (
        torch.randn(5, 8) * 10 ** torch.arange(-6.0, 4, 2)[:, None]
    ):  # eps shows in small ones
        mean = sum(row) / 8
        deviation = (sum((row - mean) ** 2) / 7) ** 0.5
        expected = norm.a_2 * (row - mean) / (deviation + 1e-6) + norm.b_2
        torch.testing.assert_close(norm(row), expected)


def test_gradient_of_unbiased_norm():
    norm = UnbiasedNorm(8).double()
    norm.a_2.data = torch.rand(8).double()
    x = torch.randn(5, 8, dtype=torch.float64, requires_grad=True)
    mean = x.mean(dim=1, keepdim=True)
    deviation = ((x - mean).square().sum(dim=1, keepdim=True) / 7).sqrt()
    weight = torch.randn(5, 8)
    (expected,) = torch.autograd.grad((weight * norm.a_2 * (x - mean) / deviation).sum(), x)
    (found,) = torch.autograd.grad((weight * norm(x)).sum(), x)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_kernel_one_is_kernel_three_without_neighbours():
    narrow, wide = small(kernel=1), small(kernel=3)
    state = wide.state_dict()
    for key, tensor in narrow.state_dict().items():
        if key.endswith("w_2.weight") and tensor.ndim == 3:
            state[key] = functional.pad(tensor, (1, 1))
        else:
            state[key] = tensor
    wide.load_state_dict(state)
    x = torch.randn(2, 27, 17, 2)
    torch.testing.assert_close(wide(x), narrow(x), rtol=0, atol=1e-5)


def test_halves_are_those_of_the_whole():
    whole, x = small(depth=2), torch.randn(2, 27, 17, 2)
    vte, ste = small(depth=2, strides=()), small(depth=0)
    _, full = whole.forward_training(x)
    torch.testing.assert_close(vte(x), full[:, 13:14], rtol=0, atol=1e-5)
    assert whole.state_dict().keys() == vte.state_dict().keys() | ste.state_dict().keys()
    # The VTE with branches of zeros only adds its position embedding.
    for layer in whole.Transformer.model.layers:
        for last in (layer.self_attn.linears[3], layer.feed_forward.w_2):
            last.weight.data.zero_()
            last.bias.data.zero_()
    assert (whole(x) - ste(x)).abs().max() > 1e-3
    whole.Transformer.pos_embedding.data.zero_()
    torch.testing.assert_close(whole(x), ste(x), rtol=0, atol=1e-5)


def test_the_residual_is_the_first_token_of_every_stride():
    layer = small(strides=(9, 3)).Transformer_reduce.model.layers[0]
    for last in (layer.self_attn.linears[3], layer.feed_forward.w_2):
        last.weight.data.zero_()
        last.bias.data.zero_()
    x = torch.randn(2, 27, 32)
    torch.testing.assert_close(layer(x), x[:, [0, 9, 18]], rtol=0, atol=0)


def test_norms_of_the_encoders_are_never_applied():
    lifter, x = small(), torch.randn(1, 27, 17, 2)
    before = lifter(x)
    for model in (lifter.Transformer.model, lifter.Transformer_reduce.model):
        model.norm.a_2.data.fill_(7)
        model.norm.b_2.data.fill_(7)
    assert torch.equal(lifter(x), before)


def test_places_of_dropout(monkeypatch):
    places = []

    def dropout(x, p=0.5, training=True, inplace=False):
        assert training
        places.append((tuple(x.shape), p))
        return x

    lifter = small(depth=2, strides=(9, 3), dropout=0.3, input_dropout=0.4).train()
    monkeypatch.setattr(functional, "dropout", dropout)
    lifter(torch.randn(2, 27, 17, 2))
    (shape, rate), *rest = places
    assert (math.prod(shape), rate) == (2 * 27 * 32, 0.4)
    assert {rate for _, rate in rest} == {0.3}
    # A layer: attention weights, attention branch, hidden features, feed-forward branch.
    vte = [(2, 4, 27, 27), (2, 27, 32), (2, 27, 48), (2, 27, 32)]
    assert [shape for shape, _ in rest[:8]] == [*vte, *vte]
    for number, (before, after) in enumerate([(27, 3), (3, 1)], start=2):
        weights, branch, hidden, feed_forward = (shape for shape, _ in rest[4 * number :][:4])
        # Tokens that nothing reads may be left out.
        assert (weights[:2], weights[-1]) == ((2, 4), before)
        assert branch[-1] == 32
        assert 48 in hidden
        assert feed_forward == (2, after, 32)
    assert len(rest) == 16


def test_training_without_an_encoder():
    x = torch.randn(2, 27, 17, 2)
    lifter = small(strides=())
    single, full = lifter.forward_training(x)
    assert torch.equal(single, full[:, 13:14])
    with pytest.raises(ValueError, match="without VTE"):
        small(depth=0).forward_training(x)


def test_batch_statistics_are_over_windows_and_frames():
    lifter, x = small(input_dropout=0.0).train(), torch.randn(3, 27, 17, 2)
    encoded = lifter.encoder[0](x.flatten(2).transpose(1, 2))  # (B, C, T)
    lifter.encoder[1].reset_running_stats()
    lifter.forward_training(x)
    mean = encoded.mean(dim=(0, 2))
    torch.testing.assert_close(lifter.encoder[1].running_mean, 0.1 * mean, rtol=0, atol=1e-5)
