"""tinybig's heads, layers and models by their names: plain formulas, and tinybig itself."""

import contextlib
import inspect
import io
import pickle
from importlib import import_module

import numpy as np
import pytest

import arrayfab as af
import arrayfab.tinybig as door
from arrayfab import expansions as it

NODES, LINKS = list("abcde"), [("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")]
GRAPH = {"nodes": NODES, "links": LINKS}
LOW = {"with_lorr": True, "r": 2}
BOTH = ("head", "layer")
#: What is compared: a name, whether of a head or of its layer too, arguments, and shapes of data.
CASES = [
    (f"{name}_{package}", args, more)
    for name, args, cases in (
        (
            "perceptron",
            (4, 6),
            [
                {},
                {"with_taylor": True},
                {"with_bspline": True, **LOW, "channel_num": 3},
                {
                    "with_dual_lphm": True,
                    "r": 2,
                    "with_residual": True,
                    "with_relu": True,
                    "with_softmax": True,
                },
                {"enable_bias": False},
            ],
        ),
        (
            "svm",
            (4, 6),
            [
                {},
                {"kernel": "gaussian_rbf", "num_interval": 4, "enable_bias": True},
                {"kernel": "inverse_quadratic_rbf", "epsilon": 2.0, "with_softmax": True, "channel_num": 2},
            ],
        ),
        ("kan", (4, 6), [{}, {"t": 3, "d": 2, "enable_bias": True, **LOW}]),
        ("naive_bayes", (4, 6), [{}, {"distribution": "laplace", "with_residual": True}]),
        *(
            ("naive_bayes", (4, 6), [{"distribution": key}])
            for key in ("exponential", "cauchy", "gamma", "chi2")
        ),
        ("pgm", (4, 6), [{"enable_bias": True}]),
        (
            "chain_interdependence",
            (4, 3, 3),
            [
                {},
                {"bi_directional": True, "self_scaling": 2.0},
                {"self_dependence": False, "with_softmax": False, "enable_bias": True},
                {"with_multihop": True, "h": 2, "accumulative": True},
                {"with_inverse_approx": True},
                {"with_exponential_approx": True, "with_residual": True},
            ],
        ),
        (
            "graph_interdependence",
            (4, 3),
            [
                GRAPH,
                {**GRAPH, "directed": True, "normalization": False},
                {**GRAPH, "with_multihop": True, "h": 2, "accumulative": True, "self_dependence": False},
                {**GRAPH, "with_pagerank": True, "channel_num": 2, "enable_bias": True},
            ],
        ),
    )
    for more in cases
    for package in BOTH
]
PLAIN = {"with_batch_norm": False, "with_dropout": False}
SHARES = [{}, {"with_lorr_interdependence": True, "r_interdependence": 1, "channel_num": 2}]
CASES += [
    (f"{key}_interdependence_{package}", (4, 3), {**more, **given})
    for package in BOTH
    for key, given in (("bilinear", {}), ("graph_bilinear", {**GRAPH, "normalization": False}))
    for more in SHARES
]
CASES += [
    ("gat", ([4, 3, 2],), {**GRAPH, "normalization": False, "enable_bias": True, "with_relu": False}),
    ("transformer", ([4, 3], [5, 2]), {**PLAIN, "with_relu": False}),
    ("rnn", (3, [4, 3, 2]), {"with_relu": False, "bi_directional": True}),
    ("regression_rnn", (3, [4, 3, 2]), {"with_residual": True, "with_taylor": True}),
]
PATCH = {"p_h": 1, "with_batch_norm": False}
CYLINDER = {"patch_shape": "cylinder", "p_r": 1}
CASES += [
    (f"grid_{key}_{package}", args, more)
    for package in BOTH
    for key, args, more in (
        ("interdependence", (4, 3, 2, 3), PATCH),
        ("interdependence", (4, 3, 2, 3), {**PATCH, "enable_bias": True, "with_residual": True, "p_w": 0}),
        ("interdependence", (4, 3, 2, 2), {**PATCH, **CYLINDER, **LOW, "packing_strategy": "sparse_square"}),
        ("compression", (4, 3, 2), {"p_h": 1, "packing_strategy": "sparse_square", "with_dropout": False}),
    )
]
CASES += [
    (
        "cnn",
        (4, 3, [2, 3, 3, 4], [5, 2]),
        {**PATCH, "patch_size_half_after_pooling": True, "with_softmax": True},
    ),
    ("cnn", (4, 3, [2, 3], [2]), {**PATCH, "with_perceptron_residual": True, "enable_bias": False}),
]
DEEP = {"channel_num": 2, "enable_bias": True, "width": 2, **LOW}
CASES += [
    (name, ([4, 3, 2],), more) for name in ("mlp", "kan", "svm", "naive_bayes", "pgm") for more in ({}, DEEP)
]
CASES += [
    ("gcn", ([4, 3, 2],), GRAPH),
    ("gcn", ([4, 3, 3],), {**GRAPH, "channel_num": 2, "enable_bias": True}),
]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def data(name):
    sizes = {"chain": 12, "rnn": 12, "grid": 24, "cnn": 24}
    return normal(5, next((size for key, size in sizes.items() if key in name), 4))


