"""Products of expanded data by the identities that leave κ(x) unformed, and κ(x) itself in plain formulas.

`FORMULAS` holds what a user of another library would write by hand, in what NumPy, PyTorch and JAX spell
alike. `EXPANSIONS` gives the array κ(x) with its pullback, and `PRODUCTS` what is made of it by W's factors:
that is what everybody writes first, and the reference.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

import formulas
from formulas import Formula

EPS = 1e-5
DEGREE = 5  # of Chebyshev polynomials
INTERVALS, SPLINE = 5, 3  # of B-splines: intervals of (-1, 1) and degree


# By hand, κ(x) not formed.


def with_one(xp, x):
    """``(1, x)``."""
    return xp.concatenate((xp.ones_like(x[:, :1]), x), 1)


def face(a, b):
    """Rows ``aᵢ ⊗ bᵢ``."""
    return (a[:, :, None] * b[:, None, :]).reshape(a.shape[0], -1)


def taylor(xp, x, d):
    """``(x, x ⊗ x, …)``."""
    K = x
    for _ in range(d - 1):
        K = face(with_one(xp, K), x)
    return K


def times_rows(xp, x, M, d):
    """``κ(x) Mᵀ`` for a few rows ``M``: ``uᵀ M_c x`` with ``u = (1, κ_{d-1}(x))``, the wider side first."""
    if d == 1:
        return x @ M.T
    (c, D), m = M.shape, x.shape[1]
    q = D // m
    if d == 2:
        t = (x @ M.reshape(c * q, m).T).reshape(-1, c, q)
        return t[:, :, 0] + (t[:, :, 1:] @ x[:, :, None])[:, :, 0]
    u, M = with_one(xp, taylor(xp, x, d - 1)), M.reshape(c, q, m)
    if xp.__name__ == "jax.numpy":  # a product for each row is what XLA is fastest at
        return xp.stack([((u @ M[i]) * x).sum(-1) for i in range(c)], -1)
    return ((u @ M) * x).sum(-1).T


def taylor_low_rank(xp, x, k, d):
    """``κ(x) (A Bᵀ)ᵀ``."""
    return times_rows(xp, x, k["Bt"], d) @ k["A"].T


def taylor_lphm(xp, x, k, d):
    """``κ(x) (A ⊗ S Tᵀ)ᵀ``, with ``κ(x) = u • x``: ``(u Aᵀ) • (x T Sᵀ)``."""
    left = k["A"][:, 0] + times_rows(xp, x, k["A"][:, 1:], d - 1)
    return face(left, (x @ k["Tt"].T) @ k["S"].T)


def taylor_dual_lphm(xp, x, k, d):
    """``κ(x) (P Qᵀ ⊗ S Tᵀ)ᵀ`` likewise."""
    left = k["Qt"][:, 0] + times_rows(xp, x, k["Qt"][:, 1:], d - 1)
    return face(left @ k["P"].T, (x @ k["Tt"].T) @ k["S"].T)


def taylor_reshaped(xp, x, k, d):
    """tinybig's arrangement for ``d = 2``, whose blocks of κ(x) do not lie along the rows of ``x``.

    Block ``k`` of the matrix ``u xᵀ``, row by row, begins in row ``s k`` at column ``s k``. So ``S Tᵀ``, row
    by row behind ``s k`` zeros, is a matrix ``H_k`` of ``s + 1`` rows with ``f_k = Σ_i u_{sk+i} (H_k x)_i``.
    """
    left, right = k["P"] @ k["Qt"], (k["S"] @ k["Tt"]).reshape(-1)
    (b, m), n = x.shape, k["shape"][0]
    blocks = math.prod(left.shape) // n
    s = m // blocks
    h = xp.concatenate((right, xp.zeros_like(right[:m])))
    H = xp.tile(h, (blocks,))[: blocks * (s + 1) * m].reshape(blocks * (s + 1), m)
    t = (x @ H.T).reshape(b, blocks, s + 1)
    u = with_one(xp, x)
    f = (t[:, :, :s] * u[:, :m].reshape(b, blocks, s)).sum(-1) + t[:, :, s] * u[:, s::s]
    return f @ left.reshape(n, blocks).T


def normalized(product):
    """``((κ(x) − μ) / √(v + eps)) Wᵀ`` from ``κ(x) Wᵀ``, ``W 1`` and sums of powers.

    The products of ones are ones, so that ``W 1`` is the product of one row more.
    """

    def of_rows(xp, x, k, d):
        y = product(xp, xp.concatenate((x, xp.ones_like(x[:1])), 0), k, d)
        sums, squares = x.sum(1), (x * x).sum(1)
        total, square = sum(sums**i for i in range(1, d + 1)), sum(squares**i for i in range(1, d + 1))
        mean, D = total / k["shape"][1], k["shape"][1]
        scale = (square / D - mean * mean + EPS) ** -0.5
        return scale[:, None] * (y[:-1] - mean[:, None] * y[-1])

    return of_rows


def of_functions(values):
    """``κ(x) (A Bᵀ)ᵀ`` for functions of one number, those of an attribute one after the other."""

    def product(xp, xs, k):
        (x,) = xs
        K = xp.stack(values(xp, x), -1).reshape(x.shape[0], -1)
        return (K @ k["Bt"].T) @ k["A"].T

    return product


def chebyshev(xp, x):
    """``T₁ … T_d``."""
    twice, found = x + x, [xp.ones_like(x), x]
    for _ in range(DEGREE - 1):
        found.append(twice * found[-1] - found[-2])
    return found[1:]


def splines(xp, x):
    """Cubic B-splines, each ``(2 − |t|)₊³ − 4 (1 − |t|)₊³`` over 6, ``t`` from its middle in intervals."""
    places, found = (x + 1.0) * (INTERVALS / 2.0), []
    for k in range(-SPLINE, INTERVALS):
        a = abs(places - (k + 2.0))
        wide, narrow = xp.clip(2.0 - a, 0.0, 2.0), xp.clip(1.0 - a, 0.0, 1.0)
        found.append((wide * wide * wide - 4.0 * (narrow * narrow * narrow)) * (1 / 6))
    return found


BY_VARIANT = {
    "low rank": taylor_low_rank,
    "lphm": taylor_lphm,
    "dual lphm": taylor_dual_lphm,
    "reshaped dual lphm": taylor_reshaped,
}


def _of_taylor(product, d):
    def by_hand(xp, xs, k):
        return product(xp, xs[0], k, d)

    return Formula(by_hand=by_hand)


FORMULAS = {
    "chebyshev, low rank": Formula(by_hand=of_functions(chebyshev)),
    "splines, low rank": Formula(by_hand=of_functions(splines)),
}
for _variant, _product in BY_VARIANT.items():
    for _d in (2, 3):
        FORMULAS[f"taylor {_d}, {_variant}"] = _of_taylor(_product, _d)
        FORMULAS[f"normalized taylor {_d}, {_variant}"] = _of_taylor(normalized(_product), _d)


# κ(x) formed.


class Expanded(NamedTuple):
    """κ(x) as an array, and what pulls its cotangent back."""

    array: np.ndarray
    pull: Callable[[np.ndarray], np.ndarray]


def formed_taylor(x: np.ndarray, d: int) -> Expanded:
    """All products of attributes."""
    arrays = [x]
    for _ in range(d - 1):
        arrays.append(face(with_one(np, arrays[-1]), x))

    def pull(g):
        b, m = x.shape
        gx = 0.0
        for K in arrays[-2::-1]:
            g = g.reshape(b, -1, m)
            gx = gx + (with_one(np, K)[:, None, :] @ g)[:, 0]
            g = (g @ x[:, :, None])[:, 1:, 0]
        return g + gx

    return Expanded(arrays[-1], pull)


def formed_normalized(x: np.ndarray, d: int) -> Expanded:
    """The same with mean zero and variance one in every row."""
    K, pull_K = formed_taylor(x, d)
    centred = K - K.mean(axis=1, keepdims=True)
    scale = 1.0 / np.sqrt(np.mean(centred * centred, axis=1, keepdims=True) + EPS)
    z = centred * scale

    def pull(g):
        gz = g - g.mean(axis=1, keepdims=True) - z * np.mean(g * z, axis=1, keepdims=True)
        return pull_K(scale * gz)

    return Expanded(z, pull)


def _of_attributes(values, slopes, x):
    K = np.stack(values, axis=-1)

    def pull(g):
        return np.sum(g.reshape(K.shape) * np.stack(slopes, axis=-1), axis=-1)

    return Expanded(K.reshape(x.shape[0], -1), pull)


def formed_chebyshev(x: np.ndarray) -> Expanded:
    """Chebyshev polynomials, and ``Tₙ' = n Uₙ₋₁``."""
    kinds = {1: [np.ones_like(x), x], 2: [np.ones_like(x), 2 * x]}
    for found in kinds.values():
        while len(found) <= DEGREE:
            found.append(2 * x * found[-1] - found[-2])
    slopes = [n * kinds[2][n - 1] for n in range(1, DEGREE + 1)]
    return _of_attributes(kinds[1][1:], slopes, x)


