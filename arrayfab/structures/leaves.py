"""Matrices that are not made of other matrices."""

from __future__ import annotations

from dataclasses import dataclass, replace

from arrayfab._cached import cached_property
from arrayfab.structures.base import Cost, Multilinear, Structure
from arrayfab.structures.numbers import prime


@dataclass(frozen=True)
class Dense(Structure):
    """A hole for an array, or for its transpose.

    A hole for a vector is a row, of shape ``(1, n)``. ``moment`` is the mean square of frozen numbers.
    """

    name: str
    shape: tuple[int, int]
    is_learned: bool = True
    moment: float = 1.0
    is_transposed: bool = False

    @cached_property
    def learned(self):
        return self.is_learned

    @cached_property
    def degree(self):
        return int(self.is_learned)

    @cached_property
    def zeroing(self):
        return frozenset({self.name}) if self.is_learned else None

    @cached_property
    def T(self):
        return replace(self, shape=self.shape[::-1], is_transposed=not self.is_transposed)

    def _send(self, cotangents, left, right):
        # A cotangent leftᵀ right goes home in the orientation of the array that is held, so that
        # nothing large is ever transposed before it is added up.
        if self.is_transposed:
            left, right = right, left
        cotangents.add_product(self.name, left, right)

    def rows(self, x, numbers):
        # y = x A:  dy = dx A + x dA, hence  gx = gy Aᵀ  and  gA = xᵀ gy.
        held = numbers.arrays[self.name]

        def dense_rows_pullback(gy, cotangents, need_x=True):
            if self.is_learned:
                self._send(cotangents, x, gy)
            if not need_x:
                return None
            return (numbers.matmul if self.is_transposed else numbers.matmul_nt)(gy, held)

        y = (numbers.matmul_nt if self.is_transposed else numbers.matmul)(x, held)
        return y, dense_rows_pullback

    def cols(self, x, numbers):
        # y = A x:  gx = Aᵀ gy  and  gA = gy xᵀ.
        held = numbers.arrays[self.name]

        def dense_cols_pullback(gy, cotangents, need_x=True):
            if self.is_learned:
                self._send(cotangents, numbers.mT(gy), numbers.mT(x))
            if not need_x:
                return None
            return (numbers.matmul if self.is_transposed else numbers.matmul_tn)(held, gy)

        y = (numbers.matmul_tn if self.is_transposed else numbers.matmul)(held, x)
        return y, dense_cols_pullback

    def dense(self, numbers):
        def dense_pullback(g, cotangents):
            if self.is_learned:
                cotangents.add(self.name, numbers.mT(g) if self.is_transposed else g)

        held = numbers.arrays[self.name]
        return numbers.mT(held) if self.is_transposed else held, dense_pullback

    def rows_cost(self, rows):
        return Cost(multiplies=rows * self.shape[0] * self.shape[1])

    @property
    def dense_cost(self):
        return Cost()

    def mean_square(self, variance):
        return variance if self.is_learned else self.moment

    @property
    def derivative(self):
        return replace(self, name=prime(self.name))


@dataclass(frozen=True)
class Diagonal(Multilinear):
    """``diag(v)`` for a row ``v``, a matrix of shape ``(1, n)``."""

    vector: Structure

    def __post_init__(self):
        if not isinstance(self.vector, Structure) or self.vector.shape[0] != 1:
            raise ValueError(f"Diagonal: expected a vector, a matrix of shape (1, n), got {self.vector}")

    @cached_property
    def shape(self):
        n = self.vector.shape[1]
        return (n, n)

    @property
    def children(self):
        return (self.vector,)

    def with_children(self, vector):
        return Diagonal(vector)

    @property
    def T(self):
        return self

    def rows(self, x, numbers):
        # y = x ∘ v on every row:  gx = gy ∘ v  and  gv = Σ_rows x ∘ gy.
        v, pull = self.vector.dense(numbers)

        def diagonal_rows_pullback(gy, cotangents, need_x=True):
            if self.learned:
                pull(numbers.sum(x * gy, axis=-2, keepdims=True), cotangents)
            return gy * v if need_x else None

        return x * v, diagonal_rows_pullback

    def cols(self, x, numbers):
        # The same down every column, in the order of memory that x has.
        v, pull = self.vector.dense(numbers)
        v = numbers.mT(v)

        def diagonal_cols_pullback(gy, cotangents, need_x=True):
            if self.learned:
                pull(numbers.mT(numbers.sum(x * gy, axis=-1, keepdims=True)), cotangents)
            return gy * v if need_x else None

        return x * v, diagonal_cols_pullback

    def dense(self, numbers):
        return self.rows(numbers.eye(*self.shape), numbers)

    def rows_cost(self, rows):
        return self.vector.dense_cost + Cost(rows * self.shape[0], rows * self.shape[0])

    def cols_cost(self, cols):
        return self.rows_cost(cols)

    @property
    def dense_cost(self):
        return self.vector.dense_cost + Cost(self.shape[0] * self.shape[0], self.shape[0] * self.shape[0])

    def mean_square(self, variance):
        return self.vector.mean_square(variance) / self.shape[0]


