"""Object arrays: what numpy writes is read as numpy reads it, and nothing is ever run."""

import collections
import contextlib
import datetime
import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from prepared import message_of

from lifters3d.data.object_arrays import read_object_arrays

RNG = np.random.default_rng(0)
CONTENT = {
    "S1": {
        "Walking 1": [RNG.normal(size=(3, 17, 2)).astype("f4"), RNG.normal(size=(2, 17, 2))],
        "columns first": np.asfortranarray(RNG.normal(size=(4, 5))),
        "empty": np.zeros((0, 17, 2), np.float32),
        "zero-dimensional": np.array(3.5),
    },
    "big-endian": np.arange(5, dtype=">i4"),
    "half": np.arange(3, dtype=np.float16),
    "bytes": np.arange(3, dtype=np.uint8),
    "flags": np.array([True, False]),
    "texts": np.array(["Directions", "Päuse"]),
    "scalars": (np.float32(1.5), np.int64(-7), np.bool_(True), np.str_("word"), np.float64(2.25)),
    "plain": [1, 2.5, "three", True, None, (4, (5,))],
    7: "numbers may be names",
}


def npz(path: Path, payload: bytes, name: str = "data") -> Path:
    """An archive of one zero-dimensional object array whose pickle is ``payload``."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|O", "fortran_order": False, "shape": ()}
    )
    # The header's writer leaves the magic string to itself.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.npy", header.getvalue() + payload)
    return path


def as_object(value: object) -> np.ndarray:
    array = np.empty((), object)
    array[()] = value
    return array


def equal(one: object, other: object) -> bool:
    """The same values; arrays of the same dtype, numpy's scalars as Python's."""
    if isinstance(other, np.ndarray):
        assert isinstance(one, np.ndarray)
        same = one.dtype == other.dtype and one.shape == other.shape
        if other.dtype.hasobject:
            return same and all(map(equal, one.ravel(), other.ravel()))
        return same and bool((one == other).all())
    if isinstance(other, np.generic):
        other = other.item()
    assert type(one) is type(other)
    if isinstance(other, dict):
        return list(one) == list(other) and all(equal(one[key], other[key]) for key in other)
    if isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


def test_gives_back_what_numpy_wrote(tmp_path):
    np.savez(tmp_path / "a.npz", data=CONTENT, other=np.arange(6).reshape(2, 3))
    np.savez_compressed(tmp_path / "b.npz", data=CONTENT, other=np.asfortranarray(np.eye(3)[:2]))
    for name in ("a.npz", "b.npz"):
        found = read_object_arrays(tmp_path / name, ("data",), ("other", "absent"))
        assert set(found) == {"data", "other"}
        assert equal(found["data"], CONTENT)
        with np.load(tmp_path / name) as archive:
            assert equal(found["other"], archive["other"])


def test_arrays_of_objects(tmp_path):
    ragged = np.empty((2, 2), object)
    ragged[:] = [[np.arange(2), {"a": np.eye(2)}], [None, [np.float32(1)]]]
    np.savez(tmp_path / "x.npz", top=ragged, inside={"ragged": ragged, "turned": ragged.T})
    found = read_object_arrays(tmp_path / "x.npz", ("top", "inside"))
    assert equal(found, {"top": ragged, "inside": {"ragged": ragged, "turned": ragged.T}})


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("core", [b"numpy.core", b"numpy._core"])
def test_every_protocol_and_spelling(tmp_path, protocol, core):
    """numpy 2 writes numpy._core where numpy 1 writes numpy.core."""
    payload = pickle.dumps(as_object(CONTENT), protocol)
    if protocol < 4:  # names end with a line
        payload = payload.replace(b"cnumpy.core", b"c" + core).replace(b"cnumpy._core", b"c" + core)
    elif core == b"numpy._core":  # they have their length before them
        for module in (b"multiarray", b"numeric"):
            old, new = b"numpy.core." + module, b"numpy._core." + module
            payload = payload.replace(
                b"\x8c" + bytes([len(old)]) + old, b"\x8c" + bytes([len(new)]) + new
            )
            assert old not in payload
        payload = without_frames(payload)
    assert core in payload
    assert equal(read_object_arrays(npz(tmp_path / "x.npz", payload), ("data",))["data"], CONTENT)


def without_frames(payload: bytes) -> bytes:
    """A pickle of protocol 4 or 5 of one frame, whose length is no longer right, without it."""
    assert payload[2:3] == pickle.FRAME
    assert payload.count(pickle.FRAME + payload[3:11]) == 1
    return payload[:2] + payload[11:]


def test_python_2(tmp_path):
    """Python 2's texts are bytes, and so are the numbers of its arrays."""
    payload = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
        b"(I1\n(I2\ntcnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
        b"I00\nS'\\x00\\x00\\x80?\\x00\\x00\\x00\\xc0'\ntb."
    )
    found = read_object_arrays(npz(tmp_path / "x.npz", payload), ("data",))["data"]
    assert equal(found, np.array([1, -2], np.float32))


def test_arrays_share_the_bytes_that_were_read(tmp_path):
    np.savez(tmp_path / "x.npz", data={"a": np.zeros((1000, 17, 2), np.float32)})
    found = read_object_arrays(tmp_path / "x.npz", ("data",))["data"]["a"]
    base = found
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, bytes)


class Trap:
    """Runs what it is given when it is unpickled."""

    def __init__(self, function, *arguments) -> None:
        self.told = function, arguments

    def __reduce__(self):
        return self.told


TRAPS = {
    "system": (lambda sprung: Trap(os.system, f"touch {sprung}"), f"{os.system.__module__}.system"),
    "eval": (lambda sprung: Trap(eval, f"open({str(sprung)!r}, 'w')"), "builtins.eval"),
    "exec": (lambda sprung: Trap(exec, f"open({str(sprung)!r}, 'w')"), "builtins.exec"),
    "touch": (lambda sprung: Trap(Path.touch, sprung), "pathlib.PosixPath"),
}


