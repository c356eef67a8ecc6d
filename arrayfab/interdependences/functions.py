"""Functions of one number with their slopes, of which kernels are made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

from arrayfab._elementwise import FUNCTIONS

TANH = FUNCTIONS["tanh"]


class OneFunction:
    """A basis of one function, given by its value and its slope."""

    count = 1
    is_attribute_major = False
    degree: int | None = None

    def value(self, xp, z):
        raise NotImplementedError(f"{type(self).__name__}.value")

    def slope(self, xp, z):
        raise NotImplementedError(f"{type(self).__name__}.slope")

    def values(self, xp, z):
        return [self.value(xp, z)]

    def slopes(self, xp, z):
        return [self.slope(xp, z)]


@dataclass(frozen=True)
class Decay(OneFunction):
    """``exp(−rate z)``."""

    rate: float = 1.0

    def value(self, xp, z):
        return xp.exp(z * -self.rate)

    def slope(self, xp, z):
        return xp.exp(z * -self.rate) * -self.rate


@dataclass(frozen=True)
class Power(OneFunction):
    """``(z + c)^d``."""

    c: float
    d: int

    def value(self, xp, z):
        return (z + self.c) ** self.d

    def slope(self, xp, z):
        return (z + self.c) ** (self.d - 1) * float(self.d)


@dataclass(frozen=True)
class Tanh(OneFunction):
    """``tanh(alpha z + c)``."""

    alpha: float
    c: float

    def value(self, xp, z):
        return TANH.value(xp, z * self.alpha + self.c)

    def slope(self, xp, z):
        return TANH.slope(xp, z * self.alpha + self.c) * self.alpha


@dataclass(frozen=True)
class Inverse(OneFunction):
    """``1 / z``, and one where ``z`` is zero."""

    def value(self, xp, z):
        return 1.0 / xp.where(z == 0, xp.ones_like(z), z)

    def slope(self, xp, z):
        scale = self.value(xp, z)
        return xp.where(z == 0, xp.zeros_like(z), -scale * scale)


@dataclass(frozen=True)
class AboveZero(OneFunction):
    """``max(z, 0)``."""

    def value(self, xp, z):
        return FUNCTIONS["relu"].value(xp, z)

    def slope(self, xp, z):
        return FUNCTIONS["relu"].slope(xp, z)


@dataclass(frozen=True)
class GaussianInformation(OneFunction):
    """``−½ log(1 − z²)``, what two normal numbers of correlation ``z`` tell of each other.

    ``1 − z²`` counts as ``least`` where it is less.
    """

    least: float

    def _left(self, xp, z):
        left = (1.0 - z) * (1.0 + z)
        # NaN stays NaN.
        return xp.where(left < self.least, xp.full_like(z, self.least), left)

    def value(self, xp, z):
        return xp.log(self._left(xp, z)) * -0.5

    def slope(self, xp, z):
        left = self._left(xp, z)
        return xp.where(left > self.least, z / left, xp.zeros_like(z))


def as_real(owner: Any, name: str, value: Any) -> float:
    """``value`` as a plain float; ValueError unless it is a finite number."""
    if not (isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)):
        raise ValueError(f"{type(owner).__name__}: {name} must be a finite number, got {value!r}")
    return float(value)


def settle_reals(owner: Any, *names: str) -> None:
    """Make plain floats of some fields of a frozen dataclass."""
    for name in names:
        object.__setattr__(owner, name, as_real(owner, name, getattr(owner, name)))


def check_flags(owner: Any, *names: str) -> None:
    """TypeError unless some fields are True or False."""
    for name in names:
        if not isinstance(getattr(owner, name), bool):
            raise TypeError(
                f"{type(owner).__name__}: {name} must be True or False, got {getattr(owner, name)!r}"
            )
