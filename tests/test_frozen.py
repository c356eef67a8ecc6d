"""Frozen matrices: pure functions of seed, name and law, and the cache that holds them."""

import hashlib
import os
import signal
import sys
import threading
import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import philox_reference as reference
import pytest
from hypothesis import given
from hypothesis import strategies as st

import arrayfab._arrays as arrays
from arrayfab.frozen import SCHEME, Bernoulli, Cache, Frozen, Gaussian, Rademacher, Uniform, draws
from arrayfab.frozen import cache as shared_cache

sizes = st.integers(1, 9)
laws = st.one_of(
    st.builds(Gaussian, sizes, sizes),
    st.builds(Uniform, sizes, sizes),
    st.builds(Rademacher, sizes, sizes),
    st.builds(Bernoulli, sizes, sizes, st.floats(0, 1)),
)
seeds = st.integers(0, 2**64 - 1)
names = st.text(max_size=5)
numpy_namespace = arrays.namespace(None)


def entry(frozen, i):
    """One entry by the reference."""
    law = frozen.law
    if isinstance(law, Gaussian):
        return reference.gaussian(frozen, i)
    if isinstance(law, Rademacher):
        return reference.rademacher(reference.word(frozen, i))
    u = reference.uniform(reference.word(frozen, i))
    return float(u < law.p) if isinstance(law, Bernoulli) else u


@given(seeds, names, laws)
def test_a_draw_follows_the_written_scheme_to_the_last_bit(seed, name, law):
    drawn = Frozen(seed, name, law)
    expected = [entry(drawn, i) for i in range(drawn.size)]
    np.testing.assert_array_equal(drawn.draw().reshape(-1), expected)


@given(seeds)
def test_gaussian_entries_are_those_of_box_and_muller(seed):
    drawn = Frozen(seed, "A", Gaussian(16, 16))
    u = np.asarray([reference.uniform(reference.word(drawn, i)) for i in range(256)])
    signs = np.asarray([reference.rademacher(reference.word(drawn, i)) for i in range(256)])
    radius = np.sqrt(-2 * np.log1p(-u[0::2]))
    angle = (np.pi / 2) * u[1::2]
    expected = signs * np.stack([np.cos(angle), np.sin(angle)] * radius, axis=-1).reshape(-1)
    np.testing.assert_allclose(drawn.draw().reshape(-1), expected, rtol=0, atol=4e-15)


# Anyone's generator can be held to these: seed 2026, block "A", 16 by 24 entries, row by row, little-endian.
REMEMBERED = {
    "Gaussian float64": (
        Gaussian(16, 24),
        "<f8",
        "38b1bd33a6728f5bdb54c708a2c2818bf065489b16f418a502b271025e1a6bd6",
    ),
    "Gaussian float32": (
        Gaussian(16, 24),
        "<f4",
        "2a463b34eb9d31fbe4ce71bb1ec8575eb2f91cf622ed0217dc9889aac8a10ab2",
    ),
    "Uniform": (Uniform(16, 24), "<f8", "c766a08a2fe4226a060cdbe0da8ca6d2c794025778f553d6af1d84c730ba78a8"),
    "Rademacher": (
        Rademacher(16, 24),
        "<f8",
        "99232702d608324a89cf53b430d0916f12e5998b4229403f30d903759d129fe9",
    ),
    "Bernoulli": (
        Bernoulli(16, 24, 0.25),
        "<f8",
        "84873bbce434849008a6c38cd40ce6f0f6fc990a6c692259819911ee89faa234",
    ),
}


@pytest.mark.parametrize(("law", "dtype", "checksum"), REMEMBERED.values(), ids=REMEMBERED)
def test_the_scheme_does_not_change(law, dtype, checksum):
    assert SCHEME == "philox4x64-v1"
    drawn = Frozen(2026, "A", law).draw(dtype)
    assert hashlib.sha256(drawn.tobytes()).hexdigest() == checksum


def test_the_first_numbers_are_those_on_the_page():
    drawn = Frozen(0, "A", Gaussian(2, 2)).draw().reshape(-1)
    assert [each.hex() for each in drawn.tolist()] == [
        "-0x1.088e5650687c1p+1",
        "-0x1.ea1c4baff19aap-8",
        "0x1.9298fc94735d3p+0",
        "-0x1.9d7d5e4a4ce73p-5",
    ]


@given(seeds, laws, st.data())
def test_entries_are_slices_of_the_whole(seed, law, data):
    drawn = Frozen(seed, "A", law)
    size = drawn.size
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))
    np.testing.assert_array_equal(drawn.entries(start, stop), drawn.draw().ravel()[start:stop])


def test_a_draw_of_many_chunks_equals_its_entries(monkeypatch):
    drawn = Frozen(3, "A", Gaussian(37, 11))
    whole = drawn.entries(0, 37 * 11)
    monkeypatch.setattr(draws, "_CHUNK", 64)
    np.testing.assert_array_equal(drawn.draw().ravel(), whole)


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"name": "B"}, {"law": Gaussian(8, 6)}, {"seed": 1 << 63}],
    ids=lambda c: next(iter(c)),
)
def test_another_seed_name_or_shape_gives_other_numbers(change):
    drawn = Frozen(0, "A", Gaussian(6, 8))
    assert not np.any(np.isin(drawn.draw(), replace(drawn, **change).draw()))


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


