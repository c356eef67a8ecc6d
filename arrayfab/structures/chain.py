"""Products of several matrices, associated by cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise
from uuid import uuid4

from arrayfab._cached import cached_property, remembered
from arrayfab.programs import Symbol, broadcast, regime
from arrayfab.structures import layout
from arrayfab.structures.base import Cost, Multilinear, Structure, builds
from arrayfab.structures.leaves import Dense, Identity
from arrayfab.structures.rewriting import PRODUCTS


def factors_of(matrix: Structure) -> tuple[Structure, ...]:
    """The factors of a product; a matrix that is none is its own only factor."""
    return matrix.factors if isinstance(matrix, Chain) else (matrix,)


def at_narrowest(product: Chain) -> tuple[Structure, Structure]:
    """A product as that of two, with the smallest size between them."""
    cut = min(range(1, len(product.factors)), key=lambda i: product.factors[i].shape[0])
    return chain(*product.factors[:cut]), chain(*product.factors[cut:])


@builds("product")
def chain(*matrices: Structure) -> Structure:
    """The product of matrices, with nested products flattened and neutral identities left out.

    Neighbours whose product has a form of its own, such as that of expanded data and a Kronecker product, are
    replaced by it.
    """
    for left, right in pairwise(matrices):
        if left.shape[1] != right.shape[0]:
            raise ValueError(f"product: shapes {left.shape} and {right.shape} do not fit")
    flat = [factor for matrix in matrices for factor in factors_of(matrix)]
    kept = [f for f in flat if not (isinstance(f, Identity) and f.is_neutral)] or flat[:1]
    kept = _rewritten(kept)
    return kept[0] if len(kept) == 1 else Chain(tuple(kept))


def _rewritten(factors: list[Structure]) -> list[Structure]:
    done: list[Structure] = []
    ahead = factors[::-1]
    while ahead:
        factor = ahead.pop()
        product = PRODUCTS.of(done[-1], factor) if done else None
        if product is None:
            done.append(factor)
            continue
        done.pop()
        ahead += factors_of(product)[::-1]
    return done


@builds("multiple")
def multiple(matrix: Structure, scale: float) -> Structure:
    """A matrix times a number."""
    return chain(Identity((matrix.shape[0],) * 2, scale), matrix)


@dataclass(frozen=True)
class Chain(Multilinear):
    """``F₁ F₂ … F_k``, two or more factors."""

    factors: tuple[Structure, ...]

    @cached_property
    def shape(self):
        return (self.factors[0].shape[0], self.factors[-1].shape[1])

    @property
    def children(self):
        return self.factors

    def with_children(self, *factors):
        return chain(*factors)

    @property
    def outer_columns(self):
        return self.factors[-1].outer_columns

    @cached_property
    def T(self):
        return Chain(tuple(factor.T for factor in reversed(self.factors)))

    @cached_property
    def _plans(self):
        return {}

    def plan(self, rows: int | None = None) -> Plan:
        """The cheapest association, of the factors alone or behind an array of about that many rows."""
        rows = rows if rows is None else regime(rows)
        return remembered(self._plans, rows, lambda: read_once(associate(self.factors, rows)))

    def rows(self, x, numbers):
        return self.plan(x.shape[-2]).run(numbers, x)

    def dense(self, numbers):
        return self.plan().run(numbers, None)

    def rows_cost(self, rows):
        cost = self.plan(rows).cost
        return cost if isinstance(rows, Symbol) else cost.at(rows)

    @property
    def dense_cost(self):
        return self.plan().cost

    def mean_square(self, variance):
        value = 1.0
        for factor in self.factors:
            value *= factor.mean_square(variance)
        for factor in self.factors[1:]:
            value *= factor.shape[0]
        return value


def associate(factors: tuple[Structure, ...], rows: int | None) -> Plan:
    """The cheapest plan for ``x F₁ … F_k``, or for ``F₁ … F_k`` where ``rows`` is None.

    Matrix-chain dynamic programming (Godbole 1973) over the intervals of the chain, in which a
    structured factor costs what its own product costs and is formed only where that is cheapest.
    """
    singles: list[Plan] = [Formed(factor) for factor in factors]
    if rows is not None:
        singles.insert(0, Given(rows, factors[0].shape[0]))
    count = len(singles)
    best: dict[tuple[int, int], Plan] = {(i, i): plan for i, plan in enumerate(singles)}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            options = [option for k in range(i, j) for option in _merges(best[i, k], best[k + 1, j])]
            best[i, j] = min(options, key=lambda plan: plan.cost.weight)
    return best[0, count - 1]


def _merges(left: Plan, right: Plan) -> list[Plan]:
    options: list[Plan] = []
    if isinstance(right, Formed):
        options.append(RowsOf(left, right.factor))
    if isinstance(left, Formed):
        options.append(ColsOf(left.factor, right))
    if math.prod(left.shape) > math.prod(right.shape):
        # Of two equal costs the first wins. The larger operand had better be the factor: its cotangent
        # then stays a product until all of them are added up.
        options.reverse()
    return options or [Product(left, right)]


def read_once(plan: Plan) -> Plan:
    """The plan, with thin products that read the same large array merged into one product."""
    reads: dict[Dense, list[RowsOf | ColsOf]] = {}
    for read in _thin_reads(plan):
        factor = read.factor if isinstance(read, RowsOf) else read.factor.T
        reads.setdefault(factor, []).append(read)
    for factor, group in reads.items():
        if len(group) > 1:
            return ReadOnce(factor, group, plan)
    return plan


def _thin_reads(plan: Plan) -> list[RowsOf | ColsOf]:
    """The innermost products of a thin array with a large one, none inside another."""
    inner = [read for part in plan.operands for read in _thin_reads(part)]
    if inner or plan.given or not isinstance(plan, RowsOf | ColsOf):
        return inner
    factor = plan.factor
    is_large = isinstance(factor, Dense) and min(factor.shape) > layout.THIN
    return [plan] if is_large and min(plan.operands[0].shape) <= layout.THIN else []


class Plan:
    """How to compute an interval of a chain: ``run`` returns its array and a pullback.

    ``pullback(g, cotangents, need_x)`` returns the cotangent of the array that `Given` stands for,
    which is the leftmost operand wherever there is one.
    """

    cost: Cost
    shape: tuple[int, int]
    #: The plans whose arrays this one multiplies.
    operands: tuple[Plan, ...] = ()
    #: Whether a cotangent has anywhere to go: to a learned hole, or to the given array.
    learned: bool
    given: bool

    def replaced(self, plans: dict[Plan, Plan]) -> Plan:
        """This plan, with some of the plans in it replaced."""
        return plans.get(self, self)

    def run(self, numbers, x):
        raise NotImplementedError


class Given(Plan):
    """The array ``x`` in front of a chain."""

    def __init__(self, rows, n):
        self.cost, self.shape, self.learned, self.given = Cost(), (rows, n), False, True

    def run(self, numbers, x):
        return x, _given_pullback


def _given_pullback(g, cotangents, need_x=True):
    return g


class Formed(Plan):
    """A single factor, in its dense form."""

    def __init__(self, factor):
        self.factor, self.given = factor, False
        self.cost, self.shape, self.learned = factor.dense_cost, factor.shape, factor.learned

    def run(self, numbers, x):
        array, pull = self.factor.dense(numbers)

        def formed_pullback(g, cotangents, need_x=True):
            pull(g, cotangents)

        return array, formed_pullback


class RowsOf(Plan):
    """``left @ factor`` by the factor's own product."""

    def __init__(self, left, factor):
        self.left, self.factor, self.given, self.operands = left, factor, left.given, (left,)
        self.shape = (left.shape[0], factor.shape[1])
        self.cost = left.cost + factor.rows_cost(left.shape[0])
        self.learned = left.learned or factor.learned

    def replaced(self, plans):
        return plans.get(self) or RowsOf(self.left.replaced(plans), self.factor)

    def run(self, numbers, x):
        left, pull_left = self.left.run(numbers, x)
        y, pull = self.factor.rows(left, numbers)

        def rows_of_pullback(gy, cotangents, need_x=True):
            need_left = self.left.learned or (self.given and need_x)
            g_left = pull(gy, cotangents, need_left)
            return pull_left(g_left, cotangents, need_x) if need_left else None

        return y, rows_of_pullback


