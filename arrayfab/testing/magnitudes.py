"""A bound on every number that occurs in a computation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


class Magnitudes(np.ndarray):
    """Absolute values that stay such: every operation gives a bound on what it would give for any signs.

    Sums and products of bounds bound the sums and products; a difference is bounded by the sum. The largest
    bound that ever occurred, in any operation, is kept in ``seen``.
    """

    seen: list[float]

    def __array_finalize__(self, parent):
        self.seen = getattr(parent, "seen", [])

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        plain = [x.view(np.ndarray) if isinstance(x, Magnitudes) else np.abs(x) for x in inputs]
        result = np.abs(getattr(np.add if ufunc is np.subtract else ufunc, method)(*plain, **options))
        if result.dtype.kind != "f":
            return result
        if result.size:
            self.seen.append(float(result.max()))
        bounded = np.asarray(result).view(Magnitudes)
        bounded.seen = self.seen
        return bounded


def largest(vjp: Callable, arrays: list[np.ndarray], cotangent: float) -> float:
    """The largest absolute value that can occur in a product and its pullback, for any signs of the data.

    The cotangent has entries up to ``cotangent``.
    """
    seen = [float(np.abs(a).max(initial=0.0)) for a in arrays]

    def recorded(array):
        bounded = np.abs(array).view(Magnitudes)
        bounded.seen = seen
        return bounded

    y, pull = vjp(*map(recorded, arrays))
    pull(recorded(np.full(y.shape, cotangent)))
    # What is no number bounds nothing.
    return float(np.fmax.reduce(seen))
