"""Fusions of arrays of one shape, beside plain NumPy."""

import numpy as np
import pytest
from dense_reference import derivative, gradients
from hypothesis import given
from hypothesis import strategies as st
from namespaces import ENTRIES

import arrayfab as af
from arrayfab import _arrays
from arrayfab.fusions import FUSIONS
from arrayfab.programs import Program
from arrayfab.testing import Case, parametrize_with_checks

COUNTS = [1, 2, 3, 5, 8]
by_function = pytest.mark.parametrize("function", FUSIONS)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def fused(function, xs):
    """The fusion in plain NumPy."""
    stack = np.stack(xs)
    return {
        "sum": lambda: np.sum(stack, axis=0),
        "mean": lambda: np.mean(stack, axis=0),
        "max": lambda: np.max(stack, axis=0),
        "min": lambda: np.min(stack, axis=0),
        "median": lambda: np.sort(stack, axis=0)[(len(xs) - 1) // 2],
        "product": lambda: np.prod(stack, axis=0),
        "l1": lambda: np.sum(np.abs(stack), axis=0),
        "l2": lambda: np.sqrt(np.sum(stack * stack, axis=0)),
    }[function]()


def place(function, stack):
    """Which one is picked, the first of equal ones."""
    if function == "median":
        return np.argsort(stack, axis=0, kind="stable")[(len(stack) - 1) // 2]
    return {"max": np.argmax, "min": np.argmin}[function](stack, axis=0)


def slopes(function, xs):
    """What a fusion changes by where one of the arrays does: by complex steps where it is smooth."""
    stack = np.stack(xs)
    if function in ("max", "min", "median"):
        chosen = place(function, stack)
        return [(chosen == i) * 1.0 for i in range(len(xs))]
    if function == "l1":
        return list(np.sign(stack))
    made = []
    for i in range(len(xs)):
        moved = stack.astype(complex)
        moved[i] += 1e-30j
        made.append(np.imag(fused(function, list(moved))) / 1e-30)
    return made


@given(st.sampled_from(FUSIONS), st.integers(1, 6), st.integers(0, 99))
def test_values_gradients_and_directions_are_those_of_the_formula(function, k, seed):
    fusion, xs = af.Fusion(function, k), list(normal(k, 3, 4, seed=seed))
    u, dxs, wanted = normal(3, 4, seed=seed + 1), list(normal(k, 3, 4, seed=seed + 2)), slopes(function, xs)
    y, pullback = fusion.vjp(xs)
    np.testing.assert_allclose(y, fused(function, xs), rtol=1e-13)
    np.testing.assert_array_equal(fusion(xs), y)
    grads, none = pullback(u)
    assert none is None
    for grad, slope in zip(grads, wanted, strict=True):
        np.testing.assert_allclose(grad, u * slope, rtol=1e-12, atol=1e-13)
    again, dy = fusion.jvp(xs, None, dxs)
    np.testing.assert_array_equal(again, y)
    expected = sum(dx * slope for dx, slope in zip(dxs, wanted, strict=True))
    np.testing.assert_allclose(dy, expected, rtol=1e-12, atol=1e-12)


def test_of_equal_ones_the_first_is_picked():
    xs = [np.asarray(column, float) for column in ([1, 7, 3], [1, 7, 2], [0, 2, 3], [1, 0, 3])]
    for function, expected in (("max", [0, 0, 0]), ("min", [2, 3, 1]), ("median", [0, 2, 0])):
        grads = af.Fusion(function, 4).vjp(xs)[1](np.ones(3))[0]
        np.testing.assert_array_equal(np.argmax(grads, axis=0), expected)
        np.testing.assert_array_equal(np.sum(grads, axis=0), np.ones(3))


def test_a_product_with_zeros_has_its_gradient():
    xs = [np.asarray(column, float) for column in ([2, 0, 0], [0, 3, 0], [5, 7, 4])]
    grads = af.Fusion("product", 3).vjp(xs)[1](np.ones(3))[0]
    np.testing.assert_array_equal(grads, [[0, 21, 0], [10, 0, 0], [0, 0, 0]])


def test_norms_have_the_gradient_zero_where_they_have_none():
    xs = [np.asarray([0.0, 3.0]), np.asarray([0.0, 0.0])]
    for function in ("l1", "l2"):
        grads = af.Fusion(function, 2).vjp(xs)[1](np.ones(2))[0]
        np.testing.assert_array_equal(grads, [[0, 1], [0, 0]])


@pytest.mark.parametrize("scale", [1e-200, 1e200, np.inf])
def test_no_square_of_a_norm_overflows_or_vanishes(scale):
    y, pullback = af.Fusion("l2", 2).vjp([np.asarray([3.0 * scale]), np.asarray([4.0])])
    assert y[0] == (3.0 * scale if scale > 1 else 4.0)
    y, pullback = af.Fusion("l2", 2).vjp([np.asarray([3e-200]), np.asarray([4e-200])])
    np.testing.assert_allclose([y[0], *np.ravel(pullback(np.ones(1))[0])], [5e-200, 0.6, 0.8], rtol=1e-15)


@by_function
@pytest.mark.parametrize("k", [2, 3, 6])
def test_nan_stays_nan(function, k):
    for i in range(k):
        xs = list(normal(k, 1))
        xs[i] = np.asarray([np.nan])
        assert np.isnan(af.Fusion(function, k)(xs)).all()


def interpreted(layer, xs, w, u):
    """Result, gradients of the data and of ``w`` by the rule itself, without a program."""
    backend = _arrays.backend_of("test", "w", w)
    y, pull = layer._rule(backend, xs, w, iter(()), "xw")
    return y, *pull(u)


FUSED = [*(af.Fusion(function, 3) for function in FUSIONS), af.WeightedFusion(3)]


@pytest.mark.parametrize("fusion", FUSED, ids=str)
def test_programs_do_what_the_rule_does(fusion):
    w = normal(fusion.num_parameters(), seed=9)
    for rows in [*COUNTS, *COUNTS]:
        xs, u = list(normal(3, rows, 4, seed=rows)), normal(rows, 4, seed=8)
        y, pullback = fusion.vjp(xs, w)
        expected = interpreted(fusion, xs, w, u)
        np.testing.assert_array_equal(y, expected[0])
        grad_x, grad_w = pullback(u)
        np.testing.assert_array_equal(grad_x, expected[1])
        if fusion.num_parameters():
            np.testing.assert_allclose(grad_w, expected[2], rtol=1e-13)
    assert isinstance(fusion._enter("xw", xs, w).program, Program)


@pytest.mark.parametrize("ns", [entry.param for entry in ENTRIES])
@pytest.mark.parametrize("fusion", FUSED, ids=str)
def test_namespaces_give_the_same(fusion, ns):
    xs, w, u = list(normal(3, 2, 4)), normal(fusion.num_parameters(), seed=1), normal(2, 4, seed=2)
    expected = interpreted(fusion, xs, w, u)[:2]

    def call(w, u, *xs):
        y, pull = fusion.vjp(list(xs), w)
        return y, *pull(u)[0]

    received = ns.compiled(call)(*map(ns.asarray, (w, u, *xs)))
    tolerance = 1e-13 if ns.dtype_name == "float64" else 1e-5
    for found, wanted in zip(received, (expected[0], *expected[1]), strict=True):
        assert ns.owns(found)
        np.testing.assert_allclose(ns.to_numpy(found), wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("lead", [(), (2,)], ids=["one w", "batched w"])
def test_learned_weights_have_the_gradients_of_their_sum(lead):
    fusion, xs, w = af.WeightedFusion(3), list(normal(3, 4, 5)), normal(*lead, 3, seed=1)

    def formula(*arrays):
        *xs, w = arrays
        return sum(w[..., i, None, None] * x for i, x in enumerate(xs))

    y, pullback = fusion.vjp(xs, w)
    np.testing.assert_allclose(y, formula(*xs, w), rtol=1e-13)
    u = normal(*y.shape, seed=2)
    grad_x, grad_w = pullback(u)
    for found, expected in zip([*grad_x, grad_w], gradients(formula, [*xs, w], u, False), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    dxs, dw = list(normal(3, 4, 5, seed=3)), normal(*lead, 3, seed=4)
    dy = fusion.jvp(xs, w, dxs, dw)[1]
    np.testing.assert_allclose(dy, derivative(formula, [*xs, w], [*dxs, dw], False), rtol=1e-12, atol=1e-12)


def test_given_weights_are_those_and_nothing_is_learned():
    fusion, xs = af.WeightedFusion(2, (2.0, -0.5)), list(normal(2, 3))
    y, pullback = fusion.vjp(xs)
    np.testing.assert_allclose(y, 2.0 * xs[0] - 0.5 * xs[1])
    grads, grad_w = pullback(np.ones(3))
    np.testing.assert_array_equal(grads, [[2.0] * 3, [-0.5] * 3])
    assert (fusion.num_parameters(), grad_w) == (0, None)
    np.testing.assert_array_equal(af.WeightedFusion(4).init(), [0.25] * 4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: af.Fusion("mode", 2), "function must be one of"),
        (lambda: af.Fusion("sum", 0), "k must be a positive integer, got 0"),
        (lambda: af.WeightedFusion(2, (1.0,)), "weights must be 2 finite numbers"),
        (lambda: af.WeightedFusion(1, (np.nan,)), "weights must be 1 finite numbers"),
        (lambda: af.WeightedFusion(1, "a"), "weights must be 1 finite numbers"),
        (lambda: af.Fusion("sum", 2)([np.ones(2)]), "x must hold 2 arrays, got 1"),
        (lambda: af.Fusion("sum", 2)(np.ones(2)), "x must be a list of arrays"),
        (
            lambda: af.Fusion("sum", 2)([np.ones(2), np.ones(3)]),
            "x\\[0\\] has \\(2,\\) and x\\[1\\] \\(3,\\)",
        ),
        (lambda: af.Fusion("sum", 2)([np.ones(2), np.ones(2, np.float32)]), "x\\[1\\] has dtype float32"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_the_kit_gives_the_host_the_numbers_that_the_dtype_has():
    # Else two branches that are equal in float16 are in some order on the host.
    numbers = Case(spread=1, is_whole=False, dtype="float16", seed=3).numbers("x", (50,))
    np.testing.assert_array_equal(numbers, numbers.astype(np.float16))


@parametrize_with_checks([*FUSED, af.Fusion("median", 4)], namespaces=["numpy"], max_examples=5)
def test_laws(check):
    check()
