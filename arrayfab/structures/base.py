"""What every structured matrix owes, and what follows from it.

A *structure* is the formula of a matrix with named holes in place of numbers. It is a frozen, hashable
value, built once per shape. `Numbers` fill the holes; `Cotangents` collect what flows back into them.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from arrayfab._arrays import Array, Backend, backend_of, device_of, is_half
from arrayfab._cached import cached_property

# An array with no more columns than this is thin.
THIN = 32

# How many multiplications a run of rows takes, and how many are worth a call of BLAS.
RUN, CALL = 500_000, 1_000

# No run has fewer rows, and only OpenBLAS is fast at no more columns. A result of more bytes is bound by
# memory, which takes all of BLAS's threads.
SHORT, CACHE = 8, 1 << 25


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


Pullback = Callable[..., Any]


class Numbers:
    """The arrays that fill a structure's holes, all of one namespace, dtype and device.

    An array may carry leading axes in front of the two of its hole; they broadcast as in ``matmul``.
    ``like`` is the vector ``w`` that the learned ones come from.
    """

    __slots__ = ("arrays", "dtype", "in_loops", "in_runs", "like", "mT", "reshape", "xp")

    def __init__(self, backend: Backend, arrays: dict[str, Array], like: Array):
        self.arrays = arrays
        self.xp = backend.xp
        self.mT = backend.mT
        self.reshape = backend.reshape
        self.like = like
        self.dtype = like.dtype
        # Other namespaces make one product of a batch times a matrix.
        self.in_loops = backend.in_loops and like.ndim == 1
        self.in_runs = backend.in_runs and like.ndim == 1

    def __reduce__(self):
        return _numbers_again, (self.arrays, self.like)

    def with_arrays(self, arrays: Mapping[str, Array]) -> Numbers:
        """The same, with more holes filled."""
        more = object.__new__(Numbers)
        more.arrays = {**self.arrays, **arrays}
        more.xp, more.mT, more.reshape = self.xp, self.mT, self.reshape
        more.like, more.dtype = self.like, self.dtype
        more.in_loops, more.in_runs = self.in_loops, self.in_runs
        return more

    def full(self, shape: tuple[int, ...], value: float) -> Array:
        return self.xp.full(shape, value, dtype=self.dtype, device=device_of(self.like))

    def eye(self, n: int, D: int) -> Array:
        device = device_of(self.like)
        i = self.xp.arange(n, device=device)[:, None]
        return self.xp.astype(i == self.xp.arange(D, device=device)[None, :], self.dtype)

    def sum(self, x: Array, **axes: Any) -> Array:
        """The sum along some axes, by which half precision loses no more than by a single rounding.

        NumPy adds up in the dtype of the numbers: in float16 ones stop to count at 2048.
        """
        if not is_half(self.dtype):
            return self.xp.sum(x, **axes)
        return self.xp.astype(self.xp.sum(x, dtype=self.xp.float32, **axes), self.dtype)

    def over_batch(self, y: Array) -> Array:
        """``y`` with the leading axes of ``w``, also where nothing learned took part in it."""
        batch = self.like.shape[:-1]
        if not batch:
            return y
        lead = np.broadcast_shapes(tuple(y.shape[:-2]), tuple(batch))
        return y if tuple(y.shape[:-2]) == lead else self.xp.broadcast_to(y, (*lead, *y.shape[-2:]))

    def unbroadcast(self, g: Array, shape: tuple[int, ...]) -> Array:
        """``g`` summed over the axes along which an array of ``shape`` was broadcast."""
        if tuple(g.shape) == shape:
            return g
        extra = g.ndim - len(shape)
        if extra:
            g = self.sum(g, axis=tuple(range(extra)))
        stretched = tuple(i for i, size in enumerate(shape) if size == 1 and g.shape[i] != 1)
        return self.sum(g, axis=stretched, keepdims=True) if stretched else g

    def contract(self, left: Array, right: Array, shape: tuple[int, ...]) -> Array:
        """``leftᵀ right``, summed over broadcast axes down to ``shape``."""
        if len(shape) == 2 and left.ndim > 2 and left.shape[:-2] == right.shape[:-2]:
            (*lead, rows, n), D = left.shape, right.shape[-1]
            # Rows of every batch entry are rows of one long product. That may have to copy them; a
            # product for each entry writes n·D numbers and adds them up.
            in_entries = self.in_loops and n * D * rows >= CALL and 2 * n * D <= rows * (n + D)
            if not in_entries:
                rows *= math.prod(lead)
                left, right = self.reshape(left, (rows, n)), self.reshape(right, (rows, D))
        return self.unbroadcast(self.matmul_tn(left, right), shape)

    def runs(self, rows: int, size: int, most: float = 40 * RUN) -> tuple[int, ...]:
        """How to lay out that many rows for a product with a matrix of ``size`` numbers.

        All at once, or in runs of a length that BLAS has faster kernels for: those for small matrices
        pack nothing. Products of more than ``most`` multiplications stay whole, for BLAS to share among its
        threads.
        """
        multiplies = rows * size
        if not self.in_runs or not 2 * RUN < multiplies <= most:
            return (rows,)
        count = 1 << (multiplies // RUN).bit_length()
        return (rows,) if rows % count or rows < SHORT * count else (count, rows // count)

    def matmul(self, a: Array, b: Array) -> Array:
        """``a b``."""
        if self.in_runs and a.ndim == 2 == b.ndim and 2 * b.shape[0] <= b.shape[1]:
            # Where little becomes much, but no more than caches hold, runs pay too, if b is in order.
            rows, (n, D) = a.shape[0], b.shape
            is_held = rows * D * self.dtype.itemsize < CACHE
            lead = self.runs(rows, n * D, math.inf) if is_held and rows * n * D > 8 * RUN else (rows,)
            if len(lead) > 1:
                return self.reshape(self.reshape(a, (*lead, n)) @ self._in_order(b), (rows, D))
        return a @ b

    def _in_order(self, b: Array) -> Array:
        return self.reshape(self.reshape(b, (math.prod(b.shape),)), b.shape)

    # A large array times a thin one is fastest read as it lies: numbers that lie side by side should
    # meet numbers that lie side by side in the result. So not the large array is transposed, but all
    # the rest.
    def matmul_tn(self, a: Array, b: Array) -> Array:
        """``aᵀ b``."""
        mT = self.mT
        # Broadcasting is faster than BLAS at the outer product of two rows.
        times = operator.mul if a.shape[-2] == 1 else self.matmul
        if b.ndim == 2 and b.shape[-1] <= THIN < a.shape[-1]:
            return mT(times(mT(b), a))
        return times(mT(a), b)

    def matmul_nt(self, a: Array, b: Array) -> Array:
        """``a bᵀ``."""
        mT = self.mT
        n, D = b.shape[-2:]
        if self.in_runs and a.ndim > 2 == b.ndim and a.shape[-2] * n * D <= 2 * RUN:
            # The kernels for runs want bᵀ in order.
            return a @ self._in_order(mT(b))
        return mT(b @ mT(a)) if a.shape[-2] <= THIN < b.shape[-2] else self.matmul(a, mT(b))


def _numbers_again(arrays: dict[str, Array], like: Array) -> Numbers:
    """Numbers after a copy; a namespace is a module, which cannot be copied, and follows from the array."""
    return Numbers(backend_of("Numbers", "w", like), arrays, like)


class Cotangents:
    """What a pullback has sent into each hole.

    A contribution to a matrix is most often a product ``leftᵀ right``. Products are kept apart until
    `take` asks for them, so that several thin ones cost one product and one write.
    """

    __slots__ = ("_arrays", "_numbers", "_products")

    def __init__(self, numbers: Numbers):
        self._numbers = numbers
        self._arrays: dict[str, list[Array]] = {}
        self._products: dict[str, list[tuple[Array, Array]]] = {}

    def add(self, name: str, g: Array) -> None:
        self._arrays.setdefault(name, []).append(g)

    def add_product(self, name: str, left: Array, right: Array) -> None:
        self._products.setdefault(name, []).append((left, right))

    def take(self, name: str, shape: tuple[int, ...]) -> Array:
        """All that was sent to hole ``name``, summed down to the shape of the array in it."""
        numbers = self._numbers
        products = self._products.pop(name, ())
        if len(products) == 1 and name not in self._arrays:  # most often
            return numbers.contract(*products[0], shape)
        arrays = self._arrays.pop(name, ())
        # Some contributions have batch axes and some are summed over them already: sum first, then add.
        parts = [numbers.unbroadcast(g, shape) for g in arrays]
        parts += [numbers.contract(left, right, shape) for left, right in _stacked(products, numbers)]
        return total(parts) if parts else numbers.full(shape, 0.0)


def _stacked(products: Sequence[tuple[Array, Array]], numbers: Numbers) -> Sequence[tuple[Array, Array]]:
    """Sums of thin products, ``Σ lᵢᵀ rᵢ``, as one product of the stacked factors."""
    if len(products) < 2 or any(left.ndim + right.ndim != 4 for left, right in products):
        return products
    (n, D), depth = (products[0][0].shape[1], products[0][1].shape[1]), sum(p[0].shape[0] for p in products)
    # Stacking copies depth·(n + D) numbers and saves a read and a write of n·D for every product.
    if depth * (n + D) > n * D * (len(products) - 1):
        return products
    lefts, rights = zip(*products, strict=True)
    return [(numbers.xp.concat(lefts, axis=0), numbers.xp.concat(rights, axis=0))]


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

    def rows(self, x: Array, numbers: Numbers) -> tuple[Array, Pullback]:
        """``x @ self`` for ``x`` of shape ``(..., b, n)``."""
        raise NotImplementedError(f"{type(self).__name__}.rows")

    def cols(self, x: Array, numbers: Numbers) -> tuple[Array, Pullback]:
        """``self @ x`` for ``x`` of shape ``(..., D, c)``."""
        return transposed_product(self.T.rows, x, numbers)

    def dense(self, numbers: Numbers) -> tuple[Array, Pullback]:
        """The matrix itself."""
        raise NotImplementedError(f"{type(self).__name__}.dense")

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

    # The operators spell formulas; what they build lives in the modules above this one.
    def __matmul__(self, other: Structure) -> Structure:
        from arrayfab.structures.chain import chain

        return chain(self, other) if isinstance(other, Structure) else NotImplemented

    def __add__(self, other: Structure) -> Structure:
        from arrayfab.structures.sums import add

        return add(self, other) if isinstance(other, Structure) else NotImplemented

    def __mul__(self, scale: float) -> Structure:
        from arrayfab.structures.chain import chain
        from arrayfab.structures.leaves import Identity

        if not isinstance(scale, int | float):
            return NotImplemented
        n = self.shape[0]
        return chain(Identity((n, n), float(scale)), self)

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
        from arrayfab.structures.sums import add

        children = self.children
        return add(
            *(
                self.with_children(*children[:i], child.tangent, *children[i + 1 :])
                for i, child in enumerate(children)
                if child.learned
            )
        )


def total(arrays: Iterable[Array]) -> Array:
    """The sum of some arrays."""
    return reduce(operator.add, arrays)


def remembered(known: dict, key: Any, make: Callable) -> Any:
    """``known[key]``, made where it is missing. What holds many things already forgets them first."""
    try:
        return known[key]
    except KeyError:
        pass
    if len(known) >= 64:
        known.clear()
    made = known[key] = make()
    return made


def prime(name: str) -> str:
    """The name of the hole that holds the direction in which hole ``name`` moves."""
    return name + "′"


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
