"""Blocks that are circulant, applied by the fast Fourier transform where that is cheaper."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from arrayfab._arrays import is_half
from arrayfab._cached import cached_property
from arrayfab.programs import regime
from arrayfab.structures.base import Cost, Multilinear, Structure, transposed_product
from arrayfab.structures.formed import ThroughDense
from arrayfab.structures.toeplitz import conjugate, from_spectrum, spectrum


@dataclass(frozen=True)
class Circulant(ThroughDense, Multilinear):
    """``p × q`` circulant blocks of ``b × b`` numbers, or the transpose of that.

    Row ``i q + j`` of ``taps ∈ R^{pq×b}`` is the first row ``h`` of block ``(i, j)``; each row that follows
    is the one above, moved by one place: ``h[(c - a) mod b]`` stands in row ``a`` and column ``c``.
    """

    taps: Structure
    p: int
    q: int
    is_transposed: bool = False

    @cached_property
    def shape(self):
        b = self.taps.shape[1]
        shape = (self.p * b, self.q * b)
        return shape[::-1] if self.is_transposed else shape

    @property
    def children(self):
        return (self.taps,)

    def with_children(self, taps):
        return replace(self, taps=taps)

    @cached_property
    def T(self):
        return replace(self, is_transposed=not self.is_transposed)

    @cached_property
    def _places(self):
        """For every entry of a block its place in ``h``; and for every place in ``h`` those entries."""
        b = self.taps.shape[1]
        a, c = np.arange(b)[:, None], np.arange(b)
        return ((c - a) % b).reshape(-1), (c * b + (c + a) % b).reshape(-1)

    def dense(self, numbers):
        reshape, mT, (p, q, b) = numbers.reshape, numbers.mT, (self.p, self.q, self.taps.shape[1])
        entries, back = self._places
        h, pull = self.taps.dense(numbers)
        y = _interleaved(reshape(numbers.take(h, entries, -1), (*h.shape[:-2], p, q, b, b)), numbers)
        y = reshape(y, (*y.shape[:-4], p * b, q * b))

        def circulant_dense_pullback(g, cotangents):
            g = mT(g) if self.is_transposed else g
            g = _interleaved(reshape(g, (*g.shape[:-2], p, b, q, b)), numbers)
            g = numbers.take(reshape(g, (*g.shape[:-4], p * q, b * b)), back, -1)
            pull(numbers.sum(reshape(g, (*g.shape[:-1], b, b)), axis=-1), cotangents)

        return mT(y) if self.is_transposed else y, circulant_dense_pullback

    def rows(self, x, numbers):
        if not (numbers.backend.has_fft and self._is_fast(x.shape[-2]) and not is_half(numbers.dtype)):
            return super().rows(x, numbers)
        return self._rows_by_transforms(x, numbers)

    def cols(self, x, numbers):
        return transposed_product(self.T.rows, x, numbers)

    # A row of x times a block is its circular convolution with h: with transforms in capitals, at every
    # frequency  Y_j = Σ_i X_i H_ij,  hence  gX_i = Σ_j gY_j conj(H_ij)  and  gH_ij = Σ_rows conj(X_i) gY_j.
    # The transpose has conj(H) in place of H, and X and gY in each other's place.
    def _rows_by_transforms(self, x, numbers):
        mT, reshape, apply = numbers.mT, numbers.reshape, numbers.backend.apply
        p, q, b = self.p, self.q, self.taps.shape[1]
        h, pull = self.taps.dense(numbers)

        def transform(a, *sizes):
            """The transforms of runs, with a matrix for every frequency."""
            a = reshape(a, (*a.shape[:-2], *sizes, b))
            a = apply(spectrum, (*a.shape[:-1], b // 2 + 1), a, b)
            return numbers.xp.permute_dims(a, (*range(a.ndim - 3), a.ndim - 1, a.ndim - 3, a.ndim - 2))

        def back(a):
            """The rows of numbers of which these are the transforms."""
            a = numbers.xp.permute_dims(a, (*range(a.ndim - 3), a.ndim - 2, a.ndim - 1, a.ndim - 3))
            a = apply(from_spectrum, (*a.shape[:-1], b), a, b, b, x)
            return reshape(a, (*a.shape[:-2], a.shape[-2] * b))

        def conj(a):
            return apply(conjugate, a.shape, a)

        n, D = (q, p) if self.is_transposed else (p, q)
        H, X = transform(h, p, q), transform(x, x.shape[-2], n)
        M = mT(conj(H)) if self.is_transposed else H

        def circulant_rows_pullback(gy, cotangents, need_x=True):
            G = transform(gy, gy.shape[-2], D)
            if self.learned:
                first, second = (G, X) if self.is_transposed else (X, G)
                gh = back(mT(conj(first)) @ second)
                pull(reshape(gh, (*gh.shape[:-2], p * q, b)), cotangents)
            return back(G @ conj(mT(M))) if need_x else None

        return back(X @ M), circulant_rows_pullback

    def _is_fast(self, rows):
        rows = regime(rows)
        return self._transforms_cost(rows).weight < super().rows_cost(rows).weight

    def _transforms_cost(self, rows):
        p, q, b = self.p, self.q, self.taps.shape[1]
        passes = 2 * b.bit_length() + 4
        products = 2 * rows * p * q * (b // 2 + 1)
        return self.taps.dense_cost + Cost(products, passes * b * (rows * (p + q) + p * q))

    def rows_cost(self, rows):
        return self._transforms_cost(rows) if self._is_fast(rows) else super().rows_cost(rows)

    def cols_cost(self, cols):
        return self.T.rows_cost(cols)

    @property
    def dense_cost(self):
        return self.taps.dense_cost + Cost(moved=2 * self.shape[0] * self.shape[1])

    def mean_square(self, variance):
        return self.taps.mean_square(variance)


def _interleaved(a, numbers):
    """An array with its third and second but last axes swapped."""
    axes = a.ndim
    order = (*range(axes - 4), axes - 4, axes - 2, axes - 3, axes - 1)
    return numbers.xp.permute_dims(a, order)
