"""Data on their way into the estimators for scikit-learn: where they live, their dtype, unit and weights."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import _check_sample_weight

from arrayfab import _arrays
from arrayfab._arrays import Array


def host(array) -> np.ndarray:
    """An array of any namespace, or what NumPy takes for one, as a NumPy array in native byte order."""
    try:
        backend = _arrays.backend_of("host", "array", array)
    except TypeError:  # no array
        array = np.asarray(array)
    else:
        if _arrays.dtype_name(array.dtype) == "bfloat16":  # which NumPy does not have
            array = backend.xp.astype(array, backend.xp.float32)
        array = _arrays.to_host(array)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def floating(owner: str, X: Array) -> Array:
    """``X`` in float64 or float32; what is neither in the default dtype of its namespace and device."""
    xp, name = _arrays.backend_of(owner, "X", X).xp, _arrays.dtype_name(X.dtype)
    if name in ("float64", "float32"):
        return xp.astype(X, getattr(xp, name), copy=False)  # in native byte order
    return moved(owner, "X", X, xp.zeros((), device=_arrays.device_of(X)))


def moved(owner: str, name: str, array: Array, like: Array) -> Array:
    """An array in the namespace and dtype of another one, and on its device.

    ValueError where numbers do not fit the dtype.
    """
    xp, device = _arrays.backend_of(owner, "like", like).xp, _arrays.device_of(like)
    with np.errstate(over="ignore"):
        if _arrays.backend_of(owner, name, array).xp is xp and _arrays.device_of(array) == device:
            array = xp.astype(array, like.dtype, copy=False)
        else:
            array = _arrays.from_host(host(array), xp, like.dtype, device)
    if not is_finite(array):
        raise ValueError(f"{owner}: {name} holds numbers too large for {_arrays.dtype_name(like.dtype)}")
    return array


def is_finite(array: Array) -> bool:
    """Whether an array holds neither NaN nor an infinite number."""
    xp = _arrays.backend_of("is_finite", "array", array).xp
    return bool(xp.all(xp.isfinite(array)))


def largest(array: Array) -> np.ndarray:
    """The largest magnitude in every column, on the host."""
    xp = _arrays.backend_of("largest", "array", array).xp
    return host(xp.max(xp.abs(array), axis=0))


def taken(array: Array, rows: np.ndarray) -> Array:
    """Those rows of an array, in their order."""
    if len(rows) == array.shape[0]:
        return array
    xp = _arrays.backend_of("rows", "array", array).xp
    return xp.take(array, _arrays.from_host(rows, xp, None, _arrays.device_of(array)), axis=0)


def weighed(owner: str, sample_weight, rows: int) -> tuple[np.ndarray, np.ndarray, float]:
    """The rows that have weight, their weights with a mean of one, and what those given add up to."""
    given = np.asarray(1.0) if sample_weight is None else host(sample_weight)
    if given.ndim == 0:
        given = np.broadcast_to(given, (rows,))
    given = _check_sample_weight(given, np.empty((rows, 1)), ensure_non_negative=True).astype(np.float64)
    unit = float(given.max())
    if unit == 0:
        raise ValueError(f"{owner}: all numbers in sample_weight are zero")
    used = np.flatnonzero(given)
    weights = given[used] / unit  # so that no sum overflows
    return used, weights / np.mean(weights), unit * float(np.sum(weights))


def standardization(y: Array, weights: Array) -> tuple[Array, Array]:
    """What to take from every column and what to divide it by: its mean and standard deviation.

    A column that is constant, but for rounding, is divided by its magnitude.
    """
    xp = _arrays.backend_of("standardization", "y", y).xp
    # In units of a power of two, which rounds nothing, neither sums nor squares leave the range of the dtype.
    # The second mean takes back what the first one rounded.
    peak = largest(y)
    powers = np.where(peak > 0, np.ldexp(1.0, np.frexp(peak)[1] - 1), 1.0)
    unit = moved("standardization", "unit", powers, y)
    u = y / unit
    mean = xp.mean(weights * u, axis=0)
    mean = mean + xp.mean(weights * (u - mean), axis=0)
    centred = u - mean
    reach = xp.max(xp.abs(centred), axis=0)
    reach = xp.where(reach > 0, reach, xp.ones_like(reach))
    spread = reach * xp.sqrt(xp.mean(weights * (centred / reach) ** 2, axis=0))
    limits = xp.finfo(y.dtype)
    magnitude = xp.where(mean == 0, xp.ones_like(mean), xp.abs(mean))
    scale = unit * xp.where(spread <= limits.eps * xp.abs(mean), magnitude, spread)
    tiniest = xp.full_like(scale, float(limits.smallest_normal) * float(limits.eps))
    return unit * mean, xp.where(scale == 0, tiniest, scale)
