"""tinybig's compressions that draw: what may come out, how often it does, and pullbacks of a draw."""

import copy
import itertools
import math
import pickle

import numpy as np
import pytest

import arrayfab.tinybig as door

M = 5
#: The densities of tinybig's defaults, up to a factor.
DENSITIES = {
    "uniform": np.ones_like,
    "normal": lambda z: np.exp(-0.5 * z * z),
    "cauchy": lambda z: 1 / (1 + z * z),
    "chi2": lambda z: np.exp(-0.5 * z) / np.sqrt(z),
    "exponential": lambda z: np.exp(-0.5 * z),
    "gamma": lambda z: np.exp(-z),
    "laplace": lambda z: np.exp(-abs(z)),
}
NAIVE = [f"naive_{key}_probabilistic_compression" for key in DENSITIES]
TUPLES = [
    {},
    {"d": 3, "k": 2},
    {"d": 2, "k": 3, "with_replacement": True},
    {"d": 3, "k": 2, "simply_sampling": False, "log_prob": True},
    {"k": 3, "simply_sampling": False, "require_normalization": False},
]
SINGLE = [
    {},
    {"with_replacement": True},
    {"simply_sampling": False},
    {"simply_sampling": False, "log_prob": True},
]
EVERY = [(name, {"k": 3, **more}) for name in NAIVE for more in SINGLE]
EVERY += [("naive_probabilistic_compression", {"k": M})]
EVERY += [("combinatorial_compression", more) for more in TUPLES]
EVERY += [("combinatorial_probabilistic_compression", {"d": 2, "k": 2})]
WIDE = np.linspace(-4, 4, M)[None, :]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def normalized(x):
    return 0.99 / (1 + np.exp(-x)) + 0.001


@pytest.mark.parametrize(("name", "more"), EVERY)
def test_length_next_draws_and_copies(name, more):
    f, x = getattr(door, name)(**more), normal(20, M)
    before = x.copy()
    again, same = pickle.loads(pickle.dumps(f)), getattr(door, name)(**more, seed=0)
    y = f(x=x, device="cpu")
    assert y.shape == (20, f.calculate_D(M))
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(again(x), y)
    np.testing.assert_array_equal(same(x), y)
    assert f.k == M or np.ptp(y) == 0 or not np.array_equal(f(x), y)
    assert f(x[:0]).shape == (0, f.calculate_D(M))
    assert f.to_config()["function_parameters"]["seed"] == 0


