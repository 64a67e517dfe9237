"""What every lifter promises, whatever the paper: shapes, errors, training, windows."""

import functools
import re

import pytest
import torch
from torch import nn

import lifters3d
from tests.filling import filled
from weights.errors import Pose3dError

FRAMES = 9
LIFTFORMER = {"width": 32, "depth": 2, "heads": 4, "hidden": 48}
MIXSTE = {"width": 32, "depth": 2, "heads": 4}
POSEFORMER = {"width": 8, "depth": 2, "heads": 4}
STRIDED = {"width": 32, "depth": 2, "heads": 4, "hidden": 48}
SMALL = {
    "liftformer": LIFTFORMER,
    "mixste": MIXSTE,
    "poseformer": POSEFORMER,
    "poseformer-sta": POSEFORMER,
    "strided": STRIDED,
}
VARIANTS: dict[str, tuple[str, dict]] = {
    "liftformer": ("liftformer", {}),
    "liftformer causal": (
        "liftformer",
        {"causal": True, "norm_first": True, "share_attention": True},
    ),
    "mixste": ("mixste", {}),
    "poseformer": ("poseformer", {}),
    "poseformer demo": ("poseformer", {"variant": "demo"}),
    "poseformer-sta": ("poseformer-sta", {}),
    "poseformer-sta depthwise": ("poseformer-sta", {"reading": "depthwise"}),
    "strided": ("strided", {}),
    "strided kernel 1": ("strided", {"kernel": 1, "strides": [3, 4]}),
    "strided VTE alone": ("strided", {"strides": []}),
    "strided STE alone": ("strided", {"depth": 0}),
}
OUTPUTS = {"liftformer causal": "last", "mixste": "sequence", "poseformer demo": "sequence"}
BY_FRAMES = [name for name in VARIANTS if name != "mixste"]  # these compute single frames apart
TRAINED_ON_ALL = [name for name in BY_FRAMES if name != "strided STE alone"]
# In the authors' checkpoints, but never applied.
NEVER_APPLIED = ("Transformer.model.norm.", "Transformer_reduce.model.norm.")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def small(variant: str, **config) -> nn.Module:
    """A small network of a kind, in evaluation mode, whose every weight matters."""
    name, more = VARIANTS[variant]
    lifter = lifters3d.build(name, **({"frames": FRAMES} | SMALL[name] | more | config))
    lifter.load_state_dict({k: weights(k, v.shape) for k, v in lifter.state_dict().items()})
    return lifter.eval()


