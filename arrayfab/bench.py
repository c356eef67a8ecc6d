"""How fast every variant is on this machine, beside the dense matrix."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab.catalogue import VARIANTS
from arrayfab.roles import Reconciliation

HEADER = ("variant", "l", "forward ms", "× full", "+ gradient ms", "× full")

_SECONDS = 0.2  # for each call, all turns together
_TURNS = 5


def bench(n: int, D: int, rows: int, xp: ModuleType | None = None) -> list[tuple[str, ...]]:
    """A line of `HEADER` for every variant, as text: medians of float32 reconciliations of ``rows`` rows.

    The variants take turns. ``×`` is the time of the full matrix over that of the variant.
    """
    xp = _arrays.namespace(xp)
    calls = {}
    for name, variant in VARIANTS.items():
        role = Reconciliation(fabrication=variant, n=n, D=D)
        try:
            calls[name] = role.num_parameters(), *_calls(role, rows, xp)
        except ValueError:  # the sizes do not fit the variant
            continue
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in calls}
    for _ in range(_TURNS):
        for name, (_, *both) in calls.items():
            for call, found in zip(both, times[name], strict=True):
                found.append(_median(call))
    full = [statistics.median(each) for each in times["full"]]
    return [_line(name, calls[name][0], times[name], full) for name in calls]


def _calls(role: Reconciliation, rows: int, xp: ModuleType) -> tuple[Callable, Callable]:
    x = _arrays.from_host(np.ones((rows, role.attributes), np.float32), xp, xp.float32, None)
    w = role.init(rng=0, xp=xp, dtype=xp.float32)
    g = _arrays.from_host(np.ones((rows, role.n), np.float32), xp, xp.float32, None)

    def forward() -> None:
        _wait(role(x, w))

    def with_gradient() -> None:
        y, pullback = role.vjp(x, w)
        _wait(y, *pullback(g))

    forward()  # what is drawn and planned once
    with_gradient()
    return forward, with_gradient


def _wait(*arrays: Any) -> None:
    """Until arrays are there: a number of each is asked for."""
    for array in arrays:
        if math.prod(array.shape):
            float(array[(0,) * array.ndim])


def _median(call: Callable) -> float:
    durations: list[float] = []
    while not durations or (sum(durations) < _SECONDS / _TURNS and len(durations) < 1000):
        start = time.perf_counter()
        call()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations)


def _line(name, learned, times, full):
    cells = []
    for each, whole in zip(times, full, strict=True):
        took = statistics.median(each)
        cells += [f"{1e3 * took:.3f}", f"{whole / took:.1f}"]
    return (name, f"{learned:,}", *cells)
