"""What comes in at a layer's door: byte order, numbers left out, plain layers, and what is refused."""

import numpy as np
import pytest
from dense_reference import by_fabrication, by_role, integers
from refusals import assert_refused

import arrayfab as af
from arrayfab.fabrications import SumOf
from arrayfab.gradients import mean_squared_error, softmax_cross_entropy, value_and_grad

EYE = af.Reconciliation(fabrication=af.Eye(), n=3, D=3)
LOW = af.Reconciliation(fabrication=af.LowRank(r=1), n=3, D=3, bias=True)


def foreign(array):
    """The same numbers in the other byte order."""
    return array.astype(array.dtype.newbyteorder())


def assert_native_and_equal(given, expected):
    given, expected = ([each] if not isinstance(each, list | tuple) else each for each in (given, expected))
    for one, other in zip(given, expected, strict=True):
        if isinstance(other, list | tuple):
            assert_native_and_equal(one, other)
        else:
            assert one.dtype == other.dtype
            assert one.dtype.isnative
            np.testing.assert_array_equal(one, other)


def everything(layer, x, w, change=lambda array: array):
    """What a layer gives for arrays that are changed first."""
    x, w = ([*map(change, x)] if isinstance(x, list) else change(x)), change(w)
    y, pullback = layer.vjp(x, w)
    return [layer(x, w), y, pullback(change(y)), layer.jvp(x, w, x, w)]


@by_role
@by_fabrication
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_arrays_in_the_other_byte_order_give_native_results(role_case, case, dtype):
    if case.name == "adaption_handed_in":  # in float64 alone
        dtype = np.float64
    role = role_case.build(case.build(*role_case.matrix_shape))
    xs = [integers(i, *shape).astype(dtype) for i, shape in enumerate(role_case.x_shapes)]
    x, w = role_case.packed(xs), integers(9, role_case.length(case)).astype(dtype)
    assert_native_and_equal(everything(role, x, w, foreign), everything(role, x, w))


def test_the_byte_order_does_not_matter_elsewhere():
    model = af.Sequential([LOW, af.Pointwise("tanh"), af.Reshape((3,), (3, 1)), af.Reshape((3, 1), (3,))])
    x, w, t = integers(1, 4, 3), 0.1 * integers(2, 9), integers(3, 4, 3)
    assert_native_and_equal(everything(model, x, w, foreign), everything(model, x, w))
    for loss, target in ((mean_squared_error, t), (softmax_cross_entropy, np.arange(4) % 3)):
        objective = value_and_grad(model, loss)
        assert_native_and_equal(objective(*map(foreign, (w, x, target))), objective(w, x, target))
        assert_native_and_equal(loss(foreign(x), foreign(target)), loss(x, target))
    fabrication, v = af.LPHM(p=2, q=2), integers(4, 12)
    W, dense = fabrication.fabricate(foreign(v), 4, 4), fabrication.fabricate(v, 4, 4).to_dense()
    z = integers(5, 2, 4)
    assert_native_and_equal([W.to_dense(), foreign(z) @ W, W @ foreign(z.T)], [dense, z @ dense, dense @ z.T])
    (one, pull), (other, pulled) = fabrication.vjp(foreign(v), 4, 4), fabrication.vjp(v, 4, 4)
    assert_native_and_equal([one, pull(foreign(dense))], [other, pulled(dense)])
    assert_native_and_equal(fabrication.jvp(foreign(v), 4, 4, foreign(v)), fabrication.jvp(v, 4, 4, v))
    frozen = {"A": integers(6, 3, 2), "B": integers(7, 3, 2)}
    adaption = af.RandomMatrixAdaption(r=2)
    made = [adaption.with_frozen(**arrays) for arrays in (frozen, {k: foreign(a) for k, a in frozen.items()})]
    ours, theirs = (af.Reconciliation(fabrication=each, n=3, D=3)(x, integers(8, 5)) for each in made)
    assert_native_and_equal(theirs, ours)


