"""Rows as probabilities."""

from __future__ import annotations

from dataclasses import dataclass

from arrayfab._cached import cached_property
from arrayfab.structures.base import Cost, Structure
from arrayfab.structures.chain import chain
from arrayfab.structures.formed import ThroughDense, hadamard
from arrayfab.structures.leaves import Constant
from arrayfab.structures.sums import add


@dataclass(frozen=True)
class Softmax(ThroughDense):
    """``exp(zₖ) / Σ exp(zₗ)`` in every row of ``Z``, or the logarithm of it."""

    inner: Structure
    is_log: bool = False

    @cached_property
    def shape(self):
        return self.inner.shape

    @property
    def children(self):
        return (self.inner,)

    def dense(self, numbers):
        # l = z − log Σ exp z:  gz = gl − p Σ gl.  p = exp(l):  gz = p ∘ (gp − Σ gp ∘ p).
        xp = numbers.xp
        z, pull = self.inner.dense(numbers)
        z = z - xp.max(z, axis=-1, keepdims=True)
        e = xp.exp(z)
        total = numbers.sum(e, axis=-1, keepdims=True)
        p = e / total

        def log_softmax_pullback(g, cotangents):
            pull(g - p * numbers.sum(g, axis=-1, keepdims=True), cotangents)

        def softmax_pullback(g, cotangents):
            pull(p * (g - numbers.sum(g * p, axis=-1, keepdims=True)), cotangents)

        return (z - xp.log(total), log_softmax_pullback) if self.is_log else (p, softmax_pullback)

    @property
    def dense_cost(self):
        return self.inner.dense_cost + Cost(moved=5 * self.shape[0] * self.shape[1])

    @property
    def derivative(self):
        # dl = dz − (Σ p ∘ dz) 1ᵀ  and  dp = p ∘ dl.
        dz, p, columns = self.inner.tangent, Softmax(self.inner), self.shape[1]
        means = chain(hadamard(p, dz), Constant((columns, columns), -1.0))
        dl = add(dz, means)
        return dl if self.is_log else hadamard(p, dl)
