"""The door to JAX: every transformation against JAX through the dense formula, what is kept, and pytrees."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from dense_reference import (
    FABRICATIONS,
    NAMED,
    ROLES,
    assert_equal,
    by_fabrication,
    by_name,
    example,
    integers,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import arrayfab as af
from arrayfab import frozen
from arrayfab.structures import streamed

jax = pytest.importorskip("jax", reason="JAX is not installed")
from arrayfab.interop import jax as door  # noqa: E402

jnp, P = jax.numpy, jax.sharding.PartitionSpec

few_by_name = pytest.mark.parametrize(
    ("role_case", "case"), NAMED[1::3], ids=[f"{role.name}-{case.name}" for role, case in NAMED[1::3]]
)
by_mode = pytest.mark.parametrize("mode", ["reverse", "forward"])


@pytest.fixture(autouse=True, scope="module")
def double_precision():
    jax.config.update("jax_enable_x64", True)


def made(role_case, case):
    return role_case.build(case.build(*role_case.matrix_shape, jnp.asarray))


def on_device(role_case, data):
    return role_case.packed([jnp.asarray(x) for x in data.xs]), jnp.asarray(data.w)


def dense_of(role_case, case):
    return lambda x, w: role_case.dense(jnp, case, role_case.unpacked(x), w)


def assert_alike(actual, expected, is_exact):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for left, right in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert_equal(left, np.asarray(right), is_exact)


# Derivatives.


@by_mode
@pytest.mark.parametrize(
    ("role_case", "case"),
    [*NAMED, *((role, case) for role in ROLES for case in FABRICATIONS if case.name in ("lphm", "constant"))],
    ids=lambda case: case.name,
)
def test_gradients_are_those_of_the_dense_formula(role_case, case, mode):
    data = example(role_case, case)
    f, u = door.function(made(role_case, case), mode), jnp.asarray(data.u)
    x, w = on_device(role_case, data)
    grad_x, grad_w = jax.jit(jax.grad(lambda x, w: jnp.sum(u * f(x, w)), argnums=(0, 1)))(x, w)
    assert_equal(grad_w, data.grad_w, case.is_exact)
    for gradient, expected in zip(role_case.unpacked(grad_x), data.grad_xs, strict=True):
        assert_equal(gradient, expected, case.is_exact)


@cache
def pulled_back(role_case, case, mode):
    """The result and the gradients for batches, by the door and through the dense formula, compiled."""
    axes = ",".join(f"(b,c{i})" for i in range(len(role_case.x_shapes)))

    def dense(x, w):
        formula = jnp.vectorize(
            lambda *arrays: role_case.dense(jnp, case, arrays[:-1], arrays[-1]),
            signature=f"{axes},(l)->(b,d)",
        )
        return formula(*role_case.unpacked(x), w)

    def both(x, w, u):
        for f in (door.function(made(role_case, case), mode), dense):
            y, pullback = jax.vjp(f, x, w)
            yield y, *pullback(u)

    return jax.jit(lambda x, w, u: tuple(both(x, w, u)))


@by_name
@by_mode
@pytest.mark.parametrize(("x_lead", "w_lead"), [((), (2,)), ((3, 1), (2,))], ids=str)
@settings(max_examples=5)
@given(seed=st.integers(0, 2**32))
def test_batches_are_those_of_the_dense_formula(role_case, case, mode, x_lead, w_lead, seed):
    xs = [integers(seed + i, *x_lead, *shape) for i, shape in enumerate(role_case.x_shapes)]
    w = integers(seed + 9, *w_lead, role_case.length(case))
    y_shape = example(role_case, case, x_lead, w_lead).y.shape
    u = jnp.asarray(integers(seed + 10, *y_shape))
    ours, theirs = pulled_back(role_case, case, mode)(role_case.packed(list(map(jnp.asarray, xs))), w, u)
    assert_alike(ours, theirs, case.is_exact)


@by_name
def test_directional_derivatives_are_those_of_the_dense_formula(role_case, case):
    data = example(role_case, case)
    f, primals = door.function(made(role_case, case), "forward"), on_device(role_case, data)
    tangents = role_case.packed([jnp.asarray(dx) for dx in data.dxs]), jnp.asarray(data.dw)
    y, dy = jax.jit(lambda *args: jax.jvp(f, args[:2], args[2:]))(*primals, *tangents)
    assert_equal(y, data.y, case.is_exact)
    assert_equal(dy, data.dy, case.is_exact)


@by_name
@by_mode
@pytest.mark.parametrize("transform", ["jacobian", "forward over reverse", "reverse over reverse"])
def test_jacobians_and_hessians_are_those_of_the_dense_formula(role_case, case, mode, transform):
    data = example(role_case, case)
    f, (x, w) = door.function(made(role_case, case), mode), on_device(role_case, data)

    def transformed(f):
        if transform == "jacobian":
            return jax.jit(jax.jacrev(f, argnums=(0, 1)))(x, w)
        outer = jax.jacfwd if transform == "forward over reverse" else jax.jacrev
        return jax.jit(outer(jax.jacrev(lambda w: jnp.sum(f(x, w) ** 2))))(w)

    assert_alike(transformed(f), transformed(dense_of(role_case, case)), case.is_exact)


@by_name
def test_forward_mode_twice_and_around_reverse_mode(role_case, case):
    data = example(role_case, case)
    f, (x, w) = door.function(made(role_case, case), "forward"), on_device(role_case, data)
    for outer in (jax.jacfwd, jax.jacrev):
        ours, theirs = (
            jax.jit(outer(jax.jacfwd(lambda w, g=g: jnp.sum(g(x, w) ** 2))))(w)
            for g in (f, dense_of(role_case, case))
        )
        assert_alike(ours, theirs, case.is_exact)


@by_name
def test_reverse_mode_refuses_directional_derivatives(role_case, case):
    f, primals = door.function(made(role_case, case)), on_device(role_case, example(role_case, case))
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(f, primals, primals)


@by_name
@by_mode
def test_vmap_over_numbers_equals_batched_numbers(role_case, case, mode):
    f = door.function(made(role_case, case), mode)
    x, w = on_device(role_case, example(role_case, case))
    several = jnp.stack([w, 2 * w, -w])
    u = jnp.asarray(example(role_case, case).u)
    assert_equal(jax.vmap(f, (None, 0))(x, several), np.asarray(f(x, several)), case.is_exact)
    each = jax.jit(jax.vmap(jax.grad(lambda w: jnp.sum(u * f(x, w)))))(several)
    together = jax.grad(lambda ws: jnp.sum(u * jax.vmap(f, (None, 0))(x, ws)))(several)
    dense = jax.jit(jax.vmap(jax.grad(lambda w: jnp.sum(u * dense_of(role_case, case)(x, w)))))(several)
    assert_equal(each, np.asarray(dense), case.is_exact)
    assert_equal(together, np.asarray(dense), case.is_exact)


@few_by_name
@by_mode
def test_training_inside_scan(role_case, case, mode):
    data = example(role_case, case)
    f, (x, w) = door.function(made(role_case, case), mode), on_device(role_case, data)

    def trained(f):
        def step(w, rate):
            loss, grad = jax.value_and_grad(lambda w: jnp.mean(f(x, w) ** 2))(w)
            return w - rate * grad, loss

        return jax.jit(lambda w: jax.lax.scan(step, w, jnp.asarray([1e-3, 1e-3, 1e-4])))(w)

    def through(f):
        return jax.grad(lambda w: jnp.sum(jnp.cos(trained_from(f, w))))(w)

    def trained_from(f, w):
        return jax.lax.scan(lambda w, _: (w + 1e-3 * jnp.sum(f(x, w)), None), w, None, length=2)[0]

    dense = dense_of(role_case, case)
    assert_alike(trained(f), trained(dense), False)
    assert_alike(through(f), through(dense), False)


def test_a_model_of_layers():
    model = af.Sequential(
        [
            af.Parallel([af.Reconciliation(fabrication=af.LowRank(r=1), n=3, D=4)] * 2),
            af.ConcatenationFusion(fabrication=af.LowRank(r=2), dims=(3, 3), n=4),
            af.Pointwise("tanh"),
            af.Reshape((4,), (2, 2)),
        ]
    )
    x, w = jnp.asarray(integers(1, 5, 4)), jnp.asarray(model.init(rng=0))
    expected = jax.grad(lambda w: jnp.sum(model(x, w) ** 2))(w)
    for mode in ("reverse", "forward"):
        f = door.function(model, mode)
        assert_equal(jax.jit(jax.grad(lambda w, f=f: jnp.sum(f(x, w) ** 2)))(w), np.asarray(expected), False)


@by_mode
@pytest.mark.parametrize("w", [None, np.zeros(0)], ids=["none", "empty"])
def test_a_layer_without_numbers(mode, w):
    f, x = door.function(af.Pointwise("relu"), mode), jnp.asarray([[-1.0, 2.0]])
    w = w if w is None else jnp.asarray(w)
    _, pullback = jax.vjp(f, x, w)
    grad_x, grad_w = pullback(jnp.asarray([[5.0, 7.0]]))
    assert_equal(grad_x, np.asarray([[0.0, 7.0]]))
    assert w is None or grad_w.shape == (0,)


@by_mode
def test_a_fusion_takes_tuples_and_a_layer_may_return_lists(mode):
    fusion = door.function(af.ConcatenationFusion(fabrication=af.Eye(), dims=(2, 2)), mode)
    xs, w = (jnp.ones((3, 2)), jnp.ones((3, 2))), jnp.zeros(0)
    grads = jax.grad(lambda xs: jnp.sum(fusion(xs, w)))(xs)
    assert isinstance(grads, tuple)
    both = door.function(af.Parallel([af.Pointwise("relu")] * 2), mode)
    assert_equal(jax.grad(lambda x: sum(jnp.sum(y) for y in both(x, w)))(xs[0]), np.full((3, 2), 2.0))


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match=r"mode must be one of \['reverse', 'forward'\], got 'both'"):
        door.function(af.Pointwise("tanh"), "both")


# Memory.


def kept_bytes(f, x, w):
    return sum(leaf.nbytes for leaf in jax.tree.leaves(jax.vjp(f, x, w)[1]))


@by_name
def test_nothing_but_the_inputs_is_kept(role_case, case):
    x, w = on_device(role_case, example(role_case, case))
    inputs = sum(array.nbytes for array in jax.tree.leaves((x, w)))
    assert kept_bytes(door.function(made(role_case, case)), x, w) == inputs


@pytest.mark.parametrize("storage", ["cached", "streamed"])
@settings(max_examples=4)
@given(n=st.integers(8, 40), D=st.integers(8, 40), b=st.integers(1, 9))
def test_what_is_kept_does_not_grow_with_the_matrix(storage, n, D, b):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamed, "TILE", 64)
        role = af.Reconciliation(fabrication=af.RandomMatrixHypernet(l=5, storage=storage), n=n, D=D)
        x, w = jnp.ones((b, D)), jnp.ones(5)
        assert kept_bytes(door.function(role), x, w) == 8 * (b * D + 5)


def test_the_temporaries_of_a_compiled_step_are_not_those_of_the_matrix():
    m = 512
    role = af.ParameterizedInterdependence(fabrication=af.LowRank(r=2), m=m)
    x, w = jnp.ones((4, m)), jnp.ones(role.num_parameters())
    f = door.function(role)
    step = jax.jit(jax.grad(lambda w: jnp.sum(f(x, w) ** 2)))
    assert step.lower(w).compile().memory_analysis().temp_size_in_bytes < 8 * m * m / 4


TRACES = {
    "jit": lambda f, w: jax.jit(f)(w),
    "grad": lambda f, w: jax.grad(lambda w: jnp.sum(f(w)))(w),
    "grad under jit": lambda f, w: jax.jit(jax.grad(lambda w: jnp.sum(f(w))))(w),
    "jvp": lambda f, w: jax.jvp(f, (w,), (w,))[0],
    "linearize": lambda f, w: jax.linearize(f, w)[0],
    "vmap": lambda f, w: jax.vmap(f)(jnp.stack([w, w]))[0],
    "vmap with a name": lambda f, w: jax.vmap(f, axis_name="i")(jnp.stack([w, w]))[0],
    "eval_shape": lambda f, w: jax.eval_shape(f, w) and f(w),
    "make_jaxpr": lambda f, w: jax.make_jaxpr(f)(w) and f(w),
    "checkpoint": lambda f, w: jax.checkpoint(f)(w),
    "scan": lambda f, w: jax.lax.scan(lambda w, _: (w, f(w)), w, None, length=2)[1][1],
    "cond": lambda f, w: jax.lax.cond(w[0] > -99, f, lambda w: 0 * f(w), w),
    "while_loop": lambda f, w: jax.lax.while_loop(
        lambda c: c[0] < 1, lambda c: (c[0] + 1, f(w)), (0, jnp.zeros((2, 3)))
    )[1],
    "map": lambda f, w: jax.lax.map(f, jnp.stack([w, w]))[0],
    "pmap": lambda f, w: jax.pmap(f)(w[None])[0],
    "shard_map": lambda f, w: jax.shard_map(
        f, mesh=jax.make_mesh((1,), ("i",)), in_specs=P(), out_specs=P(), check_vma=False
    )(w),
    "export": lambda f, w: jax.export.export(jax.jit(f))(w).call(w),
    "without jit": lambda f, w: without_jit(f, w),
}


def without_jit(f, w):
    with jax.disable_jit():
        return jax.jit(f)(w)


@pytest.mark.parametrize("storage", ["cached", "streamed"])
@pytest.mark.parametrize("name", TRACES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_nothing_traced_stays_in_the_cache(name, storage, monkeypatch):
    monkeypatch.setattr(streamed, "TILE", 4)
    frozen.cache.clear()
    role = af.Reconciliation(fabrication=af.RandomMatrixAdaption(r=2, seed=11, storage=storage), n=3, D=4)
    x, w = integers(1, 2, 4), integers(2, 5)
    y, pullback = role.vjp(x, w)
    expected = pullback(np.ones_like(y))[1] if "grad" in name else y
    found = TRACES[name](lambda w: role(jnp.asarray(x), w), jnp.asarray(w))
    assert not any(isinstance(held, jax.core.Tracer) for held in frozen.cache._held.values())
    assert_equal(found, expected, False)
    for f in (role.__call__, jax.jit(role.__call__)):
        assert_equal(f(jnp.asarray(x), jnp.asarray(w)), y, False)


# Pytrees.


@pytest.mark.parametrize(
    ("role_case", "case"),
    [*((ROLES[0], case) for case in FABRICATIONS), *((role, FABRICATIONS[-1]) for role in ROLES)],
    ids=lambda case: case.name,
)
def test_configurations_are_pytrees_without_leaves(role_case, case):
    role = made(role_case, case)
    leaves, form = jax.tree.flatten({"role": role, "fabrication": role.fabrication})
    assert leaves == []
    assert jax.tree.unflatten(form, leaves) == {"role": role, "fabrication": role.fabrication}


def test_a_configuration_is_an_argument_of_a_jitted_function():
    @jax.jit
    def grad(layer, x, w):
        return jax.grad(lambda w: jnp.sum(door.function(layer)(x, w)))(w)

    for r in (1, 2):
        layer = af.Sequential([af.Reconciliation(fabrication=2.0 * af.LowRank(r=r), n=3, D=4)])
        x, w = jnp.ones((2, 4)), jnp.ones(7 * r)
        assert_equal(grad(layer, x, w), np.asarray(layer.vjp(x, w)[1](jnp.ones((2, 3)))[1]))


def test_a_class_of_ones_own_can_be_registered():
    @dataclass(frozen=True, kw_only=True)
    class Diagonal(af.Fabrication):
        def blocks(self, n, D):
            return {"A": (n, D)}

        def matrix(self, n, D, A):
            return A

    door.register(Diagonal)
    assert jax.tree.leaves(Diagonal()) == []


@by_fabrication
def test_a_structured_matrix_is_a_pytree_of_its_numbers(case):
    handed_in = [jnp.asarray(array) for array in case.frozen(6, 4).values()]
    w, x = jnp.asarray(integers(1, case.length(6, 4))), jnp.asarray(integers(2, 3, 4))
    W = case.build(6, 4, jnp.asarray).fabricate(w, 6, 4).T
    leaves = jax.tree.leaves(W)
    for leaf, expected in zip(leaves, [w, *handed_in], strict=True):
        assert_equal(leaf, np.asarray(expected))
    dense = case.dense(np, np.asarray(w), 6, 4).T
    through = jax.jit(lambda W: W)(W)
    assert_equal(through.to_dense(), dense, case.is_exact)
    assert_equal(jax.jit(lambda W: x @ W)(W), np.asarray(x) @ dense, case.is_exact)
    _, doubled = jax.lax.scan(lambda W, _: (W, W.to_dense()), W, None, length=2)
    assert_equal(doubled, np.stack([dense, dense]), case.is_exact)


def test_gradients_and_updates_of_a_structured_matrix():
    case = next(case for case in FABRICATIONS if case.name == "adaption_handed_in")
    w, x = jnp.asarray(integers(1, case.length(6, 4))), jnp.asarray(integers(2, 3, 6))
    W = case.build(6, 4, jnp.asarray).fabricate(w, 6, 4)
    grad = jax.grad(lambda W: jnp.sum((x @ W) ** 2))(W)
    assert isinstance(grad, af.StructuredMatrix)
    lambda_1, lambda_2 = w[:6], w[6:]

    def formula(lambda_1, lambda_2, A, B):
        return jnp.sum((x @ (jnp.diag(lambda_1) @ A @ jnp.diag(lambda_2) @ B.T)) ** 2)

    g1, g2, gA, gB = jax.grad(formula, argnums=(0, 1, 2, 3))(
        lambda_1, lambda_2, *map(jnp.asarray, case.frozen(6, 4).values())
    )
    for ours, theirs in zip(jax.tree.leaves(grad), [jnp.concat([g1, g2]), gA, gB], strict=True):
        assert_equal(ours, np.asarray(theirs))
    moved = jax.tree.map(lambda p, g: p - g, W, grad)
    assert_equal(moved.w, np.asarray(w - grad.w))


def test_vmap_returns_a_batched_structured_matrix():
    case = next(case for case in FABRICATIONS if case.name == "lphm")
    w, x = jnp.asarray(integers(1, 3, case.length(6, 4))), jnp.asarray(integers(2, 3, 5, 6))
    W = jax.vmap(lambda w: case.fabrication.fabricate(w, 6, 4))(w)
    assert W.shape == (3, 6, 4)
    expected = np.stack([case.dense(np, each, 6, 4) for each in np.asarray(w)])
    assert_equal(W.to_dense(), expected)
    assert_equal(jax.vmap(lambda W, x: x @ W)(W, x), np.asarray(x) @ expected)


def test_a_structured_matrix_may_hold_placeholders():
    W = af.LowRank(r=1).fabricate(jnp.ones(5), 2, 3)
    axes = jax.tree.map(lambda leaf: 0, W)
    assert axes.w == 0
    assert jax.eval_shape(lambda: W).shape == (2, 3)
