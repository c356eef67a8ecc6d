"""tinybig's interdependences without learned numbers, of graphs, chains and grids: by hand and beside it."""

import pickle
import warnings

import numpy as np
import pytest

import arrayfab.tinybig as door
from arrayfab.tinybig.koala import geometry, topology

B, M = 4, 6
GRIDS = {"attribute": {"h": 2, "w": 3}, "instance": {"h": 2, "w": 2}}
LINKS = [("a", "b"), ("b", "c"), ("d", "a"), ("c", "b")]
NODES = {"attribute": list("abcdef"), "instance": list("abcd")}
KINDS = ("attribute", "instance")
NORMALIZED = [{"normalization": True, "normalization_mode": mode} for mode in ("row", "column", "row_column")]
HOPS = [{}, {"h": 3}, {"h": 3, "accumulative": True}]
BOTH_WAYS = [{}, {"bi_directional": True}]
#: Constructor arguments beside sizes, by the class's name without its ending.
CASES = {
    "constant_c": [{"c": 2.5, "b_prime": 3, "m_prime": 2}],
    "zero": [{"b_prime": 3, "m_prime": 2}],
    "one": [{"b_prime": 3, "m_prime": 7}],
    "identity": [{}, {"b_prime": 3, "m_prime": 2}],
    "linear_kernel": [{}],
    "cosine_similarity": [{}],
    "minkowski_distance": [{"p": 3.0}, {"p": float("inf")}],
    "manhattan_distance": [{}],
    "euclidean_distance": [{}],
    "chebyshev_distance": [{}],
    "canberra_distance": [{}],
    "polynomial_kernel": [{}, {"c": 1.5, "d": 3}],
    "hyperbolic_tangent_kernel": [{}, {"c": 0.1, "alpha": 0.5}],
    "exponential_kernel": [{"gamma": 0.3}],
    "gaussian_rbf_kernel": [{}, {"sigma": 2.0}],
    "laplacian_kernel": [{"sigma": 2.0}],
    "anisotropic_rbf_kernel": [{}, {"a_scalar": 0.5}],
    "pearson_correlation": [{}],
    "kl_divergence": [{}],
    "rv_coefficient": [{}],
    "mutual_information": [{}],
    "chain": [
        {},
        {"self_dependence": False},
        {"self_scaling": 2.0, "bi_directional": True},
        *NORMALIZED,
    ],
    "multihop_chain": [
        *HOPS,
        {"h": 2, "self_scaling": 3.0},
        {"h": 2, "accumulative": True, "bi_directional": True},
    ],
    "inverse_approx_multihop_chain": [*BOTH_WAYS, {"self_dependence": False}],
    "exponential_approx_multihop_chain": [*BOTH_WAYS, NORMALIZED[0] | {"bi_directional": True}],
    "graph": [{}, {"directed": False}, {"self_dependence": True}, *NORMALIZED],
    "multihop_graph": [*HOPS, NORMALIZED[0] | {"h": 2, "directed": False}],
    "pagerank_multihop_graph": [{}, {"self_dependence": True}, NORMALIZED[0] | {"c": 0.4, "directed": False}],
    "cuboid_patch_based_geometric": [
        {"p_h": 1, "p_w": 1, "p_d": 0},
        {"p_h": 0, "p_w": 1, "p_d": 0, "p_h_prime": 1, "cd_h": 1, "cd_w": 2, "cd_d": 1},
        {"p_h": 1, "p_w": 1, "p_d": 0, "packing_strategy": "complete_square"},
        {"p_h": 0, "p_w": 1, "p_d": 0, "normalization": True},
    ],
    "cuboid_patch_padding_based_geometric": [{"p_h": 0, "p_w": 1, "p_d": 1}],
    "cuboid_patch_aggregation_based_geometric": [
        {"p_h": 0, "p_w": 1, "p_d": 0},
        {"p_h": 0, "p_w": 1, "p_d": 0, "normalization": True, "normalization_mode": "column"},
    ],
}
#: Those that are made of shapes that tinybig's classes cannot make, or of functions.
MORE = {
    f"{shape}_patch_{mode}based_geometric": [sides]
    for mode in ("", "padding_", "aggregation_")
    for shape, sides in (("cylinder", {"r": 1, "p_d": 0}), ("sphere", {"r": 1}))
}
EVERY = [(key, more) for key, each in CASES.items() for more in each]
OWN = [(key, more) for key, each in MORE.items() for more in each]
by_kind = pytest.mark.parametrize("kind", KINDS)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def made(package, key, kind, more):
    n = {"attribute": M, "instance": B}[kind]
    if "chain" in key:
        more = {"chain_length": n, **more}
    if "graph" in key:
        more = {"nodes": NODES[kind], "links": LINKS, **more}
    if "geometric" in key:
        more = GRIDS[kind] | more
    return getattr(package, f"{key}_interdependence")(b=B, m=M, interdependence_type=kind, **more)


