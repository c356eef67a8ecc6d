"""Mini-batches: data with their target, and the order of their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab._cached import cached_property
from arrayfab.frozen.philox import generator


@dataclass(frozen=True, eq=False)
class Data:
    """Data, which may be lists of arrays, and their target, whose rows lie along one axis.

    Raises
    ------
    TypeError, ValueError
        If something is no array, there is no row, or not all have as many.
    """

    name: str
    x: Any
    target: Array
    axis: int = 0

    def __post_init__(self):
        for label, part in [(self.name, self.x), (f"the target of {self.name}", self.target)]:
            for array in _leaves(part):
                _arrays.backend_of("Training", label, array)
                if array.ndim <= self.axis:
                    raise ValueError(
                        f"Training: {label} must have rows along axis {self.axis}, got shape {array.shape}"
                    )
                if array.shape[self.axis] != self.rows:
                    raise ValueError(
                        f"Training: {label} must have {self.rows} rows along axis {self.axis}, as others "
                        f"have, got shape {tuple(array.shape)}"
                    )
        if not self.rows:
            raise ValueError(f"Training: {self.name} must have at least one row, got none")

    @cached_property
    def rows(self) -> int:
        return first(self.x).shape[self.axis]

    def taken(self, rows: Array) -> tuple[Any, Array]:
        """Those rows, in their order."""
        return self._of(lambda array, xp: xp.take(array, rows, axis=self.axis))

    def run(self, start: int, stop: int) -> tuple[Any, Array]:
        """Rows that follow one another."""
        index = (slice(None),) * self.axis + (slice(start, stop), ...)
        return self._of(lambda array, xp: array[index])

    def _of(self, function):
        def every(part):
            if isinstance(part, list | tuple):
                return [every(each) for each in part]
            return function(part, _arrays.backend_of("Training", self.name, part).xp)

        return every(self.x), every(self.target)


def first(x: Any) -> Array:
    """One of the arrays that data consist of."""
    return first(x[0]) if isinstance(x, list | tuple) and x else x


def _leaves(part: Any) -> list[Array]:
    return [leaf for each in part for leaf in _leaves(each)] if isinstance(part, list | tuple) else [part]


def order(seed: int, epoch: int, rows: int) -> np.ndarray:
    """The order of the rows in an epoch: the same on every machine, and no state but the epoch's number."""
    words = generator((seed, epoch), 1).random_raw(rows)
    return np.argsort(words, kind="stable")
