"""What a formula needs more than once, computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from arrayfab._cached import cached_property
from arrayfab.structures.base import Cost, Structure
from arrayfab.structures.leaves import Constant, Dense


def let(name: str, value: Structure, body: Callable[[Structure], Structure]) -> Structure:
    """``body(value)``, in which the value is formed once, however often it occurs.

    Within the value and the body, nothing else may be called so.
    """
    if isinstance(value, Dense):
        return body(value)
    hole = Dense(name, value.shape, is_learned=value.learned)
    return Let(hole, value, body(hole))


@dataclass(frozen=True)
class Let(Structure):
    """A structure with a hole that another structure fills."""

    hole: Dense
    value: Structure
    body: Structure

    @cached_property
    def shape(self):
        return self.body.shape

    @property
    def children(self):
        return (self.value, self.body)

    @cached_property
    def T(self):
        return Let(self.hole, self.value, self.body.T)

    # The hole's cotangents are those of the value.
    def _filled(self, numbers):
        v, pull = self.value.dense(numbers)

        def value_pullback(cotangents):
            if self.hole.learned:
                pull(cotangents.take(self.hole.name, tuple(v.shape)), cotangents)

        return numbers.with_arrays({self.hole.name: v}), value_pullback

    def _product(self, product, x, numbers):
        numbers, pull_value = self._filled(numbers)
        y, pull = product(x, numbers)

        def let_pullback(gy, cotangents, need_x=True):
            gx = pull(gy, cotangents, need_x)
            pull_value(cotangents)
            return gx

        return y, let_pullback

    def rows(self, x, numbers):
        return self._product(self.body.rows, x, numbers)

    def cols(self, x, numbers):
        return self._product(self.body.cols, x, numbers)

    def dense(self, numbers):
        numbers, pull_value = self._filled(numbers)
        y, pull = self.body.dense(numbers)

        def let_dense_pullback(g, cotangents):
            pull(g, cotangents)
            pull_value(cotangents)

        return y, let_dense_pullback

    def rows_cost(self, rows):
        return self.value.dense_cost + self.body.rows_cost(rows)

    def cols_cost(self, cols):
        return self.value.dense_cost + self.body.cols_cost(cols)

    @property
    def dense_cost(self) -> Cost:
        return self.value.dense_cost + self.body.dense_cost

    def mean_square(self, variance):
        return self.body.mean_square(self.value.mean_square(variance))

    @property
    def derivative(self):
        # The value and its direction fill the holes of the body's derivative.
        moving = self.value.tangent or Constant(self.value.shape, 0.0)
        direction = Dense(self.hole.derivative.name, self.hole.shape, is_learned=moving.learned)
        return Let(self.hole, self.value, Let(direction, moving, self.body.derivative))
