"""Graphs: each node depends on those that are linked to it, by sparse products."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from arrayfab import _arrays
from arrayfab._cached import cached_property
from arrayfab.fabrications.blueprint import settle_sizes
from arrayfab.interdependences.base import Interdependence
from arrayfab.interdependences.functions import check_flags, settle_reals
from arrayfab.interdependences.normalization import check_normalization, scales
from arrayfab.links import Graph, Weights
from arrayfab.structures import Operator, SquareAction

#: Of so many nodes at most a matrix is inverted that no series inverts.
_LARGEST_INVERTED = 4096
#: No series is iterated whose errors shrink more slowly.
_SLOWEST = 0.999


@dataclass(frozen=True)
class WeightSeries(SquareAction):
    """``Σₖ cₖ Aᵏ`` of a sparse ``A``, by one product for each power (W. G. Horner's scheme)."""

    weights: Weights
    coefficients: tuple[float, ...] = (0.0, 1.0)
    is_transposed: bool = False

    @property
    def n(self):  # type: ignore[override]
        return self.weights.n

    @property
    def times(self):
        return 2 * (len(self.coefficients) - 1) * (len(self.weights.values) + self.weights.n)

    def along(self, x, axis):
        *lower, top = self.coefficients
        y = x if top == 1 else top * x
        for coefficient in reversed(lower):
            y = self.weights.product(y, axis, self.is_transposed)
            if coefficient:
                y = y + (x if coefficient == 1 else coefficient * x)
        return y


@dataclass(frozen=True)
class PageRankSeries(SquareAction):
    """``c (I − (1 − c) A)⁻¹``, by iterating ``y ← (1 − c) y A + x`` as often as the dtype can tell.

    ``rate`` bounds by what factor an error shrinks each time, but for a factor of ``spread`` once. The
    pullback is the same for the transpose.
    """

    weights: Weights
    c: float
    rate: float
    spread: float = 1.0
    is_transposed: bool = False

    @property
    def n(self):  # type: ignore[override]
        return self.weights.n

    def _count(self, eps):
        return max(1, math.ceil(math.log(eps / (16 * self.spread)) / math.log(self.rate))) if self.rate else 1

    @property
    def times(self):
        return 2 * self._count(2.0**-52) * (len(self.weights.values) + self.weights.n)

    def along(self, x, axis):
        xp = _arrays.backend_of("PageRank", "x", x).xp
        y = x
        for _ in range(self._count(float(xp.finfo(x.dtype).eps))):
            y = (1.0 - self.c) * self.weights.product(y, axis, self.is_transposed) + x
        return self.c * y


@dataclass(frozen=True)
class Inverted(SquareAction):
    """``c (I − (1 − c) A)⁻¹`` as a matrix, inverted on the host in float64."""

    weights: Weights
    c: float
    is_transposed: bool = False

    @property
    def n(self):  # type: ignore[override]
        return self.weights.n

    @property
    def times(self):
        return self.weights.n * self.weights.n

    @cached_property
    def _matrix(self):
        inverse = np.linalg.inv(np.eye(self.weights.n) - (1.0 - self.c) * self.weights.dense())
        return self.c * (inverse.T if self.is_transposed else inverse)

    def along(self, x, axis):
        xp = _arrays.backend_of("PageRank", "x", x).xp
        M = _arrays.from_host(self._matrix, xp, x.dtype, _arrays.device_of(x))
        return x @ M if axis == -1 else M.T @ x


@dataclass(frozen=True, kw_only=True)
class GraphInterdependence(Interdependence):
    """``Aᵢⱼ``: the weight of the link from ``i`` to ``j``, so that each node takes from those linked to it.

    Parameters
    ----------
    graph : Graph
        Its nodes are the attributes, or the instances.
    is_directed : bool
        Whether links lead one way; else the larger weight of the two directions counts for both.
    normalization : str, optional
        ``"row"`` or ``"column"`` divide by their sums, ``"symmetric"`` by the roots of both, ``"row_column"``
        by the root of row sums and then by the root of what the columns sum to.
    self_loops : float
        How much each node depends on itself, beside links from it to itself.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab.interdependences import Graph, GraphInterdependence
    >>> graph = Graph.of(3, [(0, 1), (1, 2)])
    >>> GraphInterdependence(graph=graph)(np.asarray([1.0, 2.0, 3.0]))
    array([0., 1., 2.])
    """

    graph: Graph
    is_directed: bool = True
    normalization: str | None = None
    self_loops: float = 0.0

    needs_data: ClassVar[bool] = False
    # What is made of it is freed with it.
    holds_arrays = True

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.graph, Graph):
            raise TypeError(
                f"{type(self).__name__}: graph must be a Graph, such as Graph.of(3, [(0, 1)]), "
                f"got {self.graph!r}"
            )
        check_flags(self, "is_directed")
        check_normalization(self)
        settle_reals(self, "self_loops")
        if self.normalization is not None and (self.self_loops < 0 or (self.graph.entries[2] < 0).any()):
            raise ValueError(f"{self}: to be normalised, weights must not be negative")

    @cached_property
    def weights(self) -> Weights:
        """The matrix, as sparse as it is."""
        n, (rows, columns, values) = self.graph.nodes, self.graph.entries
        weights = Weights(n, rows, columns, values)
        if not self.is_directed:
            weights = _larger_of_both(weights)
        if self.self_loops:
            own = np.arange(n)
            rows, columns = (np.concatenate([a, own]) for a in (weights.rows, weights.columns))
            weights = Weights(n, rows, columns, np.concatenate([weights.values, np.full(n, self.self_loops)]))
        r, c = scales(self.normalization, weights.row_sums(), weights.column_sums)
        return Weights(
            n, weights.rows, weights.columns, r[weights.rows] * weights.values * c[weights.columns]
        )

    def relation(self, V):
        return Operator(WeightSeries(self.weights, self._coefficients))

    @property
    def _coefficients(self):
        return (0.0, 1.0)


