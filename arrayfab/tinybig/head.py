"""tinybig's heads, over arrayfab's."""

from arrayfab.tinybig import _places as _of
from arrayfab.tinybig import _recipes as _make
from arrayfab.tinybig._configuration import CLASSES as _CLASSES
from arrayfab.tinybig._fabrication import ARRANGED as _ARRANGED
from arrayfab.tinybig._head import head as head
from arrayfab.tinybig._head import row as _row

rpn_head = head
_CLASSES |= {"head": head, "rpn_head": head}

_LOW_RANK = {"with_lorr": False, "r": 3}
_LPHM = {"with_dual_lphm": False, **_LOW_RANK}
_INIT = {"parameters_init_method": "xavier_normal", "device": "cpu"}
_PARTS = {
    "parameter_fabrication": _make.fabricated,
    "remainder": _make.residual,
    "output_process_functions": _make.activated,
}

perceptron_head = _row(
    "perceptron_head",
    "The data or their expansion, times a matrix, and a bias.",
    {"data_transformation": _make.taylor, **_PARTS},
    **{"name": "perceptron_head", "channel_num": 1, "with_bspline": False, "with_taylor": False, "d": 2},
    **{"with_hybrid_expansion": False, **_LPHM, "enable_bias": True, "with_residual": False},
    **{"with_batch_norm": False, "with_relu": False, "with_dropout": False, "p": 0.5, "with_softmax": False},
    **_INIT,
    **_ARRANGED,
)
svm_head = _row(
    "svm_head",
    "The bells of a kernel at points along every attribute, times a matrix.",
    {"data_transformation": _make.kernel, **_PARTS},
    **{"name": "svm_head", "kernel": "linear", "base_range": (-1, 1), "num_interval": 10, "epsilon": 1.0},
    **{"enable_bias": False, **_LOW_RANK, "with_residual": False, "channel_num": 1},
    **{"with_batch_norm": False, "with_softmax": False, **_INIT},
)
kan_head = _row(
    "kan_head",
    "B-splines of every attribute times a matrix, and ``silu(x Wᵀ)``.",
    {"data_transformation": _make.splines, **_PARTS, "remainder": _make.silu},
    **{"grid_range": (-1, 1), "t": 5, "d": 3, "name": "kan_head", "enable_bias": False, **_LOW_RANK},
    **{"channel_num": 1, "with_batch_norm": False, "with_softmax": False, **_INIT},
)
_BAYES = {"enable_bias": False, **_LOW_RANK, "with_residual": False, "channel_num": 1, **_INIT}
_SCORES = {key: _PARTS[key] for key in ("parameter_fabrication", "remainder")}
naive_bayes_head = _row(
    "naive_bayes_head",
    "Log densities of every attribute, times a matrix.",
    {"data_transformation": _make.densities, **_SCORES},
    **{"name": "perceptron_head", "distribution": "normal", **_BAYES},
)
pgm_head = _row(
    "pgm_head",
    "Log densities of up to ``d`` attributes, times a matrix.",
    {"data_transformation": _make.joint_densities, **_SCORES},
    **{"name": "perceptron_head", "distribution": "normal", "d": 2, "with_replacement": False, **_BAYES},
)

_LAST = {"with_batch_norm": False, "with_relu": True, "with_softmax": True, "with_dropout": False}
chain_interdependence_head = _row(
    "chain_interdependence_head",
    "The members of a chain side by side, which depend on one another, times a matrix.",
    {"data_transformation": _make.identity, "instance_interdependence": _make.chained, **_PARTS},
    _of.Chained,
    **{"chain_length": ..., "channel_num": 1, "name": "chain_interdependence_head", "bi_directional": False},
    **{"with_multihop": False, "h": 1, "accumulative": False, "with_inverse_approx": False},
    **{"with_exponential_approx": False, "self_dependence": True, "self_scaling": 1.0, "with_taylor": False},
    **{"d": 2, **_LPHM, "enable_bias": False, "with_residual": False, **_LAST, "p": 0.25},
    **_INIT,
    **_ARRANGED,
)
_LINKED = {
    **{"channel_num": 1, "graph": None, "graph_file_path": None, "nodes": None, "links": None},
    **{"directed": False, "with_multihop": False, "h": 1, "accumulative": False, "with_pagerank": False},
    **{"c": 0.15, "require_data": False, "require_parameters": False},
}
_SHARES = {
    "with_dual_lphm_interdependence": False,
    "with_lorr_interdependence": False,
    "r_interdependence": 3,
}
graph_interdependence_head = _row(
    "graph_interdependence_head",
    "Instances that are linked by a graph, times a matrix.",
    {
        "data_transformation": _make.identity,
        "instance_interdependence": _make.linked,
        **_PARTS,
        "output_process_functions": _make.log_activated,
    },
    **{"name": "graph_interdependence_head", **_LINKED, "normalization": True},
    **{"normalization_mode": "column", "self_dependence": True, **_LPHM, "with_residual": False},
    **{"enable_bias": False, **_LAST, "p": 0.5, **_INIT, **_ARRANGED},
)
graph_bilinear_interdependence_head = _row(
    "graph_bilinear_interdependence_head",
    "Instances that take shares of those that a graph links to them, times a matrix.",
    {
        "data_transformation": _make.identity,
        "instance_interdependence": _make.attending_to_linked,
        **_PARTS,
        "output_process_functions": _make.log_activated,
    },
    **{"name": "graph_bilinear_interdependence_head", **_LINKED, "normalization": False},
    **{"normalization_mode": "column", "self_dependence": True, **_SHARES, **_LPHM, "with_residual": False},
    **{"enable_bias": False, **_LAST, "p": 0.5, **_INIT, **_ARRANGED},
)
bilinear_interdependence_head = _row(
    "bilinear_interdependence_head",
    "Instances that take shares of each other, times a matrix.",
    {"data_transformation": _make.taylor, "instance_interdependence": _make.attending, **_PARTS},
    **{"name": "bilinear_interdependence_head", "batch_num": None, "channel_num": 1, **_SHARES},
    **{"with_taylor": False, "d": 2, **_LPHM, "enable_bias": False, "with_residual": False, **_LAST},
    **{"p": 0.25, **_INIT, **_ARRANGED},
)

_PATCH = {
    **{"patch_shape": "cuboid", "p_h": None, "p_h_prime": None, "p_w": None, "p_w_prime": None, "p_d": 0},
    **{"p_d_prime": None, "p_r": None, "cd_h": None, "cd_w": None, "cd_d": 1},
    **{"packing_strategy": "densest_packing"},
}
grid_interdependence_head = _row(
    "grid_interdependence_head",
    "A convolution: the cells of every patch of a grid, in all channels, times one matrix.",
    {"data_transformation": _make.identity, "attribute_interdependence": _make.surrounded, **_PARTS},
    _of.Convolution,
    sizes="h w in_channel out_channel",
    **{"d": 1, "name": "grid_interdependence_head", **_PATCH, "with_batch_norm": False, "with_relu": True},
    **{"with_residual": False, **_LPHM, "enable_bias": False, **_INIT, **_ARRANGED},
)
grid_compression_head = _row(
    "grid_compression_head",
    "A pooling: the largest number of every patch of a grid, or another one.",
    {"data_transformation": _make.pooled, "output_process_functions": _make.activated},
    _of.Pooling,
    sizes="h w channel_num",
    **{"d": 1, "name": "grid_compression_head", "pooling_metric": "batch_max", **_PATCH},
    **{"with_dropout": False, "p": 0.5, **_INIT},
)
