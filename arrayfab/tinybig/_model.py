"""The adapter of tinybig's models: layers one after another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, ClassVar

from arrayfab.composition import Sequential
from arrayfab.fabrications import Constant
from arrayfab.plain import Reshape
from arrayfab.roles import ParameterizedInterdependence
from arrayfab.tinybig._configuration import at, of_config, repeated
from arrayfab.tinybig._function import ParameterError, check_own, class_of
from arrayfab.tinybig._layer import layer
from arrayfab.tinybig._learning import Learned
from arrayfab.tinybig.layer import (
    bilinear_interdependence_layer,
    chain_interdependence_layer,
    grid_compression_layer,
    grid_interdependence_layer,
    perceptron_layer,
)


class model(Learned):
    """What all models are."""

    _kind = "model"
    _order: ClassVar = {"name": "model_name", "device": "cpu"}


class Deep(model):
    """The adapter of all models: layers one after another."""

    _owned = "layers"
    _layer: ClassVar[Any] = None  # what a model that is ready has one after another
    #: Keywords that hold for all layers but those as wide as the result, and those for the last one alone.
    _between: ClassVar[tuple[str, ...]] = ()
    _last: ClassVar[tuple[str, ...]] = ()

    def _settle(self):
        self.layers = list(self._made() if self._layer or self.layers is None else self.layers)
        if not self.layers:
            raise ParameterError(f"{self.name}: there must be one layer at least")
        self.depth, self.depth_alloc, self.layer_configs = len(self.layers), None, None

    def _made(self):
        if self._layer is not None:
            return [self._made_as(self._layer, m=m, n=n, **here) for m, n, here in self._places(self.dims)]
        if self.layer_configs is None:
            raise ParameterError(f"{self.name}: layers or layer_configs are needed")
        configs, layers = repeated(self, "depth", "depth_alloc", "layer_configs"), []
        for i, config in enumerate(configs):
            with at(f"layer_configs[{i}]"):
                layers.append(of_config(config, layer))
        return layers

    def _made_as(self, made_of: Any, **changed: Any) -> Any:
        """A layer of a class by the model's keywords, but for some."""
        given = {key: getattr(self, key) for key in made_of._order if key in self._order and key != "name"}
        return made_of(**{**given, **changed})

    def _places(self, dims) -> Iterator[tuple[int, int, dict[str, bool]]]:
        """Sizes of one layer after another, and what its keywords say at its place."""
        if not isinstance(dims, list | tuple) or len(dims) < 2:
            raise ParameterError(f"{self.name}: dims must hold at least two sizes, got {dims!r}")
        for m, n in pairwise(dims):
            is_last = n == dims[-1]
            here = {key: getattr(self, key) and not is_last for key in self._between}
            here |= {key: getattr(self, key) and is_last and m == dims[-2] for key in self._last}
            yield m, n, here

    def get_depth(self) -> int:
        """How many layers there are."""
        return len(self.layers)

    def composition(self):
        check_own(self, "forward")
        layers = [each.composition() for each in self.layers]
        return Sequential(layers) if len(layers) > 1 else layers[0]

    def _stepwise(self, x, device):
        for each in self.layers:
            x = each(x, device=device)
        return x


class Attentive(Deep):
    """Layers of shares and of each instance by itself in turns, and layers that give the result."""

    _between, _last = ("with_relu",), ("with_softmax",)
    _layer = bilinear_interdependence_layer

    def _made(self):
        if len(self.dims) < 2 or not self.fc_dims:
            raise ParameterError(f"{self.name}: dims must hold two sizes at least, and fc_dims one")
        layers: list[layer] = []
        for m, n in pairwise(self.dims):
            layers += [
                self._made_as(bilinear_interdependence_layer, m=m, n=n),
                self._made_as(perceptron_layer, m=n, n=n),
            ]
        places = self._places([self.dims[-1], *self.fc_dims])
        return layers + [self._made_as(perceptron_layer, m=m, n=n, **here) for m, n, here in places]


