"""Weights of the authors' making: recognised, loaded, and answering what their networks answer."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import lifters3d
from lifters3d.checkpoints import other_network, recognise
from tests.filling import filled
from tests.lifters3d.small import small, the_error
from tests.weights.torch_files import saved

DATA = Path(__file__).parents[1] / "data"


def golden(name):
    """The authors' input, output and weights; their names and shapes are the authors' too."""
    with np.load(DATA / f"{name}.npz") as file:
        entries = json.loads(bytes(file["keys_json"]))
        tensors = {key: torch.from_numpy(filled(key, shape)) for key, shape, _ in entries}
        return torch.from_numpy(file["input"]), file["output"], tensors


def training_state(tensors, prefix="module."):
    """As PoseFormer and MixSTE save it, but for the size of the optimizer's state."""
    return {
        "epoch": 5,
        "lr": 1e-4,
        "random_state": np.random.RandomState(0),
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-4}]},
        "model_pos": {prefix + key: tensor for key, tensor in tensors.items()},
    }


def shapes(lifter):
    return {key: tuple(tensor.shape) for key, tensor in lifter.state_dict().items()}


def answers_alike(lifter, other) -> bool:
    x = torch.randn(2, lifter.frames, lifter.joints, 2)
    with torch.inference_mode():
        return torch.equal(lifter(x), other(x))


# The authors' files ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wrap", "legacy", "lifter", "told", "atol"),
    [
        ("poseformer_f9", training_state, False, "poseformer", {"variant": "paper"}, 4e-6),
        ("poseformer_f9", training_state, True, "poseformer", {"variant": "paper"}, 4e-6),
        ("poseformer_demo_f9", dict, False, "poseformer", {"variant": "demo"}, 4e-6),
        ("strided_t27", dict, False, "strided", {"strides": [3, 3, 3], "kernel": 3}, 2e-5),
        ("strided_t27", dict, True, "strided", {"strides": [3, 3, 3], "kernel": 3}, 2e-5),
    ],
)
def test_authors_files(tmp_path, name, wrap, legacy, lifter, told, atol):
    keypoints, expected, tensors = golden(name)
    path = tmp_path / f"{name}.bin"
    path.write_bytes(saved(wrap(tensors), legacy))
    loaded = lifters3d.load(path)
    with torch.inference_mode():
        output = loaded(keypoints).numpy()
    np.testing.assert_allclose(output, expected, rtol=0, atol=atol)
    assert not loaded.training
    assert loaded.config.items() >= told.items()
    assert loaded.config["heads"] == 8
    assert loaded.convention == lifters3d.Convention("screen", "h36m", 50.0)
    assert loaded.weights_identity == {
        "name": path.name,
        "lifter": lifter,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def test_authors_mixste():
    keypoints, expected, tensors = golden("mixste_t27")
    loaded = lifters3d.load(training_state(tensors))
    with torch.inference_mode():
        output = loaded(keypoints).numpy()
    np.testing.assert_allclose(output, expected, rtol=0, atol=5e-6)  # as test_mixste: float32


def test_a_file_of_safetensors_without_our_header(tmp_path):
    lifter = small("poseformer")
    path = tmp_path / "converted.safetensors"
    save_file(lifter.state_dict(), path, metadata={"format": "pt"})
    loaded = lifters3d.load(path)
    assert answers_alike(loaded, lifter)
    assert loaded.convention == lifters3d.Convention("screen", "h36m", 50.0)


# Recognition by names and shapes -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "config"),
    [
        *(("mixste", {"frames": t}) for t in (1, 27, 81, 243)),
        ("mixste", {"frames": 243, "depth": 10, "width": 256, "mlp_ratio": 4.0}),
        *(("poseformer", {"frames": t}) for t in (9, 27, 81, 351)),
        ("poseformer", {"frames": 9, "variant": "demo", "depth": 2, "joints": 15}),
        ("poseformer-sta", {"frames": 27}),
        ("poseformer-sta", {"frames": 81, "reading": "depthwise"}),
        *(("strided", {"frames": t}) for t in (27, 81, 243, 351)),
        ("strided", {"frames": 27, "kernel": 1, "hidden": 1024, "width": 128}),
        ("strided", {"frames": 27, "strides": [], "depth": 6}),
        ("strided", {"frames": 81, "depth": 0}),
    ],
)
def test_every_lifter_is_recognised(name, config):
    with torch.device("meta"):
        lifter = lifters3d.build(name, **config)
        found, told = recognise(shapes(lifter))
        assert found == name
        if not lifter.config.get("strides", True):
            del lifter.config["kernel"]  # there is none
        assert told.items() >= lifter.config.items()
        again = lifters3d.build(found, **told)
    assert shapes(again) == shapes(lifter)


