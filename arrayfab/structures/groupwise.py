"""One number of every group of numbers in a row, such as the largest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from arrayfab._arrays import Array
from arrayfab._cached import cached_property
from arrayfab.structures.base import Cost, Structure
from arrayfab.structures.chain import chain
from arrayfab.structures.formed import ThroughDense, hadamard
from arrayfab.structures.kronecker import kron
from arrayfab.structures.leaves import Constant, Identity

_DRAWN = 256


class Reduction(Protocol):
    """A function of several numbers, with its partial derivatives. It is hashable."""

    def reduced(self, xp: Any, z: Array) -> Array:
        """The function of the numbers along the last axis, which is gone then."""

    def partials(self, xp: Any, z: Array) -> Array:
        """Its derivative by every number, of the shape of ``z``."""

    def degree_of(self, count: int) -> int | None:
        """Its degree in so many numbers, where it is a polynomial."""


@dataclass(frozen=True)
class Groupwise(ThroughDense):
    """A reduction of every run of as many columns, ``groups`` of them in a row."""

    reduction: Any
    inner: Structure
    groups: int

    @cached_property
    def shape(self):
        return (self.inner.shape[0], self.groups)

    @property
    def children(self):
        return (self.inner,)

    @property
    def _size(self):
        return self.inner.shape[1] // self.groups

    @cached_property
    def degree(self):
        degree = self.reduction.degree_of(self._size)
        return None if None in (degree, self.inner.degree) else degree * self.inner.degree

    def _grouped(self, numbers):
        z, pull = self.inner.dense(numbers)
        return numbers.reshape(z, (*z.shape[:-1], self.groups, self._size)), pull

    def dense(self, numbers):
        # dy = Σ ∂ᵢf dzᵢ over each group:  gzᵢ = gy ∂ᵢf.
        z, pull = self._grouped(numbers)

        def groupwise_pullback(g, cotangents):
            gz = g[..., None] * self.reduction.partials(numbers.xp, z)
            pull(numbers.reshape(gz, (*gz.shape[:-2], self.inner.shape[1])), cotangents)

        return self.reduction.reduced(numbers.xp, z), groupwise_pullback

    @property
    def dense_cost(self):
        return self.inner.dense_cost + Cost(moved=2 * self.inner.shape[0] * self.inner.shape[1])

    def mean_square(self, variance):
        # Of numbers drawn once: few reductions have an expectation in closed form.
        z = np.random.default_rng(0).standard_normal((_DRAWN, self._size))
        with np.errstate(all="ignore"):
            y = self.reduction.reduced(np, self.inner.mean_square(variance) ** 0.5 * z)
        return float(np.mean(y * y))

    @property
    def derivative(self):
        moved = hadamard(Partials(self.reduction, self.inner, self.groups), self.inner.tangent)
        return chain(moved, sums_of_groups(self.groups, self._size))


@dataclass(frozen=True)
class Partials(Groupwise):
    """The partial derivatives of a reduction of groups."""

    @cached_property
    def shape(self):
        return self.inner.shape

    @cached_property
    def degree(self):
        return None

    def dense(self, numbers):
        z, _ = self._grouped(numbers)
        y = self.reduction.partials(numbers.xp, z)

        def partials_pullback(g, cotangents):
            raise NotImplementedError(f"{self.reduction}: second derivatives are not known")

        return numbers.reshape(y, (*y.shape[:-2], self.inner.shape[1])), partials_pullback

    def mean_square(self, variance):
        return 1.0

    @property
    def derivative(self):
        raise NotImplementedError(f"{self.reduction}: second derivatives are not known")


def sums_of_groups(groups: int, size: int) -> Structure:
    """``I ⊗ 1``: times a row, the sum of every run of so many numbers."""
    return kron(Identity((groups, groups)), Constant((size, 1), 1.0))
