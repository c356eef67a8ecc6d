"""Optimizers: from learned numbers and a gradient to the next learned numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.losses import wide

#: How many steps there have been, and the optimizer's arrays, each of the shape of ``w``.
State = tuple[Any, ...]

#: So many numbers are updated at a time on NumPy: all arrays of one update stay in a core's cache.
_BLOCK = 1 << 15


class Optimizer:
    """What optimizers share; a subclass is a frozen dataclass that gives `_slots` and `_update`.

    The arrays of a state are the optimizer's own: a step writes into them where the namespace allows it, so
    that what was handed to `step` is used up. ``w`` and the gradient are never written into.
    """

    @property
    def _slots(self) -> int:
        """How many arrays the state holds."""
        raise NotImplementedError(f"{type(self).__name__}._slots")

    def _update(self, xp, t: int, rate: float) -> Callable:
        """``update(w, gradient, *arrays) → (w, *arrays)`` of the step ``t``, entry by entry."""
        raise NotImplementedError(f"{type(self).__name__}._update")

    def init(self, w: Array) -> State:
        """The state before the first step; in float32 where ``w`` is narrower."""
        backend = _arrays.check_real_floating(type(self).__name__, "w", w)
        like = wide(backend.xp, w.dtype, w)
        return (0, *(backend.xp.zeros_like(like) for _ in range(self._slots)))

    def step(self, w: Array, gradient: Array, state: State, rate: float) -> tuple[Array, State]:
        """The next learned numbers, and the state after the step.

        Parameters
        ----------
        w, gradient : array, shape ``(..., l)``
            Of one namespace, dtype and device.
        state : tuple
            From `init`, or from the step before; used up.
        rate : float
            The learning rate of this step.
        """
        name = type(self).__name__
        backend = _arrays.check_real_floating(name, "w", w)
        _arrays.check_alike(name, "w", w, "gradient", gradient)
        _arrays.check_shape(name, "gradient", gradient, tuple(w.shape))
        if len(state) != 1 + self._slots:
            raise ValueError(
                f"{name}: the state must hold the number of steps and {self._slots} arrays, got {len(state)} "
                "entries; is it another optimizer's?"
            )
        xp, (t, *arrays) = backend.xp, state
        update = self._update(xp, t + 1, rate)
        if backend.in_loops and not _arrays.is_half(w.dtype):
            return _in_blocks(update, w, gradient, arrays), (t + 1, *arrays)
        moved, *arrays = update(wide(xp, w.dtype, w), wide(xp, w.dtype, gradient), *arrays)
        return xp.astype(moved, w.dtype, copy=False), (t + 1, *arrays)


def _in_blocks(update, w, gradient, arrays):
    """The new ``w`` by blocks that stay in the cache: every array passes through memory once."""
    out = np.empty(w.shape, dtype=w.dtype)
    to, *flat = (array.reshape(-1) for array in (out, w, gradient, *arrays))
    for start in range(0, w.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        to[block] = update(*(array[block] for array in flat))[0]
    return out


# In-place operators write into arrays of NumPy, CuPy and PyTorch; of JAX's they make new ones, which are
# returned.


@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """Gradient descent with momentum, as in PyTorch: ``v ← μ v + g``, ``w ← w - rate · v``.

    Parameters
    ----------
    momentum : float
        ``μ``, from 0 to less than 1.
    nesterov : bool
        Whether the step is ``g + μ v`` with the new ``v`` (Y. Nesterov, 1983).
    weight_decay : float
        ``λ``: ``λ w`` is added to the gradient, as of a loss with ``λ ‖w‖² / 2``.

    Examples
    --------
    >>> import numpy as np
    >>> sgd, w = SGD(momentum=0.5), np.asarray([1.0])
    >>> w, state = sgd.step(w, np.asarray([2.0]), sgd.init(w), 0.25)
    >>> w, state = sgd.step(w, np.asarray([0.0]), state, 0.25)
    >>> w
    array([0.25])
    """

    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self):
        check_number("SGD", "momentum", self.momentum, below=1)
        check_number("SGD", "weight_decay", self.weight_decay)
        if self.nesterov and not self.momentum:
            raise ValueError("SGD: nesterov needs a momentum above 0")

    @property
    def _slots(self):
        return int(self.momentum > 0)

    def _update(self, xp, t, rate):
        def update(w, gradient, *velocities):
            if self.weight_decay:
                gradient = gradient + self.weight_decay * w
            for velocity in velocities:
                velocity *= self.momentum
                velocity += gradient
                gradient = gradient + self.momentum * velocity if self.nesterov else velocity
                velocities = (velocity,)
            return w - rate * gradient, *velocities

        return update


@dataclass(frozen=True, kw_only=True)
class AdamW(Optimizer):
    """Adam with decoupled weight decay (I. Loshchilov, F. Hutter, arXiv:1711.05101), as in PyTorch.

    With the moments ``m ← β₁ m + (1 - β₁) g`` and ``v ← β₂ v + (1 - β₂) g²``, freed of their bias after ``t``
    steps by ``1 - βᵗ``, a step is ``w ← w - rate · λ w - rate · m̂ / (√v̂ + eps)``.

    Parameters
    ----------
    betas : pair of float
        ``β₁`` and ``β₂``, each from 0 to less than 1.
    eps : float
    weight_decay : float
        ``λ``.

    Examples
    --------
    >>> import numpy as np
    >>> adam, w = AdamW(weight_decay=0.0), np.asarray([1.0, 1.0])
    >>> w, state = adam.step(w, np.asarray([1e-3, -1e3]), adam.init(w), 0.5)
    >>> w.round(4), state[0]
    (array([0.5, 1.5]), 1)
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 1e-2

    def __post_init__(self):
        if not isinstance(self.betas, list | tuple) or len(self.betas) != 2:
            raise ValueError(f"AdamW: betas must be a pair, got {self.betas!r}")
        object.__setattr__(self, "betas", tuple(self.betas))
        for i, beta in enumerate(self.betas):
            check_number("AdamW", f"betas[{i}]", beta, below=1)
        check_number("AdamW", "eps", self.eps)
        check_number("AdamW", "weight_decay", self.weight_decay)

    @property
    def _slots(self):
        return 2

    def _update(self, xp, t, rate):
        first, second = self.betas
        # rate m̂ / (√v̂ + eps) = size m / (√v · unbiased + eps)
        size, unbiased = rate / (1 - first**t), 1 / math.sqrt(1 - second**t)

        def update(w, gradient, mean, square):
            mean *= first
            mean += (1 - first) * gradient
            square *= second
            term = gradient * gradient
            term *= 1 - second
            square += term
            root = xp.sqrt(square)
            root *= unbiased
            root += self.eps
            move = mean / root
            move *= -size
            w = w * (1 - rate * self.weight_decay)
            w += move
            return w, mean, square

        return update