def check_pullback(f, args, y, pull):
    """The pairing of a pullback with a central difference of the value."""
    np.testing.assert_allclose(y, f(*args), rtol=1e-12, atol=1e-12)
    grad_y, h = normal(*y.shape, seed=1), 1e-6
    moves = [normal(*each.shape, seed=2 + i) for i, each in enumerate(args)]
    ahead, behind = (f(*(a + s * h * d for a, d in zip(args, moves, strict=True))) for s in (1, -1))
    found = sum(np.sum(grad * move) for grad, move in zip(pull(grad_y), moves, strict=False))
    np.testing.assert_allclose(found, np.sum(grad_y * (ahead - behind)) / (2 * h), rtol=1e-5, atol=1e-5)


def check_product(xi, x, w=None):
    """What any interdependence does with its matrix."""
    is_instance = xi.interdependence_type == "instance"
    A = xi.calculate_A(x.T if is_instance else x, w)
    y = xi(x, w)
    np.testing.assert_allclose(y, A.T @ x if is_instance else x @ A, atol=1e-12)
    assert (xi.calculate_b_prime(), xi.calculate_m_prime()) == y.shape
    z = normal(*x.shape, seed=9)
    np.testing.assert_allclose(xi(x, w, kappa_x=z), A.T @ z if is_instance else z @ A, atol=1e-12)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(xi))(x, w), y)
    return y


@by_kind
@pytest.mark.parametrize(("key", "more"), [*EVERY, *OWN])
def test_product_and_pullback(key, kind, more):
    xi, x = made(door, key, kind, more), normal(B, M)
    assert issubclass(type(xi), door.interdependence)
    assert xi.calculate_l() == 0
    check_product(xi, x)
    y, pull = xi.vjp(x)
    assert pull(y)[1] is None
    check_pullback(xi, [x], y, lambda grad_y: pull(grad_y)[:1])


@by_kind
@pytest.mark.parametrize(("key", "more"), [*EVERY, *OWN])
def test_pytorchs_own_gradient_is_the_pullback(key, kind, more):
    torch = pytest.importorskip("torch")
    xi, x = made(door, key, kind, more), torch.tensor(normal(B, M), requires_grad=True)
    y = xi(x)
    if not y.requires_grad:
        return  # it is constant
    grad_y = torch.tensor(normal(*y.shape, seed=1))
    y.backward(grad_y)
    expected = xi.vjp(x.detach())[1](grad_y)[0]
    torch.testing.assert_close(x.grad, expected, rtol=1e-10, atol=1e-10)


@by_kind
def test_a_matrix_that_is_handed_in(kind):
    A, x = normal({"attribute": M, "instance": B}[kind], 3), normal(B, M)
    xi = door.constant_interdependence(B, M, A, kind)
    assert xi.get_A() is A
    check_product(xi, x)
    y, pull = xi.vjp(x)
    check_pullback(xi, [x], y, lambda grad_y: pull(grad_y)[:1])
    xi.update_A(2 * A)
    np.testing.assert_allclose(xi(x), 2 * y)
    for wrong in (None, A[0], A[:-1]):
        with pytest.raises(door.ParameterError, match="A must have"):
            xi.update_A(wrong)


