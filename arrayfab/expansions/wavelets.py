"""Wavelets."""

from __future__ import annotations

import math
from dataclasses import dataclass

from arrayfab._elementwise import SINC
from arrayfab.expansions.base import Functions, check
from arrayfab.expansions.taylor import num_products, products
from arrayfab.structures import Map

#: The exponential of minus half its square is zero in every dtype, and its cube finite in every dtype.
_FAR = 40.0


@dataclass(frozen=True, kw_only=True)
class Wavelets(Functions):
    """``a^{−i/2} ψ(x / aⁱ − j b)`` for ``i < s`` and ``j < t``, and products of up to ``d`` of these numbers.

    All functions of one attribute stand together, ``j`` running fastest. With ``M = m s t`` of them,
    ``D = M + M² + … + M^d``, in the order of `Taylor`.
    """

    d: int = 1
    s: int = 1
    t: int = 1
    a: float = 1.0
    b: float = 1.0
    is_attribute_major = True

    def __post_init__(self):
        super().__post_init__()
        check(self, self.a >= 1 and self.b >= 0, "a must be 1 or more, and b not negative")

    def wave(self, xp, x):
        """``ψ(x)``."""
        raise NotImplementedError(f"{type(self).__name__}.wave")

    def slope(self, xp, x):
        """``ψ'(x)``."""
        raise NotImplementedError(f"{type(self).__name__}.slope")

    @property
    def count(self):
        return self.s * self.t

    def num_features(self, m):
        return num_products(m * self.count, self.d)

    def expand(self, X):
        return products(Map(self, X), self.d)

    def _scaled(self, function, xp, x, power):
        scales = [float(self.a) ** i for i in range(self.s)]
        return [
            scale**power * function(xp, x / scale - j * self.b) for scale in scales for j in range(self.t)
        ]

    def values(self, xp, x):
        return self._scaled(self.wave, xp, x, -0.5)

    def slopes(self, xp, x):
        return self._scaled(self.slope, xp, x, -1.5)


@dataclass(frozen=True, kw_only=True)
class Haar(Wavelets):
    """Haar's wavelet: 1 on ``[0, ½)``, −1 on ``[½, 1)`` and 0 elsewhere (A. Haar, 1910)."""

    def wave(self, xp, x):
        one, zero = xp.ones_like(x), xp.zeros_like(x)
        y = xp.where(x >= 1.0, zero, x)  # where x is no number, so is this
        for end, level in ((1.0, -one), (0.5, one), (0.0, zero)):
            y = xp.where(x < end, level, y)
        return y

    def slope(self, xp, x):
        return xp.zeros_like(x)


@dataclass(frozen=True, kw_only=True)
class Ricker(Wavelets):
    """Ricker's wavelet ``2 (1 − z²) exp(−z²/2) / (√(3σ) π^¼)`` of ``z = x / σ`` (N. Ricker, 1953)."""

    sigma: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        check(self, self.sigma > 0, "sigma must be positive")

    @property
    def _height(self):
        return 2.0 / (math.sqrt(3.0 * self.sigma) * math.pi**0.25)

    def wave(self, xp, x):
        z, bell = _bell(xp, x / self.sigma)
        return self._height * ((1.0 - z) * (1.0 + z) * bell)

    def slope(self, xp, x):
        z, bell = _bell(xp, x / self.sigma)
        return (self._height / self.sigma) * (z * (z * z - 3.0) * bell)


@dataclass(frozen=True, kw_only=True)
class DoG(Wavelets):
    """The difference of normal densities of deviations ``σ₁`` and ``σ₂`` (D. Marr and E. Hildreth, 1980)."""

    sigma_1: float = 1.0
    sigma_2: float = 2.0

    def __post_init__(self):
        super().__post_init__()
        check(self, self.sigma_1 > 0 and self.sigma_2 > 0, "sigma_1 and sigma_2 must be positive")

    def wave(self, xp, x):
        first, second = (_normal(xp, x, sigma)[1] for sigma in (self.sigma_1, self.sigma_2))
        return first - second

    def slope(self, xp, x):
        (z, first), (y, second) = (_normal(xp, x, sigma) for sigma in (self.sigma_1, self.sigma_2))
        return (y / self.sigma_2) * second - (z / self.sigma_1) * first


def _bell(xp, z):
    z = xp.clip(z, -_FAR, _FAR)
    return z, xp.exp(-0.5 * z * z)


def _normal(xp, x, sigma):
    z, bell = _bell(xp, x / sigma)
    return z, bell / (math.sqrt(2.0 * math.pi) * sigma)


