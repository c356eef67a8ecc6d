"""Fabrications by the Kronecker product.

They are the four forms of LoKr: both factors full (`Hypercomplex`), the second one of low rank (`LPHM`), the
first one (`MirroredLPHM`), or both (`DualLPHM`). ``w`` holds ``lokr_w1`` or the two factors of it, then
``lokr_w2`` or the two of that.

In all of them ``p`` and ``q`` left out mean the factor nearest below ``√n`` and ``√D``, and in a role with an
expansion its own outer factor in place of that of ``√D``. ``arrangement="reshaped"`` lays the products of all
entries out as tinybig's code does: the outer product of the factors as flat vectors, row by row as ``n × D``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from arrayfab.fabrications.base import Fabrication, OfAnother
from arrayfab.fabrications.blueprint import settle_sizes
from arrayfab.fabrications.sizes import nearest_factor, split_evenly
from arrayfab.structures import Identity, kron, reshaped

ARRANGEMENTS = ("kronecker", "reshaped")


@dataclass(frozen=True, kw_only=True)
class _ByKronecker(Fabrication):
    p: int | None = None
    q: int | None = None
    arrangement: str = field(default="kronecker", kw_only=True)

    def __post_init__(self):
        super().__post_init__()
        if self.arrangement not in ARRANGEMENTS:
            raise ValueError(f"{self}: arrangement must be one of {ARRANGEMENTS}, got {self.arrangement!r}")

    def along(self, p, q):
        return self if self.arrangement == "reshaped" else replace(self, p=self.p or p, q=self.q or q)

    def _product(self, n, D, A, B):
        """``A ⊗ B``, or the outer product of all entries of ``A`` and of ``B``, row by row as ``n × D``."""
        if self.arrangement == "kronecker":
            return kron(A, B)
        (p, q), (s, t) = A.shape, B.shape
        # Where rows of W hold whole multiples of all entries of B, or the other way round, it is a Kronecker
        # product of the same numbers in other shapes.
        if p * q % n == 0:
            return kron(reshaped(A, (n, p * q // n)), reshaped(B, (1, s * t)))
        if n % (p * q) == 0:
            return kron(reshaped(A, (p * q, 1)), reshaped(B, (n // (p * q), D)))
        return reshaped(reshaped(A, (p * q, 1)) @ reshaped(B, (1, s * t)), (n, D))

    def _sizes(self, n, D):
        """``p, q, s, t`` with ``n = p s`` and ``D = q t``."""
        p, q = self.p or nearest_factor(n), self.q or nearest_factor(D)
        return p, q, split_evenly(self, "p", n, "n", p), split_evenly(self, "q", D, "D", q)


@dataclass(frozen=True, kw_only=True)
class Hypercomplex(_ByKronecker):
    """``W = A ⊗ B`` with ``A ∈ R^{p×q}`` and ``B ∈ R^{n/p × D/q}``; ``l = p q + n D / (p q)``."""

    def blocks(self, n, D):
        p, q, s, t = self._sizes(n, D)
        return {"A": (p, q), "B": (s, t)}

    def matrix(self, n, D, A, B):
        return self._product(n, D, A, B)


@dataclass(frozen=True, kw_only=True)
class LPHM(_ByKronecker):
    """``W = A ⊗ (S Tᵀ)``, of which the second factor has rank ``r``; ``l = p q + r (n/p + D/q)``.

    ``w`` holds ``A``, ``S``, then ``Tᵀ``.
    """

    r: int = 2

    def blocks(self, n, D):
        p, q, s, t = self._sizes(n, D)
        return {"A": (p, q), "S": (s, self.r), "Tt": (self.r, t)}

    def matrix(self, n, D, A, S, Tt):
        return self._product(n, D, A, S @ Tt)


@dataclass(frozen=True, kw_only=True)
class MirroredLPHM(_ByKronecker):
    """``W = (P Qᵀ) ⊗ B``, of which the first factor has rank ``r``; ``l = r (p + q) + n D / (p q)``.

    ``w`` holds ``P``, ``Qᵀ``, then ``B``.
    """

    r: int = 2

    def blocks(self, n, D):
        p, q, s, t = self._sizes(n, D)
        return {"P": (p, self.r), "Qt": (self.r, q), "B": (s, t)}

    def matrix(self, n, D, P, Qt, B):
        return self._product(n, D, P @ Qt, B)


@dataclass(frozen=True, kw_only=True)
class DualLPHM(_ByKronecker):
    """``W = (P Qᵀ) ⊗ (S Tᵀ)``, both factors of rank ``r``; ``l = r (p + q + n/p + D/q)``.

    ``w`` holds ``P``, ``Qᵀ``, ``S``, then ``Tᵀ``.
    """

    r: int = 2

    def blocks(self, n, D):
        p, q, s, t = self._sizes(n, D)
        return {"P": (p, self.r), "Qt": (self.r, q), "S": (s, self.r), "Tt": (self.r, t)}

    def matrix(self, n, D, P, Qt, S, Tt):
        return self._product(n, D, P @ Qt, S @ Tt)


@dataclass(frozen=True, kw_only=True)
class Shared(OfAnother):
    """``ψ(w) ⊗ I``: one matrix for each of so many places, in data that lie channel by channel.

    With the cells of patches for channels (`arrayfab.interdependences.Interdependent`) it is a convolution.

    Parameters
    ----------
    inner : Fabrication
        ``ψ``, of ``n / places`` rows and ``D / places`` columns.
    places : int

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import Full, Shared
    >>> Shared(inner=Full(), places=2).fabricate(np.asarray([1.0, 2.0]), 2, 4).to_dense()
    array([[1., 0., 2., 0.],
           [0., 1., 0., 2.]])
    """

    inner: Fabrication
    places: int

    def __post_init__(self):
        if not isinstance(self.inner, Fabrication):
            raise TypeError(f"Shared: inner must be a Fabrication, got {self.inner!r}")
        settle_sizes(self, "places")

    def along(self, p, q):
        return self

    def parts(self, n, D, prefix):
        learned, frozen, structure = self.inner.parts(*self._sizes(n, D), prefix)
        return learned, frozen, kron(structure, Identity((self.places, self.places)))

    def _sizes(self, n, D):
        return (split_evenly(self, "places", size, name, self.places) for name, size in (("n", n), ("D", D)))

    def at_rest(self, n, D, w):
        return self.inner.at_rest(*self._sizes(n, D), w)