class ColsOf(Plan):
    """``factor @ right`` by the factor's own product."""

    def __init__(self, factor, right):
        self.factor, self.right, self.given, self.operands = factor, right, False, (right,)
        self.shape = (factor.shape[0], right.shape[1])
        self.cost = factor.cols_cost(right.shape[1]) + right.cost
        self.learned = factor.learned or right.learned

    def replaced(self, plans):
        return plans.get(self) or ColsOf(self.factor, self.right.replaced(plans))

    def run(self, numbers, x):
        right, pull_right = self.right.run(numbers, x)
        y, pull = self.factor.cols(right, numbers)

        def cols_of_pullback(gy, cotangents, need_x=True):
            g_right = pull(gy, cotangents, self.right.learned)
            if self.right.learned:
                pull_right(g_right, cotangents)

        return y, cols_of_pullback


class Product(Plan):
    """``left @ right`` of two computed arrays."""

    def __init__(self, left, right):
        self.left, self.right, self.given, self.operands = left, right, left.given, (left, right)
        self.shape = (left.shape[0], right.shape[1])
        size = left.shape[0] * left.shape[1] * right.shape[1]
        self.cost = left.cost + right.cost + Cost(multiplies=size)
        self.learned = left.learned or right.learned

    def replaced(self, plans):
        return plans.get(self) or Product(self.left.replaced(plans), self.right.replaced(plans))

    def run(self, numbers, x):
        left, pull_left = self.left.run(numbers, x)
        right, pull_right = self.right.run(numbers, x)

        def product_pullback(gy, cotangents, need_x=True):
            if self.right.learned:
                pull_right(numbers.matmul_tn(left, gy), cotangents)
            if self.left.learned or (self.given and need_x):
                return pull_left(numbers.matmul_nt(gy, right), cotangents, need_x)
            return None

        return numbers.matmul(left, right), product_pullback


