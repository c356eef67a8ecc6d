"""Drawing frozen matrices, whole or a run of entries at a time, and keeping the draws."""

from __future__ import annotations

import hashlib
import math
import os
import threading
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab._cached import cached_property
from arrayfab.frozen import cuda, philox
from arrayfab.frozen.laws import Law

#: The name of the map from seeds to numbers, for whoever stores a seed.
SCHEME = "philox4x64-v1"


def checked_seed(owner: str, seed: Any) -> int:
    """A seed as a plain int; ValueError unless it is a whole number below 2⁶⁴ and not negative."""
    if not (_arrays.is_integer(seed) and 0 <= seed < 1 << 64):
        raise ValueError(f"{owner}: seed must be an integer from 0 to 2**64 - 1, got {seed!r}")
    return int(seed)


# Counters are of 64 bits, and each makes four entries.
_MOST = 1 << 66

_CHUNK = 1 << 14  # entries drawn at a time: what stays in a core's cache


@dataclass(frozen=True)
class Frozen:
    """A frozen matrix, named by what determines its numbers.

    Raises
    ------
    ValueError
        If the seed is no integer from 0 to ``2**64 - 1``, or the matrix has ``2**66`` entries or more.

    Examples
    --------
    >>> from arrayfab.frozen import Frozen, Gaussian
    >>> A = Frozen(seed=7, name="A", law=Gaussian(1000, 4))
    >>> bool((A.entries(400, 800) == A.draw()[100:200].reshape(-1)).all())
    True
    """

    seed: int
    name: str
    law: Law

    def __post_init__(self):
        object.__setattr__(self, "seed", checked_seed(f"Frozen {self.name!r}", self.seed))
        if self.size >= _MOST:
            raise ValueError(
                f"Frozen {self.name!r}: a matrix must have fewer than 2**66 entries, got shape {self.shape}"
            )

    @property
    def shape(self) -> tuple[int, int]:
        return (self.law.n, self.law.D)

    @property
    def size(self) -> int:
        """How many entries the matrix has."""
        return math.prod(self.shape)

    def entries(self, start: int, stop: int) -> np.ndarray:
        """Entries ``start`` to ``stop`` in row-major order, in float64."""
        if not 0 <= start <= stop <= self.size:
            raise ValueError(f"{self}: entries must be within 0 and {self.size}, got {start} to {stop}")
        return self._on_host(start, stop, np.float64)

    def draw(self, dtype: Any = np.float64) -> np.ndarray:
        """The whole matrix on the host, the longer axis contiguous."""
        matrix = self._on_host(0, self.size, dtype).reshape(self.shape)
        return np.asfortranarray(matrix) if self.law.n > self.law.D else matrix

    def array(self, start: int, stop: int, xp: ModuleType, dtype: Any, device: Any) -> Array:
        """Entries ``start`` to ``stop`` as an array of ``xp``: drawn on CuPy's device or by Dask's task, else
        moved once.
        """
        if _arrays.is_cupy(xp):
            return cuda.draw(self.law, self.key, start, stop, dtype, device)
        if _arrays.is_dask(xp):
            return _arrays.deferred((stop - start,), dtype, self._on_host, start, stop, dtype)
        return _moved(self._on_host(start, stop, _host_dtype(dtype)), xp, dtype, device)

    def whole(self, xp: ModuleType, dtype: Any, device: Any) -> Array:
        """The whole matrix as an array of ``xp``."""
        if _arrays.is_cupy(xp):
            return self.array(0, self.size, xp, dtype, device).reshape(self.shape)
        if _arrays.is_dask(xp):
            return _arrays.deferred(self.shape, dtype, _held_here, self, dtype)
        return _moved(self.draw(_host_dtype(dtype)), xp, dtype, device)

    def _on_host(self, start, stop, dtype):
        first, last = start // 4, -(-stop // 4)
        generator = philox.generator(self.key, first)
        numbers = np.empty(4 * (last - first), dtype=dtype)
        for begin in range(0, numbers.size, _CHUNK):
            chunk = numbers[begin : begin + _CHUNK]
            chunk[:] = self.law.from_words(generator.random_raw(chunk.size))
        return numbers[start - 4 * first : stop - 4 * first]

    @cached_property
    def key(self) -> tuple[int, int]:
        digest = hashlib.sha256(f"{self.name}:{self.law.n}:{self.law.D}".encode()).digest()
        return self.seed, int.from_bytes(digest[:8], "little")


