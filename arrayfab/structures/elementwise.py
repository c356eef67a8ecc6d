"""Functions of one number, applied to every entry of a matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from arrayfab._arrays import Array
from arrayfab._cached import cached_property
from arrayfab._elementwise import SIGMOID
from arrayfab.structures.base import Cost, Structure
from arrayfab.structures.facesplitting import face
from arrayfab.structures.formed import ThroughDense, hadamard
from arrayfab.structures.leaves import Constant
from arrayfab.structures.numbers import total


class Basis(Protocol):
    """Functions ``f₁ … f_K`` of one number, with their derivatives. It is hashable.

    In a row of results either the values of one function stand together, or those of one attribute. A
    polynomial one that says that it ``has_short_coefficients`` is tested with ``==``. One with a method
    ``pulled(xp, x, gs)``, for ``Σ gₖ fₖ'(x)``, is asked for that in place of slopes.
    """

    @property
    def count(self) -> int:
        """How many functions there are."""

    @property
    def is_attribute_major(self) -> bool:
        """Whether the functions of one attribute stand together."""

    @property
    def degree(self) -> int | None:
        """The largest degree, where all functions are polynomials."""

    def values(self, xp: Any, x: Array) -> list[Array]:
        """``fₖ(x)``, each an array of the shape of ``x``."""

    def slopes(self, xp: Any, x: Array) -> list[Array]:
        """``fₖ'(x)``."""


@dataclass(frozen=True)
class Slopes:
    """The derivatives of a basis."""

    basis: Basis

    @property
    def count(self):
        return self.basis.count

    @property
    def is_attribute_major(self):
        return self.basis.is_attribute_major

    @property
    def degree(self):
        return self.basis.degree and self.basis.degree - 1

    @property
    def has_short_coefficients(self):
        return getattr(self.basis, "has_short_coefficients", False)

    def values(self, xp, x):
        return self.basis.slopes(xp, x)

    def slopes(self, xp, x):
        raise NotImplementedError(f"{self.basis}: second derivatives are not known")


def Sigmoid(matrix: Structure) -> Structure:
    """``σ(M)``, entry by entry."""
    return Map(SIGMOID, matrix)


