"""The scheme "philox4x64-v1" once more, one number at a time in plain Python, as its page tells it."""

from __future__ import annotations

import hashlib
import math
import struct

MASK = 2**64 - 1


def block(counter, key):
    """The four words of Philox 4×64-10 for a counter of four words and a key of two."""
    c, k = list(counter), list(key)
    for _ in range(10):
        first, second = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [(second >> 64) ^ c[1] ^ k[0], second & MASK, (first >> 64) ^ c[3] ^ k[1], first & MASK]
        k = [(k[0] + 0x9E3779B97F4A7C15) & MASK, (k[1] + 0xBB67AE8584CAA73B) & MASK]
    return c


def key(seed, name, n, D):
    digest = hashlib.sha256(f"{name}:{n}:{D}".encode()).digest()
    return seed, struct.unpack("<Q", digest[:8])[0]


def word(frozen, i):
    """The raw word of entry ``i``."""
    return block([i // 4, 0, 0, 0], key(frozen.seed, frozen.name, *frozen.shape))[i % 4]


def uniform(bits):
    return (bits >> 11) / 2**53


def rademacher(bits):
    return -1.0 if bits & 1 else 1.0


def gaussian(frozen, i):
    """Entry ``i`` of a Gaussian matrix."""
    first, second = word(frozen, i - i % 2), word(frozen, i - i % 2 + 1)
    m, k = math.frexp(1.0 - uniform(first))
    if m < math.sqrt(0.5):
        m, k = 2 * m, k - 1
    s = (m - 1.0) / (m + 1.0)
    log = horner(s * s, [2 / (2 * j + 1) for j in range(10)]) * s + k * math.log(2.0)
    half = (uniform(second) - 0.5) * (math.pi / 4)
    t = horner(half * half, [(-1) ** j / math.factorial(2 * j + 1) for j in range(7)]) * half
    cosine, sine = 1.0 - 2.0 * (t * t), t * (2.0 * math.sqrt(1.0 - t * t))
    z = (cosine + sine if i % 2 else cosine - sine) * math.sqrt(-log)
    return z * rademacher(second if i % 2 else first)


def horner(x, coefficients):
    value = coefficients[-1] * x
    for coefficient in coefficients[-2:0:-1]:
        value = (value + coefficient) * x
    return value + coefficients[0]
