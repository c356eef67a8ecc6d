"""Orthogonal matrices from free numbers, to turn what they are multiplied with.

``init(zero=True)`` starts from the identity, so that ``Base(W0) @ Cayley()`` starts from ``W0``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from arrayfab.fabrications.base import Fabrication
from arrayfab.fabrications.sizes import split_evenly
from arrayfab.structures import (
    BlockDiagonal,
    BlockProduct,
    Constant,
    Identity,
    Inverses,
    Operator,
    Structure,
    Toeplitz,
    blocks_transposed,
    chain,
    hadamard,
    identities,
    kron,
    reshaped,
    side_by_side,
)
from arrayfab.structures.actions import Riffle, Skew


@dataclass(frozen=True, kw_only=True)
class _Turning(Fabrication):
    is_square: ClassVar[bool] = True

    def at_rest(self, n, D, w):
        return np.zeros_like(w)


@dataclass(frozen=True, kw_only=True)
class _OfSkewBlocks(_Turning):
    p: int = 1
    is_shared: bool = False

    def blocks(self, n, D):
        s = split_evenly(self, "p", n, "n", self.p)
        return {"skew": (self._learned_blocks, s * (s - 1) // 2)}

    @property
    def _learned_blocks(self):
        return 1 if self.is_shared else self.p

    def matrix(self, n, D, skew):
        k, s = self._learned_blocks, n // self.p
        if s == 1:  # there is nothing to learn
            return Identity((n, n))
        Q = self.turned(reshaped(skew @ Operator(Skew(s)), (k * s, s)), k)
        return kron(Identity((self.p, self.p)), Q) if self.is_shared else BlockDiagonal(Q, k)

    def turned(self, A: Structure, k: int) -> Structure:
        """A stack of orthogonal blocks of one of ``k`` skew-symmetric ones."""
        raise NotImplementedError(f"{type(self).__name__}.turned")


@dataclass(frozen=True, kw_only=True)
class Cayley(_OfSkewBlocks):
    """``(I + A)(I - A)⁻¹``, orthogonal, with ``A = -Aᵀ`` in each of ``p`` blocks on the diagonal.

    ``w`` holds, block by block, the numbers of ``A`` above its diagonal, row by row: ``l = n (n/p - 1) / 2``,
    or ``1/p`` of it where one block ``is_shared`` by all. ``Base(W0) @ Cayley(p=p)`` is OFT as PEFT has it
    without its Neumann series, with ``oft_R`` for ``w``.
    """

    def turned(self, A, k):
        return cayley(A, k)


@dataclass(frozen=True, kw_only=True)
class Neumann(_OfSkewBlocks):
    """``(I + A)(I + A + … + A^{terms-1})``, nearly the `Cayley` of a small ``A``.

    ``w`` is that of `Cayley`. ``Base(W0) @ Neumann(p=p, terms=t)`` is OFT as PEFT has it with a Neumann
    series of ``t + 1`` terms, five or more, or of three for ``t = 3``, with ``-oft_R`` for ``w``.
    """

    terms: int = 4

    def turned(self, A, k):
        # As I + 2 A + … + 2 A^{terms-1} + A^terms, by Horner's scheme.
        eye = identities(k, A.shape[1])
        series = A
        for _ in range(self.terms - 1):
            series = BlockProduct(A, 2.0 * eye + series, k)
        return eye + series


@dataclass(frozen=True, kw_only=True)
class Butterfly(_Turning):
    """``Π Pᵢ Bᵢ Pᵢᵀ``, with ``m`` block-diagonal ``Bᵢ`` and permutations that mix ever larger runs.

    Each of the ``n/b`` blocks of ``Bᵢ`` is the `Cayley` of ``(R - Rᵀ) / 2`` for ``R ∈ R^{b×b}``; with
    ``i = 0, …, m-1``, ``Pᵢ`` sorts the halves of blocks in every run of ``b 2ⁱ`` into those at even and those
    at odd places. ``w`` holds all ``R``, factor by factor: ``l = m n b``. ``IA3() @ Base(W0) @ Butterfly()``
    is BOFT as PEFT has it, with ``boft_s`` and then ``boft_R`` for ``w``.
    """

    b: int = 2
    m: int = 2

    def blocks(self, n, D):
        split_evenly(self, "b * 2**(m - 1)", n, "n", self.b << (self.m - 1))
        if self.m > 1 and self.b % 2:
            raise ValueError(f"{self}: b must be even where m is more than 1, got {self.b}")
        return {f"R{i}": (n, self.b) for i in range(self.m)}

    def matrix(self, n, D, **R):
        k = n // self.b
        factors: list[Structure] = []
        for i, stack in enumerate(R.values()):
            skew = 0.5 * stack + -0.5 * blocks_transposed(stack, k)
            turn = BlockDiagonal(cayley(skew, k), k)
            if i:
                order = _evens_first(n, self.b << i, self.b // 2)
                turn = chain(order.T, turn, order)
            factors.append(turn)
        return chain(*factors)


@dataclass(frozen=True, kw_only=True)
class Householder(_Turning):
    """``H₁ H₂ … H_r``, reflections ``Hᵢ = I - 2 uᵢ uᵢᵀ / (uᵢᵀ uᵢ)``; ``l = r n``.

    ``w`` holds the ``uᵢ``, none of them zero, as the columns of ``U ∈ R^{n×r}``. ``Base(W0) @ Householder()``
    is HRA as PEFT has it without Gram-Schmidt, with ``hra_u`` for ``w``. ``init(zero=True)`` draws them in
    pairs of equal ones, which cancel.
    """

    r: int = 2

    def blocks(self, n, D):
        return {"U": (n, self.r)}

    def matrix(self, n, D, U):
        # The product is I − U T Uᵀ for an upper triangular T, whose inverse is that triangle of Uᵀ U, with
        # half of what is on the diagonal (T. Joffrain and others, 2006).
        r, half = self.r, Constant((1, 1), 0.5)
        weights = side_by_side((Constant((1, r - 1), 1.0), half)) if r > 1 else half
        triangle = hadamard(U.T @ U, Toeplitz(weights, r, r, r - 1))
        return Identity((n, n)) + -1.0 * chain(U, Inverses(triangle), U.T)

    def at_rest(self, n, D, w):
        if self.r % 2:
            raise ValueError(f"{self}: reflections in pairs are the identity, r must be even")
        U = w.reshape(n, self.r // 2, 2)
        return np.stack([U[..., 0], U[..., 0]], axis=-1).reshape(-1)


def cayley(A: Structure, k: int) -> Structure:
    """``(I + A)(I - A)⁻¹ = 2 (I - A)⁻¹ - I`` of each of the ``k`` blocks of a stack (A. Cayley, 1846)."""
    eye = identities(k, A.shape[1])
    return 2.0 * Inverses(eye + -1.0 * A, k) + -1.0 * eye


def _evens_first(n: int, run: int, half: int) -> Structure:
    """Of the groups of ``half`` columns in every run, first those at even places, then the others."""
    order = kron(Operator(Riffle(run // (2 * half), 2)), Identity((half, half)))
    return kron(Identity((n // run, n // run)), order)
