"""Matrices side by side."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise

from arrayfab._cached import cached_property
from arrayfab.programs import broadcast
from arrayfab.structures.base import Cost, Structure
from arrayfab.structures.formed import ThroughDense, hadamard
from arrayfab.structures.leaves import Constant, Dense
from arrayfab.structures.numbers import total
from arrayfab.structures.rewriting import HADAMARDS


def side_by_side(parts: tuple[Structure, ...]) -> Structure:
    """``(X₁ | X₂ | …)``, matrices of as many rows."""
    flat = tuple(p for part in parts for p in (part.parts if isinstance(part, SideBySide) else (part,)))
    return flat[0] if len(flat) == 1 else SideBySide(flat)


@dataclass(frozen=True)
class SideBySide(ThroughDense):
    """``(X₁ | X₂ | …)``, matrices of as many rows, not copied into one for a product with few columns."""

    parts: tuple[Structure, ...]

    def __post_init__(self):
        for part in self.parts:
            if part.shape[0] != self.parts[0].shape[0]:
                raise ValueError(
                    f"SideBySide: expected matrices of {self.parts[0].shape[0]} rows, got {part}"
                )

    @cached_property
    def shape(self):
        return (self.parts[0].shape[0], self._edges[-1])

    @cached_property
    def _edges(self):
        return tuple(accumulate((part.shape[1] for part in self.parts), initial=0))

    @property
    def _spans(self):
        return list(pairwise(self._edges))

    @property
    def children(self):
        return self.parts

    @cached_property
    def degree(self):
        degrees = [part.degree for part in self.parts]
        return None if None in degrees else max(degrees)

    @cached_property
    def zeroing(self):
        zeroing = [part.zeroing for part in self.parts]
        return None if None in zeroing else frozenset().union(*zeroing)

    def rows(self, x, numbers):
        # x (X₁ | X₂) = (x X₁ | x X₂):  gx = Σ gᵢ Xᵢᵀ  for  gy = (g₁ | g₂).
        products = [part.rows(x, numbers) for part in self.parts]

        def side_by_side_rows_pullback(gy, cotangents, need_x=True):
            pulls = zip(products, self._spans, strict=True)
            gxs = [pull(gy[..., start:stop], cotangents, need_x) for (_, pull), (start, stop) in pulls]
            return total(gxs) if need_x else None

        return _joined([y for y, _ in products], numbers), side_by_side_rows_pullback

    def cols(self, x, numbers):
        # (X₁ | X₂) x = X₁ x₁ + X₂ x₂, where x₁ lies above x₂:  gx is X₁ᵀ gy above X₂ᵀ gy.
        if self._is_short(x.shape[-1]):
            return super().cols(x, numbers)
        spans = zip(self.parts, self._spans, strict=True)
        products = [part.cols(x[..., start:stop, :], numbers) for part, (start, stop) in spans]

        def side_by_side_cols_pullback(gy, cotangents, need_x=True):
            if not self._holds:
                gxs = [pull(gy, cotangents, need_x) for _, pull in products]
                return _joined(gxs, numbers, axis=-2) if need_x else None
            # The cotangents of holes are one product:  (g₁ | g₂) = gy xᵀ.
            g = numbers.matmul_nt(gy, x)
            for part, (start, stop) in zip(self.parts, self._spans, strict=True):
                cotangents.add(part.name, g[..., start:stop])
            if not need_x:
                return None
            held = [numbers.arrays[part.name] for part in self.parts]
            return numbers.xp.concat([numbers.matmul_tn(a, gy) for a in held], axis=-2)

        return total(y for y, _ in products), side_by_side_cols_pullback

    @cached_property
    def _holds(self):
        """Whether all parts are holes for learned numbers."""
        return all(isinstance(p, Dense) and p.is_learned and not p.is_transposed for p in self.parts)

    def _is_short(self, cols):
        """Whether the parts copied into one are less than the results to be added up otherwise."""
        return self.shape[1] <= cols

    def dense(self, numbers):
        dense = [part.dense(numbers) for part in self.parts]

        def side_by_side_dense_pullback(g, cotangents):
            for part, (_, pull), (start, stop) in zip(self.parts, dense, self._spans, strict=True):
                if part.learned:
                    pull(g[..., start:stop], cotangents)

        return _joined([a for a, _ in dense], numbers), side_by_side_dense_pullback

    def rows_cost(self, rows):
        return sum((part.rows_cost(rows) for part in self.parts), Cost(moved=rows * self.shape[1]))

    def cols_cost(self, cols):
        if self._is_short(cols):
            return self.dense_cost + Cost(multiplies=cols * self.shape[0] * self.shape[1])
        extra = Cost(moved=self.shape[0] * cols * (len(self.parts) - 1))
        return sum((part.cols_cost(cols) for part in self.parts), extra)

    @property
    def dense_cost(self):
        return sum((part.dense_cost for part in self.parts), Cost(moved=self.shape[0] * self.shape[1]))

    def mean_square(self, variance):
        return sum(part.mean_square(variance) * part.shape[1] for part in self.parts) / self.shape[1]

    @property
    def derivative(self):
        return SideBySide(tuple(part.tangent or Constant(part.shape, 0.0) for part in self.parts))


def _joined(arrays, numbers, axis=-1):
    lead = broadcast(*(tuple(a.shape[:-2]) for a in arrays))
    if lead:
        arrays = [numbers.xp.broadcast_to(a, (*lead, *a.shape[-2:])) for a in arrays]
    return numbers.xp.concat(arrays, axis=axis)


@HADAMARDS.of_types(SideBySide, SideBySide)
def _part_by_part(left, right):
    """``(X₁ | X₂) ∘ (Y₁ | Y₂) = (X₁ ∘ Y₁ | X₂ ∘ Y₂)``."""
    if [part.shape for part in left.parts] != [part.shape for part in right.parts]:
        return None
    return side_by_side(tuple(map(hadamard, left.parts, right.parts)))
