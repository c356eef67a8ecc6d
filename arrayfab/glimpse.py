"""A few entries of a large matrix, which is not formed."""

from __future__ import annotations

import math

import numpy as np

from arrayfab import _arrays
from arrayfab.frozen import Frozen
from arrayfab.matrix import StructuredMatrix

# What may be multiplied, moved and drawn for a glimpse that nobody asked for: some milliseconds.
_MOST_MULTIPLIES, _MOST_NUMBERS = 1 << 24, 1 << 20


def glimpse(W: StructuredMatrix, rows: int = 24, columns: int = 36) -> np.ndarray:
    """Every so many-th row and column of a matrix, on the host, by one product with unit vectors.

    Parameters
    ----------
    W : StructuredMatrix, shape ``(n, D)``
    rows, columns : int
        There are at most so many.

    Raises
    ------
    ValueError
        If the matrix has leading axes.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import Eye
    >>> from arrayfab.glimpse import glimpse
    >>> glimpse(Eye().fabricate(np.zeros(0), 1000, 1000), 2, 4)
    array([[1., 0., 0., 0.],
           [0., 0., 1., 0.]])
    """
    if W.ndim != 2:
        raise ValueError(f"glimpse: the matrix must have no leading axes, got shape {W.shape}")
    n, D = W.shape
    unit = np.zeros((math.ceil(n / math.ceil(n / rows)), n))
    unit[np.arange(len(unit)), :: math.ceil(n / rows)] = np.eye(len(unit))
    xp = _arrays.backend_of("glimpse", "w", W.w).xp
    picked = _arrays.from_host(unit, xp, W.dtype, W.device) @ W
    return _arrays.to_host(picked)[:, :: math.ceil(D / columns)]


def is_cheap(W: StructuredMatrix, rows: int = 24) -> bool:
    """Whether a glimpse takes no more than some milliseconds, of numbers that are there."""
    if W.ndim != 2:
        return False
    backend, plan = _arrays.backend_of("glimpse", "w", W.w), W._plan
    drawn = sum(math.prod(held.shape) for held in plan.frozen.values() if isinstance(held, Frozen))
    cost = W.structure.rows_cost(rows)
    return (
        backend.is_eager
        and not plan.streamed
        and drawn + rows * sum(W.shape) + cost.moved < _MOST_NUMBERS
        and cost.multiplies < _MOST_MULTIPLIES
    )
