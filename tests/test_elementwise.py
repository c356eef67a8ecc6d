"""Functions of one number, over the whole range of a dtype, beside mpmath."""

from dataclasses import dataclass

import mpmath
import numpy as np
import pytest

from arrayfab import Pointwise
from arrayfab._elementwise import FUNCTIONS
from arrayfab.fabrications import Fabrication
from arrayfab.structures import Sigmoid


def within_range(function):
    """A function that is zero or infinite in every dtype beyond a thousand, where mpmath takes long."""
    return lambda x: function(max(min(x, mpmath.mpf(1000)), mpmath.mpf(-1000)))


EXACT = {
    "tanh": (mpmath.tanh, lambda x: mpmath.sech(x) ** 2),
    "sigmoid": (
        lambda x: 1 / (1 + mpmath.exp(-x)),
        lambda x: mpmath.exp(-abs(x)) / (1 + mpmath.exp(-abs(x))) ** 2,
    ),
    "relu": (lambda x: max(x, mpmath.mpf(0)), lambda x: mpmath.mpf(x > 0)),
    "silu": (
        lambda x: x / (1 + mpmath.exp(-x)),
        lambda x: (1 + x / (1 + mpmath.exp(x))) / (1 + mpmath.exp(-x)),
    ),
    "sin": (mpmath.sin, mpmath.cos),
    "cos": (mpmath.cos, lambda x: -mpmath.sin(x)),
    "tan": (mpmath.tan, lambda x: mpmath.sec(x) ** 2),
    "exp": (within_range(mpmath.exp), within_range(mpmath.exp)),
    "sinh": (within_range(mpmath.sinh), within_range(mpmath.cosh)),
    "cosh": (within_range(mpmath.cosh), within_range(mpmath.sinh)),
}


def points(dtype):
    """Numbers of either sign, from the smallest normal one to the largest."""
    info = np.finfo(dtype)
    steps = np.linspace(np.log(float(info.tiny)), np.log(float(info.max)) - 0.01, 400)
    positive = np.concatenate([np.exp(steps), np.linspace(0.1, 120, 600)])
    return np.concatenate([-positive, [0.0], positive]).astype(dtype)


def assert_near(actual, exact, x):
    """Within 64 units in the last place.

    What is smaller than a normal number may be zero, and what is larger than the largest is infinite.
    """
    info = np.finfo(actual.dtype)
    with mpmath.workdps(60):
        expected = np.asarray([float(exact(mpmath.mpf(float(each)))) for each in x])
    with np.errstate(over="ignore"):
        expected = expected.astype(actual.dtype).astype(float)
    difference = np.where(actual == expected, 0.0, np.abs(actual - expected))
    wrong = ~(difference <= 64 * float(info.eps) * np.abs(expected) + float(info.tiny))
    assert not wrong.any(), [(x[i], expected[i], actual[i]) for i in np.flatnonzero(wrong)[:3]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_slopes_have_their_tails(name, dtype):
    x = points(dtype)
    layer, (value, slope) = Pointwise(name), EXACT[name]
    with np.errstate(under="ignore", over="ignore", invalid="ignore"):
        y, pullback = layer.vjp(x)
        assert_near(y, value, x)
        assert_near(pullback(np.ones_like(x))[0], slope, x)
        assert_near(layer.jvp(x, None, np.ones_like(x))[1], slope, x)


@dataclass(frozen=True, kw_only=True)
class SigmoidOfAll(Fabrication):
    """``W = σ(w)``, entry by entry."""

    def blocks(self, n, D):
        return {"A": (n, D)}

    def matrix(self, n, D, A):
        return Sigmoid(A)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sigmoid_within_a_formula_has_its_tails(dtype):
    x = points(dtype)
    value, slope = EXACT["sigmoid"]
    with np.errstate(under="ignore"):
        W, pullback = SigmoidOfAll().vjp(x, 1, len(x))
        assert_near(W[0], value, x)
        assert_near(pullback(np.ones_like(W)), slope, x)
        assert_near(SigmoidOfAll().jvp(x, 1, len(x), np.ones_like(x))[1][0], slope, x)


def test_infinity_and_nan_pass():
    x = np.asarray([-np.inf, np.inf, np.nan])
    np.testing.assert_array_equal(Pointwise("sigmoid")(x), [0.0, 1.0, np.nan])
    np.testing.assert_array_equal(Pointwise("tanh").vjp(x)[1](np.ones(3))[0], [0.0, 0.0, np.nan])
