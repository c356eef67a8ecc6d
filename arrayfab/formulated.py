"""Layers without learned numbers that are given by a formula of their data."""

from __future__ import annotations

from arrayfab.fabrications.blueprint import Plans
from arrayfab.passage import Shaped
from arrayfab.plain import Parameterless
from arrayfab.programs import broadcast, regime
from arrayfab.structures import Cotangents, Dense, Numbers, Structure
from arrayfab.structures.numbers import prime
from arrayfab.trees import leaves, put_together


class Formulated(Parameterless):
    """What layers share that are a formula of their data. A subclass is a frozen dataclass."""

    #: Whether every row of ``x`` is treated alike, so that ``x`` may be a single row.
    is_rowwise = True

    @property
    def core(self) -> int:  # type: ignore[override]
        return 1 if self.is_rowwise else 2

    def formula(self, *xs: Structure) -> Structure:
        """The formula of the result, for data of shape ``(b, m)``, one after another."""
        raise NotImplementedError(f"{type(self).__name__}.formula")

    def _filled(self, backend, x, w):
        """Holes for the data, their numbers, and how results are shaped."""
        xs = leaves(self.inputs, x)
        shapes = [tuple(array.shape) for array in xs]
        self._check_inputs(shapes)
        shaped = Shaped(backend, shapes, self.is_rowwise, False)
        held = shaped.filled(xs)
        # Only the namespace, dtype and device of w are asked for.
        like = w[(0,) * (w.ndim - 1) + (...,)] if w.ndim > 1 else w
        sizes = [tuple(array.shape[-2:]) for array in held.values()]
        holes = tuple(
            Dense(name, (regime(rows) if self.is_rowwise else int(rows), int(columns)))
            for name, (rows, columns) in zip(shaped.names, sizes, strict=True)
        )
        # A symbol stands for the rows of the formula, or else for leading axes of whatever length.
        return holes, Numbers(backend, held, like, sizes[0][0] if self.is_rowwise else None), shaped

    def _rule(self, backend, x, w, frozen, wrt):
        holes, numbers, shaped = self._filled(backend, x, w)
        y, pull = formula_of_data(self, *holes).dense(numbers)

        def formulated_pullback(grad_y):
            if "x" not in wrt:
                return None, None
            cotangents = Cotangents(numbers)
            pull(shaped.inward(grad_y), cotangents)
            grads = [cotangents.take(name, tuple(numbers.arrays[name].shape)) for name in shaped.names]
            return put_together(self.inputs, map(numbers.reshape, grads, shaped.shapes)), None

        return shaped.outward(_over_lead(y, numbers)), formulated_pullback

    def _push(self, backend, x, w, dx, dw, frozen):
        holes, numbers, shaped = self._filled(backend, x, w)
        moving = shaped.filled(leaves(self.inputs, dx))
        numbers = numbers.with_arrays({prime(name): array for name, array in moving.items()})
        formula = formula_of_data(self, *holes)
        y, tangent = _over_lead(formula.dense(numbers)[0], numbers), formula.tangent
        dy = numbers.full(tuple(y.shape), 0.0) if tangent is None else tangent.dense(numbers)[0]
        return shaped.outward(y), shaped.outward(_over_lead(dy, numbers))


@Plans
def formula_of_data(layer: Formulated, *holes: Dense) -> Structure:
    """The formula of a layer for holes of its data, built once."""
    return layer.formula(*holes)


def _over_lead(y, numbers):
    """``y`` with the leading axes of the data, also where its numbers do not follow from them."""
    lead = broadcast(*(tuple(array.shape[:-2]) for array in (y, *numbers.arrays.values())))
    return y if tuple(y.shape[:-2]) == lead else numbers.xp.broadcast_to(y, (*lead, *y.shape[-2:]))