def test_a_role_without_learned_numbers_takes_none():
    x = integers(1, 4, 3)
    for w in (None, np.zeros(0)):
        y, pullback = EYE.vjp(x, w)
        np.testing.assert_array_equal(y, x)
        grad_x, grad_w = pullback(y)
        np.testing.assert_array_equal(grad_x, x)
        assert (grad_w is None) if w is None else (grad_w.shape == (0,))
        np.testing.assert_array_equal(EYE.jvp(x, w, x, w)[1], x)
        np.testing.assert_array_equal(af.Sequential([EYE, af.Pointwise("relu")])(x, w), np.maximum(x, 0))


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 3)])
def test_a_branch_without_learned_numbers_follows_a_batched_w(shape):
    branches = [
        LOW,
        af.Pointwise("tanh"),
        EYE,
        af.Sequential([af.Reshape((3,), (3, 1)), af.Reshape((3, 1), (3,))]),
    ]
    both = af.Parallel(branches)
    x, w = 0.1 * integers(1, *shape), 0.1 * integers(2, 2, 9)
    ys, pullback = both.vjp(x, w)
    one = [both.vjp(x[i] if len(shape) == 3 else x, w[i]) for i in range(2)]
    for k in range(len(branches)):
        np.testing.assert_allclose(ys[k], [y[k] for y, _ in one], rtol=1e-12)
    gs = [integers(5 + k, *y.shape) for k, y in enumerate(ys)]
    grad_x, grad_w = pullback(gs)
    pulled = [pull([g[i] for g in gs]) for i, (_, pull) in enumerate(one)]
    expected = [g for g, _ in pulled] if len(shape) == 3 else sum(g for g, _ in pulled)
    np.testing.assert_allclose(grad_x, expected, rtol=1e-12)
    np.testing.assert_allclose(grad_w, [g for _, g in pulled], rtol=1e-12)
    dys = both.jvp(x, w, x, w)[1]
    assert [dy.shape for dy in dys] == [y.shape for y in ys]


@pytest.mark.parametrize("lead", [(2,), (3, 2)])
def test_a_plain_layer_does_not_look_at_the_leading_axes_of_w(lead):
    x, w = np.linspace(-1, 1, 6), np.zeros((*lead, 0))
    for layer in (af.Pointwise("tanh"), af.Sequential([af.Pointwise("tanh"), af.Reshape((6,), (2, 3))])):
        expected, pull = layer.vjp(x)
        y, pullback = layer.vjp(x, w)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(pullback(y)[0], pull(y)[0])
        np.testing.assert_array_equal(layer.jvp(x, w, x, w)[1], layer.jvp(x, None, x)[1])


