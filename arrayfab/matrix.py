"""A structured matrix with its numbers: what a fabrication returns."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from arrayfab import _arrays
from arrayfab._arrays import Array, Backend
from arrayfab._cached import cached_property
from arrayfab._shown import Shown
from arrayfab.fabrications.blueprint import Blueprint, blueprint
from arrayfab.structures import Structure


class StructuredMatrix(Shown):
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
        self, fabrication: Any, n: int, D: int, w: Array, handed_in: Mapping[str, Array] | None = None
    ):
        self.fabrication, self.n, self.D, self.w = fabrication, n, D, _arrays.native(w)
        self.handed_in = self._plan.handed_in if handed_in is None else handed_in
        self.is_transposed = False

    @cached_property
    def _plan(self) -> Blueprint:
        return blueprint(self.fabrication, self.n, self.D)

    @property
    def structure(self) -> Structure:
        """The formula."""
        structure = self._plan.structure
        return structure.T if self.is_transposed else structure

    @cached_property
    def _arguments(self) -> tuple[Backend, list[Array]]:
        # Made when they are needed: a matrix may hold placeholders, as leaves of a pytree do.
        backend = self._plan.checked(self.w)
        return backend, [self.w, *self._plan.frozen_arrays(self.w, backend, self.handed_in)]

    def __getstate__(self):
        # What is drawn is not carried along, nor is what follows from the rest.
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def checked(self) -> StructuredMatrix:
        """The matrix itself; ValueError or TypeError where its numbers do not fit."""
        _ = self._arguments
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
        other.is_transposed = not self.is_transposed
        return other

    def to_dense(self) -> Array:
        """The matrix, formed. It may share memory with ``w``, never with frozen numbers."""
        return self._plan.handed_out(self._run("dense", self.is_transposed), self._arguments[0])

    def __rmatmul__(self, x: Array) -> Array:
        return self._product(x, self.is_transposed)

    def __matmul__(self, x: Array) -> Array:
        if getattr(x, "ndim", 2) == 1:
            return self._product(x, not self.is_transposed)
        x = self._checked(x, -2, self.structure.shape[1])
        return self._run("cols", self.is_transposed, x, axis=-1 if x.ndim == 2 else None)

    def _product(self, x, is_transposed):
        """``x M``, for the matrix or its transpose."""
        n, D = self._plan.structure.shape[:: -1 if is_transposed else 1]
        x = self._checked(x, -1, n)
        lead, batched, backend = tuple(x.shape[:-1]), self.w.ndim > 1, self._arguments[0]
        if not batched or not lead:  # rows of rows are rows of one array
            x = backend.reshape(x, (math.prod(lead), n))
        y = self._run("rows", is_transposed, x, axis=0 if x.ndim == 2 else None)
        if batched and lead:
            return y
        return backend.reshape(y, (*(y.shape[:-2] if batched else lead), D))

    def _run(self, product, is_transposed, *xs, axis=None):
        """A product of the formula or its transpose, by the program for arrays of these shapes."""
        backend, arguments = self._arguments
        arrays, rule = [*arguments, *xs], partial(_product_rule, self._plan, product, is_transposed)
        program = self._plan.program((product, is_transposed), rule, backend, arrays, axis)
        return program.value(*arrays)[0]

    def _checked(self, x, axis, size):
        x = _arrays.native(x)
        _arrays.check_alike("StructuredMatrix", "the matrix", self.w, "x", x)
        if x.ndim < -axis or x.shape[axis] != size:
            raise ValueError(
                f"{self}: x must have {size} numbers along axis {axis}, got shape {tuple(x.shape)}"
            )
        return x

    def __array__(self, *_, **__):
        raise TypeError(f"{self} is not formed unless asked for, call its to_dense()")

    def __repr__(self) -> str:
        return f"StructuredMatrix(shape={self.shape}, dtype={self.dtype})"


def _product_rule(plan, product, is_transposed, backend, *arrays):
    numbers, xs = plan.filled(backend, *arrays)
    structure = plan.structure.T if is_transposed else plan.structure
    return (numbers.over_batch(getattr(structure, product)(*xs, numbers)[0]),)
