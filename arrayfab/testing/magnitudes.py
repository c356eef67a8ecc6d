"""A bound on every number that occurs in a computation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


class Recorded(np.ndarray):
    """Numbers of which the largest absolute value that ever occurred is kept in ``seen``."""

    seen: list[float]

    def __array_finalize__(self, parent):
        self.seen = getattr(parent, "seen", [])

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        result = self.of_plain(ufunc, method, map(_plain, inputs), options)
        if result.dtype.kind != "f":
            return result
        # What is no number, or beyond all, bounds nothing.
        self.seen.append(float(np.max(np.abs(result), initial=0.0, where=np.isfinite(result))))
        recorded = np.asarray(result).view(type(self))
        recorded.seen = self.seen
        return recorded

    def of_plain(self, ufunc, method, inputs, options):
        """What the operation gives of plain arrays."""
        return getattr(ufunc, method)(*inputs, **options)


class Magnitudes(Recorded):
    """Absolute values that stay such: every operation gives a bound on what it would give for any signs.

    Sums and products of bounds bound the sums and products; a difference is bounded by the sum.
    """

    def of_plain(self, ufunc, method, inputs, options):
        return np.abs(
            super().of_plain(np.add if ufunc is np.subtract else ufunc, method, map(np.abs, inputs), options)
        )


def _plain(array):
    return array.view(np.ndarray) if isinstance(array, Recorded) else array


def largest(vjp: Callable, arrays: list[np.ndarray], cotangent: float, kind: type = Magnitudes) -> float:
    """The largest absolute value that can occur in a product and its pullback, for any signs of the data.

    The cotangent has entries up to ``cotangent``. With `Recorded` in place of `Magnitudes` it is what occurs
    for these very numbers.
    """
    seen = [float(np.abs(a).max(initial=0.0)) for a in arrays]

    def recorded(array):
        kept = (np.abs(array) if kind is Magnitudes else np.asarray(array)).view(kind)
        kept.seen = seen
        return kept

    y, pull = vjp(*map(recorded, arrays))
    pull(recorded(np.full(y.shape, cotangent)))
    return max(seen)
