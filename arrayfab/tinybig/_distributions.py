"""Distributions of numbers, by PyTorch's names and keywords."""

from __future__ import annotations

import math
from typing import ClassVar

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.expansions.densities import CAUCHY, CHI2, EXPONENTIAL, GAMMA, LAPLACE, NORMAL, Density
from arrayfab.tinybig._configuration import CLASSES, ParameterError
from arrayfab.tinybig._function import Function


class Distribution(Function):
    """A density of single numbers, with its parameters."""

    _path: ClassVar[str] = ""  # PyTorch's name of it
    _density: ClassVar[Density]

    def __init_subclass__(cls, density: Density):
        name = cls.__name__
        cls._path, cls._density = f"torch.distributions.{name.lower()}.{name}", density
        CLASSES.update(dict.fromkeys((cls._path, f"torch.distributions.{name}"), cls))

    def _settle(self):
        if not min(self._parameters()[-self._density.positive :]) > 0:
            raise ParameterError(f"{self._path}: parameters must be positive, got {self._parameters()}")

    def _parameters(self):
        return tuple(float(getattr(self, key)) for key in self._order)

    def log_prob(self, x: Array) -> Array:
        """The logarithm of the density, number by number."""
        xp = _arrays.backend_of(self._path, "x", x).xp
        return self._density.value(xp, x, *self._parameters())

    def slope(self, x: Array) -> Array:
        """The derivative of `log_prob`."""
        xp = _arrays.backend_of(self._path, "x", x).xp
        return self._density.slope(xp, x, *self._parameters())

    def to_config(self):
        return {
            "function_class": self._path,
            "function_parameters": {k: getattr(self, k) for k in self._order},
        }


def _uniform(xp, x, low, high):
    inside = xp.logical_and(x >= low, x < high)
    return xp.where(inside, xp.full_like(x, -math.log(high - low)), xp.full_like(x, -math.inf))


def _uniform_slope(xp, x, low, high):
    return xp.zeros_like(x)


class Uniform(Distribution, density=Density(_uniform, _uniform_slope)):
    """``1 / (high − low)`` from ``low`` to ``high``, and zero outside."""

    _order: ClassVar = {"low": ..., "high": ...}

    def _settle(self):
        if not self.low < self.high:
            raise ParameterError(f"{self._path}: low must be less than high, got {self._parameters()}")


class Normal(Distribution, density=NORMAL):
    """Mean and standard deviation."""

    _order: ClassVar = {"loc": ..., "scale": ...}


class Cauchy(Distribution, density=CAUCHY):
    """Median and half the width at half the height."""

    _order: ClassVar = {"loc": ..., "scale": ...}


class Laplace(Distribution, density=LAPLACE):
    """Mean and scale."""

    _order: ClassVar = {"loc": ..., "scale": ...}


class Gamma(Distribution, density=GAMMA):
    """Shape and rate, of positive numbers."""

    _order: ClassVar = {"concentration": ..., "rate": ...}


class Chi2(Distribution, density=CHI2):
    """Degrees of freedom, of positive numbers."""

    _order: ClassVar = {"df": ...}


class Exponential(Distribution, density=EXPONENTIAL):
    """The rate, of positive numbers."""

    _order: ClassVar = {"rate": ...}
