"""The namespaces on which laws are tried: those whose library is installed."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import array_api_compat
import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array


@dataclass(frozen=True)
class Namespace:
    """A namespace and a device of it, with a way in and a way out."""

    name: str
    xp: ModuleType
    device: Any = None
    dtypes: tuple[str, ...] = ("float64", "float32")
    arrange: Callable[[Array], Array] = lambda array: array

    def asarray(self, numbers: np.ndarray, dtype: str, order: str = "C") -> Array:
        """Host numbers as an array here, of a dtype given by its name."""
        # A copy that nobody else holds: what a law does to it cannot leak into the next one.
        numbers = np.array(numbers, dtype=dtype, order=order)  # type: ignore[call-overload]
        return self.arrange(_arrays.from_host(numbers, self.xp, getattr(self.xp, dtype), self.device))

    def owns(self, array: Any) -> bool:
        """Whether an array is of this namespace and, where one is given, on its device."""
        try:
            if array_api_compat.array_namespace(array) is not self.xp:
                return False
        except TypeError:
            return False
        return self.device is None or array_api_compat.device(array) == self.device


def _read_only(array):
    array.flags.writeable = False
    return array


def _numpy() -> Namespace:
    dtypes = ("float64", "float32", "float16")
    return Namespace("numpy", _arrays.namespace(np), dtypes=dtypes, arrange=_read_only)


def _strict(name: str, device: str) -> Namespace:
    xp = importlib.import_module("array_api_strict")
    return Namespace(name, xp, xp.Device(device))


def _torch() -> Namespace:
    return Namespace("torch", _arrays.namespace(importlib.import_module("torch")))


def _jax() -> Namespace:
    jax = importlib.import_module("jax")
    dtypes = ("float64", "float32") if jax.config.jax_enable_x64 else ("float32",)
    return Namespace("jax", jax.numpy, dtypes=dtypes)


def _dask() -> Namespace:
    xp = _arrays.namespace(importlib.import_module("dask.array"))
    return Namespace("dask", xp, arrange=lambda array: array.rechunk(2) if array.ndim else array)


def _cupy() -> Namespace:
    return Namespace("cupy", _arrays.namespace(importlib.import_module("cupy")))


_KNOWN: dict[str, tuple[str, Callable[[], Namespace]]] = {
    "numpy": ("numpy", _numpy),
    "strict": ("array_api_strict", lambda: _strict("strict", "CPU_DEVICE")),
    "strict-device1": ("array_api_strict", lambda: _strict("strict-device1", "device1")),
    "torch": ("torch", _torch),
    "jax": ("jax", _jax),
    "dask": ("dask", _dask),
    "cupy": ("cupy", _cupy),
}

#: The names that laws know, in the order in which they are tried.
NAMES = tuple(_KNOWN)


def why_not(name: str) -> str | None:
    """Why a namespace cannot be used here, None where it can."""
    library = _KNOWN[name][0]
    if importlib.util.find_spec(library) is None:
        return f"{library} is not installed"
    if library == "cupy":
        cupy = importlib.import_module("cupy")
        try:
            cupy.cuda.runtime.getDeviceCount()
        except cupy.cuda.runtime.CUDARuntimeError as error:
            return f"CuPy finds no GPU: {error}"
    return None


def installed() -> list[str]:
    """The names of the namespaces that can be used here."""
    return [name for name in NAMES if why_not(name) is None]


def get(name: str) -> Namespace:
    """The namespace of that name; ValueError for one that is unknown or cannot be used."""
    reason = f"it must be one of {NAMES}" if name not in _KNOWN else why_not(name)
    if reason:
        raise ValueError(f"namespace {name!r}: {reason}")
    return _KNOWN[name][1]()
