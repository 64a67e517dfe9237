"""Files of torch.save, read without running any code that they hold.

Both formats (zip archives, and the older stream of pickles) are taken apart here rather than by
torch.load: the pickle in them may name a handful of harmless things, everything else is refused.
What it names is never looked up in a module, so no import and no attribute can be reached.
"""

from __future__ import annotations

import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, NoReturn

import torch
from torch import Tensor

from weights.errors import Pose3dError

ZIP_MAGIC = b"PK\x03\x04"
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}

# Training states hold numpy's random numbers and scalars: harmless, and of no use here.
UNUSED = {
    ("_codecs", "encode"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("torch", "device"),
    *(
        (f"numpy.{core}.{module}", name)
        for core in ("core", "_core")
        for module, name in (
            ("multiarray", "_reconstruct"),
            ("multiarray", "scalar"),
            ("numeric", "_frombuffer"),
        )
    ),
}


def read_zip(path: Path) -> object:
    """What torch.save wrote as a zip archive: plain dicts, lists, numbers, texts and tensors.

    Pose3dError for anything else, and for a pickle that names what is not on the list.
    """
    with _one_line_errors(path), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        pickles = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise Pose3dError(
                f"{path}: a zip archive, but not one of torch.save; if weights are in it, unpack it"
            )
        folder = pickles[0].removesuffix("data.pkl")
        if f"{folder}constants.pkl" in names:
            raise Pose3dError(f"{path}: a TorchScript program, not weights")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("torch.save never compresses; a small file could fill the memory")
        if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") != b"little":
            raise Pose3dError(f"{path}: written on a big-endian machine, which is not supported")

        with archive.open(pickles[0]) as file:
            content = _Reader(file, path).load()
        # The CRC of every entry is checked on the way.
        return _Rebuilder(lambda storage: archive.read(f"{folder}data/{storage.key}"))(content)


def read_legacy(path: Path) -> object:
    """As ``read_zip``, of a file that torch before 1.6 wrote."""
    with _one_line_errors(path), open(path, "rb") as file:
        if _Reader(file, path).load() != LEGACY_MAGIC:
            raise Pose3dError(f"{path}: a pickle, but not one of torch.save")
        _Reader(file, path).load()  # protocol version
        system = _Reader(file, path).load()
        if not system["little_endian"]:
            raise Pose3dError(f"{path}: written on a big-endian machine, which is not supported")

        reader = _Reader(file, path)
        content = reader.load()
        values = {}
        for key in _Reader(file, path).load():
            (count,) = struct.unpack("<q", file.read(8))
            values[key] = file.read(count * reader.storages[key].dtype.itemsize)
        return _Rebuilder(lambda storage: values.pop(storage.key))(content)


@contextmanager
def _one_line_errors(path: Path) -> Iterator[None]:
    """Damaged bytes make a pickle fail in nearly any way: all become one line."""
    try:
        yield
    except Pose3dError:
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None)
        what = f"cannot be read ({reason})" if reason else "damaged or not complete; get it again"
        raise Pose3dError(f"{path}: {what}") from None


class _Storage(NamedTuple):
    """The numbers of one or several tensors."""

    key: str
    dtype: torch.dtype
    count: int


class _View(NamedTuple):
    """A tensor to be: built only when the pickle has had its say."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _Unused:
    """In place of what is not needed: whatever a pickle does with it leaves it as it is."""

    __slots__ = ()

    def __call__(self, *_: object, **__: object) -> _Unused:
        return self

    def __setstate__(self, _: object) -> None:
        pass


class _Reader(pickle.Unpickler):
    def __init__(self, file: IO[bytes], path: Path) -> None:
        super().__init__(file, encoding="latin1")
        self.path = path
        self.storages: dict[str, _Storage] = {}
        self.known = _known_names() | self.mmengine_names()

    def find_class(self, module: str, name: str) -> object:
        found = self.known.get((module, name))
        if found is None and module.startswith("numpy.random."):
            found = _Unused()
        if found is None:
            self.refuse(module, name)
        return found

    def refuse(self, module: str, name: str) -> NoReturn:
        raise Pose3dError(
            f"{self.path}: refuses to run code from {ascii(f'{module}.{name}')[:80]}, which "
            "weights do not need; ask for a file with the state dict alone"
        )

    def mmengine_names(self) -> dict[tuple[str, str], object]:
        """The curves that OpenMMLab's checkpoints keep: they ask for methods of their own class."""
        curve = type("HistoryBuffer", (_Unused,), {"__slots__": ()})

        def method(owner: object, *_: object) -> _Unused:
            if owner is not curve:
                self.refuse("__builtin__", "getattr")
            return _Unused()

        # As protocol 2 of pickle, which torch.save writes, spells builtins.getattr.
        return {
            ("mmengine.logging.history_buffer", "HistoryBuffer"): curve,
            ("__builtin__", "getattr"): method,
        }

    def persistent_load(self, told: tuple) -> _Storage:
        kind, dtype, key, _device, count, *view = told
        if kind != "storage" or not isinstance(dtype, torch.dtype) or any(view):
            raise ValueError("no storage of today")
        return self.storages.setdefault(key, _Storage(key, dtype, count))


def _known_names() -> dict[tuple[str, str], object]:
    """Made anew for every file: a pickle can set attributes on what it is given."""

    def tensor(storage: object, offset: object, size: object, stride: object, *_: object) -> _View:
        return _View(storage, offset, size, stride)

    def parameter(data: object, *_: object) -> object:
        return data

    known: dict[tuple[str, str], object] = {name: _Unused() for name in UNUSED}
    for name, dtype in STORAGES.items():
        known["torch", name] = known["torch.cuda", name] = dtype
        known["torch", str(dtype).removeprefix("torch.")] = _Unused()
    return known | {
        # Command lines that training scripts keep; pickle wants a class here.
        ("argparse", "Namespace"): type("Namespace", (_Unused,), {"__slots__": ()}),
        ("collections", "OrderedDict"): OrderedDict,
        ("torch", "Size"): tuple,
        ("torch._utils", "_rebuild_tensor"): tensor,
        ("torch._utils", "_rebuild_tensor_v2"): tensor,
        ("torch._utils", "_rebuild_parameter"): parameter,
    }


class _Rebuilder:
    """Turns what a ``_Reader`` gave into plain containers, numbers, texts and tensors."""

    def __init__(self, read: Callable[[_Storage], bytes]) -> None:
        self.read = read
        self.values: dict[str, Tensor] = {}
        self.done: dict[int, object] = {}

    def __call__(self, value: object) -> object:
        # Things that are there twice are made once: nesting them could fill the memory.
        if id(value) not in self.done:
            self.done[id(value)] = self.rebuilt(value)
        return self.done[id(value)]

    def rebuilt(self, value: object) -> object:
        if isinstance(value, _View):
            return self.tensor(value)
        if isinstance(value, dict):
            return {
                key if isinstance(key, str | int) else repr(key): self(item)
                for key, item in dict.items(value)
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [self(item) for item in value]
        return value if isinstance(value, bool | int | float | str | bytes) else None

    def tensor(self, view: _View) -> Tensor:
        storage = view.storage
        if storage.key not in self.values:
            content = bytearray(self.read(storage))
            self.values[storage.key] = (
                torch.frombuffer(content, dtype=storage.dtype, count=storage.count)
                if storage.count > 0
                else torch.empty(0, dtype=storage.dtype)
            )
        values = self.values[storage.key]
        if math.prod(view.size) > len(values):
            raise ValueError("a tensor larger than its storage")
        return values.as_strided(view.size, view.stride, view.offset)
