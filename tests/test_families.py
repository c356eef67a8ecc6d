"""Families of adapters and of structured matrices, against their formulas spelled out."""

import gc
import math
import weakref

import numpy as np
import pytest
from dense_reference import integers, split
from hypothesis import given
from hypothesis import strategies as st
from refusals import assert_refused
from scipy.linalg import block_diag, circulant, toeplitz

import arrayfab as af
from arrayfab._arrays import backend_of
from arrayfab.fabrications import ProductOf
from arrayfab.fabrications.blueprint import blueprint
from arrayfab.frozen import Frozen, Gaussian
from arrayfab.structures import Circulant, Cotangents, Dense, Numbers, Toeplitz


def loha(w, n, D):
    A1, B1, A2, B2 = split(w, (n, 2), (2, D), (n, 2), (2, D))
    return (A1 @ B1) * (A2 @ B2)


def cp(w, n, D):
    A1, A2, B1, B2 = split(w, (2, 3), (n // 2, 3), (3, 3), (D // 3, 3))
    return np.einsum("ar,br,cr,dr->abcd", A1, A2, B1, B2).reshape(n, D)


def mirrored(w, n, D):
    P, Qt, B = split(w, (2, 1), (1, 3), (n // 2, D // 3))
    return np.kron(P @ Qt, B)


def three_cores(w, n, D):
    G, H, K = split(w, (1, 2, 1, 2), (2, 2, 2, 2), (2, n // 4, D // 2, 1))
    return np.einsum("aijb,bklc,cmnd->ikmjln", G, H, K).reshape(n, D)


def randlora(w, n, D):
    m, K, r = min(n, D), math.ceil(min(n, D) / 2), 2
    Lambda, Gamma = split(w, (r, K), (K, m))
    A, B = (Frozen(0, name, Gaussian(*s)).draw() for name, s in (("A", (r, m)), ("B", (max(n, D), r * K))))
    B = B.reshape(-1, r, K)
    W = sum(B[:, :, k] @ np.diag(Lambda[:, k]) @ A @ np.diag(Gamma[k]) for k in range(K))
    return W if n >= D else W.T


def vblora(w, n, D):
    r, h, b, k = 2, 4, 2, 2
    for_B, for_A, bank = split(w, (n // b, r, h), (r, D // b, h), (h, b))

    def mixed(logits):
        kept = np.sort(np.argsort(logits)[-k:])
        shares = np.exp(logits[kept])
        return shares / shares.sum() @ bank[kept]

    B = np.concatenate([[mixed(for_B[i, rho]) for rho in range(r)] for i in range(n // b)], axis=1).T
    A = np.stack([np.concatenate([mixed(for_A[rho, j]) for j in range(D // b)]) for rho in range(r)])
    return B @ A


def monarch(w, n, D):
    p, q = 2, 3
    L, R = split(w, (p, n // p, q), (q, p, D // q))
    return np.einsum("jai,ijt->ajit", L, R).reshape(n, D)


def circulants(w, n, D):
    (h,) = split(w, (n // 2, D // 2, 2))
    return np.block([[circulant(each).T for each in row] for row in h])


def fourier(w, n, D):
    spectrum = np.zeros((n, D))
    spectrum.reshape(-1)[[1, 5, 7]] = w
    return np.real(np.fft.ifft2(spectrum))


def skew(w, s):
    A = np.zeros((s, s))
    A[np.triu_indices(s, 1)] = w
    return A - A.T


def rotation(A):
    return (np.eye(len(A)) + A) @ np.linalg.inv(np.eye(len(A)) - A)


def cayley(w, n, D):
    return block_diag(*(rotation(skew(each, n // 2)) for each in w.reshape(2, -1)))


def shared_cayley(w, n, D):
    return np.kron(np.eye(2), rotation(skew(w, n // 2)))


def neumann(w, n, D):
    A = skew(w, n)
    return (np.eye(n) + A) @ sum(np.linalg.matrix_power(A, k) for k in range(3))


def butterfly(w, n, D):
    W = np.eye(n)
    for i, R in enumerate(w.reshape(3, n // 2, 2, 2)):
        run = 2 << i
        order = [start + j for start in range(0, n, run) for half in (0, 1) for j in range(half, run, 2)]
        P = np.eye(n)[order] if i else np.eye(n)
        W = W @ P @ block_diag(*(rotation((each - each.T) / 2) for each in R)) @ P.T
    return W


def householder(w, n, D):
    W = np.eye(n)
    for u in w.reshape(n, 3).T:
        W = W @ (np.eye(n) - 2 * np.outer(u, u) / (u @ u))
    return W


def by_rows(w, n, D):
    A, Bt = split(w[n:], (n, 1), (1, D))
    return np.diag(w[:n]) @ np.stack([row / np.linalg.norm(row) for row in A @ Bt])


def by_columns(w, n, D):
    A, Bt = split(w[D:], (n, 1), (1, D))
    return np.stack([c / np.linalg.norm(c) for c in (A @ Bt).T], axis=1) @ np.diag(w[:D])


FAMILIES = [
    (af.LoHa(r=2), loha),
    (af.CP(r=3, p=2, q=3), cp),
    (af.MirroredLPHM(r=1, p=2, q=3), mirrored),
    (af.TensorTrain(r=2, cores=3, rows=(2, 2, 2), columns=(1, 2, 6)), three_cores),
    (af.RandLoRA(r=2), randlora),
    (af.VBLoRA(r=2, h=4, b=2, k=2), vblora),
    (af.BlockDiagonal(p=2), lambda w, n, D: block_diag(*w.reshape(2, n // 2, D // 2))),
    (af.Monarch(p=2, q=3), monarch),
    (af.Toeplitz(), lambda w, n, D: toeplitz(w[D - 1 :], w[D - 1 :: -1])),
    (af.Circulant(b=2), circulants),
    (af.FourierFT(k=3, places=(1, 5, 7)), fourier),
    (af.Shared(inner=af.Full(), places=2), lambda w, n, D: np.kron(w.reshape(n // 2, D // 2), np.eye(2))),
    (af.IA3(), lambda w, n, D: np.diag(w)),
    (af.DoRA(inner=af.LowRank(r=1)), by_rows),
    (af.DoRA(inner=af.LowRank(r=1), per="column"), by_columns),
    (af.Cayley(p=2), cayley),
    (af.Cayley(p=2, is_shared=True), shared_cayley),
    (af.Neumann(terms=3), neumann),
    (af.Butterfly(b=2, m=3), butterfly),
    (af.Householder(r=3), householder),
]


def shapes_of(fabrication):
    return [(8, 8)] if fabrication.is_square else [(8, 12), (8, 6)]


@pytest.mark.parametrize(("fabrication", "dense"), FAMILIES, ids=[str(f) for f, _ in FAMILIES])
def test_a_family_is_its_formula(fabrication, dense):
    for n, D in shapes_of(fabrication)[: 1 if isinstance(fabrication, af.TensorTrain) else 2]:
        w = np.random.default_rng(n * D).standard_normal(fabrication.num_parameters(n, D))
        W = fabrication.fabricate(w, n, D)
        np.testing.assert_allclose(W.to_dense(), dense(w, n, D), rtol=1e-11, atol=1e-11)


ROTATIONS = [af.Cayley(p=2), af.Cayley(p=2, is_shared=True), af.Butterfly(b=2, m=3), af.Householder(r=4)]


@pytest.mark.parametrize("fabrication", ROTATIONS, ids=str)
@given(seed=st.integers(0, 99), size=st.floats(0.1, 10))
def test_rotations_keep_lengths(fabrication, seed, size):
    w = size * np.random.default_rng(seed).standard_normal(fabrication.num_parameters(8, 8))
    W = fabrication.fabricate(w, 8, 8).to_dense()
    np.testing.assert_allclose(W @ W.T, np.eye(8), atol=1e-10)


W0 = integers(0, 8, 8) + 0.5
UPDATES = [
    af.Base(W0) + 0.5 * af.LowRank(r=2),
    af.Base(W0) + af.LoHa(r=2),
    af.Base(W0) @ af.Cayley(p=2),
    af.Base(W0) @ af.Neumann(),
    af.IA3() @ af.Base(W0) @ af.Butterfly(),
    af.Base(W0) @ af.Householder(r=2),
    af.DoRA(inner=af.Base(W0) + 2.0 * af.LowRank(r=2)),
    af.DoRA(inner=af.Base(W0) + af.RandLoRA(r=2), per="column"),
    0.5 * (af.Base(W0) @ af.Cayley() + af.Base(W0)),
]


@pytest.mark.parametrize("fabrication", UPDATES, ids=str)
def test_at_rest_an_update_is_its_base_and_has_a_gradient(fabrication):
    w = fabrication.init(8, 8, rng=0, zero=True)
    W, pullback = fabrication.vjp(w, 8, 8)
    np.testing.assert_allclose(W, W0, rtol=1e-12, atol=1e-12)
    assert np.any(pullback(integers(1, 8, 8)))


def test_a_base_is_learned_by_nobody_and_copied_by_nobody():
    W0 = integers(0, 4, 6)
    fabrication = af.Base(W0) + af.LowRank(r=1)
    assert fabrication.num_parameters(4, 6) == 10
    plan = blueprint(fabrication, 4, 6)
    (held,) = plan.frozen_arrays(np.zeros(10), plan.checked(np.zeros(10)))
    assert held is W0
    formed = af.Base(W0).fabricate(np.zeros(0), 4, 6).to_dense()
    assert not np.shares_memory(formed, W0)
    kept = weakref.ref(W0)
    del fabrication, plan, held, W0
    gc.collect()
    assert kept() is None


def test_bases_are_told_apart_by_their_arrays():
    one, two = integers(0, 4, 6), integers(0, 4, 6)
    assert af.Base(one) + af.Full() == af.Base(one) + af.Full()
    assert hash(af.Base(one)) == hash(af.Base(one))
    assert af.Base(one) != af.Base(two)
    other = (af.Base(one) + af.Full()).with_frozen(**{"0.W0": 2 * one})
    np.testing.assert_array_equal(other.fabricate(np.zeros(24), 4, 6).to_dense(), 2 * one)


def test_a_base_is_saved_and_loaded(tmp_path):
    pytest.importorskip("safetensors")
    W0, w = integers(0, 4, 6), np.arange(10.0)
    fabrication = af.DoRA(inner=af.IA3() @ af.Base(W0) + af.Base(2 * W0))
    w = fabrication.init(4, 6, rng=0)
    af.save(tmp_path / "saved", {"a": (fabrication, w, 4, 6)})
    again, v, *_ = af.load(tmp_path / "saved")["a"]
    np.testing.assert_array_equal(
        again.fabricate(v, 4, 6).to_dense(), fabrication.fabricate(w, 4, 6).to_dense()
    )


@given(n=st.integers(1, 4), k=st.integers(1, 4), D=st.integers(1, 4), seed=st.integers(0, 99))
def test_a_product_is_the_product_of_its_factors(n, k, D, seed):
    w = integers(seed, n * k + k * D)
    A, B = split(w, (n, k), (k, D))
    product = ProductOf(factors=(af.Full(), af.Full()), sizes=(k,))
    np.testing.assert_array_equal(product.fabricate(w, n, D).to_dense(), A @ B)


def test_sizes_that_are_left_out_make_the_first_that_may_be_the_wide_one():
    one, two = af.Cayley(), af.Full()
    assert (one @ two @ one).shapes(4, 6) == [(4, 4), (4, 6), (6, 6)]
    assert (two @ two).shapes(4, 6) == [(4, 6), (6, 6)]
    assert one @ (two @ one) == (one @ two) @ one
    inner = ProductOf(factors=(two, two), sizes=(3,))
    assert (inner @ one).shapes(4, 6) == [(4, 6), (6, 6)]


def test_a_product_at_rest_has_one_factor_that_is_zero():
    product = ProductOf(factors=(af.LowRank(r=1), af.LowRank(r=1)), sizes=(5,))
    W, pullback = product.vjp(product.init(4, 6, rng=0, zero=True), 4, 6)
    assert not np.any(W)
    assert np.any(pullback(np.ones((4, 6))))


@pytest.mark.parametrize("is_transposed", [False, True])
@pytest.mark.parametrize("kind", ["circulant", "toeplitz"])
@given(rows=st.sampled_from([1, 3]), lead=st.sampled_from([(), (2,)]), seed=st.integers(0, 99))
def test_transforms_give_what_the_dense_matrix_gives(kind, is_transposed, rows, lead, seed):
    rng = np.random.default_rng(seed)
    taps = Dense("h", (6, 30) if kind == "circulant" else (1, 149))
    matrix = Circulant(taps, 2, 3) if kind == "circulant" else Toeplitz(taps, 60, 90, 89)
    matrix = matrix.T if is_transposed else matrix
    h, x = rng.standard_normal((*lead, *taps.shape)), rng.standard_normal((*lead, rows, matrix.shape[0]))
    numbers = Numbers(backend_of("", "x", x), {"h": h}, x[..., 0, :])
    product = getattr(matrix, "_rows_by_transforms", matrix.rows)
    y, pull = product(x, numbers)
    M, pull_M = matrix.dense(numbers)
    np.testing.assert_allclose(y, x @ M, atol=1e-11)
    g = rng.standard_normal(y.shape)
    sent, expected = Cotangents(numbers), Cotangents(numbers)
    np.testing.assert_allclose(pull(g, sent), g @ np.swapaxes(M, -1, -2), atol=1e-11)
    pull_M(np.swapaxes(x, -1, -2) @ g, expected)
    np.testing.assert_allclose(sent.take("h", h.shape), expected.take("h", h.shape), atol=1e-10)


BAD = {
    "wide": (lambda: af.Cayley().num_parameters(2, 3), "the matrix must be square, got n=2 and D=3"),
    "p": (lambda: af.Cayley(p=2).num_parameters(3, 3), "p=2 does not divide n=3"),
    "odd": (lambda: af.Butterfly(b=3).num_parameters(12, 12), "b must be even where m is more than 1, got 3"),
    "pairs": (lambda: af.Householder(r=3).init(4, 4, zero=True), "r must be even"),
    "per": (lambda: af.DoRA(inner=af.Full(), per="entry"), "per must be 'row' or 'column', got 'entry'"),
    "inner": (lambda: af.DoRA(inner=3), "DoRA: inner must be a Fabrication, got 3"),
    "base": (lambda: af.Base(W0).num_parameters(8, 4), "Base: W0 must have shape (8, 4), got (8, 8)"),
    "list": (lambda: af.Base([[1.0]]).num_parameters(1, 1), "W0 must be an array of a namespace"),
    "factors": (
        lambda: ProductOf(factors=()),
        "ProductOf: factors must hold at least one fabrication, got ()",
    ),
    "factor": (lambda: ProductOf(factors=(3,)), "ProductOf: factors[0] must be a Fabrication, got 3"),
    "sizes": (
        lambda: ProductOf(factors=(af.Full(),), sizes=(2,)),
        "sizes must hold a number for each factor",
    ),
    "size": (lambda: ProductOf(factors=(af.Full(),) * 2, sizes=(0,)), "sizes must be positive integers, got"),
    "chosen": (lambda: af.VBLoRA(h=2, k=3), "of h=2 vectors no k=3 can be chosen"),
    "places": (lambda: af.FourierFT(k=2, places=(1, 1)), "places must be 2 different ones"),
    "place": (lambda: af.FourierFT(k=1, places=(6,)).num_parameters(2, 3), "2 × 3 has no such 1 places"),
    "many": (lambda: af.FourierFT(k=7).num_parameters(2, 3), "2 × 3 has no such 7 places"),
    "cores": (lambda: af.TensorTrain(rows=(2, 2, 2)), "rows must hold 2 sizes, got (2, 2, 2)"),
    "train": (
        lambda: af.TensorTrain(rows=(2, 2)).num_parameters(6, 6),
        "the product of rows must be n=6, got (2, 2)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_a_clear_error(name):
    assert_refused(*BAD[name])
