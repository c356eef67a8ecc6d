"""tinybig's expansions and compressions by their names: what they hand on, and beside tinybig itself."""

import pickle

import numpy as np
import pytest

import arrayfab.tinybig as door
from arrayfab import expansions
from arrayfab.tinybig._drawn import Drawn
from arrayfab.tinybig._fitted import Fitted

M = 3
RBF = [
    {},
    {"base_range": (-2, 1), "num_interval": 4, "epsilon": 0.7},
    {"num_interval": 2, "base": [-0.5, 0.2]},
]
DEGREES = [{}, {"d": 1}, {"d": 4}]
WAVES = [{}, {"s": 2, "t": 3, "a": 2.0, "b": 0.5}, {"d": 2, "s": 2, "t": 2, "a": 2.0}]
ALPHAS = [*DEGREES, {"d": 3, "alpha": 0.5}]
#: Constructor arguments of every expansion and compression that has any.
CASES = {
    "linear": [{}, {"c": 2.5}],
    "taylor": [{}, {"d": 1}, {"d": 3}],
    "fourier": [{}, {"P": 3.0, "N": 2}],
    "gaussian_rbf": RBF,
    "inverse_quadratic_rbf": RBF,
    "bspline": [{}, {"grid_range": (-2, 1), "t": 3, "d": 2}],
    "chebyshev": DEGREES,
    "jacobi": [*ALPHAS, {"d": 3, "alpha": 0.5, "beta": 2.0}],
    "laguerre": ALPHAS,
    "gegenbauer": ALPHAS,
    **dict.fromkeys(("hermite", "legendre", "bessel", "reverse_bessel", "fibonacci", "lucas"), DEGREES),
    **dict.fromkeys([f"{key}_wavelet" for key in ("harr", "shannon", "meyer")], WAVES),
    "beta_wavelet": [{**each, "alpha": 2.0, "beta": 3.0} for each in WAVES],
    "ricker_wavelet": [*WAVES, {"sigma": 0.5}],
    "dog_wavelet": [*WAVES, {"sigma_1": 0.5, "sigma_2": 3.0}],
    "combinatorial": [{}, {"d": 1}, {"d": 3}],
    "combinatorial_normal": [{}, {"d": 3}],
}
SIDES = {"cuboid": {"p_h": 0, "p_w": 1, "p_d": 0}, "cylinder": {"p_r": 1, "p_d": 0}, "sphere": {"p_r": 1}}
CASES |= {
    f"{shape}_{kind}_based_geometric": [{"h": 1, "w": M, "d": 1, **sides}]
    for shape, sides in SIDES.items()
    for kind in ("patch", "max", "min", "mean")
}
#: Those that are made of others, or of a function.
COMPOSED = ("nested", "extended", "metric", "geometric")
ALL = [
    name
    for name, kind in vars(door).items()
    if name.endswith(("_expansion", "_compression"))
    and name.rpartition("_")[0] not in COMPOSED
    and not name.endswith("_patch_based_geometric_compression")
    and not issubclass(kind, Drawn | Fitted)
]
EVERY = [(name, more) for name in ALL for more in CASES.get(name.rpartition("_")[0], [{}])]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def check_pullback(f, x):
    """The pairing of a pullback with a central difference of the value."""
    y, pull = f.vjp(x)
    np.testing.assert_allclose(y, f(x), rtol=1e-12, atol=1e-12)
    grad_y, direction, h = normal(*y.shape, seed=1), normal(*x.shape, seed=2), 1e-6
    expected = np.sum(grad_y * (f(x + h * direction) - f(x - h * direction))) / (2 * h)
    np.testing.assert_allclose(np.sum(pull(grad_y) * direction), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "more"), EVERY)
def test_length_pullback_and_copy(name, more):
    f, x = getattr(door, name)(**more), normal(4, M)
    assert issubclass(type(f), door.transformation)
    before = x.copy()
    y = f(x=x, device="cpu")
    assert y.shape == (4, f.calculate_D(M))
    assert f.calculate_D(m=M) == f._core().num_features(M)
    np.testing.assert_array_equal(y, f._core()(x))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(f))(x), y)
    np.testing.assert_array_equal(x, before)
    check_pullback(f, x)