@by_kind
def test_a_kernel_that_is_handed_in(kind):
    x = normal(B, M)
    columns = x.T if kind == "instance" else x
    for base in ("numerical_kernel_based", "statistical_kernel_based"):
        xi = getattr(door, f"{base}_interdependence")(
            B, M, lambda x: np.exp(x.T @ x), kind, preprocess_functions=np.tanh
        )
        np.testing.assert_allclose(xi.calculate_A(columns), np.exp(np.tanh(columns).T @ np.tanh(columns)))
        y = xi(x)
        A = np.exp(np.tanh(columns).T @ np.tanh(columns))
        np.testing.assert_allclose(y, A.T @ x if kind == "instance" else x @ A)
        with pytest.raises(NotImplementedError, match="kernel that is handed in"):
            xi.vjp(x)
    parts = [lambda x, dim: x.T @ x, lambda x, dim: np.abs(x.T @ x)]
    for weights, expected in ((None, (0.5, 0.5)), ([0.2, 2.0], (0.2, 2.0))):
        xi = door.custom_hybrid_kernel_interdependence(parts, weights, b=B, m=M, interdependence_type=kind)
        G = columns.T @ columns
        np.testing.assert_allclose(xi.calculate_A(columns), expected[0] * G + expected[1] * np.abs(G))


def test_kernels_are_functions_too():
    x = normal(B, M)
    xi = door.linear_kernel_interdependence(b=B, m=M)
    np.testing.assert_allclose(xi.kernel(x), x.T @ x)
    weighted = door.anisotropic_rbf_kernel_interdependence(a_vector=np.full(B, 0.5), b=B, m=M)
    np.testing.assert_allclose(
        weighted(x), made(door, "anisotropic_rbf_kernel", "attribute", {"a_scalar": 0.5})(x)
    )


RPN = {"data_transformation": door.taylor_expansion(d=2), "parameter_fabrication": door.lorr_reconciliation()}


@by_kind
def test_an_expansion_with_a_fabrication(kind):
    xi = door.parameterized_rpn_interdependence(B, M, **RPN, b_prime=3, m_prime=2, interdependence_type=kind)
    n, D = {"attribute": (2, B + B * B), "instance": (3, M + M * M)}[kind]
    assert xi.calculate_l() == 2 * (n + D)
    x, w = normal(B, M), normal(1, 2 * (n + D), seed=1)
    check_product(xi, x, w)
    vectors = x if kind == "instance" else x.T
    W = RPN["parameter_fabrication"](n, D, w)
    kappa = np.concatenate([vectors, np.einsum("ni,nj->nij", vectors, vectors).reshape(len(vectors), -1)], 1)
    np.testing.assert_allclose(xi.calculate_A(vectors.T, w), kappa @ W.T)
    check_pullback(xi, [x, w], *xi.vjp(x, w))


@by_kind
@pytest.mark.parametrize("fusion", ["parameterized_concatenation_fusion", "prod_fusion", "summation_fusion"])
def test_hybrids(kind, fusion):
    n = {"attribute": M, "instance": B}[kind]
    functions = [
        made(door, "chain", kind, {}),
        made(door, "gaussian_rbf_kernel", kind, {}),
        door.constant_interdependence(B, M, normal(n, n), kind),
        door.lowrank_parameterized_interdependence(b=B, m=M),
        door.parameterized_bilinear_interdependence(b=B, m=M),
        door.parameterized_rpn_interdependence(B, M, **RPN),
    ]
    fused = getattr(door, fusion)(dims=[n] * 6)
    xi = door.hybrid_interdependence(B, M, kind, "mine", functions, None, fused)
    numbers = xi.get_function_parameter_numbers()
    assert (len(numbers), sum(numbers), xi.require_data) == (7, xi.calculate_l(), True)
    x, w = normal(B, M), normal(1, xi.calculate_l(), seed=1)
    check_product(xi, x, w)
    parts, start = [], 0
    for function, count in zip(functions, numbers, strict=False):
        parts.append(
            function.calculate_A(
                x.T if kind == "instance" else x, w[:, start : start + count] if count else None
            )
        )
        start += count
    expected = fused(parts, w[:, start:] if numbers[-1] else None)
    np.testing.assert_allclose(xi.calculate_A(x.T if kind == "instance" else x, w), expected)
    check_pullback(xi, [x, w], *xi.vjp(x, w))


