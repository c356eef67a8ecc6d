"""The array layer: the one place that knows which array library is in use.

Everything above it asks here for a namespace, a device, a check or a cast, and speaks the Python
array API standard otherwise.
"""

from __future__ import annotations

import importlib
import math
import operator
from collections.abc import Callable
from contextlib import nullcontext
from numbers import Integral
from types import ModuleType
from typing import Any

import array_api_compat
import numpy as np

Array = Any


class Backend:
    """An array namespace, with the two operations that the standard spells slowly on some arrays."""

    __slots__ = (
        "_real_floating",
        "has_fft",
        "in_chunks",
        "in_loops",
        "in_runs",
        "is_eager",
        "mT",
        "reshape",
        "shortcuts",
        "xp",
    )

    def __init__(self, xp: ModuleType, array_type: type):
        self.xp = xp
        # Whether a product of batches is a loop of products, and whether small ones have faster kernels.
        self.in_loops = array_type is np.ndarray
        self.in_runs = self.in_loops and not _is_mkl()
        # Whether arrays are plain numbers: none that someone else traces, differentiates or puts off.
        self.is_eager = self.in_loops or is_cupy(xp)
        # Whether an array consists of arrays, which may be of any class.
        self.in_chunks = is_dask(xp)
        # Whether the standard's extension of Fourier transforms is there, for rows that are in one piece.
        self.has_fft = hasattr(xp, "fft") and not self.in_chunks
        self.reshape = getattr(array_type, "reshape", xp.reshape)
        if self.in_chunks:
            self.reshape = _in_two_passes
        self.mT = operator.attrgetter("mT") if hasattr(array_type, "mT") else xp.matrix_transpose
        # Functions of the standard that programs may call by a shorter way, to the same effect.
        self.shortcuts = _OF_NUMPY if self.in_loops else {}
        self._real_floating: dict[Any, bool] = {}

    def apply(self, function: Callable, shape: tuple[int, ...], *arrays: Array) -> Array:
        """A function of arrays, with a result of that shape."""
        return function(*arrays)

    def take(self, x: Array, index: np.ndarray, axis: int) -> Array:
        """The entries of ``x`` at places along an axis."""
        return self.xp.take(x, self.index(index, device_of(x)), axis=axis)

    def index(self, index: np.ndarray, device: Any) -> Array:
        """Places as an array of the namespace; Dask takes NumPy's."""
        return index if self.in_loops or self.in_chunks else from_host(index, self.xp, None, device)

    def quotient(self, a: float, b: float) -> float:
        """``a / b``, where ``b`` may depend on the number of rows."""
        return a / b

    def is_real_floating(self, dtype) -> bool:
        known = self._real_floating.get(dtype)
        if known is None:
            try:
                known = bool(self.xp.isdtype(dtype, "real floating"))
            except TypeError:  # a dtype that NumPy itself does not know
                known = False
            self._real_floating[dtype] = known
        return known


def _in_two_passes(x, shape):
    """The reshaped array of Dask, which splits axes or merges them, and does not do both at once."""
    try:
        return x.reshape(shape)
    except NotImplementedError:
        kept = next((i for i, (a, b) in enumerate(zip(x.shape, shape, strict=False)) if a != b), len(shape))
        return x.reshape((*shape[:kept], math.prod(shape[kept:]))).reshape(shape)


_OF_NUMPY = {"sum": np.add.reduce, "max": np.maximum.reduce, "clip": np.clip}


def _is_mkl() -> bool:
    """Whether NumPy was built on MKL, which shares a thin product out well, and not on OpenBLAS."""
    libraries: dict = np.show_config(mode="dicts").get("Build Dependencies", {})  # type: ignore[assignment]
    return "mkl" in libraries.get("blas", {}).get("name", "")


_BACKENDS: dict[type, Backend] = {}


def backend_of(owner: str, name: str, x: Array) -> Backend:
    """The backend of ``x``; TypeError where ``x`` is no array."""
    found = _BACKENDS.get(type(x))
    if found is None:
        try:
            xp = array_api_compat.array_namespace(x)
        except TypeError:
            raise TypeError(
                f"{owner}: {name} must be an array of a namespace that follows the Python array API "
                f"standard, got {type(x).__module__}.{type(x).__qualname__}"
            ) from None
        # PyTorch's masked tensors are known by name: nothing loads PyTorch for this.
        if isinstance(x, np.matrix | np.ma.MaskedArray) or type(x).__name__ == "MaskedTensor":
            raise TypeError(f"{owner}: {name} must be a plain array, got {type(x).__name__}")
        found = _BACKENDS[type(x)] = Backend(xp, type(x))
    if found.in_chunks and type(x._meta) is not np.ndarray:
        chunks = type(x._meta)
        raise TypeError(
            f"{owner}: {name} must be an array of Dask whose chunks are plain arrays of NumPy, got chunks of "
            f"{chunks.__module__}.{chunks.__qualname__}"
        )
    return found


def namespace(xp: ModuleType | None) -> ModuleType:
    """``xp`` as a namespace that follows the standard; NumPy where none is given."""
    xp = np if xp is None else xp
    if not isinstance(xp, ModuleType):
        raise TypeError(f"xp must be a namespace, such as the module numpy, got {xp!r}")
    if xp.__name__ in ("numpy", "cupy", "torch", "dask.array"):
        return importlib.import_module(f"array_api_compat.{xp.__name__}")
    return xp


def is_integer(value: Any) -> bool:
    """Whether ``value`` is a whole number, NumPy's included, but no boolean."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def dtype_name(dtype: Any) -> str:
    """NumPy's name for a dtype of any namespace, such as ``"float32"``."""
    return str(getattr(dtype, "name", dtype)).rpartition(".")[2]


