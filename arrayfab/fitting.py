"""Learned numbers whose matrix is near a given one, in the Frobenius norm.

Where a closed form gives the nearest matrix of all, it is taken: projections, the truncated SVD (C. Eckart,
G. Young, 1936) and the rank-one approximation of the rearranged matrix (C. Van Loan, N. Pitsianis, 1993).
Elsewhere steps that are exact in one factor alternate, with momentum (Y. Nesterov, 1983), or Gauss–Newton is
run, and a local optimum is found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import NamedTuple

import numpy as np

from arrayfab import _arrays
from arrayfab import fabrications as fab
from arrayfab._arrays import Array
from arrayfab.approximation import (
    Target,
    alternated,
    factors,
    factors_of,
    longest,
    ratio,
    settled,
    truncated,
)
from arrayfab.fabrications import Fabrication
from arrayfab.fabrications.blueprint import blueprint
from arrayfab.frozen import Stream
from arrayfab.roles import Reconciliation

_RUN = 1 << 13  # rows of a last layer that are reduced at a time


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
    return fitter(target)(fabrication)


def fitter(target: Array) -> Callable[[Fabrication], Fit]:
    """`fit` to one target, whose decompositions all fits share."""
    xp = _arrays.check_real_floating("fit", "target", target).xp
    if target.ndim != 2:
        raise ValueError(f"fit: target must have shape (n, D), got {tuple(target.shape)}")
    n, D = target.shape
    numbers = on_host(target)
    if not np.all(np.isfinite(numbers)):
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(numbers))[0])
        raise ValueError(f"fit: target must be finite, got {numbers[at]} at {at}")
    is_zero, shared = not np.any(numbers), Target(numbers)

    def fitted(fabrication):
        fabrication.num_parameters(n, D)  # whose error names the size that does not fit
        if is_zero and blueprint(fabrication, n, D).structure.zeroing:
            # One factor alone is zero: were they all, no gradient would lead away.
            w, is_optimal = fabrication.init(n, D, rng=0, zero=True), True
        else:
            w, is_optimal = _nearest(fabrication, shared)
        w = _arrays.from_host(w, xp, target.dtype, _arrays.device_of(target))
        W = fabrication.fabricate(on_host(w), n, D).to_dense()
        return Fit(w, float(np.linalg.norm(W - numbers)), is_optimal)

    return fitted


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
def _nearest(fabrication: Fabrication, target: Target) -> _Nearest:
    """Without a closed form: linear least squares for what is linear in ``w``, else Gauss–Newton."""
    n, D = target.shape
    structure = blueprint(fabrication, n, D).structure
    if not fabrication.num_parameters(n, D):
        return _Nearest(np.zeros(0), True)
    from arrayfab.interop.scipy import load, residuals

    fun, jac = residuals(Reconciliation(fabrication=fabrication, n=n, D=D), np.eye(D), target.numbers.T)
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
    return _nearest(fabrication.inner, Target(target.numbers / fabrication.scale))


@_nearest.register
def _(fabrication: fab.Full, target):
    return _Nearest(target.numbers.reshape(-1), True)


@_nearest.register
def _(fabrication: fab.Masked, target):
    mask = fabrication.fabricate(np.ones(target.numbers.size), *target.shape).to_dense()
    return _Nearest((target.numbers * mask).reshape(-1), True)


@_nearest.register
def _(fabrication: fab.DuplicatedPadding, target):
    p, q = fabrication.p, fabrication.q or fabrication.p
    return _Nearest(target.rearranged(p, q).mean(axis=0), True)


@_nearest.register
def _(fabrication: fab.DuplicatedDiagonalPadding, target):
    p = fabrication.p
    return _Nearest(target.rearranged(p, p)[:: p + 1].mean(axis=0), True)


@_nearest.register
def _(fabrication: fab.LowRank, target):
    return _Nearest(_joined(*factors(target.svd, fabrication.r)), True)


@_nearest.register
def _(fabrication: fab.Hypercomplex, target):
    p, q, _, _ = fabrication._sizes(*target.shape)
    return _Nearest(_joined(*target.outer(p, q)), True)


@_nearest.register
def _(fabrication: fab.LPHM, target):
    p, q, s, t = fabrication._sizes(*target.shape)
    r = fabrication.r
    a, b = alternated(target, p, q, lambda a: a, lambda b: truncated(b.reshape(s, t), r))
    # The rank does not bind where the second factor could not have a higher one.
    return _Nearest(_joined(a, *factors_of(b.reshape(s, t), r)), r >= min(s, t))


@_nearest.register
def _(fabrication: fab.DualLPHM, target):
    r, (p, q, s, t) = fabrication.r, fabrication._sizes(*target.shape)
    a, b = alternated(
        target, p, q, lambda a: truncated(a.reshape(p, q), r), lambda b: truncated(b.reshape(s, t), r)
    )
    blocks = *factors_of(a.reshape(p, q), r), *factors_of(b.reshape(s, t), r)
    return _Nearest(_joined(*blocks), r >= max(min(p, q), min(s, t)))


@_nearest.register
def _(fabrication: fab.RandomMatrixAdaption, target):
    # ‖Λ₁ A Λ₂ Bᵀ − M‖² is quadratic in each diagonal.  With K = Bᵀ B and Y = A ∘ (M B), row i of it is least
    # for λ₁ᵢ = yᵢ·λ₂ / (aᵢ∘λ₂) K (aᵢ∘λ₂), and λ₂ solves ((Aᵀ Λ₁² A) ∘ K) λ₂ = Yᵀ λ₁.
    A, B = _drawn(fabrication, target.shape).values()
    K, Y = B.T @ B, A * (target.numbers @ B)

    def best_first(second):
        scaled = A * second
        return ratio(Y @ second, np.sum((scaled @ K) * scaled, axis=1))

    def step(second):
        first = best_first(second)
        scaled, aim = A * first[:, None], Y.T @ first
        normal = (scaled.T @ scaled) * K
        ridge = np.finfo(np.float64).eps * np.trace(normal) / len(normal) or 1.0  # nothing but rounding
        second = np.linalg.solve(normal + ridge * np.eye(len(normal)), aim)
        return second, aim @ second

    # Λ₂ nearly is the direction in which the rows of A ∘ (M B K⁻¹) are longest, since A² varies around one.
    rows = A * (target.numbers @ (B @ np.linalg.pinv(K, hermitian=True)))
    second = settled(step, longest(rows)[0], target)
    return _Nearest(_joined(best_first(second), second), False)


@_nearest.register
def _(fabrication: fab.Hypernet, target):
    return _nearest(*_reduced(fabrication, target, "V", "c"))


@_nearest.register
def _(fabrication: fab.RandomMatrixHypernet, target):
    return _nearest(*_reduced(fabrication, target, "T"))


def _reduced(fabrication: Fabrication, target: Target, last: str, offset: str | None = None):
    """The same network with fewer outputs, and their target, at the same error up to a constant.

    The last layer is linear: ``‖V h + c − m‖² = ‖R h − Qᵀ (m − c)‖² + constant``, where ``V = Q R``.
    """
    frozen = _drawn(fabrication, target.shape)
    numbers = target.numbers.reshape(-1)
    if offset:
        numbers = numbers - frozen[offset][0]
    R, aim = _triangle(frozen[last], numbers)
    given = {last: R, offset: np.zeros_like(aim)} if offset else {last: R}
    # Its other frozen blocks are the same, since they depend on neither n nor D.
    return fabrication.with_frozen(**given), Target(aim)


def _triangle(V, y):
    """``R`` and, as a row, ``Qᵀ y`` for ``V = Q R``, a run of rows at a time: ``Q`` is never formed."""
    width = V.shape[1]
    both = np.zeros((0, width + 1))
    for start in range(0, len(V), _RUN):
        run = slice(start, start + _RUN)
        both = np.linalg.qr(np.vstack([both, np.column_stack([V[run], y[run]])]), mode="r")
    return both[:width, :-1], both[:width, -1:].T


def _drawn(fabrication: Fabrication, shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """The frozen matrices, those that products will use as well where they are kept at all."""
    plan = blueprint(fabrication, *shape)
    w = np.zeros(plan.size)
    arrays = plan.frozen_arrays(w, plan.checked(w))
    return {
        name: plan.frozen[name].draw() if isinstance(array, Stream) else array
        for name, array in zip(plan.frozen, arrays, strict=True)
    }


def _joined(*blocks: np.ndarray) -> np.ndarray:
    return np.concatenate([block.reshape(-1) for block in blocks])
