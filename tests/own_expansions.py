"""Expansions of someone's own: right ones, and wrong ones with the laws that must catch them."""

import math
from dataclasses import dataclass

import numpy as np

import arrayfab as af
from arrayfab.expansions import Expansion, Functions
from arrayfab.structures import Constant, Diagonal, Map, add, face, hadamard, side_by_side
from arrayfab.structures.facesplitting import FaceSplitting
from arrayfab.structures.kronecker import Kronecker
from arrayfab.structures.rewriting import PRODUCTS


@dataclass(frozen=True, kw_only=True)
class Powers(Functions):
    """``x`` and ``x²``, in either layout."""

    by_attribute: bool = False
    count, degree, has_short_coefficients = 2, 2, True

    @property
    def is_attribute_major(self):
        return self.by_attribute

    def values(self, xp, x):
        return [x, x * x]

    def slopes(self, xp, x):
        return [xp.ones_like(x), 2.0 * x]

    def reference(self, x):
        each = np.stack([x, x**2], axis=-1 if self.by_attribute else -2)
        return each.reshape(*x.shape[:-1], 2 * x.shape[-1])


@dataclass(frozen=True, kw_only=True)
class Halves(Expansion):
    """``x / 2``."""

    def num_features(self, m):
        return m

    def expand(self, X):
        return 0.5 * X

    def reference(self, x):
        return x / 2


@dataclass(frozen=True, kw_only=True)
class Waves(Functions):
    """``sin(x)`` and ``cos(x)``."""

    count = 2

    def values(self, xp, x):
        return [xp.sin(x), xp.cos(x)]

    def slopes(self, xp, x):
        return [xp.cos(x), -xp.sin(x)]


@dataclass(frozen=True, kw_only=True)
class Angles(Functions):
    """``arcsin(x)``."""

    count, domain = 1, (-1.0, 1.0)

    def values(self, xp, x):
        return [xp.asin(x)]

    def slopes(self, xp, x):
        return [1.0 / xp.sqrt(1.0 - x * x)]


@dataclass(frozen=True)
class _InverseRoot:
    """``1 / √x``."""

    count, degree, is_attribute_major = 1, None, False

    def values(self, xp, x):
        return [1.0 / xp.sqrt(x)]

    def slopes(self, xp, x):
        return [-0.5 / (x * xp.sqrt(x))]


@dataclass(frozen=True, kw_only=True)
class Standardized(Expansion):
    """Rows of mean zero and variance one, about."""

    def num_features(self, m):
        return m

    def mean_square(self, m):
        return 1.0

    def variance(self, X, centred, mean):
        return hadamard(centred, centred) @ mean

    def expand(self, X):
        b, m = X.shape
        mean, ones = Constant((m, 1), 1.0 / m), Constant((1, m), -1.0)
        centred = add(X, X @ mean @ ones)
        variance = add(self.variance(X, centred, mean), Constant((b, 1), 0.25))
        return Diagonal(Map(_InverseRoot(), variance).T) @ centred


def with_face(node):
    """The expansion ``(1, x) ⊗ x`` by a node of its own."""

    @dataclass(frozen=True, kw_only=True)
    class Products(af.Taylor):
        def expand(self, X):
            return node(side_by_side((Constant((X.shape[0], 1), 1.0), X)), X)

    Products.__name__ = Products.__qualname__ = f"Products{node.__name__}"
    return Products()


# ---- wrong ones


class Crossed(FaceSplitting):
    """Has features in one order by itself and in another one in products."""

    def cols(self, x, numbers):
        return face(self.right, self.left).cols(x, numbers)


class Dropping(FaceSplitting):
    """Sends no cotangent to its left factor."""

    def _formed(self, numbers):
        x, y, pull = super()._formed(numbers)
        return x, y, lambda gx, gy, cotangents: pull(lambda: 0.0 * gx(), gy, cotangents)


class FormedSecretly(FaceSplitting):
    """Is multiplied by its dense form."""

    def cols(self, x, numbers):
        a, pull = self.dense(numbers)

        def pullback(gy, cotangents, need_x=True):
            pull(numbers.matmul_nt(gy, x), cotangents)
            return numbers.matmul_tn(a, gy) if need_x else None

        return a @ x, pullback


class Misruled(FaceSplitting):
    """Has a wrong rule."""


