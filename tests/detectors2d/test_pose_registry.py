"""HRNets by name, from files of every known wrapping, and the lines that refuse the rest."""

import hashlib
import subprocess
import sys
from collections import OrderedDict
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import detectors2d
import lifters3d
from detectors2d.registry import build_pose, load_pose, pose_names, save_pose
from tests.detectors2d.hrnets import answers_alike, pictures, small, the_error
from tests.weights.torch_files import saved
from weights.errors import Pose3dError
from weights.reading import write_weights

IMAGENET = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}


@pytest.fixture(scope="module")
def network():
    return small()


@pytest.fixture
def state(network):
    return network.state_dict()


# Wrappers ----------------------------------------------------------------------------------------


def plain(state):
    return state


def authors_training(state):
    parallel = {f"module.{key}": tensor for key, tensor in state.items()}
    return {
        "epoch": 210,
        "model": "pose_hrnet",
        "state_dict": parallel,
        "best_state_dict": state,
        "perf": 0.744,
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-5}]},
    }


def mmpose(state, head, meta):
    renamed = OrderedDict(
        (f"{head}.{key}" if key.startswith("final_layer") else f"backbone.{key}", tensor)
        for key, tensor in state.items()
    )
    return {"meta": meta, "state_dict": renamed}


def mmpose_0(state):
    text = "model = dict(type='TopDown', test_cfg=dict(flip_test=True))  # use_udp = False"
    return mmpose(
        state, "keypoint_head", {"mmpose_version": "0.18.0", "config": text, "epoch": 210}
    )


def mmpose_1(state):
    """Its meta holds arrays too."""
    meta = {"cfg": "codec = dict(type='MSRAHeatmap')", "dataset_meta": {"sigmas": np.ones(17)}}
    content = mmpose(state, "head", meta)
    for name, values in IMAGENET.items():
        content["state_dict"][f"data_preprocessor.{name}"] = torch.tensor(values).view(3, 1, 1)
    return content | {"message_hub": {"log_scalars": {}}, "param_schedulers": []}


@pytest.mark.parametrize(
    ("wrap", "legacy"),
    [(plain, True), (plain, False), (authors_training, True), (mmpose_0, True), (mmpose_1, False)],
)
def test_files_of_others(tmp_path, network, state, wrap, legacy):
    path = tmp_path / "pose_hrnet.pth"
    path.write_bytes(saved(wrap(state), legacy))
    loaded = load_pose(path)
    assert not loaded.training
    assert answers_alike(loaded, network)
    assert loaded.config == network.config
    assert loaded.weights_identity == {
        "name": "pose_hrnet.pth",
        "network": "hrnet-w8",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


@pytest.mark.parametrize("wrap", [plain, authors_training, mmpose_0, mmpose_1])
def test_tensors_in_memory(network, state, wrap):
    loaded = load_pose(wrap(state))
    assert answers_alike(loaded, network)
    assert loaded.weights_identity["name"] == "(tensors in memory)"
    again = load_pose(dict(reversed(state.items())))
    assert loaded.weights_identity == again.weights_identity
    with torch.no_grad():
        loaded.conv1.weight.fill_(0)
    assert state["conv1.weight"].any()  # stays the caller's


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("pose_hrnet_w48_384x288.pth", (288, 384)),
        ("td-hm_hrnet-w48_8xb32-210e_coco-384x288-c161b7de_20220915.pth", (288, 384)),
        ("hrnet_w32_coco_256x192-c78dce93_20200708.pth", (192, 256)),
        ("clip_1920x1080.pth", (192, 256)),
        ("model_best.pth", (192, 256)),
    ],
)
def test_the_input_size_is_in_the_names_of_published_files(tmp_path, state, name, size):
    path = tmp_path / name
    path.write_bytes(saved(state))
    assert load_pose(path).input_size == size
    if size != (192, 256):
        assert load_pose(path, input_size=(64, 96)).input_size == (64, 96)


def test_other_precisions_become_float32(state):
    rough = {k: t.half() if t.is_floating_point() else t for k, t in state.items()}
    loaded = load_pose(rough)
    assert {t.dtype for t in loaded.state_dict().values()} == {torch.float32, torch.int64}
    assert torch.equal(loaded.conv1.weight, state["conv1.weight"].half().float())


# Files of ours -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        {"input_size": (96, 128)},
        {"cam_blocks": 2, "gate": "full"},
        {"cam_blocks": 3, "neutral": False},
    ],
)
def test_ours(tmp_path, config):
    network = small(**config)
    path = tmp_path / "ours.safetensors"
    save_pose(network, path, {"data": "none"}, half=False)
    loaded = load_pose(path)
    assert loaded.config == network.config
    assert loaded.input_size == network.input_size
    assert answers_alike(loaded, network)
    assert loaded.weights_identity["network"] == (
        "hrnet-w8-cam" if "cam_blocks" in config else "hrnet-w8"
    )