class ReadOnce(Plan):
    """Thin products with one array, ``t₁ F, t₂ F, …``, as ``(t₁ above t₂ …) F``, and what follows them.

    ``F`` and its cotangents are large; this way each is passed over once for all of the products.
    """

    def __init__(self, factor: Dense, reads: list[RowsOf | ColsOf], plan: Plan):
        self.factor = factor
        # A product F P among them is the transpose of Pᵀ Fᵀ.
        self.thin = [(read.operands[0], isinstance(read, ColsOf)) for read in reads]
        rows = [thin.shape[1] if flip else thin.shape[0] for thin, flip in self.thin]
        # What was read goes on as if it had been given, under names that nothing else has: plans lie inside
        # one another, and are made by any thread.
        holes = [Dense(f"{factor.name}/{uuid4().hex}", (size, factor.shape[1])) for size in rows]
        self.names = [hole.name for hole in holes]
        self.body = plan.replaced(
            {
                read: Formed(hole.T if flip else hole)
                for read, hole, (_, flip) in zip(reads, holes, self.thin, strict=True)
            }
        )
        self.cost, self.shape, self.given, self.learned = plan.cost, plan.shape, plan.given, plan.learned

    def run(self, numbers, x):
        xp, mT = numbers.xp, numbers.mT
        parts = [thin.run(numbers, None) for thin, _ in self.thin]
        rows = [mT(a) if flip else a for (a, _), (_, flip) in zip(parts, self.thin, strict=True)]
        lead = broadcast(*(tuple(a.shape[:-2]) for a in rows))
        if lead:
            rows = [xp.broadcast_to(a, (*lead, *a.shape[-2:])) for a in rows]
        read, pull_read = self.factor.rows(xp.concat(rows, axis=-2), numbers)
        spans = list(pairwise(accumulate((a.shape[-2] for a in rows), initial=0)))
        pieces = [read[..., start:stop, :] for start, stop in spans]
        body, pull_body = self.body.run(numbers.with_arrays(dict(zip(self.names, pieces, strict=True))), x)

        def read_once_pullback(gy, cotangents, need_x=True):
            gx = pull_body(gy, cotangents, need_x)
            gs = [cotangents.take(name, tuple(p.shape)) for name, p in zip(self.names, pieces, strict=True)]
            need_thin = any(thin.learned for thin, _ in self.thin)
            g_rows = pull_read(xp.concat(gs, axis=-2), cotangents, need_thin)
            for (thin, flip), (_, pull), span in zip(self.thin, parts, spans, strict=True):
                if thin.learned:
                    g = g_rows[..., slice(*span), :]
                    pull(mT(g) if flip else g, cotangents)
            return gx

        return body, read_once_pullback
