"""The matrix of low rank that is nearest to what an update adds, from its factors or products with it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import singledispatch
from types import ModuleType
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.adapters.updates import Added, Difference, LoHa, LoKr, LoRA, VeRA
from arrayfab.io.tensors import rounded
from arrayfab.matrix import StructuredMatrix

#: ``U``, the singular values on the host, and ``Vᵀ``.
Decomposition = tuple[Array, np.ndarray, Array]
#: ``B`` and ``A`` of a product ``B A``.
Factors = tuple[Array, Array]

#: So many numbers of a matrix are formed at a time.
_RUN = 1 << 22
#: Columns that are tried first where a share of energy is wanted, columns beyond, and rounds of powers.
_FIRST, _MORE, _ROUNDS = 32, 16, 4


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Which singular values are kept, the largest first.

    Parameters
    ----------
    rank : int, optional
        At most so many.
    energy : float, optional
        The fewest whose squares are such a share of the sum of all squares.
    """

    rank: int | None = None
    energy: float | None = None

    def __post_init__(self):
        if self.rank is not None and not (_arrays.is_integer(self.rank) and self.rank > 0):
            raise ValueError(f"rank must be a positive integer, got {self.rank!r}")
        if self.energy is not None and not 0 < self.energy <= 1:
            raise ValueError(f"energy must be a share, more than 0 and at most 1, got {self.energy!r}")

    def count(self, s: np.ndarray, whole: float) -> int:
        """How many of these values are kept, given the sum of all squares; one at least."""
        count = len(s) if self.rank is None else min(self.rank, len(s))
        if self.energy is not None and self.energy < 1:
            # The first that reach the share are the fewest.
            count = min(count, int(np.count_nonzero(np.cumsum(s * s) < self.energy * whole)) + 1)
        return max(1, count)

    def suffices(self, s: np.ndarray, whole: float) -> bool:
        """Whether those that are kept are among these, the largest of more."""
        if self.rank is not None and len(s) >= self.rank:
            return True
        return self.energy is not None and self.energy < 1 and float(s @ s) >= self.energy * whole


@dataclass(frozen=True, kw_only=True)
class Finder:
    """How the nearest matrix of low rank is found, and where.

    Parameters
    ----------
    cut : Cut
    exact : bool
        Whether a matrix without factors is formed and decomposed. Else its products with random columns find
        the directions of its largest singular values (N. Halko, P.-G. Martinsson, J. Tropp, 2011).
    seed : int
        Of those columns, which are the same for every matrix of a width.
    dtype : numpy.dtype, optional
        Of the factors, which are rounded to it once. Left out, that of the update.
    xp, device
        Where to compute: NumPy if left out.
    """

    cut: Cut
    exact: bool = False
    seed: int = 0
    dtype: np.dtype | None = None
    xp: ModuleType | None = None
    device: Any = None

    def nearest(self, owner: str, update: Added, n: int, D: int) -> tuple[LoRA, float]:
        """An update of low rank, and its error in the Frobenius norm as a share of the whole."""
        placed = self._placed(update, update)
        u, s, vt = largest(placed, n, D, self)
        root, dtype = np.sqrt(s), self.dtype or np.result_type(*update.arrays())
        B, A = _arrays.to_host(u) * root, root[:, None] * _arrays.to_host(vt)
        near = LoRA(tensors={"B": rounded(owner, B, dtype), "A": rounded(owner, A, dtype)})
        return near, relative_error(placed, self._placed(near, update), n, D)

    def error(self, update: Added, near: Added, n: int, D: int) -> float:
        """How far an update is from another, in the Frobenius norm as a share of the other."""
        return relative_error(self._placed(update, update), self._placed(near, update), n, D)

    def _placed(self, update, like):
        """An update where to compute, in float64 if another has numbers in it, else in float32."""
        wide = np.float64 if any(array.dtype == np.float64 for array in like.arrays()) else np.float32
        xp = _arrays.namespace(self.xp)
        tensors = {
            name: _arrays.from_host(np.asarray(numbers, wide), xp, None, self.device)
            for name, numbers in update.tensors.items()
        }
        return replace(update, tensors=tensors)


