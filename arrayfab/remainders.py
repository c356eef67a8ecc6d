"""Remainders: what a head adds to its result, straight from its data.

They are functions that return layers. An activation is one of those that `arrayfab.Pointwise` knows by name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

from arrayfab.composition import Sequential
from arrayfab.expansions import Identity
from arrayfab.fabrications import Full
from arrayfab.fabrications.blueprint import settle_sizes
from arrayfab.layer import Layer
from arrayfab.plain import Parameterless, Pointwise
from arrayfab.roles import Reconciliation
from arrayfab.structures import Numbers


@dataclass(frozen=True, kw_only=True)
class ConstantRemainder(Parameterless):
    """``y = (c, …, c)``, ``n`` of them for every row, whatever the data.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab.remainders import ConstantRemainder
    >>> ConstantRemainder(n=3, c=2.0)(np.ones((1, 5)))
    array([[2., 2., 2.]])
    """

    n: int
    c: float = 0.0

    def __post_init__(self):
        settle_sizes(self, "n")
        if not (isinstance(self.c, Real) and not isinstance(self.c, bool) and math.isfinite(self.c)):
            raise ValueError(f"ConstantRemainder: c must be a finite number, got {self.c!r}")
        object.__setattr__(self, "c", float(self.c))

    def _rule(self, backend, x, w, frozen, wrt):
        y = Numbers(backend, {}, w).full((*x.shape[:-1], self.n), self.c)

        def constant_pullback(grad_y):
            return backend.xp.zeros_like(x), None

        return y, constant_pullback

    def _push(self, backend, x, w, dx, dw, frozen):
        y, _ = self._rule(backend, x, w, frozen, "")
        return y, backend.xp.zeros_like(y)


def zero(n: int) -> Layer:
    """``π(x) = 0``, of ``n`` columns: what a head without a remainder adds."""
    return ConstantRemainder(n=n)


def constant(n: int, c: float = 1.0, activation: str | None = None) -> Layer:
    """``π(x) = a(c)``, in ``n`` columns."""
    return _activated(ConstantRemainder(n=n, c=c), activation)


def identity(activation: str | None = None) -> Layer:
    """``π(x) = a(x)``."""
    return Identity() if activation is None else Pointwise(activation)


def linear(m: int, n: int, bias: bool = False, activation: str | None = None) -> Layer:
    """``π(x) = a(x Wᵀ + b)`` with a learned ``W ∈ R^{n×m}`` and, on request, ``b ∈ R^n``.

    Examples
    --------
    >>> from arrayfab import remainders
    >>> remainders.linear(m=4, n=3, bias=True, activation="tanh").num_parameters()
    15
    """
    return _activated(Reconciliation(fabrication=Full(), n=n, D=m, bias=bias), activation)


def _activated(layer, activation):
    return layer if activation is None else Sequential([layer, Pointwise(activation)])
