"""How the nearest matrix of each fabrication is found, or one that is near."""

from __future__ import annotations

from functools import singledispatch
from typing import NamedTuple

import numpy as np

from arrayfab import fabrications as fab
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


class Nearest(NamedTuple):
    """Learned numbers, and whether no others give a matrix that is nearer."""

    w: np.ndarray
    is_optimal: bool


@singledispatch
def nearest(fabrication: Fabrication, target: Target) -> Nearest:
    """Learned numbers whose matrix is near a target."""
    return _without_form(fabrication, target)


def _without_form(fabrication: Fabrication, target: Target) -> Nearest:
    """Linear least squares for what is linear in ``w``, else Gauss–Newton."""
    n, D = target.shape
    structure = blueprint(fabrication, n, D).structure
    if not fabrication.num_parameters(n, D):
        return Nearest(np.zeros(0), True)
    from arrayfab.interop.scipy import load, residuals

    fun, jac = residuals(Reconciliation(fabrication=fabrication, n=n, D=D), np.eye(D), target.numbers.T)
    if structure.degree == 1:
        zero, lsmr = np.zeros(fabrication.num_parameters(n, D)), load("scipy.sparse.linalg").lsmr
        options = {"atol": 1e-14, "btol": 1e-14, "conlim": 0, "maxiter": 10 * len(zero)}
        return Nearest(lsmr(jac(zero), -fun(zero), **options)[0], True)
    least_squares = load("scipy.optimize").least_squares
    start = fabrication.init(n, D, rng=0)
    options = {"xtol": 1e-12, "ftol": 1e-12, "max_nfev": 30}
    if len(start) == 1:  # SciPy's lsmr solver wants two unknowns
        return Nearest(least_squares(fun, start, jac=lambda w: jac(w) @ np.eye(1), **options).x, False)
    return Nearest(least_squares(fun, start, jac=jac, tr_solver="lsmr", **options).x, False)


@nearest.register
def _(fabrication: fab.Scaled, target):
    if not fabrication.scale:
        return Nearest(np.zeros(fabrication.num_parameters(*target.shape)), True)
    return nearest(fabrication.inner, Target(target.numbers / fabrication.scale))


@nearest.register
def _(fabrication: fab.SumOf, target):
    # What is not learned is taken off the target.
    n, D = target.shape
    learned = tuple(term for term in fabrication.terms if term.num_parameters(n, D))
    fixed = tuple(term for term in fabrication.terms if not term.num_parameters(n, D))
    if fixed:
        target = Target(target.numbers - fab.SumOf(terms=fixed).fabricate(np.zeros(0), n, D).to_dense())
    if not learned:
        return Nearest(np.zeros(0), True)
    first = learned[0]
    if len(learned) == 1:
        return nearest(first, target)
    if not isinstance(first, fab.Hypercomplex) or any(term != first for term in learned):
        return _without_form(fab.SumOf(terms=learned), target)
    p, q, _, _ = first._sizes(n, D)
    A, Bt = factors(_arranged(first, target).svd_of_blocks(p, q), len(learned))
    return Nearest(_joined(*(block for pair in zip(A.T, Bt, strict=True) for block in pair)), True)


@nearest.register
def _(fabrication: fab.Full, target):
    return Nearest(target.numbers.reshape(-1), True)


@nearest.register
def _(fabrication: fab.Masked, target):
    mask = fabrication.fabricate(np.ones(target.numbers.size), *target.shape).to_dense()
    return Nearest((target.numbers * mask).reshape(-1), True)


@nearest.register
def _(fabrication: fab.DuplicatedPadding, target):
    p, q = fabrication.p, fabrication.q or fabrication.p
    return Nearest(target.rearranged(p, q).mean(axis=0), True)


@nearest.register
def _(fabrication: fab.DuplicatedDiagonalPadding, target):
    p = fabrication.p
    return Nearest(target.rearranged(p, p)[:: p + 1].mean(axis=0), True)


@nearest.register
def _(fabrication: fab.BlockDiagonal, target):
    p = fabrication.p
    return Nearest(_joined(target.rearranged(p, p)[:: p + 1]), True)


@nearest.register
def _(fabrication: fab.IA3, target):
    return Nearest(np.diagonal(target.numbers).copy(), True)


@nearest.register
def _(fabrication: fab.Toeplitz, target):
    n, D = target.shape
    diagonals = (np.diagonal(target.numbers, D - 1 - k) for k in range(n + D - 1))
    return Nearest(np.asarray([np.mean(diagonal) for diagonal in diagonals]), True)


