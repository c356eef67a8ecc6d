"""Chains: each one depends on the one before it, or on both neighbours; nothing of size m × m is formed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np

from arrayfab import _arrays
from arrayfab.fabrications.blueprint import settle_sizes
from arrayfab.interdependences.base import Interdependence
from arrayfab.interdependences.functions import Inverse, check_flags, settle_reals
from arrayfab.interdependences.normalization import check_normalization, scales
from arrayfab.structures import Constant, Diagonal, Map, Operator, SquareAction, Structure, chain

#: ``2^k / k!`` is below what float64 can tell from one, from here on.
_TERMS = 32


@dataclass(frozen=True)
class BandSeries(SquareAction):
    """``Σₖ cₖ Aᵏ`` for ``A = diag(r) B diag(c)``, where ``B`` is constant on three diagonals.

    The product takes two shifts for each power (W. G. Horner's scheme).
    """

    n: int
    below: float
    on: float
    above: float
    normalization: str | None = None
    coefficients: tuple[float, ...] = (0.0, 1.0)
    is_transposed: bool = False

    @property
    def times(self):
        return 4 * self.n * max(1, len(self.coefficients) - 1)

    def along(self, x, axis):
        below, above = (self.above, self.below) if self.is_transposed else (self.below, self.above)
        if not self.n:
            return x
        before, after = self._scales(x, axis)
        *lower, top = self.coefficients
        y = _times(top, x)
        for coefficient in reversed(lower):
            y = _times(before, y)
            # (y B)ⱼ = above yⱼ₋₁ + on yⱼ + below yⱼ₊₁.
            parts = [_times(above, _shifted(y, 1, axis))] if above else []
            parts += [_times(self.on, y)] if self.on else []
            parts += [_times(below, _shifted(y, -1, axis))] if below else []
            y = _times(after, sum(parts[1:], parts[0]))
            if coefficient:
                y = y + _times(coefficient, x)
        return y

    def _scales(self, x, axis):
        """What numbers are multiplied by before they meet ``B``, and after."""
        rows, columns = (None if scale is None else _placed(scale, x, axis) for scale in _scales_of(self))
        return (columns, rows) if self.is_transposed else (rows, columns)


@lru_cache(maxsize=256)
def _scales_of(band: BandSeries) -> tuple[np.ndarray | None, np.ndarray | None]:
    if band.normalization is None:
        return None, None

    def times_band(r):
        sums = band.on * r
        sums[1:] += band.above * r[:-1]
        sums[:-1] += band.below * r[1:]
        return sums

    row_sums = np.full(band.n, band.on)
    row_sums[:-1] += band.above
    row_sums[1:] += band.below
    return scales(band.normalization, row_sums, times_band)


def _placed(numbers, x, axis):
    xp = _arrays.backend_of("a chain", "x", x).xp
    placed = _arrays.from_host(numbers, xp, x.dtype, _arrays.device_of(x))
    return placed if axis == -1 else placed[:, None]


def _times(factor, y):
    return y if factor is None or (isinstance(factor, float) and factor == 1) else factor * y


def _shifted(y, by, axis):
    """``yⱼ₋ᵢ`` at place ``j``, zero where there is none."""
    xp = _arrays.backend_of("a chain", "x", y).xp
    kept, gone = (slice(None, -1), slice(None, 1)) if by > 0 else (slice(1, None), slice(None, 1))
    rest = (slice(None),) * (-1 - axis)
    parts = [xp.zeros_like(y[(..., gone, *rest)]), y[(..., kept, *rest)]]
    return xp.concat(parts if by > 0 else parts[::-1], axis=axis)


@dataclass(frozen=True)
class RunningSum(SquareAction):
    """``yⱼ = Σ_{i≤j} xᵢ``: ones on and above the diagonal, the inverse of ``I`` less ones above it."""

    n: int
    is_transposed: bool = False

    @property
    def times(self):
        return 2 * self.n

    def along(self, x, axis):
        xp = _arrays.backend_of("a chain", "x", x).xp
        wide = xp.float32 if _arrays.is_half(x.dtype) else x.dtype
        x, dtype = xp.astype(x, wide, copy=False), x.dtype
        if self.is_transposed:
            x = xp.flip(x, axis=axis)
        y = xp.cumulative_sum(x, axis=axis % x.ndim)
        if self.is_transposed:
            y = xp.flip(y, axis=axis)
        return xp.astype(y, dtype, copy=False)


@dataclass(frozen=True, kw_only=True)
class _Chain(Interdependence):
    length: int | None = None
    is_directed: bool = True
    normalization: str | None = None

    needs_data: ClassVar[bool] = False

    def __post_init__(self):
        super().__post_init__()
        settle_sizes(self, "length")
        check_flags(self, "is_directed")
        check_normalization(self)

    def _band(self, V: Structure, self_loops: float = 0.0) -> BandSeries:
        n = int(V.shape[0])
        if self.length not in (None, n):
            raise ValueError(f"{self}: the chain has {self.length} members, and {n} depend on one another")
        return BandSeries(n, 0.0 if self.is_directed else 1.0, self_loops, 1.0, self.normalization)


@dataclass(frozen=True, kw_only=True)
class ChainInterdependence(_Chain):
    """``Aᵢⱼ = 1`` where ``j`` follows ``i``, and ``self_loops`` on the diagonal: ``yⱼ = xⱼ₋₁ + s xⱼ``.

    Parameters
    ----------
    length : int, optional
        How many members the chain has; as many as depend on one another if left out.
    is_directed : bool
        Whether each depends on the one before it alone, or on both neighbours.
    normalization : str, optional
        ``"row"`` or ``"column"`` divide by their sums, ``"symmetric"`` by the roots of both, ``"row_column"``
        by the root of row sums and then by the root of what the columns sum to.
    self_loops : float
        How much each depends on itself.
    """

    self_loops: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        settle_reals(self, "self_loops")
        if self.self_loops < 0:
            raise ValueError(f"{type(self).__name__}: self_loops must not be negative, got {self.self_loops}")

    def relation(self, V):
        return Operator(self._band(V, self.self_loops))


@dataclass(frozen=True, kw_only=True)
class MultihopChain(ChainInterdependence):
    """``Aʰ`` for the ``A`` of `arrayfab.interdependences.ChainInterdependence`, or ``A + A² + … + Aʰ``.

    A sum of powers of a chain both ways is divided by its column sums, as in tinybig.

    Parameters
    ----------
    hops : int
        ``h``.
    is_accumulated : bool
        Whether all powers are added up.
    """

    hops: int = 1
    is_accumulated: bool = False

    def __post_init__(self):
        super().__post_init__()
        settle_sizes(self, "hops")
        check_flags(self, "is_accumulated")

    def relation(self, V):
        band = self._band(V, self.self_loops)
        if not self.is_accumulated:
            return Operator(replace(band, coefficients=(0.0,) * self.hops + (1.0,)))
        return _accumulated(band, self.hops, not self.is_directed)


@dataclass(frozen=True, kw_only=True)
class InverseChain(_Chain):
    """``(I − A)⁻¹ = I + A + A² + …`` of a directed chain without self-loops: running sums.

    Both ways there is no such limit. There it is ``A + A² + … + A^{n−1}``, divided by its column sums, as in
    tinybig.
    """

    def relation(self, V):
        band = self._band(V)
        # Whatever the mode, a directed chain without self-loops is normalised already.
        return (
            Operator(RunningSum(band.n)) if self.is_directed else _accumulated(band, max(band.n - 1, 1), True)
        )


@dataclass(frozen=True, kw_only=True)
class ExponentialChain(_Chain):
    """``exp(A) = I + A + A²/2! + …`` of a chain without self-loops, by as many shifts as numbers can tell."""

    def relation(self, V):
        band = self._band(V)
        count = max(1, min(band.n - 1, _TERMS)) if self.is_directed else _TERMS
        return Operator(replace(band, coefficients=tuple(1.0 / math.factorial(k) for k in range(count + 1))))


def _accumulated(band: BandSeries, hops: int, is_normalized: bool) -> Structure:
    """``A + … + Aʰ``, where asked for divided by its column sums."""
    if not is_normalized:
        return Operator(replace(band, coefficients=(0.0,) + (1.0,) * hops))
    # Column sums take every factor off again. With A / ρ in place of A, and ρ^{k−h} for the powers, no number
    # is too large: that is Σ Aᵏ / ρʰ.
    rho = 1.0 if band.normalization else band.below + band.on + band.above
    smaller = replace(band, below=band.below / rho, on=band.on / rho, above=band.above / rho)
    powers = Operator(
        replace(smaller, coefficients=(0.0, *(rho ** float(k - hops) for k in range(1, hops + 1))))
    )
    sums = chain(Constant((1, band.n), 1.0), powers)
    return chain(powers, Diagonal(Map(Inverse(), sums)))
