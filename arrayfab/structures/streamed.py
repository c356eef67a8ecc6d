"""Frozen matrices that are made again, a run of rows at a time, whenever they are read.

What a product of such a matrix holds at once is one tile; its pullback makes the tiles anew instead of
keeping them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from arrayfab._cached import cached_property
from arrayfab.structures.base import Cost, Multilinear, Structure
from arrayfab.structures.numbers import total

#: How many frozen numbers are held at a time.
TILE = 1 << 20

# What making a frozen number takes, in numbers passed over.
_DRAW = 32


class ByRows(Structure):
    """A matrix whose rows are made a run at a time.

    A subclass gives `_tile`. Its first child, where it has any, is formed once, for all tiles; `_joined` is
    for its cotangent.
    """

    @property
    def _row_draws(self):
        """How many frozen numbers a row takes."""
        return self.shape[1]

    def _tile(self, formed, start, stop, numbers):
        """Rows ``start`` to ``stop``, and the map from their cotangent to its share of ``formed``'s."""
        raise NotImplementedError(f"{type(self).__name__}._tile")

    def _joined(self, shares, numbers):
        """The cotangent of ``formed`` from the shares of all tiles."""
        raise NotImplementedError(f"{type(self).__name__}._joined")

    def _formed(self, numbers):
        return self.children[0].dense(numbers) if self.children else (None, None)

    def _runs(self, numbers):
        # A tile of learned numbers has the leading axes of `w`.
        learned = math.prod(numbers.like.shape[:-1]) * self.shape[1] if self.learned else 0
        rows, step = self.shape[0], max(1, TILE // max(self._row_draws, learned))
        return [(start, min(start + step, rows)) for start in range(0, rows, step)]

    def _pull(self, pull, shares, numbers, cotangents):
        if self.learned:
            pull(self._joined(shares, numbers), cotangents)

    # With M₁, M₂, … the tiles, one above another, and x₁, x₂, … what meets them:
    #   x M = Σ xₛ Mₛ:          gMₛ = xₛᵀ gy  and  gxₛ = gy Mₛᵀ;
    #   M x = M₁ x above M₂ x:  gMₛ = gyₛ xᵀ  and  gx = Σ Mₛᵀ gyₛ.
    def rows(self, x, numbers):
        formed, pull = self._formed(numbers)

        def by_rows_pullback(gy, cotangents, need_x=True):
            gx, shares = [], []
            for start, stop in self._runs(numbers) if need_x or self.learned else ():
                tile, share = self._tile(formed, start, stop, numbers)
                if need_x:
                    gx.append(numbers.matmul_nt(gy, tile))
                if self.learned:
                    shares.append(share(numbers.contract(x[..., start:stop], gy, tuple(tile.shape))))
            self._pull(pull, shares, numbers, cotangents)
            return numbers.xp.concat(gx, axis=-1) if need_x else None

        tiles = ((run, self._tile(formed, *run, numbers)[0]) for run in self._runs(numbers))
        return total(x[..., start:stop] @ tile for (start, stop), tile in tiles), by_rows_pullback

    def cols(self, x, numbers):
        formed, pull = self._formed(numbers)

        def by_rows_cols_pullback(gy, cotangents, need_x=True):
            gx, shares = 0.0, []
            for start, stop in self._runs(numbers) if need_x or self.learned else ():
                tile, share = self._tile(formed, start, stop, numbers)
                part = gy[..., start:stop, :]
                if need_x:
                    gx = gx + numbers.matmul_tn(tile, part)
                if self.learned:
                    g = numbers.contract(numbers.mT(part), numbers.mT(x), tuple(tile.shape))
                    shares.append(share(g))
            self._pull(pull, shares, numbers, cotangents)
            return gx if need_x else None

        parts = [self._tile(formed, *run, numbers)[0] @ x for run in self._runs(numbers)]
        return numbers.xp.concat(parts, axis=-2), by_rows_cols_pullback

    def dense(self, numbers):
        formed, pull = self._formed(numbers)

        def by_rows_dense_pullback(g, cotangents):
            shares = []
            for start, stop in self._runs(numbers) if self.learned else ():
                _, share = self._tile(formed, start, stop, numbers)
                shares.append(share(g[..., start:stop, :]))
            self._pull(pull, shares, numbers, cotangents)

        tiles = [self._tile(formed, *run, numbers)[0] for run in self._runs(numbers)]
        return numbers.xp.concat(tiles, axis=-2), by_rows_dense_pullback

    @cached_property
    def drawing_cost(self) -> Cost:
        """What it takes to make all rows once."""
        draws = Cost(moved=_DRAW * self.shape[0] * self._row_draws)
        return sum((child.dense_cost for child in self.children[:1]), draws)

    def rows_cost(self, rows):
        return self.drawing_cost + Cost(multiplies=rows * self.shape[0] * self.shape[1])

    def cols_cost(self, cols):
        return self.rows_cost(cols)

    @property
    def dense_cost(self):
        # Twice, so that no association prefers to form what was not to be held.
        return self.drawing_cost + self.drawing_cost


@dataclass(frozen=True)
class Streamed(ByRows):
    """A hole for frozen numbers that are not held: what fills it gives its entries, row by row, by slices."""

    name: str
    shape: tuple[int, int]
    moment: float = 1.0

    def entries(self, start, stop, numbers):
        """A run of the entries in row-major order."""
        held = numbers.arrays[self.name]
        if held.ndim == 1:
            return held[start:stop]
        # An array handed in may lie in memory the other way round: take its rows before they are made flat.
        columns = held.shape[1]
        first, last = start // columns, -(-stop // columns)
        rows = numbers.reshape(held[first:last, :], ((last - first) * columns,))
        return rows[start - first * columns : stop - first * columns]

    def _tile(self, formed, start, stop, numbers):
        D = self.shape[1]
        return numbers.reshape(self.entries(start * D, stop * D, numbers), (stop - start, D)), None

    def mean_square(self, variance):
        return self.moment

    def reshaped(self, shape):
        """The same numbers, row by row, in another shape."""
        return replace(self, shape=shape)


@dataclass(frozen=True)
class Span(ByRows, Multilinear):
    """``Σₖ cₖ Bₖ`` for a row ``c``, where column ``k`` of the streamed ``T`` holds ``Bₖ`` row by row."""

    coefficients: Structure
    basis: Streamed
    shape: tuple[int, int]

    @property
    def children(self):
        return (self.coefficients, self.basis)

    def with_children(self, coefficients, basis):
        return Span(coefficients, basis, self.shape)

    @property
    def _row_draws(self):
        return self.shape[1] * self.basis.shape[1]

    @cached_property
    def drawing_cost(self):
        return super().drawing_cost + Cost(multiplies=self.shape[0] * self._row_draws)

    def _tile(self, formed, start, stop, numbers):
        # The tile's entries, as a row m, are c Tᵀ for the rows of T that belong to them:  gc = gm T.
        size, depth = (stop - start) * self.shape[1], self.basis.shape[1]
        first = start * self.shape[1] * depth
        basis = numbers.reshape(self.basis.entries(first, first + size * depth, numbers), (size, depth))
        row = numbers.matmul_nt(formed, basis)

        def share(g):
            return numbers.reshape(g, (*g.shape[:-2], 1, size)) @ basis

        return numbers.reshape(row, (*row.shape[:-2], stop - start, self.shape[1])), share

    def _joined(self, shares, numbers):
        return total(shares)

    def mean_square(self, variance):
        basis = self.basis
        return self.coefficients.mean_square(variance) * basis.moment * basis.shape[1]


@dataclass(frozen=True)
class StreamedHadamard(ByRows, Multilinear):
    """``A ∘ B``, entry by entry, of which ``B`` is streamed."""

    left: Structure
    right: Streamed

    @cached_property
    def shape(self):
        return self.left.shape

    @property
    def children(self):
        return (self.left, self.right)

    def with_children(self, left, right):
        return StreamedHadamard(left, right)

    def _tile(self, formed, start, stop, numbers):
        right, _ = self.right._tile(None, start, stop, numbers)

        def share(g):
            return g * right

        return formed[..., start:stop, :] * right, share

    def _joined(self, shares, numbers):
        return numbers.xp.concat(shares, axis=-2)

    def mean_square(self, variance):
        return self.left.mean_square(variance) * self.right.moment
