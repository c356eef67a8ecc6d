"""tinybig's interdependences, over arrayfab's and its roles."""

from arrayfab import interdependences as _core
from arrayfab.tinybig import _composed, _grids
from arrayfab.tinybig import _dependence as _of
from arrayfab.tinybig._dependence import row as _row
from arrayfab.tinybig._roles import interdependence as interdependence
from arrayfab.tinybig._roles import plain as _plain
from arrayfab.tinybig._roles import variants as _variants

parameterized_interdependence = _plain(
    "parameterized_interdependence",
    interdependence,
    "``A = reshape(w)``, independent of the data.",
    {"_is_bilinear": False, "require_data": False},
    **{"b": ..., "m": ..., "b_prime": None, "m_prime": None, "interdependence_type": "attribute", "name": ""},
)
parameterized_bilinear_interdependence = _plain(
    "parameterized_bilinear_interdependence",
    interdependence,
    "``A = xᵀ W x`` among attributes, ``A = x W xᵀ`` among instances, with ``W = reshape(w)``.",
    {"_is_bilinear": True, "require_data": True},
    **{"b": ..., "m": ..., "interdependence_type": "instance", "name": ""},
)
(
    lowrank_parameterized_interdependence,
    hm_parameterized_interdependence,
    lphm_parameterized_interdependence,
    dual_lphm_parameterized_interdependence,
    random_matrix_adaption_parameterized_interdependence,
) = _variants(parameterized_interdependence)
(
    lowrank_parameterized_bilinear_interdependence,
    hm_parameterized_bilinear_interdependence,
    lphm_parameterized_bilinear_interdependence,
    dual_lphm_parameterized_bilinear_interdependence,
    random_matrix_adaption_parameterized_bilinear_interdependence,
) = _variants(parameterized_bilinear_interdependence)

_SIZES = {"b": ..., "m": ...}
_PRIMES = {"b_prime": None, "m_prime": None}
_LAST = {"name": "", "device": "cpu"}
_TYPED = {"name": "", "interdependence_type": "attribute", "device": "cpu"}
constant_interdependence = _row(
    "constant_interdependence", None, _of.Given, **_SIZES, A=..., interdependence_type="attribute", **_LAST
)
constant_c_interdependence = _row(
    "constant_c_interdependence", _core.ConstantInterdependence, **_SIZES, **_PRIMES, c=1.0, **_TYPED
)
zero_interdependence = _row(
    "zero_interdependence",
    _core.ZeroInterdependence,
    constant_c_interdependence,
    name="",
    **_SIZES,
    **_PRIMES,
)
one_interdependence = _row(
    "one_interdependence", _core.OneInterdependence, constant_c_interdependence, name="", **_SIZES, **_PRIMES
)
identity_interdependence = _row(
    "identity_interdependence", _core.IdentityInterdependence, **_SIZES, **_PRIMES, **_TYPED
)
eye_interdependence = identity_interdependence

_HANDED = {**_SIZES, "kernel": ..., "interdependence_type": "attribute"}
numerical_kernel_based_interdependence = _row(
    "numerical_kernel_based_interdependence", None, _of.Kernel, **_HANDED, name="kernel_based_interdependence"
)


def _numerical(key, made_of, base=numerical_kernel_based_interdependence, first=None, **hyper):
    return _row(f"{key}_interdependence", made_of, base, **first or {}, name="", **hyper, **_SIZES)


linear_kernel_interdependence = _numerical("linear_kernel", _core.LinearKernel)
cosine_similarity_interdependence = _numerical("cosine_similarity", _core.CosineSimilarity)
minkowski_distance_interdependence = _numerical(
    "minkowski_distance", _core.MinkowskiDistance, first={"p": ...}
)
manhattan_distance_interdependence = _numerical("manhattan_distance", _core.ManhattanDistance)
euclidean_distance_interdependence = _numerical("euclidean_distance", _core.EuclideanDistance)
chebyshev_distance_interdependence = _numerical("chebyshev_distance", _core.ChebyshevDistance)
canberra_distance_interdependence = _numerical("canberra_distance", _core.CanberraDistance)
polynomial_kernel_interdependence = _numerical("polynomial_kernel", _core.PolynomialKernel, c=0.0, d=1)
hyperbolic_tangent_kernel_interdependence = _numerical(
    "hyperbolic_tangent_kernel", _core.TanhKernel, c=0.0, alpha=1.0
)
exponential_kernel_interdependence = _numerical("exponential_kernel", _core.ExponentialKernel, gamma=1.0)
gaussian_rbf_kernel_interdependence = _numerical("gaussian_rbf_kernel", _core.GaussianKernel, sigma=1.0)
laplacian_kernel_interdependence = _numerical("laplacian_kernel", _core.LaplacianKernel, sigma=1.0)
anisotropic_rbf_kernel_interdependence = _numerical(
    "anisotropic_rbf_kernel", _core.AnisotropicKernel, _of.Anisotropic, a_vector=None, a_scalar=1.0
)
custom_hybrid_kernel_interdependence = _numerical(
    "custom_hybrid_kernel", None, _of.Mixed, first={"kernels": ..., "weights": None}
)

