"""Heads, their remainders and the named models, beside plain dense formulas."""

import pickle
from dataclasses import dataclass, replace

import numpy as np
import pytest
from dense_reference import derivative, gradients
from hypothesis import given, settings
from hypothesis import strategies as st
from namespaces import ENTRIES

import arrayfab as af
from arrayfab import _arrays, expansions, models, remainders
from arrayfab.gradients import mean_squared_error, value_and_grad
from arrayfab.interdependences import ChainInterdependence, GaussianKernel, Graph, InverseChain
from arrayfab.programs import Program
from arrayfab.structures import streamed as streaming
from arrayfab.testing import parametrize_with_checks

COUNTS = [1, 2, 3, 5, 8]
B, M, N = 5, 3, 4


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


class Cut:
    """The numbers in ``w``, from front to back."""

    def __init__(self, w):
        self.w, self.at = w, 0

    def __call__(self, *shape):
        start, self.at = self.at, self.at + int(np.prod(shape))
        return self.w[start : self.at].reshape(shape)


GRAPH = Graph.of(B, [(0, 1), (2, 1), (3, 1), (1, 4)])
ARE_LINKED = np.eye(B, dtype=bool)
ARE_LINKED[[1, 1, 1, 4], [0, 2, 3, 1]] = True


def shares(scores, are_linked=True):
    """What each row takes of the others, for how much the others count for it in the columns of scores."""
    e = np.where(are_linked, np.exp(scores.T / np.sqrt(M)), 0.0)
    return e / e.sum(axis=1, keepdims=True)


