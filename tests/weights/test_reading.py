import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from weights.errors import Pose3dError
from weights.reading import read_checkpoint, read_weights, write_weights


@pytest.fixture
def tensors():
    return {
        "weight": torch.tensor([[1.0, 2.5], [-0.125, 1e-3]]),
        "count": torch.tensor([3, 2**40]),
        "mask": torch.tensor([True, False]),
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "w.safetensors"


def test_round_trip(tensors, path):
    header = {"lifter": "x", "numbers": [1, 2.5, None], "text": "grüße"}
    write_weights(path, tensors, header, half=False)
    read, again = read_weights(path)
    assert again == header
    assert read.keys() == tensors.keys()
    for key, tensor in tensors.items():
        assert torch.equal(read[key], tensor)
        assert read[key].dtype == tensor.dtype


def test_half_precision_is_of_floating_tensors_only(tensors, path):
    write_weights(path, tensors, {})
    with safe_open(path, framework="pt") as archive:  # as any other reader sees it
        kinds = {key: archive.get_tensor(key).dtype for key in tensors}
        assert json.loads(archive.metadata()["pose3d"]) == {}
    assert kinds == {"weight": torch.float16, "count": torch.int64, "mask": torch.bool}
    read, _ = read_weights(path)
    assert read["weight"].dtype == torch.float32
    torch.testing.assert_close(read["weight"], tensors["weight"], rtol=2**-11, atol=0)
    assert torch.equal(read["count"], tensors["count"])


def test_views_and_gradients_are_written(path):
    tensor = torch.arange(6.0, requires_grad=True).view(2, 3)
    write_weights(path, {"turned": tensor.T}, {}, half=False)
    assert torch.equal(read_weights(path)[0]["turned"], tensor.T)


def test_a_new_file_replaces_the_old_and_leaves_no_parts(tensors, path):
    write_weights(path, tensors, {"n": 1})
    write_weights(path, tensors, {"n": 2})
    assert read_weights(path)[1] == {"n": 2}
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.skipif(os.name != "posix", reason="permission bits")
def test_the_file_is_as_readable_as_any_other(tensors, path):
    write_weights(path, tensors, {})
    plain = path.with_name("plain")
    plain.write_bytes(b"")
    assert path.stat().st_mode == plain.stat().st_mode


def test_a_folder_that_is_not_there(tensors, tmp_path):
    path = tmp_path / "nowhere" / "w.safetensors"
    with pytest.raises(Pose3dError, match=r"w\.safetensors: cannot be written"):
        write_weights(path, tensors, {})


def test_unreadable_files(tensors, path):
    with pytest.raises(Pose3dError, match="no such weights file"):
        read_weights(path)
    with pytest.raises(Pose3dError, match="a folder, not a weights file"):
        read_weights(path.parent)
    write_weights(path, tensors, {})
    whole = path.read_bytes()
    for content in (b"", whole[:6], whole[:-1], b"\xff" * 100, whole + b"more"):
        path.write_bytes(content)
        with pytest.raises(Pose3dError, match="not a readable safetensors file") as error:
            read_weights(path)
        assert "\n" not in str(error.value)


def test_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.pt"
    content = {"step": 3, "lifter": {"w": torch.ones(2)}, "torch_state": torch.get_rng_state()}
    torch.save(content, path)
    again = read_checkpoint(path)
    assert again["step"] == 3
    assert torch.equal(again["lifter"]["w"], torch.ones(2))
    whole = path.read_bytes()
    for part in (
        b"",
        b"abc",
        whole[:100],
        whole[: len(whole) // 2],
        pickle.dumps([1], protocol=2)[:-1],
    ):
        path.write_bytes(part)
        with pytest.raises(Pose3dError, match=r"checkpoint\.pt: not a training checkpoint"):
            read_checkpoint(path)
    with pytest.raises(Pose3dError, match="no such checkpoint"):
        read_checkpoint(tmp_path / "none.pt")


def test_a_checkpoint_runs_no_code(tmp_path):
    sprung = tmp_path / "sprung"

    class Trap:
        def __reduce__(self):
            return Path.touch, (sprung,)

    torch.save({"step": 3, "lifter": Trap()}, tmp_path / "trap.pt", pickle_module=pickle)
    with pytest.raises(Pose3dError):
        read_checkpoint(tmp_path / "trap.pt")
    assert not sprung.exists()
