"""Rows with mean zero and variance one, of matrices that are not formed.

For face-splitting products both moments have closed forms. With ``X = μ_x 1ᵀ + X̃`` and ``Y`` likewise,

    X • Y = μ_x μ_y 1ᵀ + (X • Ỹ + X̃ • μ_y 1ᵀ),

where the bracket has row sums of zero, and its mean square is ``E x² v_y + μ_y² v_x`` for variances ``v``: a
sum of what is not negative, in which no digits cancel, as they would in ``E κ² − (E κ)²``.
"""

from __future__ import annotations

from dataclasses import dataclass

from arrayfab._cached import cached_property
from arrayfab._elementwise import SQUARE
from arrayfab.structures.base import Cost, Multilinear, Structure
from arrayfab.structures.beside import SideBySide, side_by_side
from arrayfab.structures.chain import chain
from arrayfab.structures.elementwise import Map
from arrayfab.structures.facesplitting import FaceSplitting, face
from arrayfab.structures.formed import ThroughDense, hadamard
from arrayfab.structures.leaves import Constant, Dense, Diagonal
from arrayfab.structures.numbers import total
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


def row_mean(matrix: Structure) -> Structure:
    """The mean of every row, as a column."""
    if isinstance(matrix, Constant):
        return Constant((matrix.shape[0], 1), matrix.value)
    if isinstance(matrix, FaceSplitting):
        return hadamard(*map(row_mean, matrix.children))
    if isinstance(matrix, SideBySide):
        return add(*(share * row_mean(part) for share, part in _shares(matrix)))
    return RowMean(matrix)


def row_mean_square(matrix: Structure) -> Structure:
    """The mean of the squares of every row, as a column."""
    if isinstance(matrix, Constant):
        return Constant((matrix.shape[0], 1), matrix.value**2)
    if isinstance(matrix, FaceSplitting):
        return hadamard(*map(row_mean_square, matrix.children))
    if isinstance(matrix, SideBySide):
        return add(*(share * row_mean_square(part) for share, part in _shares(matrix)))
    return RowMean(Map(SQUARE, matrix))


def row_variance(matrix: Structure) -> Structure:
    """The mean square of what is left of every row without its mean, as a column."""
    if isinstance(matrix, FaceSplitting):
        left, right = matrix.children
        from_right = hadamard(row_mean_square(left), row_variance(right))
        return add(from_right, hadamard(row_variance(left), Map(SQUARE, row_mean(right))))
    if isinstance(matrix, SideBySide):
        # The variance within the parts, and that between them.
        parts = [(share, part, _off_mean(matrix, part)) for share, part in _shares(matrix)]
        between = [share * Map(SQUARE, off) for share, _, off in parts]
        within = [share * row_variance(part) for share, part, _ in parts if not isinstance(part, Constant)]
        return add(*within, *between)
    return RowVariance(matrix)


def centred(matrix: Structure) -> Structure:
    """``M − μ 1ᵀ``: every row without its mean."""
    if isinstance(matrix, FaceSplitting):
        left, right = matrix.children
        repeated = face(centred(left), Constant(right.shape, 1.0))
        return add(face(left, centred(right)), chain(Diagonal(row_mean(right).T), repeated))
    if isinstance(matrix, Constant):
        return Constant(matrix.shape, 0.0)
    if isinstance(matrix, SideBySide):
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


def _mean(a, matrix, numbers):
    return numbers.sum(a, axis=-1, keepdims=True) * (1.0 / matrix.shape[1])


def _send(parts, matrix, pull, numbers, cotangents):
    """The sum of some parts of a cotangent, of which some are columns that stand for equal ones."""
    if isinstance(matrix, Dense) and not matrix.is_transposed:
        for part in parts:  # all columns of one hole are added up before anything is as wide as the hole
            cotangents.add(matrix.name, part)
    else:
        ones = numbers.full((1, matrix.shape[1]), 1.0)
        pull(total(part * ones if part.shape[-1] == 1 else part for part in parts), cotangents)


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
            _send([g * (1.0 / self.inner.shape[1])], self.inner, pull, numbers, cotangents)

        return _mean(a, self.inner, numbers), row_mean_pullback

    @property
    def dense_cost(self):
        rows, columns = self.inner.shape
        return self.inner.dense_cost + Cost(rows, rows * columns)

    def mean_square(self, variance):
        return self.inner.mean_square(variance) / self.inner.shape[1]


@dataclass(frozen=True)
class RowVariance(ThroughDense):
    """The mean square of what is left of every row without its mean, as a column."""

    inner: Structure

    @cached_property
    def shape(self):
        return (self.inner.shape[0], 1)

    @property
    def children(self):
        return (self.inner,)

    @cached_property
    def degree(self):
        return None if self.inner.degree is None else 2 * self.inner.degree

    @cached_property
    def _centred(self):
        return Centred(self.inner)

    def dense(self, numbers):
        # v = Σ c² / n with c = a − μ 1ᵀ, whose sum is zero: hence  ga = 2 gv c / n, with nothing to centre.
        a, pull = self.inner.dense(numbers)
        c = a - _mean(a, self.inner, numbers)
        share = 1.0 / self.inner.shape[1]

        def row_variance_pullback(g, cotangents):
            pull((2.0 * share * g) * c, cotangents)

        return share * numbers.sum(c * c, axis=-1, keepdims=True), row_variance_pullback

    @property
    def dense_cost(self):
        rows, columns = self.inner.shape
        return self.inner.dense_cost + Cost(rows * (columns + 1), 4 * rows * columns)

    def mean_square(self, variance):
        return self._centred.mean_square(variance) ** 2

    @property
    def derivative(self):
        # 2 (Σ c dc) / n, in which the mean of dc adds nothing.
        return 2.0 * RowMean(hadamard(self._centred, self.inner.tangent))


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
            _send([g, -_mean(g, self.inner, numbers)], self.inner, pull, numbers, cotangents)

        return a - _mean(a, self.inner, numbers), centred_pullback

    @property
    def dense_cost(self):
        rows, columns = self.shape
        return self.inner.dense_cost + Cost(rows, 2 * rows * columns)

    def mean_square(self, variance):
        return self.inner.mean_square(variance) * (1.0 - 1.0 / self.shape[1])
