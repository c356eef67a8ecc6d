"""Frozen matrices: pure functions of seed, name and law, and the cache that holds them."""

import hashlib
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import arrayfab._arrays as arrays
from arrayfab import frozen
from arrayfab.frozen import Bernoulli, Cache, Frozen, Gaussian

laws = st.one_of(
    st.builds(Gaussian, st.integers(1, 9), st.integers(1, 9)),
    st.builds(Bernoulli, st.integers(1, 9), st.integers(1, 9), st.just(0.5)),
)
seeds = st.integers(0, 2**64 - 1)
numpy_namespace = arrays.namespace(None)


def words(drawn, count):
    """The raw words of the scheme, from NumPy's generator told its key in NumPy's own terms."""
    digest = hashlib.sha256(f"{drawn.name}:{drawn.law.n}:{drawn.law.D}".encode()).digest()
    key = [drawn.seed, int.from_bytes(digest[:8], "little")]
    start = [2**64 - 1] * 4  # the generator steps its counter before it draws
    return np.random.Philox(key=np.asarray(key, np.uint64), counter=np.asarray(start, np.uint64)).random_raw(
        count
    )


@given(seeds, laws)
def test_a_draw_follows_the_written_scheme(seed, law):
    drawn = Frozen(seed, "A", law)
    size = math.prod(drawn.shape)
    u = [int(word >> np.uint64(11)) / 2**53 for word in words(drawn, size + 8)]
    if isinstance(law, Bernoulli):
        expected = [float(each < law.p) for each in u]
    else:
        turn = (math.cos, math.sin)
        expected = [
            math.sqrt(-2 * math.log(1 - u[i - i % 2])) * turn[i % 2](2 * math.pi * u[i - i % 2 + 1])
            for i in range(size)
        ]
    np.testing.assert_allclose(drawn.draw().ravel(), expected[:size], rtol=1e-13, atol=1e-15)


def test_the_scheme_does_not_change():
    drawn = Frozen(0, "A", Gaussian(2, 2)).draw()
    remembered = [[2.0666408431259047, 0.029912993689403544], [1.5605165896432902, 0.20138004917071747]]
    np.testing.assert_allclose(drawn, remembered, rtol=1e-13)


@given(seeds, laws, st.data())
def test_entries_are_slices_of_the_whole(seed, law, data):
    drawn = Frozen(seed, "A", law)
    size = math.prod(drawn.shape)
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))
    np.testing.assert_array_equal(drawn.entries(start, stop), drawn.draw().ravel()[start:stop])


def test_a_draw_of_many_chunks_equals_its_entries(monkeypatch):
    drawn = Frozen(3, "A", Gaussian(37, 11))
    whole = drawn.entries(0, 37 * 11)
    monkeypatch.setattr(frozen, "_CHUNK", 64)
    np.testing.assert_array_equal(drawn.draw().ravel(), whole)


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"name": "B"}, {"law": Gaussian(8, 6)}, {"seed": 1 << 63}],
    ids=lambda c: next(iter(c)),
)
def test_another_seed_name_or_shape_gives_other_numbers(change):
    drawn = Frozen(0, "A", Gaussian(6, 8))
    assert not np.any(np.isin(drawn.draw(), replace(drawn, **change).draw()))


def test_gaussian_entries_look_standard_normal():
    z = Frozen(11, "A", Gaussian(400, 500)).draw().ravel()
    grid = np.asarray([-2.0, -1.0, 0.0, 1.0, 2.0])
    expected = [0.5 * (1 + math.erf(each / math.sqrt(2))) for each in grid]
    np.testing.assert_allclose(np.searchsorted(np.sort(z), grid) / z.size, expected, atol=0.005)
    assert abs(np.corrcoef(z[0::2], z[1::2])[0, 1]) < 0.02


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_bernoulli_entries_are_ones_with_their_probability(p):
    mask = Frozen(2, "mask", Bernoulli(200, 300, p)).draw()
    assert set(np.unique(mask)) <= {0.0, 1.0}
    assert abs(mask.mean() - p) < 0.01


def get(cache, seed, n=8, D=8, dtype_name="float64"):
    return cache.get(Frozen(seed, "A", Gaussian(n, D)), numpy_namespace, np.dtype(dtype_name), "cpu")


def test_the_cache_draws_once():
    cache = Cache(limit=1 << 20)
    assert get(cache, 0) is get(cache, 0)
    assert get(cache, 0, dtype_name="float32").dtype == np.float32


def test_the_cache_is_bounded_in_bytes_and_forgets_the_least_recently_used():
    cache = Cache(limit=3 * 512)
    first, second = get(cache, 0), get(cache, 1)
    get(cache, 2)
    assert get(cache, 0) is first
    get(cache, 3)
    assert get(cache, 0) is first
    assert get(cache, 1) is not second


def test_the_cache_holds_no_more_than_one_array_beyond_its_limit():
    cache = Cache(limit=100)
    big = get(cache, 0)
    assert get(cache, 0) is big
    get(cache, 1)
    assert get(cache, 0) is not big


def test_a_cleared_cache_draws_the_same_numbers_again():
    cache = Cache(limit=1 << 20)
    before = get(cache, 0)
    cache.clear()
    after = get(cache, 0)
    assert after is not before
    np.testing.assert_array_equal(after, before)
