"""The multiplications that a computation makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from arrayfab.testing.cases import Case


@dataclass
class Count:
    """Multiplications in products of matrices, and those of arrays entry by entry."""

    in_products: int = 0
    by_entry: int = 0


class Counted(np.ndarray):
    """Numbers whose every multiplication is counted in ``count``, which results share."""

    count: Count

    def __array_finalize__(self, parent):
        self.count = getattr(parent, "count", Count())

    def __array_function__(self, function, types, arguments, options):
        # What puts arrays together forgets their class.
        result = super().__array_function__(function, types, arguments, options)
        if isinstance(result, np.ndarray):
            result = result.view(Counted)
            result.count = self.count
        return result

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        result = getattr(ufunc, method)(
            *(x.view(np.ndarray) if isinstance(x, Counted) else x for x in inputs), **options
        )
        if ufunc is np.matmul:
            self.count.in_products += result.size * inputs[0].shape[-1]
        elif ufunc is np.multiply:
            self.count.by_entry += result.size
        counted = np.asarray(result).view(Counted)
        counted.count = self.count
        return counted


@dataclass(frozen=True, kw_only=True, repr=False)
class CountedCase(Case):
    """A case whose arrays count the multiplications that they take part in."""

    count: Count = field(default_factory=Count, compare=False)

    def asarray(self, numbers: np.ndarray) -> Any:
        counted = super().asarray(numbers).view(Counted)
        counted.count = self.count
        return counted