def test_arguments_in_tinybigs_order():
    assert door.fourier_expansion("waves", 2.0, 3).P == 2.0
    assert door.beta_wavelet_expansion("b", 2.0, 1.0, 3.0, 4.0, d=2)._core() == expansions.BetaWavelet(
        a=2.0, b=1.0, alpha=3.0, beta=4.0, d=2
    )
    assert door.taylor_expansion(d=3, device="cpu").get_name() == "taylor_expansion"
    mean = door.metric_compression(lambda x: x.mean(axis=1), "mean")
    np.testing.assert_allclose(mean(normal(4, M)), door.mean_compression()(normal(4, M)))


def test_attributes_may_be_assigned():
    f = door.taylor_expansion()
    f.d = 3
    assert f.calculate_D(2) == 14
    assert f(normal(2, 2)).shape == (2, 14)


def test_choices_are_side_by_side():
    x = np.asarray([[2.0, 3.0, 5.0]])
    np.testing.assert_array_equal(door.combinatorial_expansion(d=2)(x), [[2, 3, 5, 2, 3, 2, 5, 3, 5]])
    np.testing.assert_array_equal(door.combinatorial_expansion(d=3)(x)[:, 9:], x)


def test_linear_takes_a_number_or_matrices():
    x, P, Q = normal(4, M), normal(4, 4, seed=1), normal(M, M, seed=2)
    for more, expected in (
        ({}, x),
        ({"c": 2.0}, 2.0 * x),
        ({"pre_C": P}, P @ x),
        ({"post_C": Q}, x @ Q),
        ({"c": 2.0, "pre_C": P, "post_C": Q}, 2.0 * x),
        ({"pre_C": P, "post_C": Q}, P @ x),
    ):
        f = door.linear_expansion(**more)
        np.testing.assert_allclose(f(x), expected)
        check_pullback(f, x)
        np.testing.assert_allclose(door.linear_expansion()(x, **more), expected)
        assert f.calculate_D(M) == M
    with pytest.raises(door.ParameterError, match="must have the shape"):
        door.linear_expansion(post_C=normal(M, 2))(x)


@pytest.mark.parametrize("kind", ["expansion", "compression"])
def test_compositions(kind):
    nested, extended = (getattr(door, f"{key}_{kind}") for key in ("nested", "extended"))
    x = normal(4, M)
    parts = [door.taylor_expansion(), door.linear_expansion(post_C=normal(12, 12)), door.max_compression()]
    chain = nested(composition_functions=parts)
    assert chain.calculate_D(M) == 1
    np.testing.assert_allclose(chain(x), parts[2](parts[1](parts[0](x))))
    check_pullback(chain, x)
    both = extended(composition_functions=[parts[0], chain, door.fourier_expansion(N=1)])
    assert both.calculate_D(M) == 12 + 1 + 2 * M
    np.testing.assert_allclose(both(x)[:, 12:13], chain(x))
    check_pullback(both, x)
    same = extended(composition_functions=[parts[0], door.identity_expansion()])
    assert same._core() == expansions.Extended(expansions=(expansions.Taylor(), expansions.Identity()))
    np.testing.assert_array_equal(nested()(x), x)
    assert nested().calculate_D(M) == M
    with pytest.raises(door.ParameterError, match="missing"):
        extended()(x)


def test_compositions_from_configurations():
    config = {"function_class": "tinybig.expansion.taylor_expansion", "function_parameters": {"d": 3}}
    f = door.nested_expansion(composition_function_configs=[config, door.sum_compression().to_config()])
    assert [type(each) for each in f.composition_functions] == [door.taylor_expansion, door.sum_compression]
    assert f.composition_functions[0].d == 3
    with pytest.raises(door.ParameterError, match="function_class"):
        door.nested_expansion(composition_function_configs=[{"function_class": "os.system"}])


