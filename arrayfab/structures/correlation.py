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

    For many rows it is one product of matrices: block ``k`` of ``u vᵀ``, row by row, begins in row ``s k`` at
    column ``s k``, so that ``S T``, row by row behind ``s k`` zeros, is ``H_k`` of ``s + 1`` rows with

        f_k = Σ_a u_{sk+a} (H_k v)_a.
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

    def dense(self, numbers):
        return self._by_blocks(numbers) if self._is_blockwise else self._by_correlations(numbers)

    # With w_ka = u_{sk+a} and t = V Hᵀ, f = Σ_a t ∘ w:  gt = gf ∘ w,  gw = gf ∘ t,  gV = gt H,  gH = gtᵀ V.
    def _by_blocks(self, numbers):
        reshape, mT, concat = numbers.reshape, numbers.mT, numbers.xp.concat
        u, pull_u = self.left.dense(numbers)
        repeats = isinstance(self.right, Constant)  # all rows are one
        v, pull_v = (Constant((1, self.right.shape[1]), self.right.value) if repeats else self.right).dense(
            numbers
        )
        B, pull_B = self._taps_of_a_block.dense(numbers)
        m, s, blocks = self.right.shape[1], self.S.shape[0], self.shape[1]
        size, length = s * (m + 1), (s + 1) * m
        # Rows of as many numbers and s more, one after the other, begin s numbers earlier each time.
        h = concat([reshape(B, (*B.shape[:-2], size)), numbers.full((*B.shape[:-2], m), 0.0)], axis=-1)
        h = numbers.xp.broadcast_to(h[..., None, :], (*B.shape[:-2], blocks, length + s))
        h = reshape(h, (*B.shape[:-2], blocks * (length + s)))[..., : blocks * length]
        H = reshape(h, (*B.shape[:-2], blocks * (s + 1), m))
        firsts, lasts = (reshape(a, (*a.shape[:-1], blocks, s)) for a in (u[..., :m], u[..., 1:]))
        w = concat([firsts, lasts[..., s - 1 :]], axis=-1)
        t = v @ mT(H)
        t = reshape(t, (*t.shape[:-1], blocks, s + 1))
        f = (t * w) @ numbers.full((s + 1, 1), 1.0)

        def correlated_pullback(g, cotangents):
            g = g[..., None]
            gt = g * w
            gt = reshape(gt, (*gt.shape[:-2], blocks * (s + 1)))
            if self._taps_of_a_block.learned:
                gh = numbers.matmul_tn(numbers.sum(gt, axis=-2, keepdims=True) if repeats else gt, v)
                lead = tuple(gh.shape[:-2])
                rest = numbers.full((*lead, blocks * s), 0.0)
                gh = concat([reshape(gh, (*lead, blocks * length)), rest], axis=-1)
                gh = numbers.sum(reshape(gh, (*lead, blocks, length + s)), axis=-2)
                pull_B(reshape(gh[..., :size], (*lead, s, m + 1)), cotangents)
            if self.right.learned:
                pull_v(gt @ H, cotangents)
            if self.left.learned:
                pull_u(self._from_windows(g * t, numbers), cotangents)

        return f[..., 0], correlated_pullback

    def _from_windows(self, gw, numbers):
        """The cotangent of ``u``, where every block but the last begins in the last number of its window."""
        reshape, concat, (m, s) = numbers.reshape, numbers.xp.concat, (self.right.shape[1], self.S.shape[0])
        lead = tuple(gw.shape[:-2])
        lasts = concat([numbers.full((*gw.shape[:-1], s - 1), 0.0), gw[..., s:]], axis=-1)
        zero = numbers.full((*lead, 1), 0.0)
        firsts, lasts = reshape(gw[..., :s], (*lead, m)), reshape(lasts, (*lead, m))
        return concat([firsts, zero], axis=-1) + concat([zero, lasts], axis=-1)

    @cached_property
    def _taps_of_a_block(self):
        return chain(self.S, self.taps)

    # With d_ρR = u_{R+1} c_ρ(R − m) + u_R c_ρ(R), seen as matrices D_ρ of shape (blocks, s), f = Σ_ρ D_ρ S_ρ:
    #   gS_ρ = D_ρᵀ gf,  gD_ρ = gf S_ρᵀ,  gc = gd ∘ u  and  gu = Σ_ρ gd ∘ c.
    def _by_correlations(self, numbers):
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

    @cached_property
    def _is_blockwise(self):
        return self._blocks_cost.weight <= self._correlations_cost.weight

    @property
    def dense_cost(self):
        return self._blocks_cost if self._is_blockwise else self._correlations_cost

    @property
    def _blocks_cost(self):
        rows, m = self.shape[0], self.right.shape[1]
        read = self.shape[1] * (self.S.shape[0] + 1)
        children = self.left.dense_cost + self.right.dense_cost + self._taps_of_a_block.dense_cost
        return children + Cost(rows * read * (m + 1), read * (m + rows))

    @property
    def _correlations_cost(self):
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