@PRODUCTS.of_types(Misruled, Kronecker)
def _twice(expanded, factor):
    if expanded.left.shape[1] != factor.left.shape[0]:
        return None
    return face(2.0 * (expanded.left @ factor.left), expanded.right @ factor.right)


@dataclass(frozen=True, kw_only=True)
class OtherOrder(Powers):
    """Is not what its reference says."""

    def reference(self, x):
        return np.stack([x, x**2], axis=-1).reshape(*x.shape[:-1], 2 * x.shape[-1])


@dataclass(frozen=True, kw_only=True)
class SquareWithoutTwo(Powers):
    def slopes(self, xp, x):
        return [xp.ones_like(x), x]


@dataclass(frozen=True, kw_only=True)
class SlopeOff(Waves):
    def slopes(self, xp, x):
        return [xp.cos(x), -1.001 * xp.sin(x)]


@dataclass(frozen=True, kw_only=True)
class DegreeTooLow(Powers):
    degree = 1


@dataclass(frozen=True, kw_only=True)
class OneTooMany(af.Taylor):
    def num_features(self, m):
        return super().num_features(m) + 1


@dataclass(frozen=True, kw_only=True)
class WrongFactor(af.Taylor):
    def outer_features(self, m):
        return m


@dataclass(frozen=True, kw_only=True)
class OfTheBatch(Powers):
    """Adds up the rows of the batch."""

    def values(self, xp, x):
        return [x + xp.sum(x, axis=-2, keepdims=True), x * x]


@dataclass(frozen=True, kw_only=True)
class ByDifference(Standardized):
    """Has its variance as the difference of two large numbers."""

    def variance(self, X, centred, mean):
        return add(hadamard(X, X) @ mean, -1.0 * hadamard(X @ mean, X @ mean))


@dataclass(frozen=True, kw_only=True)
class Loud(af.Taylor):
    def mean_square(self, m):
        return 10.0 * super().mean_square(m)


@dataclass(frozen=True, kw_only=True)
class Swallowing(Functions):
    """Takes what is not above zero for zero."""

    count = 1

    def values(self, xp, x):
        return [xp.where(x > 0.0, x, xp.zeros_like(x))]

    def slopes(self, xp, x):
        return [xp.astype(x > 0.0, x.dtype)]


@dataclass(frozen=True, kw_only=True)
class Promoting(Powers):
    def values(self, xp, x):
        return [x, xp.asarray(math.pi / math.pi, dtype=xp.float64)[None] * x * x]


@dataclass(frozen=True, kw_only=True)
class Stateful(Powers):
    """Gives other numbers for every object that is made."""

    def __post_init__(self):
        super().__post_init__()
        made.append(self)
        object.__setattr__(self, "_scale", float(len(made)))

    def values(self, xp, x):
        return [x, self._scale * x * x]

    def slopes(self, xp, x):
        return [xp.ones_like(x), 2.0 * self._scale * x]


made: list = []

# The fault, the wrong subject, and the law that must catch it.
WRONG_EXPANSIONS = {
    "features in another order in products": (with_face(Crossed), "dense_equals_matrix_free"),
    "features in another order than their reference": (OtherOrder(), "dense_equals_matrix_free"),
    "a square without the factor 2 in its derivative": (SquareWithoutTwo(), "vjp_matches_differences"),
    "a slope that is off by a thousandth": (SlopeOff(), "vjp_matches_differences"),
    "a cotangent of a factor that is dropped": (with_face(Dropping), "vjp_matches_differences"),
    "a number of features that is one too many": (OneTooMany(), "shape_and_length"),
    "p and q along the wrong factor": (WrongFactor(), "cheapest_along_its_factors"),
    "a feature that depends on other rows": (OfTheBatch(), "rows_are_expanded_one_by_one"),
    "a variance by the difference of two large numbers": (ByDifference(), "keeps_digits_far_from_zero"),
    "expanded data that are formed secretly": (with_face(FormedSecretly), "no_dense_allocation"),
    "a wrong rule for a product": (with_face(Misruled), "rewriting_changes_nothing"),
    "a mean square of features that is ten times too high": (Loud(), "mean_square_is_that_of_draws"),
    "a NaN that a comparison swallows": (Swallowing(), "nan_is_kept"),
    "features of a degree that is too low": (DegreeTooLow(), "polynomial_of_its_degree"),
    "features that are promoted": (Promoting(), "namespace_dtype_and_device_kept"),
    "features that depend on when the object was made": (Stateful(), "equal_configurations_agree"),
}
