"""What is measured: a role at one size, its numbers, and how it is called in either pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import expanded
from arrayfab import (
    LPHM,
    BilinearInterdependence,
    ConcatenationFusion,
    DualLPHM,
    Fabrication,
    Full,
    Hypercomplex,
    LowRank,
    ParameterizedInterdependence,
    RandomMatrixAdaption,
    RandomMatrixHypernet,
    Reconciliation,
)
from arrayfab.expansions import BSpline, Chebyshev, Expansion, RowNormalized, Taylor
from arrayfab.fabrications.blueprint import blueprint
from formulas import FORMULAS, Formula
from records import FORWARD


@dataclass(frozen=True, kw_only=True)
class DenseMatrix:
    """A fabrication at one shape in the manner of a role: the dense ``W``, from ``w`` and no data."""

    fabrication: Fabrication
    n: int
    D: int

    def num_parameters(self):
        return self.fabrication.num_parameters(self.n, self.D)

    def init(self, **options):
        return self.fabrication.init(self.n, self.D, **options)

    def __call__(self, x, w):
        return self.fabrication.fabricate(w, self.n, self.D).to_dense()

    def vjp(self, x, w):
        W, pull = self.fabrication.vjp(w, self.n, self.D)

        def dense_matrix_pullback(grad_W):
            return x, pull(grad_W)

        return W, dense_matrix_pullback


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A role at one size and dtype.

    ``shapes`` are those of the inputs, ``matrix`` that of ``ψ(w)``; ``wanted`` are the least ratios against
    tinybig, of both passes. ``family`` gathers the sizes of one thing for the figures.
    """

    family: str
    kind: str
    size: str
    role: Any
    shapes: tuple[tuple[int, int], ...]
    matrix: tuple[int, int]
    dtype: str = "float32"
    wanted: tuple[float | None, float] | None = None

    @property
    def name(self) -> str:
        return f"{self.family}, {self.size}, {self.dtype}"

    @property
    def formula(self) -> Formula:
        return (FORMULAS | expanded.FORMULAS)[self.kind]

    @property
    def fabrication(self) -> Fabrication:
        """The fabrication with all sizes that the role has chosen for it."""
        return getattr(self.role, "aligned", self.role.fabrication)

    @property
    def is_expanded(self) -> bool:
        """Whether the role takes expanded data."""
        return getattr(self.role, "expansion", None) is not None

    @property
    def rows(self) -> int:
        """Rows of ``x``, none where there are no data."""
        return self.shapes[0][0] if self.shapes else 0

    @property
    def result_shape(self) -> tuple[int, int]:
        if not self.shapes:
            return self.matrix
        columns = self.shapes[0][1] if self.kind == "adaption bilinear" else self.matrix[0]
        return (self.rows, columns)

    @property
    def formed(self) -> tuple[tuple[int, int], ...]:
        """The shapes of the matrices that the plain dense formula forms."""
        if self.is_expanded:
            return (self.matrix, (self.rows, self.matrix[1]))
        if self.kind != "adaption bilinear":
            return (self.matrix,)
        ((_, m),) = self.shapes
        return (self.matrix, (m, m))

    @property
    def is_structured(self) -> bool:
        """Whether there is a way around a dense matrix, and enough to do for it to matter."""
        return self.kind not in ("hypernet", "full interdependence") and not self.family.startswith("tiny")

    @property
    def itemsize(self) -> int:
        return np.dtype(self.dtype).itemsize


class Problem:
    """A workload with its numbers, drawn once on the host and the same for every peer."""

    def __init__(self, workload: Workload, seed: int = 0):
        rng, dtype = np.random.default_rng(seed), np.dtype(workload.dtype)
        self.workload = workload
        self.xs = tuple(rng.standard_normal(shape).astype(dtype) for shape in workload.shapes)
        self.w = workload.role.init(rng=rng, dtype=dtype)
        self.g = rng.standard_normal(workload.result_shape).astype(dtype)
        fabrication, shape = workload.fabrication, workload.matrix
        frozen = blueprint(fabrication, *shape).frozen
        self.frozen = {name: matrix.draw(dtype) for name, matrix in frozen.items()}
        self.blocks = fabrication.blocks(*shape)

    def learned(self, w: Any) -> dict[str, Any]:
        """The blocks of ``w``, an array of any library, by name."""
        start, blocks = 0, {}
        for name, shape in self.blocks.items():
            blocks[name] = w[start : start + math.prod(shape)].reshape(shape)
            start += math.prod(shape)
        return blocks

    def named(self, w: Any, frozen: dict[str, Any]) -> dict[str, Any]:
        """Everything that a formula asks for by name."""
        return {**self.learned(w), **frozen, "shape": self.workload.matrix}