@functools.cache
def weights(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(filled(name, shape))


def windows(batch: int) -> torch.Tensor:
    return torch.randn(batch, FRAMES, 17, 2, generator=torch.Generator().manual_seed(batch))


@pytest.mark.filterwarnings("ignore:std_mean")  # the Strided Transformer's norms of no tokens
@pytest.mark.parametrize("batch", [0, 1, 3])
@pytest.mark.parametrize("variant", VARIANTS)
def test_shapes(variant, batch):
    lifter = small(variant)
    assert lifter.output == OUTPUTS.get(variant, "center")
    assert (lifter.frames, lifter.joints) == (FRAMES, 17)
    poses = lifter(windows(batch))
    assert poses.shape == (batch, FRAMES if lifter.output == "sequence" else 1, 17, 3)
    assert poses.dtype == torch.float32
    assert poses.isfinite().all()


@pytest.mark.parametrize(
    ("variant", "frames"),
    [
        ("liftformer", 243),
        ("mixste", 81),
        ("mixste", 243),
        ("poseformer", 27),
        ("poseformer", 81),
        ("poseformer-sta", 81),
        ("strided", 243),
        ("strided", 351),
        ("poseformer", 1),
        ("strided", 1),
        ("mixste", 4),
        ("liftformer", 4),
    ],
)
def test_receptive_fields(variant, frames):
    lifter = small(variant, frames=frames)
    with torch.inference_mode():
        poses = lifter(torch.randn(1, frames, 17, 2))
    assert poses.shape == (1, frames if lifter.output == "sequence" else 1, 17, 3)
    assert poses.isfinite().all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_fifteen_joints(variant):
    """The skeleton of HumanEva."""
    lifter = small(variant, joints=15)
    assert lifter(torch.randn(2, FRAMES, 15, 2)).shape[2:] == (15, 3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_wrong_input_shapes_are_refused(variant):
    lifter = small(variant)
    calls = [lifter] if variant == "mixste" else [lifter, lifter.forward_training]
    frames, joints, channels = [(1, 8, 17, 2), (1, 10, 17, 2)], (1, 9, 16, 2), (1, 9, 17, 3)
    for shape in [*frames, joints, channels, (9, 17, 2), (1, 9, 34), (9,)]:
        for call in calls:
            with pytest.raises(ValueError, match=re.escape(f"takes (B, 9, 17, 2), got {shape}")):
                call(torch.zeros(shape))


def refusal(name: str, **config) -> str:
    """The message with which a network is refused: one line."""
    with pytest.raises(Pose3dError) as caught:
        lifters3d.build(name, **({"frames": FRAMES} | SMALL[name] | config))
    message = str(caught.value)
    assert message.startswith(f"lifter {name}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", lifters3d.names())
@pytest.mark.parametrize("argument", ["frames", "joints", "width", "depth", "heads"])
def test_counts_must_be_whole_numbers_above_zero(name, argument):
    for value in [0, -1, 2.5, True, "3", None]:
        if (name, argument, value) == ("strided", "depth", 0):
            continue  # leaves the VTE out
        words = f"{argument} must be a whole number above zero, not {value!r}"
        assert words in refusal(name, **{argument: value})


@pytest.mark.parametrize("name", lifters3d.names())
def test_heads_must_divide_the_width(name):
    assert "must be a multiple of heads (3)" in refusal(name, heads=3)


@pytest.mark.parametrize("name", ["mixste", "poseformer", "poseformer-sta"])
@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("mlp_ratio", 0),
        ("mlp_ratio", -2.0),
        ("mlp_ratio", float("inf")),
        ("mlp_ratio", float("nan")),
        ("drop_path", 1.0),
        ("drop_path", -0.5),
    ],
)
def test_ratios_and_rates(name, argument, value):
    assert re.search(
        f"{argument} must .* not {re.escape(str(value))}$", refusal(name, **{argument: value})
    )


@pytest.mark.parametrize(
    ("name", "argument", "value", "words"),
    [
        ("poseformer", "variant", "papers", "variant must be paper or demo, not 'papers'"),
        ("poseformer-sta", "reading", "both", "reading must be grouped or depthwise, not 'both'"),
        ("liftformer", "dropout", 1.5, "between 0 and 1"),
        ("liftformer", "hidden", 0, "hidden must be"),
        ("strided", "hidden", 0, "hidden must be"),
        ("strided", "kernel", 2, "kernel must be 1 or 3, not 2"),
        ("strided", "input_dropout", -0.1, "between 0 and 1"),
    ],
)
def test_other_settings(name, argument, value, words):
    assert words in refusal(name, **{argument: value})


@pytest.mark.parametrize("variant", VARIANTS)
def test_config_builds_the_same_network(variant):
    lifter = small(variant)
    name, _ = VARIANTS[variant]
    again = lifters3d.build(name, **lifter.config)
    assert again.config == lifter.config
    again.load_state_dict(lifter.state_dict(), strict=True)
    assert torch.equal(again.eval()(windows(2)), lifter(windows(2)))


@pytest.mark.parametrize("variant", VARIANTS)
def test_networks_are_built_without_memory(variant):
    """On the meta device; all that is not in the weights (position encodings) is there at once."""
    lifter = small(variant)
    name, _ = VARIANTS[variant]
    with torch.device("meta"):
        again = lifters3d.build(name, **lifter.config)
    assert all(parameter.is_meta for parameter in again.parameters())
    again.load_state_dict(lifter.state_dict(), strict=True, assign=True)
    assert torch.equal(again.eval()(windows(2)), lifter(windows(2)))


