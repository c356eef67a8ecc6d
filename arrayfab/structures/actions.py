"""Matrices that lay few numbers out as many: skew-symmetric matrices, and sparse spectra."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array, is_half
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
class Waves:
    """Of the numbers at some places of an ``n × D`` spectrum, the real part of its inverse transform.

    ``W[a, c] = Σₖ wₖ cos(2π (a uₖ / n + c vₖ / D)) / (n D)``, where ``D uₖ + vₖ`` is place ``k``.
    """

    n: int
    D: int
    places: tuple[int, ...]
    is_transposed: bool = False

    has_short_coefficients: ClassVar[bool] = False

    def __hash__(self):
        return self._hash

    @cached_property
    def _hash(self):
        return hash((self.n, self.D, self.places, self.is_transposed))

    @property
    def sizes(self):
        few, many = len(self.places), self.n * self.D
        return (many, few) if self.is_transposed else (few, many)

    @property
    def T(self):
        return replace(self, is_transposed=not self.is_transposed)

    @property
    def times(self):
        size = self.n * self.D
        return 4 * size * size.bit_length()

    @cached_property
    def _where(self):
        """The places, and for all of the spectrum which number is there, the one after the last for zero."""
        places = np.asarray(self.places)
        table = np.full(self.n * self.D, len(places))
        table[places] = np.arange(len(places))
        return places, table

    def along(self, x: Array, axis: int) -> Array:
        backend = _arrays.backend_of("Waves", "x", x)
        xp, mT = backend.xp, backend.mT
        if axis == -2:
            return mT(self.along(mT(x), -1))
        if is_half(x.dtype):
            return xp.astype(self.along(xp.astype(x, xp.float32), -1), x.dtype)
        if not backend.has_fft:
            waves = self._waves.T if self.is_transposed else self._waves
            return x @ _arrays.from_host(waves, xp, x.dtype, _arrays.device_of(x))
        # What place k gives at entry (a, c), entry (a, c) gives at place k: the transform is symmetric.
        places, table = self._where
        if self.is_transposed:
            return backend.take(self._transformed(x, backend), places, -1)
        x = xp.concat([x, xp.zeros_like(x[..., :1])], axis=-1)
        return self._transformed(backend.take(x, table, -1), backend)

    def _transformed(self, x, backend):
        xp, lead = backend.xp, tuple(x.shape[:-1])
        x = backend.reshape(x, (*lead, self.n, self.D))
        x = xp.astype(x, xp.complex64 if x.dtype == xp.float32 else xp.complex128)
        return backend.reshape(xp.real(xp.fft.ifftn(x, axes=(-2, -1))), (*lead, self.n * self.D))

    @cached_property
    def _waves(self):
        places, size = self._where[0], self.n * self.D
        a, c = np.divmod(np.arange(size), self.D)
        u, v = np.divmod(places, self.D)
        turns = np.outer(u, a) * self.D + np.outer(v, c) * self.n
        return np.cos(2 * math.pi * (turns % size) / size) / size