@nearest.register
def _(fabrication: fab.Circulant, target):
    b, (n, D) = fabrication.b, target.shape
    a, t = np.arange(b), np.arange(b)[:, None]
    blocks = target.rearranged(n // b, D // b).reshape(-1, b, b)
    return Nearest(_joined(blocks[:, a, (a + t) % b].mean(axis=-1)), True)


@nearest.register
def _(fabrication: fab.Monarch, target):
    # The matrices of fixed j and i have rank one, each with numbers of its own.
    p, q, s, t = fabrication.sizes(*target.shape)
    blocks = target.numbers.reshape(s, p, q, t).transpose(1, 2, 0, 3).reshape(p * q, s, t)
    columns, rows = zip(*(factors_of(block, 1) for block in blocks), strict=True)
    L = np.stack(columns).reshape(p, q, s).transpose(0, 2, 1)
    R = np.stack(rows).reshape(p, q, t).transpose(1, 0, 2)
    return Nearest(_joined(L, R), True)


@nearest.register
def _(fabrication: fab.TensorTrain, target):
    # One core after the other by the truncated SVD of what is left (I. V. Oseledets, 2011).
    shapes, cores = fabrication.shapes(*target.shape), fabrication.cores
    if cores == 2:
        _, p, q, r = shapes[0]
        return Nearest(_joined(*factors(target.svd_of_blocks(p, q), r)), True)
    ns, Ds = ([shape[i] for shape in shapes] for i in (1, 2))
    order = [axis for k in range(cores) for axis in (k, cores + k)]
    left, blocks = target.numbers.reshape(*ns, *Ds).transpose(order), []
    for a, s, t, b in shapes[:-1]:
        core, left = factors_of(left.reshape(a * s * t, -1), b)
        lengths = np.linalg.norm(core, axis=0)
        blocks.append(core / lengths)
        left = lengths[:, None] * left
    return Nearest(_joined(*blocks, left), cores == 1)


@nearest.register
def _(fabrication: fab.LowRank, target):
    return Nearest(_joined(*factors(target.svd, fabrication.r)), True)


@nearest.register
def _(fabrication: fab.Hypercomplex, target):
    p, q, _, _ = fabrication._sizes(*target.shape)
    return Nearest(_joined(*_arranged(fabrication, target).outer(p, q)), True)


@nearest.register
def _(fabrication: fab.LPHM, target):
    p, q, s, t = fabrication._sizes(*target.shape)
    r = fabrication.r
    a, b = alternated(
        _arranged(fabrication, target), p, q, lambda a: a, lambda b: truncated(b.reshape(s, t), r)
    )
    # The rank does not bind where the second factor could not have a higher one.
    return Nearest(_joined(a, *factors_of(b.reshape(s, t), r)), r >= min(s, t))


@nearest.register
def _(fabrication: fab.MirroredLPHM, target):
    r, (p, q, _, _) = fabrication.r, fabrication._sizes(*target.shape)
    a, b = alternated(
        _arranged(fabrication, target), p, q, lambda a: truncated(a.reshape(p, q), r), lambda b: b
    )
    return Nearest(_joined(*factors_of(a.reshape(p, q), r), b), r >= min(p, q))


@nearest.register
def _(fabrication: fab.DualLPHM, target):
    r, (p, q, s, t) = fabrication.r, fabrication._sizes(*target.shape)
    a, b = alternated(
        _arranged(fabrication, target),
        p,
        q,
        lambda a: truncated(a.reshape(p, q), r),
        lambda b: truncated(b.reshape(s, t), r),
    )
    blocks = *factors_of(a.reshape(p, q), r), *factors_of(b.reshape(s, t), r)
    return Nearest(_joined(*blocks), r >= max(min(p, q), min(s, t)))


@nearest.register
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
    return Nearest(_joined(best_first(second), second), False)


@nearest.register
def _(fabrication: fab.Hypernet, target):
    return nearest(*_reduced(fabrication, target, "V", "c"))


@nearest.register
def _(fabrication: fab.RandomMatrixHypernet, target):
    return nearest(*_reduced(fabrication, target, "T"))


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


def _arranged(fabrication, target: Target) -> Target:
    """A target as near to ``A ⊗ B`` as the given one is to what a fabrication makes of ``A`` and ``B``."""
    if fabrication.arrangement == "kronecker":
        return target
    p, q, s, t = fabrication._sizes(*target.shape)
    return Target(target.numbers.reshape(p, q, s, t).transpose(0, 2, 1, 3).reshape(target.shape))


def _joined(*blocks: np.ndarray) -> np.ndarray:
    return np.concatenate([block.reshape(-1) for block in blocks])
