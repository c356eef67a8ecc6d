"""What layers consist of: the shapes that go in and come out, what is learned, and what a call costs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, NamedTuple

import numpy as np

from arrayfab.fabrications import Base, ProductOf, Scaled, SumOf, WithFrozen
from arrayfab.layer import Layer
from arrayfab.plain import Pointwise
from arrayfab.structures import Cost
from arrayfab.structures.numbers import total
from arrayfab.tables import as_text
from arrayfab.trees import leaves, put_together

#: The shape of an array, a list of such, or None where it is not known.
Shape = Any

HEADER = ("layer", "formula", "data", "result", "learned", "compression", "multiplies")

#: No formula in a table is longer.
_LONGEST = 72


class Line(NamedTuple):
    """One layer: where it stands, what it is, its shapes, and its numbers.

    ``dense`` counts the numbers of its full matrices in place of the fabricated ones.
    """

    at: str
    formula: str
    given: Shape
    result: Shape
    learned: int
    dense: int
    cost: Cost


class Outline(NamedTuple):
    """A layer's lines, and the shape of its result."""

    lines: list[Line]
    result: Shape

    @property
    def cost(self) -> Cost:
        """What a call takes."""
        return total(line.cost for line in self.lines)

    def times(self, count: int) -> Outline:
        """That of a layer which is there several times at once."""
        lines = [
            line._replace(
                learned=count * line.learned,
                dense=count * line.dense,
                cost=Cost(*(count * part for part in line.cost)),
            )
            for line in self.lines
        ]
        return Outline(lines, self.result)


def outline(layer: Any, given: Shape, at: str = "") -> Outline:
    """What a layer consists of, for data of a shape; by the layer's own ``outline`` where it has one."""
    own = getattr(layer, "outline", None)
    if own is not None:
        return own(given, at)
    result, cost = _result(layer, given), Cost()
    if given is not None and hasattr(layer, "cost"):
        cost = layer.cost(*leaves(layer.inputs, given))
    dense = math.prod(layer.matrix_shape) if hasattr(layer, "matrix_shape") else 0
    return Outline([Line(at, formula(layer), given, result, layer.num_parameters(), dense, cost)], result)


def _result(layer, given):
    if given is None:
        return None
    if hasattr(layer, "result_shape"):
        return layer.result_shape(given)
    is_ours = hasattr(layer, "inputs")
    tree = layer.inputs if is_ours else None
    zeros = put_together(tree, map(np.zeros, leaves(tree, given)))
    try:
        with np.errstate(all="ignore"):
            y = layer(zeros, np.zeros(layer.num_parameters()))
        tree = layer.outputs if is_ours else None
        return put_together(tree, (tuple(part.shape) for part in leaves(tree, y)))
    except Exception:
        if is_ours:
            raise
        return None  # someone else's layer may take no arrays of NumPy


def data_shape(layer: Any, rows: int = 1, columns: int | None = None) -> Shape:
    """The shape of data that a layer takes, with so many rows, and so many columns where any will do.

    None where nobody knows how many.
    """
    parts = getattr(layer, "layers", None)
    if parts is not None:
        # Functions of single entries take any shape: the first of the others says it.
        first = next((part for part in parts if not isinstance(part, Pointwise)), parts[0])
        return data_shape(first, rows, columns)
    if hasattr(layer, "before"):
        return (rows, *layer.before)
    inputs = getattr(layer, "inputs", None)
    if isinstance(inputs, list):
        dims = getattr(layer, "dims", (columns,) * len(inputs))
        return None if None in dims else [(rows, size) for size in dims]
    known = (getattr(layer, name, None) for name in ("m", "D"))  # without an expansion they are the same
    b, m = getattr(layer, "b", None) or rows, next(filter(None, known), columns)
    return None if m is None else (b, m)


def table(layer: Layer) -> str:
    """The lines of a layer composed as a table, with their sum."""
    title, rows = lines_of(layer)
    return as_text(title, HEADER, rows)


def lines_of(layer: Layer) -> tuple[str, list[tuple[str, ...]]]:
    """A title, and the lines of a layer with their sum, as text below `HEADER`."""
    given = data_shape(layer)
    whole = getattr(layer, "whole", None)  # of a head's parts only the order is told
    try:
        lines = outline(whole or layer, given).lines
    except (TypeError, ValueError):  # they do not fit each other
        given, lines = None, outline(whole or layer, None).lines
    learned, dense = sum(line.learned for line in lines), sum(line.dense for line in lines)
    title = f"{type(layer).__name__}: {learned:,} learned numbers"
    if learned and dense:
        title += f" in place of {dense:,}"
    if given is not None:
        title += f"; multiplies for data of shape {_of_shape(given)}"
    known: list[tuple] = [
        (
            line.at if whole is None else str(i),
            line.formula,
            line.given,
            line.result,
            line.learned,
            line.dense,
            line.cost,
        )
        for i, line in enumerate(lines)
    ]
    if len(known) > 1:
        known.append(
            ("", "total", given, lines[-1].result, learned, dense, total(line.cost for line in lines))
        )
    rows: list[tuple[str, ...]] = [
        (
            at,
            text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…",
            _of_shape(shape),
            _of_shape(result),
            f"{numbers:,}",
            f"{full / numbers:,.1f}×" if full and numbers else "–",
            f"{cost.multiplies:,}" if shape is not None else "–",
        )
        for at, text, shape, result, numbers, full, cost in known
    ]
    return title, rows


def _of_shape(shape):
    if shape is None:
        return "–"
    if isinstance(shape, list):
        return f"[{', '.join(map(_of_shape, shape))}]"
    return " × ".join(map(str, shape))


def formula(value: Any) -> str:
    """A configuration as a person would write it, without what is left at its default."""
    if isinstance(value, SumOf):
        return " + ".join(map(formula, value.terms))
    if isinstance(value, Scaled):
        inner = formula(value.inner)
        return f"{value.scale:g} * " + (f"({inner})" if isinstance(value.inner, SumOf) else inner)
    if isinstance(value, ProductOf) and value.sizes is None:
        return " @ ".join(
            f"({formula(f)})" if isinstance(f, SumOf | Scaled) else formula(f) for f in value.factors
        )
    if isinstance(value, Base):
        return "Base(…)"
    if isinstance(value, WithFrozen):
        return f"{formula(value.inner)}.with_frozen({', '.join(f'{name}=…' for name in value.arrays)})"
    if isinstance(value, tuple):
        return f"[{', '.join(map(formula, value))}]"
    if not is_dataclass(value):
        return repr(value)
    return f"{type(value).__name__}({', '.join(_given(value))})"


def _given(value: Any) -> Iterator[str]:
    for field in fields(value):
        held = getattr(value, field.name)
        if field.init and held != _default(field):
            yield f"{field.name}={formula(held)}"


def _default(field: Field) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default
