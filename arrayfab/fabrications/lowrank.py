"""Fabrications of low rank."""

from __future__ import annotations

from dataclasses import dataclass

from arrayfab.fabrications.base import Fabrication
from arrayfab.fabrications.seeded import Seeded
from arrayfab.frozen import Gaussian
from arrayfab.structures import Diagonal


@dataclass(frozen=True, kw_only=True)
class LowRank(Fabrication):
    """``W = A Bᵀ`` with ``A ∈ R^{n×r}`` and ``B ∈ R^{D×r}``; ``l = r (n + D)``.

    ``w`` holds ``A``, then ``Bᵀ``.
    """

    r: int = 2

    def blocks(self, n, D):
        return {"A": (n, self.r), "Bt": (self.r, D)}

    def matrix(self, n, D, A, Bt):
        return A @ Bt


@dataclass(frozen=True, kw_only=True)
class RandomMatrixAdaption(Seeded):
    """``W = Λ₁ A Λ₂ Bᵀ`` with diagonal ``Λ₁`` and ``Λ₂`` learned; ``l = n + r``.

    ``A ∈ R^{n×r}`` and ``B ∈ R^{D×r}`` are frozen. ``w`` holds the diagonal of ``Λ₁``, then of ``Λ₂``.
    """

    r: int = 2

    def blocks(self, n, D):
        return {"lambda_1": (n,), "lambda_2": (self.r,)}

    def frozen(self, n, D):
        return {"A": Gaussian(n, self.r), "B": Gaussian(D, self.r)}

    def matrix(self, n, D, lambda_1, lambda_2, A, B):
        return Diagonal(lambda_1) @ A @ Diagonal(lambda_2) @ B.T
