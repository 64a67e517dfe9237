"""``pose3d weights``: what it says of files, what it writes, and what it refuses."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

import lifters3d
from tests.filling import filled
from tests.weights.torch_files import saved

CONFIG = {"frames": 27, "width": 16, "depth": 2}


def tensors(name, **config):
    state = lifters3d.build(name, **{**CONFIG, **config}).state_dict()
    return {key: torch.from_numpy(filled(key, tensor.shape)) for key, tensor in state.items()}


@pytest.fixture
def official(here):
    """A file as PoseFormer's authors save theirs; its name has a space."""
    path = Path("best epoch.bin")
    content = {
        "epoch": 5,
        "lr": 4e-5,
        "random_state": np.random.RandomState(0),
        "optimizer": {"state": {}},
        "model_pos": {f"module.{key}": value for key, value in tensors("poseformer").items()},
    }
    path.write_bytes(saved(content))
    return path


@pytest.fixture
def told(command):
    """Runs `pose3d weights inspect` on a good file: its lines by their labels."""

    def run(file):
        code, out, err = command("weights", "inspect", file)
        assert (code, err) == (0, "")
        return {line[:16].strip(): line[17:] for line in out.splitlines()}

    return run


@pytest.fixture
def refused(command, here):
    """Runs `pose3d weights` in vain: the one line on stderr; no file changes."""

    def run(*arguments):
        def contents():
            return sorted((path, path.read_bytes()) for path in here.rglob("*") if path.is_file())

        before = contents()
        code, out, err = command("weights", *arguments)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert err.endswith("\n")
        assert contents() == before
        return err

    return run


def test_help(command):
    code, out, err = command("weights", "--help")
    assert (code, err) == (0, "")
    assert "inspect" in out
    assert "convert" in out
    for name in ("inspect", "convert"):
        code, out, err = command("weights", name, "-h")
        assert (code, err) == (0, "")
        assert "FILE" in out
        assert "Example" in out
    code, out, err = command("weights")
    assert code == 2
    assert "error:" not in err


@pytest.mark.parametrize(
    ("name", "network", "use"),
    [
        ("hrnet-w20-cam", "hrnet-w20-cam, 2D joints", "--pose2d hrnet-w20-cam"),
        ("centernet", "centernet, people", "--detector centernet"),
    ],
)
def test_inspect_shipped_networks_of_2d(told, name, network, use):
    lines = told(name)
    assert lines["network"] == network
    assert lines["use"] == f"pose3d video INPUT {use}"
    assert told(lines["file"].split(",")[0])["network"] == network  # its file likewise


def test_inspect_a_file_of_the_authors(told, official):
    lines = told(official)
    assert lines["file"].startswith("best epoch.bin, torch, ")
    assert lines["file"].endswith(f"{official.stat().st_size / 1e6:.1f} MB")
    assert lines["network"] == "poseformer, paper variant"
    assert lines["receptive field"] == "27 frames; gives the pose of the one in the middle"
    assert lines["size"].startswith(
        "joints 17, width 16, depth 2, heads 8, mlp_ratio 2.0; heads as"
    )
    count = sum(t.numel() for t in tensors("poseformer").values())
    assert lines["parameters"] == f"{count:,}"
    assert lines["tensors"] == f"{len(tensors('poseformer'))} with {count:,} numbers (float32)"
    assert lines["wrapper"] == "model_pos, names begin with module."
    assert lines["training"] == "epoch 5, lr 4e-05, random_state, optimizer"
    assert lines["input"] == "normalisation screen, joints h36m, 50 frames per second"
    assert lines["sha256"] == hashlib.sha256(official.read_bytes()).hexdigest()
    assert lines["use"] == "pose3d video INPUT --lifter 'best epoch.bin'"


