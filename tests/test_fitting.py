"""Learned numbers fitted to a matrix, against representable targets, known optima and brute force."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import assert_refused
from scipy.optimize import least_squares, minimize

import arrayfab as af
from arrayfab.approximation import Target
from arrayfab.fabrications.blueprint import blueprint
from arrayfab.fitting import fit
from arrayfab.nearest import _reduced

N, D = 12, 18
LINEAR = [
    af.Full(),
    af.Masked(),
    af.DuplicatedPadding(p=2, q=3),
    af.DuplicatedDiagonalPadding(p=3),
    -0.5 * af.DuplicatedPadding(p=3, q=2),
    af.Eye() + af.DuplicatedPadding(p=2, q=3),
    af.DuplicatedPadding(p=2, q=3) + 2.0 * af.DuplicatedDiagonalPadding(p=3),
    af.BlockDiagonal(p=3),
    af.Toeplitz(),
    af.Circulant(b=3),
    af.FourierFT(k=5),
]
BILINEAR = [
    af.LowRank(r=3),
    af.Hypercomplex(p=3, q=2),
    af.LPHM(p=3, q=2, r=2),
    af.DualLPHM(p=4, q=3, r=2),
    af.RandomMatrixAdaption(r=4),
    -0.5 * af.LPHM(p=2, q=3, r=2),
    af.MirroredLPHM(p=4, q=3, r=2),
    af.LPHM(p=3, q=2, r=2, arrangement="reshaped"),
    af.TensorTrain(r=2),
    af.Monarch(),
    af.Hypercomplex(p=3, q=2) + af.Hypercomplex(p=3, q=2),
    af.Eye() + af.LowRank(r=2),
]
NETWORKS = [
    af.Hypernet(l=4, hidden_dim=8),
    af.RandomMatrixHypernet(r=4, l=4, hidden_dim=8),
    0.1 * af.RandomMatrixHypernet(r=4, l=4, hidden_dim=8),
]
WITHOUT_A_FORM = [af.LowRank(r=1) + af.Full()]


def noise(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def matrix(fabrication, w):
    return fabrication.fabricate(w, N, D).to_dense()


@pytest.mark.parametrize("fabrication", LINEAR + BILINEAR + NETWORKS + WITHOUT_A_FORM, ids=str)
@given(seed=st.integers(0, 9))
def test_a_representable_target_is_fitted_to_rounding(fabrication, seed):
    # What has no closed form need not be found from everywhere: there the start is near.
    target = matrix(fabrication, fabrication.init(N, D, rng=seed if fabrication not in NETWORKS else 0))
    found = fit(fabrication, target)
    tolerance = 1e-12 if fabrication in LINEAR + BILINEAR else 1e-6
    assert found.error <= tolerance * np.linalg.norm(target)


@pytest.mark.parametrize("fabrication", LINEAR + BILINEAR + NETWORKS, ids=str)
def test_the_error_is_that_of_the_dense_matrix(fabrication):
    target = noise(N, D)
    found = fit(fabrication, target)
    assert found.error == pytest.approx(np.linalg.norm(matrix(fabrication, found.w) - target), rel=1e-14)


@pytest.mark.parametrize("fabrication", LINEAR, ids=str)
def test_what_is_linear_is_fitted_as_by_brute_force(fabrication):
    target, size = noise(N, D), fabrication.num_parameters(N, D)
    offset = matrix(fabrication, np.zeros(size))
    design = np.stack([(matrix(fabrication, e) - offset).reshape(-1) for e in np.eye(size)], axis=1)
    best = np.linalg.lstsq(design, (target - offset).reshape(-1), rcond=None)[0]
    found = fit(fabrication, target)
    assert found.is_optimal
    expected = np.linalg.norm(design @ best - (target - offset).reshape(-1))
    assert found.error == pytest.approx(expected, rel=1e-9, abs=1e-11)


@given(st.integers(1, 12), st.integers(0, 9))
def test_low_rank_has_the_error_of_eckart_and_young(r, seed):
    target = noise(N, D, seed=seed)
    found = fit(af.LowRank(r=r), target)
    left_out = np.linalg.svd(target, compute_uv=False)[r:]
    assert found.is_optimal
    assert found.error == pytest.approx(np.sqrt(np.sum(left_out**2)), rel=1e-12, abs=1e-12)


def test_a_rank_above_the_full_one_changes_nothing():
    assert fit(af.LowRank(r=15), noise(N, D)).error < 1e-12


@pytest.mark.parametrize(("p", "q"), [(3, 2), (2, 9), (12, 1), (1, 1), (12, 18)])
def test_hypercomplex_leaves_what_the_rearranged_matrix_has_beside_its_first_singular_value(p, q):
    target, s, t = noise(N, D), N // p, D // q
    blocks = [
        target[i * s : (i + 1) * s, j * t : (j + 1) * t].reshape(-1) for i in range(p) for j in range(q)
    ]
    values = np.linalg.svd(np.stack(blocks), compute_uv=False)
    found = fit(af.Hypercomplex(p=p, q=q), target)
    assert found.is_optimal
    assert found.error == pytest.approx(np.sqrt(np.sum(values[1:] ** 2)), rel=1e-12, abs=1e-12)


def test_what_is_laid_out_row_by_row_is_fitted_so():
    fabrication = af.Hypercomplex(p=3, q=2, arrangement="reshaped")
    values = np.linalg.svd(noise(N, D).reshape(6, -1), compute_uv=False)
    assert fit(fabrication, noise(N, D)).error == pytest.approx(np.sqrt(np.sum(values[1:] ** 2)), rel=1e-12)


@pytest.mark.parametrize("fabrication", [af.LPHM(p=3, q=2, r=4), af.DualLPHM(p=3, q=2, r=4)], ids=str)
def test_ranks_that_do_not_bind_give_the_nearest_kronecker_product(fabrication):
    found, nearest = fit(fabrication, noise(N, D)), fit(af.Hypercomplex(p=3, q=2), noise(N, D))
    assert found.is_optimal
    assert found.error == pytest.approx(nearest.error, rel=1e-12)


# Gauss–Newton takes a few steps only, and is left out.
@pytest.mark.parametrize("fabrication", LINEAR + BILINEAR, ids=str)
@given(seed=st.integers(0, 9))
def test_the_gradient_of_the_error_is_zero_at_the_fit(fabrication, seed):
    target = noise(N, D, seed=seed)
    found = fit(fabrication, target)
    W, pullback = fabrication.vjp(found.w, N, D)
    size = np.linalg.norm(target) * (1 + np.linalg.norm(found.w))
    np.testing.assert_allclose(pullback(W - target), 0, atol=1e-5 * size)


@pytest.mark.parametrize("fabrication", BILINEAR, ids=str)
def test_near_a_representable_target_no_start_leads_nearer(fabrication):
    truth = fabrication.init(N, D, rng=1)
    target = matrix(fabrication, truth)
    target = target + 0.05 * np.linalg.norm(target) / np.sqrt(target.size) * noise(N, D)

    def objective(w):
        W, pullback = fabrication.vjp(w, N, D)
        return np.sum((W - target) ** 2) / 2, pullback(W - target)

    starts = [truth] + [fabrication.init(N, D, rng=seed) for seed in range(5)]
    options = {"gtol": 1e-9, "ftol": 1e-15, "maxiter": 2000}
    errors = [
        np.sqrt(2 * minimize(objective, start, jac=True, method="L-BFGS-B", options=options).fun)
        for start in starts
    ]
    assert fit(fabrication, target).error <= min(errors) * (1 + 1e-6)


@pytest.mark.parametrize("fabrication", NETWORKS, ids=str)
def test_a_network_fitted_through_fewer_outputs_is_as_near_as_one_fitted_whole(fabrication):
    start = fabrication.init(N, D, rng=0)
    target = matrix(fabrication, start + 0.1 * noise(start.size)) + 0.1 * noise(N, D)
    whole = least_squares(lambda w: (matrix(fabrication, w) - target).reshape(-1), start, method="lm")
    found = fit(fabrication, target)
    assert not found.is_optimal
    assert found.error == pytest.approx(np.sqrt(2 * whole.cost), rel=1e-6)


def test_a_network_of_one_number_is_fitted():
    fabrication = af.RandomMatrixHypernet(r=1, l=1, hidden_dim=2)
    target = matrix(fabrication, np.asarray([0.3]))
    assert fit(fabrication, target).error < 1e-6 * np.linalg.norm(target)


@pytest.mark.parametrize("fabrication", [*LINEAR[:5], *BILINEAR[:-1], 0.0 * af.Full(), af.Eye()], ids=str)
def test_zeros_are_fitted_without_a_warning(fabrication):
    found = fit(fabrication, np.zeros((N, D)))
    assert found.error == (0.0 if fabrication != af.Eye() else pytest.approx(np.sqrt(12)))


SADDLES = [af.LowRank(r=15), *BILINEAR[:-2], af.Hypercomplex(p=3, q=2), 2.0 * af.LowRank(r=2)]


@pytest.mark.parametrize("fabrication", SADDLES, ids=str)
@pytest.mark.parametrize("rank", [0, 1])
def test_training_that_starts_at_a_fit_is_at_no_saddle(fabrication, rank):
    target = np.outer(np.ones(N), np.ones(D)) * rank
    w = fit(fabrication, target).w
    _, pullback = fabrication.vjp(w, N, D)
    # A random direction of descent moves a block of every pair of factors.
    blocks = blueprint(fabrication, N, D).blocks
    grads = [np.abs(pullback(noise(N, D))[run]).reshape(shape) for _, run, shape in blocks]
    assert max(np.max(grad) for grad in grads) > 1e-3
    if isinstance(fabrication, af.LowRank):
        by_column = grads[0].max(axis=0) + grads[1].max(axis=1)
        assert np.min(by_column) > 1e-3


def test_numbers_come_where_the_target_lives():
    torch = pytest.importorskip("torch")
    target = torch.asarray(noise(N, D)).float()
    found = fit(af.LPHM(p=3, q=2), target)
    assert (type(found.w), found.w.dtype) == (torch.Tensor, torch.float32)
    W = af.LPHM(p=3, q=2).fabricate(found.w, N, D).to_dense()
    assert found.error == pytest.approx(float(torch.linalg.norm(W - target)), rel=1e-5)
    assert fit(af.LowRank(r=1), target.bfloat16()).w.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (np.ones((2, 3, 4)), "target must have shape (n, D), got (2, 3, 4)"),
        (np.ones((2, 3), int), "target must hold real floating numbers"),
        (np.diag([1.0, np.inf]), "target must be finite, got inf at (1, 1)"),
        (np.full((4, 2), np.nan, np.float32), "target must be finite, got nan at (0, 0)"),
        (np.ones((5, 3)), "p=2 does not divide n=5"),
    ],
)
def test_a_bad_target_gets_a_clear_error(target, message):
    assert_refused(lambda: fit(af.LPHM(p=2, q=1), target), message)


def test_a_size_that_does_not_fit_is_named_where_there_is_a_closed_form():
    assert_refused(lambda: fit(af.DuplicatedPadding(p=5), np.ones((8, 8))), "p=5 does not divide n=8")


@pytest.mark.parametrize("formula", ["af.Hypernet(l=2)", "af.Full() + af.Full()"])
def test_without_scipy_closed_forms_work_and_the_rest_says_what_is_missing(formula):
    script = f"""