ATTRIBUTES = {
    None: (None, lambda x, cut: x),
    "learned": (
        af.ParameterizedInterdependence(fabrication=af.Full(), m=M, m_prime=2),
        lambda x, cut: x @ cut(M, 2),
    ),
    "of the data": (
        af.BilinearInterdependence(fabrication=af.Full(), b=B),
        lambda x, cut: x @ (x.T @ cut(B, B) @ x),
    ),
    "plain": (af.Pointwise("tanh"), lambda x, cut: np.tanh(x)),
}
INSTANCES = {
    None: (None, lambda x, z, cut: z),
    "learned": (
        af.ParameterizedInterdependence(fabrication=af.Full(), b=B, interdependence_type="instance"),
        lambda x, z, cut: cut(B, B).T @ z,
    ),
    "bilinear": (
        af.BilinearInterdependence(fabrication=af.Full(), m=M, interdependence_type="instance"),
        lambda x, z, cut: (x @ cut(M, M) @ x.T).T @ z,
    ),
    "attention": (
        af.Attention(fabrication=af.Full(), m=M, interdependence_type="instance"),
        lambda x, z, cut: shares(x @ cut(M, M) @ x.T) @ z,
    ),
    "attention to those linked": (
        af.Attention(fabrication=af.LowRank(r=1), m=M, interdependence_type="instance", graph=GRAPH),
        lambda x, z, cut: shares(x @ cut(M, 1) @ cut(1, M) @ x.T, ARE_LINKED) @ z,
    ),
    "kernel": (
        GaussianKernel(sigma=2.0, interdependence_type="instance"),
        lambda x, z, cut: np.exp(-np.sum((x[:, None] - x) ** 2, axis=-1) / 8.0) @ z,
    ),
    "chain": (
        ChainInterdependence(interdependence_type="instance"),
        lambda x, z, cut: z + np.concatenate([0.0 * z[:1], z[:-1]]),
    ),
    "expanded": (
        af.ParameterizedInterdependence(
            fabrication=af.Full(), b=B, m=M, interdependence_type="instance", expansion=af.Taylor(d=2)
        ),
        lambda x, z, cut: (taylor(x) @ cut(B, M + M * M).T).T @ z,
    ),
}
EXPANSIONS = {None: (None, lambda x: x), "taylor": (af.Taylor(d=2), lambda x: taylor(x))}
FABRICATIONS = {
    "full": (af.Full(), lambda cut, n, D: cut(n, D)),
    "low rank": (af.LowRank(r=2), lambda cut, n, D: cut(n, 2) @ cut(2, D)),
    "hm": (af.Hypercomplex(p=2, q=1), lambda cut, n, D: np.kron(cut(2, 1), cut(n // 2, D))),
}
FUSIONS = {
    None: (lambda k: None, lambda zs, cut: sum(zs) / len(zs)),
    "sum": (lambda k: "sum", lambda zs, cut: sum(zs)),
    "product": (lambda k: af.Fusion("product", k), lambda zs, cut: np.prod(zs, axis=0)),
    "weighted": (lambda k: af.WeightedFusion(k), lambda zs, cut: np.tensordot(cut(len(zs)), zs, 1)),
}
REMAINDERS = {
    None: (None, lambda x, cut: 0.0),
    "constant": (remainders.constant(N, 0.5, "tanh"), lambda x, cut: np.tanh(0.5)),
    "linear": (remainders.linear(M, N), lambda x, cut: x @ cut(N, M).T),
    "with a bias": (
        remainders.linear(M, N, bias=True, activation="tanh"),
        lambda x, cut: np.tanh(x @ cut(N, M).T + cut(N)),
    ),
}


def taylor(x):
    return np.concatenate([x, np.reshape(x[:, :, None] * x[:, None, :], (len(x), -1))], axis=1)


@dataclass(frozen=True)
class Choice:
    """A head by the names of its parts, and the dense formula that it must compute."""

    attribute: str | None = None
    expansion: str | None = None
    fabrication: str = "full"
    instance: str | None = None
    channels: int = 1
    fusion: str | None = None
    bias: bool = False
    remainder: str | None = None

    def head(self):
        return af.Head(
            attribute=ATTRIBUTES[self.attribute][0],
            expansion=EXPANSIONS[self.expansion][0],
            fabrication=FABRICATIONS[self.fabrication][0],
            instance=INSTANCES[self.instance][0],
            channels=self.channels,
            fusion=FUSIONS[self.fusion][0](self.channels),
            bias=self.bias,
            remainder=REMAINDERS[self.remainder][0],
            n=N,
            m=M,
        )

    def dense(self, x, w):
        """tinybig's order of operations: A_a, κ, ψ and A_i of each channel, fusion, bias, π(x)."""
        cut, zs = Cut(w), []
        for _ in range(self.channels):
            kappa = EXPANSIONS[self.expansion][1](ATTRIBUTES[self.attribute][1](x, cut))
            W = FABRICATIONS[self.fabrication][1](cut, N, kappa.shape[1])
            zs.append(INSTANCES[self.instance][1](x, kappa @ W.T, cut))
        y = zs[0] if self.channels == 1 else FUSIONS[self.fusion][1](np.stack(zs), cut)
        y = y + (cut(N) if self.bias else 0.0) + REMAINDERS[self.remainder][1](x, cut)
        assert cut.at == len(w)
        return y


CHOICES = st.builds(
    Choice,
    attribute=st.sampled_from(list(ATTRIBUTES)),
    expansion=st.sampled_from(list(EXPANSIONS)),
    fabrication=st.sampled_from(list(FABRICATIONS)),
    instance=st.sampled_from(list(INSTANCES)),
    channels=st.integers(1, 3),
    fusion=st.sampled_from(list(FUSIONS)),
    bias=st.booleans(),
    remainder=st.sampled_from(list(REMAINDERS)),
)
SOME = {
    "plain": Choice(),
    "all": Choice("learned", "taylor", "low rank", "bilinear", 3, "weighted", True, "with a bias"),
    "rows": Choice("learned", "taylor", "hm", None, 2, "product", True, "linear"),
    "kernel": Choice("of the data", None, "full", "kernel", 2, "sum", True, "linear"),
    "instances": Choice(None, None, "low rank", "learned", 2, None, False, "constant"),
}
by_some = pytest.mark.parametrize("choice", SOME.values(), ids=list(SOME))


def check_beside_the_dense_formula(choice, seed):
    head, x = choice.head(), 0.5 * normal(B, M, seed=seed)
    w = 0.5 * normal(head.num_parameters(), seed=seed + 1)
    y, pullback = head.vjp(x, w)
    np.testing.assert_allclose(y, choice.dense(x, w), rtol=1e-11, atol=1e-12)
    u, dx, dw = normal(B, N, seed=2), normal(*x.shape, seed=3), normal(*w.shape, seed=4)
    for found, expected in zip(pullback(u), gradients(choice.dense, [x, w], u, False), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-11)
    again, dy = head.jvp(x, w, dx, dw)
    np.testing.assert_allclose(again, y, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(dy, derivative(choice.dense, [x, w], [dx, dw], False), rtol=1e-10, atol=1e-11)


@given(CHOICES, st.integers(0, 99))
@settings(max_examples=40)
def test_value_gradients_and_direction_are_those_of_the_dense_formula(choice, seed):
    check_beside_the_dense_formula(choice, seed)


PARTS = {
    "attribute": ATTRIBUTES,
    "expansion": EXPANSIONS,
    "fabrication": FABRICATIONS,
    "instance": INSTANCES,
    "fusion": FUSIONS,
    "remainder": REMAINDERS,
}


@pytest.mark.parametrize(("part", "name"), [(part, name) for part, known in PARTS.items() for name in known])
@pytest.mark.parametrize("channels", [1, 2])
def test_each_part_is_as_in_the_dense_formula(part, name, channels):
    check_beside_the_dense_formula(Choice(channels=channels, bias=True, **{part: name}), 0)


@by_some
def test_what_is_not_wanted_is_left_out(choice):
    head, x = choice.head(), normal(B, M)
    w, u = head.init(rng=0), normal(B, N, seed=1)
    both = head.vjp(x, w)[1](u)
    for wrt, place in (("x", 0), ("w", 1)):
        grads = head.vjp(x, w, wrt=wrt)[1](u)
        assert grads[1 - place] is None
        np.testing.assert_allclose(grads[place], both[place], rtol=1e-12, atol=1e-13)


@by_some
def test_one_program_does_what_the_rule_does(choice):
    head = choice.head()
    w, backend = head.init(rng=0), _arrays.backend_of("test", "w", np.ones(1))
    counts = COUNTS if head.core == 1 else [B]
    for rows in [*counts, *counts]:
        x, u = normal(rows, M, seed=rows), normal(rows, N, seed=1)
        y, pull = head._rule(backend, x, w, iter(()), "xw")
        found, pullback = head.vjp(x, w)
        np.testing.assert_allclose(found, y, rtol=1e-13, atol=1e-14)
        for one, other in zip(pullback(u), pull(u), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)
        if head.core == 1:
            np.testing.assert_allclose(head(x[0], w), y[0], rtol=1e-12, atol=1e-13)
    assert isinstance(head._enter("xw", x, w).program, Program)


def test_a_model_of_heads_is_one_program_with_its_loss():
    model = models.mlp((M, 6, N), expansion=af.Taylor(d=2), fabrication=af.LowRank(r=1), channels=2, width=2)
    w, objective = model.init(rng=0), value_and_grad(model, mean_squared_error)
    for rows in [*COUNTS, *COUNTS]:
        x, target = normal(rows, M, seed=rows), normal(rows, N, seed=1)
        y, pullback = model.vjp(x, w)
        expected, grad_y = mean_squared_error(y, target)
        value, grad = objective(w, x, target)
        np.testing.assert_allclose(value, expected, rtol=1e-13)
        np.testing.assert_allclose(grad, pullback(grad_y)[1], rtol=1e-12, atol=1e-14)
    losses = [program for key, program in model._programs.items() if callable(key[0])]
    assert losses
    assert all(isinstance(program, Program) for program in losses)


@by_some
@pytest.mark.parametrize("ns", [entry.param for entry in ENTRIES])
def test_namespaces_give_the_same(choice, ns):
    head, x, u = choice.head(), normal(B, M), normal(B, N, seed=1)
    w = head.init(rng=0)

    def call(x, w, u):
        y, pull = head.vjp(x, w)
        return y, *pull(u)

    received = ns.compiled(call)(*map(ns.asarray, (x, w, u)))
    expected = choice.dense(x, w), *gradients(choice.dense, [x, w], u, False)
    tolerance = 1e-10 if ns.dtype_name == "float64" else 2e-4
    for found, wanted in zip(ns.all_to_numpy(received), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)
    assert all(ns.owns(array) for array in received)


@by_some
@pytest.mark.parametrize("x_lead", [(), (2,)], ids=["one x", "many x"])
def test_leading_axes_of_w_are_a_loop(choice, x_lead):
    head, x = choice.head(), normal(*x_lead, B, M)
    w = np.stack([head.init(rng=seed) for seed in range(2)])
    y, pullback = head.vjp(x, w)
    u = normal(*y.shape, seed=1)
    grad_x, grad_w = pullback(u)
    total = np.zeros_like(x)
    for i in range(2):
        one = x[i] if x_lead else x
        z, pull = head.vjp(one, w[i])
        np.testing.assert_allclose(y[i], z, rtol=1e-11, atol=1e-12)
        g, gw = pull(u[i])
        np.testing.assert_allclose(grad_w[i], gw, rtol=1e-10, atol=1e-11)
        total[i if x_lead else ...] += g
    np.testing.assert_allclose(grad_x, total, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", ["strict", "numpy"])
def test_an_expansion_stands_beside_a_batched_w(name):
    ns = next(entry for entry in ENTRIES if entry.name == name)
    both = af.Parallel([af.Reconciliation(fabrication=af.Full(), n=2, D=M), af.Taylor(d=2)])
    x, w = normal(B, M), normal(2, 2 * M, seed=1)
    ys = [ns.to_numpy(y) for y in both(ns.asarray(x), ns.asarray(w))]
    np.testing.assert_allclose(ys[0], x @ np.swapaxes(w.reshape(2, 2, M), 1, 2), rtol=1e-12)
    np.testing.assert_allclose(ys[1], np.stack([taylor(x)] * 2), rtol=1e-12)


def test_leading_axes_of_x_share_w():
    for choice in SOME.values():
        head, x = choice.head(), normal(2, B, M)
        w = head.init(rng=0)
        np.testing.assert_allclose(head(x, w), [head(one, w) for one in x], rtol=1e-12, atol=1e-13)


def test_channels_are_heads_side_by_side():
    one = Choice(expansion="taylor", fabrication="low rank", attribute="learned").head()
    head, side_by_side = replace(one, channels=3, fusion="max"), models.wide(one, 3, "max")
    x, w = normal(B, M), head.init(rng=0)
    assert head.num_parameters() == side_by_side.num_parameters()
    np.testing.assert_allclose(head(x, w), side_by_side(x, w), rtol=1e-13)
    products = {
        name: sum("@" in line.text for line in layer._enter("value", x, w).program.forward)
        for name, layer in (("one", head), ("many", side_by_side))
        for _ in range(2)
    }
    assert products["one"] < products["many"]


def test_a_deep_model_is_its_layers_one_after_another():
    first, last = Choice(remainder="linear").head(), af.Head(fabrication=af.LowRank(r=1), n=2, m=N, bias=True)
    model = af.Sequential([first, af.Pointwise("relu"), last])
    x, w = normal(B, M), model.init(rng=0)
    split = first.num_parameters()
    expected = last(np.maximum(first(x, w[:split]), 0.0), w[split:])
    np.testing.assert_allclose(model(x, w), expected, rtol=1e-13)


def test_frozen_matrices_may_be_streamed(monkeypatch):
    monkeypatch.setattr(streaming, "TILE", 2)
    kept, streamed = (
        af.Head(
            fabrication=af.RandomMatrixAdaption(r=2, seed=77, **storage),
            n=M, m=M, channels=2, bias=True, remainder=remainders.identity(),
        )
        for storage in ({}, {"storage": "streamed"})
    )  # fmt: skip
    assert streamed.streams
    assert not kept.streams
    x, w, u = normal(B, M), kept.init(rng=0), normal(B, M, seed=1)
    np.testing.assert_allclose(streamed(x, w), kept(x, w), rtol=1e-12)
    for found, expected in zip(streamed.vjp(x, w)[1](u), kept.vjp(x, w)[1](u), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


class Theirs:
    """A layer of someone else's: twice the data."""

    def num_parameters(self):
        return 0

    def init(self, **options):
        return np.zeros(0)

    def __call__(self, x, w):
        return 2.0 * x

    def vjp(self, x, w):
        return 2.0 * x, lambda g: (2.0 * g, None)

    def jvp(self, x, w, dx, dw):
        return 2.0 * x, 2.0 * dx


@pytest.mark.parametrize("channels", [1, 3])
def test_a_part_of_someone_elses_is_called_in_between(channels):
    head = Choice(expansion="taylor", channels=channels, bias=True).head()
    theirs, x = replace(head, attribute=Theirs(), remainder=None), normal(B, M)
    w, u = head.init(rng=0), normal(B, N, seed=1)
    y, pullback = theirs.vjp(x, w)
    expected, pull = head.vjp(2.0 * x, w)
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    for found, wanted, scale in zip(pullback(u), pull(u), (2.0, 1.0), strict=True):
        np.testing.assert_allclose(found, scale * wanted, rtol=1e-12)
    np.testing.assert_allclose(theirs.jvp(x, w, x, w)[1], head.jvp(2.0 * x, w, 2.0 * x, w)[1], rtol=1e-12)
    assert str(theirs).count("\n") >= 3


def test_learned_numbers_begin_as_each_part_has_them():
    head = Choice("learned", "taylor", "full", "bilinear", 2, "weighted", True, "linear").head()
    w = head.init(rng=0)
    cut = Cut(w)
    cut(2, M * 2 + N * 6 + M * M)
    np.testing.assert_array_equal(cut(2), [0.5, 0.5])
    np.testing.assert_array_equal(cut(N), np.zeros(N))
    assert np.all(cut(N, M) != 0)
    assert cut.at == w.size
    np.testing.assert_array_equal(head.init(rng=0), w)


def test_the_cost_is_that_of_the_parts():
    parts = Choice("learned", None, "full", "bilinear", 2, None, True, "linear").head()
    attribute, product, remainder = B * M * 2, B * 2 * N, B * M * N
    told = parts.cost((B, M)).multiplies - 2 * (attribute + product) - remainder
    # x (Wᵀ (xᵀ z)), from the right
    assert told == 2 * (B * M * N + M * M * N + B * M * N)


def test_a_head_travels(tmp_path):
    pytest.importorskip("safetensors")
    head = Choice("learned", "taylor", "low rank", "expanded", 3, "weighted", True, "with a bias").head()
    model = af.Sequential([head, models.wide(af.Head(fabrication=af.Full(), n=2, m=N), 2, "median")])
    x, w = normal(B, M), model.init(rng=0)
    expected = model(x, w)
    af.save(tmp_path / "model", {"it": (model, w)})
    again, v = af.load(tmp_path / "model")["it"]
    assert again == model == pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again(x, v), expected)


def test_a_model_prints_as_a_table():
    model = models.mlp((784, 64, 10), expansion=af.Taylor(d=2), fabrication=af.DualLPHM(r=5), bias=False)
    lines = str(model).splitlines()
    assert lines[0].startswith("Sequential: ")
    assert f"{model.num_parameters():,} learned numbers in place of {64 * 615440 + 10 * 4160:,}" in lines[0]
    assert [line.split()[0] for line in lines[1:]] == ["layer", "0", "1", "2", "total"]
    assert "1 × 784" in lines[2]
    assert "1 × 64" in lines[2]
    head = Choice("learned", "taylor", "hm", "bilinear", 3, "weighted", True, "linear").head()
    assert f"{head.num_parameters():,} learned" in str(head)
    assert repr(model).startswith("Sequential(layers=(Head(")
    assert "\n" not in repr(model)
    assert "1 × 3" in str(af.Sequential([af.Reconciliation(fabrication=af.Full(), n=2, D=3)]))
    for line in (str(af.Sequential([af.Pointwise("tanh")])), str(af.Parallel([Theirs(), Theirs()]))):
        assert "–" in line


def test_a_table_of_layers_that_do_not_fit_has_no_sizes():
    full = af.Full()
    wrong = af.Sequential([af.Reconciliation(fabrication=full, n=n, D=D) for n, D in ((2, 3), (4, 5))])
    assert str(wrong).splitlines()[-1].split()[0] == "total"
    with pytest.raises(ValueError, match="must have 5 columns") as caught:
        wrong(np.ones((2, 3)), np.ones(26))
    assert "\n" not in str(caught.value)


def full(**parts):
    return af.Head(**{"fabrication": af.Full(), "n": N, "m": M, **parts})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: full(n=0), "n must be a positive integer, got 0"),
        (lambda: full(channels=0), "channels must be a positive integer, got 0"),
        (lambda: full(fabrication=3), "Head: fabrication: .* must be a Fabrication"),
        (lambda: full(fabrication=af.Hypercomplex(p=3, q=1)), "Head: fabrication: "),
        (lambda: full(expansion=3), "Head: fabrication: .* expansion must be an Expansion"),
        (lambda: full(attribute=3), "Head: attribute must be a layer, got 3"),
        (lambda: full(attribute=ATTRIBUTES["learned"][0], m=7), "Head: attribute: .* must have m=3"),
        (lambda: full(instance=Theirs()), "Head: instance must say how"),
        (lambda: full(channels=2, fusion="mode"), "Head: fusion must be one of"),
        (lambda: full(channels=2, fusion=af.Fusion("sum", 3)), "Head: fusion: .* takes a list of 3, but"),
        (
            lambda: full(remainder=remainders.identity()),
            "Head: remainder must give n=4 columns for m=3, got 3",
        ),
        (lambda: full(remainder=remainders.linear(5, N)), "Head: remainder: .* must have 5 columns"),
        (lambda: full(bias=1), "Head: bias must be True or False, got 1"),
        (lambda: full()(np.ones((2, 5)), np.ones(12)), "Head: x must have m=3 columns, got shape \\(2, 5\\)"),
        (lambda: full()(np.ones((2, M)), np.ones(5)), "Head: w must hold 12 numbers"),
        (lambda: full()(np.ones((2, M)), np.ones(12, np.float32)), "Head: x has dtype float64"),
        (lambda: remainders.linear(M, N, activation="swish"), "function must be one of"),
        (lambda: remainders.constant(N, np.nan), "c must be a finite number"),
        (lambda: models.cnn((3,), (1, 2), (2,)), "cnn: grid must hold height and width, or depth too"),
        (lambda: models.cnn((3, 0), (1, 2), (2,)), "every entry of grid must be a positive integer"),
        (lambda: models.cnn((3, 3), (1,), (2,)), "cnn: channels: dims must hold at least 2 sizes"),
        (lambda: models.rnn((3, 2)), "rnn: dims must hold at least 3 sizes"),
        (lambda: models.transformer(3), "transformer: dims must hold at least 3 sizes"),
        (lambda: models.mlp((3,)), "mlp: dims must hold at least 2 sizes"),
        (lambda: models.naive_bayes(2, 2, distribution="a"), "naive_bayes: distribution must be one of"),
        (lambda: models.kernel_svm(2, 2, kernel="a"), "kernel_svm: kernel must be one of"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_instances_whose_rows_are_wrong_are_refused():
    head = Choice(instance="learned").head()
    with pytest.raises(ValueError, match="x must have b=5"):
        head(np.ones((4, M)), head.init(rng=0))


NAMED = {
    "mlp": (models.mlp((3, 4, 2)), 4 * 3 + 4 + 2 * 4 + 2),
    "resnet": (models.resnet((3, 3, 2), bias=False), 9 + 6 + 6),
    "kan": (models.kan((3, 2), t=4, d=2), 2 * 3 * 6 + 6),
    "naive bayes": (models.naive_bayes(3, 2), 8),
    "kernel svm": (models.kernel_svm(3, 2, width=2), 2 * (2 * 30 + 2)),
    "rnn": (models.rnn((3, 4, 2)), 4 * 3 + 4 + 4 * 4 + 4 + 2 * 4 + 2),
    "gat": (models.gat((3, 2), Graph.of(4, [(0, 1), (1, 3)])), 3 * 6 + 2 * 3 + 2),
    "transformer": (
        models.transformer((3, 4, 2), activation="tanh", bias=False),
        3 * 6 + 2 * 4 * 3 + 4 * 4 + 2 * 4,
    ),
    "cnn": (models.cnn((1, 3), (1, 2), (2,), pool=2), 2 * 9 + 2 * 4 + 2),
    "pgm": (models.pgm(3, 2, d=2, fabrication=af.LowRank(r=1)), 2 + 6 + 2),
}


@pytest.mark.parametrize("name", NAMED)
def test_named_models_have_their_numbers_and_gradients(name):
    model, count = NAMED[name]
    x, w = 0.5 * normal(4, 3), model.init(rng=0) + 0.1
    assert model.num_parameters() == count
    y, pullback = model.vjp(x, w)
    assert y.shape == (4, 2)
    u, dx, dw = normal(4, 2, seed=1), normal(4, 3, seed=2), normal(count, seed=3)
    grad_x, grad_w = pullback(u)
    slope = (model(x + 1e-6 * dx, w + 1e-6 * dw) - model(x - 1e-6 * dx, w - 1e-6 * dw)) / 2e-6
    np.testing.assert_allclose(np.sum(grad_x * dx) + grad_w @ dw, np.sum(u * slope), rtol=1e-6)
    assert f"{count:,} learned" in str(model)


def test_a_cnn_is_what_pytorch_makes_of_its_numbers():
    torch = pytest.importorskip("torch")
    model = models.cnn((5, 7), (2, 3, 4), (6, 2), bias=False)
    x, w = normal(3, 70), model.init(rng=0)
    cut, functions = Cut(torch.asarray(w)), torch.nn.functional
    z = torch.asarray(x).reshape(3, 2, 5, 7)
    for before, made in ((2, 3), (3, 4)):
        z = torch.relu(functions.conv2d(z, cut(made, before, 3, 3), padding=1))
        z = functions.max_pool2d(z, 2, ceil_mode=True)
    z = torch.relu(z.reshape(3, -1) @ cut(6, 16).T) @ cut(2, 6).T
    np.testing.assert_allclose(model(x, w), z.numpy(), rtol=1e-12, atol=1e-12)


def test_a_gcn_takes_means_over_neighbours():
    links = [(0, 1), (1, 2), (2, 3)]
    model, x = models.gcn((3, 4, 2), Graph.of(4, links), activation="tanh", bias=False), normal(4, 3)
    w = model.init(rng=0)
    A = np.eye(4) + sum(
        np.eye(4)[[i]].T @ np.eye(4)[[j]] + np.eye(4)[[j]].T @ np.eye(4)[[i]] for i, j in links
    )
    mean = (A / A.sum(axis=0)).T
    expected = mean @ np.tanh(mean @ x @ w[:12].reshape(4, 3).T) @ w[12:].reshape(2, 4).T
    np.testing.assert_allclose(model(x, w), expected, rtol=1e-12)


def test_a_transformer_adds_what_rows_take_of_others_and_what_each_makes_of_itself():
    model = models.transformer((M, M, 2), scores=af.Full(), activation="tanh", bias=False)
    x, w = normal(B, M), model.init(rng=0)
    cut = Cut(w)
    W = cut(M, M)
    scores = cut(M, M)
    z = np.tanh(shares(x @ scores @ x.T) @ x @ W.T + x)
    z = np.tanh(z @ cut(M, M).T + z)
    np.testing.assert_allclose(model(x, w), z @ cut(2, M).T, rtol=1e-12)


def test_steps_of_a_recurrent_network_take_from_those_before():
    model = models.rnn((M, 2, 1), chain=InverseChain(interdependence_type="instance"), bias=False)
    x, w = normal(2, B, M), model.init(rng=0)
    cut = Cut(w)
    z = np.tanh(x @ cut(2, M).T)
    z = np.tanh(np.tril(np.ones((B, B))) @ z @ cut(2, 2).T)
    np.testing.assert_allclose(model(x, w), z @ cut(1, 2).T, rtol=1e-12)


def test_a_residual_layer_adds_what_comes_in():
    model = models.resnet((3, 3), fabrication=af.Constant(c=0.0), bias=False)
    x = normal(4, 3)
    np.testing.assert_array_equal(model(x, np.ones(0)), x)


def test_a_kan_adds_splines_and_a_smooth_linear_map():
    model, x = models.kan((3, 2), t=4, d=2), 0.5 * normal(4, 3)
    w = model.init(rng=0)
    K = expansions.BSpline(t=4, d=2)(x)
    linear = x @ w[36:].reshape(2, 3).T
    expected = K @ w[:36].reshape(2, 18).T + linear / (1 + np.exp(-linear))
    np.testing.assert_allclose(model(x, w), expected, rtol=1e-12)


CHECKED = [SOME["rows"].head(), SOME["all"].head(), remainders.constant(3, 2.0, "tanh"), remainders.zero(2)]


@parametrize_with_checks(CHECKED, namespaces=["numpy"], max_examples=3)
def test_laws(check):
    check()


# Beside tinybig itself, where there is one.
try:
    import torch
    from tinybig.expansion import taylor_expansion
    from tinybig.fusion import mean_fusion, prod_fusion
    from tinybig.interdependence import parameterized_bilinear_interdependence, parameterized_interdependence
    from tinybig.module.base_head import head as their_head
    from tinybig.reconciliation import lorr_reconciliation
    from tinybig.remainder import identity_remainder, linear_remainder, zero_remainder

    absent = ""
except Exception as error:  # it needs pinned versions of much, and some of its releases do not parse
    absent = f"tinybig cannot be imported: {error!r}"


@pytest.mark.skipif(bool(absent), reason=absent)
@pytest.mark.filterwarnings("ignore")
class TestBesideTinybig:
    """One head with the same numbers, which tinybig holds in one parameter for every part."""

    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("instance", ["learned", "bilinear"])
    @pytest.mark.parametrize("remainder", ["zero", "linear", "identity"])
    @pytest.mark.parametrize("fusion", ["mean", "product"])
    def test_a_head(self, channels, instance, remainder, fusion):
        n = M if remainder == "identity" else N
        psi = lorr_reconciliation(r=2, enable_bias=True)
        learned = {"b": B, "m": M, "require_parameters": True}
        xi = {"learned": parameterized_interdependence, "bilinear": parameterized_bilinear_interdependence}
        pi = {"zero": zero_remainder, "linear": linear_remainder, "identity": identity_remainder}
        theirs = their_head(
            m=M,
            n=n,
            data_transformation=taylor_expansion(d=2),
            parameter_fabrication=psi,
            remainder=pi[remainder](),
            attribute_interdependence=parameterized_interdependence(
                interdependence_type="attribute", **learned
            ),
            instance_interdependence=xi[instance](interdependence_type="instance", **learned),
            channel_num=channels,
            channel_fusion={"mean": mean_fusion, "product": prod_fusion}[fusion](dims=[n] * channels),
        )
        ours = af.Head(
            m=M,
            n=n,
            expansion=af.Taylor(d=2),
            fabrication=af.LowRank(r=2),
            remainder={"zero": None, "linear": remainders.linear(M, n), "identity": remainders.identity()}[
                remainder
            ],
            attribute=af.ParameterizedInterdependence(fabrication=af.Full(), m=M),
            instance=replace(INSTANCES[instance][0]),
            channels=channels,
            fusion=fusion,
            bias=fusion == "mean",
        )
        for parameter in theirs.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        if fusion == "product":  # tinybig adds it in every channel
            torch.nn.init.zeros_(theirs.b)
        rows = [theirs.w_attribute_interdependence, theirs.w, theirs.w_instance_interdependence]
        w = [torch.cat([part.reshape(channels, -1) for part in rows], dim=1).reshape(-1)]
        w += [theirs.b.reshape(-1)] if fusion == "mean" else []
        w += [theirs.w_remainder.reshape(-1)] if remainder == "linear" else []
        x = torch.randn(B, M)
        expected = theirs(x.clone()).detach()
        torch.testing.assert_close(ours(x, torch.cat(w).detach()), expected, rtol=1e-4, atol=1e-4)
