"""Fabrications of matrices with repeated entries, that are applied or made by the fast Fourier transform."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array, is_half
from arrayfab._cached import cached_property
from arrayfab.fabrications.base import Fabrication
from arrayfab.fabrications.sizes import split_evenly
from arrayfab.frozen import Frozen, Uniform, checked_seed
from arrayfab.structures import Circulant as CirculantMatrix
from arrayfab.structures import Operator, reshaped
from arrayfab.structures import Toeplitz as ToeplitzMatrix


@dataclass(frozen=True, kw_only=True)
class Toeplitz(Fabrication):
    """``W[i, j] = w[i - j + D - 1]``, the same number along each diagonal; ``l = n + D - 1``."""

    def blocks(self, n, D):
        return {"w": (n + D - 1,)}

    def matrix(self, n, D, w):
        return ToeplitzMatrix(w, n, D, D - 1)


@dataclass(frozen=True, kw_only=True)
class Circulant(Fabrication):
    """``n/b × D/b`` circulant blocks, each of which has ``b`` numbers; ``l = n D / b``.

    ``w`` holds their first rows ``h``, ``n/b × D/b × b``; ``h[(c - a) mod b]`` stands in row ``a`` and column
    ``c`` of a block. ``(1 / D) * Circulant(b=b)`` is C³A as PEFT has it, with ``c3a_kernel`` for ``w``.
    """

    b: int = 2

    def blocks(self, n, D):
        p, q = split_evenly(self, "b", n, "n", self.b), split_evenly(self, "b", D, "D", self.b)
        return {"h": (p * q, self.b)}

    def matrix(self, n, D, h):
        return CirculantMatrix(h, n // self.b, D // self.b)


@dataclass(frozen=True, kw_only=True)
class FourierFT(Fabrication):
    """The real part of the inverse Fourier transform of an ``n × D`` spectrum with ``k`` learned numbers.

    ``W[a, c] = Σ wₖ cos(2π (a uₖ/n + c vₖ/D)) / (n D)``; ``l = k``. ``s * FourierFT(k=k, places=…)`` is
    FourierFT as PEFT has it with ``scaling`` for ``s``, and ``fourierft_spectrum`` for ``w``.

    Parameters
    ----------
    k : int
        Learned numbers.
    places : tuple of int, optional
        Where in the spectrum, row by row, they stand; no more than ``n D`` and none twice.
    seed : int
        Left out, the places follow from the seed, each as likely as any other.

    Raises
    ------
    ValueError
        If there are not ``k`` places, one is there twice, or the matrix has fewer entries.
    """

    k: int = 4
    places: tuple[int, ...] | None = None
    seed: int = 0

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "seed", checked_seed(str(self), self.seed))
        if self.places is None:
            return
        object.__setattr__(self, "places", tuple(self.places))
        if len(set(self.places)) != self.k or len(self.places) != self.k:
            raise ValueError(f"{self}: places must be {self.k} different ones")

    def blocks(self, n, D):
        least = self.k - 1 if self.places is None else max(self.places)
        if least >= n * D or min(self.places or (0,)) < 0:
            raise ValueError(f"{self}: a spectrum of {n} × {D} has no such {self.k} places")
        return {"w": (self.k,)}

    def matrix(self, n, D, w):
        return reshaped(w @ Operator(Waves(n, D, self.k, self.places, self.seed)), (n, D))


@dataclass(frozen=True)
class Waves:
    """Of the numbers at some places of an ``n × D`` spectrum, the real part of its inverse transform.

    The places are the first ``k`` of those in the order of a seed, where none are given.
    """

    n: int
    D: int
    k: int
    places: tuple[int, ...] | None
    seed: int
    is_transposed: bool = False

    has_short_coefficients: ClassVar[bool] = False

    @property
    def sizes(self):
        few, many = self.k, self.n * self.D
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
        places = np.asarray(self.places or _order(self.seed, self.n * self.D)[: self.k])
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


@lru_cache(maxsize=1)
def _order(seed: int, size: int) -> np.ndarray:
    """The places of a spectrum in an order that follows from a seed, each as likely as any other."""
    return np.argsort(Frozen(seed, "places", Uniform(1, size)).draw()[0], kind="stable")
