"""How sizes divide."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

# With these for bases, Miller's test proves every prime below 2⁶⁴ and far beyond.
_SMALL_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
_LARGEST = 1 << 64


def split_evenly(owner: Any, name: str, size: int, size_name: str, parts: int) -> int:
    """``size / parts``; ValueError where it is no whole number."""
    if size % parts:
        raise ValueError(f"{owner}: {name}={parts} does not divide {size_name}={size}")
    return size // parts


@lru_cache(maxsize=4096)
def nearest_factor(size: int) -> int:
    """The largest factor of ``size`` that is at most its square root."""
    return max(divisor for divisor in divisors(size) if divisor * divisor <= size)


def divisors(size: int) -> list[int]:
    """All divisors of ``size``, in order.

    Raises
    ------
    ValueError
        If more than 2⁶⁴ of it remain without small prime factors: that could take for ever.
    """
    found = {1}
    for prime in _prime_factors(size):
        found |= {prime * divisor for divisor in found}
    return sorted(found)


def _prime_factors(size: int) -> Iterator[int]:
    """Each as often as it divides ``size``."""
    rest = size
    for prime in _SMALL_PRIMES:
        while rest % prime == 0:
            yield prime
            rest //= prime
    if rest > _LARGEST:
        raise ValueError(f"{size} is too large to look for its divisors: its factor {rest} is above 2**64")
    numbers = [rest] if rest > 1 else []
    while numbers:
        number = numbers.pop()
        if _is_prime(number):
            yield number
        else:
            factor = _factor_of(number)
            numbers += [factor, number // factor]


def _is_prime(number: int) -> bool:
    """Whether a number without small prime factors is prime (G. L. Miller, 1976; M. O. Rabin, 1980)."""
    twos = ((number - 1) & (1 - number)).bit_length() - 1
    for base in _SMALL_PRIMES:
        power = pow(base, number >> twos, number)
        if power != 1 and all(pow(power, 1 << i, number) != number - 1 for i in range(twos)):
            return False
    return True


def _factor_of(number: int, c: int = 1) -> int:
    """A factor of a composite number (J. M. Pollard, 1975).

    ``x ↦ x² + c`` runs into a circle modulo a factor long before it does so modulo the number.
    """
    slow = fast = 2
    factor = 1
    while factor == 1:
        slow = (slow * slow + c) % number
        fast = (fast * fast + c) % number
        fast = (fast * fast + c) % number
        factor = math.gcd(slow - fast, number)
    return factor if factor < number else _factor_of(number, c + 1)
