"""tinybig's layers, over its heads."""

from arrayfab.tinybig._configuration import CLASSES as _CLASSES
from arrayfab.tinybig._layer import Gridded as _Gridded
from arrayfab.tinybig._layer import Joined as _Joined
from arrayfab.tinybig._layer import layer as layer
from arrayfab.tinybig._layer import row as _row
from arrayfab.tinybig.head import bilinear_interdependence_head as _bilinear_interdependence_head
from arrayfab.tinybig.head import chain_interdependence_head as _chain_interdependence_head
from arrayfab.tinybig.head import (
    graph_bilinear_interdependence_head as _graph_bilinear_interdependence_head,
)
from arrayfab.tinybig.head import graph_interdependence_head as _graph_interdependence_head
from arrayfab.tinybig.head import grid_compression_head as _grid_compression_head
from arrayfab.tinybig.head import grid_interdependence_head as _grid_interdependence_head
from arrayfab.tinybig.head import kan_head as _kan_head
from arrayfab.tinybig.head import naive_bayes_head as _naive_bayes_head
from arrayfab.tinybig.head import perceptron_head as _perceptron_head
from arrayfab.tinybig.head import pgm_head as _pgm_head
from arrayfab.tinybig.head import svm_head as _svm_head

rpn_layer = layer
_CLASSES |= {"layer": layer, "rpn_layer": layer}

_LAST = "parameters_init_method device"
perceptron_layer = _row(_perceptron_head, with_relu=True, with_softmax=True)
svm_layer = _row(
    _svm_head,
    order="m n name kernel base_range num_interval epsilon enable_bias with_lorr r with_residual channel_num "
    f"width {_LAST}",
)
kan_layer = _row(
    _kan_head,
    order=f"m n grid_range t d name enable_bias with_lorr r channel_num width {_LAST}",
    name="perceptron_head",  # it is tinybig's
)
naive_bayes_layer = _row(_naive_bayes_head, name="perceptron_layer")
pgm_layer = _row(_pgm_head, name="perceptron_layer")
chain_interdependence_layer = _row(
    _chain_interdependence_head,
    order="m n chain_length channel_num width name bi_directional with_multihop h accumulative "
    "with_inverse_approx with_exponential_approx self_dependence self_scaling with_dual_lphm with_lorr r "
    f"enable_bias with_residual with_batch_norm with_relu with_dropout p with_softmax {_LAST}",
)
graph_interdependence_layer = _row(_graph_interdependence_head, "n")
graph_bilinear_interdependence_layer = _row(_graph_bilinear_interdependence_head, "n")
bilinear_interdependence_layer = _row(_bilinear_interdependence_head, base=_Joined, name="attention_layer")
_PATCH = "patch_shape p_h p_h_prime p_w p_w_prime p_d p_d_prime p_r cd_h cd_w cd_d"
grid_interdependence_layer = _row(
    _grid_interdependence_head,
    base=_Gridded,
    order=f"h w in_channel out_channel d width name {_PATCH} packing_strategy with_batch_norm with_relu "
    f"with_residual enable_bias with_dual_lphm with_lorr r {_LAST}",
)
grid_compression_layer = _row(
    _grid_compression_head,
    "device",
    base=_Gridded,
    order=f"h w channel_num d name pooling_metric {_PATCH} with_dropout p packing_strategy {_LAST}",
)
