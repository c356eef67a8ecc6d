"""Expansions that keep the number of attributes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from arrayfab.expansions.base import Expansion, Functions, check


@dataclass(frozen=True, kw_only=True)
class Identity(Expansion):
    """``κ(x) = x``; ``D = m``."""

    def num_features(self, m):
        return m

    def expand(self, X):
        return X


@dataclass(frozen=True, kw_only=True)
class Linear(Expansion):
    """``κ(x) = c x``; ``D = m``."""

    c: float = 1.0

    def num_features(self, m):
        return m

    def expand(self, X):
        return float(self.c) * X


@dataclass(frozen=True, kw_only=True)
class Reciprocal(Functions):
    """``κ(x) = 1 / x``, where ``±eps`` stands for what is nearer to zero; ``D = m``.

    Zero counts as positive. Where ``eps`` stands for ``x``, the slope is zero.
    """

    eps: float = 1e-6
    count = 1
    domain = (0.0, math.inf)

    def __post_init__(self):
        super().__post_init__()
        check(self, self.eps > 0, "eps must be positive")

    def _divisor(self, xp, x):
        is_small = xp.abs(x) <= self.eps
        eps = xp.full_like(x, self.eps)
        return is_small, xp.where(is_small, xp.where(x < 0, -eps, eps), x)

    def values(self, xp, x):
        return [1.0 / self._divisor(xp, x)[1]]

    def slopes(self, xp, x):
        is_small, divisor = self._divisor(xp, x)
        y = 1.0 / divisor
        return [xp.where(is_small, xp.zeros_like(x), -y * y)]
