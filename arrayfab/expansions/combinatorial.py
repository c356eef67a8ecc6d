"""Features of several different attributes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import combinations

from arrayfab.expansions.base import Expansion
from arrayfab.expansions.densities import NaiveNormal
from arrayfab.structures import Gather, add, hadamard, side_by_side


@lru_cache(maxsize=64)
def _choices(m: int, r: int) -> tuple[Gather, ...]:
    """For ``r`` of ``m`` columns, in lexicographic order: the first ones, the second ones, and so on."""
    return tuple(Gather(index, m) for index in zip(*combinations(range(m), r), strict=True))


@dataclass(frozen=True, kw_only=True)
class _OfTuples(Expansion):
    """Features of up to ``d`` different attributes in lexicographic order, those of fewer first."""

    d: int = 2

    def num_features(self, m):
        return sum(math.comb(m, r) for r in range(1, self.d + 1))

    def _tuples(self, m):
        """The `_choices` of all sizes, one after another."""
        return (_choices(m, r) for r in range(1, min(self.d, m) + 1))


@dataclass(frozen=True, kw_only=True)
class Choices(Expansion):
    """``x_{i₁}, …, x_{i_r}`` side by side for ``i₁ < … < i_r`` and ``r = 1 … d``; ``D = Σ r C(m, r)``.

    The choices of one attribute come first, then those of two in lexicographic order, and so on.
    """

    d: int = 2

    def num_features(self, m):
        return sum(r * math.comb(m, r) for r in range(1, self.d + 1))

    def expand(self, X):
        m = X.shape[1]
        chosen = (combinations(range(m), r) for r in range(1, min(self.d, m) + 1))
        return X @ Gather(tuple(i for tuples in chosen for each in tuples for i in each), m)


@dataclass(frozen=True, kw_only=True)
class Combinatorial(_OfTuples):
    """``x_{i₁} ⋯ x_{i_r}`` for ``i₁ < … < i_r`` and ``r = 1 … d``; ``D = C(m, 1) + … + C(m, d)``.

    The products of one attribute come first, then those of two in lexicographic order, and so on.
    """

    def expand(self, X):
        return side_by_side(
            tuple(
                reduce(hadamard, (X @ chosen for chosen in choices)) for choices in self._tuples(X.shape[1])
            )
        )


@dataclass(frozen=True, kw_only=True)
class CombinatorialNormal(_OfTuples):
    """The log density ``−(x_{i₁}² + … + x_{i_r}² + r log 2π) / 2`` of several standard normal numbers.

    For ``i₁ < … < i_r`` and ``r = 1 … d``, in the order of `arrayfab.expansions.Combinatorial`;
    ``D = C(m, 1) + … + C(m, d)``.
    """

    # The log density of several is the sum of theirs, so that weights of tuples may be summed up first.
    def expand(self, X):
        sums = side_by_side(tuple(add(*choices) for choices in self._tuples(X.shape[1])))
        return NaiveNormal().expand(X) @ sums
