"""tinybig's fusions entry by entry and remainders by their names: plain formulas, and tinybig itself."""

import pickle
from importlib import import_module

import numpy as np
import pytest

import arrayfab.tinybig as door

K, DIMS = 3, [4, 4, 4]
#: What each makes of a stack of arrays.
FUSIONS = {
    "summation": lambda x: x.sum(0),
    "average": lambda x: x.mean(0),
    "max": lambda x: x.max(0),
    "min": lambda x: x.min(0),
    "sum": lambda x: x.sum(0),
    "mean": lambda x: x.mean(0),
    "prod": lambda x: x.prod(0),
    "median": lambda x: np.median(x, axis=0),
    "l1_norm": lambda x: np.abs(x).sum(0),
    "l2_norm": lambda x: np.sqrt((x * x).sum(0)),
}
LEARNED = "parameterized_weighted_summation_fusion"


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def arrays():
    return list(normal(K, 5, 4))


def paired(found, directions):
    return sum(np.sum(g * d) for g, d in zip(found, directions, strict=True))


@pytest.mark.parametrize("key", FUSIONS)
def test_fusion_is_its_formula(key):
    f, x = getattr(door, f"{key}_fusion")(dims=DIMS), arrays()
    assert issubclass(type(f), door.fusion)
    assert (f.get_name(), f.calculate_n(), f.calculate_l(), f.get_num()) == (f"{key}_fusion", 4, 0, K)
    np.testing.assert_allclose(f(x), FUSIONS[key](np.stack(x)))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(f))(x), f(x))
    pull = f.vjp(x)[1]
    grad_y, moves, h = normal(5, 4, seed=1), list(normal(K, 5, 4, seed=2)), 1e-6
    grad_x, grad_w = pull(grad_y)
    assert grad_w is None
    ahead, behind = (f([a + sign * h * d for a, d in zip(x, moves, strict=True)]) for sign in (1, -1))
    np.testing.assert_allclose(paired(grad_x, moves), np.sum(grad_y * (ahead - behind)) / (2 * h), rtol=1e-6)


@pytest.mark.parametrize("shape", [(K,), (1, K)])
def test_learned_weights(shape):
    f, x, w = getattr(door, LEARNED)(dims=DIMS), arrays(), normal(*shape)
    assert f.calculate_l() == K
    np.testing.assert_allclose(f(x, w), sum(a * b for a, b in zip(w.ravel(), x, strict=True)))
    grad_x, grad_w = f.vjp(x, w)[1](np.ones((5, 4)))
    assert grad_w.shape == shape
    np.testing.assert_allclose(grad_w.ravel(), [part.sum() for part in x])
    np.testing.assert_allclose(grad_x[1], np.full((5, 4), w.ravel()[1]))


def test_given_weights():
    f, x = door.weighted_summation_fusion(dims=DIMS, weights=np.asarray([0.2, 0.5, 0.3])), arrays()
    np.testing.assert_allclose(f(x), 0.2 * x[0] + 0.5 * x[1] + 0.3 * x[2])
    assert f.calculate_l() == 0
    learned = door.weighted_summation_fusion(DIMS, require_parameters=True)
    np.testing.assert_allclose(learned(x, np.ones((1, K))), sum(x))
    assert door.average_fusion(DIMS).weights == (1 / K,) * K


def test_metrics():
    x = arrays()
    f = door.metric_fusion(dims=DIMS, metric=lambda rows: np.ptp(rows, axis=1), postprocess_functions=np.sqrt)
    np.testing.assert_allclose(f(x), np.sqrt(np.ptp(np.stack(x), axis=0)))
    with pytest.raises(NotImplementedError, match="vjp has no rule"):
        f.vjp(x)
    np.testing.assert_allclose(door.max_fusion(dims=DIMS).metric(normal(6, 3)), normal(6, 3).max(axis=1))


def test_remainders():
    x, w, b = normal(5, 4), normal(3, 4, seed=1), normal(3, seed=2)
    np.testing.assert_array_equal(door.constant_remainder(c=2.5)(n=3), np.full(3, 2.5))
    np.testing.assert_array_equal(door.zero_remainder()(3), np.zeros(3))
    np.testing.assert_array_equal(door.one_remainder()(3), np.ones(3))
    np.testing.assert_array_equal(door.identity_remainder()(x), x)
    np.testing.assert_array_equal(
        door.identity_remainder(activation_functions=[np.tanh, np.abs])(x=x), np.abs(np.tanh(x))
    )
    pi = door.linear_remainder()
    assert (pi.require_parameters, pi.enable_bias, pi.calculate_l(3, 4)) == (True, False, 12)
    np.testing.assert_allclose(pi(x, w), x @ w.T)
    np.testing.assert_allclose(pi(x=x, w=w, b=b), x @ w.T + b)
    np.testing.assert_array_equal(pi(x, None), x)
    pull = pi.vjp(x, w, b)[1]
    grad_y = normal(5, 3, seed=3)
    for found, expected in zip(pull(grad_y), (grad_y @ w, grad_y.T @ x, grad_y.sum(0)), strict=True):
        np.testing.assert_allclose(found, expected)
    assert pi.vjp(x, w)[1](grad_y)[2] is None
    activated = door.linear_remainder(activation_functions=np.tanh)
    np.testing.assert_allclose(activated(x, w), np.tanh(x @ w.T))
    with pytest.raises(NotImplementedError, match="activation"):
        activated.vjp(x, w)


