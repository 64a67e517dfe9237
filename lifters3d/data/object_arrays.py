"""Archives (.npz) of pickled Python objects, read without running any code that they hold.

The field's prepared data are dicts of arrays that ``np.savez`` pickled; ``np.load`` reads them only
with ``allow_pickle=True``, which runs whatever a file asks for. Here the pickle may name a handful
of things that numpy's arrays need (in the spelling of numpy 1 or 2), and what it names is never
looked up in a module, so no import and no attribute can be reached. Arrays are put together from
their bytes afterwards.
"""

from __future__ import annotations

import math
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from weights.errors import Pose3dError

Found = dict | list | tuple | str | int | float | bool | None | np.ndarray

# Booleans, integers, floats, texts and objects. No dates, no records.
DTYPE = re.compile(r"b1|[iu][1248]|f[248]|U[1-9]\d*|O8?")


def read_object_arrays(
    path: str | Path, needed: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, Found]:
    """Some entries of an ``.npz`` archive.

    Parameters
    ----------
    path : of the archive
    needed : names of the entries that it must hold
    optional : names of entries that are read if they are there; others are not touched

    Returns
    -------
    A dict by name. An entry that is one pickled object is that object, of dicts, lists, tuples,
    texts, numbers, None and arrays; numpy's scalars are Python's numbers. Arrays use the bytes
    that were read, without a copy, and cannot be written to.

    Raises
    ------
    Pose3dError
        If there is no such file, if it is damaged or no archive, if a needed entry is not in it,
        or if it holds anything else than these types.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name[:-4] for name in archive.namelist() if name.endswith(".npy")}
            if missing := [name for name in needed if name not in names]:
                raise Pose3dError(
                    f"{path}: has no {', '.join(missing)}; found {listed(sorted(names))}"
                )
            content = {}
            for name in (*needed, *optional):
                if name in names:
                    with archive.open(f"{name}.npy") as file:
                        content[name] = _read_entry(file, f"{path}: {name}")
            return content
    except Pose3dError:
        raise
    except MemoryError:
        raise Pose3dError(f"{path}: does not fit into this machine's memory") from None
    except zipfile.BadZipFile:
        raise Pose3dError(f"{path}: no .npz archive, or not complete; get it again") from None
    except FileNotFoundError:
        raise Pose3dError(f"{path}: no such file; give the path of the .npz file") from None
    except Exception as error:  # damaged bytes make a pickle fail in nearly any way
        reason = getattr(error, "strerror", None)
        what = f"cannot be read ({reason})" if reason else "damaged or not complete; get it again"
        raise Pose3dError(f"{path}: {what}") from None


def listed(names: list) -> str:
    """Names for a message: not too many, and nothing that breaks a line."""
    shown = ", ".join(ascii(name)[:40] for name in names[:8])
    return (shown + (", ..." if len(names) > 8 else "")) or "nothing"


def _read_entry(file: IO[bytes], where: str) -> Found:
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, fortran, dtype = read_header(file)
    if dtype.hasobject:
        pickled = _Reader(file, where).load()
        file.read()  # up to the end, where the archive's checksum is compared
        content = _Rebuilder(where)(pickled)
        is_one_object = isinstance(content, np.ndarray) and content.ndim == 0
        return content.item() if is_one_object else content
    raw = file.read()
    return np.frombuffer(raw, dtype).reshape(shape, order="F" if fortran else "C")


class _DType:
    """A dtype to be, as a pickle puts it together."""

    __slots__ = ("order", "text")

    def __init__(self, text: object) -> None:
        self.text, self.order = text, "|"

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1]
        if any(part is not None for part in state[2:5]):
            self.text = "record"

    def made(self, where: str) -> np.dtype:
        if not (isinstance(self.text, str) and DTYPE.fullmatch(self.text)):
            raise Pose3dError(
                f"{where} holds an array of dtype {ascii(self.text)[:40]}; only numbers, texts and "
                "objects are read"
            )
        return np.dtype({"<": "<", ">": ">"}.get(self.order, "=") + self.text)


class _Array:
    """An array to be: built only when the pickle has had its say."""

    __slots__ = ("dtype", "fortran", "raw", "shape")

    def __setstate__(self, state: tuple) -> None:
        _version, self.shape, self.dtype, self.fortran, self.raw = state


class _Scalar:
    """A numpy scalar to be."""

    __slots__ = ("dtype", "raw")

    def __init__(self, dtype: object, raw: object) -> None:
        self.dtype, self.raw = dtype, raw


class _Reader(pickle.Unpickler):
    def __init__(self, file: IO[bytes], where: str) -> None:
        super().__init__(file, encoding="latin1")  # for what Python 2 wrote
        self.where = where
        self.known = _known_names()

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in self.known:
            raise Pose3dError(
                f"{self.where} is refused: it asks for {ascii(f'{module}.{name}')[:80]}, which "
                "could run code and which pose data do not need; get the file from elsewhere"
            )
        return self.known[module, name]


def _known_names() -> dict[tuple[str, str], Callable]:
    """Made anew for every file: a pickle can set attributes on what it is given.

    None of them is a class, whose attributes would stay changed.
    """

    def ndarray(*_: object) -> None:  # only named, as the class for ``reconstruct``
        raise ValueError("arrays are not made this way")

    def reconstruct(*_: object) -> _Array:
        return _Array()

    def from_buffer(raw: object, dtype: object, shape: object, order: object) -> _Array:
        array = _Array()
        array.__setstate__((1, shape, dtype, order == "F", raw))
        return array

    def dtype(text: object, *_: object) -> _DType:
        return _DType(text)

    def scalar(dtype: object, raw: object) -> _Scalar:
        return _Scalar(dtype, raw)

    def encode(text: str, encoding: str) -> bytes:
        if encoding not in ("latin1", "latin-1"):
            raise ValueError("not how bytes are pickled")
        return text.encode("latin1")

    def no_bytes() -> bytes:
        return b""

    known = {
        ("numpy", "ndarray"): ndarray,
        ("numpy", "dtype"): dtype,
        # How bytes, and no bytes, are pickled for Python 2, as numpy did for long.
        ("_codecs", "encode"): encode,
        ("__builtin__", "bytes"): no_bytes,
    }
    for core in ("core", "_core"):
        known[f"numpy.{core}.multiarray", "_reconstruct"] = reconstruct
        known[f"numpy.{core}.multiarray", "scalar"] = scalar
        known[f"numpy.{core}.numeric", "_frombuffer"] = from_buffer
    return known


class _Rebuilder:
    """Turns what a ``_Reader`` gave into plain containers, numbers, texts and arrays."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.done: dict[int, Found] = {}

    def __call__(self, value: object) -> Found:
        # Things that are there twice are made once: nesting them could fill the memory.
        if id(value) not in self.done:
            self.done[id(value)] = self.rebuilt(value)
        return self.done[id(value)]

    def rebuilt(self, value: object) -> Found:
        if value is None or isinstance(value, str | int | float):
            return value
        if isinstance(value, dict):
            return {self(key): self(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self(item) for item in value]
        if isinstance(value, tuple):
            return tuple(self(item) for item in value)
        if isinstance(value, _Array):
            return self.array(value)
        if isinstance(value, _Scalar):
            return np.frombuffer(_raw(value.raw), value.dtype.made(self.where), 1).item()
        raise Pose3dError(
            f"{self.where} holds a {type(value).__name__.lstrip('_')}; only dicts, lists, tuples, "
            "texts, numbers and arrays are read"
        )

    def array(self, value: _Array) -> np.ndarray:
        dtype = value.dtype.made(self.where)
        if not dtype.hasobject:
            order = "F" if value.fortran else "C"
            return np.frombuffer(_raw(value.raw), dtype).reshape(value.shape, order=order)
        if not isinstance(value.raw, list) or len(value.raw) != math.prod(value.shape):
            raise ValueError("objects and shape contradict each other")
        objects = np.empty(len(value.raw), object)
        for index, item in enumerate(value.raw):
            objects[index] = self(item)
        return objects.reshape(value.shape)  # objects are listed row by row in any case


def _raw(value: object) -> bytes | bytearray:
    return value.encode("latin1") if isinstance(value, str) else value
