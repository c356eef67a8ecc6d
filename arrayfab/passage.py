"""How arrays come in at a layer's door and go out again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from arrayfab import _arrays
from arrayfab._arrays import Array, Backend, device_of
from arrayfab.trees import Tree, put_together, taken

Shapes = list[tuple[int, ...]]


class Passage(NamedTuple):
    """How data go in and results come out.

    ``shapes`` are those of the data as they were given. ``lead`` are leading axes that are made one, and
    ``row`` is where a single row gets an axis to lie along; None where nothing has to be done.
    """

    backend: Backend
    shapes: Shapes
    lead: tuple[int, ...] | None
    row: int | None

    @property
    def is_narrow(self) -> bool:
        """Whether anything has to be done."""
        return self.lead is not None or self.row is not None

    def inward(self, array: Array) -> Array:
        """Data, a direction or a cotangent as the program takes it."""
        shape = tuple(array.shape)
        if self.lead is not None and shape[: len(self.lead)] == self.lead:
            return self.backend.reshape(array, (math.prod(self.lead), *shape[len(self.lead) :]))
        return self._with_row(array, shape) if self.row is not None else array

    def _with_row(self, array, shape):
        at = self.row if len(shape) > 1 else 0  # the data themselves have no other axes
        return self.backend.reshape(array, (*shape[:at], 1, *shape[at:]))

    def outward(self, ys: Sequence[Array], tree: Tree) -> Any:
        """Results as the caller expects them, put together."""
        if self.lead is not None:
            ys = [self.backend.reshape(y, (*self.lead, *y.shape[1:])) for y in ys]
        elif self.row is not None:
            ys = [self.backend.reshape(y, (*y.shape[: self.row], *y.shape[self.row + 1 :])) for y in ys]
        return ys[0] if tree is None else put_together(tree, iter(ys))


def checked(owner, name, tree, given, shapes, like_name, like):
    """The arrays of cotangents or directions, alike and of the right shapes."""
    arrays = [_arrays.native(array) for array in taken(owner, name, tree, given)]
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
