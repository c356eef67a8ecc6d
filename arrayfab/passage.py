"""How arrays come in at a layer's door and go out again."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array, Backend, device_of
from arrayfab.trees import taken

Shapes = list[tuple[int, ...]]


class Passage(NamedTuple):
    """How data go in and results come out where their axes are other than a program's.

    ``shapes`` are those of the data as they were given. Either ``lead`` are leading axes that are made one,
    or ``row`` is where a single row gets an axis to lie along.
    """

    backend: Backend
    shapes: Shapes
    lead: tuple[int, ...] | None
    row: int

    def inward(self, array: Array) -> Array:
        """Data, a direction or a cotangent as the program takes it."""
        shape = tuple(array.shape)
        if self.lead is None:
            at = self.row if len(shape) > 1 else 0  # the data themselves have no other axes
            return self.backend.reshape(array, (*shape[:at], 1, *shape[at:]))
        if shape[: len(self.lead)] != self.lead:
            return array
        return self.backend.reshape(array, (math.prod(self.lead), *shape[len(self.lead) :]))

    def outward(self, y: Array) -> Array:
        """A result as the caller expects it."""
        if self.lead is not None:
            return self.backend.reshape(y, (*self.lead, *y.shape[1:]))
        return self.backend.reshape(y, (*y.shape[: self.row], *y.shape[self.row + 1 :]))


class Shaped:
    """How data of certain shapes become matrices, and results what the caller expects.

    Where a role acts on every row alike, rows of rows are rows of one matrix, and a single row is one too.
    """

    def __init__(self, backend: Backend, shapes: Shapes, is_rowwise: bool, is_batched: bool):
        self.reshape, self.shapes = backend.reshape, shapes
        self.names = [f"x{i}" for i in range(len(shapes))]
        self._lead = lead = shapes[0][:-1]
        self._is_flat = is_rowwise and not is_batched and len(lead) != 1
        self._is_row = is_rowwise and is_batched and not lead

    def filled(self, xs: list[Array]) -> dict[str, Array]:
        """The data by the names of their holes."""
        return {name: self._inward(x, x.shape[:-1]) for name, x in zip(self.names, xs, strict=True)}

    def inward(self, grad_y: Array) -> Array:
        """A cotangent of the result as the formula has it."""
        return self._inward(grad_y, grad_y.shape[:-1])

    def _inward(self, array, lead):
        if self._is_flat:
            return self.reshape(array, (math.prod(lead), array.shape[-1]))
        return self.reshape(array, (*lead, 1, array.shape[-1])) if self._is_row else array

    def outward(self, y: Array) -> Array:
        """A result as the caller expects it."""
        if self._is_flat:
            return self.reshape(y, (*self._lead, y.shape[-1]))
        return self.reshape(y, (*y.shape[:-2], y.shape[-1])) if self._is_row else y


def checked(owner, name, tree, given, shapes, like_name, like):
    """The arrays of cotangents or directions, alike and of the right shapes."""
    is_plain = tree is None and type(given) is type(like) is np.ndarray
    if is_plain and given.dtype is like.dtype and given.shape == shapes[0]:  # most often
        return [given]
    arrays = list(map(_arrays.native, taken(owner, name, tree, given)))
    for i, (array, shape) in enumerate(zip(arrays, shapes, strict=True)):
        called = name if tree is None else f"{name}[{i}]"
        _arrays.check_alike(owner, like_name, like, called, array)
        _arrays.check_shape(owner, called, array, shape)
    return arrays


def like_result(y: Array, w: Array) -> Array:
    """An array like a result, which is not held on to; autocast may have given it another dtype."""
    if y.dtype == w.dtype:
        return w
    xp = _arrays.backend_of("y", "y", y).xp
    return xp.zeros((0,), dtype=y.dtype, device=device_of(y))
