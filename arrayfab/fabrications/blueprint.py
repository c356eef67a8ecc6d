"""A formula at one shape: what fills its holes, and where in ``w`` its learned blocks lie."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array, Backend, is_integer
from arrayfab.frozen import Frozen, Stream, cache
from arrayfab.programs import Interpreted, Program, programmed, regime, regime_number, traced
from arrayfab.structures import Cotangents, Numbers, Streamed, Structure

#: So many programs of one formula are kept.
MOST_PROGRAMS = 64

# The variances of w among which one is sought, as powers of two.
_EXPONENTS = (-100.0, 100.0)


class Blueprint:
    """A formula at one shape, and where in ``w`` its learned blocks lie."""

    def __init__(
        self, owner: str, learned: Mapping[str, tuple], frozen: Mapping[str, Any], structure: Structure
    ):
        self.owner, self.frozen, self.structure = owner, frozen, structure
        self.streamed = {hole.name for hole in structure.leaves if isinstance(hole, Streamed)}
        self.handed_in = {name: held for name, held in frozen.items() if not isinstance(held, Frozen)}
        self._programs: dict[Any, Program | str] = {}
        self.blocks: list[tuple[str, slice, tuple[int, int]]] = []
        self.size = 0
        for name, shape in learned.items():
            start, self.size = self.size, self.size + math.prod(shape)
            self.blocks.append((name, slice(start, self.size), shape))

    def filled(self, backend: Backend, w: Array, *arrays: Array) -> tuple[Numbers, tuple[Array, ...]]:
        """The holes filled, from ``w`` and from the frozen matrices; and the arrays that follow them."""
        held = dict(zip(self.frozen, arrays, strict=False))
        return Numbers(backend, self.split(w, backend) | held, w), arrays[len(held) :]

    def program(
        self,
        key: Any,
        rule: Callable,
        backend: Backend,
        arrays: list[Array],
        axis: int | None = None,
        has_pullback: bool = False,
    ) -> Program | Interpreted:
        """The program of a rule, which is named by a key, for arrays of these shapes.

        The first one is ``w``, and the last one may be of any length along an axis. A rule in which a frozen
        matrix is drawn, or whose arrays are no plain numbers, is asked anew in every call.
        """
        if self.streamed or not backend.is_eager:
            return Interpreted(rule, backend)
        w, shapes = arrays[0], [tuple(array.shape) for array in arrays]
        last = shapes[-1]
        if axis is not None:
            shapes[-1] = (*last[:axis], regime_number(last[axis]), *last[axis:][1:])
        known = (key, backend, w.dtype, str(_arrays.device_of(w)), *shapes)

        def write():
            if axis is not None:
                shapes[-1] = (*last[:axis], regime(last[axis]), *last[axis:][1:])
            return traced(rule, backend, arrays, shapes, has_pullback)

        is_exact = axis is None or last[axis] == int(regime(last[axis]))
        return programmed(self._programs, known, rule, backend, write, is_exact, MOST_PROGRAMS)

    def checked(self, w: Array) -> Backend:
        """The backend of ``w``; TypeError or ValueError unless it holds as many numbers as it should."""
        backend = _arrays.check_real_floating(self.owner, "w", w)
        shape = w.shape
        if not shape or shape[-1] != self.size:
            raise ValueError(
                f"{self.owner}: w must hold {self.size} numbers along its last axis, got shape {tuple(shape)}"
            )
        return backend

    def split(self, w: Array, backend: Backend | Numbers) -> dict[str, Array]:
        """The learned blocks in ``w``."""
        lead, reshape = tuple(w.shape[:-1]), backend.reshape
        return {name: reshape(w[..., run], lead + block) for name, run, block in self.blocks}

    def frozen_arrays(
        self, w: Array, backend: Backend, handed_in: Mapping[str, Array] | None = None
    ) -> list[Array]:
        """The frozen matrices, in the namespace, dtype and device of ``w``."""
        device = _arrays.device_of(w)
        arrays = []
        for name, drawn in self.frozen.items():
            frozen = handed_in.get(name, drawn) if handed_in else drawn
            if not isinstance(frozen, Frozen):
                frozen = _arrays.native(frozen)
                xp = _arrays.backend_of(self.owner, name, frozen).xp
                if xp is backend.xp and xp.isdtype(frozen.dtype, "bool"):  # a mask
                    frozen = xp.astype(frozen, w.dtype)
                _arrays.check_alike(self.owner, "w", w, name, frozen)
                arrays.append(frozen)
            elif name in self.streamed:
                arrays.append(Stream(frozen, w))
            else:
                arrays.append(cache.get(frozen, backend.xp, w.dtype, device))
        return arrays

    def join(self, cotangents: Cotangents, numbers: Numbers, w: Array) -> Array:
        """The cotangent of ``w``."""
        lead = tuple(w.shape[:-1])
        parts = [
            numbers.reshape(cotangents.take(name, lead + shape), (*lead, run.stop - run.start))
            for name, run, shape in self.blocks
        ]
        if len(parts) == 1:
            return parts[0]
        return numbers.xp.concat(parts, axis=-1) if parts else numbers.full(tuple(w.shape), 0.0)

    def handed_out(self, W: Array, backend: Backend) -> Array:
        """A dense form for the caller. A frozen matrix by itself is copied: nobody may write into it."""
        return W if self.structure.learned else backend.xp.asarray(W, copy=True)

    def reaches(self, mean_square: float) -> bool:
        """Whether some scale of ``w`` gives the entries of the matrix that mean square."""
        low, high = (self.structure.mean_square(2.0**exponent) for exponent in _EXPONENTS)
        return low < mean_square < high

    def scale(self, mean_square: float) -> float:
        """The standard deviation in ``w`` that gives the entries of the matrix their mean square."""
        low, high = _EXPONENTS
        if not self.reaches(mean_square):
            reach = [self.structure.mean_square(2.0**exponent) for exponent in _EXPONENTS]
            raise ValueError(
                f"{self.owner}: no scale of w gives the entries of W a variance of {mean_square:g}, it stays "
                f"between {reach[0]:.3g} and {reach[1]:.3g}; scale the fabrication itself, "
                "for example 0.1 * fabrication"
            )
        for _ in range(80):
            middle = (low + high) / 2
            is_low = self.structure.mean_square(2.0**middle) < mean_square
            low, high = (middle, high) if is_low else (low, middle)
        return 2.0 ** (low / 2)

    def zeroing(self) -> np.ndarray:
        """Where in ``w`` zeros make the matrix zero."""
        names = self.structure.zeroing
        if names is None:
            raise ValueError(f"{self.owner}: no learned block can be zeroed to make W zero")
        return np.concatenate([np.r_[run] for name, run, _ in self.blocks if name in names])


class Plans:
    """What ``make(subject, *key)`` returns, made once for equal subjects.

    That for a subject with arrays handed in is forgotten when the subject is freed.
    """

    def __init__(self, make: Callable):
        self._make = make
        self._shared = lru_cache(maxsize=1024)(make)
        self._with_arrays: WeakKeyDictionary = WeakKeyDictionary()

    def __call__(self, subject: Any, *key: Any) -> Any:
        """The plan of a subject."""
        if not subject.holds_arrays:
            return self._shared(subject, *key)
        plans = self._with_arrays.setdefault(subject, {})
        if key not in plans:
            plans[key] = self._make(subject, *key)
        return plans[key]

    def forget(self) -> None:
        """Make every plan anew."""
        self._shared.cache_clear()
        self._with_arrays.clear()


class Blueprints(Plans):
    """The blueprints of fabrications, each at one shape."""

    def __call__(self, fabrication: Any, n: int, D: int) -> Blueprint:
        """The blueprint of a fabrication at one shape; built once."""
        # Sizes are checked before one is looked up: True and 1.0 equal 1, and a list has no hash.
        return super().__call__(fabrication, as_size(fabrication, "n", n), as_size(fabrication, "D", D))


@Blueprints
def blueprint(fabrication: Any, n: int, D: int) -> Blueprint:
    """The blueprint of a fabrication at one shape, which are plain integers."""
    return Blueprint(str(fabrication), *fabrication.parts(n, D, ""))


def as_size(owner: Any, name: str, value: Any) -> int:
    """``value`` as a plain int, which cannot overflow; ValueError unless it is a positive integer."""
    if not (is_integer(value) and value > 0):
        raise ValueError(f"{owner}: {name} must be a positive integer, got {value!r}")
    return int(value)


def settle_sizes(owner: Any, *names: str) -> None:
    """Make plain ints of a frozen dataclass's sizes; those that are None stay so."""
    for name in names:
        value = getattr(owner, name)
        if value is not None:
            object.__setattr__(owner, name, as_size(repr(owner), name, value))