def test_configuration_of_an_object():
    f = door.gaussian_rbf_expansion(num_interval=4)
    config = f.to_config()
    assert config["function_class"] == "arrayfab.tinybig.gaussian_rbf_expansion"
    again = door.gaussian_rbf_expansion(**config["function_parameters"])
    np.testing.assert_array_equal(again(normal(2, M)), f(normal(2, M)))


def test_functions_before_and_after():
    x = normal(4, M)
    f = door.taylor_expansion(preprocess_functions=np.tanh, postprocess_functions=[np.abs, np.sqrt])
    np.testing.assert_allclose(f(x), np.sqrt(np.abs(door.taylor_expansion()(np.tanh(x)))))
    with pytest.raises(NotImplementedError, match="vjp has no rule"):
        f.vjp(x)
    with pytest.raises(NotImplementedError, match="vjp has no rule"):
        door.nested_expansion(composition_functions=[f]).vjp(x)
    f = door.taylor_expansion(d=1, postprocess_functions="torch.nn.functional.layer_norm")
    np.testing.assert_allclose(f(x), (x - x.mean(1)[:, None]) / np.sqrt(x.var(1) + 1e-5)[:, None])


def test_a_subclass_of_ones_own():
    class twice(door.transformation):
        def calculate_D(self, m):
            return 2 * m

        def forward(self, x, device="cpu", *args, **kwargs):
            return np.concatenate([x, x], axis=1)

    f, x = twice(name="twice"), normal(4, M)
    assert f.to_config()["function_parameters"] == {"name": "twice", "device": "cpu"}
    both = door.extended_expansion(composition_functions=[f, door.identity_expansion()])
    np.testing.assert_array_equal(both(x), np.concatenate([x] * 3, axis=1))
    with pytest.raises(NotImplementedError):
        both.vjp(x)


def test_metrics():
    x = normal(4, M)
    np.testing.assert_array_equal(door.max_compression().metric(x), x.max(axis=1))
    f = door.metric_compression(metric=lambda x: np.ptp(x, axis=1))
    np.testing.assert_array_equal(f(x), np.ptp(x, axis=1)[:, None])
    assert f.calculate_D(M) == 1
    with pytest.raises(NotImplementedError, match="metric"):
        f.vjp(x)
    with pytest.raises(door.ParameterError, match="metric must give"):
        door.metric_compression(metric=np.abs)(x)


#: Compressions by scikit-learn's estimators, and their arguments.
FITTED = {
    "incremental_PCA_based_compression": {},
    "incremental_random_projection_based_compression": {},
    "isomap_manifold_compression": {"n_neighbors": 3},
    "lle_manifold_compression": {"n_neighbors": 3},
    "mds_manifold_compression": {},
    "spectral_embedding_manifold_compression": {},
    "tsne_manifold_compression": {"perplexity": 2.0},
}
FAMILIES = {"feature_selection": "fs", "dimension_reduction": "dr", "manifold": "manifold"}


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize("xp", ["numpy", "array_api_strict"])
@pytest.mark.filterwarnings("ignore")
def test_estimators(name, xp):
    pytest.importorskip("sklearn")
    xp, x = pytest.importorskip(xp), normal(8, M).astype(np.float32)
    f = getattr(door, name)(D=2, **FITTED[name])
    y = f(xp.asarray(x))
    assert (type(y), y.shape, y.dtype) == (type(xp.asarray(x)), (8, f.calculate_D(M)), xp.float32)
    with pytest.raises(NotImplementedError, match="fitted"):
        f.vjp(x)
    with pytest.raises(door.ParameterError, match="D must"):
        f(x[:, :1])


