"""The adapters of tinybig's fusions entry by entry, over arrayfab's."""

from __future__ import annotations

from typing import Any, ClassVar

from arrayfab import _arrays
from arrayfab.fusions import Fusion, WeightedFusion
from arrayfab.tinybig._function import HOOKS, ParameterError, class_of
from arrayfab.tinybig._roles import fusion


class Entrywise(fusion):
    """Arrays of one shape become one of that shape."""

    _function: ClassVar[str] = ""  # arrayfab's name for it, where it has one
    n = None

    def _settle(self):
        super(fusion, self)._settle()

    def calculate_n(self, dims=None, *args, **kwargs):
        dims = self._need("dims", dims or self.dims)
        if len(set(dims)) != 1:
            raise ParameterError(f"{self.name}: all dims must be alike, got {dims}")
        return dims[0]

    def calculate_l(self, *args, **kwargs):
        return self.get_num() if self._learns else 0

    def _check(self, x):
        if not x:
            raise ParameterError(f"{self.name}: x must hold at least one array, got none")

    def _role(self, x, w):
        self._check(x)
        return Fusion(self._function, len(x))


class Weighted(Entrywise):
    """``y = Σ w_i x_i`` with ``weights``, or with learned ones where parameters are required."""

    def _settle(self):
        super()._settle()
        if self._function:
            k, self.require_parameters = len(self._need("dims", self.dims)), False
            self.weights = (1.0 if self._function == "sum" else 1.0 / k,) * k

    @property
    def _learns(self) -> bool:  # type: ignore[override]
        return self.require_parameters

    def _vector(self, w):
        """``w`` of shape ``(k,)``, or of ``(1, k)`` as tinybig's heads have it."""
        if self._learns and w is not None and len(w.shape) == 1:
            _arrays.check_real_floating(self.name, "w", w)
            return w
        return super()._vector(w)

    def _role(self, x, w):
        self._check(x)
        if self._learns:
            return WeightedFusion(k=len(x))
        weights = tuple(float(weight) for weight in self._need("weights", self.weights))
        return WeightedFusion(k=len(x), weights=weights)


class Measured(Entrywise):
    """``y`` entry by entry by ``metric``: of rows of ``k`` numbers one number each."""

    def metric(self, x):
        """One number for every row of ``x``."""
        return Fusion(self._function, x.shape[-1])([x[..., i] for i in range(x.shape[-1])])

    def _is_plain(self):
        return bool(self._function) and super()._is_plain()

    def _fused(self, x, w):
        if self._function:
            return super()._fused(x, w)
        self._check(x)
        metric, xp = self._need("metric", self.metric), _arrays.backend_of(self.name, "x", x[0]).xp
        if any(part.shape != x[0].shape for part in x):
            raise ParameterError(f"{self.name}: all inputs must have one shape")
        rows = xp.reshape(xp.stack(x, axis=-1), (-1, len(x)))
        return xp.reshape(metric(rows), x[0].shape)


def entrywise(key: str, base: Any, function: str = "", doc: str = "", /, **order: Any) -> Any:
    """A fusion entry by entry: tinybig's name for it, arrayfab's, and parameters with defaults."""
    return class_of(
        key,
        base,
        None,
        doc or f"{base.__doc__.partition(chr(10))[0]} Here: the {function}.",
        order | {"name": key, **HOOKS, "device": "cpu"},
        **({"_function": function} if function else {}),
    )