@pytest.mark.parametrize("kind", TRAPS)
@pytest.mark.parametrize("depth", ["top", "dict", "key", "array", "second entry"])
def test_never_runs_anything(tmp_path, kind, depth):
    sprung = tmp_path / "sprung"
    trap, names = TRAPS[kind][0](sprung), TRAPS[kind][1]
    inside = np.empty(2, object)
    inside[:] = [np.eye(2), trap]
    content = {
        "top": trap,
        "dict": {"S1": {"Walking": [np.eye(2), trap]}},
        "key": {trap: 1},
        "array": {"S1": inside},
        "second entry": {"S1": 1},
    }[depth]
    other = as_object(trap) if depth == "second entry" else np.eye(2)
    np.savez(tmp_path / "x.npz", data=as_object(content), other=other)
    message = message_of(read_object_arrays, tmp_path / "x.npz", ("data",), ("other",))
    assert "x.npz: " in message
    # Path.touch is pickled as getattr(Path, "touch").
    assert names in message or "builtins.getattr" in message
    assert not sprung.exists()
    archive = np.load(tmp_path / "x.npz", allow_pickle=True)
    with archive, contextlib.suppress(TypeError):  # what a trap returns is no key
        _ = archive["data"], archive["other"]
    assert sprung.exists()  # the trap works


def test_entries_that_are_not_asked_for_are_not_touched(tmp_path):
    np.savez(tmp_path / "x.npz", data={"a": 1}, other=as_object(Trap(os.system, "false")))
    assert read_object_arrays(tmp_path / "x.npz", ("data",)) == {"data": {"a": 1}}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (collections.OrderedDict(a=1), "collections.OrderedDict"),
        ({1, 2}, "set"),
        (b"bytes", "bytes"),
        ([1 + 2j], "complex"),
        (datetime.date(2020, 1, 1), "datetime.date"),
        (np.array(["2020-01-01"], "M8[D]"), "M8"),
        (np.zeros(2, [("x", "f4")]), "record"),
        (np.zeros(2, complex), "c16"),
        (np.array([b"bytes"]), "S5"),
        (np.float64, "numpy.float64"),
        (np.ma.masked_array([1.0]), "numpy.ma"),
        (len, "builtins.len"),
        (np.load, "numpy.load"),
    ],
)
def test_other_types_are_named(tmp_path, value, told):
    np.savez(tmp_path / "x.npz", data=as_object({"S1": value}))
    message = message_of(read_object_arrays, tmp_path / "x.npz", ("data",))
    assert "x.npz: data" in message
    assert told in message


def test_a_pickle_cannot_change_the_next_reading(tmp_path):
    """It sets attributes on what it is given for numpy's names."""
    for name in (b"numpy\ndtype", b"numpy\nndarray", b"numpy.core.multiarray\n_reconstruct"):
        for state in (b"}X\x04\x00\x00\x00nameK\x01s", b"N}X\x08\x00\x00\x00__call__K\x01s\x86"):
            payload = b"\x80\x02c" + name + b"\n" + state + b"b."
            message_of(read_object_arrays, npz(tmp_path / "x.npz", payload), ("data",))
    np.savez(tmp_path / "y.npz", data=CONTENT)
    assert equal(read_object_arrays(tmp_path / "y.npz", ("data",))["data"], CONTENT)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"garbage",
        pickle.dumps({"a": np.eye(3)})[:-40],
        b"\x80\x02]q\x00h\x00a.",  # a list that holds itself
        b"(" * 5000 + b"l" * 5000 + b".",
        b"\x80\x02cnumpy\nndarray\n)R.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)R.",  # an array that is never filled
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)\x81.",
        b"\x80\x02\x82\x01.",
        b"Pid\n.",
        # Shapes that contradict the numbers.
        pickle.dumps(np.array([None] * 3), 2).replace(b"K\x03\x85", b"K\x04\x85"),
        pickle.dumps(np.zeros(3, "f4"), 2).replace(b"K\x03\x85", b"K\x04\x85"),
    ],
)
def test_damaged_pickles(tmp_path, payload):
    path = npz(tmp_path / "x.npz", payload)
    assert "x.npz" in message_of(read_object_arrays, path, ("data",))


@pytest.mark.parametrize("kind", ["truncated", "flipped", "empty", "text", "pickle"])
def test_damaged_and_foreign_files(tmp_path, kind):
    np.savez(tmp_path / "whole.npz", data={"a": np.arange(1000.0)})
    whole = (tmp_path / "whole.npz").read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF  # in the middle of the numbers: only the checksum tells
    (tmp_path / "x.npz").write_bytes(
        {
            "truncated": whole[: len(whole) // 2],
            "flipped": bytes(flipped),
            "empty": b"",
            "text": b"x,y\n",
            "pickle": pickle.dumps(Trap(os.system, "false")),
        }[kind]
    )
    message = message_of(read_object_arrays, tmp_path / "x.npz", ("data",))
    assert "x.npz: no .npz archive, or not complete" in message


def test_missing_files_and_entries(tmp_path):
    np.savez(tmp_path / "x.npz", positions_2d={}, metadata={})
    assert "nowhere.npz: no such file" in message_of(
        read_object_arrays, tmp_path / "nowhere.npz", ("data",)
    )
    assert "cannot be read (Is a directory)" in message_of(read_object_arrays, tmp_path, ("data",))
    message = message_of(read_object_arrays, tmp_path / "x.npz", ("positions_3d",))
    assert "x.npz: has no positions_3d; found 'metadata', 'positions_2d'" in message