@dataclass(frozen=True)
class Identity(Structure):
    """``scale`` on the main diagonal of an ``n × D`` matrix, zeros elsewhere."""

    shape: tuple[int, int]
    scale: float = 1.0

    @cached_property
    def T(self):
        return replace(self, shape=self.shape[::-1])

    def __mul__(self, scale):
        return replace(self, scale=self.scale * scale)

    __rmul__ = __mul__

    @property
    def is_neutral(self):
        """Whether a product with it changes nothing."""
        return self.scale == 1 and self.shape[0] == self.shape[1]

    def rows(self, x, numbers):
        # Keeps the first min(n, D) numbers of a row; the transpose keeps the same ones.
        def identity_rows_pullback(gy, cotangents, need_x=True):
            return self.T.rows(gy, numbers)[0] if need_x else None

        n, D = self.shape
        y = self._scaled(x if n <= D else x[..., : numbers.size(D)])
        if n < D:
            y = numbers.xp.concat([y, numbers.full((*y.shape[:-1], D - n), 0.0)], axis=-1)
        return y, identity_rows_pullback

    def dense(self, numbers):
        return self._scaled(numbers.eye(*self.shape)), _nothing

    def _scaled(self, x):
        return x if self.scale == 1 else self.scale * x

    def rows_cost(self, rows):
        return Cost(self._multiplies(rows * min(self.shape)), rows * self.shape[1])

    @property
    def dense_cost(self):
        size = self.shape[0] * self.shape[1]
        return Cost(self._multiplies(size), size)

    def _multiplies(self, count):
        return 0 if self.scale == 1 else count

    def mean_square(self, variance):
        return self.scale * self.scale / max(self.shape)


@dataclass(frozen=True)
class Constant(Structure):
    """Every entry equal to ``value``."""

    shape: tuple[int, int]
    value: float

    @cached_property
    def T(self):
        return replace(self, shape=self.shape[::-1])

    def __mul__(self, scale):
        return replace(self, value=self.value * scale)

    __rmul__ = __mul__

    def rows(self, x, numbers):
        # y = (Σ x) · value on every column; the transpose has the same form.
        def constant_rows_pullback(gy, cotangents, need_x=True):
            return self.T.rows(gy, numbers)[0] if need_x else None

        total = numbers.sum(x, axis=-1, keepdims=True)
        return total * numbers.full((1, numbers.size(self.shape[1])), self.value), constant_rows_pullback

    def cols(self, x, numbers):
        # The same down every column, in the order of memory that x has.
        def constant_cols_pullback(gy, cotangents, need_x=True):
            return self.T.cols(gy, numbers)[0] if need_x else None

        total = numbers.sum(x, axis=-2, keepdims=True)
        return total * numbers.full((numbers.size(self.shape[0]), 1), self.value), constant_cols_pullback

    def dense(self, numbers):
        return numbers.full(tuple(map(numbers.size, self.shape)), self.value), _nothing

    def rows_cost(self, rows):
        return Cost(rows * self.shape[1], rows * sum(self.shape))

    @property
    def dense_cost(self):
        return Cost(moved=self.shape[0] * self.shape[1])

    def mean_square(self, variance):
        return self.value * self.value


def _nothing(g, cotangents):
    """The pullback of a matrix that holds nothing learned."""