def test_half_precision_stays_near(tmp_path, network):
    path = tmp_path / "ours.safetensors"
    save_pose(network, path, {})
    with torch.inference_mode():
        expected = network(pictures())
        off = load_pose(path)(pictures()) - expected
    assert 0 < off.abs().max() < 0.05 * expected.std()


def test_numbers_too_large_for_half_precision(tmp_path):
    network = small()
    network.bn1.running_var[0] = 1e5
    with pytest.raises(Pose3dError, match=r"bn1\.running_var does not fit into fp16"):
        save_pose(network, tmp_path / "ours.safetensors", {})


def test_safetensors_without_our_header(tmp_path, network, state):
    save_file(state, tmp_path / "converted.safetensors")
    assert answers_alike(load_pose(tmp_path / "converted.safetensors"), network)


# Channel attention -------------------------------------------------------------------------------


@pytest.mark.parametrize(("blocks", "neutral"), [(1, True), (4, False)])
def test_attention_is_told_by_names(blocks, neutral):
    network = small(cam_blocks=blocks, neutral=neutral, gate="full")
    loaded = load_pose(network.state_dict(), gate="full")
    assert loaded.config == network.config
    assert answers_alike(loaded, network)
    assert "do not tell its gate" in the_error(network.state_dict())
    other = 5 - blocks
    message = the_error(network.state_dict(), cam_blocks=other, gate="full")
    assert message.endswith(f"cam_blocks of these weights is {blocks}")


def test_a_file_of_ours_knows_its_gate(tmp_path):
    path = tmp_path / "cam.safetensors"
    save_pose(small(cam_blocks=2, gate="full"), path, {})
    assert load_pose(path, cam_blocks=2).config["gate"] == "full"
    assert the_error(path, gate="literal").endswith("gate of these weights is full")


def test_plain_weights_of_ours_can_grow(tmp_path, network):
    path = tmp_path / "plain.safetensors"
    save_pose(network, path, {}, half=False)
    grown = load_pose(path, cam_blocks=2)
    assert answers_alike(grown, network)
    assert grown.weights_identity["network"] == "hrnet-w8-cam"
    assert answers_alike(load_pose(path, cam_blocks=0), network)
    assert "from 0 to 4" in the_error(path, cam_blocks=7)


def test_growing_forgives_nothing_else(state):
    lame = {key: tensor for key, tensor in state.items() if key != "stage4.0.branches.0.3.bn2.bias"}
    message = the_error(lame, cam_blocks=4)
    assert message.endswith('hrnet-w8-cam: Missing keys: "stage4.0.branches.0.3.bn2.bias"')


# Refusals ----------------------------------------------------------------------------------------


def test_a_missing_a_strange_and_a_misshapen_tensor(tmp_path, state):
    del state["layer1.0.bn1.bias"]
    state["extra.weight"] = torch.zeros(2)
    state["final_layer.bias"] = torch.zeros(16)
    path = tmp_path / "model.pth"
    path.write_bytes(saved({"state_dict": state}))
    assert the_error(path) == (
        f"{path}: weights do not fit hrnet-w8: "
        'Missing keys: "layer1.0.bn1.bias"; '
        'Unexpected keys: "extra.weight"; '
        "size mismatch for final_layer.bias (16,) instead of (17,)"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s | {"epoch": 3}, 'Unexpected keys: "epoch"'),
        (lambda s: s | {"module.conv1.weight": s["conv1.weight"]}, "holds conv1.weight twice"),
        (lambda s: s | {"bn1.bias": torch.full((64,), torch.nan)}, "not finite"),
        (lambda s: s | {"bn1.bias": torch.zeros(64, dtype=torch.int8)}, "of the wrong type"),
        (
            lambda s: {k: t for k, t in s.items() if not k.startswith("final_layer")},
            "without final_layer, which finds no joints",
        ),
        (
            lambda s: s | {"stage2.0.branches.0.0.conv1.weight": torch.zeros(0)},
            "stage2.0.branches.0.0.conv1.weight has the shape (0,)",
        ),
        (
            lambda s: s | {"stage2.0.branches.0.0.conv1.weight": torch.zeros(100_000, 1, 1, 1)},
            "size mismatch",
        ),
        (lambda s: s | {"stage9.0.weight": torch.zeros(2)}, 'Unexpected keys: "stage9.0.weight"'),
        (lambda s: {}, "holds no network"),
        (lambda s: {"epoch": 3}, 'holds no network, only "epoch"'),
        (lambda s: {"w": torch.zeros(2)}, 'no 2D network that pose3d knows (1 tensors: "w")'),
        (lambda s: {"meta": None, "state_dict": {"w": 3}}, "holds no network"),
        (
            lambda s: mmpose(s, "keypoint_head", {"config": "dict(use_udp=True)"}),
            "trained with UDP",
        ),
        (lambda s: mmpose(s, "head", {"cfg": "dict(type='UDPHeatmap')"}), "trained with UDP"),
        (
            lambda s: s | {"data_preprocessor.mean": torch.tensor([0.0, 0.0, 0.0])},
            "data_preprocessor.mean of [0.0, 0.0, 0.0], not ImageNet's",
        ),
        (lambda s: s | {"data_preprocessor.x": torch.zeros(3)}, "data_preprocessor.x is not known"),
    ],
)
def test_misfits(state, change, words):
    assert words in the_error(change(dict(state)))


