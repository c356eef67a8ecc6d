"""How products are laid out for the BLAS at hand.

Everything that was measured about processors and BLAS stands here. The constants come from an Intel Xeon
with OpenBLAS; ``docs/performance.md`` has the figures.
"""

from __future__ import annotations

import numpy as np

# An array with no more columns than this is thin: beside a large one it is transposed, not the large one.
THIN = 32

# So many multiplications make a call of BLAS worth its while; a run of rows takes so many. OpenBLAS's kernels
# for small matrices pack nothing: on one thread they are 1.5 to 2 times as fast as those for large ones.
CALL, RUN = 1_000, 500_000

# A product of more runs than this stays whole, for BLAS to share among its threads.
MOST = 40

# No run has fewer rows, and only OpenBLAS is fast at no more columns.
SHORT = 8

# A result of more bytes than caches hold is bound by memory, which takes all of BLAS's threads.
CACHE = 1 << 25

# There are many rows where there are so many times as many as the matrix has on either side.
MANY = 8


def _run(rows: int, n: int, D: int) -> int:
    """How many rows make a run, for a product of many rows with a small matrix; 0 where runs do not pay."""
    multiplies = rows * n * D
    if not (MANY * max(n, D) <= rows and 2 * RUN < multiplies <= MOST * RUN):
        return 0
    return _share(rows, multiplies)


def _share(rows, multiplies):
    run = rows >> (multiplies // RUN).bit_length()
    return run if run >= SHORT else 0


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``a b`` for matrices of NumPy, in runs of rows where that is faster."""
    (rows, n), D = a.shape, b.shape[1]
    run = _run(rows, n, D)
    # Where little becomes much, but no more than caches hold, runs pay too, if b is in order. It has few rows
    # then, so that putting it in order costs little.
    is_small = MANY * n <= rows and 2 * n <= D and rows * D * a.itemsize < CACHE
    if not run and is_small and rows * n * D > 8 * RUN:
        run, b = _share(rows, rows * n * D), np.ascontiguousarray(b)
    if not run:
        return a @ b
    y = np.empty((rows, D), dtype=a.dtype)
    whole = rows - rows % run
    np.matmul(a[:whole].reshape(-1, run, n), b, out=y[:whole].reshape(-1, run, D))
    if whole < rows:
        np.matmul(a[whole:], b, out=y[whole:])
    return y


def product_of_columns(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``aᵀ b`` for matrices of NumPy with many rows, as a sum over runs of them where that is faster."""
    (rows, n), D = a.shape, b.shape[1]
    run = _run(rows, n, D)
    # What is added up is to be small beside what is read.
    if not run or n * D * run < CALL or 2 * n * D > run * (n + D):
        return a.mT @ b
    whole = rows - rows % run
    y = np.sum(a[:whole].reshape(-1, run, n).mT @ b[:whole].reshape(-1, run, D), axis=0)
    return y + a[whole:].mT @ b[whole:] if whole < rows else y