def formed_splines(x: np.ndarray) -> Expanded:
    """B-splines and their slopes, by the recursion of Cox and de Boor."""
    h = 2.0 / INTERVALS
    knots = [(j - SPLINE) * h - 1.0 for j in range(INTERVALS + 2 * SPLINE + 1)]
    B = [((low <= x) & (x < high)).astype(x.dtype) for low, high in pairwise(knots)]
    for k in range(1, SPLINE + 1):
        lower = B
        B = [
            ((x - knots[j]) * lower[j] + (knots[j + k + 1] - x) * lower[j + 1]) / (k * h)
            for j in range(len(lower) - 1)
        ]
    slopes = [(low - high) / h for low, high in pairwise(lower)]
    return _of_attributes(B, slopes, x)


EXPANSIONS: dict[str, Callable[[np.ndarray], Expanded]] = {
    "chebyshev": formed_chebyshev,
    "splines": formed_splines,
}
for _d in (2, 3):
    EXPANSIONS[f"taylor {_d}"] = lambda x, d=_d: formed_taylor(x, d)
    EXPANSIONS[f"normalized taylor {_d}"] = lambda x, d=_d: formed_normalized(x, d)


# What is made of κ(x) by W's factors: y and, given a cotangent, the gradients of κ(x) and of the blocks.


