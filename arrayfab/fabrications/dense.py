"""Fabrications without a smaller factor: all numbers, none, or the same ones again and again."""

from __future__ import annotations

from dataclasses import dataclass

from arrayfab.fabrications.base import Fabrication
from arrayfab.fabrications.seeded import Seeded
from arrayfab.fabrications.sizes import split_evenly
from arrayfab.frozen import Bernoulli
from arrayfab.structures import Constant as ConstantMatrix
from arrayfab.structures import Identity, hadamard, kron


@dataclass(frozen=True, kw_only=True)
class Full(Fabrication):
    """``W = reshape(w)``: every entry is learned, ``l = n D``."""

    def blocks(self, n, D):
        return {"W": (n, D)}

    def matrix(self, n, D, W):
        return W


@dataclass(frozen=True, kw_only=True)
class Constant(Fabrication):
    """``W = c · 1``: every entry is ``c``, nothing is learned."""

    c: float = 1.0

    def matrix(self, n, D):
        return ConstantMatrix((n, D), float(self.c))


@dataclass(frozen=True, kw_only=True)
class Eye(Fabrication):
    """``W = I``, ones on the main diagonal of an ``n × D`` matrix; nothing is learned."""

    def matrix(self, n, D):
        return Identity((n, D))


@dataclass(frozen=True, kw_only=True)
class Masked(Seeded):
    """``W = reshape(w) ∘ mask`` with a frozen mask that keeps an entry with probability ``p``."""

    p: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.p <= 1:
            raise ValueError(f"{self}: p must be a probability, got {self.p!r}")

    def blocks(self, n, D):
        return {"W": (n, D)}

    def frozen(self, n, D):
        return {"mask": Bernoulli(n, D, self.p)}

    def matrix(self, n, D, W, mask):
        return hadamard(W, mask)


@dataclass(frozen=True, kw_only=True)
class DuplicatedPadding(Fabrication):
    """``W = 1_{p×q} ⊗ w``: one block of ``n/p × D/q`` learned numbers, repeated ``p × q`` times.

    ``q`` left out means ``p``.
    """

    p: int = 2
    q: int | None = None

    def blocks(self, n, D):
        q = self.q or self.p
        return {"block": (split_evenly(self, "p", n, "n", self.p), split_evenly(self, "q", D, "D", q))}

    def matrix(self, n, D, block):
        # As 1_{p×1} 1_{1×q}: rows may be added up before they meet the block.
        ones = ConstantMatrix((self.p, 1), 1.0) @ ConstantMatrix((1, self.q or self.p), 1.0)
        return kron(ones, block)


@dataclass(frozen=True, kw_only=True)
class DuplicatedDiagonalPadding(Fabrication):
    """``W = I_p ⊗ w``: one block of ``n/p × D/p`` learned numbers on each of ``p`` diagonal blocks."""

    p: int = 2

    def blocks(self, n, D):
        return {"block": (split_evenly(self, "p", n, "n", self.p), split_evenly(self, "p", D, "D", self.p))}

    def matrix(self, n, D, block):
        return kron(Identity((self.p, self.p)), block)
