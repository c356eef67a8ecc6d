"""Fabrications made of fabrications: sums, multiples, and frozen blocks handed in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import ClassVar

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab._cached import cached_property
from arrayfab.fabrications.base import Fabrication, builds
from arrayfab.structures import add


@dataclass(frozen=True, kw_only=True)
class SumOf(Fabrication):
    """``ψ₁(w₁) + ψ₂(w₂) + …``, with ``w`` the vectors one after the other."""

    terms: tuple[Fabrication, ...]

    def __post_init__(self):
        if not isinstance(self.terms, list | tuple) or not self.terms:
            raise ValueError(f"SumOf: terms must hold at least one fabrication, got {self.terms!r}")
        object.__setattr__(self, "terms", tuple(self.terms))
        for i, term in enumerate(self.terms):
            if not isinstance(term, Fabrication):
                raise TypeError(f"SumOf: terms[{i}] must be a Fabrication, got {term!r}")

    @cached_property
    def holds_arrays(self):  # type: ignore[override]
        return any(term.holds_arrays for term in self.terms)

    def along(self, p, q):
        return SumOf(terms=tuple(term.along(p, q) for term in self.terms))

    def parts(self, n, D, prefix):
        parts = [term.parts(n, D, f"{prefix}{i}.") for i, term in enumerate(self.terms)]
        learned = {name: shape for part in parts for name, shape in part[0].items()}
        frozen = {name: matrix for part in parts for name, matrix in part[1].items()}
        return learned, frozen, add(*(part[2] for part in parts))


@dataclass(frozen=True, kw_only=True)
class Scaled(Fabrication):
    """``scale · ψ(w)``."""

    inner: Fabrication
    scale: float

    def __post_init__(self):
        if not isinstance(self.inner, Fabrication):
            raise TypeError(f"Scaled: inner must be a Fabrication, got {self.inner!r}")
        if not (isinstance(self.scale, Real) and math.isfinite(self.scale)):
            raise ValueError(f"{self.inner}: a scale must be finite, got {self.scale!r}")
        object.__setattr__(self, "scale", float(self.scale))

    def __mul__(self, scale: float) -> Fabrication:
        return self.inner * (self.scale * float(scale)) if isinstance(scale, Real) else NotImplemented

    __rmul__ = __mul__

    @property
    def holds_arrays(self):  # type: ignore[override]
        return self.inner.holds_arrays

    def along(self, p, q):
        return Scaled(inner=self.inner.along(p, q), scale=self.scale)

    def parts(self, n, D, prefix):
        learned, frozen, structure = self.inner.parts(n, D, prefix)
        return learned, frozen, self.scale * structure


@dataclass(frozen=True, kw_only=True, eq=False)
class WithFrozen(Fabrication):
    """A fabrication whose frozen blocks are, in part or all, arrays handed in.

    Equal to another one that holds the very same arrays.
    """

    inner: Fabrication
    arrays: Mapping[str, Array] = field(repr=False)

    holds_arrays: ClassVar[bool] = True

    def _key(self):
        return self.inner, frozenset((name, id(array)) for name, array in self.arrays.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WithFrozen) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def along(self, p, q):
        return WithFrozen(inner=self.inner.along(p, q), arrays=self.arrays)

    def parts(self, n, D, prefix):
        learned, frozen, structure = self.inner.parts(n, D, prefix)
        for name, array in self.arrays.items():
            if prefix + name not in frozen:
                raise ValueError(
                    f"{self.inner}: no frozen block {name!r}, the formula has "
                    f"{[known.removeprefix(prefix) for known in frozen]}"
                )
            _arrays.backend_of(str(self.inner), name, array)
            _arrays.check_shape(str(self.inner), name, array, frozen[prefix + name].shape)
            frozen[prefix + name] = array
        return learned, frozen, structure


@builds("sum")
def sum_of(*fabrications: Fabrication) -> Fabrication:
    """The sum of fabrications, flat."""
    return SumOf(terms=tuple(term for each in fabrications for term in _terms_of(each)))


@builds("multiple")
def multiple(fabrication: Fabrication, scale: float) -> Fabrication:
    """A fabrication times a number."""
    return Scaled(inner=fabrication, scale=scale)


@builds("with frozen")
def with_frozen(fabrication: Fabrication, arrays: Mapping[str, Array]) -> Fabrication:
    """A fabrication with frozen blocks handed in."""
    return WithFrozen(inner=fabrication, arrays=arrays)


def _terms_of(fabrication: Fabrication) -> tuple[Fabrication, ...]:
    return fabrication.terms if isinstance(fabrication, SumOf) else (fabrication,)
