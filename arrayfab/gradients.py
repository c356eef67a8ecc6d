"""Losses, gradients of a loss through a layer, and checks of gradients by independent means."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.layer import Layer
from arrayfab.ruled import is_ruled, vjp_of


def mean_squared_error(y: Array, target: Array) -> tuple[Array, Array]:
    """The mean of ``(y - target)²`` over all entries, and its gradient in ``y``.

    It is finite wherever the dtype can hold it, and taken in float32 where the dtype is narrower.

    Parameters
    ----------
    y, target : array, shape ``(...)``
        Of one shape, namespace, dtype and device.

    Returns
    -------
    loss : array, shape ``()``
    grad_y : array, shape of ``y``

    Examples
    --------
    >>> import numpy as np
    >>> mean_squared_error(np.asarray([1.0, 3.0]), np.asarray([0.0, 0.0]))
    (np.float64(5.0), array([1., 3.]))
    """
    owner = "mean_squared_error"
    y, target = _arrays.native(y), _arrays.native(target)
    backend = _arrays.check_real_floating(owner, "y", y)
    _arrays.check_alike(owner, "y", y, "target", target)
    return _squares(backend, y, target, y.dtype)


# So many squares may be added up one after another, by a product of rows.
_FEW = 1 << 12


# A loss's rule takes the dtype of its arrays, since stand-ins have none.
def _squares(backend, y, target, dtype):
    """The rule of `mean_squared_error`."""
    owner, xp = "mean_squared_error", backend.xp
    _arrays.check_shape(owner, "target", target, tuple(y.shape))
    size = _count(owner, math.prod(y.shape))
    residual = _wide(xp, dtype, y) - _wide(xp, dtype, target)
    if backend.in_loops:
        loss = backend.apply(_mean_square, (), residual)
    else:
        loss = _scaled_mean_square(xp, residual, dtype)
    return _narrow(xp, dtype, loss), _narrow(xp, dtype, residual * backend.quotient(2.0, size))


def _mean_square(residual):
    """The mean of the squares of numbers of NumPy, which may be looked at."""
    with np.errstate(over="ignore"):
        if residual.size <= _FEW:
            numbers = residual.reshape(-1)
            loss = numbers @ numbers / residual.size
        else:
            loss = np.add.reduce(residual * residual, axis=None) / residual.size
    return loss if np.isfinite(loss) else _scaled_mean_square(np, residual, residual.dtype)


def _scaled_mean_square(xp, residual, dtype):
    # mean(r²) = s² mean((r / s)²), where a power of two for s rounds nothing. Where r is large, the fourth
    # root of the largest number there is keeps the squares and their sum finite as long as the mean is.
    root = 2.0 ** (256 if _arrays.dtype_name(dtype) == "float64" else 32)
    largest = xp.max(xp.abs(residual))
    scale = xp.where(largest > root, xp.full_like(largest, root), xp.ones_like(largest))
    scaled = residual / scale
    return xp.sum(scaled * scaled) / math.prod(residual.shape) * scale * scale


def softmax_cross_entropy(logits: Array, labels: Array) -> tuple[Array, Array]:
    """The mean cross entropy of ``softmax(logits)`` over all rows, and its gradient in ``logits``.

    It is taken in float32 where the dtype is narrower.

    Parameters
    ----------
    logits : array, shape ``(..., classes)``
    labels : array, shape ``(...)`` or ``(..., classes)``
        Class numbers, of an integer dtype, or probabilities, of the dtype of ``logits``. The loss of a
        class number that is out of range is NaN.

    Returns
    -------
    loss : array, shape ``()``
    grad_logits : array, shape of ``logits``

    Examples
    --------
    >>> import numpy as np
    >>> loss, grad = softmax_cross_entropy(np.zeros((1, 2)), np.asarray([1]))
    >>> round(float(loss), 4), grad
    (0.6931, array([[ 0.5, -0.5]]))
    """
    owner = "softmax_cross_entropy"
    logits, labels = _arrays.native(logits), _arrays.native(labels)
    backend = _arrays.check_real_floating(owner, "logits", logits)
    return _entropy_rule(logits, labels)(backend, logits, labels, logits.dtype)


def _entropy_rule(like, labels):
    """The rule of `softmax_cross_entropy` for such labels; ``like`` is an array like the logits."""
    owner = "softmax_cross_entropy"
    xp = _arrays.backend_of(owner, "logits", like).xp
    if _arrays.backend_of(owner, "labels", labels).xp is xp and xp.isdtype(labels.dtype, "integral"):
        return _entropy_of_classes
    _arrays.check_alike(owner, "logits", like, "labels", labels)
    return _entropy


def _entropy_of_classes(backend, logits, labels, dtype):
    _arrays.check_shape("softmax_cross_entropy", "labels", labels, tuple(logits.shape[:-1]))
    xp, classes = backend.xp, _classes(backend, logits, labels)
    labels = xp.astype(labels, classes.dtype)[..., None]
    known = xp.astype((labels >= 0) & (labels < logits.shape[-1]), dtype)
    hot = xp.where(known == 0, xp.full_like(known, math.nan), xp.astype(labels == classes, dtype))
    return _entropy_of(backend, logits, hot, dtype, classes)


def _entropy(backend, logits, labels, dtype):
    if tuple(labels.shape) == tuple(logits.shape[:-1]):
        raise TypeError(
            f"softmax_cross_entropy: labels that are class numbers must have an integer dtype, got {dtype}"
        )
    _arrays.check_shape("softmax_cross_entropy", "labels", labels, tuple(logits.shape))
    return _entropy_of(backend, logits, labels, dtype, _classes(backend, logits, labels))


def _entropy_of(backend, logits, labels, dtype, classes):
    xp = backend.xp
    logits, labels = _wide(xp, dtype, logits), _wide(xp, dtype, labels)
    # log softmax(z) = z − log Σ exp z, with the largest logit moved to zero so that nothing overflows, and
    # its term in the sum left to log1p, so that a loss near zero keeps its digits. With p = labels / rows
    # loss = −Σ p log softmax(z), whence  gz = softmax(z) Σ p − p.
    share = labels / _count("softmax_cross_entropy", math.prod(logits.shape[:-1]))
    mass = xp.sum(share, axis=-1, keepdims=True)
    shifted = logits - xp.max(logits, axis=-1, keepdims=True)
    is_largest = classes == xp.argmax(logits, axis=-1, keepdims=True)
    others = xp.where(is_largest, xp.zeros_like(shifted), xp.exp(shifted))
    log_sum = xp.log1p(xp.sum(others, axis=-1, keepdims=True))
    # What has no probability adds nothing, even where its logit is infinite.
    counted = xp.where(labels == 0, xp.zeros_like(shifted), shifted)
    loss = xp.sum(mass * log_sum) - xp.sum(share * counted)
    return _narrow(xp, dtype, loss), _narrow(xp, dtype, xp.exp(shifted - log_sum) * mass - share)


def _classes(backend, logits, like):
    return backend.xp.arange(logits.shape[-1], device=_arrays.device_of(like))


def _wide(xp, dtype, x):
    """``x`` in float32 where its dtype is narrower, in which sums stall and counts overflow."""
    return xp.astype(x, xp.float32) if _arrays.is_half(dtype) else x


def _narrow(xp, dtype, x):
    return xp.astype(x, dtype) if _arrays.is_half(dtype) else x


def _count(owner, count):
    if count == 0:
        raise ValueError(f"{owner}: a mean needs at least one row, got none")
    return count


def value_and_grad(layer: Layer, loss: Callable) -> Callable:
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

    rule_for = _RULES.get(loss)
    if rule_for and is_ruled(layer) and layer.is_whole and layer.outputs is None and layer.num_parameters():

        def objective(w, x, target):
            w, target = _arrays.native(w), _arrays.native(target)
            rule = rule_for(w, target)
            _count(loss.__name__, math.prod(target.shape))
            return layer.loss_and_gradient(rule, x, w, target)

    else:

        def objective(w, x, target):
            y, pullback = vjp_of(layer, x, w, "w")
            value, grad_y = loss(y, target)
            return value, pullback(grad_y)[1]

    return objective


def _squares_rule(like, target):
    _arrays.check_alike("mean_squared_error", "y", like, "target", target)
    return _squares


#: For each loss, what chooses its rule by an array like the result, and the target.
_RULES = {mean_squared_error: _squares_rule, softmax_cross_entropy: _entropy_rule}


def scipy_objective(layer: Layer, loss: Callable, x, target) -> Callable:
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
        numbers = _wide(xp, like.dtype, xp.concat([xp.reshape(value, (1,)), grad]))
        numbers = _arrays.to_host(numbers).astype(np.float64)
        return float(numbers[0]), numbers[1:]

    return host_objective


def finite_difference_jvp(f: Callable, primals: tuple, tangents: tuple, step: float | None = None):
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


def finite_difference_vjp(f: Callable, primals: tuple, cotangent: Array, step: float | None = None) -> tuple:
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


def pairing(layer: Layer, x, w: Array, dx, dw: Array, grad_y: Array) -> tuple[Array, Array]:
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
