import hashlib
import os
import pickle

import pytest
import torch

import lifters3d
from lifters3d.registry import weights_path
from weights.errors import Pose3dError
from weights.reading import read_weights, write_weights

CONFIG = {"frames": 3, "joints": 17, "width": 8, "depth": 1, "heads": 2, "mlp_ratio": 2.0}
CONVENTION = {"normalisation": "person", "joints": "derived", "frame_rate": 30.0}
HEADER = {"lifter": "mixste", "config": CONFIG, "convention": CONVENTION, "training": {}}


@pytest.fixture
def lifter():
    lifter = lifters3d.build("mixste", **CONFIG)
    with torch.no_grad():
        for parameter in lifter.parameters():
            parameter.normal_()
    lifter.convention = lifters3d.Convention(**CONVENTION)
    return lifter


@pytest.fixture
def path(tmp_path):
    return tmp_path / "small.safetensors"


def the_error(source) -> str:
    """The message with which ``load`` fails: one short line."""
    with pytest.raises(Pose3dError) as caught:
        lifters3d.load(source)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


def test_names_and_build():
    assert lifters3d.names() == ["liftformer", "mixste", "poseformer", "poseformer-sta", "strided"]
    lifter = lifters3d.build("mixste", frames=5, width=16, depth=2, heads=4)
    assert (lifter.frames, lifter.joints, lifter.output) == (5, 17, "sequence")
    assert lifter.convention == lifters3d.Convention("screen", "h36m", None)
    assert lifter(torch.zeros(1, 5, 17, 2)).shape == (1, 5, 17, 3)


@pytest.mark.parametrize(
    ("name", "config", "words"),
    [
        ("mixts", {}, "did you mean mixste"),
        ("resnet", {}, "unknown lifter 'resnet': choose one of liftformer, mixste, "),
        ("mixste", {"window": 5}, "window"),
        ("mixste", {"width": 30, "heads": 8}, "multiple of heads"),
        ("mixste", {"frames": -1}, "lifter mixste"),
        ("mixste", {"frames": "3"}, "lifter mixste"),
    ],
)
def test_build_errors(name, config, words):
    with pytest.raises(Pose3dError, match=words):
        lifters3d.build(name, **config)


def test_round_trip(lifter, path):
    lifters3d.save(lifter, "mixste", path, {"steps_made": 7}, half=False)
    again = lifters3d.load(path)
    assert not again.training
    assert again.config == CONFIG
    assert again.convention == lifters3d.Convention(**CONVENTION)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    expected = {"name": "small.safetensors", "lifter": "mixste", "sha256": sha256}
    assert again.weights_identity == expected
    assert read_weights(path)[1]["training"] == {"steps_made": 7}
    x = torch.randn(2, 3, 17, 2)
    assert torch.equal(again(x), lifter.eval()(x))
    assert os.listdir(path.parent) == [path.name]


def test_half_precision_round_trip(lifter, path):
    lifters3d.save(lifter, "mixste", path, {}, half=False)
    whole = path.stat().st_size
    lifters3d.save(lifter, "mixste", path, {})
    values = sum(p.numel() for p in lifter.parameters())
    assert whole - path.stat().st_size == pytest.approx(2 * values, abs=200)
    again = lifters3d.load(path).state_dict()
    for key, tensor in lifter.state_dict().items():
        assert again[key].dtype == torch.float32
        torch.testing.assert_close(again[key], tensor, rtol=2**-11, atol=2**-24)


def test_saving_does_not_change_the_lifter(lifter, path):
    before = {key: tensor.clone() for key, tensor in lifter.state_dict().items()}
    lifters3d.save(lifter, "mixste", path, {})
    for key, tensor in lifter.state_dict().items():
        assert torch.equal(tensor, before[key])
        assert tensor.dtype == torch.float32


def test_unknown_names():
    assert "did you mean mixste?" in the_error("mixtse")
    message = the_error("somebody")
    assert "unknown lifter 'somebody'" in message
    assert "mixste" in message