@pytest.mark.parametrize(("name", "more"), EVERY)
def test_pullback_of_a_draw(name, more):
    f, x, h = getattr(door, name)(**more), normal(4, M), 1e-6
    # One draw for all: its weights are those of x.
    fixed = f._draw(np.full((4, M), 1 / M))
    f._draw = lambda weights: fixed
    y, pull = f.vjp(x)
    np.testing.assert_allclose(y, f(x))
    grad_y, direction = normal(*y.shape, seed=1), normal(*x.shape, seed=2)
    expected = np.sum(grad_y * (f(x + h * direction) - f(x - h * direction))) / (2 * h)
    np.testing.assert_allclose(np.sum(pull(grad_y) * direction), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("with_replacement", [False, True])
@pytest.mark.parametrize("name", NAIVE)
def test_what_is_drawn_stands_in_its_row_in_order(name, with_replacement):
    x = np.sort(normal(50, M), axis=1)
    f = getattr(door, name)(k=3, with_replacement=with_replacement)
    y = f(x)
    steps = np.diff(y, axis=1)
    assert np.all(steps >= 0 if with_replacement else steps > 0)
    assert all(set(drawn) <= set(row) for drawn, row in zip(y, x, strict=True))
    if with_replacement:
        assert np.any(steps == 0)
    else:
        f.k = M
        np.testing.assert_array_equal(f(x), x)


def check_frequencies(found, probabilities):
    """Counts within six standard deviations; draws follow from a seed, so that they never change."""
    count = len(found)
    for value, p in probabilities.items():
        seen = sum(value == each for each in found)
        assert abs(seen - count * p) <= 6 * math.sqrt(count * p * (1 - p)), (value, seen / count, p)


@pytest.mark.parametrize("key", DENSITIES)
def test_first_draws_are_as_frequent_as_their_density(key):
    x = np.repeat(WIDE, 4000, axis=0)
    weights = DENSITIES[key](normalized(WIDE[0]))
    f = getattr(door, f"naive_{key}_probabilistic_compression")(k=1)
    np.testing.assert_allclose(f.calculate_weights(normalized(WIDE))[0], weights / weights.sum())
    found = np.searchsorted(WIDE[0], f(x)[:, 0]).tolist()
    check_frequencies(found, dict(enumerate(weights / weights.sum())))


@pytest.mark.parametrize("with_replacement", [False, True])
def test_pairs_are_as_frequent_as_two_draws(with_replacement):
    p = DENSITIES["chi2"](normalized(WIDE[0]))
    p = p / p.sum()
    f = door.naive_chi2_probabilistic_compression(k=2, with_replacement=with_replacement)
    found = [tuple(pair) for pair in np.searchsorted(WIDE[0], f(np.repeat(WIDE, 4000, axis=0))).tolist()]
    if with_replacement:
        pairs = itertools.combinations_with_replacement(range(M), 2)
        expected = {(i, j): p[i] * p[j] * (1 if i == j else 2) for i, j in pairs}
    else:
        pairs = itertools.combinations(range(M), 2)
        expected = {(i, j): p[i] * p[j] * (1 / (1 - p[i]) + 1 / (1 - p[j])) for i, j in pairs}
    check_frequencies(found, expected)


def test_tuples_are_as_frequent_as_their_density():
    f, x = door.combinatorial_compression(d=2, require_normalization=False), np.asarray([[0.0, 1.0, 2.0]])
    found = [tuple(row) for row in f(np.repeat(x, 4000, axis=0))[:, 1:].tolist()]
    weights = {
        (a, b): math.exp(-0.5 * (a * a + b * b)) for a, b in itertools.combinations((0.0, 1.0, 2.0), 2)
    }
    check_frequencies(found, {pair: w / sum(weights.values()) for pair, w in weights.items()})


def test_all_tuples_side_by_side():
    x = np.asarray([[2.0, 3.0, 5.0]])
    f = door.combinatorial_compression(d=2, k=3, require_normalization=True)
    np.testing.assert_array_equal(f(x), [[2, 2, 3, 3, 2, 5, 5, 3, 5]])
    f = door.combinatorial_probabilistic_compression(d=2, k=3)
    logs = [[[-0.5 * z * z - 0.5 * math.log(2 * math.pi)] for z in normalized(x[0])]]
    one = np.asarray(logs).reshape(-1)
    np.testing.assert_allclose(f(x), [[*one, one[0] + one[1], one[0] + one[2], one[1] + one[2]]])
    assert f.random_combinations(x, r=2).shape == (1, 3)


def test_numbers_of_the_metric_are_drawn_and_have_log_densities():
    x = normal(6, M)
    f = door.naive_normal_probabilistic_compression(
        mean=0.5, std=2.0, k=M, metric=lambda x: 3 * x, simply_sampling=False
    )
    np.testing.assert_allclose(f(x), normalized(3 * x))
    with pytest.raises(NotImplementedError, match="metric"):
        f.vjp(x)
    f.log_prob = True
    expected = -0.5 * ((normalized(3 * x) - 0.5) / 2) ** 2 - 0.5 * math.log(2 * math.pi) - math.log(2)
    np.testing.assert_allclose(f(x), expected)


def test_distributions_by_configuration():
    config = {
        "function_class": "torch.distributions.normal.Normal",
        "function_parameters": {"loc": 1.0, "scale": 2.0},
    }
    f = door.naive_probabilistic_compression(2, distribution_function_configs=config)
    again = door.naive_probabilistic_compression(**f.to_config()["function_parameters"])
    same = door.naive_normal_probabilistic_compression(mean=1.0, std=2.0, k=2)
    x = normal(20, M)
    y = f(x)
    np.testing.assert_array_equal(again(x), y)
    np.testing.assert_array_equal(same(x), y)
    assert again.to_config() == f.to_config()


def test_a_generator_may_be_assigned():
    f, x = door.naive_normal_probabilistic_compression(k=2), normal(20, M)
    f.rng = np.random.default_rng(7)
    expected = door.naive_normal_probabilistic_compression(k=2, seed=7)(x)
    np.testing.assert_array_equal(copy.deepcopy(f)(x), expected)
    np.testing.assert_array_equal(f(x), expected)


def test_a_head_that_draws():
    head = door.head(
        m=M,
        n=2,
        data_transformation=door.naive_normal_probabilistic_compression(k=3),
        parameter_fabrication=door.identity_reconciliation(),
    )
    head.initialize_parameters()
    assert head(normal(4, M)).shape == (4, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: door.naive_normal_probabilistic_compression(k=M + 1)(x), "k must be from 1 to m=5, got 6"),
        (lambda x: door.naive_normal_probabilistic_compression(k=0)(x), "k must be"),
        (lambda x: door.naive_probabilistic_compression(1, metric=lambda x: x[:, :1])(x), "metric must give"),
        (lambda x: door.naive_uniform_probabilistic_compression(k=M, low=0.5)(x), "positive for 5 of them"),
        (
            lambda x: door.naive_uniform_probabilistic_compression(k=2, low=2.0, high=3.0)(x),
            "positive for 2 of them",
        ),
        (lambda x: door.naive_uniform_probabilistic_compression(k=2, low=1.0), "low must be less"),
        (lambda x: door.naive_normal_probabilistic_compression(k=2)(x * math.nan), "must be finite"),
        (lambda x: door.naive_cauchy_probabilistic_compression(k=2, scale=0.0), "positive"),
        (
            lambda x: door.naive_gamma_probabilistic_compression(k=2, require_normalization=False),
            "require_normalization must",
        ),
        (lambda x: door.combinatorial_compression(d=6)(x), "1 to m=5 attributes, got 6"),
        (lambda x: door.combinatorial_compression(d=5, k=2)(x), "2 of 1 are to be drawn"),
        (lambda x: door.combinatorial_compression(d=2, simply_sampling=False)(x), "log_prob=True"),
    ],
)
def test_errors(call, message):
    with pytest.raises(door.ParameterError, match=message):
        call(normal(4, M))


