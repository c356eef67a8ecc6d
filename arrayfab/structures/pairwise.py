"""Distances between all pairs of rows, from their differences: no digits are lost where rows are close."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab._cached import cached_property
from arrayfab.structures.base import Cost, Structure
from arrayfab.structures.formed import ThroughDense

#: So many differences are held at a time.
BLOCK = 1 << 16


@dataclass(frozen=True)
class SquaredEuclidean:
    """``Σₖ aₖ (xₖ − yₖ)²``, with weights of one where none are given."""

    weights: tuple[float, ...] | None = None

    def _weighted(self, xp, d):
        if self.weights is None:
            return d
        weights = xp.asarray(self.weights, dtype=d.dtype, device=_arrays.device_of(d))
        return d * weights

    def distance(self, xp, x, y):
        d = x - y
        return _summed(xp, self._weighted(xp, d) * d)

    def slope(self, xp, x, y, distance):
        return 2.0 * self._weighted(xp, x - y)


@dataclass(frozen=True)
class Minkowski:
    """``(Σₖ |xₖ − yₖ|^p)^{1/p}`` for ``p ≥ 1``, and the largest of them for infinite ``p``.

    Where two rows are equal there is no slope, and zero stands for it.
    """

    p: float

    # Differences are measured by the largest of them, or by the distance, so that no power over- or
    # underflows:  ∂D/∂xₖ = sign(dₖ) (|dₖ| / D)^{p−1}  for  d = x − y.  Of several largest ones each gets an
    # equal share.
    def distance(self, xp, x, y):
        d = xp.abs(x - y)
        if self.p == 1:
            return _summed(xp, d)
        largest = xp.max(d, axis=-1)
        if self.p == float("inf"):
            return largest
        safe = _or_one(xp, largest)
        d = d / safe[..., None]
        # No sum is zero but where all are; there a root has no slope, which PyTorch's own gradient needs.
        if self.p == 2:
            return largest * xp.sqrt(_or_one(xp, _summed(xp, d * d)))
        return largest * _or_one(xp, _summed(xp, d**self.p)) ** (1.0 / self.p)

    def slope(self, xp, x, y, distance):
        d = x - y
        sign = xp.sign(d)
        if self.p == 1:
            return sign
        if self.p == float("inf"):
            is_largest = xp.astype(xp.abs(d) == distance[..., None], d.dtype)
            return sign * is_largest / _summed(xp, is_largest)[..., None]
        d = d / _or_one(xp, distance)[..., None]
        return d if self.p == 2 else sign * xp.abs(d) ** (self.p - 1.0)


@dataclass(frozen=True)
class Canberra:
    """``Σₖ |xₖ − yₖ| / (|xₖ| + |yₖ|)``, where ``0 / 0`` is zero."""

    def distance(self, xp, x, y):
        return _summed(xp, xp.abs(x - y) / _or_one(xp, xp.abs(x) + xp.abs(y)))

    def slope(self, xp, x, y, distance):
        # For numbers of one sign f = |x − y| / s with s = |x| + |y|, and f' = sign(x − y) 2 |y| / s². For
        # others f = 1.
        s = _or_one(xp, xp.abs(x) + xp.abs(y))
        slope = xp.sign(x - y) * (xp.abs(y) / s) * (2.0 / s)
        return xp.where(xp.sign(x) * xp.sign(y) > 0, slope, xp.zeros_like(slope))


@dataclass(frozen=True)
class Pairwise(ThroughDense):
    """``D ∈ R^{n×n}`` with the distances between all pairs of rows of ``V``.

    A metric gives ``distance(xp, x, y)`` along the last axis, the same from either side, and its ``slope`` in
    ``x``, which may use the distance.
    """

    metric: Any
    inner: Structure

    @cached_property
    def shape(self):
        n = self.inner.shape[0]
        return (n, n)

    @property
    def children(self):
        return (self.inner,)

    @property
    def T(self):  # type: ignore[override]
        return self

    def dense(self, numbers):
        # Every row of V is met from both sides:  gvᵢ = Σⱼ (gᵢⱼ + gⱼᵢ) ∂D(vᵢ, vⱼ)/∂vᵢ.
        apply = numbers.backend.apply
        v, pull = self.inner.dense(numbers)
        lead = tuple(v.shape[:-2])
        D = apply(distances, (*lead, *self.shape), v, self.metric)

        def pairwise_pullback(g, cotangents):
            pull(apply(distances_pullback, tuple(v.shape), v, D, g + numbers.mT(g), self.metric), cotangents)

        return D, pairwise_pullback

    @property
    def dense_cost(self):
        n, d = self.inner.shape
        return self.inner.dense_cost + Cost(moved=4 * n * n * d)

    @property
    def derivative(self):
        return DistancesAlong(self.metric, self.inner, self.inner.tangent)


@dataclass(frozen=True)
class DistancesAlong(ThroughDense):
    """The derivative of `Pairwise` as the rows move along those of another matrix. It has no pullback."""

    metric: Any
    inner: Structure
    direction: Structure

    @cached_property
    def shape(self):
        return (self.inner.shape[0], self.inner.shape[0])

    @property
    def children(self):
        return (self.inner, self.direction)

    def dense(self, numbers):
        # dDᵢⱼ = tᵢⱼ + tⱼᵢ  with  tᵢⱼ = ⟨∂D(vᵢ, vⱼ)/∂vᵢ, dvᵢ⟩.
        apply = numbers.backend.apply
        (v, _), (dv, _) = (child.dense(numbers) for child in self.children)
        shape = (*v.shape[:-2], *self.shape)
        D = apply(distances, shape, v, self.metric)
        t = apply(distances_along, shape, v, D, dv, self.metric)

        def distances_along_pullback(g, cotangents):
            raise NotImplementedError(f"{self.metric}: second derivatives are not known")

        return t + numbers.mT(t), distances_along_pullback

    @property
    def dense_cost(self):
        n, d = self.inner.shape
        return self.inner.dense_cost + self.direction.dense_cost + Cost(moved=8 * n * n * d)


def distances(v: Array, metric: Any) -> Array:
    """The distances between all pairs of rows."""
    xp = _arrays.backend_of("distances", "v", v).xp
    others = v[..., None, :, :]
    return _joined(xp, [metric.distance(xp, v[..., rows, None, :], others) for rows in _blocks(v)])


def distances_pullback(v: Array, D: Array, g: Array, metric: Any) -> Array:
    """The cotangents of the rows, for those of the distances from both sides."""
    xp = _arrays.backend_of("distances", "v", v).xp

    def of(rows, slope):
        return (g[..., rows, None, :] @ slope)[..., 0, :]

    return _joined(xp, [of(*each) for each in _slopes(xp, v, D, metric)])


def distances_along(v: Array, D: Array, dv: Array, metric: Any) -> Array:
    """How the distances change as the first of two rows moves."""
    xp = _arrays.backend_of("distances", "v", v).xp

    def of(rows, slope):
        return (slope @ dv[..., rows, :, None])[..., 0]

    return _joined(xp, [of(*each) for each in _slopes(xp, v, D, metric)])


def _slopes(xp, v, D, metric):
    others = v[..., None, :, :]
    for rows in _blocks(v):
        yield rows, metric.slope(xp, v[..., rows, None, :], others, D[..., rows, :])


def _blocks(v):
    """Runs of rows with so few differences that they are held at a time."""
    n, others = v.shape[-2], 1
    for size in v.shape:
        others *= max(size, 1)
    step = max(1, BLOCK // others)
    return [slice(start, min(start + step, n)) for start in range(0, max(n, 1), step)]


def _joined(xp, blocks):
    return blocks[0] if len(blocks) == 1 else xp.concat(blocks, axis=-2)


def _summed(xp, x):
    """The sum along the last axis, of half precision in float32."""
    if not _arrays.is_half(x.dtype):
        return xp.sum(x, axis=-1)
    return xp.astype(xp.sum(x, axis=-1, dtype=xp.float32), x.dtype)


def _or_one(xp, x):
    return xp.where(x > 0, x, xp.ones_like(x))