@dataclass(frozen=True, kw_only=True)
class Shannon(Wavelets):
    """Shannon's wavelet ``(sin 2πx − sin πx) / (πx)``, which is 1 at zero (C. E. Shannon, 1949)."""

    # With φ = πx/2 it is cos 3φ · sin φ / φ.
    def wave(self, xp, x):
        phi = (0.5 * math.pi) * x
        return xp.cos(3.0 * phi) * SINC.value(xp, phi)

    def slope(self, xp, x):
        phi = (0.5 * math.pi) * x
        turned = xp.cos(3.0 * phi) * SINC.slope(xp, phi) - 3.0 * xp.sin(3.0 * phi) * SINC.value(xp, phi)
        return (0.5 * math.pi) * turned


@dataclass(frozen=True, kw_only=True)
class Meyer(Wavelets):
    """Meyer's function ``(sin(2πx/3) + (4x/3) cos(4πx/3)) / (πx − 16πx³/9)`` (Y. Meyer, 1985).

    It is ``2/3 + 4/(3π)`` at zero and ``2/(3π)`` at ``±¾``.
    """

    # With v = |4x/3| it is 4/(3π) times f = (sin(πv/2) + v cos πv) / (v (1 − v²)). Two forms of f have no
    # difference of near numbers where they serve; in the second, e = 1 − v:
    #   ((π/2) sinc(πv/2) + cos πv) / (1 − v²)                 below ½,
    #   ((π/2) sin(3πe/4) sinc(πe/4) + cos πe) / (v (1 + v))   above.
    def _forms(self, xp, x):
        v = xp.abs((4.0 / 3.0) * x)
        half = xp.full_like(v, 0.5)
        is_inner = v < half
        return is_inner, xp.minimum(v, half), xp.maximum(v, half)

    def _inner(self, xp, v):
        above = (0.5 * math.pi) * SINC.value(xp, (0.5 * math.pi) * v) + xp.cos(math.pi * v)
        return above / ((1.0 - v) * (1.0 + v))

    def _outer(self, xp, v):
        e = math.pi * (1.0 - v)
        above = (0.5 * math.pi) * xp.sin(0.75 * e) * SINC.value(xp, 0.25 * e) + xp.cos(e)
        return above / (v * (1.0 + v))

    def wave(self, xp, x):
        is_inner, inner, outer = self._forms(xp, x)
        return 4.0 / (3.0 * math.pi) * xp.where(is_inner, self._inner(xp, inner), self._outer(xp, outer))

    def slope(self, xp, x):
        is_inner, v, w = self._forms(xp, x)
        turned = (math.pi / 2) ** 2 * SINC.slope(xp, (0.5 * math.pi) * v) - math.pi * xp.sin(math.pi * v)
        inner = (turned + 2.0 * v * self._inner(xp, v)) / ((1.0 - v) * (1.0 + v))
        e = math.pi * (1.0 - w)
        sine, sinc = xp.sin(0.75 * e), SINC.value(xp, 0.25 * e)
        turned = 0.75 * xp.cos(0.75 * e) * sinc + 0.25 * sine * SINC.slope(xp, 0.25 * e)
        turned = math.pi * xp.sin(e) - 0.5 * math.pi**2 * turned
        outer = (turned - (1.0 + 2.0 * w) * self._outer(xp, w)) / (w * (1.0 + w))
        return 16.0 / (9.0 * math.pi) * xp.sign(x) * xp.where(is_inner, inner, outer)


@dataclass(frozen=True, kw_only=True)
class BetaWavelet(Wavelets):
    """The density of the beta distribution: ``x^{α−1} (1 − x)^{β−1} / B(α, β)`` on ``[0, 1]``, else 0."""

    alpha: float = 1.0
    beta: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        check(self, self.alpha >= 1 and self.beta >= 1, "alpha and beta must be 1 or more")

    @property
    def _height(self):
        of_sum, *others = self.alpha + self.beta, self.alpha, self.beta
        if of_sum < 100:
            return math.gamma(of_sum) / math.prod(map(math.gamma, others))
        return math.exp(math.lgamma(of_sum) - sum(map(math.lgamma, others)))

    def _within(self, xp, x, y, is_inside):
        outside = xp.where(x == x, xp.zeros_like(x), x)  # where x is no number, so is this
        return xp.where(is_inside, y, outside)

    def wave(self, xp, x):
        p = xp.clip(x, 0.0, 1.0)
        y = _power(xp, p, self.alpha - 1) * _power(xp, 1.0 - p, self.beta - 1)
        return self._within(xp, x, self._height * y, x == p)

    def slope(self, xp, x):
        is_inside = (x > 0) & (x < 1)
        p = xp.where(is_inside, x, xp.full_like(x, 0.5))
        q, alpha, beta = 1.0 - p, self.alpha - 1, self.beta - 1
        rising = alpha * _power(xp, p, alpha - 1) * _power(xp, q, beta) if alpha else 0.0
        falling = beta * _power(xp, p, alpha) * _power(xp, q, beta - 1) if beta else 0.0
        return self._within(xp, x, self._height * (rising - falling + xp.zeros_like(x)), is_inside)


def _power(xp, base, exponent):
    return base ** float(exponent) if exponent else xp.ones_like(base)
