"""Layers as functions of arrays: what data they take, and lists of arrays as one."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab.expansions import Expansion
from arrayfab.layer import Layer
from arrayfab.outline import data_shape
from arrayfab.plain import Reshape
from arrayfab.roles import BilinearInterdependence, ParameterizedInterdependence, Reconciliation, Role
from arrayfab.testing.cases import Case
from arrayfab.trees import leaves


def data_shapes(layer: Layer, case: Case) -> tuple[tuple[int, ...], ...]:
    """The shapes of a layer's data, one for every array that it takes."""
    columns = case.m if isinstance(layer, Expansion) else case.rows
    tree = getattr(layer, "inputs", None)
    return tuple((*case.lead, *shape) for shape in leaves(tree, data_shape(layer, case.rows, columns)))


def takes_batch(layer: Any) -> bool:
    """Whether leading axes of ``w`` meet those of the data in all layers: no reshaping adds or takes any."""
    if isinstance(layer, Reshape):
        return len(layer.before) == len(layer.after)
    return all(map(takes_batch, getattr(layer, "layers", ())))


def is_linear(role: Role) -> bool:
    """Whether the result is linear in the data."""
    return role.expansion is None and not isinstance(role, BilinearInterdependence)


def domain(layer: Layer) -> tuple[float, float]:
    """Between what numbers the data lie."""
    expansion = layer if isinstance(layer, Expansion) else getattr(layer, "expansion", None)
    return Expansion.domain if expansion is None else expansion.domain


class Packed:
    """A layer as a function of its arrays one after the other, ``w`` the last of them, to one array.

    A layer without learned numbers that is no role takes None for ``w``, which is no array then. Results that
    are a list become one array, with everything behind the leading axes in a row.
    """

    def __init__(self, layer: Layer, case: Case):
        self._layer, shapes = layer, data_shapes(layer, case)
        self._is_list = isinstance(getattr(layer, "inputs", None), list)
        self._length = layer.num_parameters()
        self._takes_w = isinstance(layer, Role) or self._length > 0
        self._lead = max(len(case.lead), len(case.batch))
        self.names = tuple(f"x{i}" for i in range(len(shapes))) if self._is_list else ("x",)
        self.shapes = dict(zip(self.names, shapes, strict=True))
        if self._takes_w:
            self.shapes["w"] = (*case.batch, self._length)

    def call(self, *arrays: Any) -> Any:
        return self._joined(self._layer(*self._arguments(arrays)))

    def vjp(self, *arrays: Any) -> Any:
        y, pull = self._layer.vjp(*self._arguments(arrays))

        def packed_pullback(u):
            grad_x, grad_w = pull(self._split(u, y))
            return (*(grad_x if self._is_list else (grad_x,)), *((grad_w,) if self._takes_w else ()))

        return self._joined(y), packed_pullback

    def jvp(self, arrays: Any, directions: Any) -> Any:
        y, dy = self._layer.jvp(*self._arguments(arrays), *self._arguments(directions))
        return self._joined(y), self._joined(dy)

    def _arguments(self, arrays):
        xs, w = (arrays[:-1], arrays[-1]) if self._takes_w else (arrays, None)
        return (list(xs) if self._is_list else xs[0]), w

    def _joined(self, y):
        if not isinstance(y, list):
            return y
        backend = _arrays.backend_of(repr(self._layer), "y", y[0])
        flat = [backend.reshape(part, (*part.shape[: self._lead], self._size(part))) for part in y]
        return backend.xp.concat(flat, axis=-1)

    def _split(self, u, y):
        if not isinstance(y, list):
            return u
        reshape = _arrays.backend_of(repr(self._layer), "u", u).reshape
        edges = np.cumsum([0, *map(self._size, y)]).tolist()
        return [
            reshape(u[..., start:stop], tuple(part.shape))
            for part, (start, stop) in zip(y, pairwise(edges), strict=True)
        ]

    def _size(self, part):
        return math.prod(part.shape[self._lead :])

    def dense_result(self, *arrays: Any) -> np.ndarray:
        """The result by plain products with the role's own dense matrix, in NumPy."""
        role: Any = self._layer
        x, w = self._arguments(list(map(np.asarray, arrays)))
        if isinstance(role, BilinearInterdependence):
            matrix = role.matrix(x, w)
        elif isinstance(role, ParameterizedInterdependence):
            matrix = role.matrix(w, x)
        else:
            matrix = role.matrix(w)
        joined = np.concatenate(x, axis=-1) if self._is_list else x
        if self._is_list or isinstance(role, Reconciliation):
            joined = joined if role.expansion is None else role.expansion(joined)
        if getattr(role, "is_instance", False):
            return np.swapaxes(matrix, -1, -2) @ joined
        if self._is_list or isinstance(role, Reconciliation):
            matrix = np.swapaxes(matrix, -1, -2)
        y = joined @ matrix
        if getattr(role, "bias", False):
            y = y + w[..., None, -role.n :]
        return y
