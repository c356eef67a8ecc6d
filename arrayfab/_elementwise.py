"""Functions of one number with their slopes, for arrays of any namespace.

They are exact to rounding over the whole range of a dtype: what is small is computed as such, never as a
difference of numbers near one. NaN stays NaN.
"""

from __future__ import annotations

import math
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


# NumPy chooses by a mask entry by entry, which takes many times as long as a maximum.
def _relu(xp, x):
    return xp.maximum(x, xp.zeros_like(x))


def _relu_slope(xp, x):
    return xp.maximum(xp.sign(x), xp.zeros_like(x))


# x σ(x), and its slope σ(x) + x σ'(x).
def _silu(xp, x):
    return x * _sigmoid(xp, x)


def _silu_slope(xp, x):
    return _sigmoid(xp, x) + x * _sigmoid_slope(xp, x)


def _square(xp, x):
    return x * x


def _square_slope(xp, x):
    return x + x


def _sin(xp, x):
    return xp.sin(x)


def _cos(xp, x):
    return xp.cos(x)


def _minus_sin(xp, x):
    return -xp.sin(x)


def _tan(xp, x):
    return xp.tan(x)


def _tan_slope(xp, x):
    t = xp.tan(x)
    return 1.0 + t * t


def _exp(xp, x):
    return xp.exp(x)


def _sinh(xp, x):
    return xp.sinh(x)


def _cosh(xp, x):
    return xp.cosh(x)


# sin(x) / x, and its slope (cos(x) − sin(x) / x) / x, which loses all digits near zero: there it is the
# series Σ (−1)ᵏ 2k x²ᵏ⁻¹ / (2k + 1)!.
def _sinc(xp, x):
    is_zero = x == 0
    one = xp.ones_like(x)
    return xp.where(is_zero, one, xp.sin(x) / xp.where(is_zero, one, x))


def _sinc_slope(xp, x):
    one = xp.ones_like(x)
    is_small = xp.abs(x) < 1.0
    near, far = xp.where(is_small, x, one), xp.where(is_small, one, x)
    square = near * near
    series = xp.zeros_like(x)
    for k in range(10, 0, -1):
        series = series * square + (-1) ** k * 2.0 * k / math.factorial(2 * k + 1)
    return xp.where(is_small, near * series, (xp.cos(far) - xp.sin(far) / far) / far)


SQUARE = Elementwise(_square, _square_slope)
SIGMOID = Elementwise(_sigmoid, _sigmoid_slope)
SINC = Elementwise(_sinc, _sinc_slope)

#: By name.
FUNCTIONS = {
    "tanh": Elementwise(_tanh, _tanh_slope),
    "sigmoid": SIGMOID,
    "relu": Elementwise(_relu, _relu_slope),
    "silu": Elementwise(_silu, _silu_slope),
    "sin": Elementwise(_sin, _cos),
    "cos": Elementwise(_cos, _minus_sin),
    "tan": Elementwise(_tan, _tan_slope),
    "exp": Elementwise(_exp, _exp),
    "sinh": Elementwise(_sinh, _cosh),
    "cosh": Elementwise(_cosh, _sinh),
}
