"""OpenMMLab's packages and COCO's print much and warn of each other: all that goes nowhere."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout


class _Nowhere(io.TextIOBase):
    """Swallows text; unlike a closed file also what loggers that were opened on it write later."""

    def write(self, text: str) -> int:
        return len(text)


@contextmanager
def quietly() -> Iterator[None]:
    """Nothing is printed to standard output and nothing warned of."""
    with warnings.catch_warnings(), redirect_stdout(_Nowhere()):
        warnings.simplefilter("ignore")
        yield
