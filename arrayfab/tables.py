"""Text for people: on one line, and in tables with figures aligned right."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Row = tuple[str, ...]


def printable(text: str) -> str:
    """Text on one line, which no terminal takes for a command: spaces in place of what cannot be printed."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def as_text(title: str, header: Row, rows: Sequence[Row]) -> str:
    """A table in plain text."""
    aligned = [
        [cell.rjust(width) if is_right else cell.ljust(width) for cell in (name, *cells)]
        for name, cells, is_right in _columns(header, rows)
        for width in [max(map(len, (name, *cells)))]
    ]
    return "\n".join((printable(title), *("  ".join(line).rstrip() for line in zip(*aligned, strict=True))))


def as_html(title: str, header: Row, rows: Sequence[Row]) -> str:
    """A table in HTML; a head of empty names is left out, and what a row is about is its first cell."""
    columns = list(_columns(header, rows))
    styles = [f"text-align: {'right' if is_right else 'left'}" for *_, is_right in columns]
    cells = zip(*(column for _, column, _ in columns), strict=True)
    caption = f"<caption>{escape(printable(title))}</caption>" if title else ""
    names = "".join(
        f'<th scope="col" style="{style}">{escape(name)}</th>'
        for style, (name, *_) in zip(styles, columns, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<th scope="row" style="{style}">{escape(cell)}</th>'
            if i == 0
            else f'<td style="{style}">{escape(cell)}</td>'
            for i, (style, cell) in enumerate(zip(styles, line, strict=True))
        )
        + "</tr>"
        for line in cells
    )
    head = f"<thead><tr>{names}</tr></thead>" if any(header) else ""
    return f"<table>{caption}{head}<tbody>{body}</tbody></table>"


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
    table = Table(title=escape(printable(title)), title_justify="left")
    for name, _, is_right in _columns(header, rows):
        table.add_column(name, justify="right" if is_right else "left")
    for row in rows:
        table.add_row(*(escape(printable(cell)) for cell in row))
    console.print(table)


def _columns(header, rows):
    """Name and cells of every column, and whether they are figures."""
    for name, *column in zip(header, *rows, strict=True):
        cells = [printable(cell) for cell in column]
        yield name, cells, all(cell[:1].isdigit() or cell == "–" for cell in cells)
