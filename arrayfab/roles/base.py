"""What all roles share: a formula over holes for the data and the fabricated matrix."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

from arrayfab._arrays import Array, Backend
from arrayfab._cached import cached_property
from arrayfab.expansions.base import Expansion
from arrayfab.fabrications.base import Fabrication
from arrayfab.fabrications.blueprint import Blueprint, Plans, blueprint
from arrayfab.passage import Shaped
from arrayfab.programs import regime
from arrayfab.ruled import Ruled
from arrayfab.structures import Cost, Cotangents, Dense, Numbers, Structure
from arrayfab.structures.numbers import prime
from arrayfab.trees import leaves, put_together


class Role(Ruled):
    """What all roles share. A role is a frozen dataclass of a fabrication and sizes.

    Throughout, ``x`` has shape ``(..., rows, columns)`` and ``w`` shape ``(..., l)``; leading axes
    broadcast, so that a ``w`` of shape ``(k, l)`` applies ``k`` matrices at once.
    """

    fabrication: Fabrication
    expansion: Expansion | None

    #: Whether the role acts on every row of ``x`` alike, so that ``x`` may be a single row.
    is_rowwise = True

    def __post_init__(self):
        if not isinstance(self.fabrication, Fabrication):
            raise TypeError(
                f"{type(self).__name__}: fabrication must be a Fabrication, such as LowRank(r=2), "
                f"got {self.fabrication!r}"
            )
        if not (self.expansion is None or isinstance(self.expansion, Expansion)):
            raise TypeError(
                f"{type(self).__name__}: expansion must be an Expansion, such as Taylor(d=2), or None, "
                f"got {self.expansion!r}"
            )
        for each in fields(self):  # type: ignore[arg-type]
            value = getattr(self, each.name)
            if each.type in ("bool", bool) and not isinstance(value, bool):
                raise TypeError(f"{type(self).__name__}: {each.name} must be True or False, got {value!r}")

    @property
    def core(self) -> int:  # type: ignore[override]
        return 1 if self.is_rowwise else 2

    @property
    def holds_arrays(self) -> bool:  # type: ignore[override]
        """Whether arrays were handed in to the fabrication."""
        return self.fabrication.holds_arrays

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """The shape of the matrix to fabricate."""
        raise NotImplementedError(f"{type(self).__name__}.matrix_shape")

    def formula(self, xs: tuple[Dense, ...], W: Structure) -> Structure:
        """The result, given holes for the data and the fabricated matrix."""
        raise NotImplementedError(f"{type(self).__name__}.formula")

    @cached_property
    def aligned(self) -> Fabrication:
        """The fabrication, with what it leaves out chosen along the expansion's own factors."""
        outer = self._outer_factors()
        return self.fabrication if outer == (None, None) else self.fabrication.along(*outer)

    def _outer_factors(self) -> tuple[int | None, int | None]:
        return None, self._outer_features(self.attributes)

    @property
    def attributes(self) -> int:
        """How many numbers the expansion takes."""
        raise NotImplementedError(f"{type(self).__name__}.attributes")

    def _features(self, m: int) -> int:
        """How many numbers the expansion makes of so many."""
        return m if self.expansion is None else self.expansion.num_features(m)

    def _outer_features(self, m: int) -> int | None:
        return None if self.expansion is None else self.expansion.outer_features(m)

    def _mean_square(self, m: int) -> float:
        """About the mean square of expanded data."""
        return 1.0 if self.expansion is None else self.expansion.mean_square(m)

    def expanded(self, X: Structure) -> Structure:
        """The formula of expanded data."""
        return X if self.expansion is None else self.expansion.formula(X)

    def parts(self) -> tuple[dict, dict, Structure]:
        """Learned shapes, frozen matrices, and the fabricated matrix."""
        return self.aligned.parts(*self.matrix_shape, "w.")

    @cached_property
    def _psi(self) -> Blueprint:
        return blueprint(self.aligned, *self.matrix_shape)

    @cached_property
    def has_frozen(self):  # type: ignore[override]
        return bool(self._psi.frozen)

    @cached_property
    def streams(self):  # type: ignore[override]
        return bool(self._psi.streamed)

    def num_parameters(self) -> int:
        """The length ``l`` of ``w``."""
        return self._psi.size

    def cost(self, *shapes: tuple[int, ...]) -> Cost:
        """What a call takes for data of these shapes, one shape for every input."""
        lead = shapes[0][:-1]
        rows, times = (math.prod(lead), 1) if self.is_rowwise else (lead[-1], math.prod(lead[:-1]))
        one = self._formula_for(shapes).dense_cost.at(rows)
        return Cost(times * one.multiplies, times * one.moved)

    def result_shape(self, given: Any) -> tuple[int, ...]:
        """The shape of the result for data of a shape, or of a list of shapes."""
        shapes = leaves(self.inputs, given)
        y, lead = self._formula_for(shapes).shape, shapes[0][:-1]
        return (*lead, y[-1]) if self.is_rowwise else (*lead[:-1], *y)

    def _formula_for(self, shapes):
        """The formula for data of these shapes, of any number of rows where the role is for any."""
        self._check_inputs([tuple(shape) for shape in shapes])
        rows = [math.prod(shape[:-1]) if self.is_rowwise else shape[-2] for shape in shapes]
        holes = [
            (regime(b) if self.is_rowwise else b, shape[-1]) for b, shape in zip(rows, shapes, strict=True)
        ]
        return formula_of(self, tuple(holes)).structure

    def init(self, **options: Any) -> Array:
        """Random learned numbers to start from; the options are those of `Fabrication.init`.

        The variance left out is the one with which the product keeps the scale of ``x``.
        """
        variance = self._variance()
        if options.get("variance") is None and self._psi.reaches(variance):
            options["variance"] = variance
        return self.aligned.init(*self.matrix_shape, **options)

    def _variance(self) -> float:
        return 1.0 / self.matrix_shape[0]

    def _frozen(self, w: Array, backend: Backend) -> list[Array]:
        return self._psi.frozen_arrays(w, backend)

    def _rule(self, backend, x, w, frozen, wrt):
        plan, numbers, shaped = self._filled(backend, x, w, frozen, "x" in wrt)
        y, pull = plan.structure.dense(numbers)

        def role_pullback(grad_y):
            cotangents = Cotangents(numbers)
            pull(shaped.inward(grad_y), cotangents)
            grad_w = plan.join(cotangents, numbers, w) if "w" in wrt else None
            if "x" not in wrt:
                return None, grad_w
            grads = [cotangents.take(name, tuple(numbers.arrays[name].shape)) for name in shaped.names]
            return put_together(self.inputs, map(numbers.reshape, grads, shaped.shapes)), grad_w

        return shaped.outward(numbers.over_batch(y)), role_pullback

    def _push(self, backend, x, w, dx, dw, frozen):
        plan, numbers, shaped = self._filled(backend, x, w, frozen, True)
        moving = plan.split(dw, backend) | shaped.filled(leaves(self.inputs, dx))
        numbers = numbers.with_arrays({prime(name): array for name, array in moving.items()})
        y, dy = (each.dense(numbers)[0] for each in (plan.structure, plan.structure.tangent))
        return shaped.outward(numbers.over_batch(y)), shaped.outward(numbers.over_batch(dy))

    def _filled(self, backend, x, w, frozen, learns_x):
        """The formula for data of these shapes, and its holes filled."""
        xs = leaves(self.inputs, x)
        shapes = [tuple(array.shape) for array in xs]
        self._check_call(shapes, w)
        shaped = Shaped(backend, shapes, self.is_rowwise, w.ndim > 1)
        data = shaped.filled(xs)
        sizes = [tuple(array.shape[-2:]) for array in data.values()]
        # Someone who traces may have symbols of their own for sizes, which are numbers from here on.
        holes = tuple((regime(rows) if self.is_rowwise else int(rows), int(D)) for rows, D in sizes)
        plan = formula_of(self, holes, learns_x)
        held = {name: next(frozen) for name in plan.frozen}
        filled = {**plan.split(w, backend), **held, **data}
        # A symbol stands for the rows of the formula, or else for leading axes of whatever length.
        return plan, Numbers(backend, filled, w, sizes[0][0] if self.is_rowwise else None), shaped


@Plans
def formula_of(role: Role, shapes: tuple[tuple[int, int], ...], learns_x: bool = True) -> Blueprint:
    """The formula of a role for matrices of these shapes, built once; ``learns_x`` says whether they move."""
    holes = tuple(Dense(f"x{i}", shape, is_learned=learns_x) for i, shape in enumerate(shapes))
    learned, frozen, W = role.parts()
    return Blueprint(str(role), learned, frozen, role.formula(holes, W))


def check_columns(role: Any, name: str, shape: tuple[int, ...], columns: int) -> None:
    """ValueError unless a shape has so many columns."""
    if not shape or shape[-1] != columns:
        raise ValueError(f"{role}: {name} must have {columns} columns, got shape {shape}")
