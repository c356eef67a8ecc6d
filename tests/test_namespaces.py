"""Every role with every fabrication, on every namespace, against the dense formulas."""

from dataclasses import dataclass

import numpy as np
import pytest
from dense_reference import (
    FABRICATIONS,
    ROLES,
    ROWWISE,
    assert_equal,
    by_fabrication,
    by_role,
    example,
    integers,
)

import arrayfab as af
from arrayfab import frozen


@by_role
@by_fabrication
def test_product_and_gradients_equal_those_of_the_dense_formula(namespace, role_case, case):
    expected = example(role_case, case)
    role = role_case.build(case.build(*role_case.matrix_shape, namespace.asarray))

    def everything(x, w, u, dx, dw):
        y, pullback = role.vjp(x, w)
        return y, pullback(u), role.jvp(x, w, dx, dw)

    given = [expected.xs, (expected.w,), (expected.u,), expected.dxs, (expected.dw,)]
    inputs = [[namespace.asarray(a) for a in arrays] for arrays in given]
    xs, (w,), (u,), dxs, (dw,) = inputs
    y, (grad_x, grad_w), (y_again, dy) = namespace.compiled(everything)(
        role_case.packed(xs), w, u, role_case.packed(dxs), dw
    )
    actual = [y, y_again, dy, grad_w, *role_case.unpacked(grad_x)]
    wanted = [expected.y, expected.y, expected.dy, expected.grad_w, *expected.grad_xs]
    for array in actual:
        assert namespace.owns(array)
        assert array.dtype == namespace.dtype
    for array, numbers in zip(namespace.all_to_numpy(actual), wanted, strict=True):
        assert_equal(array, numbers, case.is_exact)
    for before, after in zip(given, inputs, strict=True):
        for numbers, array in zip(before, after, strict=True):
            np.testing.assert_array_equal(namespace.to_numpy(array), numbers)


@by_fabrication
def test_fabricated_matrix_equals_the_dense_formula(namespace, case):
    w = integers(1, case.length(6, 4))
    fabrication = case.build(6, 4, namespace.asarray)
    W = fabrication.fabricate(namespace.asarray(w), 6, 4)
    x, z = integers(2, 3, 6), integers(3, 4, 3)
    dense = case.dense(np, w, 6, 4)
    # An array of array_api_strict refuses x @ W before W is asked.
    rows = W.__rmatmul__(namespace.asarray(x))
    actual = [W.to_dense(), rows, W @ namespace.asarray(z)]
    for array in actual:
        assert namespace.owns(array)
        assert array.dtype == namespace.dtype == W.dtype
    for array, numbers in zip(namespace.all_to_numpy(actual), [dense, x @ dense, dense @ z], strict=True):
        assert_equal(array, numbers, case.is_exact)


@pytest.mark.parametrize("dtype_name", ["float32", "float64"])
@by_fabrication
def test_the_dtype_of_w_is_kept(namespace, case, dtype_name):
    fabrication = case.build(4, 4, lambda a: namespace.asarray(a, dtype_name))
    w = namespace.asarray(integers(1, case.length(4, 4)), dtype_name)
    W, pullback = fabrication.vjp(w, 4, 4)
    assert W.dtype == pullback(W).dtype == getattr(namespace.xp, dtype_name)


def test_batched_numbers_broadcast_on_every_namespace(namespace):
    case = next(case for case in FABRICATIONS if case.name == "sum")
    for role_case in ROLES:
        expected = example(role_case, case, (3, 1), (2,))
        role = role_case.build(case.fabrication)
        xs = [namespace.asarray(x) for x in expected.xs]
        y, pullback = role.vjp(role_case.packed(xs), namespace.asarray(expected.w))
        grad_x, grad_w = pullback(namespace.asarray(expected.u))
        actual = namespace.all_to_numpy([y, grad_w, *role_case.unpacked(grad_x)])
        for array, numbers in zip(actual, [expected.y, expected.grad_w, *expected.grad_xs], strict=True):
            assert_equal(array, numbers)


LAWS = [frozen.Gaussian(5, 3), frozen.Uniform(5, 3), frozen.Rademacher(5, 3), frozen.Bernoulli(5, 3, 0.4)]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_frozen_numbers_are_the_same_everywhere(namespace, law):
    drawn = frozen.Frozen(7, "A", law)
    array = frozen.cache.get(drawn, namespace.xp, namespace.dtype, namespace.device)
    assert namespace.owns(array)
    np.testing.assert_array_equal(namespace.to_numpy(array), drawn.draw().astype(namespace.dtype_name))


@dataclass(frozen=True, kw_only=True)
class Bare(af.Seeded):
    def frozen(self, n, D):
        return {"A": frozen.Gaussian(n, D)}

    def matrix(self, n, D, A):
        return A


@pytest.mark.parametrize("shape", [(5, 3), (3, 5)], ids=str)
def test_what_is_formed_of_a_frozen_matrix_is_not_the_one_that_is_kept(namespace, shape):
    bare, w = Bare(seed=3), namespace.asarray(np.zeros(0))
    forms = [bare.fabricate(w, *shape).to_dense(), bare.vjp(w, *shape)[0], bare.jvp(w, *shape, w)[0]]
    expected = frozen.Frozen(3, "A", frozen.Gaussian(*shape)).draw().astype(namespace.dtype_name)
    for array in forms:
        np.testing.assert_array_equal(namespace.to_numpy(array), expected)
        assert not any(array is held for held in frozen.cache._held.values())


@pytest.mark.parametrize("bias", [False, True])
def test_init_is_where_it_was_asked_for(namespace, bias):
    role = af.Reconciliation(fabrication=af.LowRank(r=1), n=3, D=4, bias=bias)
    w = role.init(rng=0, xp=namespace.xp, dtype=namespace.dtype, device=namespace.device)
    assert namespace.owns(w)
    assert w.dtype == namespace.dtype
    expected = role.init(rng=0).astype(namespace.dtype_name)
    np.testing.assert_array_equal(namespace.to_numpy(w), expected)
    assert not bias or not np.any(expected[-3:])


def test_init_gives_the_same_numbers_everywhere(namespace):
    fabrication = af.DualLPHM(p=2, q=2)
    w = fabrication.init(4, 6, rng=3, xp=namespace.xp, dtype=namespace.dtype, device=namespace.device)
    assert namespace.owns(w)
    assert w.dtype == namespace.dtype
    np.testing.assert_array_equal(
        namespace.to_numpy(w), fabrication.init(4, 6, rng=3).astype(namespace.dtype_name)
    )


@pytest.mark.parametrize("role_case", ROWWISE, ids=lambda role: role.name)
def test_not_a_number_stays_in_its_row(namespace, role_case):
    role = role_case.build(af.Full())
    numbers = example(role_case, next(case for case in FABRICATIONS if case.name == "full"))
    first, *others = (np.array(x) for x in numbers.xs)
    first[1, 0] = np.nan
    xs = [namespace.asarray(x) for x in (first, *others)]
    y = namespace.to_numpy(role(role_case.packed(xs), namespace.asarray(numbers.w)))
    assert np.all(np.isnan(y[1]))
    np.testing.assert_array_equal(np.delete(y, 1, axis=0), np.delete(numbers.y, 1, axis=0))


def test_not_a_number_among_the_learned_ones_comes_through(namespace):
    w = integers(1, 10)
    w[0] = np.nan
    W = namespace.to_numpy(af.LowRank(r=1).fabricate(namespace.asarray(w), 4, 6).to_dense())
    assert np.all(np.isnan(W[0]))
    assert not np.any(np.isnan(W[1:]))