@pytest.mark.parametrize("family", FAMILIES)
def test_estimators_that_are_handed_in(family):
    decomposition = pytest.importorskip("sklearn.decomposition")
    compression, keyword = getattr(door, f"{family}_compression"), f"{FAMILIES[family]}_function"
    x = normal(8, M)
    f = compression(2, **{keyword: lambda x: x[:, :2]})
    np.testing.assert_array_equal(f(x), x[:, :2])
    f = compression(D=2, **{keyword: decomposition.PCA(n_components=2, svd_solver="full")})
    np.testing.assert_allclose(f(x), decomposition.PCA(n_components=2, svd_solver="full").fit_transform(x))
    config = {"function_class": "taylor_expansion", "function_parameters": {"d": 1}}
    np.testing.assert_array_equal(compression(D=M, **{f"{keyword}_configs": config})(x), x)
    with pytest.raises(door.ParameterError, match="missing"):
        compression(D=2)
    with pytest.raises(door.ParameterError, match="is wanted"):
        compression(D=2, **{keyword: lambda x: x})(x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: door.identity_expansion()(np.ones(3)), r"shape \(b, m\)"),
        (lambda: door.identity_expansion()(None), "x is missing"),
        (lambda: door.taylor_expansion(d=0), "d must"),
        (lambda: door.harr_wavelet_expansion(a=0.5), "1 or more"),
        (lambda: door.ricker_wavelet_expansion(sigma=-1), "positive"),
        (lambda: door.gaussian_rbf_expansion(base=[0.0]), "num_interval"),
        (lambda: door.combinatorial_expansion(with_replacement=True), "with_replacement"),
        (lambda: door.combinatorial_expansion()(np.ones((1, 2)), with_replacement=True), "with_replacement"),
        (lambda: door.metric_compression(metric=None)(np.ones((1, 2))), "metric is missing"),
    ],
)
def test_errors_are_value_errors_and_assertion_errors(call, message):
    with pytest.raises(door.ParameterError, match=message):
        call()


@pytest.mark.parametrize("name", ["array_api_strict", "torch", "jax.numpy"])
@pytest.mark.parametrize(
    "key", ["taylor_expansion", "bspline_expansion", "linear_expansion", "max_compression"]
)
def test_any_namespace(name, key):
    xp = pytest.importorskip(name)
    f, x = getattr(door, key)(), normal(4, M).astype(np.float32)
    y, pull = f.vjp(xp.asarray(x))
    expected, expected_pull = f.vjp(x)
    for found, target in ((y, expected), (pull(y), expected_pull(expected))):
        assert type(found) is type(xp.asarray(x))
        np.testing.assert_allclose(np.asarray(found), target, rtol=1e-5, atol=1e-5)


# Against tinybig itself, where there is one.
try:
    import torch
    from tinybig import compression as their_compression
    from tinybig import expansion as their_expansion

    absent = ""
except Exception as error:  # it needs pinned versions of much, and some of its releases do not parse
    absent = f"tinybig cannot be imported: {error!r}"

#: Where tinybig's code is not its formula, as docs/tinybig.md says; compared in tests of their own.
DEPARTS = {
    "laguerre_expansion": "its first polynomial has the wrong sign",
    "beta_wavelet_expansion": "outside of [0, 1] it takes the sigmoid of all data",
    "combinatorial_expansion": "it returns lists of lists",
}


def theirs_of(name, **more):
    package = their_expansion if name.endswith("_expansion") else their_compression
    return getattr(package, name)(**more)


