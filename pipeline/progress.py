"""How stages tell of their progress without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What a run tells while it works; stages come one after the other."""

    def stage(self, name: str, total: int | None) -> None:
        """A stage of ``total`` frames (None: unknown) begins."""

    def advance(self, frames: int = 1) -> None:
        """So many more frames of the stage are done."""


class Silence:
    """Tells nothing."""

    def stage(self, name: str, total: int | None) -> None: ...

    def advance(self, frames: int = 1) -> None: ...
