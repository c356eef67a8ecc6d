"""Splines."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from arrayfab.expansions.base import Functions, check, settle_tuples


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

    def _places(self, xp, x):
        """The number of the interval in which ``x`` lies, and how far it lies into it."""
        u = xp.clip((x - self.grid_range[0]) / self._interval, -self.d - 1.0, self.t + self.d + 1.0)
        cell = xp.floor(u)
        return cell, u - cell

    def values(self, xp, x):
        cell, f = self._places(xp, x)
        return self._spread(xp, cell, f, _pieces(f, self.d))

    def slopes(self, xp, x):
        # B' of degree d is (B − its right neighbour) / h of degree d − 1.
        cell, f = self._places(xp, x)
        lower = [0.0, *_pieces(f, self.d - 1), 0.0]
        return self._spread(xp, cell, f, [(p - q) / self._interval for p, q in pairwise(lower)])

    def _spread(self, xp, cell, f, pieces):
        """Every function: on each of its ``d + 1`` intervals it is one of the pieces."""
        features = []
        for k in range(-self.d, self.t):
            y = 0.0 * f  # where x is no number, so is this
            for j, piece in enumerate(reversed(pieces)):
                y = xp.where(cell == k + j, piece, y)
            features.append(y)
        return features


def _pieces(f, d):
    """The ``d + 1`` B-splines that are not zero on an interval, at ``f`` of its length (C. de Boor, 1978)."""
    pieces = [f * 0.0 + 1.0]
    for k in range(1, d + 1):
        shares = [piece / k for piece in pieces]
        falling = [(r + 1.0 - f) * share for r, share in enumerate(shares)]
        rising = [(k - 1.0 - r + f) * share for r, share in enumerate(shares)]
        inner = [up + down for up, down in zip(rising[:-1], falling[1:], strict=True)]
        pieces = [falling[0], *inner, rising[-1]]
    return pieces