def test_files_of_other_networks(tmp_path):
    path = tmp_path / "lifter.safetensors"
    lifter = lifters3d.build("mixste", frames=3, width=16, depth=1)
    lifters3d.save(lifter, "mixste", path, {})
    assert the_error(path) == f"{path}: weights of mixste, not of a 2D network"
    for header in ([], {"network": "hrnet-w8"}, {"network": "hrnet-w8", "config": {"depth": 3}}):
        write_weights(path, {"w": torch.zeros(2)}, header)
        assert str(path) in the_error(path)
    path.write_bytes(b"<html>")
    path.rename(tmp_path / "page.pth")
    assert "a web page" in the_error(tmp_path / "page.pth")
    assert the_error(tmp_path / "none.pth").endswith("no such weights file")


# Names -------------------------------------------------------------------------------------------


def test_names():
    assert pose_names() == ["hrnet-w32", "hrnet-w32-cam", "hrnet-w48", "hrnet-w48-cam"]
    for name in pose_names():
        with torch.device("meta"):
            config = build_pose(name).config
        assert config["width"] == int(name[7:9])
        assert config["cam_blocks"] == (2 if name.endswith("cam") else 0)
        assert config["input_size"] == [192, 256]
    with torch.device("meta"):
        network = build_pose("hrnet-w48-cam", cam_blocks=4, input_size=(288, 384), gate="full")
    assert network.config["cam_blocks"] == 4
    assert network.input_size == (288, 384)
    assert network.weights_identity is None


@pytest.mark.parametrize(
    ("name", "config", "words"),
    [
        ("hrnet-w23", {}, "did you mean hrnet-w"),
        ("openpose", {}, "choose one of hrnet-w32, hrnet-w32-cam, hrnet-w48, hrnet-w48-cam"),
        ("hrnet-w32", {"width": 18}, "the width is in the name"),
        ("hrnet-w32", {"depth": 3}, "hrnet-w32: "),
        ("hrnet-w32", {"cam_blocks": 5}, "hrnet-w32: cam_blocks must be"),
        ("hrnet-w32", {"input_size": (100, 100)}, "multiples of 32"),
        ("mmpose:td-hm_hrnet-w32:file.pth", {}, "mmpose:CONFIG, without more"),
        ("mediapipe", {}, "has no heat maps"),
    ],
)
def test_what_cannot_be_built(name, config, words):
    with pytest.raises(Pose3dError) as caught:
        build_pose(name, **config)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(find_spec("mmpose") is not None, reason="mmpose is installed")
def test_networks_of_mmpose_need_its_packages():
    assert 'pip install "pose3d[mm]"' in the_error("mmpose:td-hm_hrnet-w32:file.pth")


def test_names_without_weights():
    assert "no weights for 'hrnet-w32' are shipped" in the_error("hrnet-w32")
    assert "mmpose:CONFIG:FILE, without more" in the_error("mmpose:td-hm_hrnet-w32")
    assert "has no heat maps" in the_error("mediapipe")
    assert "did you mean hrnet-w48-256x192?" in the_error("hrnet-w48-256x19")
    assert "pose3d weights fetch hrnet-w32-256x192" in the_error("hrnet-w32-256x192")


def test_the_room_needs_no_torch_to_be_entered():
    """MediaPipe's users do not wait for it; and nothing here needs MediaPipe, MMPose or PyAV."""
    code = (
        "import sys, detectors2d, detectors2d.heatmaps; assert 'torch' not in sys.modules;"
        "from detectors2d import TopDown, build_pose, load_pose, save_pose, pose_names;"
        "assert not {'mediapipe', 'mmpose', 'mmengine', 'mmcv', 'av'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert detectors2d.load_pose is load_pose
    assert set(detectors2d.__all__) <= set(dir(detectors2d))
    with pytest.raises(AttributeError):
        _ = detectors2d.load