def test_many_threads_share_one_draw(monkeypatch):
    drawn, cache, found = [], Cache(limit=1 << 20), []
    whole = Frozen.whole
    monkeypatch.setattr(Frozen, "whole", lambda *args: drawn.append(args) or whole(*args))
    threads = [threading.Thread(target=lambda: found.append(get(cache, 5, 300, 300))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(drawn) == 1
    assert all(array is found[0] for array in found)


@given(st.lists(st.tuples(st.integers(0, 5), sizes, sizes), min_size=1, max_size=30), st.integers(0, 2000))
def test_the_cache_never_holds_more_than_its_limit_but_for_one(asked, limit):
    cache = Cache(limit=limit)
    for seed, n, D in asked:
        np.testing.assert_array_equal(get(cache, seed, n, D), Frozen(seed, "A", Gaussian(n, D)).draw())
        held = list(cache._held.values())
        assert sum(array.nbytes for array in held) <= limit or len(held) == 1


STEPS = {Cache.get.__code__, Cache._find.__code__, Cache._keep.__code__}


def is_interrupted(call, at):
    """Whether Ctrl-C ends ``call``, before the interpreter's step of that number in the cache."""
    left = at

    def trace(frame, event, argument):
        nonlocal left
        if frame.f_code not in STEPS:
            return None
        frame.f_trace_opcodes = True
        left -= 1
        if left == 0:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_an_interrupted_call_leaves_the_cache_as_good_as_it_was():
    cache, at, is_within = Cache(limit=3 * 512), 0, True
    while is_within:
        at += 1
        is_within = is_interrupted(partial(get, cache, 10 + at), at)
        held = [get(cache, seed) for seed in (1000 + at, 0, 1, 2)]
        assert [id(array) for array in held[1:]] == [id(array) for array in cache._held.values()]
    assert at > 100


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers for signals")
def test_a_handler_of_a_signal_may_draw_during_a_draw():
    cache, drawn = Cache(limit=3 * 512), []

    class Slow(Frozen):
        def whole(self, *args):
            signal.raise_signal(signal.SIGALRM)
            return super().whole(*args)

    before = signal.signal(signal.SIGALRM, lambda *_: drawn.append(get(cache, 1)))
    try:
        arguments = numpy_namespace, np.dtype("float64"), "cpu"
        array = cache.get(Slow(0, "A", Gaussian(8, 8)), *arguments)
    finally:
        signal.signal(signal.SIGALRM, before)
    np.testing.assert_array_equal(array, Frozen(0, "A", Gaussian(8, 8)).draw())
    assert get(cache, 1) is drawn[0]


def test_a_handler_may_use_the_cache_between_any_two_of_its_steps():
    cache, asked = Cache(limit=2 * 512), 0

    def trace(frame, event, argument):
        nonlocal asked
        if frame.f_code not in STEPS:
            return None
        frame.f_trace_opcodes = True
        sys.settrace(None)
        for _ in range(2):  # enough to drop all that was held before
            asked += 1
            get(cache, asked % 7)
        sys.settrace(trace)
        return trace

    before = sys.gettrace()
    try:
        for seed in (1, 2, 1, 3, 1):
            sys.settrace(trace)
            array = get(cache, seed)
            sys.settrace(before)
            np.testing.assert_array_equal(array, Frozen(seed, "A", Gaussian(8, 8)).draw())
            assert len(cache._held) <= 2
    finally:
        sys.settrace(before)


class Unhashable:
    """A device as CuPy has it."""

    __hash__ = None

    def __eq__(self, other):
        return True


def test_a_device_need_not_be_hashable(monkeypatch):
    monkeypatch.setattr(Frozen, "whole", lambda *args: np.zeros(4))
    cache = Cache(limit=1 << 20)
    arguments = Frozen(0, "A", Gaussian(2, 2)), numpy_namespace, np.dtype("float64"), Unhashable()
    assert cache.get(*arguments).shape == (4,)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_process_forked_during_a_draw_can_draw():
    drawing, forked = threading.Event(), threading.Event()

    class Slow(Frozen):
        def whole(self, *args):
            drawing.set()
            forked.wait(10)
            return np.zeros(4)

    slow = Slow(1, "slow", Gaussian(2, 2))
    thread = threading.Thread(
        target=shared_cache.get, args=(slow, numpy_namespace, np.dtype("float64"), "cpu")
    )
    thread.start()
    drawing.wait(10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a process with threads is forked is the point
        child = os.fork()
    if child == 0:
        signal.alarm(10)
        shared_cache.get(Frozen(2, "other", Gaussian(2, 2)), numpy_namespace, np.dtype("float64"), "cpu")
        os._exit(0)
    forked.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, True, "7"])
def test_a_seed_is_a_whole_number_below_two_to_the_64(seed):
    with pytest.raises(ValueError, match=r"Frozen 'A': seed must be an integer from 0 to 2\*\*64 - 1"):
        Frozen(seed, "A", Gaussian(2, 2))


def test_a_matrix_must_not_have_more_entries_than_the_counter_can_number():
    last = Frozen(0, "A", Gaussian(1 << 33, (1 << 33) - 1)).size
    assert Frozen(0, "A", Gaussian(1 << 33, (1 << 33) - 1)).entries(last - 3, last).shape == (3,)
    with pytest.raises(ValueError, match=r"Frozen 'A': a matrix must have fewer than 2\*\*66 entries"):
        Frozen(0, "A", Gaussian(1 << 33, 1 << 33))


@pytest.mark.parametrize("run", [(0, 5), (-4, 2), (3, 1)])
def test_entries_beyond_the_matrix_are_refused(run):
    with pytest.raises(ValueError, match="entries must be within 0 and 4"):
        Frozen(0, "A", Gaussian(2, 2)).entries(*run)


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_a_probability_is_one(p):
    with pytest.raises(ValueError, match="p must be a probability"):
        Bernoulli(2, 2, p)
