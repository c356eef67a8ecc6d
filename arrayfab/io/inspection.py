"""What is inside a checkpoint, as text."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

from arrayfab import _arrays
from arrayfab.frozen import SCHEME
from arrayfab.io.checkpoint import VERSION, read
from arrayfab.io.configuration import short
from arrayfab.io.entry import Entry
from arrayfab.io.matrices import matrices
from arrayfab.io.reading import spelled
from arrayfab.io.registry import Registry
from arrayfab.outline import formula

HEADER = ("name", "formula", "shape", "learned", "compression", "seed", "bytes", "checksums")


class Inspection(NamedTuple):
    """A title, a line of `HEADER` for every entry, and whether all checksums are right."""

    title: str
    rows: list[tuple[str, ...]]
    is_sound: bool


def inspect(path: str | bytes | os.PathLike) -> Inspection:
    """What is inside a checkpoint; errors are those of `arrayfab.load`, but for wrong checksums."""
    entries = read(path)
    faults = [entry.faults(_arrays.namespace(None), None) for entry in entries]
    title = f"{spelled(path)}: version {VERSION} of the format, scheme {SCHEME}"
    rows = [_row(entry, found) for entry, found in zip(entries, faults, strict=True)]
    return Inspection(title, rows, not any(faults))


def _row(entry: Entry, faults: list[str]) -> tuple[str, ...]:
    found = list(matrices(entry.value, entry.shape))
    shapes = [matrix.shape for matrix in found if matrix.shape]
    w, dense = entry.w, sum(math.prod(shape) for shape in shapes)
    stored = entry.configuration(Registry())[1].values()
    return (
        short(entry.name, 40),
        short(formula(entry.value), 100),
        short(", ".join(f"{n} × {D}" for n, D in shapes), 40) or "–",
        f"{w.shape[-1]:,}",
        f"{dense / w.shape[-1]:,.1f}×" if dense and w.shape[-1] else "–",
        short(", ".join(map(str, dict.fromkeys(_seeds(entry.value))))) or "–",
        f"{sum(array.nbytes for array in stored):,}",
        _verdict(len(shapes) == len(found), len(entry.frozen()), faults),
    )


def _verdict(is_known: bool, blocks: int, faults: list[str]) -> str:
    if faults:
        return short(f"WRONG: {', '.join(faults)}")
    if not is_known:
        return "w is right; frozen blocks not checked: no shape"
    return f"right: w and {blocks} frozen" if blocks else "right: w"


def _seeds(value: Any) -> Iterator[int]:
    """The seeds in a configuration."""
    if isinstance(value, tuple):
        for item in value:
            yield from _seeds(item)
    elif is_dataclass(value):
        for field in fields(value):
            held = getattr(value, field.name)
            yield from (held,) if field.name == "seed" and held is not None else _seeds(held)
