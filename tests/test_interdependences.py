"""Interdependences without learned numbers, against dense matrices that share nothing with them."""

import re
import tracemalloc
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from interdependence_reference import (
    EVERY,
    FIXED,
    GRAPH,
    KERNELS,
    KINDS,
    LINKS,
    adjacency,
    box,
    chains,
    normalized,
    patches,
    powers,
    result,
)

import arrayfab as af
from arrayfab import _arrays, gradients, links
from arrayfab import interdependences as it
from arrayfab.interdependences import grids
from arrayfab.ruled import programs_of
from arrayfab.structures import Dense, Numbers, pairwise

pytest.importorskip("scipy")
pytest.importorskip("sklearn")

by_kind = pytest.mark.parametrize("kind", KINDS)
by_case = pytest.mark.parametrize("case", EVERY, ids=lambda case: case.name)
by_kernel = pytest.mark.parametrize("case", KERNELS, ids=lambda case: case.name)


def dense_of(case, kind, x):
    """The dense matrix for every entry of the leading axes."""
    vectors = x if kind == "instance" else np.swapaxes(x, -1, -2)
    flat = vectors.reshape(-1, *vectors.shape[-2:])
    matrices = np.stack([case.dense(V) for V in flat])
    return matrices.reshape(*x.shape[:-2], *matrices.shape[-2:])


def close(received, expected, eps=2.0**-52, room=1024):
    received = np.asarray(received, dtype=np.float64)
    assert received.shape == expected.shape
    np.testing.assert_allclose(
        received, expected, rtol=0, atol=room * eps * max(1.0, np.abs(expected).max(initial=0))
    )


@by_case
@by_kind
@pytest.mark.parametrize("lead", [(), (2,), (2, 3)], ids=str)
def test_the_result_is_that_of_the_dense_matrix(case, kind, lead):
    layer, x = case.of_type(kind), case.data(kind, lead=lead)
    A = dense_of(case, kind, x)
    for _ in range(3):  # interpreted first, then as a program
        close(layer(x), result(x, A, kind))
    close(layer.matrix(x), A if case in KERNELS else A[(0,) * len(lead)])


@by_kernel
@by_kind
def test_gradients_are_those_that_jax_finds(case, kind):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    x, layer = case.data(kind, 1), case.of_type(kind)
    u, dx = case.data(kind, 2), case.data(kind, 3)

    def dense(x):
        A = case.formula(jax.numpy, x if kind == "instance" else x.T)
        return x @ A if kind == "attribute" else A.T @ x

    y, pull = jax.vjp(dense, x)
    (expected,), dy = pull(u), jax.jvp(dense, (x,), (dx,))[1]
    for _ in range(3):
        received, grad_w = layer.vjp(x)[1](u)
        assert grad_w is None
        close(received, np.asarray(expected))
        close(layer.jvp(x, None, dx)[1], np.asarray(dy))
    close(layer(x), np.asarray(y))


@pytest.mark.parametrize("case", FIXED, ids=lambda case: case.name)
@by_kind
def test_a_fixed_matrix_pulls_back_by_its_transpose(case, kind):
    x, layer = case.data(kind, 1, (2,)), case.of_type(kind)
    A = case.dense(None)
    y = result(x, A, kind)
    u = np.random.default_rng(2).normal(size=y.shape)
    for _ in range(3):
        close(layer.vjp(x)[1](u)[0], result(u, A.T, kind))
        close(layer.jvp(x, None, x)[1], y)


@by_case
def test_value_and_gradients_on_every_namespace(namespace, case):
    kind = KINDS[EVERY.index(case) % 2]
    layer, x = case.of_type(kind), case.data(kind, 4)
    y = layer(x)
    u = np.random.default_rng(5).normal(size=y.shape)
    dx = case.data(kind, 6)
    expected = [y, layer.vjp(x)[1](u)[0], layer.jvp(x, None, dx)[1]]

    def everything(x, u, dx):
        y, pullback = layer.vjp(x)
        return y, pullback(u)[0], layer.jvp(x, None, dx)[1]

    received = namespace.compiled(everything)(*map(namespace.asarray, (x, u, dx)))
    for array, numbers in zip(received, expected, strict=True):
        assert namespace.owns(array)
        assert array.dtype == namespace.dtype
        close(namespace.to_numpy(array), numbers, float(np.finfo(namespace.dtype_name).eps))


