"""The arrays that fill the holes of a structure, and the cotangents that flow back into them."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Any

from arrayfab._arrays import Array, Backend, device_of, is_half
from arrayfab.programs import Symbol, broadcast
from arrayfab.structures import layout


class Numbers:
    """The arrays that fill a structure's holes, all of one namespace, dtype and device.

    An array may carry leading axes in front of the two of its hole; they broadcast as in ``matmul``.
    ``like`` is the vector ``w`` that the learned ones come from, and ``rows`` the number of rows of the data,
    for which a formula has a symbol.
    """

    __slots__ = ("arrays", "backend", "dtype", "in_loops", "in_runs", "like", "mT", "reshape", "rows", "xp")

    def __init__(self, backend: Backend, arrays: dict[str, Array], like: Array, rows: int | None = None):
        self.arrays, self.backend, self.like, self.rows = arrays, backend, like, rows
        self.xp, self.mT, self.reshape = backend.xp, backend.mT, backend.reshape
        self.dtype = like.dtype
        # Other namespaces make one product of a batch times a matrix.
        self.in_loops = backend.in_loops and like.ndim == 1
        self.in_runs = backend.in_runs and like.ndim == 1

    def with_arrays(self, arrays: Mapping[str, Array]) -> Numbers:
        """The same, with more holes filled."""
        return Numbers(self.backend, {**self.arrays, **arrays}, self.like, self.rows)

    def size(self, size: int) -> int:
        """A size of the formula as that of the arrays."""
        return size.at(self.rows) if isinstance(size, Symbol) and self.rows is not None else size

    def full(self, shape: tuple[int, ...], value: float) -> Array:
        """An array of one value. Its sizes are those of arrays, in which a symbol is not the formula's."""
        return self.xp.full(shape, value, dtype=self.dtype, device=device_of(self.like))

    def eye(self, n: int, D: int) -> Array:
        device, n, D = device_of(self.like), self.size(n), self.size(D)
        i = self.xp.arange(n, device=device)[:, None]
        return self.xp.astype(i == self.xp.arange(D, device=device)[None, :], self.dtype)

    def sum(self, x: Array, **axes: Any) -> Array:
        """The sum along some axes, by which half precision loses no more than by a single rounding.

        NumPy adds up in the dtype of the numbers: in float16 ones stop to count at 2048.
        """
        if not is_half(self.dtype):
            return self.xp.sum(x, **axes)
        return self.xp.astype(self.xp.sum(x, dtype=self.xp.float32, **axes), self.dtype)

    def take(self, x: Array, index: Any, axis: int) -> Array:
        """The entries of ``x`` at places along an axis."""
        return self.backend.take(x, index, axis)

    def over_batch(self, y: Array) -> Array:
        """``y`` with the leading axes of ``w``, also where nothing learned took part in it."""
        batch = self.like.shape[:-1]
        if not batch:
            return y
        lead = broadcast(tuple(y.shape[:-2]), tuple(batch))
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
            in_entries = self.in_loops and n * D * rows >= layout.CALL and 2 * n * D <= rows * (n + D)
            if not in_entries:
                rows *= math.prod(lead)
                left, right = self.reshape(left, (rows, n)), self.reshape(right, (rows, D))
        return self.unbroadcast(self.matmul_tn(left, right), shape)

    def matmul(self, a: Array, b: Array) -> Array:
        """``a b``."""
        return self._laid_out(layout.product, a, b) if self._is_large(a, b) else a @ b

    # A large array times a thin one is fastest read as it lies: numbers that lie side by side should
    # meet numbers that lie side by side in the result. So not the large array is transposed, but all
    # the rest.
    def matmul_tn(self, a: Array, b: Array) -> Array:
        """``aᵀ b``."""
        mT = self.mT
        if b.ndim == 2 and b.shape[-1] <= layout.THIN < a.shape[-1]:
            return mT(self.matmul_tn(b, a))
        if self._is_large(a, b):
            return self._laid_out(layout.product_of_columns, a, b)
        # Broadcasting is faster than BLAS at the outer product of two rows.
        return mT(a) * b if a.shape[-2] == 1 else mT(a) @ b

    def matmul_nt(self, a: Array, b: Array) -> Array:
        """``a bᵀ``."""
        mT = self.mT
        return mT(b @ mT(a)) if a.shape[-2] <= layout.THIN < b.shape[-2] else self.matmul(a, mT(b))

    def _is_large(self, a, b):
        is_flat = self.in_runs and a.ndim == 2 == b.ndim
        return is_flat and a.shape[0] * a.shape[1] * b.shape[1] > layout.RUN

    def _laid_out(self, function, a, b):
        rows = a.shape[0] if function is layout.product else a.shape[1]
        return self.backend.apply(function, (rows, b.shape[1]), a, b)


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
        """Add an array, or what broadcasts to one along its columns."""
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
        if not parts:
            return numbers.full(shape, 0.0)
        g = total(sorted(parts, key=lambda part: math.prod(part.shape)))  # columns first
        return g if tuple(g.shape) == shape else numbers.xp.broadcast_to(g, shape)


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


def total(arrays: Iterable[Array]) -> Array:
    """The sum of some arrays."""
    return reduce(operator.add, arrays)


def prime(name: str) -> str:
    """The name of the hole that holds the direction in which hole ``name`` moves."""
    return name + "′"
