"""Shares: in every row positive numbers that sum to one, of scores that are a product."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from arrayfab._arrays import Array
from arrayfab._cached import cached_property
from arrayfab.structures.base import Cost, Pullback, Structure
from arrayfab.structures.chain import Chain, at_narrowest
from arrayfab.structures.formed import ThroughDense
from arrayfab.structures.leaves import Identity
from arrayfab.structures.numbers import total
from arrayfab.structures.segments import Segments
from arrayfab.structures.sums import Sum

#: So many scores are held at a time.
_TILE = 1 << 20


class _Shares(ThroughDense):
    scores: Structure

    @cached_property
    def shape(self):
        return self.scores.shape

    @property
    def children(self):
        return (self.scores,)

    def mean_square(self, variance):
        return 1.0 / self.shape[1] ** 2


# P = softmax(S) by rows:  dP = P ∘ (dS − δ 1ᵀ)  with  δᵢ = Σⱼ Pᵢⱼ dSᵢⱼ, which is its own transpose.
@dataclass(frozen=True)
class Softmax(_Shares):
    """``exp(sᵢⱼ) / Σₖ exp(sᵢₖ)``, of the ``largest`` scores of a row alone where that is given.

    Its product with columns holds some rows of it at a time.
    """

    scores: Structure
    largest: int | None = None

    def shares(self, s, numbers):
        """The shares of rows of scores."""
        xp = numbers.xp
        e = xp.exp(s - xp.max(s, axis=-1, keepdims=True))
        if self.largest is not None:
            least = xp.sort(s, axis=-1)[..., self.shape[1] - self.largest :][..., :1]
            e = xp.where(s < least, xp.zeros_like(e), e)
        return e / numbers.sum(e, axis=-1, keepdims=True)

    def mean_square(self, variance):
        return 1.0 / (self.shape[1] * (self.largest or self.shape[1]))  # equal shares

    def _tiles(self) -> Iterator[slice]:
        n, k = self.shape
        step = max(1, _TILE // max(k, 1))
        return (slice(start, min(start + step, n)) for start in range(0, n, step))

    def cols(self, x, numbers):
        # y = P x:  gx = Pᵀ gy  and  gP = gy xᵀ, hence  gS = P ∘ (gy xᵀ − δ 1ᵀ)  with  δᵢ = ⟨gyᵢ, yᵢ⟩; and of
        # S = L R:  gL = gS Rᵀ,  gR = Lᵀ gS. Rows of P are made again where they are not all held at once.
        if not isinstance(self.scores, Chain):
            return super().cols(x, numbers)
        (left, pull_left), (right, pull_right) = (side.dense(numbers) for side in sides(self.scores))
        tiles = list(self._tiles())

        def shares(tile):
            return self.shares(numbers.matmul(left[..., tile, :], right), numbers)

        held = [shares(tiles[0])] if len(tiles) == 1 else None
        ys = [(held[0] if held else shares(tile)) @ x for tile in tiles]
        y = numbers.xp.concat(ys, axis=-2) if len(ys) != 1 else ys[0]

        def softmax_cols_pullback(gy, cotangents, need_x=True):
            mT = numbers.mT
            delta = numbers.sum(gy * y, axis=-1, keepdims=True)
            g_left, g_right, gx = [], [], []
            for tile in tiles:
                p, g = held[0] if held else shares(tile), gy[..., tile, :]
                if self.learned:
                    g_scores = p * (numbers.matmul_nt(g, x) - delta[..., tile, :])
                    g_left.append(numbers.matmul_nt(g_scores, right))
                    g_right.append(mT(left[..., tile, :]) @ g_scores)
                if need_x:
                    gx.append(mT(p) @ g)
            if self.learned:
                pull_left(numbers.xp.concat(g_left, axis=-2), cotangents)
                pull_right(total(g_right), cotangents)
            return total(gx) if need_x else None

        return y, softmax_cols_pullback

    def dense(self, numbers):
        s, pull = self.scores.dense(numbers)
        p = self.shares(s, numbers)

        def softmax_pullback(g, cotangents):
            pull(p * (g - numbers.sum(p * g, axis=-1, keepdims=True)), cotangents)

        return p, softmax_pullback

    def cols_cost(self, cols):
        size = self.shape[0] * self.shape[1]
        return self.dense_cost + Cost(multiplies=cols * size)

    @property
    def dense_cost(self):
        return self.scores.dense_cost + Cost(moved=5 * self.shape[0] * self.shape[1])

    @property
    def derivative(self):
        return SoftmaxAlong(self, self.scores.tangent)


class _SharesAlong(ThroughDense):
    of: _Shares
    direction: Structure

    @cached_property
    def shape(self):
        return self.of.shape

    @property
    def children(self):
        return (self.of.scores, self.direction)


@dataclass(frozen=True)
class SoftmaxAlong(_SharesAlong):
    """The derivative of `Softmax` as the scores move along another matrix. It has no pullback."""

    of: Softmax
    direction: Structure

    def dense(self, numbers):
        p, _ = self.of.dense(numbers)
        ds, _ = self.direction.dense(numbers)
        return p * (ds - numbers.sum(p * ds, axis=-1, keepdims=True)), no_second

    @property
    def dense_cost(self):
        return self.of.dense_cost + self.direction.dense_cost


def no_second(g, cotangents, need_x=True):
    """The pullback of a derivative that has none."""
    raise NotImplementedError("shares: second derivatives are not known")


class Links:
    """Which columns the entries of each row may stand in, of ``n × n``. It equals itself alone."""

    def __init__(self, rows: np.ndarray, columns: np.ndarray, n: int):
        self.n, self.rows, self.columns = n, Segments(rows, n), Segments(columns, n)

    def __len__(self):
        return len(self.rows.groups)


# On links alone s, p and what moves them are columns of numbers, one for each link: what rows and columns
# have is spread over the links, and what links send back is added up by rows and by columns.
@dataclass(frozen=True)
class LinkedSoftmax(_Shares):
    """`Softmax` among the entries on links, and zero elsewhere: the square of the size is never met."""

    scores: Structure
    links: Links

    def shares(self, s, numbers):
        """The shares of scores on links."""
        rows = self.links.rows
        e = numbers.xp.exp(s - rows.spread(rows.largest(s, numbers), numbers))
        return e / rows.spread(rows.sums(e, numbers), numbers)

    def cols(self, x, numbers):
        # As for `Softmax`: gp = Σ gy ∘ x, gs = p (gp − δ), and of s = Σ l ∘ r: gl = gs r, gr = gs l.
        rows, columns = self.links.rows, self.links.columns
        s, pull = on_links(self.scores, self.links, numbers)
        p, xs = self.shares(s, numbers), columns.spread(x, numbers)
        y = rows.sums(p * xs, numbers)

        def linked_softmax_cols_pullback(gy, cotangents, need_x=True):
            gys = rows.spread(gy, numbers)
            if self.learned:
                delta = rows.spread(numbers.sum(gy * y, axis=-1, keepdims=True), numbers)
                pull(p * (numbers.sum(gys * xs, axis=-1, keepdims=True) - delta), cotangents)
            return columns.sums(p * gys, numbers) if need_x else None

        return y, linked_softmax_cols_pullback

    def dense(self, numbers):
        p, pull = self.cols(numbers.eye(*self.shape), numbers)

        def linked_softmax_pullback(g, cotangents):
            pull(g, cotangents, need_x=False)

        return p, linked_softmax_pullback

    def cols_cost(self, cols):
        numbers = len(self.links) * (cols + sides(self.scores)[0].shape[1])
        return sum((side.dense_cost for side in sides(self.scores)), Cost(numbers, 2 * numbers))

    @property
    def dense_cost(self):
        return self.cols_cost(self.shape[1])

    @property
    def derivative(self):
        return LinkedSoftmaxAlong(self, self.scores.tangent)


@dataclass(frozen=True)
class LinkedSoftmaxAlong(_SharesAlong):
    """The derivative of `LinkedSoftmax`. It has no pullback."""

    of: LinkedSoftmax
    direction: Structure

    def cols(self, x, numbers):
        links = self.of.links
        s, _ = on_links(self.of.scores, links, numbers)
        ds, _ = on_links(self.direction, links, numbers)
        p = self.of.shares(s, numbers)
        dp = p * (ds - links.rows.spread(links.rows.sums(p * ds, numbers), numbers))
        return links.rows.sums(dp * links.columns.spread(x, numbers), numbers), no_second

    def dense(self, numbers):
        return self.cols(numbers.eye(*self.shape), numbers)

    def cols_cost(self, cols):
        once = self.of.cols_cost(cols)
        return once + once

    @property
    def dense_cost(self):
        return self.cols_cost(self.shape[1])


def on_links(matrix: Structure, links: Links, numbers) -> tuple[Array, Pullback]:
    """The entries of a matrix on links, as a column."""
    if isinstance(matrix, Sum):
        values, pulls = zip(*(on_links(term, links, numbers) for term in matrix.terms), strict=True)

        def sum_pullback(g, cotangents):
            for pull in pulls:
                pull(g, cotangents)

        return total(values), sum_pullback
    (left, pull_left), (right, pull_right) = (side.dense(numbers) for side in sides(matrix))
    lefts, rights = links.rows.spread(left, numbers), links.columns.spread(numbers.mT(right), numbers)

    def on_links_pullback(g, cotangents):
        pull_left(links.rows.sums(g * rights, numbers), cotangents)
        pull_right(numbers.mT(links.columns.sums(g * lefts, numbers)), cotangents)

    return numbers.sum(lefts * rights, axis=-1, keepdims=True), on_links_pullback


def sides(matrix: Structure) -> tuple[Structure, Structure]:
    """``L`` and ``R`` of a matrix ``L R``."""
    if isinstance(matrix, Chain):
        return at_narrowest(matrix)
    size = matrix.shape[1]
    return matrix, Identity((size, size))
