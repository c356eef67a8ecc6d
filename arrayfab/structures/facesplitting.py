"""The face-splitting product: rows that are Kronecker products of rows (V. I. Slyusar, 1999)."""

from __future__ import annotations

from dataclasses import dataclass

from arrayfab._cached import cached_property
from arrayfab.structures.base import Cost, Multilinear, Structure, Transposed
from arrayfab.structures.chain import chain
from arrayfab.structures.formed import hadamard
from arrayfab.structures.kronecker import Kronecker
from arrayfab.structures.leaves import Constant
from arrayfab.structures.rewriting import HADAMARDS, PRODUCTS
from arrayfab.structures.sums import Sum, add


def face(left: Structure, right: Structure) -> Structure:
    """``X • Y``: row ``i`` is ``xᵢ ⊗ yᵢ``."""
    if left.shape[0] != right.shape[0]:
        raise ValueError(f"face: shapes {left.shape} and {right.shape} have other numbers of rows")
    return FaceSplitting(left, right)


def khatri_rao(left: Structure, right: Structure) -> Structure:
    """``A ⊙ B``: column ``j`` is ``aⱼ ⊗ bⱼ`` (C. G. Khatri and C. R. Rao, 1968)."""
    if left.shape[1] != right.shape[1]:
        raise ValueError(f"khatri_rao: shapes {left.shape} and {right.shape} have other numbers of columns")
    return face(left.T, right.T).T


