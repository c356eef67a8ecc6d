"""Fabrications by themselves: length, dense form, products, gradients, start values, composition."""

import copy
import gc
import pickle
import weakref
from dataclasses import dataclass

import numpy as np
import pytest
from dense_reference import FABRICATIONS, assert_equal, by_fabrication, integers, over_lead
from hypothesis import given
from hypothesis import strategies as st

import arrayfab as af
from arrayfab.fabrications.blueprint import blueprint
from arrayfab.fabrications.sizes import nearest_factor
from arrayfab.frozen import Gaussian
from arrayfab.structures import Diagonal

halves = st.integers(1, 4).map(lambda half: 2 * half)
leads = st.sampled_from([(), (1,), (2,), (2, 3)])


def dense_of(case, n, D):
    return lambda *w: over_lead(lambda each: case.dense(np, each, n, D), w, (1,))


@by_fabrication
@given(n=halves, D=halves, lead=leads, seed=st.integers(0, 100))
def test_dense_form_products_and_length(case, n, D, lead, seed):
    fabrication = case.build(n, D)
    assert fabrication.num_parameters(n, D) == case.length(n, D)
    w = integers(seed, *lead, case.length(n, D))
    W, dense = fabrication.fabricate(w, n, D), dense_of(case, n, D)(w)
    assert W.shape == dense.shape == W.to_dense().shape
    assert W.T.shape == dense.swapaxes(-1, -2).shape
    assert W.ndim == dense.ndim
    x, z = integers(seed + 1, *lead, 3, n), integers(seed + 2, *lead, D, 3)
    pairs = [
        (W.to_dense(), dense),
        (W.T.to_dense(), dense.swapaxes(-1, -2)),
        (x @ W, x @ dense),
        (W @ z, dense @ z),
        (z.swapaxes(-1, -2) @ W.T, z.swapaxes(-1, -2) @ dense.swapaxes(-1, -2)),
        (W.T @ x.swapaxes(-1, -2), dense.swapaxes(-1, -2) @ x.swapaxes(-1, -2)),
        (np.ones(n) @ W, np.ones(n) @ dense),
        (W @ np.ones(D), dense @ np.ones(D)),
    ]
    for actual, expected in pairs:
        assert_equal(actual, expected, case.is_exact)


@by_fabrication
def test_one_matrix_times_data_with_leading_axes(case):
    w, x, z = integers(1, case.length(6, 4)), integers(2, 2, 3, 5, 6), integers(3, 2, 3, 4, 5)
    W, dense = case.build(6, 4).fabricate(w, 6, 4), case.dense(np, w, 6, 4)
    assert_equal(x @ W, x @ dense, case.is_exact)
    assert_equal(W @ z, dense @ z, case.is_exact)


@by_fabrication
def test_degree_is_one_of_a_polynomial_or_none(case):
    degrees = {"constant": 0, "eye": 0, "low_rank": 2, "hypercomplex": 2, "lphm": 3, "dual_lphm": 4}
    degrees |= {"adaption": 2, "adaption_handed_in": 2, "sum": 2, "scaled": 4}
    degrees |= {"reshaped_hypercomplex": 2, "hypernet": None, "random_matrix_hypernet": None}
    assert blueprint(case.build(6, 4), 6, 4).structure.degree == degrees.get(case.name, 1)


def test_published_lengths():
    assert af.Full().num_parameters(7, 5) == 35
    assert af.DualLPHM(p=64, q=64, r=4).num_parameters(4096, 4096) == 4 * (64 + 64 + 64 + 64)
    assert af.RandomMatrixAdaption(r=8).num_parameters(1024, 1024) == 1024 + 8
    assert af.RandomMatrixHypernet().num_parameters(2048, 2048) == 64
    assert af.LowRank(r=8).num_parameters(2048, 6144) == 8 * (2048 + 6144)
    assert af.RandomMatrixHypernet() == af.RandomMatrixHypernet(r=2, l=64, hidden_dim=128)


@pytest.mark.parametrize("variant", [af.Hypercomplex, af.LPHM, af.DualLPHM])
@pytest.mark.parametrize(("n", "p"), [(1, 1), (12, 3), (7, 1), (16, 4), (36, 6), (24, 4), (4096, 64)])
def test_sizes_left_out_are_the_factors_nearest_below_the_root(variant, n, p):
    assert nearest_factor(n) == p
    assert variant().num_parameters(n, 12) == variant(p=p, q=3).num_parameters(n, 12)
    assert variant().num_parameters(12, n) == variant(p=3, q=p).num_parameters(12, n)


