"""Fabrications of low rank, and what is made of factors of low rank."""

from __future__ import annotations

from dataclasses import dataclass, replace

from arrayfab.fabrications.base import Fabrication
from arrayfab.fabrications.seeded import Seeded
from arrayfab.fabrications.sizes import nearest_factor, split_evenly
from arrayfab.frozen import Gaussian
from arrayfab.structures import (
    Diagonal,
    blocks_transposed,
    face,
    hadamard,
    khatri_rao,
    reshaped,
)
from arrayfab.structures.attention import Softmax


@dataclass(frozen=True, kw_only=True)
class LowRank(Fabrication):
    """``W = A Bᵀ`` with ``A ∈ R^{n×r}`` and ``B ∈ R^{D×r}``; ``l = r (n + D)``.

    ``w`` holds ``A``, then ``Bᵀ``.
    """

    r: int = 2

    def blocks(self, n, D):
        return {"A": (n, self.r), "Bt": (self.r, D)}

    def matrix(self, n, D, A, Bt):
        return A @ Bt


@dataclass(frozen=True, kw_only=True)
class LoHa(Fabrication):
    """``W = (A₁ B₁) ∘ (A₂ B₂)``, entry by entry, of rank ``r²``; ``l = 2 r (n + D)``.

    ``w`` holds ``A₁ ∈ R^{n×r}``, ``B₁ ∈ R^{r×D}``, ``A₂``, then ``B₂``: ``hada_w1_a``, ``hada_w1_b``,
    ``hada_w2_a`` and ``hada_w2_b`` in PEFT and LyCORIS.
    """

    r: int = 2

    def blocks(self, n, D):
        return {"A1": (n, self.r), "B1": (self.r, D), "A2": (n, self.r), "B2": (self.r, D)}

    def matrix(self, n, D, A1, B1, A2, B2):
        return hadamard(A1 @ B1, A2 @ B2)


@dataclass(frozen=True, kw_only=True)
class CP(Fabrication):
    """``W = (A₁ ⊙ A₂)(B₁ ⊙ B₂)ᵀ``, column by column Kronecker products; ``l = r (p + n/p + q + D/q)``.

    It is the sum of ``r`` outer products of four vectors, where ``W`` is seen as an array of shape
    ``(p, n/p, q, D/q)``. ``w`` holds ``A₁ ∈ R^{p×r}``, ``A₂ ∈ R^{n/p×r}``, ``B₁ ∈ R^{q×r}``, then
    ``B₂ ∈ R^{D/q×r}``. ``p`` and ``q`` left out are the factors nearest below ``√n`` and ``√D``, and in a
    role with an expansion its own outer factor in place of that of ``√D``.
    """

    r: int = 2
    p: int | None = None
    q: int | None = None

    def along(self, p, q):
        return replace(self, p=self.p or p, q=self.q or q)

    def blocks(self, n, D):
        p, q = self.p or nearest_factor(n), self.q or nearest_factor(D)
        s, t = split_evenly(self, "p", n, "n", p), split_evenly(self, "q", D, "D", q)
        return {"A1": (p, self.r), "A2": (s, self.r), "B1": (q, self.r), "B2": (t, self.r)}

    def matrix(self, n, D, A1, A2, B1, B2):
        return khatri_rao(A1, A2) @ khatri_rao(B1, B2).T


@dataclass(frozen=True, kw_only=True)
class RandomMatrixAdaption(Seeded):
    """``W = Λ₁ A Λ₂ Bᵀ`` with diagonal ``Λ₁`` and ``Λ₂`` learned; ``l = n + r``.

    ``A ∈ R^{n×r}`` and ``B ∈ R^{D×r}`` are frozen. ``w`` holds the diagonal of ``Λ₁``, then of ``Λ₂``:
    ``vera_lambda_b`` and ``vera_lambda_d`` in PEFT's VeRA, with ``vera_B`` for ``A`` and ``vera_A`` for
    ``Bᵀ``.
    """

    r: int = 2

    def blocks(self, n, D):
        return {"lambda_1": (n,), "lambda_2": (self.r,)}

    def frozen(self, n, D):
        return {"A": Gaussian(n, self.r), "B": Gaussian(D, self.r)}

    def matrix(self, n, D, lambda_1, lambda_2, A, B):
        return Diagonal(lambda_1) @ A @ Diagonal(lambda_2) @ B.T


@dataclass(frozen=True, kw_only=True)
class RandLoRA(Seeded):
    """``W = Σₖ Bₖ Λₖ A Γₖ``, frozen matrices of rank ``r`` in a sum of full rank, with diagonals learned.

    With ``k = 1, …, K`` for ``K = ⌈m/r⌉`` and ``m = min(n, D)``: ``A ∈ R^{r×m}`` is frozen and the same in
    all terms, ``Λₖ`` is diagonal of ``r`` and ``Γₖ`` of ``m`` numbers; ``l = K (r + m)``. The transpose of
    that where ``n < D``. ``w`` holds ``Λ``, ``r × K``, then ``Γ``, ``K × m``: ``randlora_lambda`` and
    ``randlora_gamma`` in PEFT.

    The frozen ``B ∈ R^{max(n, D)×rK}`` has the column of ``Bₖ`` that meets row ``ρ`` of ``A`` at ``ρ K + k``.
    PEFT's ``randlora_B``, of shape ``(…, K, r)``, is this ``B`` when each of its rows is flattened.
    """

    r: int = 2

    def _sizes(self, n, D):
        m = min(n, D)
        return m, -(-m // self.r)

    def blocks(self, n, D):
        m, K = self._sizes(n, D)
        return {"Lambda": (self.r * K,), "Gamma": (K, m)}

    def frozen(self, n, D):
        m, K = self._sizes(n, D)
        return {"A": Gaussian(self.r, m), "B": Gaussian(max(n, D), self.r * K)}

    def matrix(self, n, D, Lambda, Gamma, A, B):
        # Row ρ K + k of what Λ scales is that of A, ρ, times that of Γ, k, entry by entry.
        W = B @ Diagonal(Lambda) @ face(A.T, Gamma.T).T
        return W if n >= D else W.T


@dataclass(frozen=True, kw_only=True)
class VBLoRA(Fabrication):
    """``W = B A`` of rank ``r``, cut into vectors of length ``b``, mixtures of ``k`` out of ``h`` ones.

    The bank of ``h`` vectors is learned, and so are the logits by which each vector of ``B`` and ``A`` takes
    from it: the softmax of the ``k`` largest. ``l = r h (n + D) / b + h b``. ``w`` holds the logits of ``B``,
    ``n/b × r × h``, those of ``A``, ``r × D/b × h``, then the bank, ``h × b``: ``vblora_logits_B``,
    ``vblora_logits_A`` and ``vblora_vector_bank`` in PEFT.
    """

    r: int = 2
    h: int = 4
    b: int = 1
    k: int = 2

    def __post_init__(self):
        super().__post_init__()
        if self.k > self.h:
            raise ValueError(f"{self}: of h={self.h} vectors no k={self.k} can be chosen")

    def blocks(self, n, D):
        rows, columns = split_evenly(self, "b", n, "n", self.b), split_evenly(self, "b", D, "D", self.b)
        return {
            "logits_B": (rows * self.r, self.h),
            "logits_A": (self.r * columns, self.h),
            "bank": (self.h, self.b),
        }

    def matrix(self, n, D, logits_B, logits_A, bank):
        B, A = (Softmax(logits, self.k) @ bank for logits in (logits_B, logits_A))
        # Vectors lie along the columns of B.
        B = blocks_transposed(B, n // self.b)
        return B @ reshaped(A, (self.r, D))