def test_hybrids_from_configurations_and_without_parameters():
    configs = [{"function_class": "tinybig.interdependence.linear_kernel_interdependence"}]
    configs.append(
        {"function_class": "cosine_similarity_interdependence", "function_parameters": {"name": "c"}}
    )
    fusion = {"function_class": "sum_fusion", "function_parameters": {"dims": [M, M]}}
    xi = door.hybrid_interdependence(
        b=B, m=M, interdependence_function_configs=configs, fusion_function_config=fusion
    )
    x = normal(B, M)
    unit = x / np.linalg.norm(x, axis=0)
    np.testing.assert_allclose(xi(x), x @ (x.T @ x + unit.T @ unit))
    assert xi.vjp(x)[1](x)[1] is None


def test_matrices_without_data_live_where_they_are_asked_for():
    xp = pytest.importorskip("array_api_strict")
    xi = made(door, "chain", "instance", {})
    A = xi.calculate_A(xp=xp, dtype=xp.float32)
    assert A.dtype == xp.float32
    np.testing.assert_array_equal(np.asarray(A), xi.get_A())
    assert xi(xp.asarray(normal(B, M))).dtype == xp.float64
    with pytest.warns(UserWarning, match="A matrix is None"):
        assert door.linear_kernel_interdependence(b=B, m=M).get_A() is None


