"""Tables of text, with figures aligned right."""

from __future__ import annotations

from collections.abc import Sequence

Row = tuple[str, ...]


def as_text(title: str, header: Row, rows: Sequence[Row]) -> str:
    """A table in plain text."""
    aligned = [
        [cell.rjust(width) if is_right else cell.ljust(width) for cell in (name, *cells)]
        for name, cells, is_right in _columns(header, rows)
        for width in [max(map(len, (name, *cells)))]
    ]
    return "\n".join((title, *("  ".join(line).rstrip() for line in zip(*aligned, strict=True))))


def show(title: str, header: Row, rows: Sequence[Row]) -> None:
    """Print a table: by rich on a terminal where that is installed, else in plain text."""
    try:
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table
    except ImportError:
        print(as_text(title, header, rows))
        return
    console = Console()
    if not console.is_terminal:  # nothing need be cut
        print(as_text(title, header, rows))
        return
    table = Table(title=escape(title), title_justify="left")
    for name, _, is_right in _columns(header, rows):
        table.add_column(name, justify="right" if is_right else "left")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)


def _columns(header, rows):
    """Name and cells of every column, and whether they are figures."""
    for name, *cells in zip(header, *rows, strict=True):
        yield name, cells, all(cell[:1].isdigit() or cell == "–" for cell in cells)
