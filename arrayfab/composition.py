"""Roles one after another and side by side, and the plain layers between them.

Everything here and every role is a `Layer`. What has no learned numbers takes a ``w`` of length zero, or
None, and its pullback returns None for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab._elementwise import FUNCTIONS
from arrayfab.layer import Layer, Parameterless
from arrayfab.structures.base import total


class _Composed:
    """Layers that share one ``w``, which holds theirs one after the other."""

    layers: Sequence[Layer]

    def __post_init__(self):
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise ValueError(f"{type(self).__name__}: layers must hold at least one layer, got none")
        for i, layer in enumerate(self.layers):
            if not isinstance(layer, Layer):
                raise TypeError(
                    f"{type(self).__name__}: layers[{i}] must be a role or layers composed, got {layer!r}"
                )

    def num_parameters(self) -> int:
        """The length of ``w``: those of the layers, added up."""
        return sum(layer.num_parameters() for layer in self.layers)

    def init(self, *, rng: int | np.random.Generator | None = None, **options) -> Array:
        """Random learned numbers for all layers; the options are those of `Fabrication.init`."""
        rng = np.random.default_rng(rng)
        return self._joined([layer.init(rng=rng, **options) for layer in self.layers])

    def _split(self, w):
        edges = list(accumulate((layer.num_parameters() for layer in self.layers), initial=0))
        if w is None and edges[-1] == 0:
            return [None] * len(self.layers)
        _arrays.backend_of(type(self).__name__, "w", w)
        if w.shape[-1] != edges[-1]:
            raise ValueError(
                f"{type(self).__name__}: w must hold {edges[-1]} numbers along its last axis, "
                f"got shape {tuple(w.shape)}"
            )
        return [w[..., start:stop] for start, stop in pairwise(edges)]

    def _joined(self, parts):
        parts = [part for part in parts if part is not None]
        if not parts:
            return None
        return _arrays.backend_of(type(self).__name__, "w", parts[0]).xp.concat(parts, axis=-1)


@dataclass(frozen=True)
class Sequential(_Composed):
    """Layers one after another: ``x → f₁ → f₂ → …``.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import LowRank, Pointwise, Reconciliation, Sequential
    >>> model = Sequential([
    ...     Reconciliation(fabrication=LowRank(r=2), n=8, D=16),
    ...     Pointwise("tanh"),
    ...     Reconciliation(fabrication=LowRank(r=2), n=3, D=8, bias=True),
    ... ])
    >>> model(np.ones((5, 16)), model.init(rng=0)).shape
    (5, 3)
    """

    layers: Sequence[Layer]

    def __call__(self, x, w: Array):
        """The last layer's result."""
        for layer, part in zip(self.layers, self._split(w), strict=True):
            x = layer(x, part)
        return x

    def vjp(self, x, w: Array):
        """The result and its pullback, ``pullback(grad_y) → (grad_x, grad_w)``."""
        pulls = []
        for layer, part in zip(self.layers, self._split(w), strict=True):
            x, pull = layer.vjp(x, part)
            pulls.append(pull)

        def sequential_pullback(grad):
            grads = []
            for pull in reversed(pulls):
                grad, grad_w = pull(grad)
                grads.append(grad_w)
            return grad, self._joined(grads[::-1])

        return x, sequential_pullback

    def jvp(self, x, w: Array, dx, dw: Array):
        """The result and its derivative in the direction ``(dx, dw)``."""
        for layer, part, dpart in zip(self.layers, self._split(w), self._split(dw), strict=True):
            x, dx = layer.jvp(x, part, dx, dpart)
        return x, dx


