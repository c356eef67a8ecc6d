"""Functions of one number with their slopes, for arrays of any namespace.

They are exact to rounding over the whole range of a dtype: what is small is computed as such, never as a
difference of numbers near one. NaN stays NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from arrayfab._arrays import Array


@dataclass(frozen=True, repr=False)
class Elementwise:
    """``value(xp, x)`` and its derivative ``slope(xp, x)``, where ``xp`` is the namespace of ``x``.

    It is a `Basis` of one function.
    """

    value: Callable[[Any, Array], Array]
    slope: Callable[[Any, Array], Array]

    def __repr__(self):
        return self.value.__name__.strip("_")

    @property
    def count(self) -> int:
        return 1

    @property
    def is_attribute_major(self) -> bool:
        return False

    @property
    def degree(self) -> None:
        return None

    def values(self, xp: Any, x: Array) -> list[Array]:
        return [self.value(xp, x)]

    def slopes(self, xp: Any, x: Array) -> list[Array]:
        return [self.slope(xp, x)]


# With e = exp(−|x|), σ(x) = 1 / (1 + e) above zero and e / (1 + e) below; σ'(x) = e / (1 + e)² on both sides.
def _sigmoid(xp, x):
    e = xp.exp(-xp.abs(x))
    return xp.where(x < 0, e, xp.ones_like(e)) / (1.0 + e)


def _sigmoid_slope(xp, x):
    e = xp.exp(-xp.abs(x))
    return e / ((1.0 + e) * (1.0 + e))


# tanh(x) = 2 σ(2x) − 1, hence tanh'(x) = 4 σ'(2x) = (2 e / (1 + e²))².
def _tanh_slope(xp, x):
    e = xp.exp(-xp.abs(x))
    root = (e + e) / (1.0 + e * e)
    return root * root


def _tanh(xp, x):
    return xp.tanh(x)


def _relu(xp, x):
    return xp.where(x < 0, xp.zeros_like(x), x)


def _relu_slope(xp, x):
    return xp.where(x > 0, xp.ones_like(x), xp.zeros_like(x))


def _square(xp, x):
    return x * x


def _square_slope(xp, x):
    return x + x


SQUARE = Elementwise(_square, _square_slope)
SIGMOID = Elementwise(_sigmoid, _sigmoid_slope)

#: By name.
FUNCTIONS = {
    "tanh": Elementwise(_tanh, _tanh_slope),
    "sigmoid": SIGMOID,
    "relu": Elementwise(_relu, _relu_slope),
}
