"""Splines."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from arrayfab.expansions.base import Functions, check, settle_tuples
from arrayfab.structures.numbers import total


@dataclass(frozen=True, kw_only=True)
class BSpline(Functions):
    """The ``t + d`` B-splines of degree ``d`` on ``t`` equal intervals of ``grid_range``; ``D = m (t + d)``.

    All functions of one attribute stand together. Knots go on for ``d`` intervals on both sides, so that the
    functions sum up to one on ``grid_range``. They are zero outside of all knots (C. de Boor, 1972).
    """

    grid_range: tuple[float, float] = (-1.0, 1.0)
    t: int = 5
    d: int = 3
    is_attribute_major = True

    def __post_init__(self):
        super().__post_init__()
        settle_tuples(self, "grid_range")
        check(self, self.grid_range[0] < self.grid_range[1], "grid_range must go up")

    @property
    def count(self):
        return self.t + self.d

    @property
    def _interval(self):
        return (self.grid_range[1] - self.grid_range[0]) / self.t

    def values(self, xp, x):
        return self._splines(xp, x, self.d)

    def slopes(self, xp, x):
        return [self._slope_scale * each for each in self._differences(xp, x)]

    def pulled(self, xp, x, gs):
        """``Σ gₖ fₖ'(x)``."""
        parts = (g * each for g, each in zip(gs, self._differences(xp, x), strict=True))
        return self._slope_scale * total(parts)

    # B' of degree d is (B − its right neighbour) / h of degree d − 1.
    def _differences(self, xp, x):
        return [left - right for left, right in pairwise(self._splines(xp, x, self.d - 1))]

    @property
    def _slope_scale(self):
        of_lower = 2.0 * self._unit ** (self.d - 1) * math.factorial(self.d - 1) if self.d > 1 else 1.0
        return 1.0 / (of_lower * self._interval)

    @property
    def _unit(self):
        """The length of an interval with which the splines of degree ``d`` need no factor."""
        return (2.0 * math.factorial(self.d)) ** (-1.0 / self.d)

    # With distances v to the knots, in intervals, those of degree 1 are hats, y + |y| for y = 1 − |v| but for
    # a factor of 2, and  k Bⱼ = vⱼ Bⱼ + (−vⱼ₊ₖ₊₁) Bⱼ₊₁  leads from degree k − 1 to k (C. de Boor, 1972; M. G.
    # Cox, 1972). Where a spline is not zero, both terms are positive, and where it is, both are zero.
    def _splines(self, xp, x, degree):
        """All of a degree on these knots, at degree ``d`` as they are, below it times a number."""
        u = (x - self.grid_range[0]) / self._interval
        u = xp.clip(u, -self.d - 1.0, self.t + self.d + 1.0)
        knots = range(-self.d, self.t + self.d + 1)
        if degree == 0:
            cell = xp.floor(u)
            return [xp.where(cell == k, 1.0 + 0.0 * u, 0.0 * u) for k in knots[:-1]]
        scaled, distances, levels = self._unit * u, [], [[] for _ in range(degree + 1)]
        # One knot after the other, so that what is needed next has just been made.
        for i, knot in enumerate(knots):
            distances.append(scaled - self._unit * knot)
            for k in range(1, min(i, degree + 1)):
                j = i - k - 1
                if k == 1:
                    y = self._unit - xp.abs(distances[j + 1])
                    levels[1].append(y + xp.abs(y))
                else:
                    low, high = levels[k - 1][j : j + 2]
                    levels[k].append(distances[j] * low - distances[i] * high)
        return levels[degree]
