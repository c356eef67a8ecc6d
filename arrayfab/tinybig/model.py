"""tinybig's models, over its layers."""

from arrayfab.tinybig._function import class_of as _class_of
from arrayfab.tinybig._model import Deep as _Deep
from arrayfab.tinybig._model import model as model
from arrayfab.tinybig._model import row as _row
from arrayfab.tinybig.layer import graph_interdependence_layer as _graph_interdependence_layer
from arrayfab.tinybig.layer import kan_layer as _kan_layer
from arrayfab.tinybig.layer import naive_bayes_layer as _naive_bayes_layer
from arrayfab.tinybig.layer import perceptron_layer as _perceptron_layer
from arrayfab.tinybig.layer import pgm_layer as _pgm_layer
from arrayfab.tinybig.layer import svm_layer as _svm_layer

rpn = _class_of(
    "rpn",
    _Deep,
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
gcn = _row(
    "gcn",
    _graph_interdependence_layer,
    "A graph convolutional network.",
    ("with_relu",),
    ("with_softmax",),
    **{**_WIDE, "name": "rpn_gcn", "graph": None, "graph_file_path": None, "nodes": None, "links": None},
    **{"directed": False, "with_multihop": False, "h": 1, "accumulative": False, "with_pagerank": False},
    **{"c": 0.15, "require_data": False, "require_parameters": False, "normalization": True},
    **{"normalization_mode": "column", "self_dependence": True, "with_dual_lphm": False, **_LOW_RANK},
    **{"with_residual": False, "enable_bias": False, "with_batch_norm": False, "with_relu": True},
    **{"with_softmax": True, "with_dropout": False, "p": 0.25, "device": "cpu"},
)
