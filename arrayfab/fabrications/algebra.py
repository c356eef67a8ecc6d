"""Fabrications made of fabrications: sums, products and multiples; and matrices and blocks handed in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array, is_integer
from arrayfab._cached import cached_property
from arrayfab.fabrications.base import Fabrication, OfAnother, builds
from arrayfab.structures import Dense, Structure, add, chain


class _Composed(Fabrication):
    """What sums and products share: parts in a row, with ``w`` the vectors one after the other."""

    @property
    def composed(self) -> tuple[Fabrication, ...]:
        """What it is made of."""
        raise NotImplementedError(f"{type(self).__name__}.composed")

    def shapes(self, n: int, D: int) -> list[tuple[int, int]]:
        """The shape of each of them."""
        raise NotImplementedError(f"{type(self).__name__}.shapes")

    def joined(self, structures: list[Structure]) -> Structure:
        """The formula made of theirs."""
        raise NotImplementedError(f"{type(self).__name__}.joined")

    @cached_property
    def holds_arrays(self):  # type: ignore[override]
        return any(part.holds_arrays for part in self.composed)

    def parts(self, n, D, prefix):
        each = zip(self.composed, self.shapes(n, D), strict=True)
        made = [part.parts(*shape, f"{prefix}{i}.") for i, (part, shape) in enumerate(each)]
        learned, frozen = ({name: held for each in made for name, held in each[i].items()} for i in (0, 1))
        return learned, frozen, self.joined([structure for *_, structure in made])

    def pieces(self, n: int, D: int, w: np.ndarray) -> Iterator[tuple[Fabrication, int, int, np.ndarray]]:
        """Each of them with its shape and its own part of ``w``."""
        start = 0
        for part, shape in zip(self.composed, self.shapes(n, D), strict=True):
            stop = start + part.num_parameters(*shape)
            yield part, *shape, w[start:stop]
            start = stop


def _check_parts(owner: str, name: str, parts: Any) -> tuple[Fabrication, ...]:
    if not isinstance(parts, list | tuple) or not parts:
        raise ValueError(f"{owner}: {name} must hold at least one fabrication, got {parts!r}")
    for i, part in enumerate(parts):
        if not isinstance(part, Fabrication):
            raise TypeError(f"{owner}: {name}[{i}] must be a Fabrication, got {part!r}")
    return tuple(parts)


@dataclass(frozen=True, kw_only=True)
class SumOf(_Composed):
    """``ψ₁(w₁) + ψ₂(w₂) + …``, with ``w`` the vectors one after the other."""

    terms: tuple[Fabrication, ...]

    def __post_init__(self):
        object.__setattr__(self, "terms", _check_parts("SumOf", "terms", self.terms))

    @property
    def composed(self):
        return self.terms

    def shapes(self, n, D):
        return [(n, D)] * len(self.terms)

    def joined(self, structures):
        return add(*structures)

    def along(self, p, q):
        return SumOf(terms=tuple(term.along(p, q) for term in self.terms))

    def at_rest(self, n, D, w):
        # Terms in which nothing is learned stay.
        pieces = self.pieces(n, D, w)
        return _joined(part.at_rest(n, D, own) if len(own) else own for part, n, D, own in pieces)


@dataclass(frozen=True, kw_only=True)
class ProductOf(_Composed):
    """``ψ₁(w₁) ψ₂(w₂) …``, with ``w`` the vectors one after the other.

    Parameters
    ----------
    factors : tuple of Fabrication
    sizes : tuple of int, optional
        The columns of every factor but the last. Left out, the first factor that may be other than square is
        ``n × D``: those before it are ``n × n``, and those behind it ``D × D``. In ``Base(W0) @ Cayley()``,
        that is ``W0``.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import Base, Cayley
    >>> W0 = np.ones((2, 3))
    >>> rotated = Base(W0) @ Cayley()
    >>> w = rotated.init(2, 3, zero=True)
    >>> bool(np.all(rotated.fabricate(w, 2, 3).to_dense() == W0))
    True
    """

    factors: tuple[Fabrication, ...]
    sizes: tuple[int, ...] | None = None

    def __post_init__(self):
        object.__setattr__(self, "factors", _check_parts("ProductOf", "factors", self.factors))
        if self.sizes is None:
            return
        if not isinstance(self.sizes, Sequence) or len(self.sizes) != len(self.factors) - 1:
            raise ValueError(
                f"ProductOf: sizes must hold a number for each factor but the last, got {self.sizes!r} for "
                f"{len(self.factors)} factors"
            )
        if not all(is_integer(size) and size > 0 for size in self.sizes):
            raise ValueError(f"ProductOf: sizes must be positive integers, got {self.sizes!r}")
        object.__setattr__(self, "sizes", tuple(map(int, self.sizes)))

    @property
    def composed(self):
        return self.factors

    def shapes(self, n, D):
        inner = self.sizes
        if inner is None:
            wide = next((i for i, factor in enumerate(self.factors) if not factor.is_square), 0)
            inner = [n if i < wide else D for i in range(len(self.factors) - 1)]
        return list(zip((n, *inner), (*inner, D), strict=True))

    def joined(self, structures):
        return chain(*structures)

    def along(self, p, q):
        *first, last = self.factors
        first = [factor.along(p if i == 0 else None, None) for i, factor in enumerate(first)]
        return ProductOf(factors=(*first, last.along(None if first else p, q)), sizes=self.sizes)

    def at_rest(self, n, D, w):
        # One zero is enough, and the other factors stay random: were two zero, no gradient would lead away.
        rested, is_zero = [], False
        for part, rows, columns, own in reversed(list(self.pieces(n, D, w))):
            may_be_zero = bool(part.parts(rows, columns, "")[2].zeroing)
            stays = not len(own) or (may_be_zero and is_zero)
            rested.append(own if stays else part.at_rest(rows, columns, own))
            is_zero = is_zero or may_be_zero
        return _joined(reversed(rested))


@dataclass(frozen=True, kw_only=True)
class Scaled(OfAnother):
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

    def along(self, p, q):
        return Scaled(inner=self.inner.along(p, q), scale=self.scale)

    def parts(self, n, D, prefix):
        learned, frozen, structure = self.inner.parts(n, D, prefix)
        return learned, frozen, self.scale * structure


class _HoldsArrays(Fabrication):
    """What has arrays handed in. It is equal to another one that holds the very same arrays."""

    holds_arrays: ClassVar[bool] = True

    def _key(self):
        raise NotImplementedError(f"{type(self).__name__}._key")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


@dataclass(frozen=True, eq=False)
class Base(_HoldsArrays):
    """``W₀``, a matrix handed in, which is not learned: it gets no gradient and is not copied.

    What is learned is added to it or multiplied with it: ``Base(W0) + LowRank(r=8)``,
    ``Base(W0) @ Cayley()``. In ``init`` it counts for nothing, so that the mean square asked for is that of
    what is added. Its block is called ``W0``.

    Parameters
    ----------
    W0 : array, shape ``(n, D)``
        Of the namespace, dtype and device that ``w`` will have.
    """

    W0: Array = field(repr=False)

    def _key(self):
        return Base, id(self.W0)

    def parts(self, n, D, prefix):
        _arrays.backend_of("Base", "W0", self.W0)
        _arrays.check_shape("Base", "W0", self.W0, (n, D))
        return {}, {prefix + "W0": self.W0}, Dense(prefix + "W0", (n, D), is_learned=False, moment=0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class WithFrozen(_HoldsArrays, OfAnother):
    """A fabrication whose frozen blocks are, in part or all, arrays handed in."""

    inner: Fabrication
    arrays: Mapping[str, Array] = field(repr=False)

    def _key(self):
        return self.inner, frozenset((name, id(array)) for name, array in self.arrays.items())

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


@builds("product")
def product_of(left: Fabrication, right: Fabrication) -> Fabrication:
    """The product of two fabrications, flat where no inner size is given."""
    return ProductOf(factors=(*_factors_of(left), *_factors_of(right)))


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


def _factors_of(fabrication: Fabrication) -> tuple[Fabrication, ...]:
    is_open = isinstance(fabrication, ProductOf) and fabrication.sizes is None
    return fabrication.factors if is_open else (fabrication,)  # type: ignore[attr-defined]


def _joined(vectors) -> np.ndarray:
    return np.concatenate([np.zeros(0), *vectors])
