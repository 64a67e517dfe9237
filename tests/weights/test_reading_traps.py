"""Nothing in a file of torch.save is run, whatever it asks for."""

import os
import pickle

import pytest
import torch

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
from weights.reading import read_any

BOTH = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
AROUND = pytest.mark.parametrize("around", [zip_around, legacy_around])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.bin"


def long_named(module: str, name: str) -> bytes:
    """Protocol 4: names with dots, that pickle looks up one after the other."""
    parts = (b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, name))
    return b"".join(parts) + b"\x93"


@AROUND
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("builtins", "eval"),
        ("__builtin__", "eval"),
        ("builtins", "exec"),
        ("builtins", "getattr"),
        ("builtins", "__import__"),
        ("subprocess", "Popen"),
        ("pathlib", "Path"),
        ("copyreg", "_reconstructor"),
        ("operator", "attrgetter"),
        ("functools", "partial"),
        ("importlib", "import_module"),
        ("torch", "load"),
        ("torch", "os.system"),
        ("torch.hub", "load"),
        ("torch.serialization", "os.system"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("collections", "OrderedDict.__init__"),
        ("collections", "abc.sys.modules"),
        ("numpy.testing._private.utils", "runstring"),
        ("numpy", "load"),
        ("numpy", "os.system"),
        ("_codecs", "decode"),
        ("weights.pickled", "Path"),
    ],
)
def test_other_names_are_refused(path, around, module, name):
    for spelled in (named, long_named):
        value = called(spelled(module, name), text(f"touch {path}.sprung"))
        message = the_error(path, around(b"\x80\x04}" + text("w") + value + b"s."))
        assert message.startswith(f"refuses to run code from '{module}.{name}'")
    assert os.listdir(path.parent) == [path.name]


class Trap:
    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


@BOTH
@pytest.mark.parametrize("deep", [False, True])
def test_traps_do_not_spring(path, legacy, deep):
    sprung = path.with_name("sprung")
    traps = {
        "system": Trap(os.system, f"touch '{sprung}'"),
        "eval": Trap(eval, f"open({str(sprung)!r}, 'w').close()"),
        "exec": Trap(exec, f"import pathlib; pathlib.Path({str(sprung)!r}).touch()"),
        "getattr": Trap(getattr, Trap(__import__, "os"), "system"),
    }
    for function, trap in traps.items():
        content = {"model_pos": {"w": trap}} if deep else trap
        message = the_error(path, saved(content, legacy))
        assert "refuses to run code from" in message
        assert function in message or "__import__" in message
    assert not sprung.exists()
    # The trap is one: the same bytes do spring where everything is allowed.
    path.write_bytes(saved(traps["exec"], legacy))
    torch.load(path, weights_only=False)
    assert sprung.exists()


def test_a_trap_in_the_smaller_pickles_of_the_legacy_format(path):
    trap = pickle.dumps(Trap(os.system, f"touch {path}.sprung"), 2)
    parts = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}, {}, [])]
    parts[2] = pickle.dumps({"little_endian": True}, 2)
    for place in range(5):
        message = the_error(path, b"".join([*parts[:place], trap, *parts[place + 1 :]]))
        assert "refuses to run code from" in message
    assert os.listdir(path.parent) == [path.name]


@AROUND
def test_names_below_numpy_random_are_inert(path, around):
    value = called(named("numpy.random._pickle", "os.system"), text(f"touch {path}.sprung"))
    path.write_bytes(around(pickled(value)))
    assert read_any(path).content == {"random_state": None}
    assert os.listdir(path.parent) == [path.name]


@AROUND
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("collections", "OrderedDict"),
        ("torch", "Size"),
        ("torch", "FloatStorage"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("numpy", "ndarray"),
    ],
)
def test_a_file_cannot_change_how_the_next_is_read(path, around, module, name):
    # BUILD with (dict of the object, attributes to set)
    spoilt = b"(}" + text("a") + b"K\x01s}" + text("__defaults__") + b"(tstb"
    path.write_bytes(around(pickled(named(module, name) + spoilt)))
    try:
        read_any(path)
    except Pose3dError as error:
        assert "damaged" in str(error)  # noqa: PT017 (may also be read)
    expected = torch.nn.Linear(2, 2).state_dict()
    path.write_bytes(saved(expected))
    read = read_any(path).content
    assert read.keys() == expected.keys()
    assert all(torch.equal(read[name], expected[name]) for name in expected)
