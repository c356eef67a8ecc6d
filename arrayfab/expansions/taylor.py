"""Products of attributes."""

from __future__ import annotations

from dataclasses import dataclass

from arrayfab.expansions.base import Expansion
from arrayfab.structures import Constant, Structure, face, side_by_side


@dataclass(frozen=True, kw_only=True)
class Taylor(Expansion):
    """``κ(x) = (x, x ⊗ x, …, x^{⊗d})``: all products of up to ``d`` attributes; ``D = m + m² + … + m^d``."""

    d: int = 2

    def num_features(self, m):
        return num_products(m, self.d)

    def expand(self, X):
        return products(X, self.d)


def products(X: Structure, d: int) -> Structure:
    """``(X, X • X, …)``, up to products of ``d`` columns."""
    # (1, κ_{d-1}(x)) ⊗ x = κ_d(x), in this very order.
    ones = Constant((X.shape[0], 1), 1.0)
    K = X
    for _ in range(d - 1):
        K = face(side_by_side((ones, K)), X)
    return K


def num_products(m: int, d: int) -> int:
    """How many products of up to ``d`` of ``m`` columns there are, their orders told apart."""
    return sum(m**i for i in range(1, d + 1))
