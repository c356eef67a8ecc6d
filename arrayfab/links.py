"""Graphs, and products with sparse matrices on any namespace."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array, is_integer
from arrayfab._cached import cached_property, remembered
from arrayfab.fabrications.blueprint import settle_sizes
from arrayfab.structures.segments import tables


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes from 0 on, and weighted links from one to another. Use `of` or `of_matrix` to make one.

    Equal graphs hold the same links in the same order.

    Parameters
    ----------
    nodes : int
        How many there are.
    arrays : mapping from str to array
        ``"links"``, of shape ``(2, k)``: where each link comes from, and where it leads to; and
        ``"weights"``, of shape ``(k,)``. Both are kept on the host.

    Examples
    --------
    >>> from arrayfab.interdependences import Graph
    >>> Graph.of(["a", "b", "c"], [("a", "b"), ("b", "c")])
    Graph(nodes=3, links=2)
    """

    nodes: int
    arrays: Mapping[str, Array] = field(repr=False)

    @staticmethod
    def of(
        nodes: int | Sequence, links: Iterable[tuple[Any, Any]], weights: Iterable[float] | None = None
    ) -> Graph:
        """The graph of a list of links, between numbers from 0 on or whatever names the nodes have.

        Without weights a link counts one, however often it is given; with weights those of one link are
        added up.

        Raises
        ------
        ValueError
            If a link leads from or to an unknown node.
        """
        is_counted = is_integer(nodes)
        places = None if is_counted else {name: i for i, name in enumerate(nodes)}  # type: ignore[arg-type]
        count = int(nodes) if is_counted else len(places)  # type: ignore[arg-type]
        if places is not None and len(places) != len(nodes):  # type: ignore[arg-type]
            raise ValueError("Graph: two nodes have the same name")

        def place(name, link):
            known = is_integer(name) and 0 <= name < count if places is None else name in places
            if not known:
                raise ValueError(f"Graph: link {link!r} has an unknown node {name!r}")
            return int(name) if places is None else places[name]

        pairs = []
        for link in links.tolist() if hasattr(links, "tolist") else links:
            if len(link) != 2:
                raise ValueError(f"Graph: a link is a pair of nodes, got {link!r}")
            pairs.append([place(name, link) for name in link])
        if weights is None:
            pairs = list(dict.fromkeys(map(tuple, pairs)))  # type: ignore[arg-type]
            weights = np.ones(len(pairs))
        ends = np.asarray(pairs, dtype=np.float64).reshape(len(pairs), 2).T
        return Graph(count, {"links": ends, "weights": np.asarray(weights, dtype=np.float64)})

    @staticmethod
    def of_matrix(matrix: Any) -> Graph:
        """The graph of a square matrix, of ``scipy.sparse`` or dense: entry ``i, j`` links i to j."""
        if hasattr(matrix, "tocoo"):
            held = matrix.tocoo()
            sources, targets, weights = held.row, held.col, held.data
        else:
            matrix = np.asarray(matrix)
            sources, targets = np.nonzero(matrix)
            weights = matrix[sources, targets]
        if len(matrix.shape) != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"Graph: a matrix of weights must be square, got shape {tuple(matrix.shape)}")
        links = np.stack([sources, targets]).astype(np.float64)
        return Graph(int(matrix.shape[0]), {"links": links, "weights": weights.astype(np.float64)})

    def __post_init__(self):
        settle_sizes(self, "nodes")
        if not isinstance(self.arrays, Mapping) or set(self.arrays) != {"links", "weights"}:
            raise ValueError("Graph: arrays must hold 'links' and 'weights'; use Graph.of or Graph.of_matrix")
        held = {name: np.array(_arrays.to_host(array), np.float64) for name, array in self.arrays.items()}
        links, weights = held["links"], held["weights"]
        if links.ndim != 2 or len(links) != 2 or weights.shape != links.shape[1:]:
            raise ValueError(
                f"Graph: expected links of shape (2, k) and k weights, got {links.shape} and {weights.shape}"
            )
        wrong = ~((links >= 0) & (links < self.nodes) & (links == np.floor(links))).all(axis=0)
        if wrong.any():
            first = links[:, np.argmax(wrong)].tolist()
            raise ValueError(f"Graph: link {tuple(first)} has an unknown node, there are {self.nodes}")
        if not np.isfinite(weights).all():
            raise ValueError("Graph: weights must be finite")
        object.__setattr__(self, "arrays", held)

    def __repr__(self):
        return f"Graph(nodes={self.nodes}, links={self.arrays['weights'].size})"

    @cached_property
    def _key(self):
        links, weights = (self.arrays[name].tobytes() for name in ("links", "weights"))
        return self.nodes, hashlib.sha256(links).digest(), hashlib.sha256(weights).digest()

    def __eq__(self, other):
        return isinstance(other, Graph) and self._key == other._key

    def __hash__(self):
        return hash(self._key)

    @property
    def entries(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where links come from, where they lead to, and their weights."""
        sources, targets = self.arrays["links"].astype(np.int64)
        return sources, targets, self.arrays["weights"]


class Weights:
    """A square sparse matrix on the host, and what its products need on a namespace. It equals itself alone.

    Entries at the same place are added up.
    """

    def __init__(self, n: int, rows: np.ndarray, columns: np.ndarray, values: np.ndarray):
        places, inverse = np.unique(rows * n + columns, return_inverse=True)
        self.n, self.rows, self.columns = n, places // n, places % n
        self.values = np.bincount(inverse, values, len(places)).astype(np.float64)
        self._forms: dict[Any, Any] = {}

    def row_sums(self) -> np.ndarray:
        return np.bincount(self.rows, self.values, self.n)

    def column_sums(self, r: np.ndarray) -> np.ndarray:
        """``rᵀ A``."""
        return np.bincount(self.columns, self.values * r[self.rows], self.n)

    def dense(self) -> np.ndarray:
        matrix = np.zeros((self.n, self.n))
        matrix[self.rows, self.columns] = self.values
        return matrix

    def product(self, x: Array, axis: int, is_transposed: bool) -> Array:
        """``x A`` for the vectors along an axis of ``x``, or ``x Aᵀ``."""
        backend = _arrays.backend_of("a graph", "x", x)
        sparse = _sparse_of(backend) if not _arrays.is_half(x.dtype) else None
        place = (backend.xp, sparse, x.dtype, str(_arrays.device_of(x)), is_transposed)
        if sparse is not None:
            matrix = self._form(place, lambda: self._as_sparse(sparse, x, is_transposed))
            return _times(matrix, x, axis, backend)
        y = x
        for indices, weights in self._form(place, lambda: self._placed(backend, x, is_transposed)):
            y = _gathered(backend.xp, y, axis, indices, weights)
        return y

    def _form(self, place, make):
        return remembered(self._forms, place, make)

    def _as_sparse(self, sparse, x, is_transposed):
        """What a column is multiplied by: the transpose of the matrix, or the matrix itself."""
        ends = (self.rows, self.columns) if is_transposed else (self.columns, self.rows)
        xp = _arrays.backend_of("a graph", "x", x).xp
        values, *ends = (xp.asarray(a) for a in (self.values.astype(_arrays.dtype_name(x.dtype)), *ends))
        return sparse.csr_matrix((values, tuple(ends)), shape=(self.n, self.n))

    def _placed(self, backend, x, is_transposed):
        ends = (self.columns, self.rows) if is_transposed else (self.rows, self.columns)
        device = _arrays.device_of(x)
        return [
            (
                backend.index(indices, device),
                None if weights is None else _arrays.from_host(weights, backend.xp, x.dtype, device),
            )
            for indices, weights in self._tables(*ends)
        ]

    def _tables(self, sources, targets):
        """Levels of places to take numbers from and to add up, with weights at the first."""
        first, *others = tables(targets, self.n)
        sources, weights = np.append(sources, self.n), np.append(self.values, 0.0)
        return [(sources[first], weights[first]), *((table, None) for table in others)]


def _sparse_of(backend):
    """SciPy's sparse matrices for arrays of NumPy, CuPy's for its own; None where there are none."""
    if not (backend.in_loops or _arrays.is_cupy(backend.xp)):
        return None
    try:
        return importlib.import_module("scipy.sparse" if backend.in_loops else "cupyx.scipy.sparse")
    except ImportError:
        return None


def _times(matrix, x, axis, backend):
    n = x.shape[axis]
    if axis == -1:
        rows = backend.reshape(x, (-1, n))
        return backend.reshape((matrix @ rows.T).T, (*x.shape[:-1], n))
    if x.ndim == 2:
        return matrix @ x
    flat = backend.reshape(x, (-1, *x.shape[-2:]))
    parts = [matrix @ flat[i] for i in range(flat.shape[0])] or [flat]
    return backend.reshape(backend.xp.concat(parts, axis=0), x.shape)


def _gathered(xp, x, axis, indices, weights):
    rest = (None,) * (-1 - axis)
    nothing = xp.zeros_like(x[(..., slice(0, 1), *(slice(None),) * (-1 - axis))])
    x = xp.concat([x, nothing], axis=axis)
    y = None
    for k in range(indices.shape[0]):
        part = xp.take(x, indices[k, :], axis=axis % x.ndim)
        if weights is not None:
            part = part * weights[(k, slice(None), *rest)]
        y = part if y is None else y + part
    return y