@by_case
@by_kind
def test_calls_with_any_number_of_rows_are_alike(case, kind):
    layer = replace(case.of_type(kind))
    for rows in (1, 2, 3, 5, 8):
        x = case.data(kind, rows, (rows,))
        if layer.is_rowwise:
            x = x[:, 0, :]
        given = [layer(part) for part in x] if x.ndim > 2 else [layer(x)[i] for i in range(rows)]
        for _ in range(3):
            y, pull = layer.vjp(x)
            close(y, np.stack(given))
            close(layer(x), np.stack(given))
            grads = pull(y)[0]
            close(grads, np.stack([layer.vjp(part)[1](each)[0] for part, each in zip(x, y, strict=True)]))


@by_case
def test_programs_are_written_down(case):
    programs_of.forget()  # equal layers share them, and what is met once is interpreted
    layer, x = case.of_type("attribute"), case.data("attribute", lead=(3,))
    for _ in range(2):
        layer.vjp(x)[1](layer(x))
        layer.jvp(x, None, x)
    assert all(type(program).__name__ == "Program" for program in layer._programs.values())


CLOSE = [it.GaussianKernel(sigma=1e-3), it.ExponentialKernel(gamma=1e6), it.LaplacianKernel(sigma=1e-3)]
CLOSE += [it.EuclideanDistance(is_similarity=False), it.MinkowskiDistance(p=3, is_similarity=False)]
CLOSE += [it.ManhattanDistance(is_similarity=False), it.ChebyshevDistance(is_similarity=False)]
CLOSE += [it.PearsonCorrelation(), it.AnisotropicKernel(a=1e6)]


@pytest.mark.parametrize("layer", CLOSE, ids=str)
def test_points_that_are_close_lose_no_digits(layer):
    rng = np.random.default_rng(0)
    x = (100.0 + 1e-3 * rng.normal(size=(5, 6))).astype(np.float32)
    A = layer.matrix(x.astype(np.float64))
    close(layer.matrix(x), A, 2.0**-23, 64)
    one = rng.normal(size=x.shape).astype(np.float32)
    X = Dense("x0", x.shape)
    backend = _arrays.backend_of("", "", x)

    def pulled(x):
        from arrayfab.structures import Cotangents

        numbers = Numbers(backend, {"x0": x}, x[0])
        cotangents = Cotangents(numbers)
        layer.among(X).dense(numbers)[1](np.resize(one, A.shape).astype(x.dtype), cotangents)
        return cotangents.take("x0", x.shape)

    exact = pulled(x.astype(np.float64))
    close(pulled(x) / np.abs(exact).max(), exact / np.abs(exact).max(), 2.0**-23, 64)


def test_close_distributions_are_told_apart_up_to_the_rounding_of_their_logarithms():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(300, 1)) + 1e-3 * rng.normal(size=(300, 4))).astype(np.float32)
    exact = it.KLDivergence().matrix(x.astype(np.float64))
    assert np.abs(it.KLDivergence().matrix(x) - exact).max() < 2e-6  # while log p is near six


@by_kernel
@by_kind
def test_equal_vectors_and_vectors_of_zeros_have_finite_gradients(case, kind):
    x = case.data(kind)
    V = x if kind == "instance" else x.T  # a view
    V[1], V[2], V[3] = V[0], 0.0, 0.1
    layer = case.of_type(kind)
    y, pull = layer.vjp(x)
    dy = layer.jvp(x, None, np.ones_like(x))[1]
    for array in (y, pull(np.ones_like(y))[0], dy):
        assert np.isfinite(array).all()


def test_a_distance_of_zero_has_the_slope_zero():
    x = np.asarray([[1.0, 2.0], [1.0, 2.0]])
    for p in (1.0, 2.0, 3.0, np.inf):
        layer = it.MinkowskiDistance(p=p, is_similarity=False, interdependence_type="instance")
        assert not layer.vjp(x)[1](np.ones((2, 2)))[0].any()