def _larger_of_both(weights):
    n = weights.n
    rows, columns = (
        np.concatenate(ends) for ends in ((weights.rows, weights.columns), (weights.columns, weights.rows))
    )
    places, inverse = np.unique(rows * n + columns, return_inverse=True)
    # A link that is missing weighs nothing.
    is_single = np.bincount(inverse) == 1
    values = np.where(is_single, 0.0, -np.inf)
    np.maximum.at(values, inverse, np.concatenate([weights.values, weights.values]))
    return Weights(n, places // n, places % n, values)


@dataclass(frozen=True, kw_only=True)
class MultihopGraph(GraphInterdependence):
    """``Aʰ`` for the ``A`` of `arrayfab.interdependences.GraphInterdependence`, or ``A + A² + … + Aʰ``.

    Parameters
    ----------
    hops : int
        ``h``.
    is_accumulated : bool
        Whether all powers are added up.
    """

    hops: int = 1
    is_accumulated: bool = False

    def __post_init__(self):
        super().__post_init__()
        settle_sizes(self, "hops")
        check_flags(self, "is_accumulated")

    @property
    def _coefficients(self):
        return (0.0, *(float(self.is_accumulated),) * (self.hops - 1), 1.0)


@dataclass(frozen=True, kw_only=True)
class PageRankGraph(GraphInterdependence):
    """``c (I − (1 − c) A)⁻¹``: where a walk from ``i`` is that starts anew with probability ``c``.

    Normalised weights are iterated, and so are others whose series converges. The rest are inverted, up to
    4096 nodes.

    Parameters
    ----------
    c : float
        Between 0 and 1.
    """

    c: float = 0.15

    def __post_init__(self):
        super().__post_init__()
        settle_reals(self, "c")
        if not 0 < self.c < 1:
            raise ValueError(f"{type(self).__name__}: c must lie between 0 and 1, got {self.c}")

    def relation(self, V):
        weights = self.weights
        bound, spread = _growth(weights)
        rate = (1.0 - self.c) * bound
        if rate <= _SLOWEST:
            return Operator(PageRankSeries(weights, self.c, rate, spread))
        if weights.n > _LARGEST_INVERTED:
            raise ValueError(
                f"{self}: the series of weights as large as these does not converge, and {weights.n} nodes "
                "are too many for an inverse; normalise them"
            )
        return Operator(Inverted(weights, self.c))


def _growth(weights: Weights) -> tuple[float, float]:
    """A bound on the largest eigenvalue of a matrix, and within what factor of each other its weights lie.

    Any positive ``v`` gives one, ``max (|A| v)ᵢ / vᵢ`` (L. Collatz, 1942); errors are measured by ``v`` then.
    """
    sizes = Weights(weights.n, weights.rows, weights.columns, np.abs(weights.values))
    v = np.ones(weights.n)
    best = (float(sizes.column_sums(v).max()), 1.0)
    for _ in range(64):
        u = np.bincount(sizes.rows, sizes.values * v[sizes.columns], weights.n)
        best = min(best, (float((u / v).max()), float(v.max() / v.min())))
        v = (u + v) / (u + v).max()
        v = np.maximum(v, 1e-6)
    return best
