"""Attention: what depends on others takes shares of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab._cached import cached_property
from arrayfab.links import Graph
from arrayfab.roles.interdependence import BilinearInterdependence
from arrayfab.structures.attention import LinkedSoftmax, Links, Softmax


@dataclass(frozen=True, kw_only=True)
class Attention(BilinearInterdependence):
    """`BilinearInterdependence` whose dependences become shares: positive, and one in sum.

    ``Aᵢⱼ = exp(sᵢⱼ) / Σₖ exp(sₖⱼ)`` with ``s = V W Vᵀ / √D``, of the instances or attributes ``vᵢ``. With a
    fabrication of rank ``r``, ``W = W_Q W_Kᵀ`` is a head of the scaled dot-product attention of A. Vaswani
    et al. (2017) without its values, which are a head's own fabrication. Of the ``b × b`` shares about a
    million are held at a time; the directional derivative holds all of them.

    Parameters
    ----------
    fabrication, b, m, interdependence_type, expansion
        As for `BilinearInterdependence`.
    graph : arrayfab.interdependences.Graph, optional
        Each takes shares of itself and of those linked to it alone, as in P. Veličković et al. (2018).
        Weights of links do not count. What a call takes goes with the number of links.
    is_directed : bool
        Whether links lead one way.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import Attention, LowRank
    >>> role = Attention(fabrication=LowRank(r=2), m=5, interdependence_type="instance")
    >>> role(np.ones((8, 5)), role.init(rng=0))[0]
    array([1., 1., 1., 1., 1.])
    """

    graph: Graph | None = None
    is_directed: bool = True

    def __post_init__(self):
        super().__post_init__()
        if not (self.graph is None or isinstance(self.graph, Graph)):
            raise TypeError(
                "Attention: graph must be a Graph, such as Graph.of(3, [(0, 1)]), or None, "
                f"got {self.graph!r}"
            )

    # What is made of a graph is freed with it.
    @property
    def holds_arrays(self):  # type: ignore[override]
        return self.graph is not None or super().holds_arrays

    @cached_property
    def _links(self):
        n, (sources, targets, _) = self.graph.nodes, self.graph.entries
        if not self.is_directed:
            sources, targets = np.concatenate([sources, targets]), np.concatenate([targets, sources])
        own = np.arange(n)
        places = np.unique(np.concatenate([targets * n + sources, own * n + own]))
        return Links(places // n, places % n, n)

    def _dependences(self, x, W):
        return self._shares(self._vectors(x), W).T

    def _shares(self, V, W):
        """``Aᵀ``, whose rows are shares."""
        n, D = V.shape
        scores = (1.0 / math.sqrt(D)) * (V @ W.T @ V.T)
        if self.graph is None:
            return Softmax(scores)
        if self.graph.nodes != n:
            raise ValueError(f"{self}: the graph has {self.graph.nodes} nodes, and {n} depend on one another")
        return LinkedSoftmax(scores, self._links)

    def matrix(self, x: Array, w: Array) -> Array:
        """The dense ``A``, of shape ``(..., m, m)`` or ``(..., b, b)``."""
        backend = _arrays.backend_of(str(self), "x", x)
        n = x.shape[-2 if self.is_instance else -1]
        one = backend.xp.eye(n, dtype=x.dtype, device=_arrays.device_of(x))
        A = self.coupled([x, one], w)
        return backend.mT(A) if self.is_instance else A
