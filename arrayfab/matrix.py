"""A structured matrix with its numbers: what a fabrication returns."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.fabrications.blueprint import blueprint, formed
from arrayfab.structures import Numbers

if TYPE_CHECKING:
    from arrayfab.fabrications.base import Fabrication


class StructuredMatrix:
    """A matrix of shape ``(..., n, D)`` that is applied without being formed.

    ``x @ W`` and ``W @ x`` return arrays, with the rules of ``matmul`` for leading axes; ``W.T`` is a
    structured matrix again. `Fabrication.fabricate` makes them, and checks what they are made of.

    Parameters
    ----------
    fabrication : Fabrication
    n, D : int
        Rows and columns.
    w : array, shape ``(..., l)``
        The learned numbers.
    handed_in : mapping
        Arrays in place of those that were handed in to the fabrication by ``with_frozen``, by block.
    """

    # NumPy then leaves ``array @ matrix`` to this class.
    __array_ufunc__ = None

    def __init__(
        self, fabrication: Fabrication, n: int, D: int, w: Array, handed_in: Mapping[str, Array] | None = None
    ):
        self.fabrication, self.n, self.D, self.w = fabrication, n, D, w
        plan = blueprint(fabrication, n, D)
        self.structure = plan.structure
        self.handed_in = plan.handed_in if handed_in is None else handed_in

    @cached_property
    def _numbers(self) -> Numbers:
        # Made when they are needed: a matrix may hold placeholders, as leaves of a pytree do.
        return blueprint(self.fabrication, self.n, self.D).numbers(self.w, handed_in=self.handed_in)

    def __getstate__(self):
        # What is drawn or split off `w` is not carried along.
        return {name: value for name, value in vars(self).items() if name != "_numbers"}

    def checked(self) -> StructuredMatrix:
        """The matrix itself; ValueError or TypeError where its numbers do not fit."""
        _ = self._numbers
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.w.shape[:-1], *self.structure.shape)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def dtype(self) -> Any:
        return self.w.dtype

    @property
    def device(self) -> Any:
        return _arrays.device_of(self.w)

    @property
    def T(self) -> StructuredMatrix:
        """The matrix with its last two axes swapped."""
        other = copy.copy(self)
        other.structure = self.structure.T
        return other

    def to_dense(self) -> Array:
        """The matrix, formed. It may share memory with ``w``, never with frozen numbers."""
        return formed(self.structure, self._numbers)[0]

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
        batched = self.w.ndim > 1
        if not batched or not lead:  # rows of rows are rows of one array
            x = numbers.reshape(x, (math.prod(lead), x.shape[-1]))
        y = numbers.over_batch(structure.rows(x, numbers)[0])
        if batched and lead:
            return y
        return numbers.reshape(y, (*(y.shape[:-2] if batched else lead), structure.shape[1]))

    def _check(self, x, axis, size):
        _arrays.check_alike("StructuredMatrix", "the matrix", self.w, "x", x)
        if x.ndim < -axis or x.shape[axis] != size:
            raise ValueError(
                f"{self}: x must have {size} numbers along axis {axis}, got shape {tuple(x.shape)}"
            )

    def __array__(self, *_, **__):
        raise TypeError(f"{self} is not formed unless asked for, call its to_dense()")

    def __repr__(self) -> str:
        return f"StructuredMatrix(shape={self.shape}, dtype={self.dtype})"