X, PARALLEL = np.ones((4, 3)), af.Parallel([LOW, LOW])
REFUSED = {
    "a direction of another dtype": (
        lambda: af.Pointwise("tanh").jvp(X.astype(np.float32), None, X),
        "dx has dtype float64, x has float32",
    ),
    "a direction of another shape": (
        lambda: af.Pointwise("tanh").jvp(X, None, np.ones(3)),
        "dx must have shape (4, 3), got (3,)",
    ),
    "a cotangent of another shape": (
        lambda: af.Reshape((3,), (3, 1)).vjp(X)[1](np.ones((5, 3, 1))),
        "grad_y must have shape (4, 3, 1), got (5, 3, 1)",
    ),
    "a direction of a concatenation": (
        lambda: af.Concatenation(dims=(3, 3)).jvp([X, X], None, [X[:2], X[:2]]),
        "dx[0] must have shape (4, 3), got (2, 3)",
    ),
    "numbers for a plain layer": (
        lambda: af.Pointwise("tanh")(X, np.ones(2)),
        "w must hold 0 numbers along its last axis, got shape (2,)",
    ),
    "no axis": (
        lambda: af.Sequential([LOW])(X, np.asarray(1.0)),
        "w must hold 9 numbers along its last axis, got shape ()",
    ),
    "too few cotangents": (
        lambda: PARALLEL.vjp(X, np.ones(18))[1]([X]),
        "Parallel: grad_y must hold 2 arrays, got 1",
    ),
    "a cotangent in place of two": (
        lambda: PARALLEL.vjp(X, np.ones(18))[1](X),
        "Parallel: grad_y must be a list of arrays, got ndarray",
    ),
    "no terms": (lambda: SumOf(terms=()), "SumOf: terms must hold at least one fabrication, got ()"),
    "a class for a layer": (
        lambda: af.Sequential([af.Reconciliation]),
        "layers[0] must be a role or layers composed, got <class",
    ),
    "sizes that are no integers": (
        lambda: af.Reshape((4,), (2.0, 2.0)),
        "Reshape: every entry of after must be a positive integer, got 2.0",
    ),
    "negative sizes": (
        lambda: af.Reshape((4,), (-2, -2)),
        "Reshape: every entry of after must be a positive integer, got -2",
    ),
    "a size for a tuple": (lambda: af.Reshape(4, (4,)), "Reshape: before must be a tuple of sizes, got 4"),
    "no numbers for a matrix": (lambda: LOW.matrix(None), "w must be an array"),
    "a flag that is a text": (
        lambda: af.Reconciliation(fabrication=af.Eye(), n=3, D=3, bias="no"),
        "Reconciliation: bias must be True or False, got 'no'",
    ),
    "a scale beyond the numbers": (
        lambda: (1e200 * af.LowRank()).init(2, 2, variance=1.0),
        "no scale of w gives the entries of W a variance of 1",
    ),
    "a list for an array": (
        lambda: af.Sequential([PARALLEL, af.Pointwise("tanh")]),
        "Sequential: layers[1] takes an array, but layers[0] gives a list of 2; it is Pointwise(",
    ),
    "an array for a list": (
        lambda: af.Sequential([LOW, af.Concatenation(dims=(1, 2))]),
        "Sequential: layers[1] takes a list of 2, but layers[0] gives an array",
    ),
    "lists of lists": (
        lambda: af.Sequential([af.Parallel([PARALLEL, PARALLEL]), af.Concatenation(dims=(3, 3))]),
        "takes a list of 2, but layers[0] gives a list of 2",
    ),
    "branches that take what differs": (
        lambda: af.Parallel([LOW, af.Concatenation(dims=(1, 2))]),
        "Parallel: layers[1] takes a list of 2, but layers[0] takes an array",
    ),
    "a shape within a direction": (
        lambda: af.Sequential([LOW, af.Reshape((3,), (3, 1)), af.Reshape((1, 3), (3,))]).jvp(
            X, np.ones(9), X, np.ones(9)
        ),
        "x must have shape (..., 1, 3), got (4, 3, 1)",
    ),
    "an error within a model": (
        lambda: af.Sequential([LOW, af.Reconciliation(fabrication=af.LowRank(), n=2, D=4)])(X, np.ones(21)),
        "x must have 4 columns, got shape (4, 3)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name):
    assert_refused(*REFUSED[name])
    assert_refused(*REFUSED[name])  # nothing was kept of it


def test_a_dtype_that_numpy_does_not_know_is_named():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x, w = X.astype(ml_dtypes.bfloat16), np.ones(9, dtype=ml_dtypes.bfloat16)
    assert_refused(lambda: LOW(x, w), "w must hold real floating numbers, got dtype bfloat16")


def test_a_flat_list_of_sizes_is_taken_as_a_tuple():
    layer = af.Reshape([4], [2, 2])
    assert layer == af.Reshape((4,), (2, 2))
    assert hash(layer) == hash(af.Reshape((4,), (2, 2)))


def test_numbers_to_start_from_under_a_scale_beyond_them():
    assert (1e200 * af.LowRank()).init(2, 2, rng=0).shape == (8,)