@pytest.mark.parametrize(("name", "args", "more"), CASES)
def test_numbers_configurations_and_gradients(name, args, more):
    f, x = getattr(door, name)(*args, **more), data(name)
    f.initialize_parameters(rng=0)
    w = f.numbers
    assert w.shape == (f.num_parameters(),) == (sum(part.size for part in f.parameters()),)
    y, pull = f.vjp(x)
    np.testing.assert_array_equal(f(x), y)
    again = door.from_config(f.to_config())
    again.load_state_dict(f.state_dict())
    np.testing.assert_array_equal(again(x), y)
    other = pickle.loads(pickle.dumps(f))
    other.numbers = 2 * w
    np.testing.assert_array_equal(other.numbers, 2 * w)
    np.testing.assert_array_equal(other(x), f(x, w=2 * w))
    grad_x, grad_w = pull(np.ones_like(y))
    assert (grad_x.shape, np.shape([] if grad_w is None else grad_w)) == (x.shape, w.shape)


def test_a_head_is_arrayfabs():
    f = door.rpn_head(
        m=3,
        n=2,
        channel_num=2,
        data_transformation=door.taylor_expansion(d=2, postprocess_functions="layer_norm"),
        attribute_interdependence=door.lowrank_parameterized_interdependence(b=5, m=3, m_prime=4, r=1),
        instance_interdependence=door.parameterized_bilinear_interdependence(b=5, m=3),
        parameter_fabrication=door.lorr_reconciliation(r=2, enable_bias=True),
        channel_fusion=door.max_fusion(dims=[2, 2]),
        remainder=door.linear_remainder(enable_bias=True, activation_functions="tanh"),
        input_process_functions="sigmoid",
        output_process_functions=["torch.nn.Softmax"],
    )
    head = af.Head(
        expansion=it.RowNormalized(expansion=it.Taylor(d=2)),
        attribute=af.ParameterizedInterdependence(fabrication=af.LowRank(r=1), m=3, m_prime=4),
        instance=af.BilinearInterdependence(fabrication=af.Full(), m=3, interdependence_type="instance"),
        fabrication=af.LowRank(r=2),
        channels=2,
        fusion=af.Fusion("max", 2),
        remainder=af.remainders.linear(3, 2, bias=True, activation="tanh"),
        bias=True,
        n=2,
        m=3,
    )
    whole = af.Sequential([af.Pointwise("sigmoid"), head, af.Softmax()])
    x, w = normal(5, 3), normal(f.num_parameters(), seed=1)
    assert w.shape == (whole.num_parameters(),)
    np.testing.assert_allclose(f(x, w=w), whole(x, w), rtol=1e-12)
    # By tinybig's steps, as where a function is no layer.
    f.output_process_functions = [*f.output_process_functions, lambda y: y]
    np.testing.assert_allclose(f(x, w=w), whole(x, w), rtol=1e-10)
    with pytest.raises(NotImplementedError, match="is no layer of arrayfab's"):
        f.vjp(x)
    f.numbers = w
    assert {key: value.shape for key, value in f.state_dict().items()} == {
        "w_attribute_interdependence": (2, 7),
        "w": (2, 2 * (2 + 20)),
        "w_instance_interdependence": (2, 9),
        "b": (2,),
        "w_remainder": (2, 3),
        "b_remainder": (2,),
    }


