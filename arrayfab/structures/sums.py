"""Sums of matrices."""

from __future__ import annotations

from dataclasses import dataclass

from arrayfab._cached import cached_property
from arrayfab.structures.base import Cost, Multilinear, Structure, builds
from arrayfab.structures.chain import chain
from arrayfab.structures.leaves import Constant
from arrayfab.structures.numbers import total


@builds("sum")
def add(*terms: Structure) -> Structure:
    """The sum of matrices of one shape."""
    flat = tuple(t for term in terms for t in (term.terms if isinstance(term, Sum) else (term,)))
    for term in flat:
        if term.shape != flat[0].shape:
            raise ValueError(f"sum: shapes differ, {flat[0].shape} and {term.shape}")
    return flat[0] if len(flat) == 1 else Sum(flat)


@dataclass(frozen=True)
class Sum(Structure):
    """``Σ Mᵢ``."""

    terms: tuple[Structure, ...]

    @cached_property
    def shape(self):
        return self.terms[0].shape

    @property
    def children(self):
        return self.terms

    @cached_property
    def degree(self):
        degrees = [term.degree for term in self.terms]
        return None if None in degrees else max(degrees)

    @cached_property
    def zeroing(self):
        parts = [term.zeroing for term in self.terms]
        return None if None in parts else frozenset().union(*parts)

    @property
    def outer_columns(self):
        return self.terms[0].outer_columns

    @cached_property
    def T(self):
        return Sum(tuple(term.T for term in self.terms))

    def rows(self, x, numbers):
        parts = [term.rows(x, numbers) for term in self.terms]

        def sum_rows_pullback(gy, cotangents, need_x=True):
            gxs = [pull(gy, cotangents, need_x) for _, pull in parts]
            return total(gxs) if need_x else None

        return total(y for y, _ in parts), sum_rows_pullback

    def dense(self, numbers):
        # One term in its own shape is enough for the others to be added to.
        first, *others = self.terms
        parts = [first.dense(numbers), *(term.addend(numbers) for term in others)]

        def sum_dense_pullback(g, cotangents):
            for term, (_, pull) in zip(self.terms, parts, strict=True):
                if term.learned:
                    pull(g, cotangents)

        return total(a for a, _ in parts), sum_dense_pullback

    def rows_cost(self, rows):
        extra = Cost(moved=rows * self.shape[1] * (len(self.terms) - 1))
        return sum((term.rows_cost(rows) for term in self.terms), extra)

    @property
    def dense_cost(self):
        extra = Cost(moved=self.shape[0] * self.shape[1] * (len(self.terms) - 1))
        return sum((term.dense_cost for term in self.terms), extra)

    def mean_square(self, variance):
        return sum(term.mean_square(variance) for term in self.terms)

    @property
    def derivative(self):
        return add(*(term.tangent for term in self.terms if term.learned))


@dataclass(frozen=True)
class EveryRow(Multilinear):
    """``n`` times the same row, one below the other."""

    row: Structure
    n: int

    @cached_property
    def shape(self):
        return (self.n, self.row.shape[1])

    @property
    def children(self):
        return (self.row,)

    def with_children(self, row):
        return EveryRow(row, self.n)

    @cached_property
    def _product(self):
        return chain(Constant((self.n, 1), 1.0), self.row)

    @property
    def T(self):
        return self._product.T

    def rows(self, x, numbers):
        return self._product.rows(x, numbers)

    def dense(self, numbers):
        return self._product.dense(numbers)

    def addend(self, numbers):
        # Added to a matrix, the row need not be repeated:  g_row = Σ_rows g.
        row, pull = self.row.dense(numbers)

        def every_row_pullback(g, cotangents):
            pull(numbers.sum(g, axis=-2, keepdims=True), cotangents)

        return row, every_row_pullback

    def rows_cost(self, rows):
        return self._product.rows_cost(rows)

    @property
    def dense_cost(self):
        return Cost(moved=self.n * self.shape[1])

    def mean_square(self, variance):
        return self.row.mean_square(variance)
