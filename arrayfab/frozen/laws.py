"""What the entries of a frozen matrix are: the map from the generator's words to numbers.

Every step is an integer operation or one that IEEE 754 rounds correctly (sums, products, quotients, square
roots), in a stated order. So the numbers are equal to the last bit wherever they are computed, which no
library's logarithm or cosine would give. The maps take arrays of NumPy or CuPy; ``docs/frozen.md`` is
their specification, and ``philox.cu`` says the same to a GPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from arrayfab._arrays import Array

# Taylor coefficients of 2 artanh(s)/s and sin(h)/h in s² and h²: what is left out is below 2⁻⁵³ for
# |s| ≤ (√2 - 1)² and |h| ≤ π/8.
_ARTANH = [2.0 / (2 * k + 1) for k in range(10)]
_SIN = [(-1.0) ** k / math.factorial(2 * k + 1) for k in range(7)]
_LN2 = 0.6931471805599453
_QUARTER_PI = 0.7853981633974483
_ROOT_HALF = 0x3FE6A09E667F3BCD  # the bits of √½


@dataclass(frozen=True)
class Uniform:
    """Independent entries of an ``n × D`` matrix, uniform in ``[0, 1)``."""

    n: int
    D: int

    moment = 1 / 3

    def from_words(self, words: Array) -> Array:
        """A float64 number for each raw word."""
        return _uniform(words)


@dataclass(frozen=True)
class Bernoulli:
    """Independent entries of an ``n × D`` matrix, one with probability ``p`` and zero otherwise."""

    n: int
    D: int
    p: float

    def __post_init__(self):
        if not 0 <= self.p <= 1:
            raise ValueError(f"{self}: p must be a probability, got {self.p!r}")

    @property
    def moment(self) -> float:
        return self.p

    def from_words(self, words: Array) -> Array:
        """A float64 number for each raw word."""
        return (_uniform(words) < self.p).astype(np.float64)


@dataclass(frozen=True)
class Rademacher:
    """Independent entries of an ``n × D`` matrix, ``1`` or ``-1`` with equal probability."""

    n: int
    D: int

    moment = 1.0

    def from_words(self, words: Array) -> Array:
        """A float64 number for each raw word."""
        return 1.0 - 2.0 * (words & 1)


@dataclass(frozen=True)
class Gaussian:
    """Independent standard normal entries of an ``n × D`` matrix."""

    n: int
    D: int

    moment = 1.0

    def from_words(self, words: Array) -> Array:
        """A float64 number for each raw word, of which there are an even number."""
        # Box and Muller: two words make the radius √(-2 log v) and an angle. For the angle π/4 + φ in the
        # first quadrant, cos and sin are (cos φ ∓ sin φ)/√2; so the numbers are √(-log v) (cos φ ∓ sin φ).
        # The lowest bit of each word is its sign. And cos φ = 1 - 2t², sin φ = 2t √(1 - t²) for t = sin(φ/2).
        u = _uniform(words)
        radius = _root_of_minus_log(1.0 - u[0::2])
        half = (u[1::2] - 0.5) * _QUARTER_PI
        t = _series(half * half, _SIN)
        t *= half
        square = t * t
        cosine = 1.0 - 2.0 * square
        t *= 2.0 * np.sqrt(1.0 - square)
        np.multiply(cosine - t, radius, out=u[0::2])
        np.multiply(cosine + t, radius, out=u[1::2])
        signed = u.view(np.uint64)
        signed ^= words << 63
        return u


Law = Uniform | Bernoulli | Rademacher | Gaussian


def _uniform(words: Array) -> Array:
    return (words >> 11).view(np.int64) * 2.0**-53


def _root_of_minus_log(v: Array) -> Array:
    """``√(-log v)`` for ``v`` in ``(0, 1]``; ``v`` is overwritten."""
    # v = m 2ᵏ with √½ ≤ m < √2, read off the bits, and log m = 2 artanh(s) for s = (m - 1)/(m + 1).
    bits = v.view(np.int64)
    k = (bits - _ROOT_HALF) >> 52
    bits -= k << 52
    s = v - 1.0
    v += 1.0
    s /= v
    log = _series(s * s, _ARTANH)
    log *= s
    log += k * _LN2
    return np.sqrt(-log)


def _series(x: Array, coefficients: list[float]) -> Array:
    """``Σ cₖ xᵏ`` by Horner's rule: ``(…(c_K x + c_{K-1}) x + …) x + c₀``."""
    total = x * coefficients[-1]
    for coefficient in coefficients[-2:0:-1]:
        total += coefficient
        total *= x
    total += coefficients[0]
    return total
