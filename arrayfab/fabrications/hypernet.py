"""Fabrications by a frozen network that maps ``w`` to all entries of the matrix."""

from __future__ import annotations

from dataclasses import dataclass

from arrayfab.fabrications.seeded import Seeded
from arrayfab.frozen import Gaussian
from arrayfab.structures import Sigmoid, reshaped


@dataclass(frozen=True, kw_only=True)
class Hypernet(Seeded):
    """``W = reshape(σ(w Uᵀ + a) Vᵀ + c)``, a frozen network ``l → hidden_dim → n D``."""

    l: int = 64  # noqa: E741 - the papers' name
    hidden_dim: int = 128

    def blocks(self, n, D):
        return {"w": (self.l,)}

    def frozen(self, n, D):
        return {
            "U": Gaussian(self.hidden_dim, self.l),
            "a": Gaussian(1, self.hidden_dim),
            "V": Gaussian(n * D, self.hidden_dim),
            "c": Gaussian(1, n * D),
        }

    def matrix(self, n, D, w, U, a, V, c):
        return reshaped(Sigmoid(w @ U.T + a) @ V.T + c, (n, D))


@dataclass(frozen=True, kw_only=True)
class RandomMatrixHypernet(Seeded):
    """``W = reshape(((σ((w P) Qᵀ)) S) Tᵀ)``, the hypernet with both layers of rank ``r``.

    ``P ∈ R^{l×r}``, ``Q, S ∈ R^{hidden_dim×r}`` and ``T ∈ R^{nD×r}`` are frozen.
    """

    r: int = 2
    l: int = 64  # noqa: E741 - the papers' name
    hidden_dim: int = 128

    def blocks(self, n, D):
        return {"w": (self.l,)}

    def frozen(self, n, D):
        return {
            "P": Gaussian(self.l, self.r),
            "Q": Gaussian(self.hidden_dim, self.r),
            "S": Gaussian(self.hidden_dim, self.r),
            "T": Gaussian(n * D, self.r),
        }

    def matrix(self, n, D, w, P, Q, S, T):
        return reshaped(Sigmoid(w @ P @ Q.T) @ S @ T.T, (n, D))
