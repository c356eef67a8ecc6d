"""Entry-by-entry products of matrices of low rank, which are of low rank themselves."""

from __future__ import annotations

from dataclasses import dataclass

from arrayfab._cached import cached_property
from arrayfab.structures.base import Multilinear, Structure
from arrayfab.structures.chain import Chain, at_narrowest, chain
from arrayfab.structures.facesplitting import face
from arrayfab.structures.formed import Hadamard
from arrayfab.structures.rewriting import HADAMARDS


@dataclass(frozen=True)
class LowRankHadamard(Multilinear):
    """``(A B) ∘ (C D) = (A • C)(Bᵀ • Dᵀ)ᵀ``, of the product of both ranks (V. I. Slyusar, 1999)."""

    A: Structure
    B: Structure
    C: Structure
    D: Structure

    @cached_property
    def shape(self):
        return (self.A.shape[0], self.B.shape[1])

    @property
    def children(self):
        return (self.A, self.B, self.C, self.D)

    def with_children(self, A, B, C, D):
        return LowRankHadamard(A, B, C, D)

    @cached_property
    def T(self):
        return LowRankHadamard(self.B.T, self.A.T, self.D.T, self.C.T)

    @cached_property
    def _thin(self):
        # Not by `chain`, whose rule for such a product leads back here.
        return Chain((face(self.A, self.C), face(self.B.T, self.D.T).T))

    @cached_property
    def _formed(self):
        return Hadamard(chain(self.A, self.B), chain(self.C, self.D))

    def rows(self, x, numbers):
        return self._thin.rows(x, numbers)

    def dense(self, numbers):
        return self._formed.dense(numbers)

    def rows_cost(self, rows):
        return self._thin.rows_cost(rows)

    @property
    def dense_cost(self):
        return self._formed.dense_cost

    def mean_square(self, variance):
        return self._formed.mean_square(variance)


@HADAMARDS.of_types(Chain, Chain)
def _of_low_rank(left, right):
    (A, B), (C, D) = at_narrowest(left), at_narrowest(right)
    (n, m), rank = left.shape, A.shape[1] * C.shape[1]
    return LowRankHadamard(A, B, C, D) if 2 * rank * (n + m) <= n * m else None