@pytest.mark.parametrize("name", ["array_api_strict", "torch", "dask.array"])
@pytest.mark.parametrize(
    ("key", "more"),
    [
        ("naive_chi2_probabilistic_compression", {"k": 3, "simply_sampling": False, "log_prob": True}),
        ("combinatorial_compression", {"d": 2, "k": 2, "with_replacement": True}),
    ],
)
def test_any_namespace(name, key, more):
    xp = pytest.importorskip(name)
    x = normal(4, M).astype(np.float32)
    f, g = getattr(door, key)(**more), getattr(door, key)(**more)
    y, pull = f.vjp(xp.asarray(x))
    expected, expected_pull = g.vjp(x)
    for found, target in ((y, expected), (pull(y), expected_pull(expected))):
        assert type(found) is type(xp.asarray(x))
        np.testing.assert_allclose(np.asarray(found), target, rtol=1e-5, atol=1e-5)


# Against tinybig itself, where there is one.
try:
    import torch
    from tinybig.compression import combinatorial_compression as their_tuples
    from tinybig.compression import probabilistic_compression as theirs

    absent = ""
except Exception as error:  # it needs pinned versions of much, and some of its releases do not parse
    absent = f"tinybig cannot be imported: {error!r}"


@pytest.mark.skipif(bool(absent), reason=absent)
@pytest.mark.filterwarnings("ignore")
class TestBesideTinybig:
    @pytest.mark.parametrize(("name", "more"), EVERY)
    def test_weights_lengths_and_a_draw_of_all(self, name, more):
        package = theirs if name.startswith("naive") else their_tuples
        ours, other = getattr(door, name)(**more), getattr(package, name)(**more)
        assert (ours.get_name(), ours.calculate_D(M)) == (other.get_name(), other.calculate_D(M))
        assert ours(torch.randn(4, M)).shape == other(torch.randn(4, M)).shape
        z = torch.rand(4, M, 1) if package is their_tuples else torch.rand(4, M)
        degree = {"r": 1} if package is their_tuples else {}
        torch.testing.assert_close(ours.calculate_weights(z, **degree), other.calculate_weights(z, **degree))
        if package is theirs:
            more = more | {"k": M, "with_replacement": False}
            ours, other = getattr(door, name)(**more), getattr(package, name)(**more)
            x = torch.randn(4, M, requires_grad=True)
            y, grad_y = other(x), torch.randn(4, M)
            found, pull = ours.vjp(x.detach())
            torch.testing.assert_close(found, y.detach(), rtol=1e-5, atol=1e-6)
            if y.requires_grad:
                (expected,) = torch.autograd.grad(y, x, grad_y)
                (own,) = torch.autograd.grad(ours(x), x, grad_y)
                torch.testing.assert_close(pull(grad_y), expected, rtol=1e-4, atol=1e-6)
                torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("log_prob", [False, True])
    def test_all_tuples(self, log_prob):
        more = {"d": 2, "k": 3, "simply_sampling": not log_prob, "log_prob": log_prob}
        x = torch.randn(4, 3)
        ours, other = door.combinatorial_compression(**more), their_tuples.combinatorial_compression(**more)
        torch.testing.assert_close(ours(x), other(x))

    def test_a_distribution_of_pytorch(self):
        f = door.naive_probabilistic_compression(
            M, distribution_function=torch.distributions.Normal(0.0, 1.0)
        )
        f.simply_sampling, f.log_prob = False, True
        x = torch.randn(4, M)
        same = door.naive_normal_probabilistic_compression(k=M, simply_sampling=False, log_prob=True)
        torch.testing.assert_close(f(x), same(x))
        with pytest.raises(NotImplementedError, match="distribution"):
            f.vjp(x)
