"""Plain dense matrices of every interdependence, from SciPy, scikit-learn, NetworkX and loops.

Each is a function of the vectors that depend on one another. Where the matrix follows from them there is a
second one, spelled out for JAX to differentiate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from arrayfab import interdependences as it


@dataclass(frozen=True)
class Given:
    """An interdependence, how many vectors of what length it is tried on, and its dense matrix."""

    name: str
    layer: it.Interdependence
    dense: Callable
    formula: Callable | None = None  # of the namespace and the vectors
    count: int = 6
    features: int = 4

    def of_type(self, kind: str) -> it.Interdependence:
        return replace(self.layer, interdependence_type=kind)

    def data(self, kind: str, seed: int = 0, lead: tuple[int, ...] = ()) -> np.ndarray:
        sizes = (self.count, self.features) if kind == "instance" else (self.features, self.count)
        return np.random.default_rng(seed).normal(size=(*lead, *sizes)) * 0.7


def result(x, A, kind):
    """``x A`` or ``Aᵀ x``."""
    return x @ A if kind == "attribute" else np.swapaxes(A, -1, -2) @ x


def _pairwise(name, **options):
    def dense(V):
        from sklearn.metrics import pairwise

        return getattr(pairwise, name)(V, **options)

    return dense


def _similar(metric, **options):
    def dense(V):
        from scipy.spatial.distance import cdist

        return np.exp(-cdist(V, V, metric, **options))

    return dense


def _differences(V):
    return V[:, None, :] - V[None, :, :]


def _kernel(distance):
    return lambda xp, V: xp.exp(-distance(xp, V))


def _minkowski(p):
    def distance(xp, V):
        # The diagonal has no slope: it is left out of what is differentiated.
        n = V.shape[0]
        d = xp.abs(_differences(V)) + xp.eye(n)[:, :, None]
        powers = xp.max(d, axis=-1) if p == np.inf else xp.sum(d**p, axis=-1) ** (1 / p)
        return xp.where(xp.eye(n) == 1, 0.0, powers)

    return distance


def _canberra(xp, V):
    n = V.shape[0]
    d = xp.abs(_differences(V)) / (xp.abs(V[:, None, :]) + xp.abs(V[None, :, :]))
    return xp.where(xp.eye(n) == 1, 0.0, xp.sum(d, axis=-1))


def _unit(xp, V):
    return V / xp.sqrt(xp.sum(V * V, axis=1, keepdims=True))


def _correlations(xp, V):
    U = _unit(xp, V - xp.mean(V, axis=1, keepdims=True))
    return U @ U.T


def _off_diagonal(xp, A):
    return xp.where(xp.eye(A.shape[0]) == 1, 0.0, A)


def _clipped_correlations(V):
    A = np.clip(np.corrcoef(V), 0, 1)
    np.fill_diagonal(A, 0)
    return A


def _information(V):
    n = len(V)
    A = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i != j:
                joint = np.cov(V[i], V[j])
                A[i, j] = 0.5 * np.log(joint[0, 0] * joint[1, 1] / np.linalg.det(joint))
    return A


def _information_formula(xp, V):
    correlations = _off_diagonal(xp, _correlations(xp, V))
    return -0.5 * xp.log(1 - correlations**2)


def _divergence(V):
    from scipy.special import rel_entr, softmax

    p = softmax(V, axis=1)
    return rel_entr(p[:, None, :], p[None, :, :]).sum(axis=-1)


def _divergence_formula(xp, V):
    e = xp.exp(V)
    p = e / xp.sum(e, axis=1, keepdims=True)
    return xp.sum(p[:, None, :] * (xp.log(p)[:, None, :] - xp.log(p)[None, :, :]), axis=-1)


WEIGHTS = (0.5, 2.0, 0.0, 1.5)


def _anisotropic(V):
    from scipy.spatial.distance import cdist

    return np.exp(-cdist(V, V, "sqeuclidean", w=np.asarray(WEIGHTS)))


def _hybrid(V):
    return 0.3 * V @ V.T + 0.7 * _pairwise("rbf_kernel", gamma=0.5)(V)


def _gaussian(xp, V):
    return xp.exp(-0.5 * xp.sum(_differences(V) ** 2, axis=-1))


KERNELS = [
    Given("linear", it.LinearKernel(), _pairwise("linear_kernel"), lambda xp, V: V @ V.T),
    Given(
        "cosine",
        it.CosineSimilarity(),
        _pairwise("cosine_similarity"),
        lambda xp, V: _unit(xp, V) @ _unit(xp, V).T,
    ),
    Given(
        "polynomial",
        it.PolynomialKernel(c=-0.5, d=3),
        _pairwise("polynomial_kernel", degree=3, gamma=1, coef0=-0.5),
        lambda xp, V: (V @ V.T - 0.5) ** 3,
    ),
    Given(
        "affine",
        it.PolynomialKernel(c=-0.5),
        _pairwise("polynomial_kernel", degree=1, gamma=1, coef0=-0.5),
        lambda xp, V: V @ V.T - 0.5,
    ),
    Given(
        "polynomial of few features",
        it.PolynomialKernel(c=0.5, d=2),
        _pairwise("polynomial_kernel", degree=2, gamma=1, coef0=0.5),
        lambda xp, V: (V @ V.T + 0.5) ** 2,
        count=11,
        features=2,
    ),
    Given(
        "tanh",
        it.TanhKernel(alpha=0.7, c=0.2),
        _pairwise("sigmoid_kernel", gamma=0.7, coef0=0.2),
        lambda xp, V: xp.tanh(0.7 * V @ V.T + 0.2),
    ),
    Given(
        "exponential",
        it.ExponentialKernel(gamma=0.5),
        _pairwise("rbf_kernel", gamma=0.5),
        _gaussian,
    ),
    Given("gaussian", it.GaussianKernel(sigma=1.0), _pairwise("rbf_kernel", gamma=0.5), _gaussian),
    Given(
        "anisotropic",
        it.AnisotropicKernel(a=WEIGHTS),
        _anisotropic,
        lambda xp, V: xp.exp(-xp.sum(xp.asarray(WEIGHTS) * _differences(V) ** 2, axis=-1)),
    ),
    Given("isotropic", it.AnisotropicKernel(a=0.5), _pairwise("rbf_kernel", gamma=0.5), _gaussian),
    Given(
        "laplacian",
        it.LaplacianKernel(sigma=2.0),
        _pairwise("laplacian_kernel", gamma=0.5),
        lambda xp, V: xp.exp(-0.5 * xp.sum(xp.abs(_differences(V)), axis=-1)),
    ),
    Given("minkowski", it.MinkowskiDistance(p=3), _similar("minkowski", p=3), _kernel(_minkowski(3))),
    Given("manhattan", it.ManhattanDistance(), _similar("cityblock"), _kernel(_minkowski(1))),
    Given("euclidean", it.EuclideanDistance(), _similar("euclidean"), _kernel(_minkowski(2))),
    Given("chebyshev", it.ChebyshevDistance(), _similar("chebyshev"), _kernel(_minkowski(np.inf))),
    Given("canberra", it.CanberraDistance(), _similar("canberra"), _kernel(_canberra)),
    Given(
        "distance itself",
        it.EuclideanDistance(is_similarity=False),
        _pairwise("euclidean_distances"),
        _minkowski(2),
    ),
    Given("pearson", it.PearsonCorrelation(), np.corrcoef, _correlations),
    Given(
        "rv",
        it.RVCoefficient(),
        _clipped_correlations,
        lambda xp, V: _off_diagonal(xp, xp.maximum(_correlations(xp, V), 0.0)),
    ),
    Given(
        "rv squared",
        it.RVCoefficient(is_squared=True),
        lambda V: np.corrcoef(V) ** 2,
        lambda xp, V: _correlations(xp, V) ** 2,
    ),
    Given("mutual information", it.MutualInformation(), _information, _information_formula),
    Given("kl", it.KLDivergence(), _divergence, _divergence_formula),
    Given(
        "hybrid",
        it.HybridInterdependence(
            parts=(it.LinearKernel(), it.GaussianKernel()), weights=(0.3, 0.7), fusion="sum"
        ),
        _hybrid,
        lambda xp, V: 0.3 * V @ V.T + 0.7 * _gaussian(xp, V),
    ),
    Given(
        "hybrid mean",
        it.HybridInterdependence(parts=(it.LinearKernel(), it.GaussianKernel())),
        lambda V: (V @ V.T + _pairwise("rbf_kernel", gamma=0.5)(V)) / 2,
        lambda xp, V: (V @ V.T + _gaussian(xp, V)) / 2,
    ),
    Given(
        "hybrid product",
        it.HybridInterdependence(parts=(it.LinearKernel(), it.GaussianKernel()), fusion="product"),
        lambda V: (V @ V.T) * _pairwise("rbf_kernel", gamma=0.5)(V),
        lambda xp, V: (V @ V.T) * _gaussian(xp, V),
    ),
]


def normalized(A, mode):
    """A matrix normalised by its sums, zero sums apart."""

    def safe(sums):
        return np.where(sums == 0, 1.0, sums)

    rows, columns = safe(A.sum(axis=1))[:, None], safe(A.sum(axis=0))
    if mode == "row":
        return A / rows
    if mode == "column":
        return A / columns
    if mode == "symmetric":
        return A / np.sqrt(rows) / np.sqrt(columns)
    if mode == "row_column":
        A = A / np.sqrt(rows)
        return A / np.sqrt(safe(A.sum(axis=0)))
    return A


def links_of_chain(n, is_directed):
    after = np.eye(n, k=1)
    return after if is_directed else after + after.T


def powers(A, h):
    return sum(np.linalg.matrix_power(A, k) for k in range(1, h + 1))


def _chain(is_directed, mode, self_loops=0.0):
    return lambda n: normalized(links_of_chain(n, is_directed) + self_loops * np.eye(n), mode)


def _inverse(is_directed, mode):
    def dense(n):
        A = _chain(is_directed, mode)(n)
        if is_directed:
            import scipy.linalg

            return scipy.linalg.inv(np.eye(n) - A)
        return normalized(powers(A, max(n - 1, 1)), "column")

    return dense


def _exponential(is_directed, mode):
    def dense(n):
        import scipy.linalg

        return scipy.linalg.expm(_chain(is_directed, mode)(n))

    return dense


def _accumulated(is_directed, mode, h):
    def dense(n):
        A = powers(_chain(is_directed, mode, 0.5)(n), h)
        return A if is_directed else normalized(A, "column")

    return dense


def chains():
    """Every kind of chain with every normalisation, and its dense matrix of so many members."""
    for is_directed in (True, False):
        for mode in (None, "row", "column", "symmetric", "row_column"):
            options = {"is_directed": is_directed, "normalization": mode}
            name = f"{'one way' if is_directed else 'both ways'}, {mode}"
            one = _chain(is_directed, mode, 0.5)
            yield f"chain, {name}", it.ChainInterdependence(self_loops=0.5, **options), one
            yield (
                f"hops, {name}",
                it.MultihopChain(self_loops=0.5, hops=3, **options),
                lambda n, one=one: np.linalg.matrix_power(one(n), 3),
            )
            yield (
                f"accumulated, {name}",
                it.MultihopChain(self_loops=0.5, hops=3, is_accumulated=True, **options),
                _accumulated(is_directed, mode, 3),
            )
            yield f"inverse, {name}", it.InverseChain(**options), _inverse(is_directed, mode)
            yield f"exponential, {name}", it.ExponentialChain(**options), _exponential(is_directed, mode)


LINKS = [(0, 1), (1, 2), (2, 0), (3, 2), (3, 1), (4, 1), (2, 4)]
GRAPH = it.Graph.of(6, LINKS)


def adjacency(is_directed=True, self_loops=0.0):
    import networkx as nx

    G = nx.DiGraph(LINKS) if is_directed else nx.Graph(LINKS)
    G.add_node(5)
    return nx.to_numpy_array(G, nodelist=range(6)) + self_loops * np.eye(6)


def patches(height, width, depth, channels, cells, strides=(1, 1, 1), mode="padding"):
    """The matrix of patches of a grid, entry by entry."""

    def place(u, i, j, k):
        return ((u * height + i) * width + j) * depth + k

    columns = []
    grid = (height, width, depth)
    for i in range(0, height, strides[0]):
        for j in range(0, width, strides[1]):
            for k in range(0, depth, strides[2]):
                for u in range(channels):
                    patch = []
                    for cell in cells:
                        at = (i + cell[0], j + cell[1], k + cell[2])
                        column = np.zeros(height * width * depth * channels)
                        if all(0 <= a < size for a, size in zip(at, grid, strict=True)):
                            column[place(u, *at)] = 1
                        patch.append(column)
                    columns += patch if mode == "padding" else [sum(patch)]
    return np.stack(columns, axis=1)


def box(*reaches):
    """The cells ``-a … b`` along each axis."""
    (a, b), (c, d), (e, f) = reaches
    return [(i, j, k) for i in range(-a, b + 1) for j in range(-c, d + 1) for k in range(-e, f + 1)]


def fixed(name, layer, A):
    """An interdependence whose matrix does not follow from the data."""
    return Given(name, layer, lambda V: A, None, count=A.shape[0], features=3)


_CELLS = box((1, 0), (0, 1), (0, 0))
_GRID = {"height": 3, "width": 2, "depth": 2, "channels": 2}
_CUBOID = {"p_h": 1, "p_w": 0, "p_d": 0, "p_h_prime": 0, "p_w_prime": 1}

FIXED = [
    fixed("constant", it.ConstantInterdependence(c=0.5, m_prime=3, b_prime=3), np.full((5, 3), 0.5)),
    fixed("zero", it.ZeroInterdependence(), np.zeros((5, 5))),
    fixed("one", it.OneInterdependence(), np.ones((5, 5))),
    fixed("identity", it.IdentityInterdependence(), np.eye(5)),
    fixed("wide identity", it.IdentityInterdependence(m_prime=7, b_prime=7), np.eye(5, 7)),
    fixed("chain", it.ChainInterdependence(normalization="row"), _chain(True, "row", 1.0)(5)),
    fixed(
        "hops",
        it.MultihopChain(hops=2, is_directed=False),
        np.linalg.matrix_power(_chain(False, None, 1.0)(5), 2),
    ),
    fixed("running sums", it.InverseChain(), np.triu(np.ones((5, 5)))),
    fixed("inverse both ways", it.InverseChain(is_directed=False), _inverse(False, None)(5)),
    fixed("exponential", it.ExponentialChain(is_directed=False), _exponential(False, None)(5)),
    fixed("graph", it.GraphInterdependence(graph=GRAPH), adjacency()),
    fixed(
        "normalised graph",
        it.GraphInterdependence(graph=GRAPH, normalization="symmetric", is_directed=False, self_loops=1.0),
        normalized(adjacency(False, 1.0), "symmetric"),
    ),
    fixed("graph in hops", it.MultihopGraph(graph=GRAPH, hops=3), np.linalg.matrix_power(adjacency(), 3)),
    fixed(
        "pagerank",
        it.PageRankGraph(graph=GRAPH, normalization="row", c=0.4),
        0.4 * np.linalg.inv(np.eye(6) - 0.6 * normalized(adjacency(), "row")),
    ),
    fixed(
        "patches",
        it.CuboidInterdependence(**_GRID, **_CUBOID),
        patches(3, 2, 2, 2, _CELLS),
    ),
    fixed(
        "averages",
        it.CuboidInterdependence(
            **_GRID, **_CUBOID, mode="aggregation", normalization="column", strides=(2, 1, 1)
        ),
        normalized(patches(3, 2, 2, 2, _CELLS, (2, 1, 1), "aggregation"), "column"),
    ),
    fixed(
        "hybrid of fixed ones",
        it.HybridInterdependence(parts=(it.InverseChain(), it.ChainInterdependence()), fusion="sum"),
        np.triu(np.ones((5, 5))) + _chain(True, None, 1.0)(5),
    ),
]

EVERY = KERNELS + FIXED
KINDS = ("attribute", "instance")
