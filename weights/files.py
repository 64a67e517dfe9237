"""Files that appear when they are whole, and what tells them from others."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from weights.errors import Pose3dError


def replace_file(path: Path, content: bytes | memoryview) -> None:
    """Write a file beside its place and rename it there; OSError leaves what was there before."""
    # Beside its place, so that the rename cannot cross file systems.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_file(path: Path, content: bytes) -> None:
    """``replace_file`` that says in one line, as Pose3dError, why it failed."""
    try:
        replace_file(path, content)
    except OSError as error:
        raise Pose3dError(f"{path}: cannot be written ({error.strerror})") from None


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def in_unicode(name: str) -> str:
    """A name of a file, or a text with one, without bytes that are no UTF-8 (of old archives)."""
    return os.fsencode(name).decode("utf-8", "replace")