@pytest.mark.parametrize("base", ["fusion", "interdependence", "fabrication", "remainder"])
def test_subclasses_of_ones_own(base):
    class own(getattr(door, base)):
        def forward(self, x, *args, **kwargs):
            return 2 * x

    more = {"b": 1, "m": 2} if base == "interdependence" else {}
    f = own(name="own", **more)
    assert f.get_name() == "own"
    assert f(3) == 6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: door.sum_fusion(dims=DIMS)([]), "at least one"),
        (lambda: door.metric_fusion(dims=DIMS, metric=np.max)([]), "at least one"),
        (lambda: door.sum_fusion(dims=DIMS)([np.ones((2, 4)), np.ones((2, 3))]), "one shape"),
        (lambda: door.metric_fusion(dims=DIMS, metric=np.max)([np.ones(4), np.ones(3)]), "one shape"),
        (lambda: door.sum_fusion(dims=[2, 3]).calculate_n(), "alike"),
        (lambda: door.weighted_summation_fusion(DIMS)(arrays()), "weights is missing"),
        (lambda: door.weighted_summation_fusion(DIMS, weights=np.ones(2))(arrays()), "weights must be 3"),
        (lambda: getattr(door, LEARNED)(DIMS)(arrays()), "w is missing"),
        (lambda: door.linear_remainder()(None), "x is missing"),
        (lambda: door.linear_remainder()(np.ones((2, 3)), np.ones(3)), r"shape \(n, m\)"),
    ],
)
def test_errors_are_value_errors_and_assertion_errors(call, message):
    with pytest.raises(door.ParameterError, match=message):
        call()


# Against tinybig itself, where there is one.
try:
    import torch

    # Packages have classes of some of their modules' names.
    basic_fusion = import_module("tinybig.fusion.basic_fusion")
    metric_fusion = import_module("tinybig.fusion.metric_fusion")
    basic_remainder = import_module("tinybig.remainder.basic_remainder")

    absent = ""
except Exception as error:  # it needs pinned versions of much, and some of its releases do not parse
    absent = f"tinybig cannot be imported: {error!r}"


@pytest.mark.skipif(bool(absent), reason=absent)
@pytest.mark.filterwarnings("ignore")
class TestBesideTinybig:
    @pytest.mark.parametrize("hooks", [{}, {"preprocess_functions": "tanh", "postprocess_functions": "exp"}])
    @pytest.mark.parametrize("key", [*FUSIONS, "parameterized_weighted_summation"])
    def test_fusion(self, key, hooks):
        hooks = {name: getattr(torch, function) for name, function in hooks.items()}
        name = f"{key}_fusion"
        theirs = getattr(basic_fusion if "summation" in key or key == "average" else metric_fusion, name)
        theirs, ours = theirs(dims=DIMS, **hooks), getattr(door, name)(dims=DIMS, **hooks)
        for method in ("get_name", "calculate_n", "calculate_l", "get_num"):
            assert getattr(ours, method)() == getattr(theirs, method)()
        xs = [torch.tensor(part, dtype=torch.float32, requires_grad=True) for part in arrays()]
        w = torch.randn(K, requires_grad=True) if theirs.calculate_l() else None
        y = theirs(xs, w)
        torch.testing.assert_close(ours(xs, w), y, rtol=1e-5, atol=1e-5)
        if hooks:
            return
        grad_y = torch.randn_like(y)
        y.backward(grad_y)
        grad_x, grad_w = ours.vjp([x.detach() for x in xs], None if w is None else w.detach())[1](grad_y)
        torch.testing.assert_close(list(grad_x), [x.grad for x in xs], rtol=1e-4, atol=1e-5)
        if w is not None:
            torch.testing.assert_close(grad_w, w.grad, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("bias", [False, True])
    def test_remainders(self, bias):
        x, w, b = torch.randn(5, 4), torch.randn(3, 4), torch.randn(3) if bias else None
        more = {"activation_functions": torch.tanh}
        torch.testing.assert_close(
            door.linear_remainder(**more)(x, w, b), basic_remainder.linear_remainder(**more)(x, w, b)
        )
        torch.testing.assert_close(
            door.identity_remainder(**more)(x), basic_remainder.identity_remainder(**more)(x)
        )
        for key in ("constant", "zero", "one"):
            theirs = getattr(basic_remainder, f"{key}_remainder")()
            ours = getattr(door, f"{key}_remainder")()
            assert ours.get_name() == theirs.get_name()
            torch.testing.assert_close(ours(n=3, xp=torch, dtype=torch.float32), theirs(n=3))
