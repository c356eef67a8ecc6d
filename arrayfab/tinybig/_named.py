"""Functions that configurations and texts call by PyTorch's names."""

from __future__ import annotations

from typing import Any, ClassVar

from arrayfab.expansions import Identity, RowNormalized
from arrayfab.layer import Layer
from arrayfab.plain import Pointwise
from arrayfab.rowwise import Softmax
from arrayfab.tinybig._configuration import CLASSES, ParameterError
from arrayfab.tinybig._function import HERE, Function


class Named(Function):
    """A function of arrays of any namespace, row by row."""

    _path: ClassVar[str] = ""
    _layer_of: ClassVar[Any] = None
    name = ""

    def layer(self) -> Layer:
        """The same as a layer of arrayfab."""
        return type(self)._layer_of(self)

    def forward(self, x, *args, **kwargs):
        return self.layer()(x, None)

    def to_config(self):
        given = {key: getattr(self, key) for key, default in self._order.items() if key != "device"}
        return {"function_class": self._path, "function_parameters": given}


class LayerNorm(Named):
    """Rows of mean zero and variance one; what learns in PyTorch's stays one and zero in tinybig."""

    _order: ClassVar = {"normalized_shape": None, "eps": 1e-5, "device": "cpu"}

    def _settle(self):
        shape = self.normalized_shape
        (self._size,) = shape if isinstance(shape, list | tuple) else (shape,)

    def layer(self):
        return self.over(Identity())

    def over(self, expansion):
        """The expansion with its rows normalised."""
        return RowNormalized(expansion=expansion, eps=self.eps)

    def check(self, columns: int) -> None:
        """ParameterError unless these are the columns that are meant."""
        if self._size not in (None, columns):
            raise ParameterError(f"LayerNorm: normalized_shape must be {columns}, got {self._size}")

    def forward(self, x, *args, **kwargs):
        self.check(x.shape[-1])
        return super().forward(x)


class RowSoftmax(Named):
    """Rows as probabilities, or their logarithms."""

    _order: ClassVar = {"dim": -1, "device": "cpu"}

    def _settle(self):
        if self.dim not in (-1, 1):
            raise ParameterError(f"{self._path}: dim must be -1 or 1, got {self.dim!r}")


#: The names in ``torch.nn``, those in ``torch.nn.functional``, and what they are.
_TABLE: tuple[tuple[str, str, type, Any], ...] = (
    ("ReLU", "relu", Named, lambda f: Pointwise("relu")),
    ("Sigmoid", "sigmoid", Named, lambda f: Pointwise("sigmoid")),
    ("Tanh", "tanh", Named, lambda f: Pointwise("tanh")),
    ("SiLU", "silu", Named, lambda f: Pointwise("silu")),
    ("exp", "exp", Named, lambda f: Pointwise("exp")),
    ("LayerNorm", "layer_norm", LayerNorm, None),
    ("Softmax", "softmax", RowSoftmax, lambda f: Softmax()),
    ("LogSoftmax", "log_softmax", RowSoftmax, lambda f: Softmax(is_log=True)),
)
for _name, _functional, _base, _made in _TABLE:
    _path = "torch.exp" if _name == "exp" else f"torch.nn.{_name}"
    _class = type(
        _name,
        (_base,),
        {
            "__doc__": _base.__doc__,
            "__module__": HERE,
            "_path": _path,
            "_layer_of": _made,
            "_order": _base._order or {"device": "cpu"},
        },
    )
    CLASSES |= dict.fromkeys(
        (_path, f"torch.{_functional}", f"torch.nn.functional.{_functional}", _functional), _class
    )


def named(path: str) -> Named:
    """The function of a name, as it is without keywords."""
    return CLASSES[path]()
