"""Tables: with lines and colours in a terminal, plain text with a line for every row elsewhere."""

from __future__ import annotations

import io
from collections.abc import Callable

from rich import box
from rich.console import Console
from rich.table import Table


def print_tables(show: Callable[[Console], None]) -> None:
    """Write to standard output what ``show`` prints on the console that it is given."""
    console = Console(highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        show(console)
        return
    text = io.StringIO()
    show(Console(file=text, width=1000, color_system=None, markup=False, emoji=False))
    print("\n".join(line.rstrip() for line in text.getvalue().splitlines()))


def style_of(console: Console) -> box.Box | None:
    """The lines of a table on a console: none where it is no terminal."""
    return box.SIMPLE_HEAD if console.is_terminal else None


def make_table(title: str, caption: str | None, style: box.Box | None) -> Table:
    """A table without columns yet."""
    return Table(
        title=title,
        caption=caption,
        box=style,
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        caption_style="dim",
    )
