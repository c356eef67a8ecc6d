"""Expansions made of expansions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from arrayfab.expansions.base import Expansion, check, settle_tuples
from arrayfab.structures import side_by_side


@dataclass(frozen=True, kw_only=True)
class _Several(Expansion):
    """Something of several expansions."""

    expansions: tuple[Expansion, ...]

    def __post_init__(self):
        super().__post_init__()
        settle_tuples(self, "expansions")
        are_expansions = all(isinstance(each, Expansion) for each in self.expansions)
        check(self, bool(self.expansions) and are_expansions, "expansions must be one expansion or more")


@dataclass(frozen=True, kw_only=True)
class Nested(_Several):
    """One expansion after another, ``κ(x) = κ_k(… κ₁(x))``; ``D`` is the last one's."""

    def num_features(self, m):
        return reduce(lambda size, expansion: expansion.num_features(size), self.expansions, m)

    def expand(self, X):
        return reduce(lambda K, expansion: expansion.formula(K), self.expansions, X)


@dataclass(frozen=True, kw_only=True)
class Extended(_Several):
    """Expansions side by side, ``κ(x) = (κ₁(x), …, κ_k(x))``; ``D`` is the sum of theirs."""

    def num_features(self, m):
        return sum(expansion.num_features(m) for expansion in self.expansions)

    def expand(self, X):
        return side_by_side(tuple(expansion.formula(X) for expansion in self.expansions))
