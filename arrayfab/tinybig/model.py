"""tinybig's models, over its layers."""

from arrayfab.tinybig import _model as _of
from arrayfab.tinybig._function import class_of as _class_of
from arrayfab.tinybig._model import model as model
from arrayfab.tinybig._model import row as _row
from arrayfab.tinybig.layer import bilinear_interdependence_layer as _bilinear_interdependence_layer
from arrayfab.tinybig.layer import chain_interdependence_layer as _chain_interdependence_layer
from arrayfab.tinybig.layer import (
    graph_bilinear_interdependence_layer as _graph_bilinear_interdependence_layer,
)
from arrayfab.tinybig.layer import graph_interdependence_layer as _graph_interdependence_layer
from arrayfab.tinybig.layer import grid_interdependence_layer as _grid_interdependence_layer
from arrayfab.tinybig.layer import kan_layer as _kan_layer
from arrayfab.tinybig.layer import naive_bayes_layer as _naive_bayes_layer
from arrayfab.tinybig.layer import perceptron_layer as _perceptron_layer
from arrayfab.tinybig.layer import pgm_layer as _pgm_layer
from arrayfab.tinybig.layer import svm_layer as _svm_layer

rpn = _class_of(
    "rpn",
    _of.Deep,
    None,
    "Layers one after another.",
    {
        "name": "Reconciled_Polynomial_Network",
        **dict.fromkeys(("layers", "depth", "depth_alloc", "layer_configs")),
        "device": "cpu",
    },
)

_LOW_RANK = {"with_lorr": False, "r": 3}
_WIDE = {"channel_num": 1, "width": 1}
mlp = _row(
    "mlp",
    _perceptron_layer,
    "A multi-layer perceptron.",
    **{"name": "rpn_mlp", "enable_bias": False, "with_taylor": False, "d": 2, **_LOW_RANK},
    **{"with_residual": False, **_WIDE, "device": "cpu"},
)
kan = _row(
    "kan",
    _kan_layer,
    "A Kolmogorov-Arnold network.",
    **{"name": "rpn_kan", "grid_range": (-1, 1), "t": 5, "d": 3, "enable_bias": False, **_LOW_RANK},
    **{**_WIDE, "device": "cpu"},
)
svm = _row(
    "svm",
    _svm_layer,
    "Scores that are linear in the bells of a kernel.",
    **{"name": "rpn_svm", "kernel": "linear", "base_range": (-1, 1), "num_interval": 10, "epsilon": 1.0},
    **{"enable_bias": False, **_LOW_RANK, "with_residual": False, **_WIDE, "device": "cpu"},
)
naive_bayes = _row(
    "naive_bayes",
    _naive_bayes_layer,
    "Scores that are linear in log densities of every attribute.",
    **{"name": "rpn_naive_bayes", "distribution": "normal", "enable_bias": False, "device": "cpu"},
    **{**_LOW_RANK, "with_residual": False, **_WIDE},
)
pgm = _row(
    "pgm",
    _pgm_layer,
    "Scores that are linear in log densities of several attributes.",
    **{"name": "rpn_bayesian_network", "distribution": "normal", "d": 2, "with_replacement": False},
    **{"enable_bias": False, **_LOW_RANK, "with_residual": False, **_WIDE, "device": "cpu"},
)
_LINKED = {
    **{"graph": None, "graph_file_path": None, "nodes": None, "links": None, "directed": False},
    **{"with_multihop": False, "h": 1, "accumulative": False, "with_pagerank": False, "c": 0.15},
    **{"require_data": False, "require_parameters": False},
}
_LPHM = {"with_dual_lphm": False, **_LOW_RANK}
_LAST = {"with_batch_norm": False, "with_relu": True, "with_softmax": True, "with_dropout": False, "p": 0.25}
gcn = _row(
    "gcn",
    _graph_interdependence_layer,
    "A graph convolutional network.",
    _of.Processed,
    **{**_WIDE, "name": "rpn_gcn", **_LINKED, "normalization": True, "normalization_mode": "column"},
    **{"self_dependence": True, **_LPHM, "with_residual": False, "enable_bias": False, **_LAST},
    **{"device": "cpu"},
)
_SHARES = {
    "with_dual_lphm_interdependence": False,
    "with_lorr_interdependence": False,
    "r_interdependence": 3,
}
gat = _row(
    "gat",
    _graph_bilinear_interdependence_layer,
    "A graph attention network.",
    _of.Processed,
    **{**_WIDE, "name": "rpn_gcn", **_LINKED, "normalization": False, "normalization_mode": "column"},
    **{"self_dependence": True, **_SHARES, **_LPHM, "with_residual": False, "enable_bias": False, **_LAST},
    **{"device": "cpu"},
)
transformer = _row(
    "transformer",
    _bilinear_interdependence_layer,
    "Shares of other instances and each instance by itself in turns.",
    _of.Attentive,
    **{"dims": ..., "fc_dims": ..., "batch_num": None, "name": "rpn_transformer", **_WIDE},
    **{**_SHARES, "with_lorr_interdependence": True, "with_taylor": False, "d": 2, **_LPHM},
    **{"enable_bias": True, "with_residual": True, **_LAST, "device": "cpu"},
)
_CHAIN = {
    **{"chain_length": ..., "dims": ..., "name": "rpn_rnn", **_WIDE, "bi_directional": False},
    **{"with_multihop": False, "h": 1, "accumulative": False, "with_inverse_approx": False},
    **{"with_exponential_approx": False, "self_dependence": True, "self_scaling": 1.0},
    **{"with_bspline": False, "with_taylor": False, "d": 2, "with_hybrid_expansion": False, **_LPHM},
    **{"with_residual": False, **_SHARES, "enable_bias": False, **_LAST},
    **{"parameters_init_method": "xavier_normal", "device": "cpu"},
}
_OF_CHAIN = _chain_interdependence_layer, "A recurrent network.", _of.Recurrent
rnn = _row("rnn", *_OF_CHAIN, **_CHAIN)
regression_rnn = _row("regression_rnn", *_OF_CHAIN, **_CHAIN)
regression_rnn._is_mean = False

_SHAPE = {
    **{"patch_shape": "cuboid", "p_h": None, "p_h_prime": None, "p_w": None, "p_w_prime": None, "p_d": 0},
    **{"p_d_prime": None, "p_r": None, "cd_h": None, "cd_w": None, "cd_d": 1},
    **{"packing_strategy": "densest_packing"},
}
_IMAGES = {
    **{"h": ..., "w": ..., "channel_nums": ..., "fc_dims": ..., "d": 1, "fc_channel_num": 1, "width": 1},
    **{"pooling_metric": "batch_max", "pooling_layer_gaps": 2, "patch_size_half_after_pooling": False},
    **{"name": "rpn_cnn", **_SHAPE, **{f"pooling_{key}": None for key in _SHAPE}},
    **{"with_batch_norm": False, "with_relu": True, "with_softmax": False, "with_residual": False},
    **{"with_dropout": False, "p_pooling": 0.25, "p_fc": 0.5, **_LPHM, "enable_bias": True},
    **{"with_perceptron_residual": None, "with_perceptron_dual_lphm": None, "with_perceptron_lorr": None},
    **{"perceptron_r": None, "enable_perceptron_bias": None, "device": "cpu"},
}
_OF_GRID = _grid_interdependence_layer, "A convolutional network.", _of.Convolutional
cnn = _row("cnn", *_OF_GRID, **_IMAGES)
resnet = _row("resnet", *_OF_GRID, **{**_IMAGES, "with_residual": True})
