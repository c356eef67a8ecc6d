"""Expansions of every kind beside formulas in mpmath, SciPy and NumPy, on every namespace."""

import json
import warnings
from itertools import pairwise

import mpmath
import numpy as np
import pytest
from expansion_reference import CASES, DIGITS, by_case, by_function
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import interpolate, special, stats

import arrayfab as af
from arrayfab import _arrays
from arrayfab import expansions as ex
from arrayfab.interdependences import Interdependent
from arrayfab.io.configuration import decode, encode
from arrayfab.io.registry import Registry
from arrayfab.programs import Program
from arrayfab.ruled import programs_of
from arrayfab.structures import Cotangents, Dense, Numbers
from arrayfab.structures.numbers import prime

COLUMNS = 4
SOME = np.asarray(
    [[0.2265625, -1.3671875, 0.9140625, 2.4140625], [-0.0703125, 0.3515625, -0.6015625, 1.5546875]]
)


@st.composite
def data(draw, rows=(1, 3), reach=400):
    """Rows of different numbers away from knots and jumps, which float32 holds too."""
    numbers = st.integers(-reach, reach - 1).map(lambda k: (2 * k + 1) / 256)
    row = st.lists(numbers, min_size=COLUMNS, max_size=COLUMNS, unique=True)
    return np.asarray(draw(st.lists(row, min_size=rows[0], max_size=rows[1])))


def directions(seed, *shape):
    return np.random.default_rng(seed).choice([-1.5, -1.0, 0.5, 1.0, 2.0], size=shape)


def sums(case, x, expected, jacobian):
    """What errors are compared with: terms as large as the largest feature, and how rounding x moves it."""
    moved = np.einsum("...dm,...m->...d", np.abs(jacobian), 1.0 + np.abs(x))
    return 1.0 + np.max(np.abs(expected), axis=-1, keepdims=True) + moved


@by_case
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(x=data())
def test_values_and_derivatives(case, dtype, x):
    expected, jacobian = case.values(x), case.jacobian(x)
    assert case.expansion.num_features(COLUMNS) == expected.shape[-1]
    x = x.astype(dtype)
    u, dx = directions(1, *expected.shape).astype(dtype), directions(2, *x.shape).astype(dtype)
    eps = 100 * float(np.finfo(dtype).eps)
    y, pullback = case.expansion.vjp(x)
    grad_x, grad_w = pullback(u)
    assert grad_w is None
    assert y.dtype == grad_x.dtype == dtype
    scale = sums(case, x, expected, jacobian)
    assert np.all(np.abs(y - expected) <= eps * scale)
    np.testing.assert_array_equal(case.expansion(x), y)
    scale = np.max(scale) * (1.0 + np.max(np.abs(jacobian)))
    assert np.all(np.abs(grad_x - np.einsum("bd,bdm->bm", u, jacobian)) <= eps * scale * u.shape[-1])
    also_y, dy = case.expansion.jvp(x, None, dx)
    np.testing.assert_allclose(also_y, y, rtol=eps, atol=eps)
    assert np.all(np.abs(dy - np.einsum("bdm,bm->bd", jacobian, dx)) <= eps * scale * COLUMNS)


