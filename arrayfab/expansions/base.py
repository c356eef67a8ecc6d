"""An expansion: a formula that turns every row of the data into a longer one."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from arrayfab._elementwise import Elementwise
from arrayfab.fabrications.blueprint import settle_sizes
from arrayfab.formulated import Formulated
from arrayfab.structures import Dense, Map, Structure

_SIZES = ("int", int)


@dataclass(frozen=True, kw_only=True)
class Expansion(Formulated):
    """``κ``: rows of ``m`` numbers in, rows of ``D`` numbers out; nothing is learned.

    A variant is a frozen dataclass of hyper-parameters that says how many numbers a row has then, and what
    the formula is. It is a layer: called, it gives the array ``κ(x)``. In a role it is part of the formula,
    and ``κ(x)`` is not formed where its product can do without.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab.expansions import Taylor
    >>> Taylor(d=2)(np.asarray([2.0, 3.0]))
    array([2., 3., 4., 6., 6., 9.])
    """

    #: An interval in which all features are smooth. Tests take their data from well inside it.
    domain = (-math.inf, math.inf)

    def num_features(self, m: int) -> int:
        """The length ``D`` of a row of ``κ(x)`` for rows of ``m`` numbers."""
        raise NotImplementedError(f"{type(self).__name__}.num_features")

    def expand(self, X: Structure) -> Structure:
        """The formula of ``κ(X)``, of shape ``(b, D)``, for data of shape ``(b, m)``."""
        raise NotImplementedError(f"{type(self).__name__}.expand")

    def __post_init__(self):
        settle_sizes(self, *(each.name for each in fields(self) if each.type in _SIZES))

    def formula(self, X: Structure) -> Structure:  # type: ignore[override]
        """`expand`, with its shape checked."""
        K, expected = self.expand(X), (X.shape[0], self.num_features(X.shape[1]))
        if K.shape != expected:
            raise ValueError(
                f"{self}: the formula of data of shape {X.shape} has shape {K.shape}, expected {expected}"
            )
        return K

    def mean_square(self, m: int) -> float:
        """About the mean square of the numbers in ``κ(x)``, for independent normal numbers in ``x``."""
        return self.formula(Dense("x", (1, m))).mean_square(1.0)

    def outer_features(self, m: int) -> int | None:
        """``q`` where the features are those of a product of ``q`` and others, None where they are not."""
        return self.formula(Dense("x", (1, m))).outer_columns

    def _check_inputs(self, shapes):
        (shape,) = shapes
        if not shape:
            raise ValueError(f"{self}: x must have shape (..., m), got ()")
        self.num_features(int(shape[-1]))


@dataclass(frozen=True, kw_only=True)
class Functions(Expansion):
    """An expansion by functions of one number: the `arrayfab.structures.Basis` is the expansion itself.

    A subclass gives ``count``, ``values`` and ``slopes``.
    """

    @property
    def count(self) -> int:
        """How many functions there are."""
        raise NotImplementedError(f"{type(self).__name__}.count")

    @property
    def is_attribute_major(self) -> bool:
        """Whether the features of one attribute stand together, rather than those of one function."""
        return False

    @property
    def degree(self) -> int | None:
        """The largest degree, where all functions are polynomials."""
        return None

    @property
    def has_short_coefficients(self) -> bool:
        """Whether all functions are polynomials with whole numbers, halves or quarters for coefficients."""
        return False

    def values(self, xp, x):
        """``fₖ(x)``, a list of arrays of the shape of ``x``."""
        raise NotImplementedError(f"{type(self).__name__}.values")

    def slopes(self, xp, x):
        """``fₖ'(x)``, a list of arrays of the shape of ``x``."""
        raise NotImplementedError(f"{type(self).__name__}.slopes")

    def num_features(self, m):
        return m * self.count

    def expand(self, X):
        return Map(self, X)


@dataclass(frozen=True, kw_only=True)
class Listed(Functions):
    """An expansion by ``functions`` that are there already, each with its slope."""

    functions: ClassVar[tuple[Elementwise, ...]] = ()

    @property
    def count(self):
        return len(self.functions)

    def values(self, xp, x):
        return [function.value(xp, x) for function in self.functions]

    def slopes(self, xp, x):
        return [function.slope(xp, x) for function in self.functions]


def settle_tuples(owner: Any, *names: str) -> None:
    """Make tuples of a frozen dataclass's lists."""
    for name in names:
        object.__setattr__(owner, name, _as_tuple(getattr(owner, name)))


def _as_tuple(value):
    return tuple(map(_as_tuple, value)) if isinstance(value, list | tuple) else value


def check(owner: Any, holds: bool, wanted: str) -> None:
    """ValueError unless hyper-parameters are as they must be."""
    if not holds:
        raise ValueError(f"{owner}: {wanted}")