@pytest.mark.parametrize("key", ["summation", "weighted"])
def test_a_bias_counts_in_every_channel(key):
    made = {
        "summation": door.summation_fusion(dims=[2, 2]),
        "weighted": door.parameterized_weighted_summation_fusion(dims=[2, 2]),
    }
    psi = door.identity_reconciliation(enable_bias=True)
    f = door.head(3, 2, channel_num=2, parameter_fabrication=psi, channel_fusion=made[key])
    x = normal(5, 3)
    y = f(x)
    weights = np.ones(2) if f.w_channel_fusion is None else f.w_channel_fusion[0]
    expected = sum(a * (x @ w.reshape(2, 3).T + f.b) for a, w in zip(weights, f.w, strict=True))
    np.testing.assert_allclose(y, expected)


def test_heads_of_a_layer_learn_by_themselves():
    f, x = door.svm_layer(3, 2, width=2), normal(5, 3)
    assert f.num_parameters() == 12
    np.testing.assert_allclose(f(x), np.mean([x @ head.w.reshape(2, 3).T for head in f.heads], axis=0))
    f.heads[1].w = f.heads[0].w  # as tinybig's are
    np.testing.assert_allclose(f(x), x @ f.heads[0].w.reshape(2, 3).T)


def test_a_learned_fusion_of_heads():
    heads = [door.svm_head(3, 2) for _ in range(2)]
    f = door.layer(3, 2, heads=heads, head_fusion=door.parameterized_concatenation_fusion(dims=[2, 2]))
    x = normal(5, 3)
    y = f(x)
    joined = np.concatenate([head(x) for head in heads], axis=1)
    np.testing.assert_allclose(y, joined @ f.w_head_fusion.reshape(2, 4).T)
    heads[0].output_process_functions = [lambda y: y]
    np.testing.assert_allclose(f(x), y)


def test_a_model_by_hand():
    f, x = door.mlp([4, 3, 2], enable_bias=True, with_softmax=False, with_relu=False), normal(5, 4)
    f.layers[0].heads[0].output_process_functions = [np.tanh]
    y = f(x)
    (w, b), (v, c) = [(layer.heads[0].w, layer.heads[0].b) for layer in f.layers]
    np.testing.assert_allclose(y, np.tanh(x @ w.reshape(3, 4).T + b) @ v.reshape(2, 3).T + c)
    assert (f.get_depth(), f.layers[0].get_width(), f.layers[0].get_m(), f.layers[0].get_n()) == (2, 1, 4, 3)


def test_a_chain_of_several_channels():
    f, x = (
        door.chain_interdependence_head(2, 3, 4, channel_num=2, with_relu=False, with_softmax=False),
        normal(5, 8),
    )
    y = f(x)
    members = x.reshape(5, 4, 2)
    dependent = members + np.concatenate([np.zeros((5, 1, 2)), members[:, :-1]], axis=1)
    W = f.w.reshape(2, 3, 2).mean(0)
    np.testing.assert_allclose(y, (dependent @ W.T).reshape(5, 12))


@pytest.mark.parametrize(
    "init_type", ["xavier_uniform", "xavier_normal", "kaiming_uniform", "fanout_std_uniform"]
)
def test_starting_values(init_type):
    f = door.rpn_head(
        300, 200, channel_num=2, parameter_fabrication=door.lorr_reconciliation(r=20, enable_bias=True)
    )
    f.initialize_parameters(init_type, rng=0, dtype=np.float32)
    fan_in, fan_out = f.w.shape[1], 2
    edges = {"kaiming_uniform": fan_in**-0.5, "fanout_std_uniform": 200**-0.5}
    edge = edges.get(init_type, (6 / (fan_in + fan_out)) ** 0.5)
    assert f.w.dtype == np.float32
    np.testing.assert_allclose(f.w.std(), edge / 3**0.5, rtol=0.05)
    assert (np.abs(f.w).max() > edge) == (init_type == "xavier_normal")
    b = f.b
    f.initialize_parameters(init_type, init_bias=False)
    assert f.b is b


def test_numbers_are_drawn_where_the_data_are():
    f = door.kan([3, 2])
    assert f.layers[0].heads[0].w is None
    assert f(normal(5, 3).astype(np.float32)).dtype == np.float32
    assert {array.dtype for array in f.parameters()} == {np.dtype(np.float32)}


