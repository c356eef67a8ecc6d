"""Matrices whose product goes through their dense form."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from arrayfab._cached import cached_property
from arrayfab._elementwise import SIGMOID
from arrayfab.structures.base import Cost, Multilinear, Structure
from arrayfab.structures.chain import chain, factors_of
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
    return StreamedHadamard(left, right) if isinstance(right, Streamed) else Hadamard(left, right)


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


@dataclass(frozen=True)
class Sigmoid(ThroughDense):
    """``σ(M)``, entry by entry."""

    inner: Structure

    @cached_property
    def shape(self):
        return self.inner.shape

    @property
    def children(self):
        return (self.inner,)

    @cached_property
    def T(self):
        return Sigmoid(self.inner.T)

    def dense(self, numbers):
        # y = σ(z):  gz = gy σ'(z).
        z, pull = self.inner.dense(numbers)

        def sigmoid_pullback(g, cotangents):
            pull(g * SIGMOID.slope(numbers.xp, z), cotangents)

        return SIGMOID.value(numbers.xp, z), sigmoid_pullback

    @property
    def dense_cost(self):
        return self.inner.dense_cost + Cost(moved=self.shape[0] * self.shape[1])

    def mean_square(self, variance):
        # E σ(z)² for Gaussian z, by Gauss–Hermite quadrature.
        nodes, weights = np.polynomial.hermite_e.hermegauss(41)
        z = math.sqrt(self.inner.mean_square(variance)) * nodes
        return float(np.sum(weights * SIGMOID.value(np, z) ** 2) / np.sum(weights))

    @property
    def derivative(self):
        # σ'(z) = σ(z) (1 − σ(z)), and 1 − σ(z) = σ(−z), which loses no digits where σ is near one.
        slope = hadamard(self, Sigmoid(-1.0 * self.inner))
        return hadamard(slope, self.inner.tangent)
