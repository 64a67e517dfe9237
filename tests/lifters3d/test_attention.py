import pytest
import torch
from torch import nn

import lifters3d
from lifters3d.attention import attention_maps
from lifters3d.layers import SelfAttention, SplitAttention

T = 9
TINY = {
    "liftformer": {"frames": T, "width": 16, "depth": 3, "heads": 4, "hidden": 8},
    "mixste": {"frames": T, "width": 8, "depth": 2, "heads": 2},
    "poseformer": {"frames": T, "width": 8, "depth": 2, "heads": 2},
    "poseformer-sta": {"frames": T, "width": 8, "depth": 2, "heads": 2},
    "strided": {"frames": 27, "width": 16, "depth": 2, "heads": 4, "hidden": 8},
}
SPATIAL, TEMPORAL = {"spatial": (2, 2, 17, 17)}, {"temporal": (2, 2, T, T)}
SHAPES = {
    "liftformer": {"temporal": (3, 4, T, T)},
    "mixste": SPATIAL | TEMPORAL,
    "poseformer": SPATIAL | TEMPORAL,
    "poseformer-sta": SPATIAL | TEMPORAL,
    "strided": {
        "temporal": (2, 4, 27, 27),
        "strided 1": (1, 4, 27, 27),
        "strided 2": (1, 4, 9, 9),
        "strided 3": (1, 4, 3, 3),
    },
}


def make(name, **config):
    """A tiny lifter whose attention is far from even, and windows for it."""
    torch.manual_seed(0)
    lifter = lifters3d.build(name, **(TINY[name] | config)).eval()
    with torch.no_grad():
        for parameter in lifter.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return lifter, torch.randn(3, lifter.frames, 17, 2)


@pytest.mark.parametrize("name", TINY)
def test_shapes_and_rows(name):
    lifter, windows = make(name)
    maps = attention_maps(lifter, windows)
    assert {key: tuple(layers.shape) for key, layers in maps.items()} == SHAPES[name]
    for layers in maps.values():
        assert layers.dtype == torch.float32
        assert layers.min() >= 0
        torch.testing.assert_close(layers.sum(-1), torch.ones(layers.shape[:-1]))
        assert layers.std() > 0.01, "too even a map would hide mistakes"


@pytest.mark.parametrize("name", TINY)
def test_the_network_answers_as_ever(name):
    lifter, windows = make(name)
    with torch.no_grad():
        before = lifter(windows)
        answers = []
        hook = lifter.register_forward_hook(lambda _, inputs, output: answers.append(output))
        attention_maps(lifter, windows)
        hook.remove()
        torch.testing.assert_close(torch.cat(answers), before)
        assert torch.equal(lifter(windows), before)
    assert not any(
        module._forward_pre_hooks or module._forward_hooks for module in lifter.modules()
    )


def by_torch(module, x):
    """Attention weights (N, heads, L, L) of torch's own multi-head attention with our weights."""
    channels = x.shape[-1]
    theirs = nn.MultiheadAttention(channels, module.heads, batch_first=True)
    if isinstance(module, SelfAttention):
        weight, bias = module.qkv.weight, module.qkv.bias
    else:
        weight = torch.cat([linear.weight for linear in module.linears[:3]])
        bias = torch.cat([linear.bias for linear in module.linears[:3]])
    with torch.no_grad():
        theirs.in_proj_weight.copy_(weight)
        theirs.in_proj_bias.copy_(bias)
        return theirs(x, x, x, need_weights=True, average_attn_weights=False)[1]


@pytest.mark.parametrize("name", TINY)
def test_equals_torchs_multi_head_attention(name):
    lifter, windows = make(name)
    seen = []
    for module in lifter.modules():
        if isinstance(module, SelfAttention | SplitAttention):
            module.register_forward_pre_hook(
                lambda module, inputs: seen.append((module, inputs[0]))
            )
    with torch.no_grad():
        lifter(windows)
    # MixSTE's layers alternate; of the others all of one kind come first.
    expected = [by_torch(module, x).mean(dim=0) for module, x in seen]
    if name == "mixste":
        expected = expected[::2] + expected[1::2]
    found = [layer for layers in attention_maps(lifter, windows).values() for layer in layers]
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_shared_attention_counts_in_every_layer():
    lifter, windows = make("liftformer", share_attention=True)
    layers = attention_maps(lifter, windows)["temporal"]
    assert layers.shape == (3, 4, T, T)
    assert (layers[0] - layers[1]).abs().max() > 0.01


def test_windows_are_averaged():
    lifter, windows = make("mixste")
    together = attention_maps(lifter, windows)
    single = [attention_maps(lifter, window[None]) for window in windows]
    for key, layers in together.items():
        torch.testing.assert_close(layers, torch.stack([maps[key] for maps in single]).mean(0))


@pytest.mark.parametrize(
    ("config", "keys"),
    [({"depth": 0}, {"strided 1", "strided 2", "strided 3"}), ({"strides": ()}, {"temporal"})],
)
def test_one_encoder_alone(config, keys):
    lifter, windows = make("strided", **config)
    assert attention_maps(lifter, windows).keys() == keys


def test_what_is_refused():
    lifter, windows = make("mixste")
    for wrong in (windows[0], windows[:0]):
        with pytest.raises(ValueError, match="keypoints must be"):
            attention_maps(lifter, wrong)
    with pytest.raises(ValueError, match="evaluation mode"):
        attention_maps(lifter.train(), windows)
    with pytest.raises(ValueError, match="MixSTE takes"):
        attention_maps(lifter.eval(), windows[:, :4])
    assert not any(module._forward_pre_hooks for module in lifter.modules())
