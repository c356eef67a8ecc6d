"""Matrices that only lay numbers out: as skew-symmetric matrices, and in another order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab._cached import cached_property


@dataclass(frozen=True)
class Skew:
    """Of the ``s (s - 1) / 2`` numbers above a diagonal, row by row, all of the ``s × s`` matrix ``A = -Aᵀ``.

    The transpose gives of a matrix what is above its diagonal less what is below.
    """

    s: int
    is_transposed: bool = False

    @property
    def sizes(self):
        few, many = self.s * (self.s - 1) // 2, self.s * self.s
        return (many, few) if self.is_transposed else (few, many)

    @property
    def T(self):
        return replace(self, is_transposed=not self.is_transposed)

    @property
    def times(self):
        return 2 * self.s * self.s

    @cached_property
    def _upper(self):
        rows, columns = np.triu_indices(self.s, 1)
        return rows * self.s + columns, columns * self.s + rows

    @cached_property
    def _places(self):
        """For every entry the number that it takes, and the sign."""
        (above, below), few = self._upper, self.sizes[self.is_transposed]
        places, signs = np.zeros(self.s * self.s, dtype=np.int64), np.zeros(self.s * self.s)
        places[above] = places[below] = np.arange(few)
        signs[above], signs[below] = 1.0, -1.0
        return places, signs

    def along(self, x: Array, axis: int) -> Array:
        backend = _arrays.backend_of("Skew", "x", x)
        if self.is_transposed:
            above, below = self._upper
            return backend.take(x, above, axis) - backend.take(x, below, axis)
        places, signs = self._places
        signs = _arrays.from_host(signs, backend.xp, x.dtype, _arrays.device_of(x))
        return backend.take(x, places, axis) * (signs if axis == -1 else signs[:, None])


@dataclass(frozen=True)
class Riffle:
    """Of the numbers of an ``a × b`` matrix, row by row, those of its transpose: a permutation."""

    a: int
    b: int

    @property
    def sizes(self):
        return (self.a * self.b, self.a * self.b)

    @property
    def T(self):
        return Riffle(self.b, self.a)

    @property
    def times(self):
        return self.a * self.b

    def along(self, x: Array, axis: int) -> Array:
        backend = _arrays.backend_of("Riffle", "x", x)
        lead, last = tuple(x.shape[:axis]), tuple(x.shape[axis:][1:])
        x = backend.reshape(x, (*lead, self.a, self.b, *last))
        axes = len(lead)
        x = backend.xp.permute_dims(x, (*range(axes), axes + 1, axes, *range(axes + 2, x.ndim)))
        return backend.reshape(x, (*lead, self.a * self.b, *last))