@dataclass(frozen=True)
class Parallel(_Composed):
    """Layers side by side: ``x → [f₁(x), f₂(x), …]``, the list that a fusion takes.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import ConcatenationFusion, Full, LowRank, Parallel, ParameterizedInterdependence
    >>> branch = ParameterizedInterdependence(fabrication=LowRank(r=1), m=4)
    >>> branches = Parallel([branch, branch])
    >>> [y.shape for y in branches(np.ones((5, 4)), branches.init(rng=0))]
    [(5, 4), (5, 4)]
    """

    layers: Sequence[Layer]

    def __call__(self, x, w: Array):
        """The list of the layers' results."""
        return [layer(x, part) for layer, part in zip(self.layers, self._split(w), strict=True)]

    def vjp(self, x, w: Array):
        """The results and their pullback, ``pullback([grad_y₁, …]) → (grad_x, grad_w)``."""
        pairs = [layer.vjp(x, part) for layer, part in zip(self.layers, self._split(w), strict=True)]

        def parallel_pullback(grads):
            pulled = [pull(grad) for (_, pull), grad in zip(pairs, grads, strict=True)]
            return _added([grad_x for grad_x, _ in pulled]), self._joined([grad_w for _, grad_w in pulled])

        return [y for y, _ in pairs], parallel_pullback

    def jvp(self, x, w: Array, dx, dw: Array):
        """The results and their derivatives in the direction ``(dx, dw)``."""
        parts = zip(self.layers, self._split(w), self._split(dw), strict=True)
        pairs = [layer.jvp(x, part, dx, dpart) for layer, part, dpart in parts]
        return [y for y, _ in pairs], [dy for _, dy in pairs]


def _added(grads):
    """The gradients that several layers send to one input, which may be a list of arrays."""
    if isinstance(grads[0], list):
        return [_added(parts) for parts in zip(*grads, strict=True)]
    return total(grads)


@dataclass(frozen=True)
class Pointwise(Parameterless):
    """``"tanh"``, ``"sigmoid"`` or ``"relu"``, entry by entry."""

    function: str

    def __post_init__(self):
        if self.function not in FUNCTIONS:
            raise ValueError(f"Pointwise: function must be one of {list(FUNCTIONS)}, got {self.function!r}")

    def __call__(self, x: Array, w: Array | None = None) -> Array:
        """The function of every entry."""
        return FUNCTIONS[self.function].value(_arrays.check_real_floating(str(self), "x", x).xp, x)

    def vjp(self, x: Array, w: Array | None = None):
        """The result and its pullback, ``pullback(grad_y) → (grad_x, None)``."""
        y, slope = self._with_slope(x)

        def pointwise_pullback(grad_y):
            _arrays.check_alike(str(self), "y", y, "grad_y", grad_y)
            _arrays.check_shape(str(self), "grad_y", grad_y, tuple(y.shape))
            return grad_y * slope, None

        return y, pointwise_pullback

    def jvp(self, x: Array, w: Array | None, dx: Array, dw: Array | None = None) -> tuple[Array, Array]:
        """The result and its derivative in the direction ``dx``."""
        y, slope = self._with_slope(x)
        return y, dx * slope

    def _with_slope(self, x):
        y = self(x)
        return y, FUNCTIONS[self.function].slope(_arrays.backend_of(str(self), "x", x).xp, x)


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

    def __post_init__(self):
        if math.prod(self.before) != math.prod(self.after):
            raise ValueError(f"Reshape: {self.before} does not hold as many numbers as {self.after}")

    def __call__(self, x: Array, w: Array | None = None) -> Array:
        """The same numbers in the other shape."""
        lead = tuple(x.shape)[: max(x.ndim - len(self.before), 0)]
        _arrays.check_shape(str(self), "x", x, (*lead, *self.before))
        return _arrays.backend_of(str(self), "x", x).reshape(x, (*lead, *self.after))

    def vjp(self, x: Array, w: Array | None = None):
        """The result and its pullback, ``pullback(grad_y) → (grad_x, None)``."""

        def reshape_pullback(grad_y):
            return Reshape(self.after, self.before)(grad_y), None

        return self(x), reshape_pullback

    def jvp(self, x: Array, w: Array | None, dx: Array, dw: Array | None = None) -> tuple[Array, Array]:
        """The result and its derivative in the direction ``dx``."""
        return self(x), self(dx)