def test_inspect_our_own(told):
    lines = told("mixste")
    assert "pose3d safetensors" in lines["file"]
    assert lines["network"] == "mixste"
    assert "gives the poses of all of them" in lines["receptive field"]
    assert "the weights do not tell" not in lines["size"]
    assert "(float16)" in lines["tensors"]
    assert lines["input"] == "normalisation person, joints derived, 30 frames per second"
    assert "steps_made" in lines["training"]
    assert lines["use"] == "pose3d video INPUT --lifter mixste"


def test_inspect_other_variants(told, here):
    Path("plain.pth").write_bytes(saved(tensors("strided"), legacy=True))
    lines = told("plain.pth")
    assert "torch before 1.6" in lines["file"]
    assert lines["network"] == "strided"
    assert "strides [3, 3, 3], kernel 3" in lines["size"]
    assert "wrapper" not in lines
    assert "training" not in lines
    Path("demo.pth").write_bytes(saved(tensors("poseformer", variant="demo", joints=15)))
    lines = told("demo.pth")
    assert lines["network"] == "poseformer, demo variant"
    assert lines["use"] == "not by pose3d video, whose skeleton has 17 joints, not 15"


def test_inspect_networks_that_are_no_lifters(told, here):
    hrnet = {
        "stage4.0.branches.0.0.conv1.weight": torch.zeros(32, 32, 3, 3),
        "stage4.2.fuse_layers.0.1.0.weight": torch.zeros(32, 64, 1, 1),
    }
    Path("pose_hrnet_w32.pth").write_bytes(saved(hrnet))
    lines = told("pose_hrnet_w32.pth")
    assert lines["network"] == "HRNet-W32, which finds keypoints in pictures; not a lifter"
    assert lines["tensors"].startswith("2 with 11,264 numbers")
    assert "use" not in lines
    mmpose = {"meta": {"epoch": 210}, "state_dict": {f"backbone.{k}": v for k, v in hrnet.items()}}
    Path("mmpose.pth").write_bytes(saved(mmpose))
    assert told("mmpose.pth")["network"].startswith("HRNet-W32")
    assert told("mmpose.pth")["wrapper"] == "state_dict"


def test_convert_keeps_every_number(command, official):
    code, out, err = command("weights", "convert", official, "copy.safetensors")
    assert (code, out, err) == (0, "copy.safetensors\n", "")
    before, after = lifters3d.load(official), lifters3d.load("copy.safetensors")
    assert after.config == before.config
    assert after.convention == before.convention
    x = torch.randn(2, 27, 17, 2)
    with torch.inference_mode():
        assert torch.equal(after(x), before(x))
    with safe_open("copy.safetensors", framework="pt") as archive:
        assert set(archive.keys()) == set(tensors("poseformer"))
        assert '"converted_from": "best epoch.bin"' in archive.metadata()["pose3d"]
        assert hashlib.sha256(official.read_bytes()).hexdigest() in archive.metadata()["pose3d"]
    assert sorted(os.listdir()) == ["best epoch.bin", "copy.safetensors"]


def test_convert_to_half(command, told, official):
    for name, flags in (("whole.safetensors", []), ("half.safetensors", ["--half"])):
        code, out, _ = command("weights", "convert", official, name, *flags)
        assert (code, out) == (0, f"{name}\n")
    whole, half = Path("whole.safetensors").stat().st_size, Path("half.safetensors").stat().st_size
    assert half < 0.6 * whole
    assert "(float16)" in told("half.safetensors")["tensors"]
    assert "(float32)" in told("whole.safetensors")["tensors"]
    whole, half = lifters3d.load("whole.safetensors"), lifters3d.load("half.safetensors")
    x = torch.randn(1, 27, 17, 2)
    with torch.inference_mode():
        error = (whole(x) - half(x)).abs().max()
    assert 0 < error < 5e-3