@singledispatch
def largest(update: Added, n: int, D: int, finder: Finder) -> Decomposition:
    """The singular values of what is added, as many as are kept, and their directions."""
    pair = factored(update, n, D)
    if pair is not None:
        return _cut(finder.cut, *_of_product(*pair))
    return _of_matrix(_structured(update, slice(0, n), D), _norm(update, n, D) ** 2, finder)


@largest.register
def _(update: Difference, n, D, finder):
    delta = update["delta"] if update.scale == 1 else update.scale * update["delta"]
    return _of_matrix(delta, _norm(update, n, D) ** 2, finder)


@largest.register
def _(update: LoKr, n, D, finder):
    # That of C₁ ⊗ C₂ consists of the Kronecker products of theirs, each value of one times each of the other.
    (u1, s1, vt1), (u2, s2, vt2) = (_of_factor(update, i) for i in (1, 2))
    s = abs(update.scale) * (s1[:, None] * s2).reshape(-1)
    order = np.argsort(-s, kind="stable")
    order = order[: finder.cut.count(s[order], float(s @ s))]
    i, j = order // len(s2), order % len(s2)
    backend = _arrays.backend_of("LoKr", "its numbers", u1)

    def columns(first, second):
        a, b = backend.take(first, i, 1), backend.take(second, j, 1)
        return backend.reshape(a[:, None, :] * b[None, :, :], (-1, len(order)))

    sign = math.copysign(1.0, update.scale)
    return sign * columns(u1, u2), s[order], backend.mT(columns(backend.mT(vt1), backend.mT(vt2)))


def _of_factor(update, i):
    parts = update.factor(i)
    return _decomposed(*parts) if len(parts) == 1 else _of_product(*parts)


@singledispatch
def factored(update: Added, n: int, D: int) -> Factors | None:
    """What is added as a product ``B A``, None where it is not made as one."""
    return None


@factored.register
def _(update: LoRA, n, D):
    return update.scale * update["B"], update["A"]


@factored.register
def _(update: VeRA, n, D):
    b, d = update["b"], update["d"]
    return update.scale * b[:, None] * update["B"] * d, update["A"][:, :D]


@factored.register
def _(update: LoHa, n, D):
    # (A₁ B₁) ∘ (A₂ B₂): every column of one factor times every one of the other (V. Slyusar, 1999).
    backend = _arrays.backend_of("LoHa", "its numbers", update["A1"])
    A1, B1, A2, B2 = (update[name] for name in ("A1", "B1", "A2", "B2"))
    if 2 * B1.shape[0] * B2.shape[0] > min(n, D):  # the factors were larger than the matrix
        return None
    columns = backend.reshape(A1[:, :, None] * A2[:, None, :], (n, -1))
    rows = backend.reshape(B1[:, None, :] * B2[None, :, :], (-1, D))
    return update.scale * columns, rows


def joined(updates: list[tuple[float, Factors]]) -> Factors:
    """The factors of a weighted sum of products: those of each, side by side."""
    xp = _arrays.backend_of("combine", "factors", updates[0][1][0]).xp
    B = xp.concat([weight * B for weight, (B, _) in updates], axis=1)
    return B, xp.concat([A for _, (_, A) in updates], axis=0)


def relative_error(update: Added, near: Added, n: int, D: int) -> float:
    """How far a near update is from another in the Frobenius norm, as a share of the other."""
    whole = _norm(update, n, D)
    theirs, ours = factored(update, n, D), factored(near, n, D)
    if theirs is not None and ours is not None:
        error = _core_norm(*joined([(1.0, theirs), (-1.0, ours)]))
    else:
        error = math.sqrt(sum(_length(rows) ** 2 for rows in _runs(update, n, D, near)))
    return error / whole if whole else error


def _norm(update, n, D):
    pair = factored(update, n, D)
    if pair is not None:
        return _core_norm(*pair)
    return math.sqrt(sum(_length(rows) ** 2 for rows in _runs(update, n, D)))