def test_sizes_of_the_authors_files():
    """Numbers that the papers and the authors' code give, not this program."""
    config = recognise({key: t.shape for key, t in golden("poseformer_f9")[2].items()})[1]
    assert config == {
        "frames": 9,
        "joints": 17,
        "width": 32,
        "depth": 4,
        "heads": 8,
        "mlp_ratio": 2.0,
        "variant": "paper",
    }
    config = recognise({key: t.shape for key, t in golden("strided_t27")[2].items()})[1]
    assert config == {
        "frames": 27,
        "joints": 17,
        "width": 256,
        "depth": 3,
        "heads": 8,
        "hidden": 512,
        "strides": [3, 3, 3],
        "kernel": 3,
    }


@pytest.mark.parametrize("ratio", [1.1, 1.7, 2.9, 3.3])
def test_feed_forward_widths_that_do_not_divide(ratio):
    lifter = small(width=56, mlp_ratio=ratio)
    assert answers_alike(lifters3d.load(lifter.state_dict()), lifter)


def test_what_tensors_do_not_tell():
    assert "receptive field cannot be told" in the_error(
        lifters3d.build("liftformer", frames=9, width=16).state_dict()
    )
    for strides in ([3, 3], [3, 3, 3, 3]):
        lifter = lifters3d.build("strided", frames=9, width=16, strides=strides)
        assert f"{len(strides)} strided layers" in the_error(lifter.state_dict())
    uneven = lifters3d.build("strided", frames=31, width=16, strides=[2, 4, 4])
    assert "no three strides" in the_error(uneven.state_dict())
    assert "must be a multiple of heads" in the_error(small(width=20, heads=4).state_dict())


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("liftformer", {"frames": 5, "width": 16, "depth": 1, "heads": 2, "causal": True}),
        ("strided", {"frames": 12, "width": 16, "depth": 1, "heads": 2, "strides": [4, 3]}),
        ("mixste", {"frames": 5, "width": 16, "depth": 1, "heads": 2}),
    ],
)
def test_the_header_of_our_files_wins(tmp_path, name, config):
    lifter = small(name, **config)
    lifters3d.save(lifter, name, tmp_path / "ours.safetensors", {}, half=False)
    loaded = lifters3d.load(tmp_path / "ours.safetensors")
    assert loaded.config.items() >= config.items()
    assert answers_alike(loaded, lifter)


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["stage4.0.branches.0.0.conv1.weight", "stage4.2.fuse_layers.0.1.0.weight"], "HRNet-W48"),
        (
            [
                "backbone.stage4.0.branches.0.0.conv1.weight",
                "backbone.stage4.0.fuse_layers.0.1.0.weight",
                "head.final_layer.weight",
            ],
            "HRNet-W48",
        ),
        (["post_refine.0.weight", "post_refine.3.bias"], "refine module"),
        (
            ["Freq_embedding.weight", "Temporal_pos_embed_", "Spatial_blocks.0.norm1.weight"],
            "PoseFormerV2",
        ),
        (["temp_embed", "blocks_st.0.norm1_s.weight", "head.weight"], "MotionBERT"),
        (["layers.0.att_spatial.norm1.weight", "layers.0.graph_spatial.norm1.weight"], "MotionAG"),
        (["Transformer_encoder_1.pos_embed", "Transformer_hypothesis.pos_embed_1"], "MHFormer"),
        (["expand_conv.weight", "layers_conv.0.weight", "shrink.weight"], "VideoPose3D"),
    ],
)
def test_networks_of_other_projects_are_named(names, what):
    tensors = {name: torch.zeros(48, 1) for name in names}
    assert what in other_network({name: t.shape for name, t in tensors.items()})
    for source in (tensors, training_state(tensors), {"state_dict": tensors, "meta": {"epoch": 3}}):
        message = the_error(source)
        assert what in message
        assert message.endswith("not a lifter that pose3d has")


