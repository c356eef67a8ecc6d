"""Whether frozen numbers look random.

The seeds are fixed, so nothing here fails by chance from run to run. Each check rejects a perfect generator
with a probability of 1e-6 or less; the whole file, about 60 checks, with less than 1e-4.
"""

import math
from statistics import NormalDist

import numpy as np
import pytest

from arrayfab.frozen import Bernoulli, Frozen, Gaussian, Rademacher, Uniform

LEVEL = 1e-6
BOUND = NormalDist().inv_cdf(1 - LEVEL / 2)  # in standard deviations
SEEDS = [0, 1, 2**63 + 12345]
N = 1 << 20


def draw(law, seed, name="A", size=N):
    return Frozen(seed, name, law(size // 1024, 1024)).entries(0, size)


def correlation(a, b):
    """In standard deviations, for independent numbers of mean zero and variance one."""
    return float(a @ b) / math.sqrt(a.size)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("order", range(1, 7))
def test_gaussian_moments(order, seed):
    z = draw(Gaussian, seed)
    moments = [math.prod(range(1, k, 2)) if k % 2 == 0 else 0 for k in range(13)]
    spread = math.sqrt((moments[2 * order] - moments[order] ** 2) / z.size)
    assert abs(np.mean(z**order) - moments[order]) < BOUND * spread


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("law", "cdf"), [(Gaussian, "norm"), (Uniform, "uniform")])
def test_kolmogorov_and_smirnov_accept_the_law(law, cdf, seed):
    stats = pytest.importorskip("scipy.stats")
    assert stats.kstest(draw(law, seed), cdf).pvalue > LEVEL


@pytest.mark.parametrize("seed", SEEDS)
def test_the_tail_of_the_gaussian_is_there(seed):
    count, expected = np.sum(np.abs(draw(Gaussian, seed)) > 4), N * math.erfc(4 / math.sqrt(2))
    assert abs(count - expected) < BOUND * math.sqrt(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_signs_are_even(seed):
    assert abs(np.sum(draw(Rademacher, seed))) < BOUND * math.sqrt(N)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("p", [0.1, 0.5, 0.99])
def test_bernoulli_entries_are_ones_with_their_probability(p, seed):
    ones = Frozen(seed, "A", Bernoulli(1024, 1024, p)).draw().sum()
    assert abs(ones - p * N) < BOUND * math.sqrt(p * (1 - p) * N)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_certain_entries_are_certain(p):
    assert np.all(Frozen(2, "mask", Bernoulli(50, 70, p)).draw() == p)


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 5, 8, 1024])
def test_neighbouring_entries_and_counters_are_uncorrelated(lag):
    z = draw(Gaussian, 3)
    assert abs(correlation(z[:-lag], z[lag:])) < BOUND
    energy = (z**2 - 1) / math.sqrt(2)
    assert abs(correlation(energy[:-lag], energy[lag:])) < BOUND


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((0, "A"), (1, "A")),
        ((0, "A"), (2**63, "A")),
        ((0, "A"), (0, "B")),
        ((5, "P"), (5, "Q")),
        ((0, "0.A"), (0, "1.A")),
    ],
)
def test_seeds_and_blocks_are_uncorrelated(first, second):
    a, b = draw(Gaussian, *first), draw(Gaussian, *second)
    assert abs(correlation(a, b)) < BOUND
    assert abs(correlation((a**2 - 1) / math.sqrt(2), (b**2 - 1) / math.sqrt(2))) < BOUND


def test_a_hundred_seeds_are_uncorrelated_in_their_first_numbers():
    table = np.stack([draw(Gaussian, seed, size=4096) for seed in range(100)])
    products = (table @ table.T)[np.triu_indices(100, 1)] / math.sqrt(4096)
    # The largest of 4,950 of them.
    assert np.max(np.abs(products)) < NormalDist().inv_cdf(1 - LEVEL / (2 * products.size))
