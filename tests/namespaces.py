"""The namespaces on which every law is tested, each a small value with a way in and a way out."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import array_api_compat
import numpy as np
import pytest

from arrayfab._arrays import namespace as standard_namespace


def _unchanged(function):
    return function


@dataclass(frozen=True)
class Namespace:
    """A namespace, a device of it and a dtype; ``compiled`` wraps a function that is to run on it."""

    name: str
    xp: ModuleType
    dtype_name: str
    make: Callable[[np.ndarray], Any]
    to_numpy: Callable[[Any], np.ndarray]
    device: Any = None
    compiled: Callable[[Callable], Callable] = _unchanged

    @property
    def dtype(self):
        return getattr(self.xp, self.dtype_name)

    def asarray(self, array: np.ndarray, dtype_name: str | None = None):
        return self.make(np.array(array, dtype=dtype_name or self.dtype_name))

    def owns(self, array) -> bool:
        """Whether the array is of this namespace, on its device."""
        if array_api_compat.array_namespace(array) is not self.xp:
            return False
        return self.device is None or array_api_compat.device(array) == self.device


def _numpy(name, dtype_name, is_writable):
    def make(array):
        array.flags.writeable = is_writable
        return array

    return Namespace(name, standard_namespace(np), dtype_name, make, np.asarray, "cpu")


def _strict(name, dtype_name, device_name):
    strict = importlib.import_module("array_api_strict")
    device = strict.Device(device_name)

    def to_numpy(array):
        return np.asarray(array_api_compat.to_device(array, strict.Device("CPU_DEVICE")))

    return Namespace(name, strict, dtype_name, lambda a: strict.asarray(a, device=device), to_numpy, device)


def _torch():
    torch = importlib.import_module("torch")
    xp = standard_namespace(torch)
    return Namespace(
        "torch", xp, "float32", torch.from_numpy, lambda a: a.detach().numpy(), torch.device("cpu")
    )


def _jax(name, dtype_name, is_jitted):
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    compiled = jax.jit if is_jitted else _unchanged
    return Namespace(name, jax.numpy, dtype_name, jax.numpy.asarray, np.asarray, jax.devices()[0], compiled)


def _dask():
    dask_array = importlib.import_module("dask.array")
    xp = standard_namespace(dask_array)

    def make(array):
        return dask_array.from_array(array, chunks=3)

    def to_numpy(array):
        return np.asarray(array.compute(scheduler="synchronous"))

    return Namespace("dask", xp, "float64", make, to_numpy)


def _cupy():
    cupy = importlib.import_module("cupy")
    xp = standard_namespace(cupy)
    return Namespace("cupy", xp, "float32", cupy.asarray, cupy.asnumpy, cupy.cuda.Device(0))


def why_no_cupy() -> str | None:
    """Why CuPy cannot be tested here, None where it can."""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed"
    cupy = importlib.import_module("cupy")
    try:
        return None if cupy.cuda.runtime.getDeviceCount() else "CuPy finds no GPU"
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CuPy finds no GPU: {error}"


@dataclass(frozen=True)
class Entry:
    """A namespace to test on, made where its library is installed."""

    name: str
    library: str
    make: Callable[[], Namespace]

    @property
    def missing(self) -> str | None:
        """The reason to skip, None where there is none."""
        if self.library == "cupy":
            return why_no_cupy()
        return None if importlib.util.find_spec(self.library) else f"{self.library} is not installed"

    @property
    def param(self):
        marks = [pytest.mark.skipif(self.missing is not None, reason=str(self.missing))]
        return pytest.param(self, id=self.name, marks=[*marks, *[pytest.mark.gpu] * (self.library == "cupy")])


ENTRIES = [
    Entry("numpy", "numpy", lambda: _numpy("numpy", "float64", is_writable=True)),
    Entry("numpy-readonly", "numpy", lambda: _numpy("numpy-readonly", "float32", is_writable=False)),
    Entry("strict", "array_api_strict", lambda: _strict("strict", "float64", "CPU_DEVICE")),
    Entry("strict-device1", "array_api_strict", lambda: _strict("strict-device1", "float32", "device1")),
    Entry("torch", "torch", _torch),
    Entry("jax", "jax", lambda: _jax("jax", "float64", is_jitted=False)),
    Entry("jax-jit", "jax", lambda: _jax("jax-jit", "float32", is_jitted=True)),
    Entry("dask", "dask", _dask),
    Entry("cupy", "cupy", _cupy),
]