@pytest.mark.parametrize("variant", VARIANTS)
def test_windows_of_a_batch_do_not_see_each_other(variant):
    lifter, x = small(variant), windows(3)
    alone = torch.cat([lifter(window[None]) for window in x])
    torch.testing.assert_close(lifter(x), alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_all_frames_and_joints_are_seen(variant):
    """The gradient of one joint reaches every joint of every frame."""
    x = windows(1).requires_grad_()
    small(variant)(x)[0, -1, 13, 2].backward()
    assert (x.grad.abs().sum(-1) > 0).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_order_of_frames_counts(variant):
    lifter, x = small(variant), windows(1)
    mirrored = x.flip(1)
    mirrored[:, [0, 4, 8]] = x[:, [0, 4, 8]]  # neither the frame that is read nor the ends
    assert (lifter(mirrored)[:, -1] - lifter(x)[:, -1]).abs().max() > 1e-3


@pytest.mark.parametrize("variant", BY_FRAMES)
def test_frames_can_be_encoded_once_for_all_windows(variant):
    lifter = small(variant)
    sequence = torch.randn(25, 17, 2)
    index = torch.arange(25 - FRAMES + 1)[:, None] + torch.arange(FRAMES)
    with torch.inference_mode():
        tokens = lifter.encode_frames(sequence)
        at_once = lifter.lift_window(tokens[index])
        one_by_one = torch.cat([lifter(sequence[window][None]) for window in index])
    assert len(tokens) == 25
    torch.testing.assert_close(at_once, one_by_one, rtol=0, atol=1e-5)
    assert one_by_one.std(dim=0).min() > 1e-3  # the windows do differ


@pytest.mark.parametrize("variant", VARIANTS)
def test_fused_attention_agrees(variant, monkeypatch):
    """Long windows take torch's fused attention, short ones the products written out."""
    lifter, x = small(variant), windows(2)
    written_out = lifter(x)
    monkeypatch.setattr("lifters3d.layers.FUSED_FROM", 1)
    torch.testing.assert_close(lifter(x), written_out, rtol=0, atol=1e-5)


# Training


def training_outputs(lifter: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return lifter.forward_training(x) if hasattr(lifter, "forward_training") else (lifter(x),)


@pytest.mark.parametrize("variant", TRAINED_ON_ALL)
def test_training_adds_poses_of_all_frames(variant):
    lifter, x = small(variant), windows(2)
    single, full, *_ = lifter.forward_training(x)
    torch.testing.assert_close(single, lifter(x), rtol=0, atol=1e-5)
    assert full.shape == (2, FRAMES, 17, 3)


@pytest.mark.parametrize("variant", [*TRAINED_ON_ALL, "mixste"])
def test_every_parameter_learns(variant):
    lifter = small(variant).train()
    sum(output.square().mean() for output in training_outputs(lifter, windows(6))).backward()
    for name, parameter in lifter.named_parameters():
        if name.startswith(NEVER_APPLIED):
            assert parameter.grad is None, name
            continue
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # Biases before a batch norm, and those of keys, change nothing.
        if parameter.ndim > 1:
            assert parameter.grad.abs().max() > 1e-6, name


@pytest.mark.parametrize("variant", VARIANTS)
def test_training_is_random_and_evaluation_is_not(variant):
    lifter, x = small(variant), windows(4)
    assert torch.equal(lifter(x), lifter(x))
    lifter.train()
    assert not torch.allclose(lifter(x), lifter(x), atol=1e-3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_without_dropout_training_is_not_random(variant):
    name, _ = VARIANTS[variant]
    rates = {"liftformer": ["dropout"], "strided": ["dropout", "input_dropout"]}
    config = dict.fromkeys(rates.get(name, ["drop_path"]), 0.0)
    lifter, x = small(variant, **config).train(), windows(4)
    assert torch.equal(lifter(x), lifter(x))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("variant", [*TRAINED_ON_ALL, "mixste"])
def test_bfloat16_autocast_stays_near(variant, training):
    lifter, x = small(variant).train(training), windows(4)
    torch.manual_seed(0)
    exact = training_outputs(lifter, x)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        rough = training_outputs(lifter, x)
    for one, other in zip(rough, exact, strict=True):
        assert one.dtype == torch.float32
        # bfloat16 keeps 8 bits; a dozen roundings in a row are well under a tenth of the spread.
        error = (one - other).square().mean().sqrt() / other.std()
        assert 1e-5 < error < 0.05


@pytest.mark.parametrize("variant", VARIANTS)
def test_double_precision(variant):
    lifter, x = small(variant), windows(2)
    single = lifter(x)
    double = lifter.double()(x.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=0, atol=2e-5)
    if variant in TRAINED_ON_ALL:
        assert all(output.dtype == torch.float64 for output in training_outputs(lifter, x.double()))