@dataclass(frozen=True)
class FaceSplitting(Multilinear):
    """``X • Y`` for ``X ∈ R^{b×m}`` and ``Y ∈ R^{b×k}``, of shape ``(b, m k)``."""

    left: Structure
    right: Structure

    @cached_property
    def shape(self):
        return (self.left.shape[0], self.left.shape[1] * self.right.shape[1])

    @property
    def children(self):
        return (self.left, self.right)

    def with_children(self, left, right):
        return face(left, right)

    @property
    def outer_columns(self):
        return self.left.shape[1]

    def _formed(self, numbers):
        (x, pull_x), (y, pull_y) = (child.dense(numbers) for child in self.children)

        def formed_pullback(gx, gy, cotangents):
            if self.left.learned:
                pull_x(gx(), cotangents)
            if self.right.learned:
                pull_y(gy(), cotangents)

        return x, y, formed_pullback

    # With the columns of M seen as matrices M_c ∈ R^{m×k}, entry (i, c) is aᵢᵀ M_c bᵢ, rows aᵢ, bᵢ of X, Y.
    # The wider side is summed over first, so that little is left between the two products:
    #   t_ci = M_cᵀ aᵢ, one product for each c, as M lies in memory;  y_ic = t_ci · bᵢ.
    # Hence  gb_i = Σ_c gy_ic t_ci,  gt_ci = gy_ic bᵢ,  gM_c = aᵀ gt_c  and  ga = Σ_c gt_c M_cᵀ.
    def cols(self, x, numbers):
        if isinstance(self.right, Constant):
            return self._cols_of_repeated(x, numbers)
        if not self._left_first:
            return self._cols_right_first(x, numbers)
        reshape, mT = numbers.reshape, numbers.mT
        a, b, pull = self._formed(numbers)
        m, k, c = a.shape[-1], b.shape[-1], x.shape[-1]
        M = reshape(mT(x), (*x.shape[:-2], c, m, k))
        t = a[..., None, :, :] @ M
        y = t[..., None, :] @ b[..., None, :, :, None]

        def face_cols_pullback(gy, cotangents, need_x=True):
            column = mT(gy)[..., None]
            gt = column * b[..., None, :, :]
            pull(
                lambda: numbers.sum(gt @ mT(M), axis=-3),
                lambda: numbers.sum(column * t, axis=-3),
                cotangents,
            )
            if not need_x:
                return None
            g = mT(a)[..., None, :, :] @ gt
            return mT(reshape(g, (*g.shape[:-2], m * k)))

        return mT(y[..., 0, 0]), face_cols_pullback

    @property
    def _left_first(self):
        return self.left.shape[1] >= self.right.shape[1]

    # The other way round:  t_ic = M_c bᵢ, one product with all M_c, one below the other;  y_ic = aᵢᵀ t_ic.
    # Hence  gaᵢ = Σ_c gy_ic t_ic,  gt_ic = gy_ic aᵢ,  gM = gtᵀ b  and  gb = gt M.
    def _cols_right_first(self, x, numbers):
        reshape, mT = numbers.reshape, numbers.mT
        a, b, pull = self._formed(numbers)
        (rows, m), k, c = a.shape[-2:], b.shape[-1], x.shape[-1]
        M = _below_each_other(mT(x), m, k, numbers)
        t = numbers.matmul(b, mT(M))
        t = reshape(t, (*t.shape[:-2], rows, c, m))
        y = t @ a[..., None]

        def face_cols_pullback(gy, cotangents, need_x=True):
            gt = gy[..., None] * a[..., None, :]
            gt = reshape(gt, (*gt.shape[:-3], rows, c * m))

            def of_left():
                g = gy[..., None, :] @ t
                return reshape(g, (*g.shape[:-2], m))

            pull(of_left, lambda: numbers.matmul(gt, M), cotangents)
            if not need_x:
                return None
            g = numbers.matmul_tn(gt, b)
            return mT(_in_rows(g, c, m, k, numbers))

        return reshape(y, y.shape[:-1]), face_cols_pullback

    # With bᵢ = v 1 for all rows, y = a M' for the sums of M over what meets the same column of X, times v.
    def _cols_of_repeated(self, x, numbers):
        reshape, mT = numbers.reshape, numbers.mT
        (m, k), c, value = (child.shape[1] for child in self.children), x.shape[-1], self.right.value
        M = reshape(mT(x), (*x.shape[:-2], c, m, k))
        y, pull = self.left.cols(value * mT(numbers.sum(M, axis=-1)), numbers)

        def face_cols_pullback(gy, cotangents, need_x=True):
            g = pull(gy, cotangents, need_x)
            if not need_x:
                return None
            g = mT(g)[..., None] * numbers.full((1, k), value)
            return mT(reshape(g, (*g.shape[:-2], m * k)))

        return y, face_cols_pullback

    # A row x of the data gives the matrix Σ_b x_b a_b b_bᵀ = (x ∘ aᵀ) b of shape m × k.
    def rows(self, x, numbers):
        reshape, mT = numbers.reshape, numbers.mT
        a, b, pull = self._formed(numbers)
        (rows, m), k, c = a.shape[-2:], b.shape[-1], x.shape[-2]
        aT, xs = mT(a)[..., None, :, :], x[..., None, :]
        z = xs * aT
        z = reshape(z, (*z.shape[:-3], c * m, rows))
        y = numbers.matmul(z, b)

        def face_rows_pullback(gy, cotangents, need_x=True):
            gy = _below_each_other(gy, m, k, numbers)
            gz = numbers.matmul_nt(gy, b)
            gz = reshape(gz, (*gz.shape[:-2], c, m, rows))
            pull(lambda: mT(numbers.sum(gz * xs, axis=-3)), lambda: numbers.matmul_tn(z, gy), cotangents)
            return numbers.sum(gz * aT, axis=-2) if need_x else None

        return _in_rows(y, c, m, k, numbers), face_rows_pullback

    def dense(self, numbers):
        # With a row of the cotangent seen as a matrix G ∈ R^{m×k}:  gx = G y  and  gy = xᵀ G.
        reshape = numbers.reshape
        a, b, pull = self._formed(numbers)
        m, k = a.shape[-1], b.shape[-1]
        y = a[..., None] * b[..., None, :]

        def face_dense_pullback(g, cotangents):
            g = reshape(g, (*g.shape[:-1], m, k))
            pull(lambda: (g @ b[..., None])[..., 0], lambda: (a[..., None, :] @ g)[..., 0, :], cotangents)

        return reshape(y, (*y.shape[:-2], m * k)), face_dense_pullback

    @property
    def _children_cost(self):
        return self.left.dense_cost + self.right.dense_cost

    def cols_cost(self, cols):
        if isinstance(self.right, Constant):
            return self.left.cols_cost(cols) + Cost(self.left.shape[1] * cols, self.shape[1] * cols)
        between = self.shape[0] * min(child.shape[1] for child in self.children) * cols
        return self._children_cost + Cost(self.shape[0] * self.shape[1] * cols + between, between)

    def rows_cost(self, rows):
        scaled = self.shape[0] * self.left.shape[1] * rows
        return self._children_cost + Cost(scaled * self.right.shape[1] + scaled, scaled)

    @property
    def dense_cost(self):
        size = self.shape[0] * self.shape[1]
        return self._children_cost + Cost(size, size)

    def mean_square(self, variance):
        return self.left.mean_square(variance) * self.right.mean_square(variance)


