"""Layers without learned numbers.

They take a ``w`` of length zero, or None, and their pullback returns None for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab._elementwise import FUNCTIONS
from arrayfab.fabrications.blueprint import as_size
from arrayfab.ruled import Ruled
from arrayfab.trees import leaves


class Parameterless(Ruled):
    """What layers without learned numbers share.

    A subclass gives `_map`, from data to the result and a pullback, and says whether it is linear.
    """

    is_linear = False
    follows_w = False

    def num_parameters(self) -> int:
        """Zero."""
        return 0

    def init(
        self, *, xp: ModuleType | None = None, dtype: Any = None, device: Any = None, **options: Any
    ) -> Array:
        """No numbers, an array of shape ``(0,)``."""
        return _arrays.namespace(xp).zeros((0,), dtype=dtype, device=device)

    def _map(self, backend, x) -> tuple[Array, Callable]:
        raise NotImplementedError(f"{type(self).__name__}._map")

    def _rule(self, backend, x, w, frozen, wrt):
        self._check_inputs([tuple(part.shape) for part in leaves(self.inputs, x)])
        y, pull = self._map(backend, x)

        def map_pullback(grad_y):
            return pull(grad_y), None

        return y, map_pullback

    def _push(self, backend, x, w, dx, dw, frozen):
        self._check_inputs([tuple(part.shape) for part in leaves(self.inputs, x)])
        y, pull = self._map(backend, x)
        # What acts on every entry by itself is its own transpose.
        return y, self._map(backend, dx)[0] if self.is_linear else pull(dx)


@dataclass(frozen=True)
class Pointwise(Parameterless):
    """A function of one number, such as ``"tanh"``, ``"sigmoid"`` or ``"relu"``, entry by entry."""

    function: str

    def __post_init__(self):
        if self.function not in FUNCTIONS:
            raise ValueError(f"Pointwise: function must be one of {list(FUNCTIONS)}, got {self.function!r}")

    def _map(self, backend, x):
        function = FUNCTIONS[self.function]

        def pointwise_pullback(grad_y):
            return grad_y * function.slope(backend.xp, x)

        return function.value(backend.xp, x), pointwise_pullback


@dataclass(frozen=True)
class Reshape(Parameterless):
    """The last ``len(before)`` axes, of shape ``before``, in the shape ``after``.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import Reshape
    >>> Reshape((64,), (8, 8))(np.ones((5, 64))).shape
    (5, 8, 8)
    """

    before: tuple[int, ...]
    after: tuple[int, ...]

    is_linear = True

    def __post_init__(self):
        for name in ("before", "after"):
            sizes = getattr(self, name)
            if not isinstance(sizes, list | tuple):
                raise TypeError(f"Reshape: {name} must be a tuple of sizes, got {sizes!r}")
            checked = tuple(as_size("Reshape", f"every entry of {name}", size) for size in sizes)
            object.__setattr__(self, name, checked)
        if math.prod(self.before) != math.prod(self.after):
            raise ValueError(f"Reshape: {self.before} does not hold as many numbers as {self.after}")

    @property
    def core(self):  # type: ignore[override]
        return len(self.before)

    @property
    def given(self):
        return len(self.after)

    def _check_inputs(self, shapes):
        (shape,) = shapes
        if len(shape) < len(self.before) or shape[len(shape) - len(self.before) :] != self.before:
            raise ValueError(
                f"{self}: x must have shape (..., {', '.join(map(str, self.before))}), got {shape}"
            )

    def _map(self, backend, x):
        lead, shape = tuple(x.shape[: x.ndim - len(self.before)]), tuple(x.shape)

        def reshape_pullback(grad_y):
            return backend.reshape(grad_y, shape)

        return backend.reshape(x, (*lead, *self.after)), reshape_pullback
