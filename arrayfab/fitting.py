"""Learned numbers whose matrix is near a given one, in the Frobenius norm.

Where a closed form gives the nearest matrix of all, it is taken: projections, the truncated SVD (C. Eckart,
G. Young, 1936) and the rank-one approximation of the rearranged matrix (C. Van Loan, N. Pitsianis, 1993).
Elsewhere steps that are exact in one factor alternate, or Gauss–Newton is run, and a local optimum is found.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import NamedTuple

import numpy as np

from arrayfab import _arrays
from arrayfab import fabrications as fab
from arrayfab._arrays import Array
from arrayfab.fabrications import Fabrication
from arrayfab.fabrications.blueprint import blueprint
from arrayfab.roles import Reconciliation

_ROUNDS = 500  # of alternation, at most
_STILL = 1e-14  # a factor that moves by no more of its length has settled


@dataclass(frozen=True, eq=False)
class Fit:
    """Learned numbers, how far their matrix is from the target, and whether any other could be nearer."""

    w: Array
    error: float
    is_optimal: bool


def fit(fabrication: Fabrication, target: Array) -> Fit:
    """The learned numbers ``w`` that bring ``W = ψ(w)`` near a target.

    Parameters
    ----------
    fabrication : Fabrication
        ``ψ``.
    target : array, shape ``(n, D)``
        Of any namespace. The work is done on the host, in float64.

    Returns
    -------
    Fit
        ``w`` lives where the target does, in its dtype; ``error`` is ``‖W - target‖`` in the Frobenius norm,
        of the matrix of that very ``w``; ``is_optimal`` says whether no other ``w`` has a smaller error,
        rounding aside. It is so for every formula that is linear in ``w``, for `LowRank` and for
        `Hypercomplex`. For others ``w`` is what a deterministic search has come to.

    Raises
    ------
    TypeError, ValueError
        If the target is no matrix of real floating numbers, all of them finite, or the hyper-parameters do
        not fit its shape.
    ImportError
        If the formula has no closed form, and SciPy is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import LowRank
    >>> from arrayfab.fitting import fit
    >>> found = fit(LowRank(r=1), np.diag([4.0, 2.0, 1.0]))
    >>> round(found.error**2, 12), found.is_optimal  # the squared singular values left out
    (5.0, True)
    """
    xp = _arrays.check_real_floating("fit", "target", target).xp
    if target.ndim != 2:
        raise ValueError(f"fit: target must have shape (n, D), got {tuple(target.shape)}")
    n, D = target.shape
    fabrication.num_parameters(n, D)  # whose error names the size that does not fit
    numbers = on_host(target)
    if not np.all(np.isfinite(numbers)):
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(numbers))[0])
        raise ValueError(f"fit: target must be finite, got {numbers[at]} at {at}")
    if not np.any(numbers) and blueprint(fabrication, n, D).structure.zeroing:
        # One factor alone is zero: were they all, no gradient would lead away.
        w, is_optimal = fabrication.init(n, D, rng=0, zero=True), True
    else:
        w, is_optimal = _nearest(fabrication, numbers)
    w = _arrays.from_host(w, xp, target.dtype, _arrays.device_of(target))
    W = fabrication.fabricate(on_host(w), n, D).to_dense()
    return Fit(w, float(np.linalg.norm(W - numbers)), is_optimal)


def on_host(array: Array) -> np.ndarray:
    """An array of any namespace as one of NumPy in float64."""
    xp = _arrays.check_real_floating("fit", "array", array).xp
    if array.dtype not in (xp.float32, xp.float64):  # NumPy may not have the dtype
        array = xp.astype(array, xp.float32)
    return _arrays.to_host(array).astype(np.float64)


class _Nearest(NamedTuple):
    w: np.ndarray
    is_optimal: bool


@singledispatch
def _nearest(fabrication: Fabrication, target: np.ndarray) -> _Nearest:
    """Without a closed form: linear least squares for what is linear in ``w``, else Gauss–Newton."""
    n, D = target.shape
    structure = blueprint(fabrication, n, D).structure
    if not fabrication.num_parameters(n, D):
        return _Nearest(np.zeros(0), True)
    from arrayfab.interop.scipy import load, residuals

    fun, jac = residuals(Reconciliation(fabrication=fabrication, n=n, D=D), np.eye(D), target.T)
    if structure.degree == 1:
        zero, lsmr = np.zeros(fabrication.num_parameters(n, D)), load("scipy.sparse.linalg").lsmr
        options = {"atol": 1e-14, "btol": 1e-14, "conlim": 0, "maxiter": 10 * len(zero)}
        return _Nearest(lsmr(jac(zero), -fun(zero), **options)[0], True)
    least_squares = load("scipy.optimize").least_squares
    start = fabrication.init(n, D, rng=0)
    options = {"xtol": 1e-12, "ftol": 1e-12, "max_nfev": 30}
    if len(start) == 1:  # SciPy's lsmr solver wants two unknowns
        return _Nearest(least_squares(fun, start, jac=lambda w: jac(w) @ np.eye(1), **options).x, False)
    return _Nearest(least_squares(fun, start, jac=jac, tr_solver="lsmr", **options).x, False)


@_nearest.register
def _(fabrication: fab.Scaled, target):
    if not fabrication.scale:
        return _Nearest(np.zeros(fabrication.num_parameters(*target.shape)), True)
    return _nearest(fabrication.inner, target / fabrication.scale)


@_nearest.register
def _(fabrication: fab.Full, target):
    return _Nearest(target.reshape(-1), True)


@_nearest.register
def _(fabrication: fab.Masked, target):
    mask = fabrication.fabricate(np.ones(target.size), *target.shape).to_dense()
    return _Nearest((target * mask).reshape(-1), True)


@_nearest.register
def _(fabrication: fab.DuplicatedPadding, target):
    p, q = fabrication.p, fabrication.q or fabrication.p
    return _Nearest(_rearranged(target, p, q).mean(axis=0), True)


@_nearest.register
def _(fabrication: fab.DuplicatedDiagonalPadding, target):
    p = fabrication.p
    return _Nearest(_rearranged(target, p, p)[:: p + 1].mean(axis=0), True)


@_nearest.register
def _(fabrication: fab.LowRank, target):
    return _Nearest(_joined(*_factors(target, fabrication.r)), True)


@_nearest.register
def _(fabrication: fab.Hypercomplex, target):
    p, q, _, _ = fabrication._sizes(*target.shape)
    return _Nearest(_joined(*_factors(_rearranged(target, p, q), 1)), True)


@_nearest.register
def _(fabrication: fab.LPHM, target):
    p, q, s, t = fabrication._sizes(*target.shape)
    a, b = _alternated(
        _rearranged(target, p, q), lambda a: a, lambda b: _truncated(b.reshape(s, t), fabrication.r)
    )
    # The rank does not bind where the second factor could not have a higher one.
    return _Nearest(_joined(a, *_factors(b.reshape(s, t), fabrication.r)), fabrication.r >= min(s, t))


@_nearest.register
def _(fabrication: fab.DualLPHM, target):
    r, (p, q, s, t) = fabrication.r, fabrication._sizes(*target.shape)
    a, b = _alternated(
        _rearranged(target, p, q),
        lambda a: _truncated(a.reshape(p, q), r),
        lambda b: _truncated(b.reshape(s, t), r),
    )
    factors = *_factors(a.reshape(p, q), r), *_factors(b.reshape(s, t), r)
    return _Nearest(_joined(*factors), r >= max(min(p, q), min(s, t)))


@_nearest.register
def _(fabrication: fab.RandomMatrixAdaption, target):
    # ‖Λ₁ A Λ₂ Bᵀ − M‖² is quadratic in each diagonal.  With K = Bᵀ B and Y = M B, row i of it is least for
    # λ₁ᵢ = (aᵢ∘λ₂)·yᵢ / (aᵢ∘λ₂) K (aᵢ∘λ₂), and λ₂ solves ((Aᵀ Λ₁² A) ∘ K) λ₂ = (A ∘ Y)ᵀ λ₁.
    A, B = (frozen.draw() for frozen in blueprint(fabrication, *target.shape).frozen.values())
    K, Y = B.T @ B, target @ B
    # Λ₂ nearly is the direction in which the rows of A ∘ (M B K⁻¹) are longest, since A² varies around one.
    second = np.linalg.svd(A * (Y @ np.linalg.pinv(K)), full_matrices=False)[2][0]
    for _ in range(_ROUNDS):
        before, scaled = second, A * second
        first = _ratio(np.sum(scaled * Y, axis=1), np.sum((scaled @ K) * scaled, axis=1))
        normal = ((A * first[:, None] ** 2).T @ A) * K
        ridge = np.finfo(np.float64).eps * np.trace(normal) / len(normal) or 1.0  # nothing but rounding
        second = np.linalg.solve(normal + ridge * np.eye(len(normal)), (A * Y).T @ first)
        if np.linalg.norm(second - before) <= _STILL * np.linalg.norm(second):
            break
    return _Nearest(_joined(first, second), False)


@_nearest.register
def _(fabrication: fab.Hypernet, target):
    return _nearest(*_reduced(fabrication, target, "V", "c"))


@_nearest.register
def _(fabrication: fab.RandomMatrixHypernet, target):
    return _nearest(*_reduced(fabrication, target, "T"))


def _reduced(fabrication: Fabrication, target: np.ndarray, last: str, offset: str | None = None):
    """The same network with fewer outputs, and their target, at the same error up to a constant.

    The last layer is linear: ``‖V h + c − m‖² = ‖R h − Qᵀ (m − c)‖² + constant``, where ``V = Q R``.
    """
    frozen = blueprint(fabrication, *target.shape).frozen
    Q, R = np.linalg.qr(frozen[last].draw())
    numbers, given = target.reshape(-1), {last: R}
    if offset:
        numbers = numbers - frozen[offset].draw()[0]
        given[offset] = np.zeros((1, len(R)))
    # Its other frozen blocks are the same, since they depend on neither n nor D.
    return fabrication.with_frozen(**given), (Q.T @ numbers)[None, :]


def _rearranged(target: np.ndarray, p: int, q: int) -> np.ndarray:
    """The ``p q`` blocks of a matrix, each as a row: that of ``A ⊗ B`` is ``vec(A) vec(B)ᵀ``."""
    n, D = target.shape
    blocks = target.reshape(p, n // p, q, D // q).transpose(0, 2, 1, 3)
    return blocks.reshape(p * q, -1)


def _factors(matrix: np.ndarray, r: int) -> tuple[np.ndarray, np.ndarray]:
    """``A`` of ``r`` columns and ``Bᵀ`` of ``r`` rows, equally long, with the product nearest to a matrix.

    Columns of ``A`` beyond the matrix's own rank are random, and meet rows of zeros: where both are zero, no
    gradient would ever bring them into use.
    """
    (n, D), eps = matrix.shape, np.finfo(np.float64).eps
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    rank = min(r, int(np.count_nonzero(s > max(n, D) * eps * s[0])))
    root = np.sqrt(s[:rank])
    A, Bt = u[:, :rank] * root, root[:, None] * vt[:rank]
    length = root[-1] if rank else 1.0
    unused = length / math.sqrt(n) * np.random.default_rng(0).standard_normal((n, r - rank))
    return np.concatenate([A, unused], axis=1), np.pad(Bt, ((0, r - rank), (0, 0)))


def _truncated(matrix: np.ndarray, r: int) -> np.ndarray:
    """The nearest matrix of rank ``r``, as a vector."""
    A, Bt = _factors(matrix, r)
    return (A @ Bt).reshape(-1)


def _alternated(matrix: np.ndarray, constrain_a: Callable, constrain_b: Callable):
    """Vectors whose outer product is near a matrix, each within a set of matrices of some rank.

    For a given ``b``, ``‖a bᵀ − M‖² = ‖b‖² ‖a − M b / ‖b‖²‖² + constant``, so that the best ``a`` is the
    truncation of ``M b / ‖b‖²``; and likewise the best ``b``. The start is best without the ranks.
    """
    _, b = _factors(matrix, 1)
    b = constrain_b(b[0])
    for _ in range(_ROUNDS):
        before = b
        a = constrain_a(_ratio(matrix @ b, b @ b))
        b = constrain_b(_ratio(a @ matrix, a @ a))
        if np.linalg.norm(b - before) <= _STILL * np.linalg.norm(b):
            break
    return a, b


def _ratio(above, below):
    """``above / below``, zero where ``below`` is."""
    return np.divide(above, below, out=np.zeros_like(above), where=np.asarray(below) > 0)


def _joined(*blocks: np.ndarray) -> np.ndarray:
    return np.concatenate([block.reshape(-1) for block in blocks])