def is_half(dtype: Any) -> bool:
    """Whether a dtype has two bytes."""
    return dtype_name(dtype) in ("float16", "bfloat16")


def device_of(x: Array) -> Any:
    """The device on which ``x`` lives."""
    return "cpu" if type(x) is np.ndarray else array_api_compat.device(x)


def native(x: Array) -> Array:
    """An array in this machine's byte order; any other object as it is."""
    if isinstance(x, np.ndarray) and not x.dtype.isnative:
        return x.astype(x.dtype.newbyteorder("="))
    return x


def check_real_floating(owner: str, name: str, x: Array, wanted: Any = "float32") -> Backend:
    """The backend of ``x``; TypeError unless ``x`` is an array of real floating numbers.

    The message advises to convert it to the dtype that is ``wanted``.
    """
    backend = backend_of(owner, name, x)
    if not backend.is_real_floating(x.dtype):
        raise TypeError(
            f"{owner}: {name} must hold real floating numbers, got dtype {x.dtype}; convert it first, "
            f"for example with xp.astype({name}, xp.{dtype_name(wanted)})"
        )
    return backend


def check_alike(owner: str, like_name: str, like: Array, name: str, x: Array) -> None:
    """TypeError unless ``x`` shares the namespace, dtype and device of ``like``."""
    if type(x) is type(like) is np.ndarray and x.dtype is like.dtype:
        return
    theirs = check_real_floating(owner, like_name, like).xp
    ours = check_real_floating(owner, name, x, like.dtype).xp
    if ours is not theirs:
        raise TypeError(
            f"{owner}: {name} is an array of {_spelled(ours)}, {like_name} one of {_spelled(theirs)}; "
            "move one of them first, arrays are never moved silently"
        )
    if x.dtype != like.dtype:
        raise TypeError(
            f"{owner}: {name} has dtype {x.dtype}, {like_name} has {like.dtype}; give both the same"
        )
    here, there = device_of(x), device_of(like)
    if here != there and None not in (here, there):  # a JAX tracer does not know its device
        raise TypeError(
            f"{owner}: {name} is on device {here}, {like_name} on {there}; "
            "move one of them first, arrays are never moved silently"
        )


def check_shape(owner: str, name: str, x: Array, expected: tuple[int, ...]) -> None:
    """ValueError unless ``x`` has the expected shape."""
    if tuple(x.shape) != expected:
        raise ValueError(f"{owner}: {name} must have shape {expected}, got {tuple(x.shape)}")


def is_cupy(xp: ModuleType) -> bool:
    """Whether ``xp`` makes arrays of CuPy."""
    return _spelled(xp) == "cupy"


def is_dask(xp: ModuleType) -> bool:
    """Whether ``xp`` makes arrays of Dask."""
    return _spelled(xp) == "dask.array"


def deferred(shape: tuple[int, ...], dtype: Any, function: Callable, *arguments: Any) -> Array:
    """An array of Dask that holds ``function(*arguments)``, called where and when its numbers are needed."""
    import dask

    task = dask.delayed(function, pure=True)(*arguments)
    return dask.array.from_delayed(task, shape, dtype=dtype)


def _spelled(xp: ModuleType) -> str:
    return xp.__name__.removeprefix("array_api_compat.")


def from_host(numbers: np.ndarray, xp: ModuleType, dtype: Any, device: Any) -> Array:
    """A host array as an array of ``xp``, moved once."""
    if namespace(xp).__name__ == "array_api_compat.numpy":
        if device not in (None, "cpu"):
            raise ValueError(f"NumPy has no device {device!r}, only 'cpu'")
        return numbers.astype(dtype or numbers.dtype, copy=False)
    with _concrete(xp):
        return xp.asarray(numbers, dtype=dtype, device=device)


def _concrete(xp: ModuleType):
    """A context in which arrays come out fit to be kept and used anywhere.

    JAX makes tracers while it traces, and PyTorch in inference mode tensors that autograd refuses.
    """
    if _spelled(xp) == "torch":
        import torch

        return torch.inference_mode(False)
    if xp.__name__ != "jax.numpy":
        return nullcontext()
    import jax

    return jax.core.eval_context()


def outside(xp: ModuleType, make: Callable, *arguments: Any) -> Array:
    """``make(*arguments)``, an array of ``xp``, outside of every mode and transformation of its library."""
    if _spelled(xp) == "torch":
        from arrayfab import _torch

        return _torch.outside(make, *arguments)
    return make(*arguments)


def is_plain(x: Array) -> bool:
    """Whether an array may be kept: no stand-in, and nothing that a transformation wraps or tracks."""
    if array_api_compat.is_torch_array(x):
        from arrayfab import _torch

        return _torch.is_plain(x)
    if array_api_compat.is_jax_array(x):
        import jax

        return not isinstance(x, jax.core.Tracer)
    return True


def entered(xp: ModuleType, x: Array) -> Array:
    """A plain array of ``xp`` as a constant of the modes that are on."""
    if _spelled(xp) == "torch":
        from arrayfab import _torch

        return _torch.entered(x)
    return x


def to_host(x: Array) -> np.ndarray:
    """An array of any namespace as a NumPy array, by that namespace's explicit way out."""
    if isinstance(x, np.ndarray):
        return x
    if array_api_compat.is_torch_array(x):
        return x.detach().cpu().numpy()
    if array_api_compat.is_cupy_array(x):
        return x.get()
    if array_api_compat.is_dask_array(x):
        return np.asarray(x.compute())
    xp = array_api_compat.array_namespace(x)
    if hasattr(xp, "__array_namespace_info__") and not array_api_compat.is_jax_array(x):
        x = array_api_compat.to_device(x, xp.__array_namespace_info__().default_device())
    return np.asarray(x)