@pytest.mark.parametrize("name", lifters3d.names())
def test_our_lifters_are_none_of_these(name):
    with torch.device("meta"):
        assert other_network(shapes(lifters3d.build(name, frames=27))) == ""


# Wrappers and prefixes ---------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "module.", "module.module."])
@pytest.mark.parametrize(
    "wrappers",
    [
        [],
        ["model_pos"],
        ["model"],
        ["state_dict"],
        ["model_state_dict"],
        ["net"],
        ["state_dict", "model_pos"],
        ["net", "model"],
    ],
)
def test_wrappers(prefix, wrappers):
    lifter = small()
    content = {prefix + key: tensor for key, tensor in lifter.state_dict().items()}
    for wrapper in wrappers:
        content = {"epoch": 3, wrapper: content, "optimizer": {"state": {}}, "args": None}
    loaded = lifters3d.load(content)
    assert answers_alike(loaded, lifter)
    assert loaded.weights_identity["name"] == "(tensors in memory)"


def test_a_prefix_before_some_names_only():
    lifter = small()
    content = {
        ("module." if number % 2 else "") + key: tensor
        for number, (key, tensor) in enumerate(lifter.state_dict().items())
    }
    assert answers_alike(lifters3d.load(content), lifter)
    content["module.head.1.bias"] = content["head.1.bias"] = torch.zeros(3)
    assert "holds head.1.bias twice" in the_error(content)


def test_a_module_inside_of_a_name_stays():
    lifter = small("poseformer-sta")
    assert any(".module." in key for key in lifter.state_dict())
    content = {f"module.{key}": tensor for key, tensor in lifter.state_dict().items()}
    assert answers_alike(lifters3d.load(content), lifter)


def test_tensors_in_memory_are_told_apart_by_their_values():
    lifter = small()
    state = lifter.state_dict()
    one = lifters3d.load(state).weights_identity
    backwards = dict(reversed(state.items()))
    assert lifters3d.load({"model": backwards}).weights_identity == one
    assert one["lifter"] == "mixste"
    assert len(one["sha256"]) == 64
    state["head.1.bias"][0] += 1e-6
    assert lifters3d.load(state).weights_identity["sha256"] != one["sha256"]


def test_tensors_in_memory_stay_the_callers():
    state = {key: torch.nn.Parameter(t) for key, t in small().state_dict().items()}
    loaded = lifters3d.load(state)
    before = {key: tensor.clone() for key, tensor in state.items()}
    with torch.no_grad():
        for parameter in loaded.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(state[key], before[key]) for key in state)
    assert all(parameter.requires_grad for parameter in loaded.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(dtype):
    for lifter in (small(), small("strided")):  # which has counters too
        rough = {
            key: tensor.to(dtype) if tensor.is_floating_point() else tensor
            for key, tensor in lifter.state_dict().items()
        }
        for key, tensor in lifters3d.load(rough).state_dict().items():
            assert tensor.dtype == lifter.state_dict()[key].dtype
            assert torch.equal(tensor, rough[key].to(tensor.dtype))


def test_loading_leaves_the_random_numbers_alone():
    state = small("strided").state_dict()
    before = torch.get_rng_state()
    lifters3d.load(state)
    assert torch.equal(torch.get_rng_state(), before)
