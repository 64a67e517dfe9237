"""Weights by name: shipped ones (``registry.toml``) and public ones (``public.toml``)."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weights.errors import Pose3dError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent
REGISTRY = FOLDER / "registry.toml"
PUBLIC = FOLDER / "public.toml"


@dataclass(frozen=True)
class Accuracy:
    """Errors in mm of one kind of 2D input, "exact 2D" or "noisy 2D"."""

    input: str
    mpjpe_mm: float
    p_mpjpe_mm: float


@dataclass(frozen=True)
class Entry:
    """One set of shipped weights; ``registry.toml`` explains the fields.

    ``tested_on`` are the conditions under which all figures were measured: the ``accuracy`` of
    lifters, the ``figures`` of other networks.
    """

    name: str
    kind: str
    file: str
    sha256: str
    bytes: int
    licence: str
    training_data: tuple[str, ...]
    tested_on: str
    accuracy: tuple[Accuracy, ...] = ()
    figures: str = ""


@dataclass(frozen=True)
class Public:
    """A public checkpoint that ``weights.download`` can fetch; ``public.toml`` explains the fields.

    ``sha256`` may be the start of the digits; ``bytes`` is None where the size is not known.
    """

    name: str
    kind: str
    urls: tuple[str, ...]
    sha256: str
    licence: str
    training_data: tuple[str, ...]
    config: str
    accuracy: str
    bytes: int | None = None

    @property
    def file(self) -> str:
        """Name of the file, as its publisher gave it."""
        return self.urls[0].rsplit("/", 1)[-1]


def entries() -> dict[str, Entry]:
    """All shipped weights by the name that the user gives.

    Raises
    ------
    Pose3dError
        if ``registry.toml`` is not there or not of its form.
    """
    return _read(REGISTRY, _entry)


def shipped(kind: str) -> dict[str, Entry]:
    """Shipped weights of one kind: "lifter", "pose2d" or "people"."""
    return {name: entry for name, entry in entries().items() if entry.kind == kind}


def public() -> dict[str, Public]:
    """All public checkpoints that can be fetched, by name; raises as ``entries`` does."""
    return _read(PUBLIC, _public)


def find(name: str) -> Entry | Public:
    """What is known of weights, shipped or public; Pose3dError for a name that is neither."""
    known = {**public(), **entries()}
    if name not in known:
        close = difflib.get_close_matches(name.lower(), known, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise Pose3dError(f"no weights named '{name}': {hint}pose3d weights list shows all")
    return known[name]


def path_of(name: str) -> Path:
    """The file of shipped weights; Pose3dError if there are none of this name or it is gone."""
    known = entries()
    if name not in known:
        raise Pose3dError(f"no weights for '{name}' are shipped yet: give a weights file")
    path = FOLDER / known[name].file
    if not path.is_file():
        raise Pose3dError(f"{path}: the shipped weights are not there; install pose3d again")
    return path


def _read(path: Path, build: Callable[[str, dict], Any]) -> dict[str, Any]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        return {name: build(name, table) for name, table in tables.items()}
    except OSError as error:
        raise Pose3dError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, TypeError, KeyError) as error:
        raise Pose3dError(f"{path}: not a registry of weights ({error})") from None


def _entry(name: str, table: dict) -> Entry:
    lists = {
        "training_data": tuple(table["training_data"]),
        "accuracy": tuple(Accuracy(**row) for row in table.get("accuracy", ())),
    }
    if bool(lists["accuracy"]) != (table["kind"] == "lifter"):
        raise ValueError(f"{name}: lifters have accuracy, other networks have figures")
    return _made(Entry, name, {**table, **lists})


def _public(name: str, table: dict) -> Public:
    lists = {key: tuple(table[key]) for key in ("urls", "training_data")}
    return _made(Public, name, {**table, **lists})


def _made(kind: type, name: str, fields: dict) -> Any:
    try:
        return kind(name=name, **fields)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
