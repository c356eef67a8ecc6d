"""Matrices of low rank that are near a given one, by its singular values or by steps that come to rest."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from arrayfab._cached import cached_property, remembered

Decomposition = tuple[np.ndarray, np.ndarray, np.ndarray]

_ROUNDS = 500  # of alternation, at most
_STILL = 1e-14  # a factor that moves by no more of its length has settled


class Target:
    """A matrix to come near to, and what is computed of it once."""

    def __init__(self, numbers: np.ndarray):
        self.numbers, self.shape = numbers, numbers.shape
        self._svds: dict[tuple[int, int], Decomposition] = {}
        self._outer: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}

    @cached_property
    def svd(self) -> Decomposition:
        """The singular value decomposition."""
        return np.linalg.svd(self.numbers, full_matrices=False)

    def rearranged(self, p: int, q: int) -> np.ndarray:
        """The ``p q`` blocks, each as a row: that of ``A ⊗ B`` is ``vec(A) vec(B)ᵀ``."""
        n, D = self.shape
        return self.numbers.reshape(p, n // p, q, D // q).transpose(0, 2, 1, 3).reshape(p * q, -1)

    def svd_of_blocks(self, p: int, q: int) -> Decomposition:
        """That of the rearranged matrix."""
        return remembered(
            self._svds, (p, q), lambda: np.linalg.svd(self.rearranged(p, q), full_matrices=False)
        )

    def outer(self, p: int, q: int) -> tuple[np.ndarray, np.ndarray]:
        """``a`` and ``b``, equally long, with the ``a bᵀ`` nearest to the rearranged matrix."""
        return remembered(self._outer, (p, q), lambda: _nearest_outer(self.rearranged(p, q)))


def factors(svd: Decomposition, r: int) -> tuple[np.ndarray, np.ndarray]:
    """``A`` of ``r`` columns and ``Bᵀ`` of ``r`` rows, equally long, whose product is nearest to a matrix.

    Columns of ``A`` beyond the matrix's own rank are random, and meet rows of zeros: where both are zero, no
    gradient would ever bring them into use.
    """
    (u, s, vt), eps = svd, np.finfo(np.float64).eps
    n, D = len(u), vt.shape[1]
    rank = min(r, int(np.count_nonzero(s > max(n, D) * eps * s[0])))
    root = np.sqrt(s[:rank])
    A, Bt = u[:, :rank] * root, root[:, None] * vt[:rank]
    length = root[-1] if rank else 1.0
    unused = length / math.sqrt(n) * np.random.default_rng(0).standard_normal((n, r - rank))
    return np.concatenate([A, unused], axis=1), np.pad(Bt, ((0, r - rank), (0, 0)))


def factors_of(matrix: np.ndarray, r: int) -> tuple[np.ndarray, np.ndarray]:
    """`factors` of a matrix."""
    return factors(np.linalg.svd(matrix, full_matrices=False), r)


def truncated(matrix: np.ndarray, r: int) -> np.ndarray:
    """The nearest matrix of rank ``r``, as a vector."""
    A, Bt = factors_of(matrix, r)
    return (A @ Bt).reshape(-1)


def longest(matrix: np.ndarray) -> np.ndarray:
    """The direction in which the rows of a matrix are longest, as a row.

    It is an eigenvector of the Gram matrix, which is as exact for this one as a singular value decomposition.
    """
    scaled = matrix / (np.max(np.abs(matrix)) or 1.0)  # whose squares are finite
    return np.linalg.eigh(scaled.T @ scaled)[1][:, -1:].T


def _nearest_outer(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``a`` and ``b``, equally long, with the ``a bᵀ`` nearest to a matrix."""
    if len(matrix) < matrix.shape[1]:
        return _nearest_outer(matrix.T)[::-1]
    direction = longest(matrix)
    a, length = factors_of(matrix @ direction.T, 1)
    return a[:, 0], length[0, 0] * direction[0]


def alternated(target: Target, p: int, q: int, constrain_a: Callable, constrain_b: Callable):
    """Vectors whose outer product is near the rearranged matrix, each within a set of matrices of some rank.

    For a given ``b``, ``‖a bᵀ − M‖² = ‖b‖² ‖a − M b / ‖b‖²‖² + constant``, so that the best ``a`` is the
    truncation of ``M b / ‖b‖²``; and likewise the best ``b``. The start is best without the ranks.
    """
    matrix = target.rearranged(p, q)

    def best_a(b):
        return constrain_a(ratio(matrix @ b, b @ b))

    def step(b):
        a = best_a(b)
        b = constrain_b(ratio(a @ matrix, a @ a))
        return b, (a @ a) * (b @ b)

    b = settled(step, constrain_b(target.outer(p, q)[1]), target)
    return best_a(b), b


def settled(step: Callable, x: np.ndarray, target: Target) -> np.ndarray:
    """Where steps come to rest that never lead away from a target.

    ``step(x)`` gives what follows, and by how much its squared error is below ``‖target‖²``. Each is taken
    from a point ahead of the last one, in the direction in which that moved (Nesterov's momentum), and where
    this leads away, from the last one itself.
    """
    whole = np.vdot(target.numbers, target.numbers)
    latest, nearest, ahead = x, -math.inf, 0
    for _ in range(_ROUNDS):
        following, gain = step(x)
        if gain < nearest and ahead:
            x, nearest, ahead = latest, -math.inf, 0
            continue
        # A move of length d changes the squared error by some d² of the whole, which may be lost in it.
        still = max(_STILL, 1e-6 * math.sqrt(max(1 - gain / whole, 0))) if whole else _STILL
        if np.linalg.norm(following - x) <= still * np.linalg.norm(following):
            return following
        x = following + ahead / (ahead + 3) * (following - latest)
        latest, nearest, ahead = following, gain, ahead + 1
    return latest


def ratio(above, below):
    """``above / below``, zero where ``below`` is."""
    return np.divide(above, below, out=np.zeros_like(above), where=np.asarray(below) > 0)