class Stream:
    """The entries of a frozen matrix in row-major order, drawn anew whenever a slice is asked for.

    The slices are arrays like ``like``: of its namespace, dtype and device.
    """

    ndim = 1

    def __init__(self, frozen: Frozen, like: Array):
        self._frozen, self._like = frozen, like

    def __getitem__(self, run: slice) -> Array:
        like = self._like
        xp = _arrays.backend_of("Stream", "like", like).xp
        where = xp, like.dtype, _arrays.device_of(like)
        return _arrays.entered(xp, _arrays.outside(xp, self._frozen.array, run.start, run.stop, *where))


class Cache:
    """The most recently used draws, up to a number of bytes; safe to share among threads.

    The last one is kept even where it alone is larger. Only plain arrays are kept, never what a trace or a
    transformation made. A signal's handler may call it, or end any of its methods by an exception.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self.renew_locks()
        self._held: dict[Any, Array] = {}  # the least recently used ones first

    def get(self, frozen: Frozen, xp: ModuleType, dtype: Any, device: Any) -> Array:
        """The matrix as an array of ``xp``; drawn and moved once while it is held.

        Within a trace it is a constant.
        """
        key = (frozen, xp, dtype, str(device))  # CuPy's devices have no hash
        array = self._find(key)
        if array is None:
            with self._drawing:  # one at a time, while hits go on
                array = self._find(key)
                if array is None:
                    array = _arrays.outside(xp, frozen.whole, xp, dtype, device)
                    if not _arrays.is_plain(array):
                        return array
                    self._keep(key, array)
        return _arrays.entered(xp, array)

    def renew_locks(self) -> None:
        """New locks, for a process that was forked while a thread held the old ones."""
        self._lock, self._drawing = threading.RLock(), threading.RLock()

    def clear(self) -> None:
        """Forget every draw."""
        with self._lock:
            self._held.clear()

    # A signal's handler may run between any two steps, in the thread that holds the lock: each step is whole
    # by itself, and none relies on what an earlier one saw.
    def _find(self, key):
        with self._lock:
            array = self._held.pop(key, None)
            if array is not None:
                self._held[key] = array  # as the most recently used one
            return array

    def _keep(self, key, array):
        with self._lock:
            self._held[key] = array
            held = [(key, _bytes_of(key)) for key in list(self._held)]
            excess = sum(size for _, size in held) - self.limit
            for old, size in held[:-1]:
                if excess <= 0:
                    break
                self._held.pop(old, None)
                excess -= size


def _bytes_of(key) -> int:
    frozen, _, dtype, _ = key
    return frozen.size * _host_dtype(dtype).itemsize


def _held_here(frozen: Frozen, dtype: Any) -> np.ndarray:
    """The matrix from the cache of the process that runs a task: what travels to a worker is the seed."""
    return cache.get(frozen, _arrays.namespace(np), dtype, "cpu")


def _host_dtype(dtype: Any) -> np.dtype:
    # The dtypes of every namespace carry NumPy's names; what NumPy lacks is cast on arrival.
    name = _arrays.dtype_name(dtype)
    return np.dtype(name) if name in ("float16", "float32", "float64") else np.dtype(np.float64)


def _moved(numbers: np.ndarray, xp, dtype, device) -> Array:
    numbers.flags.writeable = xp.__name__.endswith("torch")  # which refuses what is read-only
    return _arrays.from_host(numbers, xp, dtype, device)


#: Every fabrication's draws. ``cache.limit`` is in bytes; ``cache.clear()`` gives the memory back.
cache = Cache(limit=1 << 31)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=cache.renew_locks)
