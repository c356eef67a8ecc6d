"""The roles with every fabrication: shapes, products, gradients and directional derivatives."""

import numpy as np
import pytest
from dense_reference import (
    FABRICATIONS,
    ROWWISE,
    assert_equal,
    by_fabrication,
    by_role,
    gradients,
    integers,
    role_cases,
)

import arrayfab as af

exact_cases = [case for case in FABRICATIONS if case.is_exact]
some_cases = [
    case for case in exact_cases if case.name in ("eye", "full", "lphm", "adaption_handed_in", "sum")
]
by_some_fabrication = pytest.mark.parametrize("case", some_cases, ids=lambda case: case.name)


def named(cases, name):
    return next(case for case in cases if case.name == name)


def made(role_case, case):
    return role_case.build(case.build(*role_case.matrix_shape))


def inner(left, right):
    """The inner product of two arrays or of two lists of arrays."""
    if isinstance(left, list):
        return sum(inner(a, b) for a, b in zip(left, right, strict=True))
    return np.sum(left * right)


@by_role
@by_fabrication
def test_number_of_parameters(role_case, case):
    role = made(role_case, case)
    assert role.num_parameters() == role_case.length(case) == role.init(rng=0).shape[0]


@by_some_fabrication
@pytest.mark.parametrize("role_case", ROWWISE, ids=lambda role: role.name)
@pytest.mark.parametrize("x_lead", [(), (2,), (2, 1, 3)], ids=str)
def test_rows_may_lie_along_any_number_of_axes(role_case, case, x_lead):
    role, w = made(role_case, case), integers(1, role_case.length(case))
    whole = [integers(2 + i, *x_lead, 5, s[1]) for i, s in enumerate(role_case.x_shapes)]
    y = role(role_case.packed(whole), w)
    single = role(role_case.packed([x[..., 3, :] for x in whole]), w)
    assert_equal(single, y[..., 3, :])
    y, pullback = role.vjp(role_case.packed([x[..., 3, :] for x in whole]), w)
    grad_x, _ = pullback(y)
    for gradient, x in zip(role_case.unpacked(grad_x), whole, strict=True):
        assert gradient.shape == x[..., 3, :].shape


@pytest.mark.parametrize("role_case", ROWWISE, ids=lambda role: role.name)
def test_a_single_row_with_batched_numbers(role_case):
    case = named(FABRICATIONS, "lphm")
    role, w = made(role_case, case), integers(1, 3, role_case.length(case))
    xs = [integers(2 + i, shape[1]) for i, shape in enumerate(role_case.x_shapes)]
    y, pullback = role.vjp(role_case.packed(xs), w)
    u = integers(9, *y.shape)
    grad_x, grad_w = pullback(u)
    assert_equal(y, np.stack([role_case.dense(np, case, xs, each) for each in w]))

    def formula(*arrays):
        return np.stack([role_case.dense(np, case, arrays[:-1], each) for each in arrays[-1]])

    *grads, expected = gradients(formula, (*xs, w), u, True)
    assert_equal(grad_w, expected)
    for gradient, wanted in zip(role_case.unpacked(grad_x), grads, strict=True):
        assert_equal(gradient, wanted)


@by_some_fabrication
@pytest.mark.parametrize("role_case", ROWWISE, ids=lambda role: role.name)
def test_no_rows_at_all(role_case, case):
    role, w = made(role_case, case), integers(1, role_case.length(case))
    x = role_case.packed([np.zeros((0, shape[1])) for shape in role_case.x_shapes])
    y, pullback = role.vjp(x, w)
    assert y.shape == (
        0,
        role_case.apply(
            np, [np.zeros(s) for s in role_case.x_shapes], np.zeros(role_case.matrix_shape), 0
        ).shape[1],
    )
    assert not np.any(pullback(y)[1])


@pytest.mark.parametrize("role_class", [af.ParameterizedInterdependence, af.BilinearInterdependence])
@pytest.mark.parametrize(
    ("first", "synonyms"),
    [
        ("attribute", ["attribute_interdependence", "column", "right"]),
        ("instance", ["instance_interdependence", "row", "left"]),
    ],
)
def test_synonyms_of_the_types(role_class, first, synonyms):
    x = integers(1, 4, 4)
    w = integers(2, 16)
    results = [
        role_class(fabrication=af.Full(), b=4, m=4, interdependence_type=name)(x, w)
        for name in (first, *synonyms)
    ]
    for other in results[1:]:
        assert_equal(other, results[0])


LARGE = role_cases(b=48, n=36, D=40)