def test_of_several_largest_differences_each_has_its_share():
    V = np.asarray([[0.0, 0.0], [2.0, -2.0]])
    x = V
    D = pairwise.distances(x, pairwise.Minkowski(np.inf))
    grad = pairwise.distances_pullback(x, D, np.asarray([[0.0, 1.0], [1.0, 0.0]]), pairwise.Minkowski(np.inf))
    np.testing.assert_array_equal(grad, [[-0.5, 0.5], [0.5, -0.5]])


@pytest.mark.parametrize("features", [3, 5, 6, 7])
def test_constant_vectors_have_no_correlation(features):
    x = np.random.default_rng(0).normal(size=(6, features))
    x[1], x[3], x[5] = 0.1, 0.7, 1 / 3  # the means of so many are rounded to something else
    for layer in (it.PearsonCorrelation(), it.RVCoefficient(), it.MutualInformation()):
        A = replace(layer, interdependence_type="instance").matrix(x)
        assert not A[1::2].any()
        assert not A[:, 1::2].any()


def test_distances_in_blocks_are_those_at_once(monkeypatch):
    x = np.random.default_rng(0).normal(size=(2, 7, 3))
    layer = it.CanberraDistance(interdependence_type="instance")
    whole = layer(x), layer.vjp(x)[1](x)[0], layer.jvp(x, None, x)[1]
    monkeypatch.setattr(pairwise, "BLOCK", 1)
    for one, other in zip(whole, (layer(x), layer.vjp(x)[1](x)[0], layer.jvp(x, None, x)[1]), strict=True):
        close(one, other)


def test_large_powers_neither_over_nor_underflow():
    x = np.asarray([[0.0, 0.0], [1e30, 1e-30], [1e-30, 0.0]], dtype=np.float32)
    layer = it.MinkowskiDistance(p=8, is_similarity=False, interdependence_type="instance")
    A = layer.matrix(x)
    close(A[0] / [1, 1e30, 1e-30], np.asarray([0, 1, 1]), 2.0**-23)
    grad = pairwise.distances_pullback(x, A, np.ones_like(A), pairwise.Minkowski(8.0))
    close(grad, np.asarray([[-2.0, 0.0], [2.0, 0.0], [0.0, 0.0]]), 2.0**-23)


@by_kernel
@by_kind
def test_not_a_number_stays_one(case, kind):
    x = case.data(kind)
    x[1, 1] = np.nan
    assert np.isnan(case.of_type(kind)(x)).any()
    V = x if kind == "instance" else x.T
    row = case.of_type(kind).matrix(x)[1]
    others = np.arange(len(V)) != 1
    assert np.isnan(row[others]).all()


def test_the_linear_kernel_is_associated_by_cost():
    costs = {}
    for kind in KINDS:
        layer = it.LinearKernel(interdependence_type=kind)
        formula = layer.formula(Dense("x0", (1000, 8)))
        costs[kind] = formula.dense_cost.multiplies
    assert costs["attribute"] == costs["instance"] == 2 * 1000 * 8 * 8


