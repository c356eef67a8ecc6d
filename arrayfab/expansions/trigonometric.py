"""Waves, and the functions of the circle and of the hyperbola."""

from __future__ import annotations

import math
from dataclasses import dataclass

from arrayfab._elementwise import FUNCTIONS, SIGMOID, Elementwise
from arrayfab.expansions.base import Functions, Listed, check


@dataclass(frozen=True, kw_only=True)
class Fourier(Functions):
    """``cos(2π n x / P), sin(2π n x / P)`` for ``n = 1 … N``; ``D = 2 m N`` (J. Fourier, 1822).

    All attributes' values of one function stand together.
    """

    P: float = 10.0
    N: int = 5

    def __post_init__(self):
        super().__post_init__()
        check(self, self.P > 0, "P must be positive")

    @property
    def count(self):
        return 2 * self.N

    # Of one cosine and one sine:  e^{i (n+1) φ} = e^{i n φ} e^{i φ}. Whole periods are taken off first.
    def _waves(self, xp, x):
        phase = (2.0 * math.pi / self.P) * (x - self.P * xp.round(x / self.P))
        cosine, sine = first_cosine, first_sine = xp.cos(phase), xp.sin(phase)
        yield cosine, sine
        for _ in range(self.N - 1):
            cosine, sine = (
                cosine * first_cosine - sine * first_sine,
                sine * first_cosine + cosine * first_sine,
            )
            yield cosine, sine

    def values(self, xp, x):
        return [wave for pair in self._waves(xp, x) for wave in pair]

    def slopes(self, xp, x):
        slopes = []
        for n, (cosine, sine) in enumerate(self._waves(xp, x), start=1):
            frequency = 2.0 * math.pi * n / self.P
            slopes += [-frequency * sine, frequency * cosine]
        return slopes


@dataclass(frozen=True, kw_only=True)
class Trigonometric(Listed):
    """``sin x, cos x, tan x``, function by function; ``D = 3 m``."""

    functions = (FUNCTIONS["sin"], FUNCTIONS["cos"], FUNCTIONS["tan"])
    domain = (-1.5, 1.5)


@dataclass(frozen=True, kw_only=True)
class Hyperbolic(Listed):
    """``sinh x, cosh x, tanh x``, function by function; ``D = 3 m``."""

    functions = (FUNCTIONS["sinh"], FUNCTIONS["cosh"], FUNCTIONS["tanh"])


# The inverses are taken of u = σ(x) or v = 0.99 u. What lies between these and one is computed as such:
# 1 − v = 0.01 + 0.99 σ(−x).
def _squashed(xp, x):
    v = 0.99 * SIGMOID.value(xp, x)
    return v, 0.01 + 0.99 * SIGMOID.value(xp, -x), 0.99 * SIGMOID.slope(xp, x)


def _asin(xp, x):
    return xp.asin(_squashed(xp, x)[0])


def _asin_slope(xp, x):
    v, rest, slope = _squashed(xp, x)
    return slope / xp.sqrt(rest * (1.0 + v))


def _acos(xp, x):
    return 2.0 * xp.asin(xp.sqrt(0.5 * _squashed(xp, x)[1]))


def _acos_slope(xp, x):
    return -_asin_slope(xp, x)


def _atan(xp, x):
    return xp.atan(SIGMOID.value(xp, x))


def _atan_slope(xp, x):
    u = SIGMOID.value(xp, x)
    return SIGMOID.slope(xp, x) / (1.0 + u * u)


def _asinh(xp, x):
    return xp.asinh(SIGMOID.value(xp, x))


def _asinh_slope(xp, x):
    u = SIGMOID.value(xp, x)
    return SIGMOID.slope(xp, x) / xp.sqrt(1.0 + u * u)


# arcosh(1 + t) = log(1 + t + √(t (t + 2))), and its slope is 1 / √(t (t + 2)).
def _acosh(xp, x):
    t = SIGMOID.value(xp, x) + 0.01
    return xp.log1p(t + xp.sqrt(t * (t + 2.0)))


def _acosh_slope(xp, x):
    t = SIGMOID.value(xp, x) + 0.01
    return SIGMOID.slope(xp, x) / xp.sqrt(t * (t + 2.0))


# artanh(v) = ½ log((1 + v) / (1 − v)), and its slope is 1 / (1 − v²).
def _atanh(xp, x):
    v, rest, _ = _squashed(xp, x)
    return 0.5 * xp.log1p(2.0 * v / rest)


def _atanh_slope(xp, x):
    v, rest, slope = _squashed(xp, x)
    return slope / (rest * (1.0 + v))


@dataclass(frozen=True, kw_only=True)
class ArcTrigonometric(Listed):
    """``arcsin 0.99 u, arccos 0.99 u, arctan u`` of ``u = σ(x)``, function by function; ``D = 3 m``.

    These are the arguments of tinybig's code. Its page has ``x`` itself, of which arcsine and arccosine are
    known between −1 and 1 only.
    """

    functions = (
        Elementwise(_asin, _asin_slope),
        Elementwise(_acos, _acos_slope),
        Elementwise(_atan, _atan_slope),
    )


@dataclass(frozen=True, kw_only=True)
class ArcHyperbolic(Listed):
    """``arsinh u, arcosh (u + 1.01), artanh 0.99 u`` of ``u = σ(x)``, function by function; ``D = 3 m``.

    These are the arguments of tinybig's code. Its page has ``x`` itself, of which arcosh is known from 1 on
    only, and artanh between −1 and 1.
    """

    functions = (
        Elementwise(_asinh, _asinh_slope),
        Elementwise(_acosh, _acosh_slope),
        Elementwise(_atanh, _atanh_slope),
    )