def test_scores_of_zero_have_a_share():
    f = door.bilinear_interdependence_head(2, 3, with_relu=False, with_softmax=False)
    x = np.asarray([[0.0, 0.0], [1.0, 2.0]])
    y = f(x)
    np.testing.assert_allclose(y[0], x.mean(0) @ f.w.reshape(3, 2).T)


def test_a_pooling_by_means():
    more = {"p_h": 0, "p_h_prime": 1, "p_w_prime": 1, "cd_h": 2, "cd_w": 2, "pooling_metric": "batch_mean"}
    f, x = door.grid_compression_head(4, 4, 2, **more), normal(5, 32)
    means = x.reshape(5, 2, 2, 2, 2, 2).mean((3, 5))
    np.testing.assert_allclose(f(x), means.reshape(5, 8))
    assert (f.get_patch_size(), f.get_input_grid_shape(), f.get_output_grid_shape()) == (
        4,
        (4, 4, 1),
        (2, 2, 1),
    )


def test_models_are_saved_as_compositions(tmp_path):
    model, x = door.gcn([4, 3, 2], **GRAPH), normal(5, 4)
    y = model(x)
    af.save(tmp_path / "gcn", {"model": (model.composition(), model.numbers)})
    layer, w = af.load(tmp_path / "gcn")["model"]
    np.testing.assert_array_equal(layer(x, w), y)


def test_pytorch_trains_it():
    torch = pytest.importorskip("torch")
    model, x = door.kan([3, 2]), torch.ones(5, 3)
    model.initialize_parameters(rng=0, xp=torch)
    learned = [array.requires_grad_() for array in model.parameters()]
    model(x).sum().backward()
    grad = torch.cat([array.grad.reshape(-1) for array in learned])
    w = model.numbers.detach()
    torch.testing.assert_close(model.composition().vjp(x, w)[1](torch.ones(5, 2))[1], grad)


class own(door.rpn_head):
    def calculate_phi_w(self, D, channel_index=0, device="cpu", *args, **kwargs):
        return np.ones((self.n, D))


