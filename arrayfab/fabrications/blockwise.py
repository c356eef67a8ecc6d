"""Fabrications by diagonals and by blocks of their own on the diagonal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from arrayfab import _arrays
from arrayfab.fabrications.base import Fabrication, OfAnother
from arrayfab.fabrications.blueprint import blueprint
from arrayfab.fabrications.sizes import nearest_factor, split_evenly
from arrayfab.structures import BlockDiagonal as BlockDiagonalMatrix
from arrayfab.structures import Dense, Diagonal, Operator, UnitRows
from arrayfab.structures.actions import Riffle


@dataclass(frozen=True, kw_only=True)
class IA3(Fabrication):
    """``W = diag(v)``, to scale what it is multiplied with; ``l = n``.

    ``IA3() @ Base(W0)`` scales the results of ``W₀``, ``Base(W0) @ IA3()`` what comes in: (IA)³ has the
    former for keys and values and the latter for feed-forward layers, with ``ia3_l`` for ``w`` in PEFT.
    ``init(zero=True)`` starts from the identity.
    """

    is_square: ClassVar[bool] = True

    def blocks(self, n, D):
        return {"v": (n,)}

    def matrix(self, n, D, v):
        return Diagonal(v)

    def at_rest(self, n, D, w):
        return np.ones_like(w)


@dataclass(frozen=True, kw_only=True)
class DoRA(OfAnother):
    """``W = diag(m) V`` with rows of length one: ``V`` is ``ψ(w)`` with each row divided by its length.

    Or columns in place of rows. ``w`` holds ``m``, of ``n`` or ``D`` numbers, then that of ``ψ``.
    ``DoRA(inner=Base(W0) + (alpha / r) * LowRank(r=r))`` is DoRA as PEFT has it, with
    ``lora_magnitude_vector``, ``lora_B`` and ``lora_A`` for ``w``. The gradient is that of the whole formula;
    PEFT takes the lengths for constants in it. ``init(zero=True)`` starts from the matrix of ``ψ`` at rest.

    Parameters
    ----------
    inner : Fabrication
        ``ψ``.
    per : str
        ``"row"`` or ``"column"``.

    Raises
    ------
    TypeError, ValueError
        If ``inner`` is no fabrication, or ``per`` neither of them.
    """

    inner: Fabrication
    per: str = "row"

    def __post_init__(self):
        if not isinstance(self.inner, Fabrication):
            raise TypeError(f"DoRA: inner must be a Fabrication, got {self.inner!r}")
        if self.per not in ("row", "column"):
            raise ValueError(f"{self}: per must be 'row' or 'column', got {self.per!r}")

    def along(self, p, q):
        return DoRA(inner=self.inner.along(p, q), per=self.per)

    def parts(self, n, D, prefix):
        learned, frozen, V = self.inner.parts(n, D, f"{prefix}inner.")
        shape = (1, n if self.per == "row" else D)
        m = Dense(f"{prefix}m", shape)
        W = Diagonal(m) @ UnitRows(V) if self.per == "row" else UnitRows(V.T).T @ Diagonal(m)
        return {m.name: shape} | learned, frozen, W

    def at_rest(self, n, D, w):
        size = n if self.per == "row" else D
        inner = self.inner.at_rest(n, D, w[size:])
        handed_in = blueprint(self.inner, n, D).handed_in
        here = {name: _arrays.to_host(array).astype(w.dtype) for name, array in handed_in.items()}
        V = self.inner.with_frozen(**here).fabricate(inner, n, D).to_dense()
        return np.concatenate([np.linalg.norm(V, axis=1 if self.per == "row" else 0), inner])


@dataclass(frozen=True, kw_only=True)
class BlockDiagonal(Fabrication):
    """``p`` blocks of ``n/p × D/p`` learned numbers along the diagonal, zeros elsewhere; ``l = n D / p``.

    ``w`` holds the blocks, one after the other.
    """

    p: int = 2

    def blocks(self, n, D):
        split_evenly(self, "p", n, "n", self.p)
        return {"stack": (n, split_evenly(self, "p", D, "D", self.p))}

    def matrix(self, n, D, stack):
        return BlockDiagonalMatrix(stack, self.p)


@dataclass(frozen=True, kw_only=True)
class Monarch(Fabrication):
    """``W = P₁ L P₂ R`` with block-diagonal ``L`` and ``R``, and permutations between; ``l = p D + q n``.

    In row ``a p + j`` and column ``i D/q + t`` stands ``L_j[a, i] R_i[j, t]``, so that each of the ``p q``
    matrices of fixed ``j`` and ``i`` has rank one. ``w`` holds the ``p`` blocks of ``L``, ``n/p × q``, then
    the ``q`` blocks of ``R``, ``p × D/q``. ``p`` and ``q`` left out are the factors nearest below ``√n`` and
    ``√D``.
    """

    p: int | None = None
    q: int | None = None

    def sizes(self, n: int, D: int) -> tuple[int, int, int, int]:
        """``p, q, n/p, D/q``."""
        p, q = self.p or nearest_factor(n), self.q or nearest_factor(D)
        return p, q, split_evenly(self, "p", n, "n", p), split_evenly(self, "q", D, "D", q)

    def blocks(self, n, D):
        p, q, _, t = self.sizes(n, D)
        return {"L": (n, q), "R": (q * p, t)}

    def matrix(self, n, D, L, R):
        p, q, s, _ = self.sizes(n, D)
        first, second = Operator(Riffle(s, p)), Operator(Riffle(p, q))
        return first @ BlockDiagonalMatrix(L, p) @ second @ BlockDiagonalMatrix(R, q)
