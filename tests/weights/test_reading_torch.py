"""Files of torch.save: all that belongs to weights is read, damaged ones give one line."""

import argparse
import io
import pickle
import random
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.weights.torch_files import (
    called,
    legacy_around,
    named,
    pickled,
    saved,
    text,
    the_error,
    zip_around,
)
from weights.errors import Pose3dError
from weights.reading import read_any, write_weights

BOTH = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
AROUND = pytest.mark.parametrize("around", [zip_around, legacy_around])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.bin"


def tensors():
    base = torch.arange(24.0)
    return {
        "matrix": torch.randn(3, 4),
        "turned": base.view(4, 6).T,
        "middle": base[5:9],
        "every third": base[1::3],
        "scalar": torch.tensor(2.5),
        "count": torch.tensor(7),
        "empty": torch.zeros(0, 3),
        "half": torch.randn(5).half(),
        "brain": torch.randn(5).bfloat16(),
        "double": torch.randn(2, 2, 2, dtype=torch.float64),
        "mask": torch.tensor([True, False, True]),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "small": torch.arange(-3, 3, dtype=torch.int8),
        "parameter": torch.nn.Parameter(torch.randn(2)),
    }


def the_same(read, expected) -> None:
    assert list(read) == list(expected)
    for name, tensor in expected.items():
        assert read[name].dtype == tensor.dtype, name
        assert torch.equal(read[name], tensor), name


# What is read ------------------------------------------------------------------------------------


@BOTH
def test_tensors_of_all_kinds(path, legacy):
    expected = tensors()
    path.write_bytes(saved(expected, legacy))
    raw = read_any(path)
    the_same(raw.content, expected)
    assert raw.kind == ("torch before 1.6" if legacy else "torch")
    assert raw.header is None


@BOTH
def test_a_state_of_training(path, legacy):
    network = torch.nn.Linear(3, 2)
    optimizer = {  # as AdamW's
        "state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.randn(2, 3)}},
        "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999), "foreach": None, "params": [0]}],
    }
    content = {
        "epoch": 5,
        "lr": 1e-4,
        "random_state": np.random.RandomState(0),
        "loss": np.float64(3.5),
        "optimizer": optimizer,
        "note": "grüße",
        "model_pos": network.state_dict(),  # an OrderedDict with _metadata
    }
    path.write_bytes(saved(content, legacy))
    read = read_any(path).content
    the_same(read["model_pos"], network.state_dict())
    assert (read["epoch"], read["lr"], read["note"]) == (5, 1e-4, "grüße")
    assert read["random_state"] is None
    assert read["loss"] is None
    the_same(read["optimizer"]["state"][0], optimizer["state"][0])
    assert read["optimizer"]["param_groups"][0]["lr"] == 1e-4


@BOTH
def test_the_same_as_torch_reads(path, legacy):
    path.write_bytes(saved(tensors(), legacy))
    the_same(read_any(path).content, torch.load(path, weights_only=True))


def random_state_of_numpy_2() -> bytes:
    """A RandomState as numpy 2 pickles it, which this numpy cannot read."""
    generator = called(
        named("numpy.random._pickle", "__bit_generator_ctor"),
        named("numpy.random._mt19937", "MT19937"),
    )
    array = called(
        named("numpy._core.multiarray", "_reconstruct"),
        named("numpy", "ndarray"),
        b"K\x00\x85",
        called(named("_codecs", "encode"), text("b"), text("latin1")),
    )
    dtype = called(named("numpy", "dtype"), text("u4"), b"\x89", b"\x88")
    numbers = called(named("_codecs", "encode"), text("\0" * 8), text("latin1"))
    array += b"(K\x01K\x02\x85" + dtype + b"\x89" + numbers + b"tb"
    state = b"}" + text("key") + array + b"s"
    return called(named("numpy.random._pickle", "__randomstate_ctor"), generator) + state + b"b"


