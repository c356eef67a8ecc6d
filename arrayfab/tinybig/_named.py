"""Functions that configurations and texts call by PyTorch's names."""

from __future__ import annotations

from typing import Any, ClassVar

from arrayfab.expansions import Expansion, Identity, RowNormalized
from arrayfab.layer import Layer
from arrayfab.plain import Pointwise
from arrayfab.rowwise import Softmax
from arrayfab.tinybig._configuration import CLASSES, ParameterError
from arrayfab.tinybig._function import Function


class Named(Function):
    """A function of arrays of any namespace, row by row."""

    _path: ClassVar[str] = ""  # PyTorch's name of it
    _layer: ClassVar[Any] = None
    _order: ClassVar = {"device": "cpu"}

    def __init_subclass__(cls, functional: str):
        paths = (cls._path, f"torch.{functional}", f"torch.nn.functional.{functional}", functional)
        CLASSES.update(dict.fromkeys(paths, cls))

    def layer(self) -> Layer:
        """The same as a layer of arrayfab."""
        return self._layer

    def forward(self, x, *args, **kwargs):
        return self.layer()(x, None)

    def to_config(self):
        given = {key: getattr(self, key) for key in self._order if key != "device"}
        return {"function_class": self._path, "function_parameters": given}


class ReLU(Named, functional="relu"):
    """``max(x, 0)``."""

    _path, _layer = "torch.nn.ReLU", Pointwise("relu")


class Sigmoid(Named, functional="sigmoid"):
    """``1 / (1 + exp(−x))``."""

    _path, _layer = "torch.nn.Sigmoid", Pointwise("sigmoid")


class Tanh(Named, functional="tanh"):
    """``tanh x``."""

    _path, _layer = "torch.nn.Tanh", Pointwise("tanh")


class SiLU(Named, functional="silu"):
    """``x / (1 + exp(−x))``."""

    _path, _layer = "torch.nn.SiLU", Pointwise("silu")


class Exp(Named, functional="exp"):
    """``exp x``."""

    _path, _layer = "torch.exp", Pointwise("exp")


class RowSoftmax(Named, functional="softmax"):
    """Rows as probabilities."""

    _path, _layer = "torch.nn.Softmax", Softmax()
    _order: ClassVar = {"dim": -1, "device": "cpu"}

    def _settle(self):
        if self.dim not in (-1, 1):
            raise ParameterError(f"{self._path}: dim must be -1 or 1, got {self.dim!r}")


class RowLogSoftmax(RowSoftmax, functional="log_softmax"):
    """Rows as the logarithms of probabilities."""

    _path, _layer = "torch.nn.LogSoftmax", Softmax(is_log=True)


class LayerNorm(Named, functional="layer_norm"):
    """Rows of mean zero and variance one; what learns in PyTorch's stays one and zero in tinybig."""

    _path = "torch.nn.LayerNorm"
    _order: ClassVar = {"normalized_shape": None, "eps": 1e-5, "device": "cpu"}

    def layer(self):
        return self.over(Identity())

    def over(self, expansion: Expansion) -> Expansion:
        """The expansion with its rows normalised."""
        return RowNormalized(expansion=expansion, eps=self.eps)

    def check(self, columns: int) -> None:
        """ParameterError unless these are the columns that are meant."""
        if self.normalized_shape not in (None, columns, [columns], (columns,)):
            raise ParameterError(
                f"{self._path}: normalized_shape must be {columns}, got {self.normalized_shape!r}"
            )

    def forward(self, x, *args, **kwargs):
        self.check(x.shape[-1])
        return super().forward(x)


def named(path: str) -> Named:
    """The function of a name, as it is without keywords."""
    return CLASSES[path]()