@dataclass(frozen=True)
class Calls:
    """What a peer does with a problem: a call without arguments for each pass.

    ``forward()`` returns ``y``; ``gradient()`` returns ``y``, the gradients of the inputs, and that of ``w``
    as an array or as the arrays of its blocks, in the order of ``w``. None where a library has no gradient,
    with the reason in ``why``.
    """

    forward: Callable[[], Any]
    gradient: Callable[[], tuple] | None
    why: str = ""

    def of(self, label: str) -> Any:
        """The call of that pass, None where there is none."""
        return self.forward if label == FORWARD else self.gradient


def dual_lphm(b: int, m: int, r: int, p: int, **options) -> Workload:
    """Attribute interdependence by dual lphm."""
    role = ParameterizedInterdependence(fabrication=DualLPHM(p=p, q=p, r=r), m=m)
    size = f"b={b}, m=m'={m}, r={r}, p=q={p}"
    return Workload(
        kind="dual lphm interdependence",
        size=size,
        role=role,
        shapes=((b, m),),
        matrix=(m, m),
        **{"family": "dual lphm", **options},
    )


def bilinear(b: int, m: int, r: int, **options) -> Workload:
    """Bilinear attribute interdependence by random matrix adaption."""
    role = BilinearInterdependence(fabrication=RandomMatrixAdaption(r=r), b=b)
    return Workload(
        family="bilinear adaption",
        kind="adaption bilinear",
        size=f"b={b}, m={m}, r={r}",
        role=role,
        shapes=((b, m),),
        matrix=(b, b),
        **options,
    )


def fusion(b: int, dim: int, r: int, **options) -> Workload:
    """Fusion of three inputs by low rank."""
    dims = (dim, dim, dim)
    return Workload(
        family="low-rank fusion",
        kind="low rank fusion",
        size=f"three inputs {b}×{dim} to {dim}, r={r}",
        role=ConcatenationFusion(fabrication=LowRank(r=r), dims=dims, n=dim),
        shapes=tuple((b, d) for d in dims),
        matrix=(dim, sum(dims)),
        **options,
    )


def hypernet(n: int, hidden_dim: int, **options) -> Workload:
    """The dense matrix of the random matrix hypernet."""
    fabrication = RandomMatrixHypernet(r=2, l=64, hidden_dim=hidden_dim)
    return Workload(
        family="random matrix hypernet",
        kind="hypernet",
        size=f"n=D={n}, r=2, l=64, hidden {hidden_dim}",
        role=DenseMatrix(fabrication=fabrication, n=n, D=n),
        shapes=(),
        matrix=(n, n),
        **options,
    )


def full(b: int, m: int, **options) -> Workload:
    """Attribute interdependence by a full matrix, one plain product."""
    return Workload(
        family="full",
        kind="full interdependence",
        size=f"b={b}, m={m}",
        role=ParameterizedInterdependence(fabrication=Full(), m=m),
        shapes=((b, m),),
        matrix=(m, m),
        **options,
    )


# The reconciliations that are measured at every size; p = q = √n.
RECONCILIATIONS = {
    "low rank": LowRank(r=8),
    "adaption": RandomMatrixAdaption(r=8),
    "hm": Hypercomplex(),
    "lphm": LPHM(r=4),
}


def reconciliation(variant: str, n: int, b: int, **options) -> Workload:
    """A reconciliation from ``n`` columns to as many."""
    return Workload(
        family=f"{variant} reconciliation",
        kind=f"{variant} reconciliation",
        size=f"n=D={n}, b={b}",
        role=Reconciliation(fabrication=RECONCILIATIONS[variant], n=n, D=n),
        shapes=((b, n),),
        matrix=(n, n),
        **options,
    )


def expanded_reconciliation(
    kind: str, expansion: Expansion, fabrication: Fabrication, m: int, n: int = 64, b: int = 64, **options
) -> Workload:
    """A reconciliation of expanded data."""
    role = Reconciliation(expansion=expansion, fabrication=fabrication, n=n, m=m)
    return Workload(
        family=f"expanded: {kind}",
        kind=kind,
        size=f"b={b}, m={m}, n={n}",
        role=role,
        shapes=((b, m),),
        matrix=role.matrix_shape,
        **options,
    )


