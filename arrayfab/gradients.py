"""Losses, gradients of a loss through a layer, and checks of gradients by independent means."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.layer import Layer
from arrayfab.losses import RULES, count, mean_squared_error, softmax_cross_entropy, wide
from arrayfab.ruled import is_ruled, vjp_of

__all__ = [
    "finite_difference_jvp",
    "finite_difference_vjp",
    "mean_squared_error",
    "pairing",
    "scipy_objective",
    "softmax_cross_entropy",
    "value_and_grad",
]

# ``loss(y, target) → (value, grad_y)``.
Loss = Callable[[Any, Any], tuple[Any, Any]]


def value_and_grad(layer: Layer, loss: Loss) -> Callable[[Array, Any, Array], tuple[Array, Array]]:
    """A scalar loss of a layer's result, with its gradient in ``w``.

    Parameters
    ----------
    layer : Layer
        A role, or layers composed.
    loss : callable
        ``loss(y, target) → (value, grad_y)``.

    Returns
    -------
    callable
        ``objective(w, x, target) → (value, grad_w)``. With NumPy arrays it is what
        ``scipy.optimize.minimize(objective, w, args=(x, target), jac=True)`` expects; for others see
        `scipy_objective`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import LowRank, Reconciliation
    >>> role = Reconciliation(fabrication=LowRank(r=1), n=2, D=3)
    >>> objective = value_and_grad(role, mean_squared_error)
    >>> value, grad = objective(role.init(rng=0), np.ones((4, 3)), np.zeros((4, 2)))
    >>> grad.shape
    (5,)
    """

    rule_for = RULES.get(loss)
    if rule_for and is_ruled(layer) and layer.is_whole and layer.outputs is None and layer.num_parameters():

        def objective(w, x, target):
            w, target = _arrays.native(w), _arrays.native(target)
            rule = rule_for(w, target)
            count(loss.__name__, math.prod(target.shape))
            return layer.loss_and_gradient(rule, x, w, target)

    else:

        def objective(w, x, target):
            y, pullback = vjp_of(layer, x, w, "w")
            value, grad_y = loss(y, target)
            return value, pullback(grad_y)[1]

    return objective


def scipy_objective(
    layer: Layer, loss: Loss, x: Any, target: Array
) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """`value_and_grad` for an optimizer on the host: float64 NumPy outside, the arrays of ``x`` inside.

    Returns
    -------
    callable
        ``objective(w) → (value, grad_w)`` for ``scipy.optimize.minimize(objective, w, jac=True)``. ``w``
        is moved to the namespace, dtype and device of ``x`` in every call, and the gradient back.
    """
    like = x[0] if isinstance(x, list | tuple) else x
    xp = _arrays.check_real_floating("scipy_objective", "x", like).xp
    objective = value_and_grad(layer, loss)

    def host_objective(w):
        moved = _arrays.from_host(np.asarray(w), xp, like.dtype, _arrays.device_of(like))
        value, grad = objective(moved, x, target)
        # One array, so that Dask computes once and a device is waited for once. NumPy has no bfloat16.
        numbers = wide(xp, like.dtype, xp.concat([xp.reshape(value, (1,)), grad]))
        numbers = _arrays.to_host(numbers).astype(np.float64)
        return float(numbers[0]), numbers[1:]

    return host_objective


def finite_difference_jvp(
    f: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...], step: float | None = None
) -> Any:
    """The derivative of ``f(*primals)`` in the direction ``tangents``, by a central difference.

    Parameters
    ----------
    f : callable
        From arrays, or lists of arrays, to an array.
    primals, tangents : tuple
        Arguments of ``f``, and a direction of the same shapes.
    step : float, optional
        The step; the cube root of the dtype's machine epsilon if left out.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(finite_difference_jvp(lambda a: a * a, (np.asarray(3.0),), (np.asarray(1.0),))), 6)
    6.0
    """
    step = _step(primals) if step is None else step

    def moved(by):
        return f(*(_moved(primal, tangent, by) for primal, tangent in zip(primals, tangents, strict=True)))

    return (moved(step) - moved(-step)) / (2.0 * step)


def finite_difference_vjp(
    f: Callable[..., Any], primals: tuple[Any, ...], cotangent: Array, step: float | None = None
) -> tuple[Array, ...]:
    """The gradients of ``⟨cotangent, f(*primals)⟩``, one central difference for every single number.

    Parameters are those of `finite_difference_jvp`; meant for small arrays.
    """
    return tuple(_gradient_in(i, f, primals, cotangent, step) for i in range(len(primals)))


def _gradient_in(i, f, primals, cotangent, step):
    primal = primals[i]
    if isinstance(primal, list | tuple):
        pieces = range(len(primal))

        def f_of_piece(j):
            return lambda piece: f(*primals[:i], [*primal[:j], piece, *primal[j + 1 :]], *primals[i + 1 :])

        return [_gradient_in(0, f_of_piece(j), (primal[j],), cotangent, step) for j in pieces]

    def f_of_one(moving):
        return f(*primals[:i], moving, *primals[i + 1 :])

    backend = _arrays.check_real_floating("finite_difference_vjp", "primal", primal)
    xp, size = backend.xp, math.prod(primal.shape)
    positions = xp.arange(size, device=_arrays.device_of(primal))
    numbers = []
    for k in range(size):
        direction = backend.reshape(xp.astype(positions == k, primal.dtype), tuple(primal.shape))
        numbers.append(xp.sum(cotangent * finite_difference_jvp(f_of_one, (primal,), (direction,), step)))
    return backend.reshape(xp.stack(numbers), tuple(primal.shape)) if numbers else primal


def pairing(layer: Layer, x: Any, w: Array, dx: Any, dw: Array, grad_y: Array) -> tuple[Array, Array]:
    """``⟨grad_y, J (dx, dw)⟩`` by the layer's jvp, and ``⟨Jᵀ grad_y, (dx, dw)⟩`` by its vjp.

    The two are equal, up to rounding, for every direction and cotangent if the two rules fit together.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import Full, Reconciliation
    >>> role = Reconciliation(fabrication=Full(), n=1, D=1)
    >>> one = np.ones((1, 1))
    >>> pairing(role, 2 * one, np.ones(1), one, np.ones(1), one)
    (np.float64(3.0), np.float64(3.0))
    """
    _, dy = layer.jvp(x, w, dx, dw)
    _, pullback = layer.vjp(x, w)
    grad_x, grad_w = pullback(grad_y)
    return _inner(grad_y, dy), _inner(grad_x, dx) + _inner(grad_w, dw)


def _inner(a, b):
    if a is None:  # nothing is learned
        return 0.0
    if isinstance(a, list | tuple):
        return sum(_inner(left, right) for left, right in zip(a, b, strict=True))
    return _arrays.backend_of("pairing", "argument", a).xp.sum(a * b)


def _moved(primal, tangent, by):
    if isinstance(primal, list | tuple):
        return [_moved(p, t, by) for p, t in zip(primal, tangent, strict=True)]
    return primal + by * tangent


def _step(primals):
    first = primals[0]
    while isinstance(first, list | tuple):
        first = first[0]
    xp = _arrays.check_real_floating("finite difference", "primal", first).xp
    return float(xp.finfo(first.dtype).eps) ** (1 / 3)