@AROUND
def test_random_numbers_of_numpy_1_and_2(path, around):
    ours = pickle.dumps({"random_state": np.random.RandomState(0)}, 2)
    assert b"numpy.core.multiarray" in ours
    for content in (ours, pickled(random_state_of_numpy_2())):
        path.write_bytes(around(content))
        assert read_any(path).content == {"random_state": None}


@AROUND
@pytest.mark.parametrize("core", ["core", "_core"])
def test_scalars_of_numpy_1_and_2(path, around, core):
    dtype = called(named("numpy", "dtype"), text("f8"), b"\x89", b"\x88")
    scalar = called(named(f"numpy.{core}.multiarray", "scalar"), dtype, text("12345678"))
    path.write_bytes(around(pickled(scalar)))
    assert read_any(path).content == {"random_state": None}


def test_tensors_of_a_gpu_and_of_torch_cuda_names(path):
    """As a machine with CUDA writes them; read on one without."""
    for module in (b"torch", b"torch.cuda"):
        content = saved({"w": torch.arange(4.0)})
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entry = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            told, data = archive.read(entry), archive.read(entry.replace("data.pkl", "data/0"))
        told = told.replace(text("cpu"), text("cuda:1"))
        told = told.replace(b"ctorch\nFloatStorage", b"c" + module + b"\nFloatStorage")
        assert b"cuda:1" in told
        path.write_bytes(zip_around(told, {"data/0": data}))
        assert torch.equal(read_any(path).content["w"], torch.arange(4.0))


def test_safetensors_of_ours_and_of_others(path):
    ours = path.with_suffix(".safetensors")
    write_weights(ours, {"w": torch.ones(2)}, {"lifter": "x"}, half=False)
    raw = read_any(ours)
    assert (raw.kind, raw.header) == ("pose3d safetensors", {"lifter": "x"})
    assert torch.equal(raw.content["w"], torch.ones(2))
    save_file({"w": torch.ones(3).half()}, path, metadata={"format": "pt"})  # named .bin
    raw = read_any(path)
    assert (raw.kind, raw.header) == ("safetensors", None)
    assert raw.content["w"].dtype == torch.float16


# Damaged and other files -------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("share", [0.001, 0.02, 0.3, 0.5, 0.9, 0.999])
def test_half_a_file(path, legacy, share):
    whole = saved({"epoch": 5, "model_pos": tensors()}, legacy)
    message = the_error(path, whole[: int(share * len(whole)) + 2])
    assert "damaged or not complete" in message or "not a weights file" in message


@BOTH
def test_bytes_that_flipped(path, legacy):
    """Either one line, or (in a comment of the archive, say) the same tensors."""
    expected = tensors()
    whole = saved({"epoch": 5, "random_state": np.random.RandomState(0), "w": expected}, legacy)
    stream = random.Random(0)
    refused = 0
    for _ in range(150):
        content = bytearray(whole)
        content[stream.randrange(len(content))] ^= 1 << stream.randrange(8)
        path.write_bytes(content)
        try:
            read = read_any(path).content
        except Pose3dError as error:
            assert "\n" not in str(error)  # noqa: PT017 (may also be read)
            refused += 1
        else:
            if not legacy:  # which has no checksum
                the_same(read["w"], expected)
    assert refused > 10


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"epoch: 5\n" * 100, "not a weights file"),
        (b"\xff" * 100, "not a weights file"),
        (b"\n<!DOCTYPE html><html>Google Drive can't scan this file", "a web page, not weights"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", "Git LFS"),
        (pickle.dumps([1, 2]), "a pickle, but not one of torch.save"),
        (zip_around(b"")[:-30], "damaged"),
        (zip_around(b""), "damaged"),
        (zip_around(pickle.dumps({"w": 1}, 2), compression=zipfile.ZIP_DEFLATED), "damaged"),
        (zip_around(b"", {"constants.pkl": b""}), "a TorchScript program"),
        (zip_around(b"", {"byteorder": b"big"}), "big-endian"),
        (legacy_around(b"N.", little_endian=False), "big-endian"),
    ],
)
def test_files_of_other_kinds(path, content, words):
    assert words in the_error(path, content)


