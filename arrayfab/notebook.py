"""Pages in notebooks: what a fabrication, a structured matrix, a layer or a model says of itself, as HTML.

A page has the colours of the notebook around it, light or dark; a picture has a caption, which is read out in
its place; and whatever is shown is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields, is_dataclass
from html import escape
from typing import Any

import numpy as np

from arrayfab._shown import Shown
from arrayfab.expansions import Expansion
from arrayfab.fabrications import Fabrication
from arrayfab.fabrications.blueprint import blueprint
from arrayfab.glimpse import glimpse, is_cheap
from arrayfab.layer import Layer
from arrayfab.matrix import StructuredMatrix
from arrayfab.outline import HEADER, formula, lines_of
from arrayfab.tables import as_html, printable

POSITIVE, NEGATIVE = "#e07b00", "#2f7fd6"

#: The shapes that a fabrication by itself is shown at: the first that fits it.
_EXAMPLES = ((24, 36), (32, 32))
_LARGE = 1024

#: No model is explained by more formulas, and no page begins with a longer title.
_MOST_FORMULAS, _LONGEST = 12, 200

#: So many learned numbers are drawn for a picture, and no more.
_MOST_LEARNED = 1 << 18


def page(shown: Shown) -> str:
    """The page. A part of it that cannot be written, or not cheaply, is left out."""
    heading, *parts = _parts(shown)
    text = _tried(heading, shown) or _tried(_title, shown) or _strong(type(shown).__name__)
    text += "".join(_tried(part, shown) for part in parts)
    return f'<div class="arrayfab" style="overflow-x: auto">{text}</div>'


def _parts(shown: Shown) -> list[Callable[[Any], str]]:
    if isinstance(shown, StructuredMatrix):
        return [_repr, _facts, _formulas, _matrix]
    if isinstance(shown, Fabrication):
        return [_title, _costs, _formulas, _example]
    return [_lines, _formulas, _of_layer]


def _tried(part, *shown):
    # What someone looks at must never stop them, whatever it holds: shapes that do not fit, numbers that are
    # traced, classes of someone else's.
    with suppress(Exception):
        return part(*shown)
    return ""


def _title(shown: Any) -> str:
    return _strong(formula(shown))


def _repr(shown: Any) -> str:
    return _strong(repr(shown))


def _strong(text: str) -> str:
    return f"<p><strong>{escape(_short(printable(text)))}</strong></p>"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _lines(layer: Any) -> str:
    title, rows = lines_of(layer)
    return as_html(title, HEADER, rows)


def _facts(W: StructuredMatrix) -> str:
    (n, D), learned = W.structure.shape, W.w.shape[-1]
    facts = [
        ("fabrication", _short(formula(W.fabrication))),
        ("learned numbers", f"{learned:,} in place of {n * D:,}"),
        ("x @ W, for each row of x", f"{W.structure.rows_cost(1).multiplies:,} multiplies"),
    ]
    return as_html("", ("", ""), facts)


def _costs(fabrication: Fabrication) -> str:
    l, cost = fabrication.num_parameters(_LARGE, _LARGE), fabrication.cost(_LARGE, _LARGE)  # noqa: E741
    size = f"{_LARGE:,} × {_LARGE:,}"
    return f"<p>{size}: {l:,} learned numbers, {cost.multiplies:,} multiplies for each row of data</p>"


# Formulas: a class says its own in the first line of its documentation.


def _formulas(shown: Any) -> str:
    """What stands in a value, each kind explained once."""
    kinds = {type(part): None for part in _within(shown)}
    lines = [(kind.__name__, said) for kind in kinds if (said := _said(kind))]
    items = "".join(
        f"<dt>{escape(name)}</dt><dd>{_with_code(said)}</dd>" for name, said in lines[:_MOST_FORMULAS]
    )
    return f"<dl>{items}</dl>" if items else ""


def _within(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for part in value:
            yield from _within(part)
    elif isinstance(value, Fabrication | Expansion | Layer) and not isinstance(value, type):
        yield value
        if is_dataclass(value):
            for field in fields(value):
                yield from _within(getattr(value, field.name))


def _said(kind: type) -> str:
    text = (kind.__doc__ or "").strip().partition("\n\n")[0]
    # A dataclass without documentation says how it is called.
    return "" if text.startswith(f"{kind.__name__}(") else " ".join(text.split())


def _with_code(text: str) -> str:
    """Text with what stands in backquotes as code."""
    return re.sub(r"(`+)(.+?)\1", r"<code>\2</code>", escape(text))


# Pictures.


def _matrix(W: StructuredMatrix) -> str:
    return _picture(W, "its entries")


def _example(fabrication: Fabrication) -> str:
    return next(filter(None, (_tried(_random, fabrication, *shape) for shape in _EXAMPLES)), "")


def _of_layer(layer: Any) -> str:
    """A matrix of the layer's shape."""
    return _random(getattr(layer, "aligned", layer.fabrication), *layer.matrix_shape)


def _random(fabrication: Fabrication, n: int, D: int) -> str:
    if blueprint(fabrication, n, D).size > _MOST_LEARNED:
        return ""
    W = fabrication.fabricate(fabrication.init(n, D, rng=0), n, D)
    return _picture(W, f"{n:,} × {D:,}, with random numbers")


def _picture(W: StructuredMatrix, what: str) -> str:
    """A glimpse of the matrix with a caption, where it is cheap."""
    if not is_cheap(W):
        return ""
    values, (n, D) = glimpse(W), W.shape
    if values.shape != (n, D):
        rows, columns = values.shape
        what += f"; {rows} of {n:,} rows and {columns} of {D:,} columns"
    return drawn(values, f"{what}: orange is positive, blue is negative")


def drawn(values: np.ndarray, caption: str) -> str:
    """A matrix as an SVG picture, with a caption that is also what it is read out as."""
    rows, columns = values.shape
    finite = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    largest = np.abs(finite).max(initial=0.0)
    # Cells of one colour and strength are one path.
    squares: dict[tuple[str, int], list[str]] = {}
    for (i, j), value in np.ndenumerate(finite / largest if largest else finite):
        if value:
            tone = POSITIVE if value > 0 else NEGATIVE, max(round(10 * abs(value)), 1)
            squares.setdefault(tone, []).append(f"M{j} {i}h1v1h-1z")
    paths = [
        f'<path fill="{colour}" fill-opacity="{tenths / 10:g}" d="{"".join(cells)}"/>'
        for (colour, tenths), cells in sorted(squares.items())
    ]
    label = escape(caption)
    return (
        f'<figure style="margin: 0.5em 0"><svg xmlns="http://www.w3.org/2000/svg" role="img" '
        f'aria-label="{label}" viewBox="-0.1 -0.1 {columns + 0.2} {rows + 0.2}" '
        f'width="{8 * columns}" height="{8 * rows}" style="max-width: 100%">{"".join(paths)}'
        f'<rect width="{columns}" height="{rows}" fill="none" stroke="currentColor" stroke-width="0.1"/>'
        "</svg>"
        f"<figcaption>{label}</figcaption></figure>"
    )
