"""Linear operators for SciPy's and cupyx's solvers, over every namespace."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from namespaces import ENTRIES
from refusals import assert_refused
from scipy.optimize import least_squares
from scipy.sparse.linalg import LinearOperator, cg, eigsh, lsmr, svds

import arrayfab as af
from arrayfab import _arrays
from arrayfab.gradients import finite_difference_jvp
from arrayfab.interop.scipy import aslinearoperator, jacobian, residuals
from arrayfab.testing import strategies

# JAX and Dask compile or make a graph of every product: solvers, which need many, are left out there.
SOLVING = pytest.mark.parametrize(
    "home", [e.param for e in ENTRIES if e.name in ("numpy", "strict-device1", "torch")]
)
HOSTED = pytest.mark.parametrize("home", [e.param for e in ENTRIES if e.name not in ("cupy", "jax-jit")])


def numbers(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def whole(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).integers(-2, 3, shape).astype(float)


def assert_dot_test(A, scale, seed):
    """``⟨u, A v⟩ = ⟨Aᵀ u, v⟩``, within the rounding of numbers as large as the scale."""
    v, u = whole(A.shape[1], seed=seed), whole(A.shape[0], seed=seed + 1)
    tolerance = 64 * np.finfo(A.dtype).eps * scale * (1 + np.abs(v).sum()) * (1 + np.abs(u).sum())
    assert abs(u @ A.matvec(v) - A.rmatvec(u) @ v) <= tolerance


def assert_is_operator_of(W, home):
    """The operator, its transpose and both on vectors are the dense matrix's."""
    dense = home.to_numpy(W.to_dense())
    (n, D), A = dense.shape, aslinearoperator(W)
    assert isinstance(A, LinearOperator)
    assert (A.shape, A.dtype) == ((n, D), np.dtype(home.dtype_name))
    tolerance = 256 * np.finfo(A.dtype).eps * (1 + np.abs(dense).max())
    for received, expected in ((A @ np.eye(D, dtype=A.dtype), dense), (A.T @ np.eye(n), dense.T)):
        assert isinstance(received, np.ndarray)
        assert received.dtype == (A.dtype if expected is dense else np.float64)
        np.testing.assert_allclose(received, expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(A @ np.ones(D), dense.sum(axis=1), rtol=0, atol=D * tolerance)
    np.testing.assert_allclose(A.T @ np.ones(n), dense.sum(axis=0), rtol=0, atol=n * tolerance)
    assert_dot_test(A, 1 + np.abs(dense).max(), seed=n)


@given(st.data(), st.integers(1, 6), st.integers(1, 6))
def test_every_fabrication_is_the_operator_of_its_dense_matrix(data, n, D):
    fabrication = data.draw(strategies.compositions(n, D))
    w = data.draw(strategies.parameters(fabrication, n, D))
    assert_is_operator_of(fabrication.fabricate(w, n, D), ENTRIES[0])


@HOSTED
def test_a_fabrication_is_the_operator_of_its_dense_matrix_on_every_namespace(home):
    fabrication = af.Eye() + 0.5 * af.DualLPHM(p=2, q=3) + af.RandomMatrixAdaption()
    w = home.asarray(fabrication.init(4, 6, rng=0))
    assert_is_operator_of(fabrication.fabricate(w, 4, 6), home)


LINEAR = {
    "reconciliation": (af.Reconciliation(fabrication=af.LowRank(), n=3, D=5), lambda role, w: role.matrix(w)),
    "attribute": (
        af.ParameterizedInterdependence(fabrication=af.LowRank(), m=5, m_prime=3),
        lambda role, w: role.matrix(w).T,
    ),
    "instance": (
        af.ParameterizedInterdependence(
            fabrication=af.LowRank(), b=5, b_prime=3, interdependence_type="instance"
        ),
        lambda role, w: role.matrix(w).T,
    ),
    "fusion": (
        af.ConcatenationFusion(fabrication=af.LowRank(), dims=(2, 3), n=3),
        lambda role, w: role.matrix(w),
    ),
}


@pytest.mark.parametrize("name", LINEAR)
def test_a_linear_role_is_the_operator_on_one_sample(name):
    role, matrix = LINEAR[name]
    w, x = role.init(rng=0), numbers(4, 5)
    A = aslinearoperator(role, w)
    np.testing.assert_allclose(A @ np.eye(5), matrix(role, w), atol=1e-14)
    data = {"fusion": [x[:, :2], x[:, 2:]], "instance": x.T}.get(name, x)
    y = role(data, w)
    np.testing.assert_allclose(A @ x.T, y if name == "instance" else y.T, atol=1e-14)


FULL = af.Full()
ROLES = {
    "reconciliation": (af.Reconciliation(fabrication=af.DualLPHM(), n=4, D=6, bias=True), (3, 6)),
    "interdependence": (af.ParameterizedInterdependence(fabrication=af.LPHM(), m=6), (3, 6)),
    "bilinear": (af.BilinearInterdependence(fabrication=af.LowRank(), b=3), (3, 6)),
    "hypernet": (af.Reconciliation(fabrication=af.RandomMatrixHypernet(l=5), n=4, D=6), (3, 6)),
    "fusion": (af.ConcatenationFusion(fabrication=af.LowRank(), dims=(2, 4), n=3), [(3, 2), (3, 4)]),
    "parallel": (af.Parallel([af.Pointwise("tanh"), af.Reconciliation(fabrication=FULL, n=2, D=6)]), (3, 6)),
    "nothing learned": (af.Sequential([af.Pointwise("tanh")]), (3, 6)),
}  # fmt: skip


def at(name, home):
    layer, shape = ROLES[name]
    x = (
        [home.asarray(numbers(*s)) for s in shape]
        if isinstance(shape, list)
        else home.asarray(numbers(*shape))
    )
    w = layer.init(rng=1)
    return layer, x, None if w is None else home.asarray(w)


def flat(arrays):
    arrays = arrays if isinstance(arrays, list) else [arrays]
    return np.concatenate([np.asarray(array, dtype=np.float64).reshape(-1) for array in arrays])


@pytest.mark.parametrize("wrt", ["w", "x"])
@pytest.mark.parametrize("name", ROLES)
def test_the_jacobian_is_that_of_differences(name, wrt):
    layer, x, w = at(name, ENTRIES[0])
    if wrt == "w" and not layer.num_parameters():
        with pytest.raises(ValueError, match="has no learned numbers"):
            jacobian(layer, x, w, wrt)
        return
    point = flat(w if wrt == "w" else x)

    def f(v):
        if wrt == "w":
            return flat(layer(x, v))
        return flat(
            layer([v[:6].reshape(3, 2), v[6:].reshape(3, 4)] if name == "fusion" else v.reshape(3, 6), w)
        )

    expected = np.stack([finite_difference_jvp(f, (point,), (e,)) for e in np.eye(point.size)], axis=1)
    J = jacobian(layer, x, w, wrt)
    assert J.shape == expected.shape
    np.testing.assert_allclose(J @ np.eye(point.size), expected, atol=1e-7)
    np.testing.assert_allclose(J.T @ np.eye(expected.shape[0]), expected.T, atol=1e-7)


def assert_jacobian_passes_dot_test(home, name, wrt, seed):
    J = jacobian(*at(name, home), wrt)
    assert J.dtype == np.dtype(home.dtype_name)
    assert_dot_test(J, np.abs(J @ np.eye(J.shape[1])).max(), seed)


@given(
    st.sampled_from([name for name in ROLES if name != "nothing learned"]),
    st.sampled_from("wx"),
    st.integers(0, 99),
)
def test_every_jacobian_passes_the_dot_test(name, wrt, seed):
    assert_jacobian_passes_dot_test(ENTRIES[0], name, wrt, seed)


@HOSTED
@pytest.mark.parametrize(("name", "wrt"), [("fusion", "x"), ("bilinear", "w")])
def test_a_jacobian_passes_the_dot_test_on_every_namespace(home, name, wrt):
    assert_jacobian_passes_dot_test(home, name, wrt, 0)


def test_a_linear_role_is_its_own_jacobian_in_x():
    role = af.Reconciliation(fabrication=af.LowRank(), n=3, D=5)
    w = role.init(rng=0)
    J = jacobian(role, numbers(1, 5), w, "x")
    np.testing.assert_allclose(J @ np.eye(5), aslinearoperator(role, w) @ np.eye(5), atol=1e-15)


@SOLVING
def test_svds_finds_the_singular_values_of_a_fabricated_matrix(home):
    fabrication = af.DualLPHM(p=6, q=4, r=3)
    W = fabrication.fabricate(home.asarray(fabrication.init(48, 40, rng=0)), 48, 40)
    u, s, vt = svds(aslinearoperator(W), k=5)
    dense = home.to_numpy(W.to_dense()).astype(np.float64)
    tolerance = 1e-11 if home.dtype_name == "float64" else 1e-5
    np.testing.assert_allclose(np.sort(s)[::-1], np.linalg.svd(dense)[1][:5], rtol=tolerance)
    np.testing.assert_allclose(dense @ vt.T, u * s, atol=10 * tolerance)


@SOLVING
def test_lsmr_solves_with_a_fabricated_matrix(home):
    fabrication = af.Eye() + 0.5 * af.LowRank(r=3)
    W = fabrication.fabricate(home.asarray(fabrication.init(30, 20, rng=0)), 30, 20)
    b, tolerance = numbers(30), 1e-12 if home.dtype_name == "float64" else 1e-6
    solution = lsmr(aslinearoperator(W), b, atol=tolerance, btol=tolerance)[0]
    expected = np.linalg.lstsq(home.to_numpy(W.to_dense()).astype(np.float64), b, rcond=None)[0]
    np.testing.assert_allclose(solution, expected, atol=100 * tolerance)


def symmetric(size, rank):
    """A positive definite fabricated matrix, ``I + A Aᵀ``."""
    A = numbers(size, rank)
    w = np.concatenate([A.reshape(-1), A.T.reshape(-1)])
    return (af.Eye() + af.LowRank(r=rank)).fabricate(w, size, size), np.eye(size) + A @ A.T


def test_cg_solves_with_a_positive_definite_one():
    W, dense = symmetric(40, 3)
    b = numbers(40)
    solution, status = cg(aslinearoperator(W), b, rtol=1e-12)
    assert status == 0
    np.testing.assert_allclose(solution, np.linalg.solve(dense, b), atol=1e-9)


def test_eigsh_finds_the_largest_eigenvalues_of_a_symmetric_one():
    W, dense = symmetric(40, 3)
    received = eigsh(aslinearoperator(W), k=4, return_eigenvectors=False)
    np.testing.assert_allclose(np.sort(received), np.linalg.eigvalsh(dense)[-4:], rtol=1e-10)


@SOLVING
def test_least_squares_fits_a_role_by_gauss_newton_without_a_dense_jacobian(home):
    role = af.ParameterizedInterdependence(fabrication=af.DualLPHM(p=2, q=3, r=1), m=6)
    x, truth = numbers(20, 6), role.init(rng=1)
    fun, jac = residuals(role, home.asarray(x), home.asarray(role(x, truth)))
    start = truth + 0.1 * numbers(truth.size)
    assert fun(start).dtype == (jac(start) @ start).dtype == np.float64
    fit = least_squares(fun, start, jac=jac, tr_solver="lsmr")
    assert isinstance(fit.jac, LinearOperator)
    assert fit.nfev < 15
    tolerance = 1e-9 if home.dtype_name == "float64" else 1e-4
    np.testing.assert_allclose(role.matrix(fit.x), role.matrix(truth), atol=tolerance)


def test_columns_may_be_reversed_and_read_only():
    torch = pytest.importorskip("torch")
    A = aslinearoperator(af.LowRank(r=1).fabricate(torch.arange(7.0), 3, 4))
    reversed_columns = np.eye(4)[:, ::-1]
    reversed_columns.flags.writeable = False
    np.testing.assert_array_equal(A @ reversed_columns, (A @ np.eye(4))[:, ::-1])


def test_half_precision_is_single_outside():
    torch = pytest.importorskip("torch")
    A = aslinearoperator(af.LowRank(r=1).fabricate(torch.ones(7, dtype=torch.bfloat16), 3, 4))
    assert A.dtype == np.float32
    np.testing.assert_array_equal(A @ np.ones(4), np.full(3, 4.0), strict=True)


MATRIX = af.LowRank(r=1).fabricate(np.ones(7), 3, 4)
BIASED = af.Reconciliation(fabrication=af.Full(), n=2, D=2, bias=True)
BILINEAR = af.BilinearInterdependence(fabrication=af.Full(), b=2)
BAD = {
    "an array": (lambda: aslinearoperator(np.eye(3)), "expected a StructuredMatrix or a role, got array"),
    "leading axes": (
        lambda: aslinearoperator(af.Full().fabricate(np.ones((2, 6)), 2, 3)),
        "expected one matrix, got StructuredMatrix(shape=(2, 2, 3)",
    ),
    "a bias": (lambda: aslinearoperator(BIASED, np.ones(6)), "is not linear in its data"),
    "bilinear": (lambda: aslinearoperator(BILINEAR, np.ones(4)), "see jacobian(..., wrt='x')"),
    "no w": (lambda: aslinearoperator(LINEAR["fusion"][0]), "needs its learned numbers w"),
    "wrt": (lambda: jacobian(BIASED, np.ones((1, 2)), np.ones(6), "y"), "wrt must be 'w' or 'x', got 'y'"),
    "integers": (lambda: jacobian(BIASED, np.ones((1, 2), int), np.ones(6)), "must hold real"),
    "complex": (lambda: aslinearoperator(MATRIX) @ np.full(4, 1j), "expected real numbers, got dtype"),
    "target": (
        lambda: residuals(BIASED, np.ones((3, 2)), np.ones(3))[0](np.ones(6)),
        "target must have shape (3, 2), got (3,)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_a_clear_error(name):
    assert_refused(*BAD[name])


def test_scipy_is_imported_only_when_needed_and_its_absence_is_one_clear_line():
    script = """
import sys
sys.modules["scipy"] = None
import numpy as np, arrayfab as af
from arrayfab.interop.scipy import aslinearoperator
try:
    aslinearoperator(af.Full().fabricate(np.ones(4), 2, 2))
except ImportError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "SciPy is needed: pip install 'arrayfab[scipy]'\n"


def test_where_arrays_stay_on_the_device_nothing_is_converted_but_the_dtype(monkeypatch):
    # NumPy passes for CuPy, and SciPy for cupyx.
    monkeypatch.setattr(_arrays, "is_cupy", lambda xp: True)
    monkeypatch.setitem(sys.modules, "cupyx.scipy.sparse.linalg", sys.modules["scipy.sparse.linalg"])
    monkeypatch.setattr(_arrays, "to_host", None)
    monkeypatch.setattr(_arrays, "from_host", None)
    w = numbers(14).astype(np.float32)
    W = af.LowRank(r=2).fabricate(w, 3, 4)
    A, role = aslinearoperator(W), af.Reconciliation(fabrication=af.LowRank(r=2), n=3, D=4)
    J = jacobian(role, np.eye(4, dtype=np.float32), w, "x")
    assert (A.matvec(np.ones(4, np.float32)).dtype, A.rmatvec(np.ones(3)).dtype) == (
        np.float32,
        np.float64,
    )
    np.testing.assert_allclose(A @ np.eye(4), W.to_dense(), rtol=1e-6)
    np.testing.assert_allclose(J @ np.eye(4).reshape(-1), W.to_dense().T.reshape(-1), rtol=1e-6)


def test_residuals_are_scipys_also_where_arrays_stay_on_the_device(monkeypatch):
    monkeypatch.setattr(_arrays, "is_cupy", lambda xp: True)
    monkeypatch.setitem(sys.modules, "cupyx.scipy.sparse.linalg", None)
    role = af.Reconciliation(fabrication=af.Full(), n=2, D=3)
    fun, jac = residuals(role, np.eye(3, dtype=np.float32), np.zeros((3, 2), np.float32))
    assert fun(np.ones(6)).dtype == np.float64
    assert isinstance(jac(np.ones(6)), LinearOperator)


@pytest.fixture
def on_gpu():
    cupy = pytest.importorskip("cupy")
    linalg = pytest.importorskip("cupyx.scipy.sparse.linalg")
    return cupy, linalg


@pytest.mark.gpu
def test_cupy_numbers_make_an_operator_of_cupyx(on_gpu):
    cupy, linalg = on_gpu
    w = numbers(14)
    A = aslinearoperator(af.LowRank(r=2).fabricate(cupy.asarray(w), 3, 4))
    assert isinstance(A, linalg.LinearOperator)
    dense = af.LowRank(r=2).fabricate(w, 3, 4).to_dense()
    for received, expected in (
        (A.matmat(cupy.eye(4)), dense),
        (A.rmatmat(cupy.eye(3)), dense.T),
        (A.matvec(cupy.ones((4, 1))), dense.sum(axis=1, keepdims=True)),
        (A.rmatvec(cupy.ones(3)), dense.sum(axis=0)),
    ):
        assert isinstance(received, cupy.ndarray)
        np.testing.assert_allclose(received.get(), expected, atol=1e-12)


@pytest.mark.gpu
def test_cupyx_solves_with_a_fabricated_matrix(on_gpu):
    cupy, linalg = on_gpu
    fabrication = af.DualLPHM(p=6, q=4, r=3)
    W = fabrication.fabricate(cupy.asarray(fabrication.init(48, 40, rng=0)), 48, 40)
    s = linalg.svds(aslinearoperator(W), k=5, return_singular_vectors=False)
    expected = np.linalg.svd(W.to_dense().get())[1][:5]
    np.testing.assert_allclose(np.sort(s.get())[::-1], expected, rtol=1e-9)
    A = numbers(40, 3)
    w = cupy.asarray(np.concatenate([A.reshape(-1), A.T.reshape(-1)]))
    P = aslinearoperator((af.Eye() + af.LowRank(r=3)).fabricate(w, 40, 40))
    dense, b = np.eye(40) + A @ A.T, numbers(40)
    solution = linalg.cg(P, cupy.asarray(b), tol=1e-12)[0]
    np.testing.assert_allclose(solution.get(), np.linalg.solve(dense, b), atol=1e-8)
    solution = linalg.lsmr(P, cupy.asarray(b), atol=1e-12, btol=1e-12)[0]
    np.testing.assert_allclose(solution.get(), np.linalg.solve(dense, b), atol=1e-8)
    eigenvalues = linalg.eigsh(P, k=4, return_eigenvectors=False)
    np.testing.assert_allclose(np.sort(eigenvalues.get()), np.linalg.eigvalsh(dense)[-4:], rtol=1e-9)


@pytest.mark.gpu
def test_a_jacobian_and_residuals_of_cupy_arrays(on_gpu):
    cupy, linalg = on_gpu
    role = af.Reconciliation(fabrication=af.LowRank(r=1), n=2, D=3)
    x, w = numbers(5, 3), role.init(rng=0)
    J = jacobian(role, cupy.asarray(x), cupy.asarray(w))
    assert isinstance(J, linalg.LinearOperator)
    expected = jacobian(role, x, w) @ np.eye(5)
    np.testing.assert_allclose(J.matmat(cupy.eye(5)).get(), expected, atol=1e-12)
    truth = role(x, w)
    fun, jac = residuals(role, cupy.asarray(x), cupy.asarray(truth))
    fit = least_squares(fun, w + 0.1, jac=jac, tr_solver="lsmr")
    assert isinstance(fit.jac, LinearOperator)
    np.testing.assert_allclose(role.matrix(fit.x), role.matrix(w), atol=1e-8)


def copies(handed_out):
    """What was handed out, out of a pickle and copied."""
    return pickle.loads(pickle.dumps(handed_out)), copy.copy(handed_out), copy.deepcopy(handed_out)


# Arrays of Dask are graphs, of which every product is a long one; not every array_api_strict's have a pickle.
PICKLED = pytest.mark.parametrize("home", [e.param for e in ENTRIES if e.name in ("numpy", "torch", "jax")])


@pytest.mark.parametrize("wrt", ["matrix", "role", "w", "x"])
@PICKLED
def test_an_operator_is_pickled_as_scipys_own_are(home, wrt):
    """An adaption has frozen matrices, those handed in go along, and all others are drawn anew."""
    held = home.asarray(numbers(6, 2))
    fabrication = (
        af.Eye() + 0.5 * af.RandomMatrixAdaption(seed=3) + af.RandomMatrixAdaption().with_frozen(B=held)
    )
    role = af.Reconciliation(fabrication=fabrication, n=4, D=6)
    w, x = home.asarray(role.init(rng=0)), home.asarray(numbers(3, 6))
    A = {
        "matrix": lambda: aslinearoperator(fabrication.fabricate(w, 4, 6)),
        "role": lambda: aslinearoperator(role, w),
        "w": lambda: jacobian(role, x, w),
        "x": lambda: jacobian(role, x, w, "x"),
    }[wrt]()
    dense, transposed = A @ np.eye(A.shape[1]), A.T @ np.eye(A.shape[0])
    np.testing.assert_allclose(transposed, dense.T, atol=1e-5)
    for other in copies(A):
        assert isinstance(other, LinearOperator)
        assert (other.shape, other.dtype) == (A.shape, A.dtype)
        np.testing.assert_array_equal(other @ np.eye(A.shape[1]), dense)
        np.testing.assert_array_equal(other.T @ np.eye(A.shape[0]), transposed)
        np.testing.assert_array_equal(other @ np.ones(A.shape[1]), A @ np.ones(A.shape[1]))
    doubled = pickle.loads(pickle.dumps(2 * A.T))
    np.testing.assert_allclose(doubled @ np.eye(A.shape[0]), 2 * transposed, rtol=1e-6)


@PICKLED
def test_residuals_and_their_jacobian_are_pickled(home):
    layer = af.Sequential([af.Reconciliation(fabrication=af.LowRank(), n=2, D=3), af.Pointwise("tanh")])
    x, w = home.asarray(numbers(5, 3)), layer.init(rng=0)
    fun, jac = residuals(layer, x, home.asarray(numbers(5, 2)))
    for other_fun, other_jac in zip(copies(fun), copies(jac), strict=True):
        np.testing.assert_array_equal(other_fun(w), fun(w))
        np.testing.assert_array_equal(other_jac(w) @ np.eye(w.size), jac(w) @ np.eye(w.size))


def test_a_jacobian_of_several_inputs_is_pickled():
    role = af.ConcatenationFusion(fabrication=af.LowRank(), dims=(2, 3), n=3)
    xs = [numbers(4, 2), numbers(4, 3)]
    J = jacobian(role, xs, role.init(rng=0), "x")
    for other in copies(J):
        np.testing.assert_array_equal(other @ np.eye(20), J @ np.eye(20))


UNPICKLED = """
import pickle, sys
import numpy as np
A = pickle.loads(sys.stdin.buffer.read())
sys.stdout.buffer.write(pickle.dumps(A @ np.eye(A.shape[1])))
"""


def test_another_process_has_the_same_operator():
    W = af.RandomMatrixAdaption(seed=5).fabricate(numbers(6), 4, 6)
    A = aslinearoperator(W)
    result = subprocess.run(
        [sys.executable, "-c", UNPICKLED], input=pickle.dumps(A), capture_output=True, check=True
    )
    np.testing.assert_array_equal(pickle.loads(result.stdout), W.to_dense())