import sys
sys.modules["scipy"] = None
import numpy as np, arrayfab as af
from arrayfab.fabrications.blueprint import blueprint
from arrayfab.approximation import Target
from arrayfab.fitting import fit
from arrayfab.nearest import _reduced
fit(af.LPHM(p=2, q=2), np.ones((4, 4)))
try:
    fit({formula}, np.ones((4, 4)))
except ImportError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "SciPy is needed: pip install 'arrayfab[scipy]'\n"


def plain_alternation(target, p, q, r, rounds):
    """The error of ``A ⊗ B`` with ``B`` of rank ``r`` after so many steps, each exact in one factor."""
    n, D = target.shape
    blocks = [block.reshape(-1) for rows in np.split(target, p) for block in np.split(rows, q, axis=1)]
    M = np.stack(blocks)
    b = np.linalg.svd(M)[2][0]
    for _ in range(rounds):
        u, s, vt = np.linalg.svd(b.reshape(n // p, D // q))
        b = ((u[:, :r] * s[:r]) @ vt[:r]).reshape(-1)
        a = M @ b / (b @ b)
        error, b = np.linalg.norm(M - np.outer(a, b)), a @ M / (a @ a)
    return error


@pytest.mark.parametrize("seed", range(3))
def test_momentum_comes_as_near_as_plain_steps_in_fewer(seed, monkeypatch):
    target, svd, calls = noise(48, 48, seed=seed), np.linalg.svd, []
    nearest = plain_alternation(target, 6, 6, 2, 500)
    monkeypatch.setattr(np.linalg, "svd", lambda *a, **more: calls.append(a) or svd(*a, **more))
    assert fit(af.LPHM(p=6, q=6, r=2), target).error <= nearest * (1 + 1e-11)
    assert len(calls) < 60  # one for every step


@pytest.mark.parametrize("hidden", [3, 40])
@pytest.mark.parametrize("shape", [(160, 110), (5, 4)])
def test_a_last_layer_is_reduced_a_run_of_rows_at_a_time(shape, hidden):
    # Longer than a run, and shorter than it is wide: what is lost is what no hidden numbers can give.
    fabrication, target = af.Hypernet(l=2, hidden_dim=hidden), noise(*shape)
    V, c = (blueprint(fabrication, *shape).frozen[name].draw() for name in "Vc")
    beside = np.linalg.lstsq(V, target.reshape(-1) - c[0], rcond=None)[0]
    least = np.linalg.norm(V @ beside + c[0] - target.reshape(-1))
    small, aim = _reduced(fabrication, Target(target), "V", "c")
    w = noise(2)
    lost = np.linalg.norm(fabrication.fabricate(w, *shape).to_dense() - target) ** 2 - least**2
    left = small.fabricate(w, *aim.shape).to_dense() - aim.numbers
    assert np.linalg.norm(left) ** 2 == pytest.approx(lost, rel=1e-9)
