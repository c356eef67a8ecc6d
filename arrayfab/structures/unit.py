"""Rows of length one."""

from __future__ import annotations

from dataclasses import dataclass

from arrayfab._cached import cached_property
from arrayfab.structures.base import Cost, Structure
from arrayfab.structures.formed import ThroughDense


class _OfUnitRows(ThroughDense):
    inner: Structure

    @cached_property
    def shape(self):
        return self.inner.shape

    # Lengths are measured by the largest entry, so that no square over- or underflows. With n = s v for the
    # inverse length s,  dn = s (dv − n ⟨n, dv⟩), which is its own transpose. For a row of zeros s = 1.
    def _unit(self, v, numbers):
        """The rows of length one, and how one of their derivatives is made of that of the rows."""
        xp = numbers.xp
        largest = xp.max(xp.abs(v), axis=-1, keepdims=True)
        largest = xp.where(largest == 0, xp.ones_like(largest), largest)
        scaled = v / largest
        squares = numbers.sum(scaled * scaled, axis=-1, keepdims=True)
        length = xp.sqrt(xp.where(squares == 0, xp.ones_like(squares), squares))
        n = scaled / length

        def along(d):
            return (d - n * numbers.sum(n * d, axis=-1, keepdims=True)) / length / largest

        return n, along


@dataclass(frozen=True)
class UnitRows(_OfUnitRows):
    """``vᵢ / ‖vᵢ‖`` for every row of ``V``, and zero for rows of zeros."""

    inner: Structure

    @property
    def children(self):
        return (self.inner,)

    def dense(self, numbers):
        v, pull = self.inner.dense(numbers)
        n, along = self._unit(v, numbers)

        def unit_rows_pullback(g, cotangents):
            pull(along(g), cotangents)

        return n, unit_rows_pullback

    @property
    def dense_cost(self):
        return self.inner.dense_cost + Cost(moved=4 * self.shape[0] * self.shape[1])

    def mean_square(self, variance):
        return 1.0 / self.shape[1]

    @property
    def derivative(self):
        return UnitRowsAlong(self.inner, self.inner.tangent)


@dataclass(frozen=True)
class UnitRowsAlong(_OfUnitRows):
    """The derivative of `UnitRows` as the rows move along those of another matrix. It has no pullback."""

    inner: Structure
    direction: Structure

    @property
    def children(self):
        return (self.inner, self.direction)

    def dense(self, numbers):
        (v, _), (dv, _) = (child.dense(numbers) for child in self.children)

        def unit_rows_along_pullback(g, cotangents):
            raise NotImplementedError("UnitRows: second derivatives are not known")

        return self._unit(v, numbers)[1](dv), unit_rows_along_pullback

    @property
    def dense_cost(self):
        return self.direction.dense_cost + UnitRows(self.inner).dense_cost
