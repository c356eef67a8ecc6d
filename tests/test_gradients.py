"""Losses, and gradients of a loss through layers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import assert_refused
from scipy.optimize import minimize
from scipy.special import log_softmax

import arrayfab as af
from arrayfab.gradients import (
    finite_difference_jvp,
    finite_difference_vjp,
    mean_squared_error,
    pairing,
    scipy_objective,
    softmax_cross_entropy,
    value_and_grad,
)
from arrayfab.testing import namespaces

MODEL = af.Sequential(
    [
        af.Parallel(
            [
                af.ParameterizedInterdependence(fabrication=af.DualLPHM(p=2, q=2), m=6),
                af.Sequential([af.Reshape((6,), (2, 3)), af.Reshape((2, 3), (6,))]),
            ]
        ),
        af.ConcatenationFusion(fabrication=af.LowRank(r=2), dims=(6, 6), n=4),
        af.Pointwise("tanh"),
        af.Reconciliation(fabrication=af.Full(), n=3, D=4, bias=True),
    ]
)


# Several layers on one list of inputs.
FUSIONS = af.Sequential(
    [
        af.Parallel([af.ConcatenationFusion(fabrication=af.LowRank(r=1), dims=(3, 4), n=2)] * 2),
        af.Concatenation(dims=(2, 2)),
    ]
)


def data(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def test_cross_entropy_of_class_numbers_and_of_probabilities_is_scipys():
    logits, labels = data(7, 4), np.asarray([0, 3, 1, 1, 2, 0, 3])
    expected = -np.mean(log_softmax(logits, axis=-1)[np.arange(7), labels])
    for target in (labels, labels.astype(np.uint8), np.eye(4)[labels]):
        assert softmax_cross_entropy(logits, target)[0] == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("loss", [softmax_cross_entropy, mean_squared_error])
def test_the_gradient_of_a_loss_is_that_of_differences(loss):
    y, target = data(5, 3), np.abs(data(5, 3, seed=1))
    _, grad = loss(y, target)
    (expected,) = finite_difference_vjp(lambda y: loss(y, target)[0], (y,), np.asarray(1.0))
    np.testing.assert_allclose(grad, expected, atol=1e-9)


def test_cross_entropy_of_many_classes_with_narrow_class_numbers():
    value, _ = softmax_cross_entropy(np.ones((1, 300)), np.asarray([7], dtype=np.uint8))
    assert value == pytest.approx(np.log(300))


NARROW = [("numpy", "float16"), ("torch", "float16"), ("torch", "bfloat16"), ("jax", "bfloat16")]
MEANS = [  # entries, how many of them are of that magnitude and not zero, and the mean of the squares
    pytest.param("float32", 100, 100, 1e19, 1e38, id="squares-overflow-in-sum"),
    pytest.param("float32", 100, 1, 2.0**66, 2.0**132 / 100, id="square-overflows"),
    pytest.param("float32", 100, 100, 1e-18, 1e-36, id="small"),
    pytest.param("float32", 100, 100, 1e-25, 0.0, id="below-the-smallest"),
    pytest.param("float64", 100, 100, 1e154, 1e308, id="squares-overflow-in-sum-float64"),
    pytest.param("float64", 100, 100, 1e-25, 1e-50, id="small-float64"),
]


def array_of(library, dtype, numbers):
    """An array of a library by its name, from numbers that the dtype holds."""
    pytest.importorskip(library)
    if library == "numpy":
        return numbers.astype(dtype)
    xp = namespaces.get(library).xp
    return xp.astype(xp.asarray(numbers.astype(np.float32)), getattr(xp, dtype))


@pytest.mark.parametrize(("library", "dtype"), NARROW)
def test_half_precision_counts_and_sums_beyond_its_own_range(library, dtype):
    ones = array_of(library, dtype, np.ones(70_000))
    loss, grad = mean_squared_error(ones, 0 * ones)
    assert loss.dtype == grad.dtype == ones.dtype
    assert float(loss) == 1.0
    assert float(grad[0]) == pytest.approx(2 / 70_000, rel=1e-2)
    logits = array_of(library, dtype, np.zeros((70_000, 2)))
    loss, grad = softmax_cross_entropy(logits, array_of(library, dtype, np.tile([0.0, 1.0], (70_000, 1))))
    assert loss.dtype == grad.dtype == logits.dtype
    assert float(loss) == pytest.approx(np.log(2), rel=1e-2)
    assert float(grad[0, 0]) == pytest.approx(0.5 / 70_000, rel=1e-2)


def test_residuals_beyond_the_range_of_half_precision_do_not_spoil_the_mean():
    y, target = (np.where(np.arange(400_000) == 0, x, 0).astype(np.float16) for x in (6e4, -6e4))
    assert mean_squared_error(y, target)[0] == pytest.approx(1.44e10 / 400_000, rel=1e-3)


@pytest.mark.parametrize(("dtype", "count", "some", "magnitude", "expected"), MEANS)
def test_a_mean_of_squares_is_right_wherever_the_dtype_holds_it(
    namespace, dtype, count, some, magnitude, expected
):
    if dtype == "float64" and namespace.dtype_name == "float32":
        pytest.skip(f"{namespace.name} is tried in float32")
    y = namespace.asarray(np.where(np.arange(count) < some, magnitude, 0.0), dtype)
    loss, _ = namespace.compiled(mean_squared_error)(y, y * 0)
    assert loss.dtype == y.dtype
    assert float(loss) == pytest.approx(expected, abs=0, rel=1e-5 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("row", "expected"),
    [([1.5, 1.5], np.log(2)), ([60.0, 3.0], np.exp(-57.0)), ([0.0, 1e38], 1e38)],
)
def test_a_mean_cross_entropy_is_right_wherever_the_dtype_holds_it(namespace, dtype, row, expected):
    if dtype == "float64" and namespace.dtype_name == "float32":
        pytest.skip(f"{namespace.name} is tried in float32")
    logits = namespace.asarray(np.tile(row, (20, 1)), dtype)
    loss, _ = namespace.compiled(softmax_cross_entropy)(logits, namespace.asarray(np.zeros(20), "int64"))
    assert float(loss) == pytest.approx(expected, abs=0, rel=1e-5 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_what_is_not_finite_shows_in_the_mean(value):
    loss, _ = mean_squared_error(np.asarray([1.0, value]), np.zeros(2))
    assert np.isnan(loss) if np.isnan(value) else np.isinf(loss)


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64"])
def test_class_numbers_without_a_sign_on_pytorch(dtype):
    torch = pytest.importorskip("torch")
    logits, labels = data(7, 4), np.asarray([0, 3, 1, 1, 2, 0, 3])
    loss, _ = softmax_cross_entropy(torch.asarray(logits), torch.asarray(labels.astype(dtype)))
    assert float(loss) == pytest.approx(softmax_cross_entropy(logits, labels)[0])


def test_an_impossible_class_of_no_probability_does_not_disturb_the_loss():
    value, grad = softmax_cross_entropy(np.asarray([[0.0, -np.inf]]), np.asarray([0]))
    assert value == 0
    np.testing.assert_array_equal(grad, [[0.0, 0.0]])


@pytest.mark.parametrize("label", [-1, 2])
def test_a_class_number_out_of_range_gives_nan(label):
    assert np.isnan(softmax_cross_entropy(np.zeros((1, 2)), np.asarray([label]))[0])


@pytest.mark.parametrize("loss", [softmax_cross_entropy, mean_squared_error])
def test_a_loss_of_nothing_is_refused(loss):
    with pytest.raises(ValueError, match="needs at least one row"):
        loss(np.ones((0, 3)), np.ones((0, 3)))


@given(st.integers(0, 99))
def test_gradients_of_a_model_are_those_of_differences(seed):
    x, w = data(5, 6, seed=seed), data(MODEL.num_parameters(), seed=seed)
    y, pullback = MODEL.vjp(x, w)
    u = data(*y.shape, seed=seed)
    expected = finite_difference_vjp(MODEL, (x, w), u)
    # A central difference is as exact as the values are large, however small the gradient.
    tolerance = 1e-6 * np.sum(np.abs(u) * (1 + np.abs(y)))
    for gradient, wanted in zip(pullback(u), expected, strict=True):
        np.testing.assert_allclose(gradient, wanted, atol=tolerance)


@given(st.integers(0, 99))
def test_directional_derivatives_of_a_model_are_those_of_differences(seed):
    x, dx = data(5, 6, seed=seed), data(5, 6, seed=seed + 100)
    w, dw = data(MODEL.num_parameters(), seed=seed), data(MODEL.num_parameters(), seed=seed + 100)
    y, dy = MODEL.jvp(x, w, dx, dw)
    expected = finite_difference_jvp(MODEL, (x, w), (dx, dw))
    tolerance = 1e-6 * (1 + np.abs(y).max() + np.abs(expected).max())
    np.testing.assert_allclose(dy, expected, atol=tolerance)


LAYERS = [
    (MODEL, data(5, 6)),
    (af.Pointwise("sigmoid"), data(5, 6)),
    (af.Reshape((6,), (3, 2)), data(5, 6)),
    (af.Concatenation(dims=(2, 3)), [data(5, 2), data(5, 3)]),
    (FUSIONS, [data(5, 3), data(5, 4)]),
    (af.Sequential([af.Pointwise("tanh"), af.Reshape((6,), (6, 1))]), data(5, 6)),
]


@pytest.mark.parametrize(("layer", "x"), LAYERS, ids=lambda value: type(value).__name__)
def test_the_two_derivatives_of_a_layer_are_each_others_transpose(layer, x):
    w = layer.init(rng=0)
    y = layer(x, w)
    dx = [a + 1 for a in x] if isinstance(x, list) else x + 1
    dw = None if w is None else np.cos(w)
    forward, backward = pairing(layer, x, w, dx, dw, data(*y.shape))
    assert forward == pytest.approx(backward)


def test_a_layer_without_learned_numbers_takes_none_for_them():
    layer = af.Sequential([af.Pointwise("relu")])
    np.testing.assert_array_equal(layer(np.asarray([-1.0, 2.0]), None), [0.0, 2.0])
    assert layer.num_parameters() == 0


@pytest.mark.parametrize("function", ["tanh", "sigmoid", "relu"])
def test_nan_passes_through_a_pointwise_function(function):
    y = af.Pointwise(function)(np.asarray([np.nan, 1.0]))
    assert np.isnan(y[0])
    assert not np.isnan(y[1])


def test_value_and_grad_feeds_minimize():
    x, target = data(20, 6), np.tanh(data(20, 3, seed=1))
    objective = value_and_grad(MODEL, mean_squared_error)
    w = MODEL.init(rng=0)
    fit = minimize(objective, w, args=(x, target), jac=True, method="L-BFGS-B", options={"maxiter": 30})
    assert fit.fun < objective(w, x, target)[0] / 2


def test_scipy_objective_has_float64_outside_and_the_arrays_of_x_inside():
    torch = pytest.importorskip("torch")
    x, target = data(20, 6), data(20, 3, seed=1)
    objective = scipy_objective(
        MODEL, mean_squared_error, torch.asarray(x).float(), torch.asarray(target).float()
    )
    w = MODEL.init(rng=0)
    value, grad = objective(w)
    assert isinstance(value, float)
    assert grad.dtype == np.float64
    expected_value, expected_grad = value_and_grad(MODEL, mean_squared_error)(w, x, target)
    assert value == pytest.approx(expected_value, rel=1e-5)
    np.testing.assert_allclose(grad, expected_grad, atol=1e-5)


def test_scipy_objective_of_bfloat16():
    x, target = (array_of("torch", "bfloat16", data(20, k, seed=k)) for k in (6, 3))
    role = af.Reconciliation(fabrication=af.LowRank(r=2), n=3, D=6)
    w = role.init(rng=0)
    value, grad = scipy_objective(role, mean_squared_error, x, target)(w)
    assert grad.dtype == np.float64
    expected_value, expected_grad = value_and_grad(role, mean_squared_error)(
        w, data(20, 6, seed=6), data(20, 3, seed=3)
    )
    assert value == pytest.approx(expected_value, rel=0.02)
    np.testing.assert_allclose(grad, expected_grad, atol=0.02)


BAD = {
    "length": (lambda: MODEL(data(5, 6), np.ones(3)), "Sequential: w must hold"),
    "list for w": (lambda: MODEL(data(5, 6), [1.0]), "Sequential: w must be an array"),
    "no layers": (lambda: af.Sequential([]), "Sequential: layers must hold at least one layer"),
    "function": (lambda: af.Pointwise("cube"), "Pointwise: function must be one of"),
    "reshape": (lambda: af.Reshape((4,), (3,)), "Reshape: (4,) does not hold as many numbers as (3,)"),
    "cotangent": (lambda: af.Pointwise("tanh").vjp(data(2, 3))[1](data(3)), "grad_y must have shape (2, 3)"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_to_layers_gets_a_clear_error(name):
    assert_refused(*BAD[name])
