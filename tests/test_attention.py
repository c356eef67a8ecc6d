"""Attention, beside dense shares."""

import tracemalloc

import numpy as np
import pytest
from dense_reference import derivative
from hypothesis import given, settings
from hypothesis import strategies as st

import arrayfab as af
from arrayfab.interdependences import Graph
from arrayfab.structures import attention
from arrayfab.testing import parametrize_with_checks

KINDS = ("instance", "attribute")
GRAPHS = {
    "all": lambda n: None,
    "chain": lambda n: Graph.of(n, [(i, i + 1) for i in range(n - 1)]),
    "star": lambda n: Graph.of(n, [(i, 0) for i in range(n)]),
    "none": lambda n: Graph.of(n, []),
}


def role_of(kind, n, D, graph=None, fabrication=af.LowRank(r=1), **options):  # noqa: B008
    sizes = {"b": n, "m": D} if kind == "instance" else {"b": D, "m": n}
    return af.Attention(fabrication=fabrication, interdependence_type=kind, graph=graph, **sizes, **options)


def data_of(kind, n, D, seed=0, lead=()):
    return np.random.default_rng(seed).normal(size=(*lead, *((n, D) if kind == "instance" else (D, n))))


def dense(role, x, w):
    """The result by a loop over those that take shares."""
    is_instance = role.interdependence_type == "instance"
    V = x if is_instance else x.T
    n, D = V.shape
    W = np.outer(w[:D], w[D:])
    ends = [] if role.graph is None else role.graph.arrays["links"].T.astype(int).tolist()
    links = set(map(tuple, ends))
    if not role.is_directed:
        links |= {(j, i) for i, j in links}
    y = np.zeros(V.shape, np.result_type(x, w))
    for i in range(n):
        known = [j for j in range(n) if role.graph is None or j == i or (j, i) in links]
        e = np.asarray([np.exp(V[j] @ W @ V[i] / np.sqrt(D)) for j in known])
        y[i] = (e / e.sum()) @ V[known]
    return y if is_instance else y.T


@settings(max_examples=40)
@given(
    kind=st.sampled_from(KINDS),
    n=st.integers(1, 20),
    D=st.integers(1, 4),
    graph=st.sampled_from(list(GRAPHS)),
    is_directed=st.booleans(),
    tile=st.sampled_from([1, 7, 1 << 20]),
    seed=st.integers(0, 99),
)
def test_value_gradients_and_direction_are_those_of_dense_shares(kind, n, D, graph, is_directed, tile, seed):
    role = role_of(kind, n, D, GRAPHS[graph](n), is_directed=is_directed)
    x, w = data_of(kind, n, D, seed), np.random.default_rng(seed).normal(size=2 * D)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "_TILE", tile)
        y, pullback = role.vjp(x, w)
        u, dx, dw = data_of(kind, n, D, seed + 1), data_of(kind, n, D, seed + 2), w[::-1]
        grad_x, grad_w = pullback(u)
        _, dy = role.jvp(x, w, dx, dw)
    np.testing.assert_allclose(y, dense(role, x, w), rtol=1e-12, atol=1e-12)
    slope = derivative(lambda x, w: dense(role, x, w), (x, w), (dx, dw), is_exact=False)
    np.testing.assert_allclose(dy, slope, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(np.sum(grad_x * dx) + grad_w @ dw, np.sum(u * dy), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("graph", GRAPHS)
def test_the_matrix_has_columns_of_shares(kind, graph):
    role, x = role_of(kind, 6, 3, GRAPHS[graph](6)), data_of(kind, 6, 3, lead=(2,))
    w = role.init(rng=0)
    A = role.matrix(x, w)
    np.testing.assert_allclose(A.sum(axis=-2), 1.0, rtol=1e-12)
    assert (A >= 0).all()
    y = np.swapaxes(A, -1, -2) @ x if kind == "instance" else x @ A
    np.testing.assert_allclose(role(x, w), y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("is_linked", [False, True])
def test_no_square_matrix_is_held(is_linked):
    n = 3000
    graph = Graph.of(n, [(i, (7 * i) % n) for i in range(n)]) if is_linked else None
    role, x = role_of("instance", n, 4, graph), data_of("instance", n, 4)
    w = role.init(rng=0)
    role.vjp(x, w)[1](x)
    tracemalloc.start()
    role.vjp(x, w)[1](x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (n * n if is_linked else 4 * 8 * n * n) / 2


@pytest.mark.parametrize("graph", ["all", "chain"])
def test_large_scores_give_shares(graph):
    role, x = role_of("instance", 5, 2, GRAPHS[graph](5)), 1e3 * data_of("instance", 5, 2)
    w = np.ones(4)
    y, pullback = role.vjp(x, w)
    assert np.isfinite(y).all()
    assert all(np.isfinite(g).all() for g in pullback(np.ones_like(y)))


def test_not_a_number_reaches_those_alone_who_are_linked_to_it():
    role, x = role_of("instance", 5, 2, GRAPHS["chain"](5)), data_of("instance", 5, 2)
    x[2] = np.nan
    assert np.isnan(role(x, np.ones(4))).any(axis=1).tolist() == [False, False, True, True, False]


def test_a_graph_of_other_nodes_is_refused():
    role = role_of("instance", 4, 2, GRAPHS["chain"](5))
    with pytest.raises(ValueError, match="the graph has 5 nodes, and 4 depend on one another"):
        role(np.ones((4, 2)), np.ones(4))


def test_what_is_no_graph_is_refused():
    with pytest.raises(TypeError, match="Attention: graph must be a Graph"):
        role_of("instance", 4, 2, [(0, 1)])


def test_a_checkpoint_holds_the_graph(tmp_path):
    role = role_of("instance", 5, 2, GRAPHS["star"](5), is_directed=False)
    w = role.init(rng=0)
    af.save(tmp_path / "it", {"it": (role, w)})
    loaded, numbers = af.load(tmp_path / "it")["it"]
    assert loaded == role
    assert np.array_equal(numbers, w)


LAWS = [role_of("instance", 3, 2), role_of("attribute", 3, 2, GRAPHS["chain"](3), af.Full())]


@parametrize_with_checks(LAWS, namespaces=["numpy"], max_examples=3)
def test_laws(check):
    check()
