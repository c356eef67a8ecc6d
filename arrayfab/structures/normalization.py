"""Rows with mean zero and variance one, of matrices that are not formed.

For face-splitting products both moments have closed forms. With ``X = μ_x 1ᵀ + X̃`` and ``Y`` likewise,

    X • Y = μ_x μ_y 1ᵀ + (X • Ỹ + X̃ • μ_y 1ᵀ),

where the bracket has row sums of zero, and its mean square is ``v_x v_y + μ_x² v_y + μ_y² v_x`` for variances
``v``: a sum of what is not negative, in which no digits cancel, as they would in ``E κ² − (E κ)²``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

from arrayfab._cached import cached_property
from arrayfab._elementwise import SQUARE
from arrayfab.structures.base import Cost, Multilinear, Structure
from arrayfab.structures.beside import SideBySide, side_by_side
from arrayfab.structures.chain import chain
from arrayfab.structures.elementwise import Map
from arrayfab.structures.facesplitting import FaceSplitting, face
from arrayfab.structures.formed import ThroughDense, hadamard
from arrayfab.structures.leaves import Constant, Diagonal
from arrayfab.structures.sums import add


def normalized(matrix: Structure, eps: float) -> Structure:
    """``(M − μ 1ᵀ) / √(v + eps)`` for the mean ``μ`` and the variance ``v`` of every row."""
    scale = Map(InverseRoot(eps), row_variance(matrix))
    return chain(Diagonal(scale.T), centred(matrix))


@dataclass(frozen=True)
class InverseRoot:
    """``1 / √(v + eps)``."""

    eps: float
    count = 1
    is_attribute_major = False
    degree = None

    def values(self, xp, v):
        return [1.0 / xp.sqrt(v + self.eps)]

    def slopes(self, xp, v):
        return [-0.5 / ((v + self.eps) * xp.sqrt(v + self.eps))]


def _has_expanded(matrix: Structure) -> TypeGuard[SideBySide]:
    """Whether there are face-splitting products among parts side by side, which had better not be formed."""
    return isinstance(matrix, SideBySide) and any(isinstance(p, FaceSplitting) for p in matrix.parts)


def row_mean(matrix: Structure) -> Structure:
    """The mean of every row, as a column."""
    if isinstance(matrix, FaceSplitting):
        return hadamard(*map(row_mean, matrix.children))
    if _has_expanded(matrix):
        return add(*(share * row_mean(part) for share, part in _shares(matrix)))
    return RowMean(matrix)


def row_variance(matrix: Structure) -> Structure:
    """The mean square of what is left of every row without its mean, as a column."""
    if isinstance(matrix, FaceSplitting):
        (m, v), (n, u) = ((row_mean(child), row_variance(child)) for child in matrix.children)
        return add(hadamard(v, u), hadamard(Map(SQUARE, m), u), hadamard(Map(SQUARE, n), v))
    if _has_expanded(matrix):
        # The variance within the parts, and that between them.
        parts = [(share, row_variance(part), _off_mean(matrix, part)) for share, part in _shares(matrix)]
        return add(*(share * add(v, Map(SQUARE, off)) for share, v, off in parts))
    return RowMean(Map(SQUARE, centred(matrix)))


def centred(matrix: Structure) -> Structure:
    """``M − μ 1ᵀ``: every row without its mean."""
    if isinstance(matrix, FaceSplitting):
        left, right = matrix.children
        repeated = face(centred(left), Constant(right.shape, 1.0))
        return add(face(left, centred(right)), chain(Diagonal(row_mean(right).T), repeated))
    if _has_expanded(matrix):
        within = side_by_side(tuple(map(centred, matrix.parts)))
        between = [chain(_off_mean(matrix, part), Constant((1, part.shape[1]), 1.0)) for part in matrix.parts]
        return add(within, side_by_side(tuple(between)))
    return Centred(matrix)


def _shares(matrix):
    return [(part.shape[1] / matrix.shape[1], part) for part in matrix.parts]


def _off_mean(matrix, part):
    return add(row_mean(part), -1.0 * row_mean(matrix))


class _OfRows(ThroughDense, Multilinear):
    """What is made of every row of a matrix that is formed."""

    inner: Structure

    @property
    def children(self):
        return (self.inner,)

    def _mean(self, a, numbers):
        return numbers.sum(a, axis=-1, keepdims=True) * (1.0 / self.inner.shape[1])


@dataclass(frozen=True)
class RowMean(_OfRows):
    """The mean of every row, as a column."""

    inner: Structure

    @cached_property
    def shape(self):
        return (self.inner.shape[0], 1)

    def with_children(self, inner):
        return row_mean(inner)

    def dense(self, numbers):
        a, pull = self.inner.dense(numbers)

        def row_mean_pullback(g, cotangents):
            pull(g * numbers.full((1, self.inner.shape[1]), 1.0 / self.inner.shape[1]), cotangents)

        return self._mean(a, numbers), row_mean_pullback

    @property
    def dense_cost(self):
        rows, columns = self.inner.shape
        return self.inner.dense_cost + Cost(rows, rows * columns)

    def mean_square(self, variance):
        return self.inner.mean_square(variance) / self.inner.shape[1]


@dataclass(frozen=True)
class Centred(_OfRows):
    """``M − μ 1ᵀ``: every row without its mean."""

    inner: Structure

    @cached_property
    def shape(self):
        return self.inner.shape

    def with_children(self, inner):
        return centred(inner)

    def dense(self, numbers):
        # M ↦ M − μ 1ᵀ is a projection, and its own transpose.
        a, pull = self.inner.dense(numbers)

        def centred_pullback(g, cotangents):
            pull(g - self._mean(g, numbers), cotangents)

        return a - self._mean(a, numbers), centred_pullback

    @property
    def dense_cost(self):
        rows, columns = self.shape
        return self.inner.dense_cost + Cost(rows, 2 * rows * columns)

    def mean_square(self, variance):
        return self.inner.mean_square(variance) * (1.0 - 1.0 / self.shape[1])
