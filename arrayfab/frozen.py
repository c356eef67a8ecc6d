"""Frozen random matrices: the same numbers from a seed, on every backend.

A frozen matrix is a pure function of ``(scheme, seed, name, law)``. Entry ``i`` depends on the counter
``i // 4`` alone, so any run of entries can be drawn by itself, and twice.

The scheme ``"philox4x64-v1"``: the key is the seed and the first eight bytes, little-endian, of the
SHA-256 of ``"name:n:D"``; counter ``c`` yields the four raw words of Philox 4×64-10, which belong to the
entries ``4c … 4c + 3`` in row-major order. With ``u = (word >> 11) · 2⁻⁵³``, a Bernoulli entry is
``u < p``, and two neighbouring words make two Gaussian entries by Box and Muller:
``ρ = √(−2 log(1 − u₀))``, then ``ρ cos 2πu₁`` and ``ρ sin 2πu₁``. All in float64, then cast.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from arrayfab._arrays import Array, from_host

#: The name of the rule by which entries are drawn. Another rule gets another name.
SCHEME = "philox4x64-v1"

_CHUNK = 1 << 16  # entries drawn at a time: what stays in a core's cache


@dataclass(frozen=True)
class Gaussian:
    """Independent standard normal entries of an ``n × D`` matrix."""

    n: int
    D: int

    moment = 1.0

    def from_uniform(self, u: np.ndarray) -> np.ndarray:
        radius = np.sqrt(-2.0 * np.log(1.0 - u[0::2]))
        angle = (2.0 * math.pi) * u[1::2]
        z = np.empty_like(u)
        z[0::2] = radius * np.cos(angle)
        z[1::2] = radius * np.sin(angle)
        return z


@dataclass(frozen=True)
class Bernoulli:
    """Independent entries of an ``n × D`` matrix, one with probability ``p`` and zero otherwise."""

    n: int
    D: int
    p: float

    @property
    def moment(self) -> float:
        return self.p

    def from_uniform(self, u: np.ndarray) -> np.ndarray:
        return (u < self.p).astype(np.float64)


Law = Gaussian | Bernoulli


@dataclass(frozen=True)
class Frozen:
    """A frozen matrix, named by what determines its numbers."""

    seed: int
    name: str
    law: Law

    @property
    def shape(self) -> tuple[int, int]:
        return (self.law.n, self.law.D)

    def entries(self, start: int, stop: int) -> np.ndarray:
        """Entries ``start`` to ``stop`` in row-major order, in float64."""
        first, last = start // 4, -(-stop // 4)
        # The generator steps its counter before it draws.
        bits = np.random.Philox(key=self._key, counter=(first - 1) % (1 << 256))
        words = bits.random_raw(4 * (last - first))
        numbers = self.law.from_uniform((words >> np.uint64(11)) * 2.0**-53)
        return numbers[start - 4 * first : stop - 4 * first]

    def draw(self, dtype: Any = np.float64) -> np.ndarray:
        """The whole matrix on the host, the longer axis contiguous."""
        size = math.prod(self.shape)
        numbers = np.empty(size, dtype=dtype)
        for start in range(0, size, _CHUNK):
            stop = min(start + _CHUNK, size)
            numbers[start:stop] = self.entries(start, stop)
        matrix = numbers.reshape(self.shape)
        return np.asfortranarray(matrix) if self.law.n > self.law.D else matrix

    @property
    def _key(self) -> int:
        digest = hashlib.sha256(f"{self.name}:{self.law.n}:{self.law.D}".encode()).digest()
        return self.seed | int.from_bytes(digest[:8], "little") << 64


class Cache:
    """The most recently used draws, up to a number of bytes; safe to share among threads."""

    def __init__(self, limit: int):
        self.limit = limit
        self._lock = threading.Lock()
        self._held: OrderedDict[Any, Array] = OrderedDict()
        self._bytes = 0

    def get(self, frozen: Frozen, xp: ModuleType, dtype: Any, device: Any) -> Array:
        """The matrix as an array of ``xp``; drawn and moved at most once while it is held."""
        key = (frozen, xp, dtype, device)
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        numbers = frozen.draw(_host_dtype(dtype))
        numbers.flags.writeable = xp.__name__.endswith("torch")  # which refuses what is read-only
        array = from_host(numbers, xp, dtype, device)
        with self._lock:
            if key not in self._held:
                self._held[key] = array
                self._bytes += _size(frozen, dtype)
            while self._bytes > self.limit and len(self._held) > 1:
                (old, _, old_dtype, _), _ = self._held.popitem(last=False)
                self._bytes -= _size(old, old_dtype)
        return array

    def clear(self) -> None:
        """Forget every draw."""
        with self._lock:
            self._held.clear()
            self._bytes = 0


def _host_dtype(dtype: Any) -> Any:
    # The dtypes of every namespace carry NumPy's names; what NumPy lacks is cast on arrival.
    name = str(getattr(dtype, "name", dtype)).rpartition(".")[2]
    return np.dtype(name) if name in ("float16", "float32", "float64") else np.dtype(np.float64)


def _size(frozen: Frozen, dtype: Any) -> int:
    return math.prod(frozen.shape) * _host_dtype(dtype).itemsize


#: Every fabrication's draws. ``cache.limit`` is in bytes; ``cache.clear()`` gives the memory back.
cache = Cache(limit=1 << 30)