# Matrices m × k, which lie in rows, one below the other, and back again. In two steps, which Dask can take.
def _below_each_other(M, m, k, numbers):
    *lead, c, _ = M.shape
    return numbers.reshape(numbers.reshape(M, (*lead, c, m, k)), (*lead, c * m, k))


def _in_rows(M, c, m, k, numbers):
    lead = M.shape[:-2]
    return numbers.reshape(numbers.reshape(M, (*lead, c, m, k)), (*lead, c, m * k))


def _fits(expanded: FaceSplitting, left: Structure, right: Structure) -> bool:
    return (expanded.left.shape[1], expanded.right.shape[1]) == (left.shape[0], right.shape[0])


@PRODUCTS.of_types(FaceSplitting, Kronecker)
def _times_kronecker(expanded, factor):
    """``(X • Y)(A ⊗ B) = (X A) • (Y B)``."""
    if not _fits(expanded, factor.left, factor.right):
        return None
    return face(chain(expanded.left, factor.left), chain(expanded.right, factor.right))


@PRODUCTS.of_types(FaceSplitting, Transposed)
def _times_khatri_rao(expanded, factor):
    """``(X • Y)(A ⊙ B) = (X A) ∘ (Y B)``."""
    other = factor.inner
    if not isinstance(other, FaceSplitting) or not _fits(expanded, other.left.T, other.right.T):
        return None
    return hadamard(chain(expanded.left, other.left.T), chain(expanded.right, other.right.T))


@PRODUCTS.of_types(Kronecker, Transposed)
def _kronecker_times(factor, expanded):
    """``(A ⊗ B)(X • Y)ᵀ = ((X Aᵀ) • (Y Bᵀ))ᵀ``."""
    if not isinstance(expanded.inner, FaceSplitting):
        return None
    product = _times_kronecker(expanded.inner, factor.T)
    return product and product.T


@PRODUCTS.of_types(FaceSplitting, Sum)
def _times_sum(expanded, factor):
    return add(*(chain(expanded, term) for term in factor.terms))


@PRODUCTS.of_types(Sum, Kronecker)
def distributed(total: Sum, factor: Structure) -> Structure | None:
    """``Σ Mᵢ F``, each by itself where one of them is expanded so that a rule applies."""
    if not any(isinstance(term, FaceSplitting) and PRODUCTS.of(term, factor) for term in total.terms):
        return None
    return add(*(chain(term, factor) for term in total.terms))


@HADAMARDS.of_types(FaceSplitting, FaceSplitting)
def _entry_by_entry(left, right):
    """``(X • Y) ∘ (U • V) = (X ∘ U) • (Y ∘ V)``."""
    if [child.shape for child in left.children] != [child.shape for child in right.children]:
        return None
    return face(hadamard(left.left, right.left), hadamard(left.right, right.right))
