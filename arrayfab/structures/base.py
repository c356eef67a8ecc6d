"""What every structured matrix owes, and what follows from it.

A *structure* is the formula of a matrix with named holes in place of numbers. It is a frozen, hashable
value, built once per shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from arrayfab._arrays import Array
from arrayfab._builders import Builders
from arrayfab._cached import cached_property
from arrayfab.programs import Symbol
from arrayfab.structures.numbers import Numbers


class Cost(NamedTuple):
    """What a computation takes.

    ``multiplies`` counts multiplications; ``moved`` counts the numbers that are passed over in memory
    for anything but a matrix product. Costs compare by `weight`.
    """

    multiplies: int = 0
    moved: int = 0

    @property
    def weight(self) -> int:
        """The cost as a number of multiplies of a large product: moving a number takes as long as eight."""
        return self.multiplies + 8 * self.moved

    def __add__(self, other: Cost) -> Cost:  # type: ignore[override]
        return Cost(self.multiplies + other.multiplies, self.moved + other.moved)

    def at(self, rows: int) -> Cost:
        """The cost for a number of rows, of one that is known for any number of a regime."""
        return Cost(*(part.at(rows) if isinstance(part, Symbol) else part for part in self))


Pullback = Callable[..., Any]


#: What the operators build. It lives in modules that stand on this one, which enter it here.
_BUILDERS = Builders()
builds = _BUILDERS.enter


class Structure:
    """The formula of an ``n × D`` matrix that is never formed unless someone asks.

    A subclass is a frozen dataclass with a ``shape``. It gives `rows`, `dense`, their costs and
    `derivative`, and either ``T`` or `cols`. Each of the three products returns its value and a
    pullback. That of `rows` and `cols`, ``pullback(gy, cotangents, need_x=True)``, sends the holes'
    cotangents into ``cotangents`` and returns that of ``x``, or None where it is not needed; that of
    `dense` takes ``(g, cotangents)``.
    """

    shape: tuple[int, int]

    @property
    def children(self) -> tuple[Structure, ...]:
        """The structures that this one is made of."""
        return ()

    @property
    def leaves(self) -> Iterator[Structure]:
        """The structures without children that this one is made of."""
        for child in self.children:
            yield from child.leaves
        if not self.children:
            yield self

    @cached_property
    def learned(self) -> bool:
        """Whether any hole of the formula holds learned numbers."""
        return any(child.learned for child in self.children)

    @cached_property
    def degree(self) -> int | None:
        """Degree as a polynomial in the learned numbers, None where it is none."""
        return None if self.learned else 0

    @cached_property
    def zeroing(self) -> frozenset[str] | None:
        """Learned holes whose zeroing makes the matrix zero, None where there are none."""
        return None

    @property
    def outer_columns(self) -> int | None:
        """``q`` where ``A ⊗ B``, with ``q`` rows in ``A``, acts on factors of the columns one by one."""
        return None

    def rows(self, x: Array, numbers: Numbers) -> tuple[Array, Pullback]:
        """``x @ self`` for ``x`` of shape ``(..., b, n)``."""
        raise NotImplementedError(f"{type(self).__name__}.rows")

    def cols(self, x: Array, numbers: Numbers) -> tuple[Array, Pullback]:
        """``self @ x`` for ``x`` of shape ``(..., D, c)``."""
        return transposed_product(self.T.rows, x, numbers)

    def dense(self, numbers: Numbers) -> tuple[Array, Pullback]:
        """The matrix itself."""
        raise NotImplementedError(f"{type(self).__name__}.dense")

    def addend(self, numbers: Numbers) -> tuple[Array, Pullback]:
        """The matrix, or an array that broadcasts to it; its pullback takes a cotangent of either shape."""
        return self.dense(numbers)

    def rows_cost(self, rows: int) -> Cost:
        """What `rows` takes for an ``x`` of that many rows."""
        raise NotImplementedError(f"{type(self).__name__}.rows_cost")

    def cols_cost(self, cols: int) -> Cost:
        """What `cols` takes for an ``x`` of that many columns."""
        return self.T.rows_cost(cols)

    @property
    def dense_cost(self) -> Cost:
        """What `dense` takes."""
        raise NotImplementedError(f"{type(self).__name__}.dense_cost")

    def mean_square(self, variance: float) -> float:
        """The expected mean square of the entries, for independent learned numbers of that variance."""
        raise NotImplementedError(f"{type(self).__name__}.mean_square")

    @property
    def derivative(self) -> Structure:
        """The derivative along the direction in the primed holes: a structure again."""
        raise NotImplementedError(f"{type(self).__name__}.derivative")

    @cached_property
    def tangent(self) -> Structure | None:
        """`derivative`, None where nothing is learned."""
        return self.derivative if self.learned else None

    @cached_property
    def T(self) -> Structure:
        return Transposed(self)

    def __matmul__(self, other: Structure) -> Structure:
        return _BUILDERS["product"](self, other) if isinstance(other, Structure) else NotImplemented

    def __add__(self, other: Structure) -> Structure:
        return _BUILDERS["sum"](self, other) if isinstance(other, Structure) else NotImplemented

    def __mul__(self, scale: float) -> Structure:
        return _BUILDERS["multiple"](self, float(scale)) if isinstance(scale, int | float) else NotImplemented

    __rmul__ = __mul__


class Multilinear(Structure):
    """A structure that is linear in each of its children: a product of some kind, or a rearrangement."""

    def with_children(self, *children: Structure) -> Structure:
        """The same of other children."""
        raise NotImplementedError(f"{type(self).__name__}.with_children")

    @cached_property
    def degree(self):
        degrees = [child.degree for child in self.children]
        return None if None in degrees else sum(degrees)

    @cached_property
    def zeroing(self):
        return next((child.zeroing for child in reversed(self.children) if child.zeroing), None)

    @property
    def derivative(self):
        # The product rule: one child moves at a time.
        children = self.children
        return _BUILDERS["sum"](
            *(
                self.with_children(*children[:i], child.tangent, *children[i + 1 :])
                for i, child in enumerate(children)
                if child.learned
            )
        )


def transposed_product(product: Callable, x: Array, numbers: Numbers) -> tuple[Array, Pullback]:
    """``M x`` from the rows' product of ``Mᵀ``, or ``x M`` from the columns' one: ``(xᵀ Mᵀ)ᵀ``."""
    mT = numbers.mT
    y, pull = product(mT(x), numbers)

    def transposed_pullback(gy, cotangents, need_x=True):
        gx = pull(mT(gy), cotangents, need_x)
        return mT(gx) if need_x else None

    return mT(y), transposed_pullback


@dataclass(frozen=True)
class Transposed(Multilinear):
    """``Mᵀ`` of a structure that has no transpose of its own kind."""

    inner: Structure

    @cached_property
    def shape(self):  # type: ignore[override]
        return self.inner.shape[::-1]

    @property
    def children(self):
        return (self.inner,)

    def with_children(self, inner):
        return inner.T

    @property
    def T(self):  # type: ignore[override]
        return self.inner

    def rows(self, x, numbers):
        return transposed_product(self.inner.cols, x, numbers)

    def cols(self, x, numbers):
        return transposed_product(self.inner.rows, x, numbers)

    def dense(self, numbers):
        mT = numbers.mT
        a, pull = self.inner.dense(numbers)

        def transposed_dense_pullback(g, cotangents):
            pull(mT(g), cotangents)

        return mT(a), transposed_dense_pullback

    def rows_cost(self, rows):
        return self.inner.cols_cost(rows)

    def cols_cost(self, cols):
        return self.inner.rows_cost(cols)

    @property
    def dense_cost(self):
        return self.inner.dense_cost

    def mean_square(self, variance):
        return self.inner.mean_square(variance)
