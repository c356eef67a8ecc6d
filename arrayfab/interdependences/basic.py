"""Interdependences that do not look at the data: constants, the identity, and matrices handed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from arrayfab.fabrications.blueprint import settle_sizes
from arrayfab.interdependences.base import Interdependence
from arrayfab.interdependences.functions import settle_reals
from arrayfab.structures import Constant, Identity


@dataclass(frozen=True, kw_only=True)
class _Fixed(Interdependence):
    b_prime: int | None = None
    m_prime: int | None = None

    needs_data: ClassVar[bool] = False

    def __post_init__(self):
        super().__post_init__()
        settle_sizes(self, "b_prime", "m_prime")

    def _shape(self, V):
        prime = self.b_prime if self.is_instance else self.m_prime
        return (V.shape[0], prime or V.shape[0])


@dataclass(frozen=True, kw_only=True)
class ConstantInterdependence(_Fixed):
    """``A = c 1 1ᵀ``: everything depends on everything alike. The product takes sums, and forms no matrix.

    Parameters
    ----------
    c : float
    b_prime, m_prime : int, optional
        Rows or columns of ``y``; as many as ``x`` has if left out.
    """

    c: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        settle_reals(self, "c")

    def relation(self, V):
        return Constant(self._shape(V), self.c)


@dataclass(frozen=True, kw_only=True)
class ZeroInterdependence(_Fixed):
    """``A = 0``."""

    def relation(self, V):
        return Constant(self._shape(V), 0.0)


@dataclass(frozen=True, kw_only=True)
class OneInterdependence(_Fixed):
    """``A = 1 1ᵀ``."""

    def relation(self, V):
        return Constant(self._shape(V), 1.0)


@dataclass(frozen=True, kw_only=True)
class IdentityInterdependence(_Fixed):
    """``A = I``, with ones on the main diagonal also where ``y`` has another size than ``x``."""

    def relation(self, V):
        return Identity(self._shape(V))
