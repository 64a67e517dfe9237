"""The shipped weights by name: what ``registry.toml`` says of them, and where their files are."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from weights.errors import Pose3dError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent
REGISTRY = FOLDER / "registry.toml"


@dataclass(frozen=True)
class Accuracy:
    """Errors in mm of one kind of 2D input, "exact 2D" or "noisy 2D"."""

    input: str
    mpjpe_mm: float
    p_mpjpe_mm: float


@dataclass(frozen=True)
class Entry:
    """One set of shipped weights; ``registry.toml`` explains the fields.

    ``tested_on`` are the conditions under which all of ``accuracy`` was measured.
    """

    name: str
    file: str
    sha256: str
    bytes: int
    licence: str
    training_data: tuple[str, ...]
    tested_on: str
    accuracy: tuple[Accuracy, ...]


def entries() -> dict[str, Entry]:
    """All shipped weights by the name that the user gives.

    Raises
    ------
    Pose3dError
        if ``registry.toml`` is not there or not of its form.
    """
    try:
        tables = tomllib.loads(REGISTRY.read_text(encoding="utf-8"))
        return {name: _entry(name, table) for name, table in tables.items()}
    except OSError as error:
        raise Pose3dError(f"{REGISTRY}: cannot be read ({error.strerror})") from None
    except (ValueError, TypeError, KeyError) as error:
        raise Pose3dError(f"{REGISTRY}: not a registry of weights ({error})") from None


def path_of(name: str) -> Path:
    """The file of shipped weights; Pose3dError if there are none of this name or it is gone."""
    known = entries()
    if name not in known:
        raise Pose3dError(f"no weights for '{name}' are shipped yet: give a weights file")
    path = FOLDER / known[name].file
    if not path.is_file():
        raise Pose3dError(f"{path}: the shipped weights are not there; install pose3d again")
    return path


def _entry(name: str, table: dict) -> Entry:
    lists = {
        "training_data": tuple(table["training_data"]),
        "accuracy": tuple(Accuracy(**row) for row in table["accuracy"]),
    }
    try:
        return Entry(name=name, **{**table, **lists})
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
