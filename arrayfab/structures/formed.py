"""Matrices whose product goes through their dense form."""

from __future__ import annotations

import math
from dataclasses import dataclass

from arrayfab._cached import cached_property
from arrayfab.structures.base import Cost, Multilinear, Structure
from arrayfab.structures.chain import chain, factors_of
from arrayfab.structures.rewriting import HADAMARDS
from arrayfab.structures.streamed import Span, Streamed, StreamedHadamard
from arrayfab.structures.sums import Sum, add


class ThroughDense(Structure):
    """Products by the dense form, for structures that have nothing better."""

    def rows(self, x, numbers):
        a, pull = self.dense(numbers)

        def through_dense_rows_pullback(gy, cotangents, need_x=True):
            if self.learned:
                pull(numbers.contract(x, gy, a.shape), cotangents)
            return numbers.matmul_nt(gy, a) if need_x else None

        return numbers.matmul(x, a), through_dense_rows_pullback

    def cols(self, x, numbers):
        a, pull = self.dense(numbers)

        def through_dense_cols_pullback(gy, cotangents, need_x=True):
            if self.learned:
                pull(numbers.contract(numbers.mT(gy), numbers.mT(x), a.shape), cotangents)
            return numbers.matmul_tn(a, gy) if need_x else None

        return a @ x, through_dense_cols_pullback

    def rows_cost(self, rows):
        return self.dense_cost + Cost(multiplies=rows * self.shape[0] * self.shape[1])

    def cols_cost(self, cols):
        return self.rows_cost(cols)


def reshaped(matrix: Structure, shape: tuple[int, int]) -> Structure:
    """The numbers of a matrix, row by row, in another shape."""
    if math.prod(shape) != math.prod(matrix.shape):
        raise ValueError(f"reshaped: {matrix.shape} does not hold as many numbers as {shape}")
    if isinstance(matrix, Sum):
        return add(*(reshaped(term, shape) for term in matrix.terms))
    if isinstance(matrix, Streamed):
        return matrix.reshaped(shape)
    # A row times the transpose of a streamed matrix need not be held either.
    *front, last = factors_of(matrix)
    if front and matrix.shape[0] == 1 and isinstance(last.T, Streamed):
        return Span(chain(*front), last.T, shape)
    return Reshaped(matrix, shape)


def hadamard(left: Structure, right: Structure) -> Structure:
    """``A ∘ B``, entry by entry."""
    if left.shape != right.shape:
        raise ValueError(f"hadamard: shapes differ, {left.shape} and {right.shape}")
    if isinstance(left, Streamed):
        left, right = right, left
    if isinstance(right, Streamed):
        return StreamedHadamard(left, right)
    return HADAMARDS.of(left, right) or Hadamard(left, right)


@dataclass(frozen=True)
class Reshaped(ThroughDense, Multilinear):
    """The numbers of a matrix, row by row, in another shape."""

    inner: Structure
    shape: tuple[int, int]

    @property
    def children(self):
        return (self.inner,)

    def with_children(self, inner):
        return reshaped(inner, self.shape)

    def dense(self, numbers):
        a, pull = self.inner.dense(numbers)

        def reshaped_pullback(g, cotangents):
            pull(numbers.reshape(g, (*g.shape[:-2], *self.inner.shape)), cotangents)

        return numbers.reshape(a, (*a.shape[:-2], *self.shape)), reshaped_pullback

    @property
    def dense_cost(self):
        return self.inner.dense_cost

    def mean_square(self, variance):
        return self.inner.mean_square(variance)


@dataclass(frozen=True)
class Hadamard(ThroughDense, Multilinear):
    """``A ∘ B``, entry by entry."""

    left: Structure
    right: Structure

    @cached_property
    def shape(self):
        return self.left.shape

    @property
    def children(self):
        return (self.left, self.right)

    def with_children(self, left, right):
        return hadamard(left, right)

    @cached_property
    def T(self):
        return Hadamard(self.left.T, self.right.T)

    def dense(self, numbers):
        # W = A ∘ B:  gA = gW ∘ B  and  gB = gW ∘ A.
        a, pull_a = self.left.dense(numbers)
        b, pull_b = self.right.dense(numbers)

        def hadamard_pullback(g, cotangents):
            if self.left.learned:
                pull_a(g * b, cotangents)
            if self.right.learned:
                pull_b(g * a, cotangents)

        return a * b, hadamard_pullback

    @property
    def dense_cost(self):
        size = self.shape[0] * self.shape[1]
        return sum((child.dense_cost for child in self.children), Cost(size, size))

    def mean_square(self, variance):
        return self.left.mean_square(variance) * self.right.mean_square(variance)