def _core_norm(B, A):
    # Columns at right angles change no length: that of B A is the length of the product of the triangles.
    backend = _arrays.backend_of("factors", "B", B)
    qr, mT = backend.xp.linalg.qr, backend.mT
    return _length(qr(B)[1] @ mT(qr(mT(A))[1]))


def _length(array):
    xp = _arrays.backend_of("factors", "numbers", array).xp
    return float(xp.linalg.vector_norm(array))


def _runs(update, n, D, near=None):
    """What is added, less what a near update adds, some rows at a time."""
    step = math.lcm(update.step, 1 if near is None else near.step)
    size = step * max(1, _RUN // (step * D))
    for start in range(0, n, size):
        rows = slice(start, min(start + size, n))
        formed = _formed(update, rows, D)
        yield formed if near is None else formed - _formed(near, rows, D)


@singledispatch
def _formed(update: Added, rows: slice, D: int) -> Array:
    """Some rows of what is added."""
    return _structured(update, rows, D).to_dense()


@_formed.register
def _(update: LoRA, rows, D):
    return update.scale * update["B"][rows, :] @ update["A"]


@_formed.register
def _(update: Difference, rows, D):
    return update.scale * update["delta"][rows, :]


def _structured(update, rows, D):
    fabrication, blocks = update.part(rows, D)
    backend = _arrays.backend_of(update.family, "its numbers", blocks[0])
    w = backend.xp.concat([backend.reshape(block, (-1,)) for block in blocks])
    return (update.scale * fabrication).fabricate(w, rows.stop - rows.start, D)


def _cut(cut, u, s, vt):
    count = cut.count(s, float(s @ s))
    return u[:, :count], s[:count], vt[:count, :]


def _decomposed(matrix):
    xp = _arrays.backend_of("factors", "a matrix", matrix).xp
    u, s, vt = xp.linalg.svd(matrix, full_matrices=False)
    host = _arrays.to_host(s)
    # Those that are zero to rounding are none, but for one.
    count = max(1, int(np.count_nonzero(host > len(host) * np.finfo(host.dtype).eps * host[0])))
    return u[:, :count], host[:count].astype(np.float64), vt[:count, :]


def _of_product(B, A):
    backend = _arrays.backend_of("factors", "B", B)
    qr, mT = backend.xp.linalg.qr, backend.mT
    (left, Rb), (right, Ra) = qr(B), qr(mT(A))
    u, s, vt = _decomposed(Rb @ mT(Ra))
    return left @ u, s, vt @ mT(right)


def _of_matrix(W, whole, finder):
    """Of an array or a structured matrix, given the sum of all squares."""
    wanted = (finder.cut.rank or _FIRST) + _MORE
    while not finder.exact and 2 * wanted <= min(W.shape):
        u, s, vt = _sketched(W, wanted, finder.seed)
        if len(s) < wanted:  # it has no more
            return _cut(finder.cut, u, s, vt)
        if finder.cut.suffices(s[:-_MORE], whole):
            count = finder.cut.count(s[:-_MORE], whole)
            return u[:, :count], s[:count], vt[:count, :]
        wanted = 2 * wanted
    return _cut(finder.cut, *_decomposed(W.to_dense() if isinstance(W, StructuredMatrix) else W))


def _sketched(W, wanted, seed):
    """Of the range of so many random products, which rounds of powers turn to the largest values."""
    random = np.random.default_rng(seed).standard_normal((W.shape[1], wanted), np.float32)
    like = W.w if isinstance(W, StructuredMatrix) else W
    backend = _arrays.backend_of("factors", "a matrix", like)
    columns = _arrays.from_host(random, backend.xp, like.dtype, _arrays.device_of(like))
    qr, mT = backend.xp.linalg.qr, backend.mT
    Q = qr(W @ columns)[0]
    for _ in range(_ROUNDS):
        Q = qr(W @ qr(W.T @ Q)[0])[0]
    u, s, vt = _decomposed(mT(W.T @ Q))
    return Q @ u, s, vt
