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