statistical_kernel_based_interdependence = _row(
    "statistical_kernel_based_interdependence", None, _of.Kernel, **_HANDED
)


def _statistical(key, made_of):
    return _row(
        f"{key}_interdependence", made_of, statistical_kernel_based_interdependence, name="", **_SIZES
    )


pearson_correlation_interdependence = _statistical("pearson_correlation", _core.PearsonCorrelation)
kl_divergence_interdependence = _statistical("kl_divergence", _core.KLDivergence)
rv_coefficient_interdependence = _statistical("rv_coefficient", _core.RVCoefficient)
mutual_information_interdependence = _statistical("mutual_information", _core.MutualInformation)

_HOPS = {"h": 1, "accumulative": False, "name": ""}
_NORMALIZATION = {"name": "", "normalization": False, "normalization_mode": "row"}
_CHAIN = {
    **_SIZES,
    **{"interdependence_type": "instance", "name": ""},
    **{"chain": None, "chain_length": None, "bi_directional": False},
    **{"normalization": False, "normalization_mode": "row"},
    **{"self_dependence": True, "self_scaling": 1.0},
}
chain_interdependence = _row("chain_interdependence", _core.ChainInterdependence, _of.Chained, **_CHAIN)
multihop_chain_interdependence = _row(
    "multihop_chain_interdependence", _core.MultihopChain, chain_interdependence, **(_HOPS | _CHAIN)
)
inverse_approx_multihop_chain_interdependence = _row(
    "inverse_approx_multihop_chain_interdependence",
    _core.InverseChain,
    chain_interdependence,
    **(_NORMALIZATION | _CHAIN),
)
exponential_approx_multihop_chain_interdependence = _row(
    "exponential_approx_multihop_chain_interdependence",
    _core.ExponentialChain,
    chain_interdependence,
    **(_NORMALIZATION | _CHAIN),
)

_GRAPH = {
    **_SIZES,
    **{"interdependence_type": "instance", "name": ""},
    **{"graph": None, "nodes": None, "links": None, "directed": True},
    **{"normalization": False, "normalization_mode": "row", "self_dependence": False},
}
graph_interdependence = _row("graph_interdependence", _core.GraphInterdependence, _of.Networked, **_GRAPH)
multihop_graph_interdependence = _row(
    "multihop_graph_interdependence", _core.MultihopGraph, graph_interdependence, **(_HOPS | _GRAPH)
)
pagerank_multihop_graph_interdependence = _row(
    "pagerank_multihop_graph_interdependence",
    _core.PageRankGraph,
    graph_interdependence,
    **({"c": 0.15, "name": ""} | _GRAPH),
)

parameterized_rpn_interdependence = _row(
    "parameterized_rpn_interdependence",
    None,
    _composed.Expanded,
    **_SIZES,
    **{"data_transformation": ..., "parameter_fabrication": ..., **_PRIMES},
    **{"interdependence_type": "attribute", "name": "", "require_parameters": True, "require_data": True},
)
hybrid_interdependence = _row(
    "hybrid_interdependence",
    None,
    _composed.Hybrid,
    **_SIZES,
    **{"interdependence_type": "attribute", "name": ""},
    **{"interdependence_functions": None, "interdependence_function_configs": None},
    **{"fusion_function": None, "fusion_function_config": None, "device": "cpu"},
)

_GRID = {
    **{"b": 0, "m": 0, "interdependence_type": "attribute", "name": ""},
    **{**_grids.PLACES, "d": 1, "channel_num": 1, "patch": None, "patch_configs": None},
    **{"packing_strategy": "densest_packing", **_grids.PACKED},
    **{"interdependence_matrix_mode": "padding", "normalization": False, "normalization_mode": "row_column"},
}
geometric_interdependence = _row(
    "geometric_interdependence", _core.GridInterdependence, _grids.OnGrid, **_GRID
)


def _of_shape(key):
    """The interdependences of patches of one shape: of either mode, of the one mode, and of the other."""
    name = f"{key}_patch_based_geometric_interdependence"
    parameters, fixed = _grids.shaped(key, radius="r")
    order = parameters | {"name": name} | _GRID | {"name": name}
    both = _row(name, _core.GridInterdependence, geometric_interdependence, fixed=fixed, **order)
    modes = [
        _row(
            f"{key}_patch_{mode}_based_geometric_interdependence",
            _core.GridInterdependence,
            both,
            fixed={"interdependence_matrix_mode": _grids.settled(mode)},
            **({"interdependence_matrix_mode": mode} | order | {"interdependence_matrix_mode": mode}),
        )
        for mode in ("padding", "aggregation")
    ]
    return both, *modes


(
    cuboid_patch_based_geometric_interdependence,
    cuboid_patch_padding_based_geometric_interdependence,
    cuboid_patch_aggregation_based_geometric_interdependence,
) = _of_shape("cuboid")
(
    cylinder_patch_based_geometric_interdependence,
    cylinder_patch_padding_based_geometric_interdependence,
    cylinder_patch_aggregation_based_geometric_interdependence,
) = _of_shape("cylinder")
(
    sphere_patch_based_geometric_interdependence,
    sphere_patch_padding_based_geometric_interdependence,
    sphere_patch_aggregation_based_geometric_interdependence,
) = _of_shape("sphere")
