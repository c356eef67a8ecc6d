"""tinybig's layers, over its heads."""

from arrayfab.tinybig._configuration import CLASSES as _CLASSES
from arrayfab.tinybig._layer import layer as layer
from arrayfab.tinybig._layer import row as _row
from arrayfab.tinybig.head import chain_interdependence_head as _chain_interdependence_head
from arrayfab.tinybig.head import graph_interdependence_head as _graph_interdependence_head
from arrayfab.tinybig.head import kan_head as _kan_head
from arrayfab.tinybig.head import naive_bayes_head as _naive_bayes_head
from arrayfab.tinybig.head import perceptron_head as _perceptron_head
from arrayfab.tinybig.head import pgm_head as _pgm_head
from arrayfab.tinybig.head import svm_head as _svm_head

rpn_layer = layer
_CLASSES |= {"layer": layer, "rpn_layer": layer}

perceptron_layer = _row(_perceptron_head, "channel_num", with_relu=True, with_softmax=True)
svm_layer = _row(_svm_head, "channel_num")
kan_layer = _row(_kan_head, "channel_num", name="perceptron_head")  # its name is tinybig's
naive_bayes_layer = _row(_naive_bayes_head, "channel_num", name="perceptron_layer")
pgm_layer = _row(_pgm_head, "channel_num", name="perceptron_layer")
chain_interdependence_layer = _row(_chain_interdependence_head, "channel_num")
graph_interdependence_layer = _row(_graph_interdependence_head, "n")
