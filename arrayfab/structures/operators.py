"""Matrices without learned numbers that are known by what they do to a vector."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from arrayfab._arrays import Array
from arrayfab._cached import cached_property
from arrayfab.structures.base import Cost, Structure


class Action(Protocol):
    """What a matrix ``M ∈ R^{n×D}`` does. It is hashable.

    One whose numbers are no whole ones, halves or quarters says so: its ``has_short_coefficients`` is False.
    """

    @property
    def sizes(self) -> tuple[int, int]:
        """``n`` and ``D``."""

    @property
    def T(self) -> Action:
        """What the transpose does."""

    def along(self, x: Array, axis: int) -> Array:
        """``x M`` for the vectors along an axis of ``x``, -1 or -2: ``yⱼ = Σᵢ xᵢ Mᵢⱼ``."""

    @property
    def times(self) -> int:
        """About how many numbers are passed over for one vector."""


class SquareAction:
    """What actions of ``n × n`` matrices share. A subclass is a frozen dataclass with ``is_transposed``."""

    n: int
    is_transposed: bool

    @property
    def sizes(self) -> tuple[int, int]:
        return (self.n, self.n)

    @property
    def T(self):
        return replace(self, is_transposed=not self.is_transposed)


@dataclass(frozen=True)
class Operator(Structure):
    """The matrix of an action, which is never formed for a product."""

    action: Any

    @cached_property
    def shape(self):
        return self.action.sizes

    @cached_property
    def T(self):
        return Operator(self.action.T)

    def _along(self, x, axis, numbers, action):
        shape = list(x.shape)
        shape[axis] = action.sizes[1]
        return numbers.backend.apply(acted, tuple(shape), x, action, axis)

    # y = x M:  gx = gy Mᵀ.
    def rows(self, x, numbers):
        def operator_rows_pullback(gy, cotangents, need_x=True):
            return self._along(gy, -1, numbers, self.action.T) if need_x else None

        return self._along(x, -1, numbers, self.action), operator_rows_pullback

    def cols(self, x, numbers):
        def operator_cols_pullback(gy, cotangents, need_x=True):
            return self._along(gy, -2, numbers, self.action) if need_x else None

        return self._along(x, -2, numbers, self.action.T), operator_cols_pullback

    def dense(self, numbers):
        n = self.shape[0]
        return self._along(numbers.eye(n, n), -1, numbers, self.action), _nothing

    def mean_square(self, variance):
        return self._moment

    @cached_property
    def _moment(self):
        # Of a vector of signs, (s M)ⱼ² is Σᵢ Mᵢⱼ² in the mean.
        n = self.shape[0]
        if n < 256:
            return float(np.mean(self.action.along(np.eye(n), -1) ** 2))
        signs = np.random.default_rng(0).integers(0, 2, size=(64, n)) * 2.0 - 1.0
        return float(np.mean(self.action.along(signs, -1) ** 2)) / n

    def rows_cost(self, rows):
        return Cost(moved=rows * self.action.times)

    def cols_cost(self, cols):
        return self.rows_cost(cols)

    @property
    def dense_cost(self):
        return self.rows_cost(self.shape[0])


def acted(x: Array, action: Any, axis: int) -> Array:
    """What an action makes of the vectors along an axis."""
    return action.along(x, axis)


def _nothing(g, cotangents):
    """The pullback of a matrix that holds nothing learned."""