@pytest.mark.skipif(bool(absent), reason=absent)
@pytest.mark.filterwarnings("ignore")
class TestBesideTinybig:
    @pytest.mark.parametrize(("name", "more"), EVERY)
    def test_values_and_gradients(self, name, more):
        ours = getattr(door, name)(**more)
        if "base" in more:
            more = more | {"base": torch.tensor(more["base"])}
        theirs = theirs_of(name, **more)
        assert ours.get_name() == theirs.get_name()
        assert ours.calculate_D(M) == theirs.calculate_D(M)
        if name in DEPARTS:
            return
        x = torch.tensor(normal(4, M), dtype=torch.float32)
        leaf = x.clone().requires_grad_()
        y = theirs(leaf * 1.0)
        found, pull = ours.vjp(x)
        torch.testing.assert_close(found, y.detach(), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(ours(x), found)
        if y.requires_grad:
            grad_y = torch.randn_like(y)
            (expected,) = torch.autograd.grad(y, leaf, grad_y)
            torch.testing.assert_close(pull(grad_y), expected, rtol=1e-4, atol=1e-4)
            ours(leaf).backward(grad_y)
            torch.testing.assert_close(leaf.grad, expected, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("matrix", ["pre_C", "post_C"])
    def test_linear(self, matrix):
        x, C = torch.randn(4, M), torch.randn(*{"pre_C": (4, 4), "post_C": (M, M)}[matrix])
        more = {matrix: C}
        torch.testing.assert_close(
            door.linear_expansion(**more)(x), their_expansion.linear_expansion(**more)(x)
        )

    @pytest.mark.parametrize("kind", ["expansion", "compression"])
    @pytest.mark.parametrize("key", ["nested", "extended"])
    def test_compositions(self, key, kind):
        x = torch.randn(4, M)
        results = []
        for package in (door, their_expansion):
            parts = [
                package.taylor_expansion(postprocess_functions=torch.tanh),
                package.bspline_expansion(),
            ]
            f = getattr(
                package if package is door or kind == "expansion" else their_compression, f"{key}_{kind}"
            )
            f = f(composition_functions=parts)
            results.append((f(x), f.calculate_D(M), f.get_name()))
        assert results[0][1:] == results[1][1:]
        torch.testing.assert_close(results[0][0], results[1][0])

    def test_metric(self):
        x = torch.randn(4, M)
        more = {"metric": lambda x: torch.linalg.norm(x, dim=1)}
        torch.testing.assert_close(
            door.metric_compression(**more)(x), their_compression.metric_compression(**more)(x)
        )

    @pytest.mark.parametrize("name", FITTED)
    def test_estimators(self, name):
        x = torch.tensor(normal(8, M))
        theirs, ours = theirs_of(name, D=2, **FITTED[name]), getattr(door, name)(D=2, **FITTED[name])
        assert (ours.get_name(), ours.calculate_D(M)) == (theirs.get_name(), theirs.calculate_D(M))
        if "random_state" in ours._arguments:  # tinybig's is drawn anew in every call
            assert ours(x).shape == theirs(x).shape
        else:
            torch.testing.assert_close(ours(x), theirs(x), rtol=1e-6, atol=1e-6)

    def test_laguerre_is_the_polynomial(self):
        x = torch.rand(4, M)
        theirs = their_expansion.laguerre_expansion(d=1, alpha=0.5)(x)
        ours = door.laguerre_expansion(d=1, alpha=0.5)(x)
        torch.testing.assert_close(theirs, x + 1.5)
        torch.testing.assert_close(ours, 1.5 - x)

    def test_beta_wavelets_agree_within_the_unit_interval(self):
        x = torch.rand(4, M)
        more = {"alpha": 2.0, "beta": 3.0}
        torch.testing.assert_close(
            door.beta_wavelet_expansion(**more)(x), their_expansion.beta_wavelet_expansion(**more)(x)
        )

    def test_choices_are_those_of_the_lists(self):
        x = torch.randn(4, M)
        lists = their_expansion.combinatorial_expansion(d=3)(x)
        rows = [torch.cat([degree[row].flatten() for degree in lists]) for row in range(4)]
        torch.testing.assert_close(door.combinatorial_expansion(d=3)(x), torch.stack(rows))

    def test_where_tinybig_has_no_number(self):
        x = torch.tensor([[0.0, 0.75, -0.75]])
        assert torch.isnan(their_expansion.shannon_wavelet_expansion()(x)).any()
        assert torch.isnan(their_expansion.meyer_wavelet_expansion()(x)).any()
        assert torch.isfinite(door.shannon_wavelet_expansion()(x)).all()
        assert torch.isfinite(door.meyer_wavelet_expansion()(x)).all()

    def test_reciprocals_leave_the_data_alone(self):
        x = torch.tensor([[0.0, -1e-7, 2.0]])
        y = door.reciprocal_expansion()(x)
        assert x[0, 0] == 0.0
        torch.testing.assert_close(y, their_expansion.reciprocal_expansion()(x))
        assert x[0, 0] == 1e-6
