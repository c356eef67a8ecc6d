"""Against JAX and PyTorch differentiating, and under their and Dask's deferred execution."""

import numpy as np
import pytest
from dense_reference import FABRICATIONS, assert_equal, by_fabrication, by_role, example, integers
from namespaces import ENTRIES

import arrayfab as af
from arrayfab import frozen

with_frozen_blocks = pytest.mark.parametrize(
    "case",
    [
        case
        for case in FABRICATIONS
        if case.name in ("masked", "adaption", "hypernet", "random_matrix_hypernet")
    ],
    ids=lambda case: case.name,
)


@pytest.fixture(scope="module")
def jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    return jax


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@by_role
@by_fabrication
def test_gradients_equal_those_of_jax_through_the_dense_formula(jax, role_case, case):
    data = example(role_case, case)
    role = role_case.build(case.build(*role_case.matrix_shape))
    y, pullback = role.vjp(role_case.packed(data.xs), data.w)
    grad_x, grad_w = pullback(data.u)
    dense_y, dense_pullback = jax.vjp(lambda xs, w: role_case.dense(jax.numpy, case, xs, w), data.xs, data.w)
    dense_grad_xs, dense_grad_w = dense_pullback(jax.numpy.asarray(data.u))
    pairs = [
        (y, dense_y),
        (grad_w, dense_grad_w),
        *zip(role_case.unpacked(grad_x), dense_grad_xs, strict=True),
    ]
    for actual, expected in pairs:
        assert_equal(actual, np.asarray(expected), case.is_exact)


@by_role
def test_jax_differentiates_the_matrix_free_product(jax, role_case):
    case = next(case for case in FABRICATIONS if case.name == "lphm")
    data, role = example(role_case, case), role_case.build(case.fabrication)
    packed = role_case.packed([jax.numpy.asarray(x) for x in data.xs])

    def loss(x, w):
        return jax.numpy.sum(jax.numpy.asarray(data.u) * role(x, w))

    grad_x, grad_w = jax.jit(jax.grad(loss, argnums=(0, 1)))(packed, jax.numpy.asarray(data.w))
    assert_equal(grad_w, data.grad_w)
    for gradient, expected in zip(role_case.unpacked(grad_x), data.grad_xs, strict=True):
        assert_equal(gradient, expected)


@by_role
@by_fabrication
def test_pytorch_differentiates_the_matrix_free_product(torch, role_case, case):
    data = example(role_case, case)
    role = role_case.build(case.build(*role_case.matrix_shape, torch.from_numpy))
    xs, w = [torch.tensor(x, requires_grad=True) for x in data.xs], torch.tensor(data.w, requires_grad=True)
    torch.sum(torch.from_numpy(data.u) * role(role_case.packed(xs), w)).backward()
    zeros = np.zeros(data.w.shape)
    assert_equal(zeros if w.grad is None else w.grad, data.grad_w, case.is_exact)
    for x, expected in zip(xs, data.grad_xs, strict=True):
        assert_equal(x.grad, expected, case.is_exact)


@with_frozen_blocks
def test_nothing_traced_stays_in_the_cache(jax, case):
    frozen.cache.clear()
    fabrication, w = case.build(6, 4), integers(1, case.length(6, 4))

    def dense(w):
        return fabrication.fabricate(w, 6, 4).to_dense()

    first, second = (
        jax.jit(function)(jax.numpy.asarray(w)) for function in (dense, lambda w: 1.0 * dense(w))
    )
    for W in (first, second, dense(jax.numpy.asarray(w))):
        assert_equal(W, case.dense(np, w, 6, 4), is_exact=False)


def test_jax_traces_with_concrete_data(jax):
    x, w = jax.numpy.asarray(integers(1, 5, 6)), jax.numpy.asarray(integers(2, 20))
    role = af.ParameterizedInterdependence(fabrication=af.LowRank(r=2), m=6, m_prime=4)
    expected = role.vjp(x, w)[1](jax.numpy.ones((5, 4)))[1]
    assert_equal(jax.grad(lambda w: jax.numpy.sum(role(x, w)))(w), np.asarray(expected))
    several = jax.numpy.stack([w, 2 * w])
    assert_equal(jax.vmap(lambda w: role(x, w))(several), np.asarray(role(x, several)))


@by_role
@with_frozen_blocks
def test_dask_computes_nothing_before_it_is_asked(role_case, case):
    dask = pytest.importorskip("dask")
    namespace = next(entry for entry in ENTRIES if entry.name == "dask")
    data, role = example(role_case, case), role_case.build(case.fabrication)

    def refuse(*args, **kwargs):
        raise AssertionError("computed before it was asked for")

    with dask.config.set(scheduler=refuse):
        xs, w = [namespace.asarray(x) for x in data.xs], namespace.asarray(data.w)
        y, pullback = role.vjp(role_case.packed(xs), w)
        _, grad_w = pullback(namespace.asarray(data.u))
    assert_equal(namespace.to_numpy(y), data.y, case.is_exact)
    assert_equal(namespace.to_numpy(grad_w), data.grad_w, case.is_exact)
