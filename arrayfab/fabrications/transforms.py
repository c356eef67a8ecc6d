"""Fabrications of matrices with repeated entries, that are applied or made by the fast Fourier transform."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from arrayfab.fabrications.base import Fabrication
from arrayfab.fabrications.sizes import split_evenly
from arrayfab.frozen import Frozen, Uniform, checked_seed
from arrayfab.structures import Circulant as CirculantMatrix
from arrayfab.structures import Operator, reshaped
from arrayfab.structures import Toeplitz as ToeplitzMatrix
from arrayfab.structures.actions import Waves


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
        places = self.places or self._drawn(n, D)
        return reshaped(w @ Operator(Waves(n, D, places)), (n, D))

    def _drawn(self, n, D):
        order = np.argsort(Frozen(self.seed, "places", Uniform(1, n * D)).draw()[0], kind="stable")
        return tuple(order[: self.k].tolist())
