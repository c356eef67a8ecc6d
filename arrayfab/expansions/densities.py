"""Logarithms of probability densities."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from arrayfab._elementwise import SIGMOID
from arrayfab.expansions.base import Functions, check, settle_tuples

_LOG_2_PI = math.log(2.0 * math.pi)


class Density(NamedTuple):
    """``log p(x; θ)`` and its slope, as functions of the namespace, ``x`` and the parameters."""

    value: Callable
    slope: Callable
    #: How many of the parameters, the last ones, must be positive.
    positive: int = 1


def _normal(xp, x, mean, deviation):
    z = (x - mean) / deviation
    return -0.5 * (z * z) - (math.log(deviation) + 0.5 * _LOG_2_PI)


def _normal_slope(xp, x, mean, deviation):
    return (mean - x) / deviation**2


# log(1 + z²) = 2 log |z| + log(1 + 1/z²) far from zero, where z² may overflow.
def _ratios(xp, x, median, width):
    z = (x - median) / width
    one = xp.ones_like(z)
    large = xp.maximum(xp.abs(z), one)
    return z, large, xp.minimum(xp.abs(z), one) / large


def _cauchy(xp, x, median, width):
    _, large, ratio = _ratios(xp, x, median, width)
    return -(math.log(math.pi * width) + 2.0 * xp.log(large) + xp.log1p(ratio * ratio))


def _cauchy_slope(xp, x, median, width):
    z, _, ratio = _ratios(xp, x, median, width)
    return xp.sign(z) * (ratio * (-2.0 / width)) / (1.0 + ratio * ratio)


def _laplace(xp, x, mean, width):
    return -xp.abs(x - mean) / width - math.log(2.0 * width)


def _laplace_slope(xp, x, mean, width):
    return xp.sign(mean - x) / width


def _gamma(xp, x, shape, rate):
    return (shape - 1.0) * xp.log(x) - rate * x + (shape * math.log(rate) - math.lgamma(shape))


def _gamma_slope(xp, x, shape, rate):
    return (shape - 1.0) / x - rate


def _chi2(xp, x, freedom):
    return _gamma(xp, x, 0.5 * freedom, 0.5)


def _chi2_slope(xp, x, freedom):
    return _gamma_slope(xp, x, 0.5 * freedom, 0.5)


def _exponential(xp, x, rate):
    return math.log(rate) - rate * x


def _exponential_slope(xp, x, rate):
    return xp.full_like(x, -rate)


def _squashed(density: Density, scale: float) -> Density:
    """The density of ``scale · σ(x) + 0.001``, which is positive."""

    def value(xp, x, *parameters):
        return density.value(xp, scale * SIGMOID.value(xp, x) + 0.001, *parameters)

    def slope(xp, x, *parameters):
        inner = density.slope(xp, scale * SIGMOID.value(xp, x) + 0.001, *parameters)
        return inner * (scale * SIGMOID.slope(xp, x))

    return Density(value, slope, density.positive)


NORMAL = Density(_normal, _normal_slope)
CAUCHY = Density(_cauchy, _cauchy_slope)
LAPLACE = Density(_laplace, _laplace_slope)
GAMMA, CHI2 = Density(_gamma, _gamma_slope, positive=2), Density(_chi2, _chi2_slope)
EXPONENTIAL = Density(_exponential, _exponential_slope)
_GAMMA, _EXPONENTIAL = _squashed(GAMMA, 0.99), _squashed(EXPONENTIAL, 0.99)
_CHI2, _CHI2_OF_LESS = _squashed(CHI2, 1.0), _squashed(CHI2, 0.99)

Pair = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Densities(Functions):
    """``log p(x; θₖ)``, all attributes' values of one density together; ``D = m K`` for ``K`` of them.

    A variant names its ``density`` and has ``parameters``, one ``θₖ`` after the other.
    """

    density: ClassVar[Density]

    @property
    def rows(self) -> list[tuple[Density, tuple]]:
        """Every density with its parameters."""
        parameters: tuple[Any, ...] = self.parameters  # type: ignore[attr-defined]
        return [(self.density, p if isinstance(p, tuple) else (p,)) for p in parameters]

    def __post_init__(self):
        super().__post_init__()
        settle_tuples(self, *vars(self))
        for density, parameters in self.rows:
            check(
                self,
                min(parameters[-density.positive :]) > 0,
                f"parameters must be positive, got {parameters}",
            )

    @property
    def count(self):
        return len(self.rows)

    def values(self, xp, x):
        return [density.value(xp, x, *parameters) for density, parameters in self.rows]

    def slopes(self, xp, x):
        return [density.slope(xp, x, *parameters) for density, parameters in self.rows]


@dataclass(frozen=True, kw_only=True)
class Normal(Densities):
    """``−(x − μ)² / (2σ²) − log σ − log(2π)/2`` for every ``(μ, σ)``; ``D = 6 m``."""

    parameters: tuple[Pair, ...] = ((0, 1), (1, 1), (-1, 1), (0, 0.1), (1, 0.1), (-1, 0.1))
    density = NORMAL


@dataclass(frozen=True, kw_only=True)
class NaiveNormal(Normal):
    """`arrayfab.expansions.Normal` with the standard normal density; ``D = m``."""

    parameters: tuple[Pair, ...] = ((0, 1),)


@dataclass(frozen=True, kw_only=True)
class Cauchy(Densities):
    """``−log(π γ (1 + (x − x₀)² / γ²))`` for every ``(x₀, γ)``; ``D = 6 m``."""

    parameters: tuple[Pair, ...] = ((0, 1), (0, 0.5), (1, 1), (1, 0.5), (-1, 1), (-1, 0.5))
    density = CAUCHY


@dataclass(frozen=True, kw_only=True)
class NaiveCauchy(Cauchy):
    """`arrayfab.expansions.Cauchy` with the standard density; ``D = m``."""

    parameters: tuple[Pair, ...] = ((0, 1),)


@dataclass(frozen=True, kw_only=True)
class Laplace(Densities):
    """``−|x − μ| / s − log 2s`` for every ``(μ, s)``; ``D = 6 m``. The slope at ``μ`` is zero."""

    parameters: tuple[Pair, ...] = ((0, 1), (0, 2), (1, 1), (1, 2), (-1, 1), (-1, 2))
    density = LAPLACE


@dataclass(frozen=True, kw_only=True)
class NaiveLaplace(Laplace):
    """`arrayfab.expansions.Laplace` with the standard density; ``D = m``."""

    parameters: tuple[Pair, ...] = ((0, 1),)


@dataclass(frozen=True, kw_only=True)
class Gamma(Densities):
    """``a log r + (a − 1) log v − r v − log Γ(a)`` for every shape and rate ``(a, r)``; ``D = 6 m``.

    ``v = 0.99 σ(x) + 0.001``, as in tinybig's code; its page has ``x`` itself, which must be positive there.
    """

    parameters: tuple[Pair, ...] = ((0.5, 1), (0.5, 2), (1, 1), (1, 2), (2, 1), (2, 2))
    density = _GAMMA


@dataclass(frozen=True, kw_only=True)
class NaiveGamma(Gamma):
    """`arrayfab.expansions.Gamma` of shape ½ and rate 1; ``D = m``."""

    parameters: tuple[Pair, ...] = ((0.5, 1),)


@dataclass(frozen=True, kw_only=True)
class Chi2(Densities):
    """The ``χ²`` densities, those of `arrayfab.expansions.Gamma` with shape ``k/2`` and rate ½; ``D = 2 m``.

    They are taken of ``v = σ(x) + 0.001``, as in tinybig's code.
    """

    parameters: tuple[float, ...] = (1, 2)
    density = _CHI2


@dataclass(frozen=True, kw_only=True)
class NaiveChi2(Chi2):
    """`arrayfab.expansions.Chi2` with one degree of freedom; ``D = m``."""

    parameters: tuple[float, ...] = (1,)


@dataclass(frozen=True, kw_only=True)
class Exponential(Densities):
    """``log λ − λ v`` for every ``λ``; ``D = 6 m``. ``v = 0.99 σ(x) + 0.001``, as in tinybig's code."""

    parameters: tuple[float, ...] = (0.5, 0.75, 1, 2, 3, 5)
    density = _EXPONENTIAL


@dataclass(frozen=True, kw_only=True)
class NaiveExponential(Exponential):
    """`arrayfab.expansions.Exponential` with ``λ = ½``; ``D = m``."""

    parameters: tuple[float, ...] = (0.5,)


@dataclass(frozen=True, kw_only=True)
class HybridProbabilistic(Densities):
    """One density of each kind: normal, Cauchy, ``χ²``, gamma, Laplace, exponential; ``D = 6 m``.

    Here ``χ²`` too is taken of ``0.99 σ(x) + 0.001``, as in tinybig's code.
    """

    normal: Pair = (0, 1)
    cauchy: Pair = (0, 1)
    chi2: float = 1
    gamma: Pair = (0.5, 1)
    laplace: Pair = (0, 1)
    exponential: float = 1

    @property
    def rows(self):
        return [
            (NORMAL, self.normal),
            (CAUCHY, self.cauchy),
            (_CHI2_OF_LESS, (self.chi2,)),
            (_GAMMA, self.gamma),
            (LAPLACE, self.laplace),
            (_EXPONENTIAL, (self.exponential,)),
        ]
