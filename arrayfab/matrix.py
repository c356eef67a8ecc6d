"""A structured matrix with its numbers: what a fabrication returns."""

from __future__ import annotations

import math
from typing import Any

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.structures import Numbers, Structure


class StructuredMatrix:
    """A matrix of shape ``(..., n, D)`` that is applied without being formed.

    ``x @ W`` and ``W @ x`` return arrays, with the rules of ``matmul`` for leading axes; ``W.T`` is a
    structured matrix again.
    """

    # NumPy then leaves ``array @ matrix`` to this class.
    __array_ufunc__ = None

    def __init__(self, structure: Structure, numbers: Numbers):
        self.structure = structure
        self._numbers = numbers

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self._numbers.like.shape[:-1], *self.structure.shape)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def dtype(self) -> Any:
        return self._numbers.dtype

    @property
    def device(self) -> Any:
        return _arrays.device_of(self._numbers.like)

    @property
    def T(self) -> StructuredMatrix:
        """The matrix with its last two axes swapped."""
        return StructuredMatrix(self.structure.T, self._numbers)

    def to_dense(self) -> Array:
        """The matrix, formed. It may share memory with the numbers it was made from."""
        return self._numbers.over_batch(self.structure.dense(self._numbers)[0])

    def __rmatmul__(self, x: Array) -> Array:
        return self._product(self.structure, x)

    def __matmul__(self, x: Array) -> Array:
        if getattr(x, "ndim", 2) == 1:
            return self._product(self.structure.T, x)
        self._check(x, -2, self.structure.shape[1])
        return self._numbers.over_batch(self.structure.cols(x, self._numbers)[0])

    def _product(self, structure, x):
        self._check(x, -1, structure.shape[0])
        numbers, lead = self._numbers, tuple(x.shape[:-1])
        batched = numbers.like.ndim > 1
        if not batched or not lead:  # rows of rows are rows of one array
            x = numbers.reshape(x, (math.prod(lead), x.shape[-1]))
        y = numbers.over_batch(structure.rows(x, numbers)[0])
        if batched and lead:
            return y
        return numbers.reshape(y, (*(y.shape[:-2] if batched else lead), structure.shape[1]))

    def _check(self, x, axis, size):
        _arrays.check_alike("StructuredMatrix", "the matrix", self._numbers.like, "x", x)
        if x.ndim < -axis or x.shape[axis] != size:
            raise ValueError(
                f"{self}: x must have {size} numbers along axis {axis}, got shape {tuple(x.shape)}"
            )

    def __repr__(self) -> str:
        return f"StructuredMatrix(shape={self.shape}, dtype={self.dtype})"
