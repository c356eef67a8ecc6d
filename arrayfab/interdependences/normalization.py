"""How the weights of links are normalised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

#: By row sums, by column sums, by the roots of row sums and then by the roots of what the columns sum to, or
#: by the roots of both sums of the matrix as it was, which is ``D^{-1/2} A D^{-1/2}`` for a symmetric one.
MODES = ("row", "column", "row_column", "symmetric")


def check_normalization(owner: Any) -> None:
    """ValueError unless the mode is one of those known, or None."""
    if owner.normalization not in (None, *MODES):
        raise ValueError(
            f"{type(owner).__name__}: normalization must be None or one of {MODES}, "
            f"got {owner.normalization!r}"
        )


def scales(
    mode: str | None, row_sums: np.ndarray, column_sums: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Factors for the rows and for the columns of a matrix that normalise it.

    ``column_sums(r)`` gives ``rᵀ A``. Sums of zero count as one.
    """
    ones = np.ones_like(row_sums)
    if mode == "column":
        return ones, 1.0 / _or_one(column_sums(ones))
    if mode in (None, "row"):
        return ones if mode is None else 1.0 / _or_one(row_sums), np.ones_like(column_sums(ones))
    rows = 1.0 / np.sqrt(_or_one(row_sums))
    return rows, 1.0 / np.sqrt(_or_one(column_sums(rows if mode == "row_column" else ones)))


def _or_one(sums):
    return np.where(sums == 0, 1.0, sums)
