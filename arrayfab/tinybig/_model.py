"""The adapter of tinybig's models: layers one after another."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar

from arrayfab.composition import Sequential
from arrayfab.tinybig._configuration import at, of_config, repeated
from arrayfab.tinybig._function import ParameterError, check_own, class_of
from arrayfab.tinybig._layer import layer
from arrayfab.tinybig._learning import Learned


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
            return self._of_sizes()
        if self.layer_configs is None:
            raise ParameterError(f"{self.name}: layers or layer_configs are needed")
        configs, layers = repeated(self, "depth", "depth_alloc", "layer_configs"), []
        for i, config in enumerate(configs):
            with at(f"layer_configs[{i}]"):
                layers.append(of_config(config, layer))
        return layers

    def _of_sizes(self):
        dims = self.dims
        if not isinstance(dims, list | tuple) or len(dims) < 2:
            raise ParameterError(f"{self.name}: dims must hold at least two sizes, got {dims!r}")
        given = {
            key: getattr(self, key) for key in self._layer._order if key in self._order and key != "name"
        }
        layers = []
        for m, n in pairwise(dims):
            is_last = n == dims[-1]
            here = {key: given[key] and not is_last for key in self._between}
            here |= {key: given[key] and is_last and m == dims[-2] for key in self._last}
            layers.append(self._layer(**{**given, **here, "m": m, "n": n}))
        return layers

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


def row(key: str, made_of: Any, doc: str, /, between=(), last=(), **own: Any) -> Any:
    """A model of layers of one class: tinybig's name for it, and keywords with defaults.

    Keywords of the layers that it does not name are its own too.
    """
    rest = {name: default for name, default in made_of._order.items() if name not in ("m", "n", "name", *own)}
    order = {"dims": ..., **own, **rest}
    return class_of(key, Deep, None, doc, order, _layer=made_of, _between=tuple(between), _last=tuple(last))
