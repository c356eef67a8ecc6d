"""Products of expanded data with frozen matrices that are not held."""

from __future__ import annotations

from dataclasses import dataclass

from arrayfab._cached import cached_property
from arrayfab.structures import streamed
from arrayfab.structures.base import Cost, Multilinear, Structure
from arrayfab.structures.facesplitting import FaceSplitting, distributed
from arrayfab.structures.formed import ThroughDense
from arrayfab.structures.rewriting import PRODUCTS
from arrayfab.structures.streamed import Streamed
from arrayfab.structures.sums import Sum


@dataclass(frozen=True)
class ExpandedStream(ThroughDense, Multilinear):
    """``(X • Y) F`` for a streamed ``F``, of which what meets some columns of ``X`` is drawn at a time."""

    left: Structure
    right: Structure
    frozen: Streamed

    @cached_property
    def shape(self):
        return (self.left.shape[0], self.frozen.shape[1])

    @property
    def children(self):
        return (self.left, self.right, self.frozen)

    def with_children(self, left, right, frozen):
        return ExpandedStream(left, right, frozen)

    def _tiles(self, numbers):
        """Runs of columns of ``X``, and columns of ``F`` that meet them, as matrices one below the other."""
        (m, k), c = (self.left.shape[1], self.right.shape[1]), self.frozen.shape[1]
        step = max(1, streamed.TILE // (k * c))
        for start in range(0, m, step):
            stop = min(start + step, m)
            entries = self.frozen.entries(start * k * c, stop * k * c, numbers)
            tile = numbers.mT(numbers.reshape(entries, ((stop - start) * k, c)))
            yield slice(start, stop), numbers.reshape(tile, (c * (stop - start), k))

    def dense(self, numbers):
        # As FaceSplitting.cols: t_ic = F_c bᵢ and y_ic = aᵢᵀ t_ic, summed over the tiles.
        reshape, c = numbers.reshape, self.frozen.shape[1]
        (a, pull_a), (b, pull_b) = self.left.dense(numbers), self.right.dense(numbers)

        def met(tile, run):
            t = numbers.matmul(b, numbers.mT(tile))
            return reshape(t, (*t.shape[:-1], c, run.stop - run.start))

        def expanded_stream_pullback(g, cotangents):
            gas, gb = [], 0.0
            for run, tile in self._tiles(numbers):
                if self.left.learned:
                    gas.append((g[..., None, :] @ met(tile, run))[..., 0, :])
                if self.right.learned:
                    gt = g[..., None] * a[..., None, run]
                    gb = gb + numbers.matmul(reshape(gt, (*gt.shape[:-2], tile.shape[-2])), tile)
            if self.left.learned:
                pull_a(numbers.xp.concat(gas, axis=-1), cotangents)
            if self.right.learned:
                pull_b(gb, cotangents)

        y = sum((met(tile, run) @ a[..., run, None])[..., 0] for run, tile in self._tiles(numbers))
        return y, expanded_stream_pullback

    @property
    def dense_cost(self):
        size = self.shape[0] * self.frozen.shape[0] * self.frozen.shape[1]
        read = self.shape[0] * self.left.shape[1] * self.frozen.shape[1]
        formed = self.left.dense_cost + self.right.dense_cost
        return formed + self.frozen.drawing_cost + Cost(size + read, read)

    def mean_square(self, variance):
        value = float(self.frozen.shape[0])
        for child in self.children:
            value *= child.mean_square(variance)
        return value


@PRODUCTS.of_types(FaceSplitting, Streamed)
def _times_streamed(expanded, frozen):
    return ExpandedStream(expanded.left, expanded.right, frozen)


PRODUCTS.of_types(Sum, Streamed)(distributed)