@dataclass(frozen=True)
class Map(ThroughDense):
    """The functions of a basis, of every entry of ``M ∈ R^{b×m}``; of shape ``(b, m K)``."""

    basis: Any
    inner: Structure

    @cached_property
    def shape(self):
        return (self.inner.shape[0], self.inner.shape[1] * self.basis.count)

    @property
    def children(self):
        return (self.inner,)

    @property
    def outer_columns(self):
        if self.basis.count == 1:
            return None
        return self.inner.shape[1] if self.basis.is_attribute_major else self.basis.count

    @cached_property
    def degree(self):
        if not self.learned:
            return 0
        if None in (self.basis.degree, self.inner.degree):
            return None
        return self.basis.degree * self.inner.degree

    def _values(self, numbers):
        """``fₖ(z)``, and the pullback of their cotangents:  gz = Σ gₖ fₖ'(z)."""
        z, pull = self.inner.dense(numbers)

        def values_pullback(gs, cotangents):
            if hasattr(self.basis, "pulled"):
                pull(self.basis.pulled(numbers.xp, z, gs), cotangents)
                return
            slopes = self.basis.slopes(numbers.xp, z)
            pull(total(g * slope for g, slope in zip(gs, slopes, strict=True)), cotangents)

        return self.basis.values(numbers.xp, z), values_pullback

    def dense(self, numbers):
        values, pull = self._values(numbers)
        m, K = self.inner.shape[1], self.basis.count

        def map_pullback(g, cotangents):
            if not self.basis.is_attribute_major:
                gs = [g[..., k * m : (k + 1) * m] for k in range(K)]
            else:
                g = numbers.reshape(g, (*g.shape[:-1], m, K))
                gs = [g[..., k] for k in range(K)]
            pull(gs, cotangents)

        if K == 1:
            return values[0], lambda g, cotangents: pull([g], cotangents)
        if not self.basis.is_attribute_major:
            return numbers.xp.concat(values, axis=-1), map_pullback
        y = numbers.xp.concat([value[..., None] for value in values], axis=-1)
        return numbers.reshape(y, (*y.shape[:-2], m * K)), map_pullback

    def cols(self, x, numbers):
        # Σₖ fₖ(z) xₖ, where xₖ are the rows of x that meet function k:  gfₖ = gy xₖᵀ  and  gxₖ = fₖ(z)ᵀ gy.
        # All is laid out for x held transposed, as the thin factor of a product with many columns is.
        if self.basis.count == 1:
            return super().cols(x, numbers)
        mT = numbers.mT
        values, pull = self._values(numbers)
        parts = self._parts(mT(x), numbers)

        def map_cols_pullback(gy, cotangents, need_x=True):
            if self.learned:
                pull([numbers.matmul(gy, part) for part in parts], cotangents)
            return mT(self._whole([mT(gy) @ value for value in values], numbers)) if need_x else None

        return total(
            numbers.matmul_nt(v, part) for v, part in zip(values, parts, strict=True)
        ), map_cols_pullback

    def _parts(self, x, numbers):
        """The columns of x that meet each of the functions."""
        m, K = self.inner.shape[1], self.basis.count
        if not self.basis.is_attribute_major:
            return [x[..., k * m : (k + 1) * m] for k in range(K)]
        *lead, c, _ = x.shape
        axes = range(len(lead))
        x = numbers.reshape(x, (*lead, c, m, K))
        x = numbers.xp.permute_dims(x, (*axes, len(lead) + 2, len(lead), len(lead) + 1))
        x = numbers.reshape(x, (*lead, K * c, m))  # one copy, in which the numbers of a part lie side by side
        return [x[..., k * c : (k + 1) * c, :] for k in range(K)]

    def _whole(self, parts, numbers):
        """The parts put together again."""
        if not self.basis.is_attribute_major:
            return numbers.xp.concat(parts, axis=-1)
        x = numbers.xp.concat([part[..., None] for part in parts], axis=-1)
        return numbers.reshape(x, (*x.shape[:-2], x.shape[-2] * x.shape[-1]))

    @property
    def _values_cost(self):
        return self.inner.dense_cost + Cost(moved=2 * self.shape[0] * self.shape[1])

    @property
    def dense_cost(self):
        return self._values_cost + Cost(moved=self.shape[0] * self.shape[1] * (self.basis.count > 1))

    def cols_cost(self, cols):
        if self.basis.count == 1:
            return super().cols_cost(cols)
        extra = self.shape[0] * cols * (self.basis.count - 1)
        return self._values_cost + Cost(cols * self.shape[0] * self.shape[1], extra)

    def mean_square(self, variance):
        # E f(z)² for Gaussian z, by Gauss–Hermite quadrature over where f is a number. None of an even number
        # of nodes is zero, where a reciprocal is larger than it ever is.
        nodes, weights = np.polynomial.hermite_e.hermegauss(40)
        z = math.sqrt(self.inner.mean_square(variance)) * nodes
        with np.errstate(all="ignore"):
            squares = [np.broadcast_to(f, z.shape) ** 2 for f in self.basis.values(np, z)]
        means = [np.average(s[ok], weights=weights[ok]) for s in squares if (ok := np.isfinite(s)).any()]
        return float(np.mean(means)) if means else 1.0

    @property
    def derivative(self):
        # Every entry of dM meets K slopes: 1ᵀ ⊗ dm, or dm ⊗ 1ᵀ, of every row.
        ones, tangent = Constant((self.shape[0], self.basis.count), 1.0), self.inner.tangent
        repeated = (tangent, ones) if self.basis.is_attribute_major else (ones, tangent)
        return hadamard(Map(Slopes(self.basis), self.inner), face(*repeated))
