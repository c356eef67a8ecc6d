"""How often a call passes over arrays of the size of ``x``, counted from its matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from workloads import Problem


class Watched(np.ndarray):
    """An array whose products are counted: each reads and writes some arrays that are large."""

    counter: dict[str, int]

    def __array_finalize__(self, source: Any) -> None:
        self.counter = getattr(source, "counter", None) or {"passes": 0, "large": self.size}

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        plain = [np.asarray(a) if isinstance(a, np.ndarray) else a for a in inputs]
        result = getattr(ufunc, method)(*plain, **options)
        arrays = [*(a for a in plain if isinstance(a, np.ndarray)), result]
        self.counter["passes"] += sum(a.size >= self.counter["large"] for a in arrays)
        return watched(result, self.counter)

    def __array_function__(self, function, types, arguments, options):
        result = super().__array_function__(function, types, arguments, options)
        return watched(result, self.counter)  # what is put together stays watched


def watched(array: np.ndarray, counter: dict[str, int]) -> Watched:
    """A view that counts."""
    view = array.view(Watched)
    view.counter = counter
    return view


def passes(problem: Problem) -> int:
    """Passes of a forward and gradient call over arrays as large as the one input."""
    (x,) = problem.xs
    counter = {"passes": 0, "large": x.size}
    _, pullback = problem.workload.role.vjp(watched(x, counter), problem.w)
    pullback(watched(problem.g, counter))
    return counter["passes"]
