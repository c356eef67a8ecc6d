"""How sizes divide, against brute force and against factors that are known."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import assert_refused

import arrayfab as af
from arrayfab.fabrications.sizes import divisors, nearest_factor

# Primes, squares and products of primes, strong pseudoprimes to many bases, and what has the most divisors.
KNOWN = {
    10**18 + 3: [10**18 + 3],
    2**64 - 59: [2**64 - 59],
    (2**31 - 1) ** 2: [2**31 - 1] * 2,
    (2**32 - 5) ** 2: [2**32 - 5] * 2,
    (2**32 - 5) * (2**32 - 17): [2**32 - 17, 2**32 - 5],
    3 * (2**61 - 1): [3, 2**61 - 1],
    41**2 * 43: [41, 41, 43],
    3_215_031_751: [151, 751, 28351],
    3_825_123_056_546_413_051: [149491, 747451, 34233211],
    963_761_198_400: [2] * 6 + [3] * 4 + [5, 5, 7, 11, 13, 17, 19, 23],
    2**70: [2] * 70,
}


@pytest.mark.parametrize("block", range(8))
def test_divisors_are_those_that_trial_finds(block):
    for size in range(1 + 500 * block, 501 + 500 * block):
        assert divisors(size) == [d for d in range(1, size + 1) if size % d == 0]


@pytest.mark.parametrize("size", KNOWN)
def test_large_sizes_have_the_divisors_of_their_primes(size):
    primes = KNOWN[size]
    assert math.prod(primes) == size
    found = divisors(size)
    assert found == sorted(set(found))
    assert all(size % divisor == 0 for divisor in found)
    assert len(found) == math.prod(primes.count(prime) + 1 for prime in set(primes))


@given(st.integers(1, 2**64))
def test_the_nearest_factor_meets_its_cofactor(size):
    factor = nearest_factor(size)
    assert size % factor == 0
    assert factor <= math.isqrt(size)
    assert not [d for d in divisors(size) if factor < d <= math.isqrt(size)]


@pytest.mark.parametrize("n", [10**18 + 3, 2**64 - 59, (2**32 - 5) * (2**32 - 17)])
def test_fabrications_and_plans_have_any_size(n):
    p = nearest_factor(n)
    assert af.Hypercomplex().num_parameters(n, 4) == 2 * p + 2 * (n // p)
    padding = [line.fabrication for line in af.plan(n, 4, 9).lines]
    assert af.DuplicatedPadding(p=n, q=4) in padding


def test_what_would_take_for_ever_is_refused():
    prime = 2**89 - 1
    message = f"{2 * prime} is too large to look for its divisors: its factor {prime} is above 2**64"
    assert_refused(lambda: af.LPHM().num_parameters(2 * prime, 4), message)
    assert af.LPHM(p=2).num_parameters(2 * prime, 4) == 4 + 2 * (prime + 2)
