"""Matrices with a block of their own on every place of the diagonal, and stacks of such blocks.

A stack of ``k`` blocks of shape ``(s, t)`` is a matrix of shape ``(k s, t)``: one below the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from arrayfab import _arrays
from arrayfab._arrays import Array, is_half
from arrayfab._cached import cached_property
from arrayfab.structures.actions import Riffle
from arrayfab.structures.base import Cost, Multilinear, Structure
from arrayfab.structures.chain import chain
from arrayfab.structures.formed import ThroughDense, reshaped
from arrayfab.structures.kronecker import kron
from arrayfab.structures.leaves import Constant, Identity
from arrayfab.structures.operators import Operator


def identities(k: int, s: int) -> Structure:
    """The stack of ``k`` identities."""
    return kron(Constant((k, 1), 1.0), Identity((s, s)))


def blocks_transposed(stack: Structure, k: int) -> Structure:
    """The stack of the transposes of ``k`` blocks."""
    s, t = stack.shape[0] // k, stack.shape[1]
    return reshaped(chain(reshaped(stack, (k, s * t)), Operator(Riffle(s, t))), (k * t, s))


@dataclass(frozen=True)
class BlockDiagonal(Multilinear):
    """The ``k`` blocks of a stack along the diagonal, zeros elsewhere; of shape ``(k s, k t)``."""

    stack: Structure
    k: int

    @cached_property
    def _block(self):
        """``s`` and ``t``."""
        return self.stack.shape[0] // self.k, self.stack.shape[1]

    @cached_property
    def shape(self):
        return (self.stack.shape[0], self.k * self.stack.shape[1])

    @property
    def children(self):
        return (self.stack,)

    def with_children(self, stack):
        return BlockDiagonal(stack, self.k)

    def _blocks(self, numbers):
        a, pull = self.stack.dense(numbers)
        return numbers.reshape(a, (*a.shape[:-2], self.k, *self._block)), pull

    def _send(self, pull, g, numbers, cotangents):
        pull(numbers.reshape(g, (*g.shape[:-3], *self.stack.shape)), cotangents)

    # With a row of x cut into runs x_i, y_i = x_i B_i:  gx_i = gy_i B_iᵀ  and  gB_i = Σ_rows x_iᵀ gy_i.
    def rows(self, x, numbers):
        mT, (s, t) = numbers.mT, self._block
        B, pull = self._blocks(numbers)
        xs = self._apart(x, s, numbers)

        def block_rows_pullback(gy, cotangents, need_x=True):
            gys = self._apart(gy, t, numbers)
            if self.learned:
                self._send(pull, mT(xs) @ gys, numbers, cotangents)
            return self._together(gys @ mT(B), s, numbers) if need_x else None

        return self._together(xs @ B, t, numbers), block_rows_pullback

    def _apart(self, x, size, numbers):
        """Rows of runs as one matrix for every run."""
        x = numbers.reshape(x, (*x.shape[:-1], self.k, size))
        return numbers.xp.permute_dims(x, _swapped(x.ndim))

    def _together(self, x, size, numbers):
        x = numbers.xp.permute_dims(x, _swapped(x.ndim))
        return numbers.reshape(x, (*x.shape[:-2], self.k * size))

    # The same down the columns:  gx_i = B_iᵀ gy_i  and  gB_i = gy_i x_iᵀ.
    def cols(self, x, numbers):
        reshape, mT, (s, t) = numbers.reshape, numbers.mT, self._block
        B, pull = self._blocks(numbers)
        lead, c = tuple(x.shape[:-2]), x.shape[-1]
        xs = reshape(x, (*lead, self.k, t, c))
        y = B @ xs

        def block_cols_pullback(gy, cotangents, need_x=True):
            gys = reshape(gy, (*gy.shape[:-2], self.k, s, c))
            if self.learned:
                self._send(pull, gys @ mT(xs), numbers, cotangents)
            gx = mT(B) @ gys if need_x else None
            return reshape(gx, (*gx.shape[:-3], self.k * t, c)) if need_x else None

        return reshape(y, (*y.shape[:-3], self.k * s, c)), block_cols_pullback

    def dense(self, numbers):
        reshape, (s, t), k = numbers.reshape, self._block, self.k
        B, pull = self._blocks(numbers)
        places = reshape(numbers.eye(k, k), (k, 1, k, 1))
        y = B[..., None, :] * places

        def block_dense_pullback(g, cotangents):
            g = reshape(g, (*g.shape[:-2], k, s, k, t))
            self._send(pull, numbers.sum(g * places, axis=-2), numbers, cotangents)

        return reshape(y, (*y.shape[:-4], *self.shape)), block_dense_pullback

    def rows_cost(self, rows):
        size = self.stack.shape[0] * self.stack.shape[1]
        return self.stack.dense_cost + Cost(rows * size, rows * sum(self.shape))

    def cols_cost(self, cols):
        return self.stack.dense_cost + Cost(cols * self.stack.shape[0] * self.stack.shape[1])

    @property
    def dense_cost(self):
        size = self.shape[0] * self.shape[1]
        return self.stack.dense_cost + Cost(size, size)

    def mean_square(self, variance):
        return self.stack.mean_square(variance) / self.k


def _swapped(ndim):
    return (*range(ndim - 3), ndim - 2, ndim - 3, ndim - 1)


@dataclass(frozen=True)
class BlockProduct(ThroughDense, Multilinear):
    """The stack of the products ``A_i B_i`` of the blocks of two stacks."""

    left: Structure
    right: Structure
    k: int

    @cached_property
    def shape(self):
        return (self.left.shape[0], self.right.shape[1])

    @property
    def children(self):
        return (self.left, self.right)

    def with_children(self, left, right):
        return BlockProduct(left, right, self.k)

    def dense(self, numbers):
        # gA_i = g_i B_iᵀ  and  gB_i = A_iᵀ g_i.
        mT, k = numbers.mT, self.k
        a, pull_a = self.left.dense(numbers)
        b, pull_b = self.right.dense(numbers)
        a, b = _apart(a, k, numbers), _apart(b, k, numbers)

        def block_product_pullback(g, cotangents):
            g = _apart(g, k, numbers)
            if self.left.learned:
                pull_a(_stacked(g @ mT(b), numbers), cotangents)
            if self.right.learned:
                pull_b(_stacked(mT(a) @ g, numbers), cotangents)

        return _stacked(a @ b, numbers), block_product_pullback

    @property
    def dense_cost(self):
        multiplies = self.left.shape[0] * self.left.shape[1] * self.right.shape[1]
        return self.left.dense_cost + self.right.dense_cost + Cost(multiplies)

    def mean_square(self, variance):
        return self.left.shape[1] * self.left.mean_square(variance) * self.right.mean_square(variance)


@dataclass(frozen=True)
class Inverses(ThroughDense):
    """The stack of the inverses ``B_i⁻¹`` of ``k`` square blocks, which must have one."""

    stack: Structure
    k: int = 1

    @cached_property
    def shape(self):
        return self.stack.shape

    @property
    def children(self):
        return (self.stack,)

    def dense(self, numbers):
        # From  B Z = I:  dZ = −Z dB Z,  hence  gB = −Zᵀ gZ Zᵀ.
        mT = numbers.mT
        b, pull = self.stack.dense(numbers)
        b = _apart(b, self.k, numbers)
        z = numbers.backend.apply(inverse, b.shape, b)

        def inverses_pullback(g, cotangents):
            g = _apart(g, self.k, numbers)
            pull(_stacked(-(mT(z) @ g @ mT(z)), numbers), cotangents)

        return _stacked(z, numbers), inverses_pullback

    @property
    def dense_cost(self):
        n, s = self.shape
        return self.stack.dense_cost + Cost(moved=n * s * s)

    def mean_square(self, variance):
        return 1.0 / self.shape[1]  # that of an orthogonal matrix

    @property
    def derivative(self):
        return -1.0 * BlockProduct(BlockProduct(self, self.stack.tangent, self.k), self, self.k)


def _apart(a, k, numbers):
    return numbers.reshape(a, (*a.shape[:-2], k, a.shape[-2] // k, a.shape[-1]))


def _stacked(a, numbers):
    return numbers.reshape(a, (*a.shape[:-3], a.shape[-3] * a.shape[-2], a.shape[-1]))


def inverse(x: Array) -> Array:
    """The inverse of every matrix of an array, by single precision where the numbers have half of it."""
    backend = _arrays.backend_of("inverse", "x", x)
    xp = backend.xp
    if backend.in_chunks:
        return _arrays.deferred(x.shape, x.dtype, inverse, x)
    if is_half(x.dtype):
        return xp.astype(inverse(xp.astype(x, xp.float32)), x.dtype)
    # LAPACK leaves NaN out of what it eliminates with other rows.
    return xp.linalg.inv(x) + xp.sum(x - x, axis=(-2, -1), keepdims=True)
