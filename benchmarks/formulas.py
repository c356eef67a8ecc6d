"""Each workload's formula as a user of another library would write it.

`by_hand` is matrix-free and uses only what NumPy, CuPy, PyTorch and JAX spell alike, so that every peer
that is written by hand runs the same algebra. `spec` and `operands` say the same as one ``einsum``.
`gradient` is the pullback written out, where somebody might still write it.

The blocks of a fabrication are the entries of ``k``, under the names and with the shapes that arrayfab gives
them; ``xs`` are the inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Blocks = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Formula:
    """One product in several spellings.

    ``rows`` gives the trailing axes in which the einsum sees a row of ``x``, where not in one.
    """

    by_hand: Callable[[Any, tuple, Blocks], Any]
    spec: str | None = None
    operands: tuple[str, ...] = ()
    rows: Callable[[Blocks], tuple[int, ...]] | None = None
    gradient: Callable[[Any, tuple, Blocks, Any], tuple] | None = None

    def einsum_operands(self, xp: Any, xs: tuple, k: Blocks) -> list:
        """The arrays of the einsum: the inputs side by side, and the blocks."""
        x = xp.concatenate(xs, axis=-1) if len(xs) > 1 else xs[0]
        if self.rows:
            x = x.reshape(x.shape[0], *self.rows(k))
        named = {**k, "x": x}
        # A vector reaches a fabrication's formula as a row.
        return [
            named[name].reshape(-1) if name.startswith("lambda_") else named[name] for name in self.operands
        ]


def low_rank(xp, xs, k):
    """``x (A Bᵀ)ᵀ``."""
    return (xs[0] @ k["Bt"].T) @ k["A"].T


def low_rank_gradient(xp, xs, k, g):
    """``x (A Bᵀ)ᵀ`` and its pullback."""
    (x,) = xs
    z = x @ k["Bt"].T
    gz = g @ k["A"]
    return z @ k["A"].T, (gz @ k["Bt"],), (g.T @ z, gz.T @ x)


def adaption(xp, xs, k):
    """``x (Λ₁ A Λ₂ Bᵀ)ᵀ``, the diagonals folded into the thin factor."""
    return (xs[0] @ k["B"]) @ (k["lambda_1"].reshape(-1, 1) * k["A"] * k["lambda_2"]).T


def hypercomplex(xp, xs, k):
    """``x (A ⊗ B)ᵀ``: with a row of ``x`` as a matrix ``X``, ``A X Bᵀ``."""
    (x,), (q, t) = xs, (k["A"].shape[1], k["B"].shape[1])
    return (k["A"] @ (x.reshape(-1, q, t) @ k["B"].T)).reshape(x.shape[0], -1)


def lphm(xp, xs, k):
    """``x (A ⊗ S Tᵀ)ᵀ``, narrow before it widens."""
    (x,), (q, t) = xs, (k["A"].shape[1], k["Tt"].shape[1])
    return ((k["A"] @ (x.reshape(-1, q, t) @ k["Tt"].T)) @ k["S"].T).reshape(x.shape[0], -1)


def dual_lphm(xp, xs, k):
    """``x (P Qᵀ ⊗ S Tᵀ)``, narrow before it widens."""
    (x,), (p, s) = xs, (k["P"].shape[0], k["S"].shape[0])
    shrunk = k["P"].T @ (x.reshape(-1, p, s) @ k["S"])
    return ((k["Qt"].T @ shrunk) @ k["Tt"]).reshape(x.shape[0], -1)


def dual_lphm_gradient(xp, xs, k, g):
    """``x (P Qᵀ ⊗ S Tᵀ)`` and its pullback."""
    (x,), (p, s), (q, t) = xs, (k["P"].shape[0], k["S"].shape[0]), (k["Qt"].shape[1], k["Tt"].shape[1])
    X, G, r = x.reshape(-1, p, s), g.reshape(-1, q, t), k["P"].shape[1]
    narrow = X @ k["S"]
    shrunk = k["P"].T @ narrow
    wide = k["Qt"].T @ shrunk
    y = (wide @ k["Tt"]).reshape(g.shape)
    gwide = G @ k["Tt"].T
    gshrunk = k["Qt"] @ gwide
    gnarrow = k["P"] @ gshrunk
    gP = (narrow @ gshrunk.transpose(0, 2, 1)).sum(axis=0)
    gQt = (shrunk @ gwide.transpose(0, 2, 1)).sum(axis=0)
    gS = X.reshape(-1, s).T @ gnarrow.reshape(-1, r)
    gTt = wide.reshape(-1, r).T @ G.reshape(-1, t)
    return y, ((gnarrow @ k["S"].T).reshape(x.shape),), (gP, gQt, gS, gTt)


def bilinear_adaption(xp, xs, k):
    """``x xᵀ W x`` with ``W = Λ₁ A Λ₂ Bᵀ``, through the rank."""
    (x,) = xs
    left = k["lambda_1"].reshape(-1, 1) * k["A"] * k["lambda_2"]
    return (x @ (x.T @ left)) @ (k["B"].T @ x)


def low_rank_fusion(xp, xs, k):
    """``(x₁ ⊔ x₂ ⊔ …)(A Bᵀ)ᵀ`` without the concatenation."""
    start, narrow = 0, None
    for x in xs:
        part = x @ k["Bt"][:, start : start + x.shape[1]].T
        narrow, start = part if narrow is None else narrow + part, start + x.shape[1]
    return narrow @ k["A"].T


def hypernet(xp, xs, k):
    """``reshape(((σ((w P) Qᵀ)) S) Tᵀ)``."""
    hidden = 1.0 / (1.0 + xp.exp(-((k["w"].reshape(1, -1) @ k["P"]) @ k["Q"].T)))
    return (k["T"] @ (hidden @ k["S"]).T).reshape(k["shape"])


def full(xp, xs, k):
    """``x W``."""
    return xs[0] @ k["W"]


def full_gradient(xp, xs, k, g):
    """``x W`` and its pullback."""
    (x,) = xs
    return x @ k["W"], (g @ k["W"].T,), (x.T @ g,)


FORMULAS = {
    "low rank reconciliation": Formula(
        by_hand=low_rank, spec="bd,rd,nr->bn", operands=("x", "Bt", "A"), gradient=low_rank_gradient
    ),
    "adaption reconciliation": Formula(
        by_hand=adaption,
        spec="bd,dr,r,nr,n->bn",
        operands=("x", "B", "lambda_2", "A", "lambda_1"),
    ),
    "hm reconciliation": Formula(
        by_hand=hypercomplex,
        spec="bqt,pq,st->bps",
        operands=("x", "A", "B"),
        rows=lambda k: (k["A"].shape[1], k["B"].shape[1]),
    ),
    "lphm reconciliation": Formula(
        by_hand=lphm,
        spec="bqt,rt,pq,sr->bps",
        operands=("x", "Tt", "A", "S"),
        rows=lambda k: (k["A"].shape[1], k["Tt"].shape[1]),
    ),
    "dual lphm interdependence": Formula(
        by_hand=dual_lphm,
        spec="bps,sj,pi,iq,jt->bqt",
        operands=("x", "S", "P", "Qt", "Tt"),
        rows=lambda k: (k["P"].shape[0], k["S"].shape[0]),
        gradient=dual_lphm_gradient,
    ),
    "adaption bilinear": Formula(
        by_hand=bilinear_adaption,
        spec="ck,ik,i,ia,a,ja,jl->cl",
        operands=("x", "x", "lambda_1", "A", "lambda_2", "B", "x"),
    ),
    "low rank fusion": Formula(by_hand=low_rank_fusion, spec="bd,rd,nr->bn", operands=("x", "Bt", "A")),
    "hypernet": Formula(by_hand=hypernet),
    "full interdependence": Formula(
        by_hand=full, spec="bm,mn->bn", operands=("x", "W"), gradient=full_gradient
    ),
}