@pytest.mark.parametrize("role_case", LARGE, ids=lambda role: role.name)
@pytest.mark.parametrize(
    "name",
    ["full", "masked", "low_rank", "lphm", "dual_lphm", "adaption_handed_in", "diagonal_padding", "sum"],
)
@pytest.mark.parametrize(("x_lead", "w_lead"), [((), ()), ((2,), (2,)), ((2,), ()), ((), (2,))], ids=str)
def test_arrays_that_are_not_thin(role_case, name, x_lead, w_lead):
    case = named(FABRICATIONS, name)
    role = made(role_case, case)
    xs = [integers(i, *x_lead, *shape) for i, shape in enumerate(role_case.x_shapes)]
    w = integers(7, *w_lead, role_case.length(case))
    y, pullback = role.vjp(role_case.packed(xs), w)
    lead = np.broadcast_shapes(x_lead, w_lead)
    for i in np.ndindex(lead):
        each = [np.broadcast_to(x, lead + x.shape[-2:])[i] for x in xs]
        assert_equal(y[i], role_case.dense(np, case, each, np.broadcast_to(w, (*lead, w.shape[-1]))[i]))
    u, dxs, dw = (
        integers(8, *y.shape),
        [integers(20 + i, *x.shape) for i, x in enumerate(xs)],
        integers(9, *w.shape),
    )
    grad_x, grad_w = pullback(u)
    moved = [x + 1j * 2.0**-300 * d for x, d in zip(xs, dxs, strict=True)]
    expected = 0.0
    for i in np.ndindex(lead):
        each = [np.broadcast_to(x, lead + x.shape[-2:])[i] for x in moved]
        w_each = np.broadcast_to(w + 1j * 2.0**-300 * dw, (*lead, w.shape[-1]))[i]
        dy = np.rint(np.imag(role_case.dense(np, case, each, w_each)) * 2.0**300)
        expected += np.sum(u[i] * dy)
    assert inner(list(role_case.unpacked(grad_x)), dxs) + inner(grad_w, dw) == expected
    _, dy = role.jvp(role_case.packed(xs), w, role_case.packed(dxs), dw)
    assert inner(u, dy) == expected


def test_plain_concatenation():
    role = af.Concatenation(dims=(2, 3))
    x, u = [integers(1, 4, 2), integers(2, 4, 3)], integers(3, 4, 5)
    y, pullback = role.vjp(x)
    assert_equal(y, np.concatenate(x, axis=-1))
    grad_x, grad_w = pullback(u)
    assert grad_w is None
    assert_equal(grad_x[0], u[:, :2])
    assert_equal(grad_x[1], u[:, 2:])
    assert_equal(role.jvp(x, None, [2 * part for part in x])[1], 2 * y)
    assert role.num_parameters() == 0


def test_fusion_of_inputs_of_one_width_keeps_it():
    role = af.ConcatenationFusion(fabrication=af.LowRank(r=1), dims=(3, 3))
    assert role([np.ones((2, 3))] * 2, role.init(rng=0)).shape == (2, 3)


@by_role
@by_fabrication
def test_init_without_a_variance_works_for_every_pair(role_case, case):
    w = made(role_case, case).init(rng=0)
    assert np.all(np.isfinite(w))


@pytest.mark.parametrize("role_case", ROWWISE, ids=lambda role: role.name)
@pytest.mark.parametrize(
    "fabrication", [af.Full(), af.LowRank(r=4), af.DualLPHM(p=8, q=8, r=3), af.Masked(p=0.3)]
)
def test_init_keeps_the_scale_of_the_data(role_case, fabrication):
    role = named(role_cases(b=50, n=64, D=128), role_case.name).build(fabrication)
    rng = np.random.default_rng(0)
    shapes = named(role_cases(b=50, n=64, D=128), role_case.name).x_shapes
    squares = []
    for _ in range(40):
        x = role_case.packed([rng.standard_normal(shape) for shape in shapes])
        squares.append(np.mean(role(x, role.init(rng=rng)) ** 2))
    assert 0.7 < np.mean(squares) < 1.4


def test_leading_axes_are_as_long_as_they_are_where_rows_depend_on_each_other():
    role = af.ParameterizedInterdependence(
        fabrication=af.Eye(), b=3, b_prime=5, interdependence_type="instance"
    )
    x = integers(0, 7, 3, 4)
    for _ in range(3):
        y = role(x, np.zeros(0))
        np.testing.assert_array_equal(y, np.concatenate([x, np.zeros((7, 2, 4))], axis=1))
