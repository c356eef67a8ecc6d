"""Raw words of the counter generator Philox 4×64-10 (Salmon, Moraes, Dror and Shaw 2011)."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from arrayfab._arrays import Array

_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_KEY_STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def generator(key: tuple[int, int], first: int) -> np.random.Philox:
    """NumPy's own generator, whose ``random_raw`` gives the words of the counters from ``first`` on."""
    # It steps its counter before it draws.
    return np.random.Philox(key=key[0] | key[1] << 64, counter=(first - 1) % (1 << 256))


def words_by_arrays(key: tuple[int, int], first: int, count: int, xp: ModuleType) -> Array:
    """The ``4 count`` words of these counters, by operations on arrays of ``xp``, which is NumPy or CuPy."""
    c = [xp.arange(first, first + count, dtype=np.uint64)]
    c += [xp.zeros_like(c[0])] * 3
    for turn in range(10):
        keys = [np.uint64((k + turn * step) % 2**64) for k, step in zip(key, _KEY_STEPS, strict=True)]
        high_0, low_0 = _product(c[0], _MULTIPLIERS[0])
        high_1, low_1 = _product(c[2], _MULTIPLIERS[1])
        c = [high_1 ^ c[1] ^ keys[0], low_1, high_0 ^ c[3] ^ keys[1], low_0]
    return xp.stack(c, axis=-1).reshape(-1)


def _product(a: Array, b: int) -> tuple[Array, Array]:
    """The upper and the lower 64 bits of ``a b``."""
    # With a = a₁ 2³² + a₀, and b likewise, a b = a₁b₁ 2⁶⁴ + (a₁b₀ + a₀b₁) 2³² + a₀b₀.
    a_0, a_1 = a & _LOW, a >> _HALF
    b_0, b_1 = np.uint64(b & 0xFFFFFFFF), np.uint64(b >> 32)
    middle = a_1 * b_0 + (a_0 * b_0 >> _HALF)
    rest = a_0 * b_1 + (middle & _LOW)
    return a_1 * b_1 + (middle >> _HALF) + (rest >> _HALF), a * np.uint64(b)
