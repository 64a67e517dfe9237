"""Weights that do not fit: one line says which tensors, and nothing is dropped silently."""

import pytest
import torch

import lifters3d
from tests.lifters3d.small import SMALL, small, the_error
from tests.weights.torch_files import saved


def test_a_missing_a_strange_and_a_misshapen_tensor(tmp_path):
    state = small("poseformer").state_dict()
    del state["blocks.1.mlp.fc2.bias"]
    state["extra.weight"] = torch.zeros(2)
    state["head.1.weight"] = torch.zeros(48, 272)
    path = tmp_path / "model.bin"
    path.write_bytes(saved({"model_pos": state}))
    assert the_error(path) == (
        f"{path}: weights do not fit poseformer: "
        'Missing keys: "blocks.1.mlp.fc2.bias"; '
        'Unexpected keys: "extra.weight"; '
        "size mismatch for head.1.weight (48, 272) instead of (51, 272)"
    )


def test_many_are_counted():
    state = small("poseformer").state_dict()
    for key in list(state):
        if key.startswith("Spatial_blocks.0."):
            state[f"old.{key}"] = state.pop(key)
    message = the_error(state)
    assert '"Spatial_blocks.0.norm1.weight", ' in message
    assert "and 9 more; Unexpected keys" in message


def test_layers_that_are_not_there():
    state = small(depth=3).state_dict()
    cut = {key: t for key, t in state.items() if not key.startswith("TTEblocks.2.")}
    assert 'Missing keys: "TTEblocks.2.norm1.weight"' in the_error(cut)
    holed = {key: t for key, t in state.items() if "blocks.1." not in key}
    assert "Missing keys" in the_error(holed)
    far = state | {"STEblocks.99999999999.norm1.weight": torch.zeros(16)}
    assert "STEblocks.99999999999" in the_error(far)


@pytest.mark.parametrize(
    ("lifter", "name"),
    [
        ("mixste", "Temporal_pos_embed"),
        ("mixste", "STEblocks.0.mlp.fc1.weight"),
        ("poseformer", "Spatial_pos_embed"),
        ("poseformer-sta", "Spatial_blocks.0.module.conv_a.weight"),
        ("strided", "encoder.0.weight"),
        ("strided", "Transformer.pos_embedding"),
        ("strided", "Transformer_reduce.model.layers.0.feed_forward.w_1.weight"),
    ],
)
def test_tensors_that_tell_the_size(lifter, name):
    state = small(lifter).state_dict()
    without = {key: tensor for key, tensor in state.items() if key != name}
    assert f"{name} is missing" in the_error(without)
    for shape in ((), (16,), (1, 2, 3, 4), (1, 0, 16), (0, 0)):
        assert f"{name} has the shape" in the_error(state | {name: torch.zeros(shape)})


def test_a_size_that_no_memory_could_hold():
    """Told from the shapes, before a network of that size is made."""
    huge = small().state_dict() | {"Spatial_pos_embed": torch.zeros(1, 1, 400_000)}
    assert "size mismatch" in the_error(huge)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "holds no network"),
        ({"epoch": 5, "lr": 0.1}, 'holds no network, only "epoch", "lr"'),
        ({"model": {}}, "holds no network"),
        ({"w": torch.zeros(2)}, 'weights of no network that pose3d knows (1 tensors: "w")'),
        ({3: torch.zeros(2)}, "weights of no network"),
        ({"model": {"model": {"model": {"w": torch.zeros(2)}}}}, "holds no network"),
    ],
)
def test_mappings_of_anything(content, words):
    assert words in the_error(content)


def test_entries_that_are_no_tensors_are_not_dropped_silently():
    state = small().state_dict() | {"epoch": 5}
    assert 'Unexpected keys: "epoch"' in the_error(state)
    whole = small().state_dict()
    whole["head.1.bias"] = whole["head.1.bias"].to(torch.int8)
    assert "of the wrong type: head.1.bias torch.int8" in the_error(whole)
    with torch.device("meta"):
        assert "meta device" in the_error(lifters3d.build("mixste", **SMALL).state_dict())


def test_a_list_of_tensors(tmp_path):
    path = tmp_path / "list.pth"
    path.write_bytes(saved([torch.zeros(2)]))
    assert the_error(path).startswith(f"{path}: holds no network")
