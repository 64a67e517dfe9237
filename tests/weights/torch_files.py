"""Files as torch.save writes them, around any pickle: also those that it would never write."""

import io
import pickle
import zipfile

import pytest
import torch

from weights.errors import Pose3dError
from weights.reading import read_any

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


def saved(content, legacy=False) -> bytes:
    """What torch.save writes, as a zip archive or as before torch 1.6."""
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def zip_around(content: bytes, entries=(), compression=zipfile.ZIP_STORED) -> bytes:
    """A zip archive with the bytes of a pickle, and more entries of its folder."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("archive/data.pkl", content)
        for name, data in dict(entries).items():
            archive.writestr(f"archive/{name}", data)
    return file.getvalue()


def legacy_around(content: bytes, little_endian=True) -> bytes:
    """The stream of pickles before torch 1.6, with the bytes of the one that counts."""
    before = (LEGACY_MAGIC, 1001, {"little_endian": little_endian})
    return b"".join(pickle.dumps(part, 2) for part in before) + content + pickle.dumps([], 2)


def named(module: str, name: str) -> bytes:
    """The opcode that asks for something by its name."""
    return f"c{module}\n{name}\n".encode()


def text(value: str) -> bytes:
    return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()


def called(function: bytes, *arguments: bytes) -> bytes:
    return function + b"(" + b"".join(arguments) + b"tR"


def pickled(value: bytes) -> bytes:
    """A whole pickle: {"random_state": value}."""
    return b"\x80\x02}" + text("random_state") + value + b"s."


def the_error(path, content=None) -> str:
    """The message with which reading fails: one line that begins with the file."""
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Pose3dError) as caught:
        read_any(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < 500
    return message.removeprefix(f"{path}: ")
