"""Sums of matrices, and matrices side by side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from arrayfab.structures.base import PASS, Structure
from arrayfab.structures.leaves import Constant


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

    @cached_property
    def T(self):
        return Sum(tuple(term.T for term in self.terms))

    def rows(self, x, numbers):
        parts = [term.rows(x, numbers) for term in self.terms]

        def sum_rows_pullback(gy, cotangents, need_x=True):
            gxs = [pull(gy, cotangents, need_x) for _, pull in parts]
            return _total(gxs) if need_x else None

        return _total([y for y, _ in parts]), sum_rows_pullback

    def dense(self, numbers):
        parts = [term.dense(numbers) for term in self.terms]

        def sum_dense_pullback(g, cotangents):
            for term, (_, pull) in zip(self.terms, parts, strict=True):
                if term.learned:
                    pull(g, cotangents)

        return _total([a for a, _ in parts]), sum_dense_pullback

    def rows_cost(self, rows):
        extra = PASS * rows * self.shape[1] * (len(self.terms) - 1)
        return sum(term.rows_cost(rows) for term in self.terms) + extra

    @property
    def dense_cost(self):
        extra = PASS * self.shape[0] * self.shape[1] * (len(self.terms) - 1)
        return sum(term.dense_cost for term in self.terms) + extra

    def mean_square(self, variance):
        return sum(term.mean_square(variance) for term in self.terms)

    @property
    def derivative(self):
        return add(*(term.tangent for term in self.terms if term.learned))


def _total(arrays):
    total = arrays[0]
    for array in arrays[1:]:
        total = total + array
    return total


def side_by_side(parts: tuple[Structure, ...]) -> Structure:
    """``(M₁ | M₂ | …)``."""
    return parts[0] if len(parts) == 1 else SideBySide(parts)


@dataclass(frozen=True)
class SideBySide(Structure):
    """``(M₁ | M₂ | …)``, matrices of as many rows, never copied into one."""

    parts: tuple[Structure, ...]

    @cached_property
    def shape(self):
        return (self.parts[0].shape[0], self._edges[-1])

    @cached_property
    def _edges(self):
        edges = [0]
        for part in self.parts:
            edges.append(edges[-1] + part.shape[1])
        return tuple(edges)

    @property
    def children(self):
        return self.parts

    @cached_property
    def degree(self):
        degrees = [part.degree for part in self.parts]
        return None if None in degrees else max(degrees)

    def rows(self, x, numbers):
        parts = [part.rows(x, numbers) for part in self.parts]

        def side_by_side_rows_pullback(gy, cotangents, need_x=True):
            pieces = zip(parts, self._pieces(gy), strict=True)
            gxs = [pull(piece, cotangents, need_x) for (_, pull), piece in pieces]
            return _total(gxs) if need_x else None

        return numbers.xp.concat([y for y, _ in parts], axis=-1), side_by_side_rows_pullback

    def cols(self, x, numbers):
        # (M₁ | M₂) x = M₁ x₁ + M₂ x₂, where x₁ lies above x₂.
        pieces = [x[..., start:stop, :] for start, stop in pairwise(self._edges)]
        parts = [part.cols(piece, numbers) for part, piece in zip(self.parts, pieces, strict=True)]

        def side_by_side_cols_pullback(gy, cotangents, need_x=True):
            gxs = [pull(gy, cotangents, need_x) for _, pull in parts]
            return numbers.xp.concat(gxs, axis=-2) if need_x else None

        return _total([y for y, _ in parts]), side_by_side_cols_pullback

    def dense(self, numbers):
        parts = [part.dense(numbers) for part in self.parts]

        def side_by_side_dense_pullback(g, cotangents):
            for (_, pull), piece in zip(parts, self._pieces(g), strict=True):
                pull(piece, cotangents)

        return numbers.xp.concat([a for a, _ in parts], axis=-1), side_by_side_dense_pullback

    def _pieces(self, g):
        return [g[..., start:stop] for start, stop in pairwise(self._edges)]

    def rows_cost(self, rows):
        return sum(part.rows_cost(rows) for part in self.parts) + PASS * rows * self.shape[1]

    def cols_cost(self, cols):
        return sum(part.T.rows_cost(cols) for part in self.parts)

    @property
    def dense_cost(self):
        return sum(part.dense_cost for part in self.parts) + PASS * self.shape[0] * self.shape[1]

    def mean_square(self, variance):
        widths = [part.shape[1] * part.mean_square(variance) for part in self.parts]
        return sum(widths) / self.shape[1]

    @property
    def derivative(self):
        parts = [part.tangent or Constant(part.shape, 0.0) for part in self.parts]
        return SideBySide(tuple(parts))