def test_a_zip_archive_of_anything(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "weights are in here somewhere")
    assert "a zip archive, but not one of torch.save" in the_error(path)


def test_no_file(path, tmp_path):
    assert the_error(path) == "no such weights file"
    assert the_error(tmp_path) == "a folder, not a weights file"


def test_what_calls_itself_safetensors_is_never_a_pickle(path):
    path = path.with_suffix(".safetensors")
    for legacy in (False, True):
        assert "not a readable safetensors file" in the_error(path, saved({}, legacy))


def storage(count: int) -> bytes:
    device, key = text("cpu"), text("0")
    number = b"J" + count.to_bytes(4, "little", signed=True)
    told = b"(" + text("storage") + named("torch", "FloatStorage") + key + device + number
    return told + b"tQ"


@pytest.mark.parametrize(
    ("count", "offset", "size", "stride"),
    [
        (4, b"K\x00", b"(K\x05t", b"(K\x01t"),  # larger than its storage
        (4, b"K\x02", b"(K\x04t", b"(K\x01t"),  # beyond its end
        (4, b"K\x00", b"(J\xff\xff\xff\x7ft", b"(K\x00t"),  # one number over and over
        (4, b"J\xff\xff\xff\xff", b"(K\x02t", b"(K\x01t"),  # before its begin
        (4, b"K\x00", b"(K\x04t", b"(J\xff\xff\xff\xfft"),  # backwards
        (4, b"K\x00", b"(K\x04t", b"(t"),
        (4, b"K\x00", text("size"), b"(K\x01t"),
        (4, text("offset"), b"(K\x04t", b"(K\x01t"),
        (5, b"K\x00", b"(K\x04t", b"(K\x01t"),  # more than the file has
        (-7, b"K\x00", b"(K\x04t", b"(K\x01t"),
    ],
)
def test_tensors_reach_no_further_than_their_numbers(path, count, offset, size, stride):
    def around(*parts):
        rebuild = named("torch._utils", "_rebuild_tensor_v2")
        value = called(rebuild, *parts, b"\x89", called(named("collections", "OrderedDict")))
        return zip_around(pickled(value), {"data/0": np.arange(4, dtype="<f4").tobytes()})

    assert "damaged" in the_error(path, around(storage(count), offset, size, stride))
    path.write_bytes(around(storage(4), b"K\x01", b"(K\x03t", b"(K\x01t"))
    assert read_any(path).content["random_state"].tolist() == [1, 2, 3]


@AROUND
def test_nesting_without_end(path, around):
    deep = b"\x80\x02" + b"]" * 5000 + b"a" * 4999 + b"."
    assert "damaged" in the_error(path, around(deep))
    itself = b"\x80\x02]q\x00h\x00a."
    assert "damaged" in the_error(path, around(itself))


@AROUND
def test_what_is_there_often_is_made_once(path, around):
    """A list of two lists of two lists ...: 2 ** 60 of them, if each were made anew."""
    value = []
    for _ in range(60):
        value = [value, value]
    path.write_bytes(around(pickle.dumps(value, 2)))
    assert len(read_any(path).content) == 2


@pytest.mark.parametrize("zipped", [True, False])
def test_command_lines_kept_in_a_file_are_left_alone(tmp_path, zipped):
    path = tmp_path / "with_args.pth"
    options = argparse.Namespace(lr=0.1, folder="x")
    content = {"args": options, "model": {"weight": torch.arange(3.0)}}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    found = read_any(path).content
    assert found["model"]["weight"].tolist() == [0.0, 1.0, 2.0]
    assert not hasattr(found["args"], "lr")
