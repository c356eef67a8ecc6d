"""Layers without learned numbers that are given by a formula of their data."""

from __future__ import annotations

from arrayfab.fabrications.blueprint import Plans
from arrayfab.passage import Shaped
from arrayfab.plain import Parameterless
from arrayfab.programs import regime
from arrayfab.structures import Cotangents, Dense, Numbers, Structure
from arrayfab.structures.numbers import prime


class Formulated(Parameterless):
    """What layers share that are a formula of their data. A subclass is a frozen dataclass."""

    #: Whether every row of ``x`` is treated alike, so that ``x`` may be a single row.
    is_rowwise = True

    @property
    def core(self) -> int:  # type: ignore[override]
        return 1 if self.is_rowwise else 2

    def formula(self, X: Structure) -> Structure:
        """The formula of the result, for data of shape ``(b, m)``."""
        raise NotImplementedError(f"{type(self).__name__}.formula")

    def _filled(self, backend, x, w):
        """A hole for the data, its numbers, and how results are shaped."""
        self._check_inputs([tuple(x.shape)])
        shaped = Shaped(backend, [tuple(x.shape)], self.is_rowwise, False)
        held = shaped.filled([x])
        (array,) = held.values()
        # Only the namespace, dtype and device of w are asked for.
        like = w[(0,) * (w.ndim - 1)] if w.ndim > 1 else w
        rows, columns = array.shape[-2:]
        X = Dense(shaped.names[0], (regime(rows) if self.is_rowwise else int(rows), int(columns)))
        # A symbol stands for the rows of the formula, or else for leading axes of whatever length.
        return X, Numbers(backend, held, like, rows if self.is_rowwise else None), shaped

    def _rule(self, backend, x, w, frozen, wrt):
        X, numbers, shaped = self._filled(backend, x, w)
        y, pull = formula_of_data(self, X).dense(numbers)

        def formulated_pullback(grad_y):
            if "x" not in wrt:
                return None, None
            cotangents = Cotangents(numbers)
            pull(shaped.inward(grad_y), cotangents)
            grad_x = cotangents.take(X.name, tuple(numbers.arrays[X.name].shape))
            return numbers.reshape(grad_x, tuple(x.shape)), None

        return shaped.outward(_over_lead(y, numbers.arrays[X.name], numbers)), formulated_pullback

    def _push(self, backend, x, w, dx, dw, frozen):
        X, numbers, shaped = self._filled(backend, x, w)
        (moving,) = shaped.filled([dx]).values()
        numbers = numbers.with_arrays({prime(X.name): moving})
        formula, data = formula_of_data(self, X), numbers.arrays[X.name]
        y = _over_lead(formula.dense(numbers)[0], data, numbers)
        tangent = formula.tangent
        dy = numbers.full(tuple(y.shape), 0.0) if tangent is None else tangent.dense(numbers)[0]
        return shaped.outward(y), shaped.outward(_over_lead(dy, data, numbers))


@Plans
def formula_of_data(layer: Formulated, X: Dense) -> Structure:
    """The formula of a layer for a hole of its data, built once."""
    return layer.formula(X)


def _over_lead(y, data, numbers):
    """``y`` with the leading axes of the data, also where its numbers do not follow from them."""
    lead = tuple(data.shape[:-2])
    return y if tuple(y.shape[:-2]) == lead else numbers.xp.broadcast_to(y, (*lead, *y.shape[-2:]))
