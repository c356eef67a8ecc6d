"""The namespaces on which the whole suite runs, each with one dtype, and JAX also compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest

from arrayfab import _arrays
from arrayfab.testing import namespaces


def _unchanged(function):
    return function


def _jitted(function):
    import jax

    return jax.jit(function)


@dataclass(frozen=True)
class Namespace:
    """A namespace of the kit and a dtype; ``compiled`` wraps a function that is to run on it."""

    name: str
    known_as: str
    dtype_name: str
    compiled: Callable[[Callable], Callable] = _unchanged

    @cached_property
    def _home(self):
        if self.known_as == "jax":
            import jax

            jax.config.update("jax_enable_x64", True)
        return namespaces.get(self.known_as)

    @property
    def xp(self):
        return self._home.xp

    @property
    def device(self):
        return self._home.device

    @property
    def dtype(self):
        return getattr(self.xp, self.dtype_name)

    def asarray(self, array: np.ndarray, dtype_name: str | None = None):
        return self._home.asarray(array, dtype_name or self.dtype_name)

    def to_numpy(self, array) -> np.ndarray:
        return _arrays.to_host(array)

    def all_to_numpy(self, arrays) -> list[np.ndarray]:
        """Several arrays at once: what they have in common Dask then computes once."""
        if self.known_as == "dask":
            import dask

            return list(dask.compute(*arrays))
        return [self.to_numpy(array) for array in arrays]

    def owns(self, array) -> bool:
        return self._home.owns(array)

    @property
    def param(self):
        reason = namespaces.why_not(self.known_as)
        marks = [pytest.mark.skipif(reason is not None, reason=str(reason))]
        return pytest.param(self, id=self.name, marks=[*marks, *[pytest.mark.gpu] * (self.name == "cupy")])


ENTRIES = [
    Namespace("numpy", "numpy", "float64"),
    Namespace("strict", "strict", "float64"),
    Namespace("strict-device1", "strict-device1", "float32"),
    Namespace("torch", "torch", "float32"),
    Namespace("jax", "jax", "float64"),
    Namespace("jax-jit", "jax", "float32", _jitted),
    Namespace("dask", "dask", "float64"),
    Namespace("cupy", "cupy", "float32"),
]