@pytest.mark.parametrize(
    "layer",
    [
        it.CosineSimilarity(),
        it.PearsonCorrelation(),
        it.KLDivergence(),
        it.PolynomialKernel(c=1.0),
        it.HybridInterdependence(parts=(it.LinearKernel(), it.OneInterdependence())),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_no_matrix_is_formed_where_its_product_can_do_without(layer):
    n = 2000
    formula = layer.formula(Dense("x0", (6, n)))
    assert formula.dense_cost.weight < n * n


def test_half_precision_is_summed_up_in_single():
    x = np.ones((4096, 4), dtype=np.float16) * np.arange(4, dtype=np.float16)
    D = it.ManhattanDistance(is_similarity=False)
    assert (D.matrix(x)[0] == [0, 4096, 8192, 12288]).all()
    assert (it.InverseChain()(x[:, 1].copy())[-4:].astype(int) == [4092, 4094, 4096, 4096]).all()


@pytest.mark.parametrize("n", [1, 2, 3, 7])
@pytest.mark.parametrize(("layer", "dense"), [pytest.param(*each, id=name) for name, *each in chains()])
@by_kind
def test_chains_are_their_powers(layer, dense, n, kind):
    layer, A = replace(layer, interdependence_type=kind), dense(n)
    x = np.random.default_rng(0).normal(size=(3, n) if kind == "attribute" else (n, 3))
    close(layer.matrix(x), A)
    close(layer(x), result(x, A, kind))
    close(layer.vjp(x)[1](x)[0], result(x, A.T, kind))


def test_powers_of_a_long_chain_stay_within_numbers():
    x = np.ones((1, 600), dtype=np.float32)
    y = it.InverseChain(is_directed=False)(x)
    assert np.isfinite(y).all()
    close(y.sum(), np.asarray(600.0), 2.0**-23)  # columns sum to one


FREE_OF_MATRICES = [
    it.ChainInterdependence(),
    it.MultihopChain(hops=4, is_directed=False, normalization="row"),
]
FREE_OF_MATRICES += [it.InverseChain(), it.ExponentialChain(is_directed=False)]
FREE_OF_MATRICES += [it.MultihopChain(hops=3, is_accumulated=True, is_directed=False)]


def peak(function):
    function()
    function()
    tracemalloc.start()
    function()
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return held


@pytest.mark.parametrize("layer", FREE_OF_MATRICES, ids=str)
@by_kind
def test_chains_form_no_matrix(layer, kind):
    n = 4000
    layer = replace(layer, interdependence_type=kind)
    x = np.ones((4, n) if kind == "attribute" else (n, 4))
    assert peak(lambda: layer.vjp(x)[1](x)) < n * n


@pytest.mark.parametrize("has_scipy", [True, False])
@by_kind
def test_graphs_form_no_matrix(monkeypatch, has_scipy, kind):
    if not has_scipy:
        monkeypatch.setattr(links, "_sparse_of", lambda backend: None)
    n = 4000
    ring = it.Graph.of(n, [(i, (i + 1) % n) for i in range(n)])
    for cls, options in ((it.MultihopGraph, {"hops": 3}), (it.PageRankGraph, {"normalization": "row"})):
        layer = cls(graph=ring, is_directed=False, interdependence_type=kind, **options)
        x = np.ones((4, n) if kind == "attribute" else (n, 4))
        assert peak(lambda layer=layer, x=x: layer.vjp(x)[1](x)) < n * n


GRAPHS = [
    (is_directed, mode, loops)
    for is_directed in (True, False)
    for mode in (None, "row", "column", "symmetric", "row_column")
    for loops in (0.0, 0.5)
]


@pytest.mark.parametrize("has_scipy", [True, False])
@pytest.mark.parametrize(("is_directed", "mode", "loops"), GRAPHS, ids=str)
@by_kind
def test_graphs_are_those_of_networkx(monkeypatch, has_scipy, is_directed, mode, loops, kind):
    pytest.importorskip("networkx")
    if not has_scipy:
        monkeypatch.setattr(links, "_sparse_of", lambda backend: None)
    A = normalized(adjacency(is_directed, loops), mode)
    options = {"graph": GRAPH, "is_directed": is_directed, "normalization": mode, "self_loops": loops}
    options["interdependence_type"] = kind
    pairs = [
        (it.GraphInterdependence(**options), A),
        (it.MultihopGraph(**options, hops=3), np.linalg.matrix_power(A, 3)),
        (it.MultihopGraph(**options, hops=3, is_accumulated=True), powers(A, 3)),
        (it.PageRankGraph(**options, c=0.3), 0.3 * np.linalg.inv(np.eye(6) - 0.7 * A)),
    ]
    for layer, expected in pairs:
        for lead in ((), (2,)):
            x = np.random.default_rng(0).normal(size=(*lead, 6, 6))
            close(layer(x), result(x, expected, kind))
            close(layer.vjp(x)[1](x)[0], result(x, expected.T, kind))
        close(layer.matrix(x), expected)


def test_pagerank_is_that_of_a_walk_that_starts_anew():
    nx = pytest.importorskip("networkx")
    G = nx.karate_club_graph()
    graph = it.Graph.of(list(G.nodes), list(G.edges))
    layer = it.PageRankGraph(graph=graph, is_directed=False, normalization="row")
    A = layer.matrix(np.zeros(34))
    for start in (0, 11):
        ranks = nx.pagerank(G, alpha=0.85, personalization={start: 1}, tol=1e-15, max_iter=1000, weight=None)
        close(A[start], np.asarray([ranks[node] for node in G.nodes]), 1e-14, 64)


def test_pagerank_iterates_where_it_converges_and_inverts_elsewhere():
    lines = it.Graph.of(5, [(0, 1), (1, 2), (2, 3), (3, 4), (0, 2)])
    for graph, c, name in (
        (lines, 0.15, "PageRankSeries"),
        (GRAPH, 0.01, "Inverted"),
        (GRAPH, 0.9, "PageRankSeries"),
    ):
        layer = it.PageRankGraph(graph=graph, c=c)
        action = layer.relation(Dense("V", (graph.nodes, 2))).action
        assert type(action).__name__ == name
        n = graph.nodes
        A = it.GraphInterdependence(graph=graph).matrix(np.zeros(n))
        close(layer.matrix(np.zeros(n)), c * np.linalg.inv(np.eye(n) - (1 - c) * A))


@pytest.mark.parametrize("hub", [3, 60])
def test_nodes_of_many_links_are_summed_in_pieces(monkeypatch, hub):
    monkeypatch.setattr(links, "_sparse_of", lambda backend: None)
    rng = np.random.default_rng(0)
    A = np.where(rng.random((60, 60)) < 0.05, rng.normal(size=(60, 60)), 0.0)
    A[:, 7] = np.where(np.arange(60) < hub, rng.normal(size=60), 0.0)
    layer = it.GraphInterdependence(graph=it.Graph.of_matrix(A))
    tables = layer.weights._placed(_arrays.backend_of("", "", A), A, False)
    assert len(tables) == {3: 2, 60: 3}[hub]
    assert all(len(indices) <= 5 for indices, _ in tables)
    x = rng.normal(size=(3, 60))
    close(layer(x), x @ A)
    close(layer.vjp(x)[1](x)[0], x @ A.T)


def test_a_graph_is_read_from_links_weights_and_sparse_matrices():
    import scipy.sparse

    dense = np.zeros((3, 3))
    dense[0, 1], dense[1, 2] = 2.0, 0.5
    named = it.Graph.of(["a", "b", "c"], [("a", "b"), ("b", "c")], [2.0, 0.5])
    assert named == it.Graph.of_matrix(dense) == it.Graph.of_matrix(scipy.sparse.csr_matrix(dense))
    assert hash(named) == hash(it.Graph.of_matrix(dense))
    assert named != it.Graph.of(3, [(0, 1), (1, 2)])
    np.testing.assert_array_equal(it.GraphInterdependence(graph=named).matrix(np.zeros(3)), dense)
    twice = it.Graph.of(2, [(0, 1), (0, 1)], [1.0, 2.0])
    assert it.GraphInterdependence(graph=twice).matrix(np.zeros(2))[0, 1] == 3
    assert it.Graph.of(2, np.asarray([[0, 1], [0, 1]])) == it.Graph.of(2, [(0, 1)])


SPHERE = [(i, j, k) for i, j, k in box((2, 2), (2, 2), (2, 2)) if i * i + j * j + k * k <= 4]
CYLINDER = [(i, j, k) for i, j, k in box((2, 2), (2, 2), (0, 1)) if i * i + j * j <= 4]
GRID = {"height": 5, "width": 5, "depth": 5}
SHAPES = [
    (it.CuboidInterdependence(**GRID, p_h=1, p_w=0, p_d=2), box((1, 1), (0, 0), (2, 2)), (1, 1, 1)),
    (
        it.CuboidInterdependence(**GRID, p_h=0, p_w=3, p_w_prime=6, may_exceed=True),
        box((0, 0), (3, 6), (0, 0)),
        (1, 1, 1),
    ),
    (it.SphereInterdependence(**GRID, p_r=2), SPHERE, (1, 1, 1)),
    (it.SphereInterdependence(**GRID, p_r=2, packing="complete_simple_cubic"), SPHERE, (2, 2, 2)),
    (it.CylinderInterdependence(**GRID, p_r=2, p_d=0, p_d_prime=1), CYLINDER, (1, 1, 1)),
    (
        it.CylinderInterdependence(**GRID, p_r=2, p_d=0, p_d_prime=1, packing="complete_hexagonal"),
        CYLINDER,
        (3, 3, 1),
    ),
    (
        it.CuboidInterdependence(**GRID, p_h=1, p_w=1, p_d=1, packing="complete_square"),
        box((1, 1), (1, 1), (1, 1)),
        (2, 2, 2),
    ),
    (
        it.CuboidInterdependence(**GRID, p_h=1, p_w=1, p_d=1, packing="complete_square", strides=(3, 1, 2)),
        box((1, 1), (1, 1), (1, 1)),
        (3, 1, 2),
    ),
]


@pytest.mark.parametrize(("layer", "cells", "strides"), SHAPES, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("mode", ["padding", "aggregation"])
@pytest.mark.parametrize("normalization", [None, "row", "column", "symmetric", "row_column"])
def test_patches_are_those_found_place_by_place(layer, cells, strides, mode, normalization):
    A = normalized(patches(5, 5, 5, 1, cells, strides, mode), normalization)
    layer = replace(layer, mode=mode, normalization=normalization)
    x = np.random.default_rng(0).normal(size=(2, 125))
    for _ in range(2):
        y, pull = layer.vjp(x)
        close(y, x @ A)
        close(pull(y)[0], y @ A.T)


@pytest.mark.parametrize("order", list(permutations(grids.ORDER)))
@pytest.mark.parametrize("mode", ["padding", "aggregation"])
@pytest.mark.parametrize("normalization", [None, "row_column"])
def test_order_of_patches_channels_and_cells(order, mode, normalization):
    grid = {"height": 2, "width": 3, "channels": 2, "p_h": 0, "p_w": 1, "mode": mode}
    layer = it.CuboidInterdependence(**grid, normalization=normalization)
    sizes = {"patch": 6, "channel": 2, "cell": 3 if mode == "padding" else 1}
    y = layer(np.arange(12.0)).reshape(list(sizes.values()))
    ordered = replace(layer, order=order)(np.arange(12.0))
    np.testing.assert_array_equal(ordered, y.transpose([list(sizes).index(name) for name in order]).ravel())


def test_expansions_are_by_interdependences_of_attributes_without_data():
    for wrong in (it.LinearKernel(), it.ChainInterdependence(interdependence_type="instance"), "chain"):
        with pytest.raises(ValueError, match="needs no data"):
            it.Interdependent(interdependence=wrong)


def test_what_lies_outside_of_a_grid_is_zero_whatever_is_inside():
    layer = it.CuboidInterdependence(height=2, width=2, p_h=0, p_w=0, p_w_prime=1)
    y = layer(np.asarray([np.nan, 1.0, np.inf, 2.0]))
    np.testing.assert_array_equal(y, [np.nan, 1, 1, 0, np.inf, 2, 2, 0])


@by_case
@by_kind
def test_checkpoints_hold_it(case, kind, tmp_path):
    pytest.importorskip("safetensors")
    layer = case.of_type(kind)
    af.save(tmp_path / "it", {"it": (layer, np.zeros(0))})
    loaded, _ = af.load(tmp_path / "it")["it"]
    assert loaded == layer
    assert hash(loaded) == hash(layer)
    x = case.data(kind)
    np.testing.assert_array_equal(loaded(x), layer(x))


def test_it_is_a_layer_of_a_model_and_of_its_program():
    rng = np.random.default_rng(0)
    first = af.Reconciliation(fabrication=af.LowRank(r=2), n=6, D=4)
    model = af.Sequential((first, it.PearsonCorrelation(), it.InverseChain()))
    w, x, target = model.init(rng=0), rng.normal(size=(5, 4)), rng.normal(size=(5, 6))

    def loss(w):
        hidden = it.PearsonCorrelation()(model.layers[0](x, w))
        return gradients.mean_squared_error(it.InverseChain()(hidden), target)[0]

    value, grad = gradients.value_and_grad(model, gradients.mean_squared_error)(w, x, target)
    close(value, np.asarray(loss(w)))
    steps = 1e-6 * np.eye(len(w))
    close(grad, np.asarray([(loss(w + e) - loss(w - e)) / 2e-6 for e in steps]), 1e-10)


@by_kind
def test_a_matrix_of_some_data_applies_to_others(kind):
    layer = it.CosineSimilarity(interdependence_type=kind)
    X = Dense("X", (4, 5))
    Y = Dense("Y", (3, 5) if kind == "attribute" else (4, 3))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=X.shape), rng.normal(size=Y.shape)
    numbers = Numbers(_arrays.backend_of("", "", x), {"X": x, "Y": y}, x[0])
    close(layer.formula(X, Y).dense(numbers)[0], result(y, layer.matrix(x), kind))


REFUSED = {
    "got 'both'": lambda: it.LinearKernel(interdependence_type="both"),
    "m=3": lambda: it.LinearKernel(m=3)(np.zeros((2, 4))),
    "(..., b, m)": lambda: it.LinearKernel()(np.zeros(4)),
    "b must be": lambda: it.LinearKernel(b=0),
    "p must be": lambda: it.MinkowskiDistance(p=0.5),
    "sigma must be": lambda: it.GaussianKernel(sigma=0.0),
    "d must be": lambda: it.PolynomialKernel(d=1.5),
    "c must be": lambda: it.TanhKernel(c=float("nan")),
    "4 weights": lambda: it.AnisotropicKernel(a=(1.0, 2.0))(np.zeros((4, 3))),
    "5 members": lambda: it.ChainInterdependence(length=5)(np.zeros((2, 4))),
    "normalization": lambda: it.ChainInterdependence(normalization="rows"),
    "negative": lambda: it.ChainInterdependence(self_loops=-1.0),
    "unknown node 7": lambda: it.Graph.of(3, [(0, 1), (1, 7)]),
    "link ('a', 'z')": lambda: it.Graph.of(["a", "b"], [("a", "z")]),
    "unknown node, there": lambda: it.Graph(2, {"links": np.asarray([[0.0], [2.0]]), "weights": np.ones(1)}),
    "same name": lambda: it.Graph.of(["a", "a"], []),
    "pair of nodes": lambda: it.Graph.of(2, [(0, 1, 1)]),
    "6 rows": lambda: it.GraphInterdependence(graph=GRAPH)(np.zeros((2, 4))),
    "not be negative": lambda: it.GraphInterdependence(
        graph=it.Graph.of(2, [(0, 1)], [-1.0]), normalization="row"
    ),
    "square": lambda: it.Graph.of_matrix(np.zeros((2, 3))),
    "between 0 and 1": lambda: it.PageRankGraph(graph=GRAPH, c=1.0),
    "along the height": lambda: it.CuboidInterdependence(height=2, width=9, p_h=1, p_w=1),
    "along the depth": lambda: it.SphereInterdependence(height=5, width=5, p_r=1),
    "order must": lambda: it.CuboidInterdependence(height=2, width=2, p_h=0, p_w=0, order=("patch",)),
    "from 0 on": lambda: it.CuboidInterdependence(height=5, width=5, p_h=-1, p_w=1),
    "4 places": lambda: it.CuboidInterdependence(height=2, width=2, p_h=0, p_w=0)(np.zeros((2, 5))),
    "packing must": lambda: it.CuboidInterdependence(height=2, width=2, p_h=0, p_w=0, packing="loose"),
    "mode must": lambda: it.CuboidInterdependence(height=2, width=2, p_h=0, p_w=0, mode="sum"),
    "three strides": lambda: it.CuboidInterdependence(height=2, width=2, p_h=0, p_w=0, strides=(1, 1)),
    "fusion must": lambda: it.HybridInterdependence(parts=(it.LinearKernel(),), fusion="best"),
    "weights, one": lambda: it.HybridInterdependence(parts=(it.LinearKernel(),), weights=(1.0, 2.0)),
    "parts must": lambda: it.HybridInterdependence(parts=()),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_is_refused_by_name(words):
    with pytest.raises(ValueError, match=re.escape(words)):
        REFUSED[words]()


def test_what_is_no_graph_no_part_or_no_flag_is_refused():
    for make in (
        lambda: it.GraphInterdependence(graph=LINKS),
        lambda: it.HybridInterdependence(parts=(3,)),
        lambda: it.ChainInterdependence(is_directed=1),
        lambda: it.EuclideanDistance(is_similarity="yes"),
    ):
        with pytest.raises(TypeError):
            make()


def test_arrays_of_two_namespaces_are_refused():
    strict = pytest.importorskip("array_api_strict")
    _, pullback = it.LinearKernel().vjp(np.ones((2, 3)))
    with pytest.raises(TypeError, match="array_api_strict"):
        pullback(strict.ones((2, 3), dtype=strict.float64))
