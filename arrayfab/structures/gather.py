"""Columns taken out of others: selections, permutations and repetitions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from arrayfab._cached import cached_property
from arrayfab.structures.base import Cost, Structure, transposed_product
from arrayfab.structures.rewriting import PRODUCTS
from arrayfab.structures.segments import ranked


@dataclass(frozen=True)
class Gather(Structure):
    """``S ∈ R^{m×D}`` with ``x S = (x_{i₁}, …, x_{i_D})`` for an index ``i₁ … i_D`` of places.

    Place ``m``, behind the last one, holds zero.
    """

    index: tuple[int, ...]
    m: int

    def __post_init__(self):
        outside = [i for i in self.index if not 0 <= i <= self.m]
        if outside:
            raise ValueError(f"Gather: {outside[0]} is no place in a row of {self.m} numbers")

    def __hash__(self):
        return self._hash

    @cached_property
    def _hash(self):
        return hash((self.index, self.m))

    @cached_property
    def shape(self):
        return (self.m, len(self.index))

    @cached_property
    def _places(self):
        return np.asarray(self.index)

    @cached_property
    def _has_zeros(self):
        return self.m in self.index

    @cached_property
    def _inverse(self):
        """For every place the columns that take from it, and ``D`` where others have more."""
        order, among, counts = ranked(self._places, self.m + 1)
        is_place = self._places[order] < self.m
        table = np.full((max(1, *counts[:-1]), self.m), len(order))
        table[among[is_place], self._places[order][is_place]] = order[is_place]
        return table

    @cached_property
    def _inverse_places(self):
        return self._inverse.reshape(-1)

    def rows(self, x, numbers):
        # y_j = x_{i_j}:  gx_i = Σ_{j: i_j = i} gy_j, the rows' product of Sᵀ.
        def gather_rows_pullback(gy, cotangents, need_x=True):
            return self._added_up(gy, numbers) if need_x else None

        return self._taken(x, numbers), gather_rows_pullback

    def cols(self, x, numbers):
        return transposed_product(self._rows_of_transpose, x, numbers)

    def _rows_of_transpose(self, x, numbers):
        def gather_transposed_pullback(gy, cotangents, need_x=True):
            return self._taken(gy, numbers) if need_x else None

        return self._added_up(x, numbers), gather_transposed_pullback

    def _taken(self, x, numbers):
        if self._has_zeros:
            x = _with_zero(x, numbers)
        return numbers.take(x, self._places, -1)

    def _added_up(self, x, numbers):
        # The standard has no sum into given places: all that a place gets is taken and added up.
        times = len(self._inverse)
        if (self._inverse == len(self.index)).any():
            x = _with_zero(x, numbers)
        y = numbers.take(x, self._inverse_places, -1)
        return y if times == 1 else numbers.sum(numbers.reshape(y, (*y.shape[:-1], times, self.m)), axis=-2)

    def dense(self, numbers):
        return self._taken(numbers.eye(self.m, self.m), numbers), _nothing

    def rows_cost(self, rows):
        return Cost(moved=rows * self.shape[1])

    def cols_cost(self, cols):
        return Cost(moved=2 * cols * self._inverse.size)

    @property
    def dense_cost(self):
        return Cost(moved=self.m * (self.m + self.shape[1]))

    def mean_square(self, variance):
        return 1.0 / (self.m + self._has_zeros)


def _with_zero(x, numbers):
    return numbers.xp.concat([x, numbers.xp.zeros_like(x[..., :1])], axis=-1)


def _nothing(g, cotangents):
    """The pullback of a matrix that holds nothing learned."""


@PRODUCTS.of_types(Gather, Gather)
def _one_after_another(first, second):
    places = (*first.index, first.m)
    return Gather(tuple(places[j] for j in second.index), first.m)