def test_convert_a_copy_of_a_copy_keeps_the_story(command, told, official):
    command("weights", "convert", official, "one.safetensors")
    command("weights", "convert", "one.safetensors", "two.safetensors")
    assert told("one.safetensors")["training"] == told("two.safetensors")["training"]
    assert "converted_from best epoch.bin" in told("two.safetensors")["training"]
    assert Path("one.safetensors").read_bytes() == Path("two.safetensors").read_bytes()
    code, _, _ = command("weights", "convert", "mixste", "two.safetensors")  # replaces it
    assert code == 0
    assert told("two.safetensors")["network"] == "mixste"


def test_a_video_with_a_converted_file(command, clip, official):
    command("weights", "convert", official, "copy.safetensors")
    clip()
    for lifter in (official, "copy.safetensors"):
        code, _, err = command("video", "clip.mp4", "-q", "--no-render", "--lifter", lifter)
        assert (code, err) == (0, "")


def test_refusals(refused, official):
    Path("folder").mkdir()
    Path("text.bin").write_text("weights")
    Path("half.bin").write_bytes(official.read_bytes()[:-5000])
    Path("unknown.pth").write_bytes(saved({"w": torch.zeros(2)}))
    Path("less.pth").write_bytes(saved({"model": dict(list(tensors("poseformer").items())[:-1])}))
    for command in (["inspect"], ["convert", "out.safetensors"]):
        action, *out = command
        for name, words in {
            "none.bin": "no such weights file",
            "folder": "a folder, not a weights file",
            "text.bin": "not a weights file",
            "half.bin": "damaged or not complete",
            "unknown.pth": "weights of no network that pose3d knows",
            "less.pth": 'weights do not fit poseformer: Missing keys: "head.1.bias"',
            "mixtse": "did you mean mixste?",
        }.items():
            assert words in refused(action, name, *out)


def test_convert_refuses_bad_targets(refused, command, official):
    for name in ("copy.bin", "copy", "copy.safetensors.pth"):
        assert "must end in .safetensors" in refused("convert", official, name)
    assert "cannot be written" in refused("convert", official, "nowhere/copy.safetensors")
    assert "cannot be written" in refused("convert", official, f"{official}/copy.safetensors")
    command("weights", "convert", official, "copy.safetensors")
    Path("link.safetensors").symlink_to("copy.safetensors")
    for name in ("copy.safetensors", "./copy.safetensors", "link.safetensors"):
        assert "is the file to convert" in refused("convert", "copy.safetensors", name)
    hrnet = {"stage4.0.fuse_layers.0.1.0.weight": torch.zeros(32, 64, 1, 1)}
    Path("hrnet.pth").write_bytes(saved(hrnet))
    assert "HRNet" in refused("convert", "hrnet.pth", "other.safetensors")


def test_missing_arguments(refused):
    assert "FILE" in refused("inspect")
    assert "OUT" in refused("convert", "mixste")
    assert "pose3d weights inspect --help" in refused("inspect", "--half")


def test_a_fault_of_the_program_names_no_flag_that_is_not_there(command, official, monkeypatch):
    def broken(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr("lifters3d.checkpoints.read_checkpoint", broken)
    code, out, err = command("weights", "inspect", official)
    assert (code, out) == (1, "")
    assert err == "error: a fault in pose3d: RuntimeError: broken (please report it)\n"


def test_a_2d_network_of_ours(told, refused, here):
    """What train-2d writes: told what it is, and not taken for a lifter."""
    from detectors2d.hrnet import HRNet
    from detectors2d.registry import save_pose

    save_pose(HRNet(8, cam_blocks=1, modules=(1, 1, 1)).eval(), here / "eyes.safetensors", {})
    lines = told("eyes.safetensors")
    assert lines["network"] == "hrnet-w8-cam, 2D joints"
    assert "width 8, cam_blocks 1" in lines["size"]
    assert lines["use"] == "pose3d video INPUT --pose2d eyes.safetensors"
    said = refused("convert", "eyes.safetensors", "lifter.safetensors")
    assert "weights of hrnet-w8-cam, which finds 2D joints, not of a lifter" in said
