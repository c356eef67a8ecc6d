"""The adapters of tinybig's remainders, over arrayfab's."""

from __future__ import annotations

from typing import Any, ClassVar

from arrayfab import _arrays, remainders
from arrayfab._arrays import Array
from arrayfab.composition import Sequential
from arrayfab.layer import Layer
from arrayfab.tinybig._configuration import settle_functions
from arrayfab.tinybig._function import (
    Function,
    ParameterError,
    check_own,
    checked,
    class_of,
    layers_of,
    through,
)

_ACTIVATIONS: dict[str, Any] = {"activation_functions": None, "activation_function_configs": None}


class remainder(Function):
    """The adapter of all remainders: ``π(x)``, with an activation."""

    _order: ClassVar = {
        "name": "base_remainder",
        "require_parameters": False,
        "enable_bias": False,
        **_ACTIVATIONS,
        "device": "cpu",
    }

    def _settle(self):
        settle_functions(self, "activation_function")

    def _layer(self, m: int, n: int) -> Layer:
        raise NotImplementedError(f"{self.name}: it is no remainder of arrayfab's")

    def whole(self, m: int, n: int) -> Layer:
        """The layer of arrayfab that says the same, activation and all."""
        check_own(self, "forward", "activation")
        activations = layers_of(self.name, self.activation_functions)
        return Sequential([self._layer(m, n), *activations]) if activations else self._layer(m, n)

    def activation(self, x: Array, device="cpu", *args, **kwargs) -> Array:
        return through(x, self.activation_functions)

    def calculate_l(self, n: int, D: int) -> int:
        """How many numbers are learned."""
        return 0

    def forward(self, *args, **kwargs) -> Array:
        """``π(x)``."""
        raise NotImplementedError(f"{type(self).__name__}.forward")


class Constant(remainder):
    """``n`` times the number ``c``."""

    def _layer(self, m, n):
        return remainders.constant(n, self.c)

    @checked
    def forward(self, n, device="cpu", *args, xp=None, dtype=None, **kwargs):
        """The vector of shape ``(n,)``."""
        y = _arrays.namespace(xp).full((n,), float(self.c), dtype=dtype)
        return self.activation(x=y, device=device)


class Identity(remainder):
    """``π(x) = x``."""

    def _layer(self, m, n):
        return remainders.identity()

    @checked
    def forward(self, x, device="cpu", *args, **kwargs):
        """``x`` itself, or what the activation makes of it."""
        return self.activation(x=self._need("x", x), device=device)


class Linear(remainder):
    """``π(x) = x wᵀ + b`` with a learned ``w`` of shape ``(n, m)``, and ``x`` itself where there is none."""

    def _layer(self, m, n):
        return remainders.linear(m, n, bias=self.enable_bias)

    def calculate_l(self, n, D):
        return n * D

    @checked
    def forward(self, x, w=None, b=None, device="cpu", *args, **kwargs):
        """``π(x)``, of shape ``(b, n)``."""
        y = self._need("x", x) if w is None else self._pulled(x, w, b)[0]
        return self.activation(x=y, device=device)

    @checked
    def vjp(self, x, w, b=None):
        """``π(x)`` and its pullback, ``pullback(grad_y) → (grad_x, grad_w, grad_b)``."""
        if self.activation_functions:
            raise NotImplementedError(
                f"{self.name}: vjp has no rule for activation functions, apply them outside"
            )
        return self._pulled(x, w, b)

    def _pulled(self, x, w, b):
        if len(self._need("w", w).shape) != 2:
            raise ParameterError(f"{self.name}: w must have shape (n, m), got {tuple(w.shape)}")
        (n, m), xp = w.shape, _arrays.backend_of(self.name, "w", w).xp
        layer = remainders.linear(m=m, n=n, bias=b is not None)
        flat = xp.reshape(w, (-1,))
        y, pull = layer.vjp(x, flat if b is None else xp.concat([flat, b]))

        def remainder_pullback(grad_y):
            grad_x, grad = pull(grad_y)
            return grad_x, xp.reshape(grad[: n * m], (n, m)), None if b is None else grad[n * m :]

        return y, remainder_pullback


def row(key: str, base: Any, doc: str | None = None, /, *, fixed=(), **order: Any) -> Any:
    """A remainder: tinybig's name for it, and parameters with defaults."""
    order = {"name": key, **order}
    usual = {name: value for name, value in remainder._order.items() if name not in order}
    return class_of(key, base, None, doc or base.__doc__, order | usual, **dict(fixed))
