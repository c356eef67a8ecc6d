"""The adapter of tinybig's layers: heads side by side."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from arrayfab.composition import Parallel, Sequential
from arrayfab.tinybig._configuration import at, of_config, repeated
from arrayfab.tinybig._function import ParameterError, check_own, class_of
from arrayfab.tinybig._head import head
from arrayfab.tinybig._learning import Learned
from arrayfab.tinybig._roles import fusion
from arrayfab.tinybig.fusion import mean_fusion, parameterized_concatenation_fusion


class layer(Learned):
    """The adapter of all layers: heads of the same data, whose results are fused."""

    _kind = "layer"
    _parts = ("w_head_fusion",)
    _owned = "heads"
    _order: ClassVar = {
        "m": ..., "n": ..., "name": "rpn_layer", "heads": None, "head_configs": None, "width": None,
        "width_alloc": None, "head_fusion": None, "head_fusion_configs": None,
        "parameters_init_method": "xavier_uniform", "device": "cpu", "fusion_strategy": "average",
    }  # fmt: skip
    _head: ClassVar[Any] = None  # what a layer that is ready has side by side

    def _settle(self):
        if getattr(self, "fusion_strategy", "average") != "average":
            raise ParameterError(
                f"{self.name}: fusion_strategy must be 'average', got {self.fusion_strategy!r}"
            )
        self.heads = list(self._made() if self._head or self.heads is None else self.heads)
        self.width, self.width_alloc, self.head_configs = len(self.heads), None, None
        self.m, self.n = (getattr(self, key, None) or getattr(self.heads[0], key) for key in ("m", "n"))
        sizes = [(each.m, each.n) for each in self.heads]
        if sizes != [(self.m, self.n)] * self.width:
            raise ParameterError(f"{self.name}: all heads must have m={self.m} and n={self.n}, got {sizes}")
        self._settle_fusion()

    def _settle_fusion(self):
        fused = getattr(self, "head_fusion", None)
        configs = getattr(self, "head_fusion_configs", None)
        if fused is None and configs is not None:
            with at("head_fusion_configs"):
                fused = of_config(configs, fusion)
        if fused is None and self.width > 1:
            fused = mean_fusion(dims=[self.n] * self.width)
        if fused is not None and fused.get_num() != self.width:
            raise ParameterError(f"{self.name}: head_fusion must be of {self.width}, got {fused.get_num()}")
        self.head_fusion = fused
        self.head_fusion_configs = None

    def _made(self):
        if self._head is not None:
            given = {
                key: getattr(self, key) for key in self._head._order if key in self._order and key != "name"
            }
            return [self._head(**given) for _ in range(self.width)]
        if self.head_configs is None:
            raise ParameterError(f"{self.name}: heads or head_configs are needed")
        given = {key: getattr(self, key) for key in ("m", "n", "parameters_init_method")}
        configs, heads = repeated(self, "width", "width_alloc", "head_configs"), []
        for i, config in enumerate(configs):
            with at(f"head_configs[{i}]"):
                heads.append(of_config(config, head, **given))
        return heads

    def get_m(self) -> int:
        """Columns of ``x``."""
        return self.m

    def get_n(self) -> int:
        """Columns of ``y``."""
        return self.n if self.head_fusion is None else self.head_fusion.calculate_n()

    def get_width(self) -> int:
        """How many heads there are."""
        return len(self.heads)

    def _shapes(self):
        fused = self.head_fusion
        is_learned = fused is not None and fused.require_parameters
        return {"w_head_fusion": (1, fused.calculate_l())} if is_learned else {}

    def composition(self):
        check_own(self, "forward")
        heads = [each.composition() for each in self.heads]
        if self.head_fusion is None:
            return heads[0]
        self.head_fusion._check_plain()
        like = [np.empty((1, self.n))] * self.width
        return Sequential(
            [Parallel(heads), self.head_fusion._role(like, np.zeros(self.head_fusion.calculate_l()))]
        )

    def _stepwise(self, x, device):
        results = [each(x, device=device) for each in self.heads]
        if self.head_fusion is None:
            return results[0]
        return self.head_fusion(x=results, w=self.w_head_fusion, device=device)


class Joined(layer):
    """Heads whose results stand side by side, times a learned matrix."""

    def _settle_fusion(self):
        self.head_fusion = parameterized_concatenation_fusion(dims=[self.n] * self.width)


class Gridded(layer):
    """Heads of a grid."""

    def get_output_grid_shape(self) -> tuple[int, ...]:
        """The height, the width and the depth of the result."""
        return self.heads[0].get_output_grid_shape()


def row(made_of: Any, behind: str = "channel_num", /, base: Any = layer, order: str = "", **changed: Any):
    """The layer of heads of one class: tinybig's name for it, and the head's keywords, some changed.

    The ``width`` stands behind another keyword. What ``order`` names comes first.
    """
    key = f"{made_of.__name__.removesuffix('_head')}_layer"
    known = {**made_of._order, "name": key, "width": 1, **changed}
    names = [name for each in made_of._order for name in ((each, "width") if each == behind else (each,))]
    names = list(dict.fromkeys([*order.split(), *names]))
    doc = f"Heads of the kind `{made_of.__name__}` side by side."
    return class_of(key, base, None, doc, {name: known[name] for name in names}, _head=made_of)
