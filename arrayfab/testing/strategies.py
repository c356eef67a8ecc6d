"""Hypothesis strategies for shapes, data, built-in fabrications and expansions, compositions, and roles."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

from hypothesis import strategies as st
from hypothesis.extra.array_api import make_strategies_namespace

from arrayfab import _arrays, roles
from arrayfab import fabrications as fab
from arrayfab.catalogue import EXPANSIONS, VARIANTS
from arrayfab.expansions import Expansion
from arrayfab.fabrications import Fabrication
from arrayfab.testing import layers
from arrayfab.testing import namespaces as spaces
from arrayfab.testing.cases import Case
from arrayfab.testing.shapes import COLUMNS, SIZES, columns_that_fit, fitting, takes
from arrayfab.testing.trials import is_polynomial


def namespaces() -> st.SearchStrategy[str]:
    """Names of installed namespaces, devices included; NumPy is the simplest."""
    return st.sampled_from(spaces.installed())


def seeds() -> st.SearchStrategy[int]:
    """Seeds of frozen matrices."""
    return st.integers(0, 2**64 - 1)


def shapes(
    fabrication: Fabrication | None = None, side: int | None = None
) -> st.SearchStrategy[tuple[int, int]]:
    """Shapes ``(n, D)``, of those alone that fit the fabrication's hyper-parameters where one is given.

    Sizes go up to ``side``. Left out, they are small with a few beyond eight, or larger where none fits.
    """
    sizes = SIZES if side is None else tuple(range(1, side + 1))
    found = [(n, D) for n in sizes for D in sizes] if fabrication is None else fitting(fabrication, sizes)
    # One size after the other: each then shrinks by itself.
    columns = {n: [D for m, D in found if m == n] for n, _ in found}
    rows = st.sampled_from(list(columns))
    return rows.flatmap(lambda n: st.sampled_from(columns[n]).map(lambda D: (n, D)))


# Numbers larger than anyone would clip at, and products of them that single precision would round.
_LARGE = 4000


def cases(subject: Any, namespace: str = "numpy") -> st.SearchStrategy[Case]:
    """Cases on which laws are tried for a subject."""
    is_fabrication = isinstance(subject, Fabrication)
    fit = fitting(subject) if is_fabrication else [(1, 1)]
    shape = shapes(subject) if is_fabrication else st.just((1, 1))
    columns = columns_that_fit(subject) if isinstance(subject, Expansion) else [1]
    # No rows at all, and more than eight but no multiple of it; a single one is special too.
    rows, lead = st.sampled_from([1, 2, 9, 0, 17, 1]), st.sampled_from([(), (2,), (1,)])
    if namespace in _COMPILING:
        # Every new shape costs more than the law itself: two of them must do.
        small = [shape for shape in fit if max(shape) <= 4]
        shape = st.just(max(small, key=min) if small else fit[0])
        rows, lead = st.just(2), st.sampled_from([(), (2,)])
        columns = columns[:2][-1:]
    # The values of a function that is no polynomial soon leave all bounds.
    is_whole = is_polynomial(subject, Case(n=fit[-1][0], D=fit[-1][1], m=columns[0]))
    known = [(1, "float64"), (2, "float32"), (1, "float16")] + [(_LARGE, "float64")] * is_whole
    numbers = [(spread, dtype) for spread, dtype in known if dtype in spaces.get(namespace).dtypes]

    def make(shape, m, rows, lead, batch, seed, data, order):
        return Case(
            n=shape[0],
            D=shape[1],
            m=m,
            rows=rows,
            lead=lead if lead == batch or not batch or not lead else (),
            batch=batch,
            seed=seed,
            spread=data[0],
            is_whole=is_whole,
            order=order,
            namespace=namespace,
            dtype=data[1],
        )

    batch = lead if layers.takes_batch(subject) else st.just(())
    seed, data, order = st.integers(0, 99), st.sampled_from(numbers), st.sampled_from("CF")
    return st.builds(make, shape, st.sampled_from(columns), rows, lead, batch, seed, data, order)


_COMPILING = ("jax", "dask")


_NUMPY = make_strategies_namespace(_arrays.namespace(None))


def _arrays_of(shape, xp: ModuleType | None, dtype: str, spread: int):
    xp = _arrays.namespace(xp)
    drawn = _NUMPY.arrays(dtype, shape, elements=st.integers(-spread, spread).map(float))
    return drawn.map(lambda numbers: _arrays.from_host(numbers, xp, getattr(xp, dtype), None))


def parameters(
    fabrication: Fabrication, n: int, D: int, *, batch: tuple[int, ...] = (), xp: ModuleType | None = None,
    dtype: str = "float64", spread: int = 2,
) -> st.SearchStrategy:  # fmt: skip
    """Vectors ``w`` of small whole numbers, of shape ``(*batch, l)``."""
    return _arrays_of((*batch, fabrication.num_parameters(n, D)), xp, dtype, spread)


def batches(
    columns: int, *, rows: st.SearchStrategy[int] | None = None, xp: ModuleType | None = None,
    dtype: str = "float64", spread: int = 2,
) -> st.SearchStrategy:  # fmt: skip
    """Data of small whole numbers, of shape ``(rows, columns)``."""
    rows = st.integers(1, 4) if rows is None else rows
    return rows.flatmap(lambda count: _arrays_of((count, columns), xp, dtype, spread))


def cotangents(y: Any, *, spread: int = 2) -> st.SearchStrategy:
    """Cotangents of small whole numbers for a result: its shape, namespace and dtype."""
    backend = _arrays.backend_of("cotangents", "y", y)
    return _arrays_of(tuple(y.shape), backend.xp, _arrays.dtype_name(y.dtype), spread)


def _factors(size):
    return [factor for factor in range(1, size + 1) if size % factor == 0]


@st.composite
def fabrications(draw, n: int | None = None, D: int | None = None) -> Fabrication:
    """Built-in fabrications with hyper-parameters that fit some shape, or ``n × D`` where it is given."""
    kinds = [type(variant) for variant in VARIANTS.values() if n == D or not variant.is_square]
    kind = draw(st.sampled_from(kinds))
    p, q = (st.sampled_from(_factors(size)) if size else st.integers(1, 3) for size in (n, D))
    both = st.sampled_from(_factors(math.gcd(n or 6, D or 6)))
    hyper = {
        "b": both,
        "p": both,
        "k": st.just(1),
        "m": st.just(1),
        "inner": st.just(fab.LowRank(r=1)),
        "r": st.integers(1, 3),
        "l": st.integers(1, 4),
        "hidden_dim": st.integers(1, 4),
        "seed": st.integers(0, 9),
        "c": st.sampled_from([1.0, -2.0, 0.0]),
    }
    chosen = {name: draw(strategy) for name, strategy in hyper.items() if name in kind.__dataclass_fields__}
    if kind is fab.Masked:
        chosen["p"] = draw(st.sampled_from([0.5, 0.0, 1.0]))
    elif "q" in kind.__dataclass_fields__:
        chosen |= {"p": draw(p), "q": draw(q)}
    return kind(**chosen)


@st.composite
def compositions(draw, n: int, D: int) -> Fabrication:
    """Sums and multiples of built-in fabrications that fit ``n × D``."""
    terms = draw(st.lists(fabrications(n, D), min_size=1, max_size=3))
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return draw(st.sampled_from([1.0, -2.0, 0.5])) * total


def expansions(m: int | None = None) -> st.SearchStrategy[Expansion]:
    """Built-in expansions that take data of some number of columns, or of ``m`` where it is given."""
    sizes = COLUMNS if m is None else (m,)
    return st.sampled_from([each for each in EXPANSIONS.values() if any(takes(each, size) for size in sizes)])


@st.composite
def built_in_roles(draw, side: int = 4) -> roles.Role:
    """Roles of every kind and type over fabrications that fit them, some of them with an expansion."""
    if draw(st.integers(0, 3)) == 3:
        return draw(_roles_of_expansions(min(side, 3)))
    n, D, b = (draw(st.integers(1, side)) for _ in range(3))
    kinds = draw(st.sampled_from(["attribute", "instance"]))
    name = "m" if kinds == "attribute" else "b"
    make = draw(st.sampled_from(["reconciliation", "interdependence", "bilinear", "fusion"]))
    if make == "reconciliation":
        return roles.Reconciliation(fabrication=draw(fabrications(n, D)), n=n, D=D, bias=draw(st.booleans()))
    if make == "interdependence":
        sizes = {name: n, f"{name}_prime": D}
        return roles.ParameterizedInterdependence(
            fabrication=draw(fabrications(n, D)), interdependence_type=kinds, **sizes
        )
    if make == "bilinear":
        size = {"b": b} if kinds == "attribute" else {"m": b}
        role = draw(st.sampled_from([roles.BilinearInterdependence, roles.Attention]))
        return role(fabrication=draw(fabrications(b, b)), interdependence_type=kinds, **size)
    return roles.ConcatenationFusion(fabrication=draw(fabrications(n, D + b)), dims=(D, b), n=n)


@st.composite
def _roles_of_expansions(draw, side):
    n, m = (draw(st.integers(1, side)) for _ in range(2))
    kinds = draw(st.sampled_from(["attribute", "instance"]))
    make = draw(st.sampled_from(["reconciliation", "interdependence", "bilinear", "fusion"]))
    dims = (m, n)
    expansion = draw(expansions({"fusion": sum(dims), "reconciliation": m}.get(make, side)))
    if make == "reconciliation":
        fabrication = draw(fabrications(n, expansion.num_features(m)))
        return roles.Reconciliation(fabrication=fabrication, n=n, m=m, expansion=expansion)
    if make == "fusion":
        fabrication = draw(fabrications(n, expansion.num_features(sum(dims))))
        return roles.ConcatenationFusion(fabrication=fabrication, dims=dims, n=n, expansion=expansion)
    # Both sizes are the expansion's own: one of them is how many numbers it takes.
    D = expansion.num_features(side)
    sizes = {"b": side, "m": side, "interdependence_type": kinds, "expansion": expansion}
    if make == "bilinear":
        return roles.BilinearInterdependence(fabrication=draw(fabrications(D, D)), **sizes)
    return roles.ParameterizedInterdependence(fabrication=draw(fabrications(side, D)), **sizes)
