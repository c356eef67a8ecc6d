"""The door to HIPS autograd: derivatives against the dense formula, once."""

import numpy as np
import pytest
from dense_reference import (
    assert_equal,
    by_fabrication,
    by_lead,
    by_name,
    by_role,
    example,
    gradients,
    integers,
)

import arrayfab as af

autograd = pytest.importorskip("autograd", reason="autograd is not installed")
from arrayfab.interop import autograd as door  # noqa: E402

anp = autograd.numpy


def made(role_case, case):
    return role_case.build(case.build(*role_case.matrix_shape))


@by_lead
@by_role
@by_fabrication
def test_gradients_are_those_of_the_dense_formula(role_case, case, w_lead):
    data = example(role_case, case, (), w_lead)
    f = door.function(made(role_case, case))
    x = role_case.packed(data.xs)
    grad_x, grad_w = autograd.grad(lambda x, w: anp.sum(data.u * f(x, w)), (0, 1))(x, data.w)
    assert_equal(grad_w, data.grad_w, case.is_exact)
    for gradient, expected in zip(role_case.unpacked(grad_x), data.grad_xs, strict=True):
        assert_equal(gradient, expected, case.is_exact)


@by_name
def test_jacobians_are_those_of_the_dense_formula(role_case, case):
    data = example(role_case, case)
    f, x = door.function(made(role_case, case)), role_case.packed(data.xs)
    jacobian = autograd.jacobian(lambda w: f(x, w))(data.w)
    for i in np.ndindex(data.y.shape):
        one = np.zeros(data.y.shape)
        one[i] = 1.0
        row = gradients(
            lambda *arrays: role_case.dense(np, case, arrays[:-1], arrays[-1]),
            (*data.xs, data.w),
            one,
            case.is_exact,
        )[-1]
        assert_equal(jacobian[i], row, case.is_exact)


@by_name
def test_directional_derivatives_are_those_of_the_dense_formula(role_case, case):
    data = example(role_case, case)
    f, xs = door.function(made(role_case, case)), data.xs
    role = made(role_case, case)
    y, dy = autograd.make_jvp(lambda w: f(role_case.packed(xs), w))(data.w)(data.dw)
    assert_equal(y, data.y, case.is_exact)
    assert_equal(
        dy,
        role.jvp(role_case.packed(xs), data.w, role_case.packed([0 * x for x in xs]), data.dw)[1],
        case.is_exact,
    )

    def moved(t):  # x and w at once
        return f(
            role_case.packed([x + t * dx for x, dx in zip(xs, data.dxs, strict=True)]), data.w + t * data.dw
        )

    assert_equal(autograd.make_jvp(moved)(0.0)(1.0)[1], data.dy, case.is_exact)


@by_name
def test_second_derivatives_are_refused(role_case, case):
    data = example(role_case, case)
    f, x = door.function(made(role_case, case)), role_case.packed(data.xs)

    def loss(w):
        return anp.sum(f(x, w) ** 2)

    for twice in (
        lambda: autograd.hessian(loss)(data.w),
        lambda: autograd.make_jvp(autograd.grad(loss))(data.w)(data.dw),
        lambda: autograd.make_jvp(lambda w: autograd.make_jvp(loss)(w)(data.dw)[1])(data.w)(data.dw),
    ):
        with pytest.raises(NotImplementedError, match="differentiates once"):
            twice()


def test_a_model_of_layers_between_functions_of_autograd():
    model = af.Sequential(
        [
            af.Reconciliation(fabrication=af.LowRank(r=1), n=3, D=4),
            af.Pointwise("tanh"),
            af.Reshape((3,), (3, 1)),
        ]
    )
    f, x, w = door.function(model), integers(1, 5, 4), model.init(rng=0)
    gradient = autograd.grad(lambda w: anp.sum(f(x, anp.exp(w)) ** 2))(w)
    y, pullback = model.vjp(x, np.exp(w))
    assert_equal(gradient, pullback(2 * y)[1] * np.exp(w), False)


def test_layers_without_numbers_and_with_several_results():
    x = integers(1, 5, 4)
    both = door.function(af.Parallel([af.Pointwise("relu")] * 2))
    for w in (None, np.zeros(0)):
        gradient = autograd.grad(lambda x, w=w: sum(anp.sum(y) for y in both(x, w)))(x)
        assert_equal(gradient, 2.0 * (x > 0))
    grad_w = autograd.grad(lambda w: anp.sum(door.function(af.Pointwise("relu"))(x, w)))(np.zeros(0))
    assert grad_w.shape == (0,)


def test_some_inputs_of_a_fusion_may_be_constant():
    f = door.function(af.ConcatenationFusion(fabrication=af.Full(), dims=(2, 1), n=1))
    fixed, w = np.ones((4, 1)), np.asarray([1.0, 2.0, 3.0])
    assert_equal(
        autograd.grad(lambda x: anp.sum(f([x, fixed], w)))(np.ones((4, 2))), np.tile([1.0, 2.0], (4, 1))
    )