@by_function
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_functions_are_exact_over_their_whole_range(case, dtype):
    # Rounding x once, and the places that it is measured from, moves a value by eps (|x| + 2) |f'|.
    near = [1e-30, 1e-12, 1e-6, 1e-3, 0.01, 0.1, 0.3, 0.4999, 0.5001, 0.749, 0.75, 0.7500001, 0.76, 1.0, 1.01]
    far = [1.3, 1.5, 2.0, 3.0, 5.0, 8.0, 11.0, 20.0, 40.0, 80.0]
    x = np.asarray([*near, *far]).astype(dtype)
    x = x[np.abs(x) > 1e-6] if case.name in ("reciprocal", "naive laplace") else x
    x = np.concatenate([x, -x])[:, None]
    x = x[np.abs(x[:, 0]) != 0.75] if case.name == "meyer" else x
    exact, jacobian = case.values(x.astype(float)), case.jacobian(x.astype(float))[..., 0]
    eps, tiny = 16 * float(np.finfo(dtype).eps), 64 * float(np.finfo(dtype).tiny)
    parts = 2.0 if isinstance(case.expansion, ex.densities.Densities) else 0.0
    with np.errstate(all="ignore"):
        y, pullback = case.expansion.vjp(x)
        slopes = case.expansion.jvp(x, None, np.ones_like(x))[1]
        grad_x = pullback(np.ones_like(y))[0]
    reach = np.abs(x.astype(float)) + 2.0
    error = np.abs(y - exact)
    assert np.all(error <= eps * (np.abs(exact) + reach * np.abs(jacobian) + parts) + tiny)
    # Slopes move by the second derivative, which all of these have within a few of themselves.
    bend = np.abs(jacobian) + np.abs(exact) + np.minimum(np.abs(jacobian).max(axis=-1, keepdims=True), 4.0)
    bound = eps * (reach + 4.0) * 16 * (bend + jacobian**2) + tiny
    assert np.all(np.abs(slopes - jacobian) <= bound)
    np.testing.assert_allclose(grad_x[:, 0], slopes.sum(axis=-1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("expansion", "of"),
    [
        (ex.ArcTrigonometric(), lambda u: mpmath.acos(u * mpmath.mpf("0.99"))),
        (ex.ArcHyperbolic(), lambda u: mpmath.acosh(u + mpmath.mpf("1.01"))),
    ],
)
def test_arguments_near_one_lose_no_digits(expansion, of):
    """Neither arccos near one nor arcosh near one may start from a rounded sum."""
    x = np.linspace(-30, 30, 200).astype(np.float32)
    with mpmath.workdps(DIGITS):
        exact = [float(of(1 / (1 + mpmath.exp(-mpmath.mpf(float(each)))))) for each in x]
    np.testing.assert_allclose(expansion(x)[200:400], exact, rtol=4e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_slopes_beside_removable_singularities(dtype):
    """Where a formula as it is written divides nearly nothing by nearly nothing."""
    steps = np.asarray([0.0, 1e-7, 1e-5, 1e-3, 0.05, 0.2])
    for expansion, places in [(ex.Shannon(), [0.0]), (ex.Meyer(), [0.0, 0.75, -0.75])]:
        case = next(c for c in CASES if type(c.expansion) is type(expansion))
        for place in places:
            x = (place + np.concatenate([steps, -steps])).astype(dtype)[:, None]
            values, slopes = [], []
            with mpmath.workdps(DIGITS):
                for each in x[:, 0].astype(float):
                    # Beside it: at the place itself the formula is no number.
                    at = mpmath.mpf(each) + mpmath.mpf(2) ** -60
                    f = lambda t, row=case.row: row([t])[0]  # noqa: E731
                    values.append(float(f(at)))
                    step = mpmath.mpf(2) ** -40
                    slopes.append(float((f(at + step) - f(at - step)) / (2 * step)))
            y, dy = expansion.jvp(x, None, np.ones_like(x))
            eps = float(np.finfo(dtype).eps)
            np.testing.assert_allclose(y[:, 0], values, rtol=0, atol=8 * eps + 1e-15)
            np.testing.assert_allclose(dy[:, 0], slopes, rtol=0, atol=32 * eps)


def roles(expansion, m=COLUMNS):
    D = expansion.num_features(m)
    p = max(p for p in (1, 2) if D % p == 0)
    fabrications = [af.LowRank(r=2), af.DualLPHM(p=2, q=p, r=2), af.Hypercomplex(p=2, q=p), af.Full()]
    return [af.Reconciliation(expansion=expansion, fabrication=f, n=4, m=m) for f in fabrications]


#: Of functions alone, whose products go by one node, these do where every shape is compiled or made a graph.
FEW_FUNCTIONS = ("fourier", "spline", "chebyshev", "ricker, products")


@by_case
def test_products_in_a_role_are_those_of_the_dense_matrix(case, namespace):
    is_slow = namespace.known_as in ("jax", "dask")
    if is_slow and isinstance(case.expansion, ex.Functions) and case.name not in FEW_FUNCTIONS:
        pytest.skip("its product is that of the few")
    x = SOME
    K, jacobian = case.values(x), case.jacobian(x)
    chosen = slice(None) if namespace.known_as == "numpy" else slice(2)
    for role in roles(case.expansion)[chosen]:
        w = directions(3, role.num_parameters())
        W, pull_W = role.aligned.vjp(w, *role.matrix_shape)
        u = directions(4, 2, 4)
        y, pullback = role.vjp(*map(namespace.asarray, (x, w)))
        grad_x, grad_w = map(namespace.to_numpy, pullback(namespace.asarray(u)))
        eps = 2000 * float(np.finfo(np.dtype(namespace.dtype_name)).eps)
        for found, expected in [
            (namespace.to_numpy(y), K @ W.T),
            (grad_w, pull_W(u.T @ K)),
            (grad_x, np.einsum("bd,bdm->bm", u @ W, jacobian)),
        ]:
            scale = np.max(np.abs(expected)) + np.max(np.abs(K)) * np.max(np.abs(jacobian)) + 1.0
            np.testing.assert_allclose(found, expected, rtol=0, atol=eps * scale)


@by_case
def test_the_tangent_of_a_role(case):
    x = np.asarray([[0.2265625, -1.3671875, 0.9140625, 2.4140625]])
    K, jacobian, dx = case.values(x), case.jacobian(x), directions(5, 1, COLUMNS)
    for role in roles(case.expansion):
        w, dw = directions(6, role.num_parameters()), directions(7, role.num_parameters())
        W, dW = role.aligned.jvp(w, *role.matrix_shape, dw)
        expected = np.einsum("bdm,bm->bd", jacobian, dx) @ W.T + K @ dW.T
        dy = role.jvp(x, w, dx, dw)[1]
        np.testing.assert_allclose(
            dy, expected, atol=1e-11 * (1.0 + np.max(np.abs(expected)) + np.max(np.abs(K)))
        )


@by_case
def test_a_namespace_gives_what_numpy_gives(case, namespace):
    x = SOME.astype(namespace.dtype_name)
    y = namespace.compiled(case.expansion)(namespace.asarray(x))
    pullback = case.expansion.vjp(namespace.asarray(x))[1]
    expected, expected_pullback = case.expansion.vjp(x)
    eps = 100 * np.finfo(x.dtype).eps
    assert namespace.owns(y)
    for found, wanted in [(y, expected), (pullback(y)[0], expected_pullback(expected)[0])]:
        atol = eps * (1 + np.abs(wanted).max())
        np.testing.assert_allclose(namespace.to_numpy(found), wanted, rtol=eps, atol=atol)


@by_case
def test_programs_give_what_the_formula_gives(case):
    for layer in (case.expansion, *roles(case.expansion)[:1]):
        programs_of.forget()
        w = None if layer is case.expansion else directions(8, layer.num_parameters())
        for rows in (1, 2, 3, 5, 8):
            x = np.random.default_rng(rows).integers(-300, 300, (rows, COLUMNS)) / 256 + 1 / 512
            y, pullback = layer.vjp(x, w)  # what is met once is interpreted
            found = [y, *pullback(y)]
            for _ in range(2):
                y, pullback = layer.vjp(x, w)
                for first, again in zip(found, [y, *pullback(y)], strict=True):
                    np.testing.assert_array_equal(first, again)
        assert all(isinstance(each, Program) for each in programs_of(layer).values())
        if layer is not case.expansion:
            continue
        formula, backend = layer.formula(Dense("x", x.shape)), _arrays.backend_of("test", "x", x)
        numbers = Numbers(backend, {"x": x, prime("x"): y[:, :1] + 0.0 * x}, x[0, :0])
        interpreted, pull = formula.dense(numbers)
        cotangents = Cotangents(numbers)
        pull(y, cotangents)
        np.testing.assert_array_equal(interpreted, y)
        np.testing.assert_array_equal(cotangents.take("x", x.shape), pullback(y)[0])


@by_case
def test_half_precision_and_what_is_no_number(case):
    x = np.asarray([[0.25, -1.375, 0.9, 2.4], [0.0, 0.5, -0.6, 1.5]]).astype(np.float16)
    with np.errstate(over="ignore"):
        y, pullback = case.expansion.vjp(x)
        grad_x = pullback(np.ones_like(y))[0]
    assert y.dtype == grad_x.dtype == np.float16
    if case.name != "reciprocal":
        assert np.all(np.isfinite(y))
    x = np.full((2, COLUMNS), np.nan)
    y = case.expansion(x)
    constant = case.name == "fibonacci"
    assert np.all(np.isnan(y[:, 1:COLUMNS] if constant else y))


@by_case
def test_it_is_written_down_and_read_again(case):
    registry = Registry()
    text = json.loads(json.dumps(encode(case.expansion, registry, {})))
    assert decode(text, registry, {}.__getitem__) == case.expansion
    assert hash(case.expansion) == hash(decode(text, registry, {}.__getitem__))


@by_case
def test_features_keep_about_the_mean_square_that_is_promised(case):
    if case.name in ("reciprocal", "trigonometric", "nested"):  # which have none
        return
    x = np.random.default_rng(0).standard_normal((4000, COLUMNS))
    found = np.mean(case.expansion(x) ** 2)
    assert 0.25 <= case.expansion.mean_square(COLUMNS) / found <= 4


def test_every_expansion_is_tested():
    known = {type(case.expansion) for case in CASES}
    built_in = {getattr(ex, name) for name in ex.__all__} | {Interdependent}
    assert known == built_in - {ex.Expansion, ex.Functions}


@pytest.mark.parametrize("d", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_splines_are_scipys(d, dtype):
    spline = ex.BSpline(grid_range=(-1.0, 2.0), t=6, d=d)
    knots = -1.0 + 0.5 * np.arange(-d, 6 + d + 1)
    x = np.random.default_rng(0).uniform(-6, 7, (500, 1)).astype(dtype)
    eps = 8 * (d + 1) * np.finfo(dtype).eps
    each = [interpolate.BSpline.basis_element(knots[j : j + d + 2], extrapolate=False) for j in range(6 + d)]
    expected = np.nan_to_num(np.concatenate([b(x.astype(float)) for b in each], axis=1))
    slopes = np.nan_to_num(np.concatenate([b.derivative()(x.astype(float)) for b in each], axis=1))
    y, dy = spline.jvp(x, None, np.ones_like(x))
    np.testing.assert_allclose(y, expected, rtol=0, atol=eps)
    np.testing.assert_allclose(dy, slopes, rtol=0, atol=8 * eps)
    inside = x[(x[:, 0] >= -1) & (x[:, 0] <= 2)]
    np.testing.assert_allclose(spline(inside).sum(axis=-1), 1.0, rtol=eps)


def test_splines_end_where_their_last_knots_do():
    spline = ex.BSpline(grid_range=(-1.0, 1.0), t=2, d=1)
    x = np.asarray([-2.0, -1.5, -1.0, 0.0, 1.0, 1.5, 2.0, 1e300, -1e300, np.inf])
    expected = [[0, 0, 0], [0.5, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0.5], *[[0, 0, 0]] * 4]
    np.testing.assert_array_equal(spline(x[:, None]), expected)


def test_polynomials_are_scipys():
    x = np.linspace(-3, 3, 61)[:, None]
    n = np.arange(1, 7)
    for expansion, expected in [
        (ex.Chebyshev(d=6), special.eval_chebyt(n, x)),
        (ex.Chebyshev(d=6, kind=2), special.eval_chebyu(n, x)),
        (ex.Jacobi(d=6, alpha=0.5, beta=2.0), special.eval_jacobi(n, 0.5, 2.0, x)),
        (ex.Legendre(d=6), special.eval_legendre(n, x)),
        (ex.Gegenbauer(d=6, alpha=1.5), special.eval_gegenbauer(n, 1.5, x)),
        (ex.Hermite(d=6), special.eval_hermitenorm(n, x)),
        (ex.Laguerre(d=6, alpha=0.5), special.eval_genlaguerre(n, 0.5, x)),
    ]:
        np.testing.assert_allclose(expansion(x), expected, rtol=1e-12, atol=1e-11)


def test_whole_numbers_in_give_exact_polynomials():
    x = np.arange(-5.0, 6.0)[:, None]
    for case in CASES:
        degree = getattr(case.expansion, "degree", None)
        if degree is not None:
            np.testing.assert_array_equal(case.expansion(x), np.rint(case.values(x)))
    exact = {"Chebyshev", "Hermite", "Bessel", "ReverseBessel", "Fibonacci", "Lucas", "Gegenbauer"}
    families = [ex.Jacobi, ex.Legendre, ex.Laguerre, *(getattr(ex, name) for name in exact)]
    assert {f.__name__ for f in families if f(d=5).degree == 5} == exact


def test_densities_are_scipys():
    x = np.linspace(-4, 4, 33)
    v = 0.99 * special.expit(x) + 0.001
    for expansion, expected in [
        (ex.NaiveNormal(), stats.norm.logpdf(x)),
        (ex.Normal(parameters=((0.5, 0.25),)), stats.norm.logpdf(x, 0.5, 0.25)),
        (ex.NaiveCauchy(), stats.cauchy.logpdf(x)),
        (ex.Cauchy(parameters=((1.0, 0.5),)), stats.cauchy.logpdf(x, 1.0, 0.5)),
        (ex.Laplace(parameters=((1.0, 2.0),)), stats.laplace.logpdf(x, 1.0, 2.0)),
        (ex.Gamma(parameters=((2.0, 3.0),)), stats.gamma.logpdf(v, 2.0, scale=1 / 3)),
        (ex.Chi2(parameters=(3.0,)), stats.chi2.logpdf(special.expit(x) + 0.001, 3.0)),
        (ex.Exponential(parameters=(0.7,)), stats.expon.logpdf(v, scale=1 / 0.7)),
        (ex.BetaWavelet(alpha=2.0, beta=3.5), stats.beta.pdf(x, 2.0, 3.5)),
    ]:
        np.testing.assert_allclose(expansion(x), expected, rtol=1e-13, atol=1e-13)


def test_a_cauchy_density_has_no_square_that_overflows():
    x = np.asarray([1e30, -1e30, 3e38], dtype=np.float32)
    y, pullback = ex.NaiveCauchy().vjp(x)
    np.testing.assert_allclose(y, -np.log(np.pi) - 2 * np.log(np.abs(x)), rtol=1e-6)
    np.testing.assert_allclose(pullback(np.ones_like(x))[0], -2 / x, rtol=1e-6)


def test_far_from_a_bell_there_is_nothing():
    x = np.asarray([1e30, -1e30], dtype=np.float32)
    for expansion in (ex.GaussianRBF(), ex.InverseQuadraticRBF(), ex.Ricker(), ex.DoG()):
        with np.errstate(under="ignore"):
            y, pullback = expansion.vjp(x)
            assert np.all(np.abs(y) < 1e-30)
            assert np.all(np.abs(pullback(np.ones_like(y))[0]) < 1e-30)


def test_jumps_belong_to_their_right_side():
    x = np.asarray([-0.25, 0.0, 0.25, 0.5, 0.75, 1.0])
    np.testing.assert_array_equal(ex.Haar()(x), [0, 1, 1, -1, -1, 0])
    np.testing.assert_array_equal(ex.BetaWavelet()(x), [0, 1, 1, 1, 1, 1])
    rising = ex.BetaWavelet(alpha=2.0)(np.asarray([-1.0, 0.5, 1.0, 1.5]))
    np.testing.assert_allclose(rising, [0, 1, 2, 0], rtol=1e-14)


def test_a_reciprocal_is_bounded_and_changes_nothing_else():
    x = np.asarray([0.0, -0.0, 1e-6, -1e-6, 1e-9, -1e-9, 0.5, -4.0])
    kept = x.copy()
    y, pullback = ex.Reciprocal().vjp(x)
    np.testing.assert_allclose(y, [1e6, 1e6, 1e6, -1e6, 1e6, -1e6, 2.0, -0.25], rtol=1e-15)
    np.testing.assert_allclose(pullback(np.ones(8))[0], [0, 0, 0, 0, 0, 0, -4.0, -0.0625])
    np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize(
    ("compression", "expected"),
    [(ex.GroupMax(), [0, 0.5, 0.5]), (ex.GroupMin(), [1, 0, 0]), (ex.GroupMedian(), [0, 0.5, 0.5])],
)
def test_equal_numbers_share_the_slope(compression, expected):
    x = np.asarray([1.0, 2.0, 2.0])
    np.testing.assert_array_equal(compression.vjp(x)[1](np.ones(1))[0], expected)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9))
def test_slopes_of_a_product_have_zeros_and_no_division(row):
    x = np.asarray(row, dtype=float)
    y, pullback = ex.GroupProduct().vjp(x)
    assert y.tolist() == [np.prod(x)]
    others = [np.prod(np.delete(x, i)) for i in range(len(row))]
    np.testing.assert_array_equal(pullback(np.ones(1))[0], others)


def test_the_median_of_an_even_number_is_the_lower_one():
    assert ex.GroupMedian()(np.asarray([4.0, 1.0, 3.0, 2.0])).tolist() == [2.0]


@settings(max_examples=10)
@given(x=data(rows=(2, 3)))
def test_combinations_are_never_formed_beside_a_thin_matrix(x):
    """The log densities of tuples are sums of those of single attributes, also in the plan of a role."""
    role = af.Reconciliation(expansion=ex.CombinatorialNormal(d=2), fabrication=af.LowRank(r=1), n=2, m=40)
    wide = role.cost((1000, 40)).multiplies
    assert wide < 1000 * role.D
    assert ex.CombinatorialNormal(d=2)(x).shape == (len(x), 10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ex.Reciprocal(eps=0.0), "eps must be positive"),
        (lambda: ex.Fourier(P=-1.0), "P must be positive"),
        (lambda: ex.Fourier(N=0), "N must be a positive integer"),
        (lambda: ex.Chebyshev(kind=3), "kind must be 1 or 2"),
        (lambda: ex.Jacobi(alpha=-1.0), "above -1"),
        (lambda: ex.BSpline(grid_range=(1.0, -1.0)), "grid_range must go up"),
        (lambda: ex.GaussianRBF(epsilon=0.0), "epsilon must be positive"),
        (lambda: ex.Haar(a=0.5), "a must be 1 or more"),
        (lambda: ex.Ricker(sigma=0.0), "sigma must be positive"),
        (lambda: ex.DoG(sigma_2=0.0), "must be positive"),
        (lambda: ex.BetaWavelet(alpha=0.5), "alpha and beta must be 1 or more"),
        (lambda: ex.Normal(parameters=((0, 0),)), "parameters must be positive"),
        (lambda: ex.Gamma(parameters=((0, 1),)), "parameters must be positive"),
        (lambda: ex.HybridProbabilistic(chi2=0), "parameters must be positive"),
        (lambda: ex.Nested(expansions=()), "one expansion or more"),
        (lambda: ex.Extended(expansions=(3,)), "one expansion or more"),
        (lambda: ex.GroupMax(groups=3)(np.ones(4)), "groups=3 does not divide m=4"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Against tinybig itself, where there is one.
try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from tinybig import compression as their_compressions
        from tinybig import expansion as their_expansions

    absent = ""
except Exception as error:  # it needs pinned versions of much, and some of its releases do not parse
    absent = f"tinybig cannot be imported: {error!r}"

_WAVELET = {"d": 2, "s": 2, "t": 2, "a": 2.0, "b": 0.5}
SAME = [
    ("identity", {}, ex.Identity()),
    ("linear", {"c": 2.0}, ex.Linear(c=2.0)),
    ("reciprocal", {}, ex.Reciprocal()),
    ("taylor", {"d": 3}, ex.Taylor(d=3)),
    ("fourier", {"P": 5, "N": 3}, ex.Fourier(P=5.0, N=3)),
    ("trigonometric", {}, ex.Trigonometric()),
    ("hyperbolic", {}, ex.Hyperbolic()),
    ("arc_trigonometric", {}, ex.ArcTrigonometric()),
    ("arc_hyperbolic", {}, ex.ArcHyperbolic()),
    ("gaussian_rbf", {"epsilon": 2.0}, ex.GaussianRBF(epsilon=2.0)),
    ("inverse_quadratic_rbf", {}, ex.InverseQuadraticRBF()),
    ("bspline", {"t": 4, "d": 2}, ex.BSpline(t=4, d=2)),
    ("chebyshev", {"d": 4}, ex.Chebyshev(d=4)),
    ("jacobi", {"d": 4, "alpha": 0.5, "beta": 2.0}, ex.Jacobi(d=4, alpha=0.5, beta=2.0)),
    ("legendre", {"d": 4}, ex.Legendre(d=4)),
    ("gegenbauer", {"d": 4, "alpha": 0.4}, ex.Gegenbauer(d=4, alpha=0.4)),
    ("hermite", {"d": 4}, ex.Hermite(d=4)),
    ("bessel", {"d": 4}, ex.Bessel(d=4)),
    ("reverse_bessel", {"d": 4}, ex.ReverseBessel(d=4)),
    ("fibonacci", {"d": 4}, ex.Fibonacci(d=4)),
    ("lucas", {"d": 4}, ex.Lucas(d=4)),
    ("harr_wavelet", _WAVELET, ex.Haar(**_WAVELET)),
    ("ricker_wavelet", _WAVELET, ex.Ricker(**_WAVELET)),
    ("dog_wavelet", _WAVELET, ex.DoG(**_WAVELET)),
    ("shannon_wavelet", _WAVELET, ex.Shannon(**_WAVELET)),
    ("meyer_wavelet", _WAVELET, ex.Meyer(**_WAVELET)),
    ("naive_normal", {}, ex.NaiveNormal()),
    ("normal", {}, ex.Normal()),
    ("naive_cauchy", {}, ex.NaiveCauchy()),
    ("cauchy", {}, ex.Cauchy()),
    ("naive_laplace", {}, ex.NaiveLaplace()),
    ("laplace", {}, ex.Laplace()),
    ("naive_gamma", {}, ex.NaiveGamma()),
    ("gamma", {}, ex.Gamma()),
    ("naive_chi2", {}, ex.NaiveChi2()),
    ("chi2", {}, ex.Chi2()),
    ("naive_exponential", {}, ex.NaiveExponential()),
    ("exponential", {}, ex.Exponential()),
    ("hybrid_probabilistic", {}, ex.HybridProbabilistic()),
    ("combinatorial_normal", {"d": 2}, ex.CombinatorialNormal(d=2)),
]
METRICS = {"max": ex.GroupMax, "min": ex.GroupMin, "sum": ex.GroupSum, "mean": ex.GroupMean}
METRICS |= {"prod": ex.GroupProduct, "median": ex.GroupMedian}


beside_tinybig = [
    pytest.mark.skipif(bool(absent), reason=absent),
    pytest.mark.filterwarnings("ignore"),
]


class TestBesideTinybig:
    pytestmark = beside_tinybig

    @pytest.mark.parametrize(("name", "options", "ours"), SAME, ids=[name for name, *_ in SAME])
    def test_expansion(self, name, options, ours):
        theirs = getattr(their_expansions, f"{name}_expansion")(**options)
        x = torch.randn(5, 4)
        y = theirs(x.clone())
        assert theirs.calculate_D(4) == ours.num_features(4)
        torch.testing.assert_close(ours(x), y, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("name", METRICS)
    def test_compression(self, name):
        x = torch.randn(5, 4)
        theirs = getattr(their_compressions, f"{name}_compression")()
        torch.testing.assert_close(METRICS[name]()(x), theirs(x), rtol=1e-5, atol=1e-5)

    def test_what_departs(self):
        """Laguerre's sign, a beta density outside of its interval, and a hole at zero."""
        x = torch.linspace(-2.1, 2.0, 12)[:, None]
        flipped = their_expansions.laguerre_expansion(d=1)(x)
        torch.testing.assert_close(ex.Laguerre(d=1)(-x), flipped)
        assert (their_expansions.beta_wavelet_expansion()(x) == 1).all()
        assert not (ex.BetaWavelet()(x) == 1).all()
        zero = torch.zeros(1, 1)
        assert torch.isnan(their_expansions.shannon_wavelet_expansion()(zero)).all()
        assert ex.Shannon()(zero).item() == 1


def test_products_of_tuples_are_in_lexicographic_order():
    x = np.asarray([2.0, 3.0, 5.0, 7.0])
    pairs, triples = [6, 10, 14, 15, 21, 35], [30, 42, 70, 105]
    assert ex.Combinatorial(d=3)(x).tolist() == [2, 3, 5, 7, *pairs, *triples]
    assert ex.Combinatorial(d=9).num_features(3) == 7 == ex.Combinatorial(d=9)(x[:3]).size
    assert [b - a for a, b in pairwise(map(ex.Combinatorial().num_features, (3, 4, 5)))] == [4, 5]