def clipped(gradient: Array, norm: float) -> Array:
    """A gradient of at most that Euclidean norm: longer ones are scaled down.

    Nothing is moved to the host, and no square overflows.

    Examples
    --------
    >>> import numpy as np
    >>> clipped(np.asarray([3.0, 4.0]), 1.0)
    array([0.6, 0.8])
    """
    backend = _arrays.check_real_floating("clipped", "gradient", gradient)
    check_number("clipped", "norm", norm)
    xp, wider = backend.xp, wide(backend.xp, gradient.dtype, gradient)
    if not backend.in_loops:
        return xp.astype(_scaled(xp, wider, norm), gradient.dtype, copy=False)
    flat = wider.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        length = math.sqrt(flat @ flat)
        if length <= norm:
            return gradient
        found = wider * (norm / length) if math.isfinite(length) else _scaled(xp, wider, norm)
    return found.astype(gradient.dtype, copy=False)


def _scaled(xp, wider, norm):
    # g c / ‖g‖ = u c / ‖u‖ for u = g / max|g|, whose squares are at most one; ‖g‖ = max|g| ‖u‖.
    peak = xp.max(xp.abs(wider))
    unit = wider / xp.where(peak == 0, xp.ones_like(peak), peak)
    length = xp.sqrt(xp.sum(unit * unit))
    # NaN is passed on: it is neither within the norm nor scaled into it.
    is_within = peak * length <= norm
    scale = xp.where(is_within, peak, norm / xp.where(is_within, xp.ones_like(length), length))
    return unit * scale


def check_number(owner: str, name: str, value: Any, *, above: float | None = None, below: float = math.inf):
    """ValueError unless a value is a real number from 0, or above a bound, and below another one."""
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (is_number and value < below and (value >= 0 if above is None else value > above)):
        least = "from 0" if above is None else f"above {above}"
        most = "finite" if below == math.inf else f"below {below}"
        raise ValueError(f"{owner}: {name} must be a number {least}, and {most}, got {value!r}")