def test_one_fabrication_serves_many_shapes():
    fabrication = af.Hypercomplex()
    for n, D, p, q in [(12, 16, 3, 4), (16, 12, 4, 3), (12, 16, 3, 4)]:
        A, B = integers(1, p, q), integers(2, n // p, D // q)
        w = np.concatenate([A.ravel(), B.ravel()])
        assert_equal(fabrication.fabricate(w, n, D).to_dense(), np.kron(A, B))


def test_hypernet_may_be_associated_either_way():
    w = np.random.default_rng(0).standard_normal(5)
    frozen = {
        name: np.random.default_rng(i).standard_normal(shape)
        for i, (name, shape) in enumerate({"P": (5, 2), "Q": (7, 2), "S": (7, 2), "T": (24, 2)}.items())
    }
    P, Q, S, T = frozen.values()
    W = af.RandomMatrixHypernet(l=5, hidden_dim=7).with_frozen(**frozen).fabricate(w, 6, 4).to_dense()
    one_by_one = ((1 / (1 + np.exp(-((w @ P) @ Q.T)))) @ S) @ T.T
    large_first = (1 / (1 + np.exp(-(w @ (P @ Q.T))))) @ (S @ T.T)
    for expected in (one_by_one, large_first):
        np.testing.assert_allclose(W.ravel(), expected, rtol=1e-12)


def test_frozen_blocks_handed_in_are_told_apart():
    adaption, w = af.RandomMatrixAdaption(r=2), np.ones(6)
    first = adaption.with_frozen(A=integers(1, 4, 2), B=integers(2, 4, 2))
    second = adaption.with_frozen(A=integers(3, 4, 2), B=integers(4, 4, 2))
    assert first != second
    for fabrication, (a, b) in ((first, (1, 2)), (second, (3, 4))):
        assert_equal(fabrication.fabricate(w, 4, 4).to_dense(), integers(a, 4, 2) @ integers(b, 4, 2).T)


def test_a_frozen_block_may_be_handed_in_alone():
    mask = integers(1, 4, 6)
    fabrication = 2.0 * af.Masked().with_frozen(mask=mask)
    w = integers(2, 24)
    assert_equal(fabrication.fabricate(w, 4, 6).to_dense(), 2 * w.reshape(4, 6) * mask)


def test_fabrications_are_values():
    assert af.LowRank(r=2) + af.Full() == af.LowRank(r=2) + af.Full()
    assert hash(2.0 * af.LowRank(r=2)) == hash(2.0 * af.LowRank(r=2))
    assert af.LowRank(r=2) != af.LowRank(r=3)


def test_terms_of_a_sum_have_numbers_of_their_own():
    term = af.LowRank(r=1)
    w, v = integers(1, 10), integers(2, 10)
    both = (term + term).fabricate(np.concatenate([w, v]), 4, 6).to_dense()
    assert_equal(both, term.fabricate(w, 4, 6).to_dense() + term.fabricate(v, 4, 6).to_dense())


random_cases = [
    case for case in FABRICATIONS if case.is_exact and case.length(64, 48) and "handed" not in case.name
]


@pytest.mark.parametrize("case", random_cases, ids=lambda case: case.name)
@pytest.mark.parametrize("variance", [None, 0.01, 4.0])
def test_init_reaches_the_variance(case, variance):
    rng, shape = np.random.default_rng(0), (64, 48)
    draws = [
        case.fabrication.fabricate(
            case.fabrication.init(*shape, rng=rng, variance=variance), *shape
        ).to_dense()
        for _ in range(300)
    ]
    wanted = 1 / 64 if variance is None else variance
    assert 0.8 < np.mean(np.square(draws)) / wanted < 1.25


def test_init_of_the_adaption_reaches_the_variance_over_its_frozen_draws():
    squares = []
    for seed in range(200):
        fabrication = af.RandomMatrixAdaption(r=3, seed=seed)
        W = fabrication.fabricate(fabrication.init(20, 30, rng=seed, variance=0.5), 20, 30).to_dense()
        squares.append(np.mean(W**2))
    assert 0.4 < np.mean(squares) < 0.6


def test_init_is_determined_by_its_seed():
    first, again, other = (af.Full().init(3, 4, rng=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.any(first == other)


zeroable = [case for case in FABRICATIONS if case.length(6, 4) and "hypernet" not in case.name]


@pytest.mark.parametrize("case", zeroable, ids=lambda case: case.name)
def test_zero_init_makes_the_matrix_zero_and_leaves_a_gradient(case):
    fabrication = case.build(6, 4)
    w = fabrication.init(6, 4, rng=0, zero=True)
    W, pullback = fabrication.vjp(w, 6, 4)
    assert not np.any(W)
    assert np.any(pullback(np.ones((6, 4))))


def test_numpy_leaves_the_product_to_the_matrix():
    W = af.Eye().fabricate(np.zeros(0), 3, 3)
    assert_equal(np.ones((2, 3)) @ W, np.ones((2, 3)))
    assert repr(W) == "StructuredMatrix(shape=(3, 3), dtype=float64)"
    assert W.device == "cpu"


@pytest.mark.parametrize("kind", [np.int32, np.uint8, np.int64])
def test_narrow_integers_as_sizes_do_not_overflow(kind):
    assert af.LowRank(r=kind(200)).num_parameters(kind(100), kind(100)) == 40_000
    assert af.RandomMatrixAdaption(r=kind(2), seed=kind(3)) == af.RandomMatrixAdaption(r=2, seed=3)


def test_a_structured_matrix_survives_pickling_and_copying():
    W = af.DualLPHM(p=2, q=2).fabricate(af.DualLPHM(p=2, q=2).init(4, 6, rng=0), 4, 6)
    for twin in (pickle.loads(pickle.dumps(W)), copy.deepcopy(W)):
        np.testing.assert_array_equal(twin.to_dense(), W.to_dense())


def test_a_block_that_is_learned_and_frozen_is_refused():
    @dataclass(frozen=True, kw_only=True)
    class Both(af.Seeded):
        def blocks(self, n, D):
            return {"A": (n, D)}

        def frozen(self, n, D):
            return {"A": Gaussian(n, D)}

        def matrix(self, n, D, A):
            return A

    with pytest.raises(ValueError, match="learned and frozen at once"):
        Both().num_parameters(2, 2)


def test_arrays_handed_in_are_freed_with_their_fabrication():
    A = np.ones((4, 2))
    role = af.Reconciliation(
        fabrication=0.5 * af.RandomMatrixAdaption().with_frozen(A=A) + af.Eye(), n=4, D=4
    )
    role(np.ones((3, 4)), np.ones(6))
    held = weakref.ref(A)
    del role, A
    gc.collect()
    assert held() is None


def test_a_list_is_no_frozen_block():
    with pytest.raises(TypeError, match="A must be an array of a namespace"):
        af.RandomMatrixAdaption().with_frozen(A=[[1.0]]).num_parameters(4, 4)


def test_sums_are_flat_however_they_are_made():
    one, two, three = af.LowRank(r=1), af.Eye(), af.Masked(seed=3)
    assert (one + two) + three == one + (two + three) == sum([one, two, three])
    many = sum([af.LowRank(r=1)] * 500)
    assert many.num_parameters(2, 2) == 2000
    W = many.fabricate(np.ones(2000), 2, 2).to_dense()
    np.testing.assert_array_equal(W, np.full((2, 2), 500.0))


def test_scales_of_scales_are_one():
    fabrication = af.LowRank(r=1)
    for _ in range(100):
        fabrication = 2.0 * fabrication
    assert fabrication == 2.0**100 * af.LowRank(r=1)


def test_signs_differences_and_quotients():
    one, two = af.LowRank(r=1), af.Full()
    w = integers(0, 10)
    A, B = (f.fabricate(part, 2, 3).to_dense() for f, part in ((one, w[:5]), (two, integers(1, 6))))
    both = np.concatenate([w[:5], integers(1, 6)])
    assert_equal((one - two).fabricate(both, 2, 3).to_dense(), A - B, True)
    assert_equal((-one).fabricate(w[:5], 2, 3).to_dense(), -A, True)
    assert_equal((one / 2).fabricate(w[:5], 2, 3).to_dense(), A / 2, True)
    assert np.float32(0.5) * one == one / 2


@pytest.mark.parametrize("operation", ["np.ones(3) * f", "f * np.ones(3)", "f + 1", "sum([f], 1)", "f - 1.0"])
def test_what_is_no_fabrication_and_no_number_takes_no_part(operation):
    with pytest.raises(TypeError):
        eval(operation, {"np": np, "f": af.LowRank()})


@dataclass(frozen=True, kw_only=True)
class DiagonalAlone(af.Fabrication):
    """``W = diag(v)``."""

    def blocks(self, n, D):
        return {"v": (n,)}

    def matrix(self, n, D, v):
        return Diagonal(v)


def test_a_sum_in_half_precision_goes_on_beyond_what_the_dtype_counts():
    role = af.Reconciliation(fabrication=DiagonalAlone(), n=2, D=2)
    x = np.ones((7500, 2), np.float16)
    _, pullback = role.vjp(x, np.ones(2, np.float16))
    np.testing.assert_array_equal(pullback(x)[1], np.full(2, 7500, np.float16))
    # The same over a batch of learned numbers.
    _, pullback = role.vjp(x[:1], x)
    np.testing.assert_array_equal(pullback(x[:, None, :])[0], np.full((1, 2), 7500, np.float16))
