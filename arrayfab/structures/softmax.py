"""Rows as logarithms of probabilities."""

from __future__ import annotations

from dataclasses import dataclass

from arrayfab._cached import cached_property
from arrayfab.structures.base import Cost, Structure
from arrayfab.structures.formed import ThroughDense


class _OfSoftmax(ThroughDense):
    inner: Structure

    @cached_property
    def shape(self):
        return self.inner.shape

    @property
    def dense_cost(self):
        return self.inner.dense_cost + Cost(moved=5 * self.shape[0] * self.shape[1])

    def _exponentials(self, z, numbers):
        """``z`` less its largest entry, its exponentials and their sum, row by row."""
        z = z - numbers.xp.max(z, axis=-1, keepdims=True)
        e = numbers.xp.exp(z)
        return z, e, numbers.sum(e, axis=-1, keepdims=True)


@dataclass(frozen=True)
class LogSoftmax(_OfSoftmax):
    """``zₖ − log Σ exp(zₗ)`` in every row of ``Z``."""

    inner: Structure

    @property
    def children(self):
        return (self.inner,)

    def dense(self, numbers):
        # l = z − log Σ exp z  and  p = exp l:  dl = dz − Σ p ∘ dz, hence  gz = gl − p Σ gl.
        z, pull = self.inner.dense(numbers)
        z, e, total = self._exponentials(z, numbers)

        def log_softmax_pullback(g, cotangents):
            pull(g - e * (numbers.sum(g, axis=-1, keepdims=True) / total), cotangents)

        return z - numbers.xp.log(total), log_softmax_pullback

    @property
    def derivative(self):
        return LogSoftmaxAlong(self.inner, self.inner.tangent)


@dataclass(frozen=True)
class LogSoftmaxAlong(_OfSoftmax):
    """The derivative of `LogSoftmax` as the rows move along those of another matrix. It has no pullback."""

    inner: Structure
    direction: Structure

    @property
    def children(self):
        return (self.inner, self.direction)

    def dense(self, numbers):
        (z, _), (dz, _) = (child.dense(numbers) for child in self.children)
        _, e, total = self._exponentials(z, numbers)

        def log_softmax_along_pullback(g, cotangents):
            raise NotImplementedError("LogSoftmax: second derivatives are not known")

        return dz - numbers.sum(e * dz, axis=-1, keepdims=True) / total, log_softmax_along_pullback


class _OfLargest(_OfSoftmax):
    k: int

    def _shares(self, z, numbers):
        """``exp(z) / Σ exp(z)`` over the ``k`` largest numbers of every row, zero for the others."""
        least = numbers.xp.sort(z, axis=-1)[..., self.shape[1] - self.k :][..., :1]
        _, e, _ = self._exponentials(z, numbers)
        e = numbers.xp.where(z < least, numbers.xp.zeros_like(e), e)
        return e / numbers.sum(e, axis=-1, keepdims=True)


@dataclass(frozen=True)
class LargestSoftmax(_OfLargest):
    """The softmax of the ``k`` largest numbers in every row of ``Z``, with zeros in the other places."""

    inner: Structure
    k: int

    @property
    def children(self):
        return (self.inner,)

    def dense(self, numbers):
        # Which are the largest does not change for a small step:  dp = p ∘ (dz − Σ p ∘ dz), a symmetric map.
        z, pull = self.inner.dense(numbers)
        p = self._shares(z, numbers)

        def largest_softmax_pullback(g, cotangents):
            pull(p * (g - numbers.sum(p * g, axis=-1, keepdims=True)), cotangents)

        return p, largest_softmax_pullback

    def mean_square(self, variance):
        return 1.0 / (self.k * self.shape[1])  # equal shares

    @property
    def derivative(self):
        return LargestSoftmaxAlong(self.inner, self.inner.tangent, self.k)


@dataclass(frozen=True)
class LargestSoftmaxAlong(_OfLargest):
    """The derivative of `LargestSoftmax` as the rows move along those of another matrix, without pullback."""

    inner: Structure
    direction: Structure
    k: int

    @property
    def children(self):
        return (self.inner, self.direction)

    def dense(self, numbers):
        (z, _), (dz, _) = (child.dense(numbers) for child in self.children)
        p = self._shares(z, numbers)

        def largest_softmax_along_pullback(g, cotangents):
            raise NotImplementedError("LargestSoftmax: second derivatives are not known")

        return p * (dz - numbers.sum(p * dz, axis=-1, keepdims=True)), largest_softmax_along_pullback
