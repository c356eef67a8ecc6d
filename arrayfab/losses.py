"""Losses of a result, with their gradients."""

from __future__ import annotations

import math

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array


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
    size = count(owner, math.prod(y.shape))
    residual = wide(xp, dtype, y) - wide(xp, dtype, target)
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
    logits, labels = wide(xp, dtype, logits), wide(xp, dtype, labels)
    # log softmax(z) = z − log Σ exp z, with the largest logit moved to zero so that nothing overflows, and
    # its term in the sum left to log1p, so that a loss near zero keeps its digits. With p = labels / rows
    # loss = −Σ p log softmax(z), whence  gz = softmax(z) Σ p − p.
    share = labels / count("softmax_cross_entropy", math.prod(logits.shape[:-1]))
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


def wide(xp, dtype, x):
    """``x`` in float32 where its dtype is narrower, in which sums stall and counts overflow."""
    return xp.astype(x, xp.float32) if _arrays.is_half(dtype) else x


def _narrow(xp, dtype, x):
    return xp.astype(x, dtype) if _arrays.is_half(dtype) else x


def count(owner, number):
    """A number of rows; ValueError where there is none."""
    if number == 0:
        raise ValueError(f"{owner}: a mean needs at least one row, got none")
    return number


def _squares_rule(like, target):
    _arrays.check_alike("mean_squared_error", "y", like, "target", target)
    return _squares


#: For each loss, what chooses its rule by an array like the result, and the target.
RULES = {mean_squared_error: _squares_rule, softmax_cross_entropy: _entropy_rule}
