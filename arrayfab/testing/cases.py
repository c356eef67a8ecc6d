"""A case: all that a law is tried on, in one line that can be pasted."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from arrayfab._arrays import Array
from arrayfab._cached import cached_property
from arrayfab.testing import namespaces


@dataclass(frozen=True, kw_only=True)
class Case:
    """Sizes, data and namespace of one trial.

    Parameters
    ----------
    n, D : int
        Shape of the matrix; a role or a structure brings its own.
    m : int
        Columns of the data of an expansion.
    rows : int
        Rows, or columns, of the data, where the subject leaves them open.
    lead, batch : tuple of int
        Leading axes of the data, and of the learned numbers.
    seed, spread : int
        The data are whole numbers from ``-spread`` to ``spread`` that follow from the seed.
    is_whole : bool
        Whether they are; else each is moved by up to a half, so that none lies where a function has a kink.
    order : str
        How arrays lie in memory: ``"C"``, row by row, or ``"F"``, column by column.
    namespace, dtype : str
        One of ``arrayfab.testing.namespaces.NAMES``, and the name of a dtype.
    """

    n: int = 1
    D: int = 1
    m: int = 1
    rows: int = 1
    lead: tuple[int, ...] = ()
    batch: tuple[int, ...] = ()
    seed: int = 0
    spread: int = 1
    is_whole: bool = True
    order: str = "C"
    namespace: str = "numpy"
    dtype: str = "float64"

    def __repr__(self) -> str:
        given = [field for field in fields(self) if getattr(self, field.name) != field.default]
        return f"Case({', '.join(f'{field.name}={getattr(self, field.name)!r}' for field in given)})"

    @cached_property
    def home(self) -> namespaces.Namespace:
        """The namespace itself."""
        return namespaces.get(self.namespace)

    @property
    def largest(self) -> float:
        """The largest absolute value that the data may have."""
        return self.spread if self.is_whole else self.spread + 0.5

    def numbers(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """The data in float64 for what is called ``name``, numbers that the dtype has."""
        rng = np.random.default_rng([self.seed, *name.encode()])
        whole = rng.integers(-self.spread, self.spread + 1, size=shape).astype(np.float64)
        if self.is_whole:
            return whole
        # As the dtype holds them: else two that are nearly equal there would be in another order on the host.
        return (whole + rng.uniform(-0.5, 0.5, size=shape)).astype(self.dtype).astype(np.float64)

    def asarray(self, numbers: np.ndarray) -> Array:
        """Host numbers as an array of the case's namespace, dtype and order."""
        return self.home.asarray(numbers, self.dtype, self.order)
