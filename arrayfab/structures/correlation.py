"""Products of expanded data with blocks that do not lie along their rows: correlations."""

from __future__ import annotations

from dataclasses import dataclass

from arrayfab._cached import cached_property
from arrayfab.structures.base import Cost, Multilinear, Structure, Transposed
from arrayfab.structures.chain import chain, factors_of
from arrayfab.structures.facesplitting import FaceSplitting
from arrayfab.structures.formed import Reshaped, ThroughDense
from arrayfab.structures.kronecker import Kronecker
from arrayfab.structures.leaves import Constant, Identity
from arrayfab.structures.rewriting import PRODUCTS
from arrayfab.structures.toeplitz import Toeplitz


@dataclass(frozen=True)
class Correlated(ThroughDense, Multilinear):
    """``(U • V)(I ⊗ h)`` with ``m + 1`` columns in ``U``, ``m`` in ``V``, and in ``h`` the rows of ``S T``.

    A row of ``U • V`` holds ``u_i v_j`` at ``i m + j``. Cut into runs of ``m + 1`` numbers, run ``R`` has at
    ``j`` ``u_R v_{R+j}``, or ``u_{R+1} v_{R+j-m}`` where ``R + j`` is ``m`` or more. With ``s`` runs to a
    block, ``S ∈ R^{s×r}`` and ``taps`` ``T ∈ R^{r×(m+1)}``, block ``k`` gives

        Σ_a Σ_ρ S[a, ρ] (u_R c_ρ(R) + u_{R+1} c_ρ(R - m)),    R = s k + a,

    for the correlations ``c_ρ(i) = Σ_j T[ρ, j] v_{i+j}``, where ``v`` is zero outside: a Toeplitz product.
    """

    left: Structure
    right: Structure
    S: Structure
    taps: Structure

    @cached_property
    def shape(self):
        return (self.left.shape[0], self.right.shape[1] // self.S.shape[0])

    @property
    def children(self):
        return (self.left, self.right, self.S, self.taps)

    def with_children(self, left, right, S, taps):
        return Correlated(left, right, S, taps)

    @cached_property
    def _correlations(self):
        """``V`` times the Toeplitz matrices: for every row of ``T``, ``c(R - m)`` and then ``c(R)``."""
        rows, m = self.right.shape
        right = [self.right]
        if isinstance(self.right, Constant):  # all rows are one
            right = [Constant((rows, 1), 1.0), Constant((1, m), self.right.value)]
        return chain(*right, Toeplitz(self.taps, m, 2 * m, m))

    # With d_ρR = u_{R+1} c_ρ(R − m) + u_R c_ρ(R), seen as matrices D_ρ of shape (blocks, s), f = Σ_ρ D_ρ S_ρ:
    #   gS_ρ = D_ρᵀ gf,  gD_ρ = gf S_ρᵀ,  gc = gd ∘ u  and  gu = Σ_ρ gd ∘ c.
    def dense(self, numbers):
        xp, mT, reshape = numbers.xp, numbers.mT, numbers.reshape
        u, pull_u = self.left.dense(numbers)
        c, pull_c = self._correlations.dense(numbers)
        S, pull_S = self.S.dense(numbers)
        m, (s, r), blocks = self.right.shape[1], self.S.shape, self.shape[1]
        u = xp.concat([u[..., None, 1:], u[..., None, :m]], axis=-2)[..., None, :, :]
        c = reshape(c, (*c.shape[:-1], r, 2, m))
        d = numbers.sum(c * u, axis=-2)
        d = reshape(d, (*d.shape[:-1], blocks, s))
        weights = mT(S)[..., None, :, :, None]
        f = numbers.sum((d @ weights)[..., 0], axis=-2)

        def correlated_pullback(g, cotangents):
            column = g[..., None, :, None]
            if self.S.learned:
                gS = numbers.sum(mT(d) @ column, axis=-4)[..., 0]
                pull_S(mT(gS), cotangents)
            gd = column * mT(weights)
            gd = reshape(gd, (*gd.shape[:-2], 1, m))
            if self._correlations.learned:
                gc = gd * u
                pull_c(reshape(gc, (*gc.shape[:-3], 2 * r * m)), cotangents)
            if self.left.learned:
                gu = numbers.sum(gd * c, axis=-3)
                zero = numbers.full((*gu.shape[:-2], 1), 0.0)
                later, first = gu[..., 0, :], gu[..., 1, :]
                both = xp.concat([zero, later], axis=-1) + xp.concat([first, zero], axis=-1)
                pull_u(both, cotangents)

        return f, correlated_pullback

    @property
    def dense_cost(self):
        rows, m, r = self.shape[0], self.right.shape[1], self.S.shape[1]
        size = rows * r * m
        children = self.left.dense_cost + self._correlations.dense_cost + self.S.dense_cost
        return children + Cost(size, 4 * size)

    def mean_square(self, variance):
        parts = [child.mean_square(variance) for child in self.children]
        value = float(self.S.shape[0] * self.S.shape[1] * self.taps.shape[1])
        for part in parts:
            value *= part
        return value


@PRODUCTS.of_types(FaceSplitting, Kronecker)
def _times_blocks(expanded, factor):
    """``(U • V)(A ⊗ b)`` where ``b`` is a matrix row by row, whose rows are as long as those of ``U``."""
    m = expanded.right.shape[1]
    read = factor.right.inner if isinstance(factor.right, Transposed) else None
    if not isinstance(read, Reshaped) or read.shape[0] != 1:
        return None
    s, width = read.inner.shape
    if (expanded.left.shape[1], width) != (m + 1, m + 1) or factor.left.shape[0] * s != m:
        return None
    first, *rest = factors_of(read.inner)
    if not rest or first.shape[1] > s:
        first, rest = Identity((s, s)), [read.inner]
    return chain(Correlated(expanded.left, expanded.right, first, chain(*rest)), factor.left)
