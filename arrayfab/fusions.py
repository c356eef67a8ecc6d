"""Fusions of several arrays of one shape into one, entry by entry, with few learned numbers or none."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate
from numbers import Real
from typing import Any, NamedTuple

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.fabrications.blueprint import settle_sizes
from arrayfab.plain import Parameterless
from arrayfab.ruled import Ruled
from arrayfab.structures import Numbers
from arrayfab.structures.numbers import total


class _Rule(NamedTuple):
    """``value(xp, xs)``, and ``slopes(xp, xs, y)``: what it changes by where one of the arrays does."""

    value: Callable[[Any, list[Array]], Array]
    slopes: Callable[[Any, list[Array], Array], Sequence[Any]]


def _max(xp, xs):
    return reduce(xp.maximum, xs)


def _min(xp, xs):
    return reduce(xp.minimum, xs)


# Neighbours are put in order k times: then all are (odd-even transposition sort, N. Haberman, 1972). A
# program keeps no more of it than the middle needs. NaN goes on to both sides, and so to the middle.
def _median(xp, xs):
    rows, k = list(xs), len(xs)
    for step in range(k):
        for i in range(step % 2, k - 1, 2):
            low, high = rows[i], rows[i + 1]
            rows[i], rows[i + 1] = xp.minimum(low, high), xp.maximum(low, high)
    return rows[(k - 1) // 2]


# y is one of the arrays' entries: that one alone moves it, and of equal ones the first.
def _picked(xp, xs, y):
    rest, slopes = xp.ones_like(y), []
    for x in xs[:-1]:
        slopes.append(xp.where(x == y, rest, xp.zeros_like(y)))
        rest = rest - slopes[-1]
    return [*slopes, rest]


def _product(xp, xs):
    return reduce(lambda a, b: a * b, xs)


# ∂(x₁ … x_k) / ∂x_i is the product of those before and of those after it: zeros divide nothing.
def _others(xp, xs, y):
    before = [1.0, *accumulate(xs[:-1], lambda a, b: a * b)]
    after = [1.0, *accumulate(xs[:0:-1], lambda a, b: a * b)][::-1]
    return [a * b for a, b in zip(before, after, strict=True)]


# |x|' = sign(x); of all slopes between −1 and 1 that |x| has at zero it is the one in the middle.
def _signs(xp, xs, y):
    return [xp.sign(x) for x in xs]


# √Σ x² = s √Σ (x / s)² for the largest |x| as s, so that no square overflows, nor vanishes where y does not.
def _l2(xp, xs):
    largest = reduce(xp.maximum, (xp.abs(x) for x in xs))
    is_usual = (largest > 0.0) & (largest < math.inf)
    scale = xp.where(is_usual, largest, xp.ones_like(largest))
    return scale * xp.sqrt(total((x / scale) * (x / scale) for x in xs))


# ∂y / ∂x_i = x_i / y. Where all are zero, y has a slope in no direction; zero is in the middle of all.
def _directions(xp, xs, y):
    length = xp.where(y == 0.0, xp.ones_like(y), y)
    return [x / length for x in xs]


_RULES = {
    "sum": _Rule(lambda xp, xs: total(xs), lambda xp, xs, y: [1.0] * len(xs)),
    "mean": _Rule(lambda xp, xs: total(xs) / len(xs), lambda xp, xs, y: [1.0 / len(xs)] * len(xs)),
    "max": _Rule(_max, _picked),
    "min": _Rule(_min, _picked),
    "median": _Rule(_median, _picked),
    "product": _Rule(_product, _others),
    "l1": _Rule(lambda xp, xs: total(xp.abs(x) for x in xs), _signs),
    "l2": _Rule(_l2, _directions),
}

#: What `Fusion` knows by name.
FUSIONS = tuple(_RULES)


@dataclass(frozen=True)
class Fusion(Parameterless):
    """``y = f(x₁, …, x_k)``, entry by entry, of ``k`` arrays of one shape; nothing is learned.

    ``"sum"``, ``"mean"``, ``"max"``, ``"min"``, ``"median"``, ``"product"``, and the norms ``"l1"``
    (``Σ |x_i|``) and ``"l2"`` (``√Σ x_i²``) of each entry's ``k`` numbers. The median of an even number is
    the lower one of the two in the middle, as in PyTorch and tinybig.

    Where the largest, the smallest or the middle one is there several times, the gradient goes to the first
    of them. Where a norm has no gradient, ``"l1"`` at a zero and ``"l2"`` where all are zero, it is zero.

    Parameters
    ----------
    function : str
        One of the names above.
    k : int
        How many arrays there are.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import Fusion
    >>> y, pullback = Fusion("product", k=3).vjp([np.asarray([x]) for x in (2.0, 0.0, 5.0)])
    >>> pullback(np.ones(1))[0]
    [array([0.]), array([10.]), array([0.])]
    """

    function: str
    k: int

    def __post_init__(self):
        if self.function not in _RULES:
            raise ValueError(f"Fusion: function must be one of {list(_RULES)}, got {self.function!r}")
        settle_sizes(self, "k")

    @property
    def inputs(self):
        return [None] * self.k

    def _check_inputs(self, shapes):
        _check_alike(self, shapes)

    def _map(self, backend, x):
        rule = _RULES[self.function]
        y = rule.value(backend.xp, x)

        def fusion_pullback(grad_y):
            return [_times(grad_y, slope) for slope in rule.slopes(backend.xp, x, y)]

        return y, fusion_pullback

    def _push(self, backend, x, w, dx, dw, frozen):
        self._check_inputs([tuple(part.shape) for part in x])
        rule = _RULES[self.function]
        y = rule.value(backend.xp, x)
        return y, total(map(_times, dx, rule.slopes(backend.xp, x, y)))


@dataclass(frozen=True)
class WeightedFusion(Ruled):
    """``y = Σ w_i x_i`` of ``k`` arrays of one shape, with given weights or with learned ones.

    Parameters
    ----------
    k : int
        How many arrays there are.
    weights : tuple of float, optional
        One for each. Left out, ``w`` holds them, ``k`` learned numbers, which start as those of the mean.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import WeightedFusion
    >>> xs = [np.asarray([1.0, 2.0]), np.asarray([10.0, 20.0])]
    >>> WeightedFusion(k=2, weights=(2.0, 0.5))(xs)
    array([ 7., 14.])
    >>> WeightedFusion(k=2)(xs, np.asarray([3.0, 1.0]))
    array([13., 26.])
    """

    k: int
    weights: tuple[float, ...] | None = None

    def __post_init__(self):
        settle_sizes(self, "k")
        weights = self.weights
        if weights is None:
            return
        are_numbers = isinstance(weights, list | tuple) and all(
            isinstance(each, Real) and not isinstance(each, bool) and math.isfinite(each) for each in weights
        )
        if not are_numbers or len(weights) != self.k:
            raise ValueError(f"WeightedFusion: weights must be {self.k} finite numbers, got {weights!r}")
        object.__setattr__(self, "weights", tuple(map(float, weights)))

    @property
    def inputs(self):
        return [None] * self.k

    @property
    def follows_w(self):
        return self.weights is None

    def _check_inputs(self, shapes):
        _check_alike(self, shapes)

    def num_parameters(self) -> int:
        """``k``, or zero where the weights are given."""
        return self.k if self.weights is None else 0

    def init(self, *, xp=None, dtype=None, device=None, **options) -> Array:
        """The weights of the mean."""
        xp = _arrays.namespace(xp)
        return xp.full((self.num_parameters(),), 1.0 / self.k, dtype=dtype, device=device)

    def _weights(self, backend, x, w):
        """A weight for every array: a number, or an array with the leading axes of ``w``."""
        if self.weights is not None:
            return self.weights
        ones = (1,) * min(x[0].ndim, 2)
        shape = (*w.shape[:-1], *ones)
        return [backend.reshape(w[..., i : i + 1], shape) for i in range(self.k)]

    # dL/dx_i = w_i dL/dy, and dL/dw_i is the sum of x_i dL/dy over all entries that w_i is a weight of.
    def _rule(self, backend, x, w, frozen, wrt):
        self._check_inputs([tuple(part.shape) for part in x])
        weights, numbers = self._weights(backend, x, w), Numbers(backend, {}, w)

        def weighted_pullback(grad_y):
            grad_x = grad_w = None
            if "x" in wrt:
                grad_x = [
                    numbers.unbroadcast(_times(grad_y, weight), tuple(part.shape))
                    for weight, part in zip(weights, x, strict=True)
                ]
            if "w" in wrt and self.weights is None:
                shape, ones = tuple(weights[0].shape), (*w.shape[:-1], 1)
                sums = [numbers.unbroadcast(grad_y * part, shape) for part in x]
                grad_w = backend.xp.concat([backend.reshape(each, ones) for each in sums], axis=-1)
            return grad_x, grad_w

        return total(map(_times, x, weights)), weighted_pullback

    def _push(self, backend, x, w, dx, dw, frozen):
        y, weights = self._rule(backend, x, w, frozen, "")[0], self._weights(backend, x, w)
        dy = total(map(_times, dx, weights))
        if self.weights is None:
            dy = dy + total(map(_times, x, self._weights(backend, x, dw)))
        return y, dy


def _times(array, slope):
    """A product, which is not made where the slope is one."""
    return array if isinstance(slope, float) and slope == 1.0 else array * slope


def _check_alike(fusion, shapes):
    for i, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ValueError(
                f"{fusion}: all inputs must have one shape, x[0] has {shapes[0]} and x[{i}] {shape}"
            )
