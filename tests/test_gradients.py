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
