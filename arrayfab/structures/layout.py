"""How products are laid out for the BLAS at hand.

Everything that was measured about processors and BLAS stands here. The constants come from an Intel Xeon and
an AMD EPYC with OpenBLAS, the latter with its kernels for AVX-512 and for AVX2; ``docs/performance.md`` has
the figures.
"""

from __future__ import annotations

import os

import numpy as np

# An array with no more columns than this is thin: beside a large one it is transposed, not the large one.
THIN = 32

# So many multiplications make a call of BLAS worth its while; a run of rows takes so many. OpenBLAS's kernels
# for small matrices pack nothing: on one thread they are 1.5 to 2 times as fast as those for large ones.
CALL, RUN = 1_000, 500_000

# A product of more runs than this stays whole, for BLAS to share among its threads.
MOST = 40

# Whether BLAS has one thread, so that there are none to leave a product whole for.
ALONE = "1" in map(os.environ.get, ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")) or os.cpu_count() == 1

# No run has fewer rows, and only OpenBLAS is fast at no more columns.
SHORT = 8

# A result of more bytes than caches hold is bound by memory, which takes all of BLAS's threads.
CACHE = 1 << 25

# Rows as long as a page of memory, or several, share their places in caches, and reads wait for writes to the
# same places; with so many columns between them they do not.
APART = 64

# There are many rows where there are so many times as many as the matrix has on either side.
MANY = 8


def _run(rows: int, multiplies: int) -> int:
    """How many of the rows make a run, for a product of so many multiplications; 0 where runs do not pay."""
    run = rows >> (multiplies // RUN).bit_length()
    return run if multiplies > 2 * RUN and run >= SHORT else 0


def _has_many_rows(rows: int, n: int, D: int) -> bool:
    """Whether there are many rows, and the product is not so large as to stay whole, for BLAS's threads."""
    if ALONE and min(n, D) <= THIN:
        return MANY * min(n, D) <= rows
    return MANY * max(n, D) <= rows and rows * n * D <= MOST * RUN


def _in_order(b: np.ndarray) -> np.ndarray:
    """``b`` with numbers of a row side by side, and its rows further apart than they are long."""
    apart = np.empty((b.shape[0], b.shape[1] + APART), dtype=b.dtype)[:, : b.shape[1]]
    apart[...] = b
    return apart


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``a b`` for matrices of NumPy, in runs of rows where that is faster."""
    (rows, n), D = a.shape, b.shape[1]
    multiplies = rows * n * D
    run = _run(rows, multiplies)
    # Where little becomes much, but no more than caches hold, runs pay too.
    widens = MANY * n <= rows and 2 * n <= D and rows * D * a.itemsize < CACHE and multiplies > 8 * RUN
    if not (widens or _has_many_rows(rows, n, D)) or (not run and multiplies > 2 * RUN):
        return a @ b
    # It is small beside the other two, so that putting it in order costs little.
    b = _in_order(b) if n < D else np.ascontiguousarray(b)
    if not run:
        return a @ b
    y = np.empty((rows, D), dtype=a.dtype)
    whole = rows - rows % run
    np.matmul(a[:whole].reshape(-1, run, n), b, out=y[:whole].reshape(-1, run, D))
    if whole < rows:
        np.matmul(a[whole:], b, out=y[whole:])
    return y


def product_of_columns(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``aᵀ b`` for matrices of NumPy, as a sum over runs of their rows where that is faster."""
    (rows, n), D = a.shape, b.shape[1]
    run = _run(rows, rows * n * D) if _has_many_rows(rows, n, D) else 0
    # What is added up is to be small beside what is read.
    if not run or n * D * run < CALL or 3 * n * D > run * (n + D):
        return product(a.mT, b)
    whole = rows - rows % run
    y = np.sum(a[:whole].reshape(-1, run, n).mT @ b[:whole].reshape(-1, run, D), axis=0)
    return y + a[whole:].mT @ b[whole:] if whole < rows else y