def test_a_subclass_of_ones_own():
    f, x = own(3, 2, parameter_fabrication=door.identity_reconciliation()), normal(5, 3)
    np.testing.assert_allclose(f(x), np.repeat(x.sum(1)[:, None], 2, axis=1))
    with pytest.raises(NotImplementedError, match="calculate_phi_w is given anew"):
        f.vjp(x)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: door.perceptron_head(3, 2, with_dropout=True), NotImplementedError, "with_dropout"),
        (lambda: door.kan([3, 2], with_batch_norm=True), NotImplementedError, "with_batch_norm"),
        (lambda: door.mlp([3, 2], with_hybrid_expansion=True), NotImplementedError, "with_hybrid_expansion"),
        (lambda: door.mlp([3, 2], depth=3), TypeError, "no keyword 'depth'"),
        (lambda: door.mlp([3]), ValueError, "at least two sizes"),
        (lambda: door.svm([3, 2], kernel="sinc"), ValueError, "kernel must be one of"),
        (lambda: door.head(3, 0), ValueError, "must be positive"),
        (
            lambda: door.head(3, 2, l=5, parameter_fabrication=door.lorr_reconciliation()),
            ValueError,
            "l must be 10",
        ),
        (lambda: door.rpn(), ValueError, "layer_configs are needed"),
        (lambda: door.layer(3, 2), ValueError, "head_configs are needed"),
        (lambda: door.layer(3, 2, heads=[door.svm_head(3, 4)]), ValueError, "all heads must have"),
        (
            lambda: door.layer(3, 2, heads=[door.svm_head(3, 2)], fusion_strategy="max"),
            ValueError,
            "fusion_strat",
        ),
        (lambda: door.gcn([3, 2]), ValueError, "nodes and links"),
        (
            lambda: door.gat([3, 2], **GRAPH, normalization=True),
            NotImplementedError,
            "normalization must be False",
        ),
        (
            lambda: door.rnn(3, [4, 2], with_lorr_interdependence=True),
            NotImplementedError,
            "with_lorr_interdep",
        ),
        (
            lambda: door.chain_interdependence_head(3, 2, 4, with_taylor=True),
            NotImplementedError,
            "with_taylor",
        ),
        (
            lambda: door.grid_compression_head(4, 3, 1, pooling_metric="batch_std"),
            ValueError,
            "pooling_metric must be",
        ),
        (lambda: door.grid_interdependence_head(4, 3, 1, 2), ValueError, "p_h is missing"),
        (lambda: door.transformer([4], [2]), ValueError, "dims must hold two sizes"),
        (lambda: door.kan([3, 2])(normal(5, 3), w=np.ones(3)), ValueError, r"shape \(54,\)"),
        (lambda: door.kan([3, 2]).load_state_dict({"w": np.ones(3)}), ValueError, "not known"),
        (
            lambda: door.svm_layer(3, 2, parameters_init_method="zeros")(normal(5, 3)),
            ValueError,
            "init_method",
        ),
        (
            lambda: door.head(
                3, 2, parameter_fabrication=door.lorr_reconciliation(), remainder=door.identity_remainder()
            ),
            ValueError,
            "remainder must give n=2",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


# Against tinybig itself, where there is one.
try:
    import torch

    theirs_of = {name: import_module(f"tinybig.{name}") for name in ("head", "layer", "model")}
    theirs_of["graph_based_heads"] = import_module("tinybig.head.graph_based_heads")
    absent = ""
except Exception as error:  # it needs pinned versions of much, and some of its releases do not parse
    absent = f"tinybig cannot be imported: {error!r}"


def quietly(call, *args, **more):
    with contextlib.redirect_stdout(io.StringIO()):
        return call(*args, **more)


@pytest.mark.skipif(bool(absent), reason=absent)
@pytest.mark.filterwarnings("ignore")
class TestBesideTinybig:
    @pytest.mark.parametrize(("name", "args", "more"), CASES)
    def test_result(self, name, args, more):
        torch.manual_seed(0)
        package = next((kind for kind in BOTH if name.endswith(f"_{kind}")), "model")
        made_of = getattr(theirs_of[package], name, None) or getattr(theirs_of["graph_based_heads"], name)
        theirs = quietly(made_of, *args, **more)
        for module in theirs.modules():  # there is no dropout here
            kept = getattr(module, "output_process_functions", None) or ()
            module.output_process_functions = [f for f in kept if not isinstance(f, torch.nn.Dropout)]
            for f in (
                getattr(getattr(module, "instance_interdependence", None), "postprocess_functions", None)
                or ()
            ):
                f.keywords["mask_zeros"] = f.keywords.pop(
                    "mask_zero", True
                )  # misspelt there, so that it fails
        quietly(theirs.initialize_parameters)
        arranged = {"arrangement": "reshaped"} if "with_dual_lphm" in more else {}
        ours = getattr(door, name)(*args, **more, **arranged)
        ours.load_state_dict({key: value.detach() for key, value in theirs.state_dict().items()})
        # All heads of a layer are one and the same there.
        assert ours.num_parameters() == sum(p.numel() for p in theirs.parameters()) * more.get("width", 1)
        x = torch.tensor(data(name), dtype=torch.float32, requires_grad=True)
        y = quietly(theirs, x)
        torch.testing.assert_close(ours(x), y, rtol=1e-4, atol=1e-5)
        assert ours.get_name() == theirs.get_name()
        y.sum().backward()
        ours_x = ours.vjp(x.detach())[1](torch.ones_like(y))[0]
        torch.testing.assert_close(ours_x, x.grad, rtol=1e-3, atol=1e-5)
        if package == "head" and "chain" not in name and "grid" not in name:
            torch.testing.assert_close(ours._stepwise(x, "cpu"), y, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("package", [*BOTH, "model", "graph_based_heads"])
    def test_keywords(self, package):
        for name, made_of in vars(theirs_of[package]).items():
            if not hasattr(getattr(door, name, None), "composition"):
                continue
            parameters = list(inspect.signature(made_of.__init__).parameters.values())[1:]
            wanted = {p.name: p.default for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}
            order = getattr(door, name)._order
            assert list(order)[: len(wanted)] == list(wanted)
            for key, default in wanted.items():
                ours = inspect.Parameter.empty if order[key] is ... else order[key]
                has_none = key in ("with_batch_norm", "with_dropout") or (name, key) == (
                    "gat",
                    "normalization",
                )
                assert ours == default or (has_none and ours is False)