def taylor(d: int, variant: str, m: int, *, is_normalized: bool = False, **options) -> Workload:
    """Of products of up to ``d`` attributes."""
    expansion: Expansion = Taylor(d=d)
    if is_normalized:
        expansion = RowNormalized(expansion=expansion)
    fabrication = EXPANDED[variant]
    if variant.startswith("reshaped"):
        fabrication = replace(fabrication, q=m)
    kind = f"{'normalized ' * is_normalized}taylor {d}, {variant}"
    return expanded_reconciliation(kind, expansion, fabrication, m, **options)


def functions(expansion: Expansion, m: int, **options) -> Workload:
    """Of functions of each attribute, by low rank."""
    name = "splines" if isinstance(expansion, BSpline) else "chebyshev"
    return expanded_reconciliation(f"{name}, low rank", expansion, LowRank(r=8), m, **options)


# The fabrications that are measured with products of attributes, and the ratios wanted of tinybig's gradient.
EXPANDED = {
    "dual lphm": DualLPHM(r=5),
    "reshaped dual lphm": DualLPHM(r=5, p=8, arrangement="reshaped"),
    "lphm": LPHM(r=5),
    "low rank": LowRank(r=8),
}
WANTED = {"dual lphm": 1000, "reshaped dual lphm": 200, "lphm": 30, "low rank": 30}
FUNCTIONS = (BSpline(t=expanded.INTERVALS, d=expanded.SPLINE), Chebyshev(d=expanded.DEGREE))


def expansions() -> Iterator[Workload]:
    """All workloads of expanded data, in float32."""
    for is_normalized in (False, True):
        for variant, ratio in WANTED.items():
            wanted = (None, ratio)
            yield taylor(2, variant, m=784, is_normalized=is_normalized, wanted=wanted)
            if not variant.startswith("reshaped"):  # blocks of more products are no correlations
                yield taylor(3, variant, m=64, is_normalized=is_normalized, wanted=wanted)
    for expansion in FUNCTIONS:
        yield functions(expansion, m=784)


# The first table: the sizes of the comparison with tinybig, and the ratios wanted of it.
TABLE = (
    dual_lphm(b=256, m=4096, r=4, p=64, wanted=(150, 110)),
    bilinear(b=1024, m=4096, r=8, wanted=(100, 90)),
    fusion(b=1024, dim=2048, r=8, wanted=(75, 60)),
    hypernet(n=2048, hidden_dim=128, wanted=(2, 2)),
    full(b=256, m=2048, wanted=(1, 1)),
    dual_lphm(b=8, m=16, r=2, p=4, wanted=(1.2, 1.5), family="tiny dual lphm"),
)
# What a call costs where there is next to nothing to compute.
TINY = (
    replace(reconciliation("low rank", n=16, b=8), family="tiny low rank"),
    replace(full(b=8, m=16), family="tiny full"),
)
# Products whose matrices have a size of their own to hide.
LARGE = (
    dual_lphm(b=64, m=16384, r=4, p=128, family="large dual lphm"),
    replace(bilinear(b=64, m=16384, r=8), family="wide bilinear adaption"),
    replace(bilinear(b=16384, m=64, r=8), family="tall bilinear adaption"),
)
SIZES, BATCHES, DTYPES = (256, 1024, 4096, 16384), (1, 32, 1024), ("float32", "float64")
FAMILIES = tuple(f"{variant} reconciliation" for variant in RECONCILIATIONS)


def workloads(*, quick: bool = False, dtypes: tuple[str, ...] = DTYPES) -> Iterator[Workload]:
    """All workloads; a quick run keeps one dtype, one size and one batch."""
    sizes, batches = ((4096,), (32,)) if quick else (SIZES, BATCHES)
    for dtype in dtypes[:1] if quick else dtypes:
        for workload in (*TABLE, *TINY, *(() if quick else LARGE)):
            yield replace(workload, dtype=dtype, wanted=workload.wanted if dtype == "float32" else None)
        for variant in RECONCILIATIONS:
            for n in sizes:
                for b in batches:
                    yield reconciliation(variant, n, b, dtype=dtype)
    if not quick:
        yield from expansions()
