"""The Kronecker product, applied by two reshaped products."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

from arrayfab._cached import cached_property
from arrayfab.structures import layout
from arrayfab.structures.base import Cost, Multilinear, Structure, transposed_product
from arrayfab.structures.chain import chain, factors_of
from arrayfab.structures.leaves import Identity


def kron(left: Structure, right: Structure) -> Structure:
    """``left ⊗ right``.

    A Kronecker product of products is built as a product of Kronecker products,
    ``(P Q) ⊗ (S T) = (P ⊗ S)(Q ⊗ T)``, so that both sides shrink before either expands. A side with
    fewer factors gets an identity at the end where the other is narrower.
    """
    lefts, rights = factors_of(left), factors_of(right)
    while len(lefts) < len(rights):
        lefts = _padded(lefts)
    while len(rights) < len(lefts):
        rights = _padded(rights)
    return chain(*(Kronecker(a, b) for a, b in zip(lefts, rights, strict=True)))


def _padded(factors):
    n, D = factors[0].shape[0], factors[-1].shape[1]
    return (Identity((n, n)), *factors) if n < D else (*factors, Identity((D, D)))


@dataclass(frozen=True)
class Kronecker(Multilinear):
    """``A ⊗ B`` for ``A ∈ R^{p×q}`` and ``B ∈ R^{s×t}``, of shape ``(p s, q t)``.

    With a row of ``x`` seen as a matrix ``X ∈ R^{p×s}``, the row of ``x (A ⊗ B)`` is ``Aᵀ X B``.
    """

    left: Structure
    right: Structure

    @cached_property
    def shape(self):
        (p, q), (s, t) = self.left.shape, self.right.shape
        return (p * s, q * t)

    @property
    def children(self):
        return (self.left, self.right)

    def with_children(self, left, right):
        return kron(left, right)

    @cached_property
    def T(self):
        return Kronecker(self.left.T, self.right.T)

    def _cost(self, rows, right_first):
        (p, q), (s, t) = self.left.shape, self.right.shape
        if right_first:
            return _right_cost(self.right, rows * p) + _left_cost(self.left, rows, t)
        return _left_cost(self.left, rows, s) + _right_cost(self.right, rows * q)

    @cached_property
    def _right_first(self):
        rows = 1 << 16  # so many that work done once for all rows does not count
        return self._cost(rows, right_first=True).weight <= self._cost(rows, right_first=False).weight

    @cached_property
    def _order(self):
        """The cheaper order of the products along either side, and whether the first side is learned."""
        if self._right_first:
            return _along_right, _along_left, self.right.learned
        return _along_left, _along_right, self.left.learned

    def rows(self, x, numbers):
        reshape, ((p, q), (s, t)) = numbers.reshape, (self.left.shape, self.right.shape)
        first, second, first_learned = self._order
        z, pull_first = first(self, reshape(x, (*x.shape[:-1], p, s)), numbers)
        y, pull_second = second(self, z, numbers)

        def kronecker_rows_pullback(gy, cotangents, need_x=True):
            need_z = need_x or first_learned
            gz = pull_second(reshape(gy, (*gy.shape[:-1], q, t)), cotangents, need_z)
            gx = pull_first(gz, cotangents, need_x) if need_z else None
            return reshape(gx, (*gx.shape[:-2], p * s)) if need_x else None

        return reshape(y, (*y.shape[:-2], q * t)), kronecker_rows_pullback

    def dense(self, numbers):
        # Entry ((i, j), (k, l)) is A_ik B_jl: an outer product with its axes interleaved. With the axes of
        # A together, and those of B, a cotangent is a matrix G of shape (p q, s t), and for the vectors
        # a and b of all entries  ga = G b  and  gb = aᵀ G.
        reshape = numbers.reshape
        (p, q), (s, t) = self.left.shape, self.right.shape
        a, pull_a = self.left.dense(numbers)
        b, pull_b = self.right.dense(numbers)
        y = reshape(a, (*a.shape[:-2], p, 1, q, 1)) * reshape(b, (*b.shape[:-2], 1, s, 1, t))

        def kronecker_dense_pullback(g, cotangents):
            lead = tuple(g.shape[:-2])
            axes = len(lead)
            order = (*range(axes), axes, axes + 2, axes + 1, axes + 3)
            g = numbers.xp.permute_dims(reshape(g, (*lead, p, s, q, t)), order)
            g = reshape(g, (*lead, p * q, s * t))
            if self.left.learned:
                ga = g @ reshape(b, (*b.shape[:-2], s * t, 1))
                pull_a(reshape(ga, (*ga.shape[:-2], p, q)), cotangents)
            if self.right.learned:
                gb = reshape(a, (*a.shape[:-2], 1, p * q)) @ g
                pull_b(reshape(gb, (*gb.shape[:-2], s, t)), cotangents)

        return reshape(y, (*y.shape[:-4], *self.shape)), kronecker_dense_pullback

    def rows_cost(self, rows):
        return self._cost(rows, self._right_first)

    @property
    def dense_cost(self):
        n, D = self.shape
        return self.left.dense_cost + self.right.dense_cost + Cost(n * D, n * D)

    def mean_square(self, variance):
        return self.left.mean_square(variance) * self.right.mean_square(variance)


def _right_cost(right: Structure, rows: int) -> Cost:
    return Cost() if _is_neutral(right) else right.rows_cost(rows)


def _left_cost(left: Structure, rows: int, width: int) -> Cost:
    if _is_neutral(left):
        return Cost()
    transposed = 0 if _is_worth_a_call(left, width) else rows * width * sum(left.shape)
    return left.rows_cost(rows * width) + Cost(moved=transposed)


def _is_worth_a_call(left: Structure, width: int) -> bool:
    """Whether a product with a single X of that width is as large as to call BLAS for it."""
    return width > 1 and math.prod(left.shape) * width >= layout.CALL


def _is_neutral(child: Structure) -> bool:
    return isinstance(child, Identity) and child.is_neutral


def _along_right(node: Kronecker, x, numbers):
    """``X B`` for ``x`` of shape ``(..., b, p, s)``."""
    return (x, _pass_on) if _is_neutral(node.right) else _rows_of_all(node.right, x, numbers)


def _along_left(node: Kronecker, x, numbers):
    """``Aᵀ X`` for ``x`` of shape ``(..., b, p, s)``."""
    if _is_neutral(node.left):
        return x, _pass_on
    b, width = x.shape[-3], x.shape[-1]
    is_fast = numbers.in_runs or width > layout.SHORT or b == 1
    if numbers.in_loops and is_fast and _is_worth_a_call(node.left, width):
        return node.left.T.cols(x, numbers)
    return transposed_product(partial(_rows_of_all, node.left), x, numbers)


def _rows_of_all(child: Structure, x, numbers):
    """``X M`` for ``x`` of shape ``(..., b, p, n)``: the rows of all X are rows of one product."""
    reshape = numbers.reshape
    b, p, n = x.shape[-3:]
    D = child.shape[1]
    y, pull = child.rows(reshape(x, (*x.shape[:-3], b * p, n)), numbers)

    def rows_of_all_pullback(gy, cotangents, need_x=True):
        gx = pull(reshape(gy, (*gy.shape[:-3], b * p, D)), cotangents, need_x)
        return reshape(gx, (*gx.shape[:-2], b, p, n)) if need_x else None

    return reshape(y, (*y.shape[:-2], b, p, D)), rows_of_all_pullback


def _pass_on(gy, cotangents, need_x=True):
    return gy