def low_rank(xp, xs, k, g=None):
    """``κ (A Bᵀ)ᵀ``."""
    return formulas.low_rank(xp, xs, k) if g is None else formulas.low_rank_gradient(xp, xs, k, g)


def kronecker(xp, xs, k, g=None):
    """``κ (A ⊗ S Tᵀ)ᵀ`` and ``κ (P Qᵀ ⊗ S Tᵀ)ᵀ``, narrow before they widen."""
    (K,), S, Tt = xs, k["S"], k["Tt"]
    lefts = [k["P"], k["Qt"]] if "P" in k else [k["A"]]
    q, t, r = lefts[-1].shape[1], Tt.shape[1], Tt.shape[0]
    X = K.reshape(-1, q, t)
    inner = [X @ Tt.T]
    for left in lefts[::-1]:
        inner.append(left @ inner[-1])
    y = (inner[-1] @ S.T).reshape(K.shape[0], -1)
    if g is None:
        return y
    G = g.reshape(-1, lefts[0].shape[0], S.shape[0])
    gS = G.reshape(-1, S.shape[0]).T @ inner[-1].reshape(-1, r)
    gz, grads = G @ S, []
    for left, below in zip(lefts, inner[-2::-1], strict=True):
        grads.append((gz @ below.transpose(0, 2, 1)).sum(axis=0))
        gz = left.T @ gz
    gTt = gz.reshape(-1, r).T @ X.reshape(-1, t)
    return y, ((gz @ Tt).reshape(K.shape),), (*grads, gS, gTt)


def reshaped(xp, xs, k, g=None):
    """tinybig's arrangement, a Kronecker product of the same numbers in other shapes."""
    (K,), (n, _), P, Qt, S, Tt = xs, k["shape"], k["P"], k["Qt"], k["S"], k["Tt"]
    left, right = (P @ Qt).reshape(n, -1), (S @ Tt).reshape(-1)
    X = K.reshape(K.shape[0], -1, right.size)
    f = X @ right
    if g is None:
        return f @ left.T
    gf = g @ left
    gleft, gright = (g.T @ f).reshape(P.shape[0], -1), gf.reshape(-1) @ X.reshape(-1, right.size)
    gright = gright.reshape(S.shape[0], -1)
    grads = (gleft @ Qt.T, P.T @ gleft, gright @ Tt.T, S.T @ gright)
    return f @ left.T, ((gf[:, :, None] * right).reshape(K.shape),), grads


PRODUCTS: dict[str, Callable] = {
    "low rank": low_rank,
    "lphm": kronecker,
    "dual lphm": kronecker,
    "reshaped dual lphm": reshaped,
}


def formed(kind: str) -> tuple[Callable, Callable]:
    """κ(x) with its pullback, and the product with its own, of a kind of workload."""
    expansion, _, product = kind.partition(", ")
    return EXPANSIONS[expansion], PRODUCTS[product]