class Convolutional(Deep):
    """Convolutions of a grid with poolings in between, and layers of all that they give."""

    _between, _last = ("with_relu",), ("with_softmax",)

    def _made(self):
        layers: list[Any] = []
        h, w, d = self.h, self.w, self.d
        sides = {key: getattr(self, key) for key in _SIDES}
        pooling = {key: self._own(f"pooling_{key}", key) for key in (*_SIDES, *_PACKING)}
        for before, after in pairwise(self.channel_nums):
            given = {"h": h, "w": w, "d": d, "in_channel": before, "out_channel": after}
            layers.append(self._made_as(grid_interdependence_layer, **given, **sides))
            h, w, d = layers[-1].get_output_grid_shape()
            if len(layers) % (self.pooling_layer_gaps + 1) == self.pooling_layer_gaps:
                given = {"h": h, "w": w, "d": d, "channel_num": after, "width": 1}
                layers.append(self._made_as(grid_compression_layer, **given, **pooling))
                h, w, d = layers[-1].get_output_grid_shape()
                if self.patch_size_half_after_pooling:
                    sides, pooling = _halved(sides), _halved(pooling)
        dense = {key: self._own(own, key) for key, own in _DENSE.items()}
        dense |= {"channel_num": self.fc_channel_num, "p": self.p_fc}
        places = self._places([layers[-1].get_n(), *self.fc_dims])
        return layers + [self._made_as(perceptron_layer, m=m, n=n, **dense, **here) for m, n, here in places]

    def _own(self, key, usual):
        value = getattr(self, key)
        return getattr(self, usual) if value is None else value


#: The keywords for the sides of patches, and for where they lie.
_SIDES = ("p_h", "p_h_prime", "p_w", "p_w_prime", "p_d", "p_d_prime", "p_r")
_PACKING = ("patch_shape", "cd_h", "cd_w", "cd_d", "packing_strategy")
#: Keywords of the last layers, and what they are called beside those of convolutions.
_DENSE = {
    "with_residual": "with_perceptron_residual", "with_dual_lphm": "with_perceptron_dual_lphm",
    "with_lorr": "with_perceptron_lorr", "r": "perceptron_r", "enable_bias": "enable_perceptron_bias",
}  # fmt: skip


def _halved(keywords):
    return {
        key: max(value // 2, 1) if key in _SIDES and value is not None else value
        for key, value in keywords.items()
    }


class Recurrent(Deep):
    """Rows that hold ``chain_length`` members: layers of each member and of the chain in turns.

    The last layer is that of the members' mean, or of all of them side by side.
    """

    _layer = chain_interdependence_layer
    _is_mean: ClassVar[bool] = True

    def _made(self):
        dims = self.dims
        if not isinstance(dims, list | tuple) or len(dims) < 2:
            raise ParameterError(f"{self.name}: dims must hold at least two sizes, got {dims!r}")
        for key in ("with_dual_lphm_interdependence", "with_lorr_interdependence"):
            if getattr(self, key):
                raise NotImplementedError(f"{self.name}: {key} must be False: in tinybig it changes nothing")
        layers: list[layer] = []
        for m, n in pairwise(dims[:-1]):
            layers.append(self._made_as(perceptron_layer, m=m, n=n, with_relu=True, with_softmax=False))
            layers.append(
                self._made_as(chain_interdependence_layer, m=n, n=n, with_softmax=False, with_taylor=False)
            )
        m = dims[-2] * (1 if self._is_mean else self.chain_length)
        return [*layers, self._made_as(perceptron_layer, m=m, n=dims[-1], with_relu=False)]

    def composition(self):
        check_own(self, "forward")
        L, parts = self.chain_length, []
        for i, each in enumerate(self.layers[:-1]):
            m, n, whole = each.m, each.n, each.composition()
            members = [Reshape((L * m,), (L, m)), whole, Reshape((L, n), (L * n,))]
            parts += [whole] if i % 2 else members
        last = self.layers[-1]
        if self._is_mean:
            mean = ParameterizedInterdependence(
                fabrication=Constant(c=1.0 / L), b=L, b_prime=1, interdependence_type="instance"
            )
            parts += [Reshape((L * last.m,), (L, last.m)), mean, Reshape((1, last.m), (last.m,))]
        return Sequential([*parts, last.composition()])

    def _stepwise(self, x, device):
        raise NotImplementedError(f"{self.name}: functions that are handed in have no place in a chain")


def row(key: str, made_of: Any, doc: str, base: type = Deep, /, **own: Any) -> Any:
    """A model of layers of one class: tinybig's name for it, and keywords with defaults.

    Keywords of the layers that it does not name are its own too.
    """
    order = {} if "dims" in own or "fc_dims" in own else {"dims": ...}
    made = ("m", "n", "in_channel", "out_channel", "name")
    rest = {name: default for name, default in made_of._order.items() if name not in (*made, *own)}
    return class_of(key, base, None, doc, {**order, **own, **rest}, _layer=made_of)


class Processed(Deep):
    """Layers that activate their results, but for the last one, whose results may be probabilities."""

    _between, _last = ("with_relu",), ("with_softmax",)
