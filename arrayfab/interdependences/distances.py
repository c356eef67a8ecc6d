"""Distances between attributes, or between instances, and the similarities that they make."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

from arrayfab.interdependences.base import Interdependence
from arrayfab.interdependences.functions import Decay, check_flags
from arrayfab.interdependences.kernels import settle_width
from arrayfab.structures import Map, Pairwise
from arrayfab.structures.pairwise import Canberra, Minkowski


@dataclass(frozen=True, kw_only=True)
class _Distance(Interdependence):
    is_similarity: bool = True

    def __post_init__(self):
        super().__post_init__()
        check_flags(self, "is_similarity")

    @property
    def _metric(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__}._metric")

    def relation(self, V):
        D = Pairwise(self._metric, V)
        return Map(Decay(), D) if self.is_similarity else D


@dataclass(frozen=True, kw_only=True)
class MinkowskiDistance(_Distance):
    """``Aᵢⱼ = exp(−Dᵢⱼ)`` with ``Dᵢⱼ = (Σₖ |vᵢₖ − vⱼₖ|^p)^{1/p}``.

    Parameters
    ----------
    p : float
        From 1 on; may be infinite.
    is_similarity : bool
        Whether ``A`` is ``exp(−D)``, as in tinybig, or ``D`` itself.
    """

    p: float = 2.0

    def __post_init__(self):
        super().__post_init__()
        p = self.p
        if not (isinstance(p, Real) and not isinstance(p, bool) and p >= 1):
            raise ValueError(f"MinkowskiDistance: p must be a number from 1 on, got {p!r}")
        object.__setattr__(self, "p", float(p))

    @property
    def _metric(self):
        return Minkowski(self.p)


@dataclass(frozen=True, kw_only=True)
class ManhattanDistance(_Distance):
    """`arrayfab.interdependences.MinkowskiDistance` for ``p = 1``."""

    @property
    def _metric(self):
        return Minkowski(1.0)


@dataclass(frozen=True, kw_only=True)
class EuclideanDistance(_Distance):
    """`arrayfab.interdependences.MinkowskiDistance` for ``p = 2``."""

    @property
    def _metric(self):
        return Minkowski(2.0)


@dataclass(frozen=True, kw_only=True)
class ChebyshevDistance(_Distance):
    """`arrayfab.interdependences.MinkowskiDistance` for infinite ``p``: the largest difference."""

    @property
    def _metric(self):
        return Minkowski(float("inf"))


@dataclass(frozen=True, kw_only=True)
class CanberraDistance(_Distance):
    """``Aᵢⱼ = exp(−Dᵢⱼ)`` with ``Dᵢⱼ = Σₖ |vᵢₖ − vⱼₖ| / (|vᵢₖ| + |vⱼₖ|)``, where ``0 / 0`` is zero."""

    @property
    def _metric(self):
        return Canberra()


@dataclass(frozen=True, kw_only=True)
class LaplacianKernel(Interdependence):
    """``Aᵢⱼ = exp(−Σₖ |vᵢₖ − vⱼₖ| / sigma)``."""

    sigma: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        settle_width(self)

    def relation(self, V):
        return Map(Decay(1.0 / self.sigma), Pairwise(Minkowski(1.0), V))
