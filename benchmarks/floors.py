"""What no implementation can be faster than: passing over its data, and multiplying at full rate."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from arrayfab.fabrications.blueprint import blueprint
from records import FORWARD
from workloads import Workload

PRODUCT = 2048  # the size of the large square matrix product


def moved(workload: Workload, label: str) -> int:
    """The numbers that a pass must read and write: inputs, ``w`` and frozen matrices, and its results."""
    inputs = sum(map(math.prod, workload.shapes))
    fabrication, shape = workload.fabrication, workload.matrix
    w = workload.role.num_parameters()
    frozen = sum(matrix.size for matrix in blueprint(fabrication, *shape).frozen.values())
    result = math.prod(workload.result_shape)
    forward = inputs + w + frozen + result
    return forward if label == FORWARD else forward + result + inputs + w


def multiplies(workload: Workload, label: str) -> int:
    """The multiplications of arrayfab's own products; a gradient takes twice the forward pass on top."""
    if workload.shapes:
        forward = workload.role.cost(*workload.shapes).multiplies
    else:
        structure = blueprint(workload.fabrication, *workload.matrix).structure
        forward = structure.dense_cost.multiplies
    return forward if label == FORWARD else 3 * forward


class Floors:
    """Floors on one machine, measured when asked for and kept; ``timer`` gives a call's seconds."""

    def __init__(self, xp: Any = np, timer: Callable[[Callable], float] | None = None):
        self._xp, self._timer = xp, timer or seconds
        self._copy = cache(self._copy_seconds)
        self.rate = cache(self._rate)

    def of(self, workload: Workload, label: str) -> dict[str, float]:
        """The milliseconds of the copy and of the products."""
        rate = self.rate(workload.dtype)
        return {
            # A copy reads each number and writes it.
            "copy_ms": 1e3 * self._copy(-(-moved(workload, label) // 2), workload.dtype),
            "product_ms": 2e3 * multiplies(workload, label) / rate,
        }

    def _copy_seconds(self, size: int, dtype: str) -> float:
        source, target = self._xp.ones(size, dtype=dtype), self._xp.empty(size, dtype=dtype)

        def copy():
            target[...] = source

        return self._timer(copy)

    def _rate(self, dtype: str) -> float:
        """Floating-point operations a second in a large product."""
        a = self._xp.ones((PRODUCT, PRODUCT), dtype=dtype)
        return 2 * PRODUCT**3 / self._timer(lambda: a @ a)


def seconds(call: Callable) -> float:
    """The median duration of a call, over five calls at least, and a fifth of a second or 5000 calls."""
    time.sleep(0.02)
    call()
    call()
    durations: list[float] = []
    end = time.perf_counter() + 0.2
    while len(durations) < 5 or (time.perf_counter() < end and len(durations) < 5000):
        start = time.perf_counter()
        call()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations)