def test_graphs_and_chains():
    undirected = topology.graph(nodes=["a", "b", "c"], links=[("a", "b"), ("b", "c")], directed=False)
    assert (undirected.order(), undirected.size(), undirected.is_directed()) == (3, 2, False)
    assert set(undirected.get_links()) == {("a", "b"), ("b", "a"), ("b", "c"), ("c", "b")}
    xi = door.graph_interdependence(b=3, m=2, graph=undirected)
    np.testing.assert_array_equal(xi.calculate_A(), [[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    assert xi.get_node_id_index_map() == {"a": 0, "b": 1, "c": 2}
    assert xi.get_node_index_id_map() == {0: "a", 1: "b", 2: "c"}
    links = topology.chain(4, bi_directional=True)
    assert (links.order(), links.length(), links.get_name()) == (4, 3, "chain")
    assert door.chain_interdependence(b=4, m=2, chain=links).is_bi_directional()


def test_pages_and_code():
    """Where they differ and the code is followed, as the page on tinybig says."""
    x = np.asarray([[0.0, 1.0, -2.0], [0.0, 3.0, 1.0], [4.0, 2.5, 0.5]])
    apart = np.abs(x[:, 0] - x[:, 1])
    more = {"b": 3, "m": 3}
    for key, expected in {
        "manhattan_distance": np.exp(-apart.sum()),
        "canberra_distance": np.exp(-2 - 1.5 / 6.5),
        "exponential_kernel": np.exp(-(apart**2).sum()),
        "rv_coefficient": max(np.corrcoef(x.T)[0, 1], 0.0),
    }.items():
        A = getattr(door, f"{key}_interdependence")(**more).calculate_A(x)
        np.testing.assert_allclose(A[0, 1], expected)
    chain = {**more, "chain_length": 3}
    for key, ignored in {
        "multihop_chain": {"self_scaling": 3.0},
        "inverse_approx_multihop_chain": {"self_dependence": False},
        "exponential_approx_multihop_chain": {"self_dependence": False},
    }.items():
        make = getattr(door, f"{key}_interdependence")
        np.testing.assert_array_equal(make(**chain).get_A(), make(**chain, **ignored).get_A())
    hops = door.multihop_chain_interdependence(2, True, **chain, self_dependence=False)
    np.testing.assert_array_equal(hops.get_A(), np.triu(np.ones((3, 3)), 1))


def test_grids_and_patches():
    places, patch = geometry.grid(4, 3, universe_num=2), geometry.cuboid(1, 1)
    xi = door.geometric_interdependence(grid=places, patch=patch)
    assert (xi.m, xi.get_channel_num(), xi.get_grid_shape()) == (24, 2, (4, 3, 1))
    assert (xi.get_patch_num(), xi.get_patch_num(True), xi.get_patch_size()) == (12, 24, 9)
    assert (xi.get_grid_size(), places.get_patch_num(2, 2, 1, True)) == (12, 8)
    assert (xi.calculate_m_prime(), xi(normal(2, 24)).shape) == (216, (2, 216))
    assert xi.calculate_A().shape == (12, 108)
    assert xi.calculate_A(across_universe=True).shape == (24, 216)
    xi.update_packing_strategy("complete_square")
    assert xi.get_grid_shape_after_packing() == (2, 2, 1)
    xi.update_packing_parameters(1, 3, 1)
    assert xi.get_grid_shape_after_packing() == (4, 1, 1)
    with pytest.warns(UserWarning, match="no strategy 'complete_square'"):
        xi.update_patch(geometry.sphere(1))
    assert xi.get_patch_size() == 7
    xi.update_grid(geometry.grid(5, 5))
    assert xi(normal(1, 25)).shape == (1, 175)
    configs = {
        "grid_configs": {"grid_class": "tinybig.koala.geometry.grid", "grid_parameters": {"h": 4, "w": 3}},
        "patch_configs": {"patch_class": "cylinder", "patch_parameters": {"p_r": 1, "p_d": 0}},
    }
    assert door.geometric_interdependence(**configs).calculate_A().shape == (12, 60)


def test_patches_of_a_universe_stand_cell_by_cell():
    x = normal(2, 12)
    kappa = door.cuboid_patch_based_geometric_expansion(
        p_h=0, p_w=0, p_d=0, p_w_prime=1, grid=geometry.grid(2, 3, universe_num=2)
    )
    cells = x.reshape(2, 2, 2, 3)
    beside = np.concatenate([cells[..., 1:], np.zeros((2, 2, 2, 1))], axis=-1)
    expected = np.stack([cells, beside], axis=2)
    np.testing.assert_array_equal(kappa(x), expected.reshape(2, -1))
    grids = {"p_h": 0, "p_w": 0, "p_d": 0, "p_w_prime": 1, "grid": kappa.interdependence.grid}
    pooled = door.cuboid_max_based_geometric_compression(**grids)
    np.testing.assert_array_equal(pooled(x), expected.max(axis=2).reshape(2, -1))
    largest = door.cuboid_patch_based_geometric_compression(lambda x, dim: x.max(axis=dim), **grids)
    np.testing.assert_array_equal(largest(x), pooled(x))
    np.testing.assert_array_equal(pooled.metric(x, dim=1), x.max(axis=1))
    assert (kappa.get_patch_num(), kappa.get_patch_size(), kappa.get_grid_size(True)) == (6, 2, 12)
    assert (kappa.get_grid_shape(), kappa.get_grid_shape_after_packing()) == ((2, 3, 1), (2, 3, 1))
    with pytest.raises(NotImplementedError, match="metric that is handed in"):
        largest.vjp(x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: door.chain_interdependence(b=3, m=3), "chain_length is missing"),
        (lambda: door.graph_interdependence(b=3, m=3, nodes=[0]), "links is missing"),
        (lambda: door.graph_interdependence(b=1, m=3, nodes=[0], links=[(0, 1)]), r"\(0, 1\) has an unknown"),
        (lambda: door.geometric_interdependence(h=2, w=2), "patch is missing"),
        (lambda: door.geometric_interdependence(patch=geometry.sphere(1)), "h is missing"),
        (lambda: door.geometric_interdependence(m=5, h=2, w=2, patch=geometry.sphere(1)), "m must be 4"),
        (lambda: door.geometric_interdependence(h=2, w=2, patch="cuboid"), "patch must be one of"),
        (lambda: door.geometric_interdependence(grid_configs={"grid_class": "os.system"}), "grid_class must"),
        (lambda: door.numerical_kernel_based_interdependence(b=2, m=2, kernel=None), "kernel is missing"),
        (lambda: door.linear_kernel_interdependence(b=2, m=2).calculate_A(), "x is missing"),
        (lambda: door.linear_kernel_interdependence(b=2, m=2, require_data=False), "require_data must"),
        (lambda: door.linear_kernel_interdependence(b=2, m=2)(np.ones((2, 3))), "m=2"),
        (lambda: door.polynomial_kernel_interdependence(b=2, m=2, d=0), "d must"),
        (lambda: door.custom_hybrid_kernel_interdependence([abs], [1.0, 2.0], b=2, m=2), "as many weights"),
        (lambda: door.parameterized_rpn_interdependence(2, 2, None, None), "data_transformation is missing"),
        (lambda: door.hybrid_interdependence(2, 2), "interdependence_functions is missing"),
        (lambda: topology.chain(0), "length must"),
        (lambda: geometry.grid(0, 1), "must be positive"),
        (lambda: geometry.cuboid(-1, 1), "from 0 on"),
    ],
)
def test_errors_are_value_errors_and_assertion_errors(call, message):
    with pytest.raises(door.ParameterError, match=message):
        call()


# Against tinybig itself, where there is one.
try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from tinybig import compression as their_compression
        from tinybig import expansion as their_expansion
        from tinybig import fusion as their_fusion
        from tinybig import interdependence as theirs
        from tinybig import reconciliation as their_reconciliation
        from tinybig.koala import geometry as their_geometry
        from tinybig.koala import topology as their_topology

    absent = ""
except Exception as error:  # it needs pinned versions of much, and some of its releases do not parse
    absent = f"tinybig cannot be imported: {error!r}"


def dense(A):
    return A.to_dense() if A.is_sparse else A


def check_same(ours, their, x, w=None, **more):
    """The same matrix and the same product, in float32."""
    columns = x.T if ours.interdependence_type == "instance" else x
    A = dense(their.calculate_A(columns, w, **more)).detach()
    torch.testing.assert_close(ours.calculate_A(columns, w, **more), A, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours(x, w), dense(their(x, w)).detach(), rtol=1e-4, atol=1e-4)
    assert (ours.calculate_b_prime(), ours.calculate_m_prime()) == (
        their.calculate_b_prime(),
        their.calculate_m_prime(),
    )


@pytest.mark.skipif(bool(absent), reason=absent)
@pytest.mark.filterwarnings("ignore")
class TestBesideTinybig:
    @by_kind
    @pytest.mark.parametrize(("key", "more"), EVERY)
    def test_matrices_and_products(self, key, kind, more):
        ours, their = (made(package, key, kind, more) for package in (door, theirs))
        assert ours.get_name() == their.get_name()
        check_same(ours, their, torch.tensor(normal(B, M), dtype=torch.float32))

    @pytest.mark.parametrize("shape", ["cuboid", "cylinder", "sphere"])
    @pytest.mark.parametrize("mode", ["padding", "aggregation"])
    def test_patches_of_tinybigs_own_objects(self, shape, mode):
        sides = {"cuboid": {"p_h": 1, "p_w": 0}, "cylinder": {"p_r": 1, "p_d": 1}, "sphere": {"p_r": 1}}[
            shape
        ]
        places = {"h": 3, "w": 2, "d": 2, "universe_num": 2}
        results = []
        for koala, package in ((their_geometry, theirs), (their_geometry, door), (geometry, door)):
            xi = package.geometric_interdependence(
                grid=koala.grid(**places),
                patch=getattr(koala, shape)(**sides),
                interdependence_matrix_mode=mode,
                normalization=True,
            )
            x = torch.tensor(normal(3, 24), dtype=torch.float32)
            results.append((dense(xi.calculate_A(xp=torch)), xi(x)))
        for A, y in results[1:]:
            torch.testing.assert_close(A, results[0][0])
            torch.testing.assert_close(y, results[0][1])

    def test_tinybigs_own_graphs_and_chains(self):
        x = torch.tensor(normal(B, M), dtype=torch.float32)
        more = {"graph": their_topology.graph(nodes=list("abcd"), links=LINKS, directed=False)}
        check_same(*(package.graph_interdependence(b=B, m=M, **more) for package in (door, theirs)), x)
        more = {"chain": their_topology.chain(B, bi_directional=True)}
        check_same(*(package.chain_interdependence(b=B, m=M, **more) for package in (door, theirs)), x)

    @by_kind
    def test_an_expansion_with_a_fabrication(self, kind):
        parts = (their_expansion.taylor_expansion(d=2), their_reconciliation.lorr_reconciliation())
        primes = {"b_prime": 3, "m_prime": 2, "interdependence_type": kind}
        their = theirs.parameterized_rpn_interdependence(B, M, *parts, **primes)
        ours = door.parameterized_rpn_interdependence(B, M, **RPN, **primes)
        x, w = torch.randn(B, M), torch.randn(1, their.calculate_l())
        check_same(ours, their, x, w)

    def test_hybrids(self):
        results = []
        x, w = torch.randn(B, M), torch.randn(1, M * M)
        for package, fusion in ((door, door), (theirs, their_fusion)):
            functions = [made(package, "graph", "instance", {"self_dependence": True})]
            functions.append(package.parameterized_bilinear_interdependence(b=B, m=M))
            results.append(
                package.hybrid_interdependence(
                    b=B,
                    m=M,
                    interdependence_type="instance",
                    interdependence_functions=functions,
                    fusion_function=fusion.sum_fusion(dims=[B, B]),
                )
            )
        ours, their = results
        torch.testing.assert_close(ours.calculate_A(x.T, w), dense(their.calculate_A(x.T, w)))
        torch.testing.assert_close(ours(x, w), dense(their(x, w)))
        assert ours.get_function_parameter_numbers() == their.get_function_parameter_numbers()

    @pytest.mark.parametrize("universes", [1, 2])
    @pytest.mark.parametrize("shape", ["cuboid", "cylinder", "sphere"])
    @pytest.mark.parametrize("strategy", [None, "complete"])
    def test_patches_and_pooling(self, shape, universes, strategy):
        sides = {
            "cuboid": {"p_h": 1, "p_w": 0, "p_d": 1},
            "cylinder": {"p_r": 1, "p_d": 1},
            "sphere": {"p_r": 2},
        }
        full = {"cuboid": "_square", "cylinder": "_square", "sphere": "_simple_cubic"}[shape]
        more = {"packing_strategy": strategy and strategy + full}
        x = torch.tensor(normal(3, 24 * universes), dtype=torch.float32)
        named = {"their": (their_expansion, their_compression, their_geometry), "our": (door, door, geometry)}
        results = {}
        for who, (expansion, compression, koala) in named.items():
            more["grid"] = koala.grid(3, 4, 2, universe_num=universes)
            functions = [
                getattr(expansion, f"{shape}_patch_based_geometric_expansion")(**sides[shape], **more)
            ]
            functions += [
                getattr(compression, f"{shape}_{kind}_based_geometric_compression")(**sides[shape], **more)
                for kind in ("max", "min", "mean")
            ]
            functions.append(
                getattr(compression, f"{shape}_patch_based_geometric_compression")(
                    lambda x, dim: torch.linalg.norm(x, dim=dim), **sides[shape], **more
                )
            )
            results[who] = [(f(x), f.calculate_D(len(x[0])), f.get_name()) for f in functions]
        for (y, *others), (found, *ours) in zip(results["their"], results["our"], strict=True):
            assert ours == others
            torch.testing.assert_close(found, y)

    def test_patches_among_nothing_finite(self):
        x = torch.tensor([[float("inf"), 1.0, 2.0]])
        more = {"h": 1, "w": 3, "d": 1, "p_h": 0, "p_w": 1, "p_d": 0}
        assert torch.isnan(their_expansion.cuboid_patch_based_geometric_expansion(**more)(x)[0, -1])
        assert door.cuboid_patch_based_geometric_expansion(**more)(x)[0, -1] == 0
        # A zero beside the grid is larger than what is in it.
        pooled = (
            package.cuboid_max_based_geometric_compression(**more) for package in (door, their_compression)
        )
        assert [f(torch.tensor([[-1.0, -2.0, -3.0]])).tolist() for f in pooled] == [[[0.0, -1.0, 0.0]]] * 2

    def test_cylinders_with_unlike_ends(self):
        sides = {"p_r": 0, "p_d": 0, "p_d_prime": 1}
        assert [koala.cylinder(**sides).get_volume() for koala in (geometry, their_geometry)] == [2, 3]

    @pytest.mark.parametrize(
        ("call", "error"),
        [
            (lambda of: of.cylinder_patch_based_geometric_interdependence(r=1, p_d=0, h=2, w=2), TypeError),
            (lambda of: of.sphere_patch_based_geometric_interdependence(r=1, h=2, w=2), TypeError),
            (
                lambda of: of.cuboid_patch_aggregation_based_geometric_interdependence(
                    p_h=0, p_w=0, p_d=0, h=2, w=2, cd_h=2, cd_w=1, cd_d=1
                )(torch.ones(1, 4)),
                RuntimeError,
            ),
            (
                lambda of: of.hybrid_interdependence(
                    **{
                        "b": 2,
                        "m": 2,
                        "interdependence_functions": [of.linear_kernel_interdependence(b=2, m=2)],
                    },
                    fusion_function=(door if of is door else their_fusion).sum_fusion(dims=[2]),
                )(torch.ones(2, 2)),
                AttributeError,
            ),
            (
                lambda of: of.hybrid_interdependence(
                    **{
                        "b": 2,
                        "m": 2,
                        "interdependence_functions": [of.parameterized_interdependence(b=2, m=2)],
                    },
                    fusion_function=(door if of is door else their_fusion).sum_fusion(dims=[2]),
                )(torch.ones(2, 2), torch.ones(1, 4)),
                TypeError,
            ),
        ],
    )
    def test_what_tinybig_cannot_do(self, call, error):
        with pytest.raises(error):
            call(theirs)
        call(door)

    def test_what_tinybig_keeps_or_ignores(self):
        x = torch.randn(B, M)
        kept = theirs.linear_kernel_interdependence(b=B, m=M, require_data=False)
        assert torch.equal(kept.calculate_A(x), kept.calculate_A(2 * x))
        A = torch.ones(M, M)
        more = {"b": B, "m": M, "A": A, "postprocess_functions": [torch.neg]}
        assert torch.equal(theirs.constant_interdependence(**more).calculate_A(), A)
        assert torch.equal(door.constant_interdependence(**more)(x), -(x @ A))

    def test_an_index_of_no_input(self):
        with pytest.raises(IndexError):
            their_fusion.sum_fusion(dims=[2, 2]).get_dim(2)
        with pytest.raises(ValueError, match="index"):
            door.sum_fusion(dims=[2, 2]).get_dim(2)