def test_missing_file(tmp_path):
    missing = tmp_path / "missing.safetensors"
    assert the_error(missing) == f"{missing}: no such weights file"
    assert the_error(str(missing)) == f"{missing}: no such weights file"
    assert the_error(tmp_path) == f"{tmp_path}: a folder, not a weights file"


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated_file(lifter, path, share):
    lifters3d.save(lifter, "mixste", path, {})
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    message = the_error(path)
    assert message.startswith(f"{path}: not a readable safetensors file")


def test_a_pickle_is_not_run(lifter, path):
    sprung = path.with_name("sprung")

    class Trap:
        def __reduce__(self):
            return type(sprung).touch, (sprung,)

    for content in (pickle.dumps(Trap()), pickle.dumps({"state_dict": Trap()}, protocol=0)):
        path.write_bytes(content)
        assert "not a readable safetensors file" in the_error(path)
    torch.save(lifter.state_dict(), path)
    assert "not a readable safetensors file" in the_error(path)
    assert not sprung.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 16}, "size mismatch"),
        ({"frames": 5}, "size mismatch for Temporal_pos_embed"),
        ({"depth": CONFIG["depth"] + 1}, "Missing key"),
    ],
)
def test_weights_of_another_network(lifter, path, change, words):
    write_weights(path, lifter.state_dict(), HEADER | {"config": CONFIG | change})
    message = the_error(path)
    assert message.startswith(f"{path}: weights do not fit mixste")
    assert words in message


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(lifter, path, number):
    state = lifter.state_dict()
    state["head.1.bias"] = torch.tensor([0.0, number, 0.0])
    write_weights(path, state, HEADER)
    assert "head.1.bias holds numbers that are not finite" in the_error(path)


def test_entries_too_many_or_too_few(lifter, path):
    state = lifter.state_dict()
    write_weights(path, state | {"extra": torch.zeros(2)}, HEADER)
    assert '"extra"' in the_error(path)
    del state["head.1.bias"]
    write_weights(path, state, HEADER)
    assert "head.1.bias" in the_error(path)


@pytest.mark.parametrize(
    "header",
    [
        [],
        5,
        {},
        {"lifter": "mixste"},
        HEADER | {"lifter": "nobody"},
        HEADER | {"lifter": 5},
        HEADER | {"lifter": []},
        HEADER | {"config": None},
        HEADER | {"config": CONFIG | {"heads": 3}},
        HEADER | {"config": CONFIG | {"heads": 0}},
        HEADER | {"config": CONFIG | {"frames": -3}},
        HEADER | {"config": CONFIG | {"frames": "3"}},
        HEADER | {"config": CONFIG | {"width": 2**40}},
        HEADER | {"config": CONFIG | {"window": 3}},
        HEADER | {"convention": {"scale": 1}},
        HEADER | {"convention": "person"},
        HEADER | {"convention": CONVENTION | {"normalisation": "persn"}},
        HEADER | {"convention": CONVENTION | {"joints": []}},
        HEADER | {"convention": CONVENTION | {"frame_rate": 0}},
        HEADER | {"convention": CONVENTION | {"frame_rate": "fast"}},
    ],
)
def test_headers_of_nonsense(lifter, path, header):
    write_weights(path, lifter.state_dict(), header)
    assert the_error(path).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "values", [{"normalisation": "Screen"}, {"joints": "coco"}, {"frame_rate": -30.0}]
)
def test_convention_refuses_unknown_values(values):
    with pytest.raises(ValueError, match=r"none of|frame rate"):
        lifters3d.Convention(**values)


def test_shipped_weights():
    path = weights_path("mixste")
    assert path.is_file()
    assert path.stat().st_size < 12e6
    lifter = lifters3d.load("mixste")
    assert lifter.weights_identity["name"] == "mixste"
    assert not lifter.training
    assert 2e6 < sum(p.numel() for p in lifter.parameters()) < 6e6
    config = lifter.config
    assert config["joints"] == 17
    assert 27 <= config["frames"] <= 243
    assert 2 <= config["depth"] <= 8
    assert config["width"] % config["heads"] == 0
    assert lifter.convention == lifters3d.Convention("person", "derived", 30.0)
    assert all(p.isfinite().all() for p in lifter.parameters())
    training = read_weights(path)[1]["training"]
    assert training["steps_made"] > 0
    assert not any("/" in str(value) for value in training.values())
